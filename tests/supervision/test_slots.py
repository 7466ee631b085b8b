"""What a body takes before it starts, as values and with a clock of the test's own: slots, rates, claims on both."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import example, given, settings
from hypothesis import strategies as st

from reactor.supervision.slots import Claim, LocalSlots, Rate
from reactor.testing import VirtualLoop

LIMITS = (1, 2)
"""Of the two kinds of slots."""
RATES = ((2, 10.0), (1, 3.0))
"""Starts and seconds."""


@dataclass(eq=False)
class Body:
    """Arrives, waits, runs, ends; a claim is its only way through."""

    name: int
    slots: tuple[int, ...]
    rates: tuple[int, ...]
    claim: Claim | None = None
    state: str = "waiting"

    @property
    def is_parked(self) -> bool:
        return self.state == "waiting" and self.claim is not None and self.claim.is_waiting


@dataclass
class World:
    """Everybody who wants to run, and what there is to be had; it asks again only where it was told to."""

    loop: VirtualLoop = field(default_factory=VirtualLoop)
    bodies: list[Body] = field(default_factory=list)
    overtaken: list[tuple[Body, Body]] = field(default_factory=list)
    """Who still waited without having been told anything, and who started though it came later."""
    told_for_nothing: list[Body] = field(default_factory=list)
    """Who was told that the one thing it waits for is free, and did not get it."""
    starts: dict[int, list[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.slots = [LocalSlots(limit) for limit in LIMITS]
        self.rates = [Rate(n, per, clock=self.loop.time, call_later=self.loop.call_later) for n, per in RATES]
        self.told: deque[Body] = deque()

    def arrive(self, slots: Sequence[int], rates: Sequence[int]) -> Body:
        body = Body(len(self.bodies), tuple(slots), tuple(rates))
        body.claim = Claim(
            [self.slots[i] for i in body.slots], [self.rates[i] for i in body.rates], lambda: self.told.append(body)
        )
        self.bodies.append(body)
        self.ask(body)
        return body

    def ask(self, body: Body, *, was_told: bool = False) -> None:
        assert body.claim is not None
        if body.state != "waiting" or body.claim.is_waiting:
            return
        if body.claim.take():
            body.state = "running"
            self.overtaken += [(other, body) for other in self.bodies[: body.name] if other.is_parked]
            for rate in body.rates:
                self.starts.setdefault(rate, []).append(self.loop.time())
        elif was_told and len(body.slots + body.rates) == 1:
            self.told_for_nothing.append(body)
        self.check()

    def pump(self) -> None:
        while self.told:
            self.ask(self.told.popleft(), was_told=True)

    def end(self, body: Body) -> None:
        assert body.claim is not None
        body.claim.release()
        body.state = "ended"
        self.check()

    def of(self, state: str) -> list[Body]:
        return [body for body in self.bodies if body.state == state]

    def check(self) -> None:
        """Never above any limit."""
        running = self.of("running")
        for i, limit in enumerate(LIMITS):
            assert sum(i in body.slots for body in running) <= limit
        for i, (amount, per) in enumerate(RATES):
            times = self.starts.get(i, [])
            for first, last in zip(times, times[amount:], strict=False):
                assert last >= first + per, f"{amount + 1} starts of rate {i} in {last - first} s"

    def run_out(self) -> None:
        """Time passes and bodies end until nobody is left; fails where somebody waits for ever."""
        for _ in range(10 * len(self.bodies) + 10):
            self.pump()
            for body in self.of("running"):
                self.end(body)
            self.pump()
            if not self.of("waiting") and not self.of("running"):
                return
            self.loop.advance(1.0)
        raise AssertionError(f"{len(self.of('waiting'))} of {len(self.bodies)} wait for ever")

    def check_all_is_back(self) -> None:
        """Nothing is held, nothing is armed: each limit gives exactly what it has."""
        self.loop.advance(1 + max(per for _, per in RATES))
        assert not self.told
        assert self.loop.pending == 0
        for i, limit in enumerate(LIMITS):
            assert [Claim([self.slots[i]], [], list).take() for _ in range(limit + 1)] == [True] * limit + [False]
        for rate, (amount, _) in zip(self.rates, RATES, strict=True):
            assert [Claim([], [rate], list).take() for _ in range(amount + 1)] == [True] * amount + [False]


kinds = st.tuples(st.sampled_from([(), (0,), (1,), (0, 1)]), st.sampled_from([(), (0,), (1,), (0, 1)]))
deeds = st.one_of(
    st.tuples(st.just("arrive"), kinds),
    st.tuples(st.just("end"), st.integers(0, 99)),
    st.tuples(st.just("give up"), st.integers(0, 99)),
    st.tuples(st.just("pump"), st.none()),
    st.tuples(st.just("pass"), st.sampled_from([0.0, 0.001, 0.5, 1.0, 3.0, 10.0])),
)


def live(world: World, deeds: Sequence[tuple[str, object]]) -> None:
    for deed, how in deeds:
        if deed == "arrive":
            world.arrive(*how)  # type: ignore[misc]
        elif deed == "pass":
            world.loop.advance(how)  # type: ignore[arg-type]
        elif deed == "pump":
            world.pump()
        elif chosen := world.of("running" if deed == "end" else "waiting"):
            world.end(chosen[how % len(chosen)])  # type: ignore[operator]


@settings(max_examples=150, deadline=None)
@given(st.lists(deeds, max_size=40))
def test_no_limit_is_ever_exceeded_everybody_runs_and_everything_comes_back(deeds: list[tuple[str, object]]) -> None:
    """Whoever arrives, ends, gives up and whenever: the limits hold, all who stay run, and nothing is left taken."""
    world = World()
    live(world, deeds)
    world.run_out()
    world.check_all_is_back()


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([((), (0,)), ((), (1,)), ((0,), ()), ((1,), ()), ((0, 1), ()), ((1,), (1,)), ((0, 1), (0,))]),
    st.lists(deeds.filter(lambda deed: deed[0] != "arrive") | st.just(("arrive", None)), max_size=60),
)
@example(((), (1,)), [("arrive", None), ("arrive", None), ("pass", 3.0), ("arrive", None)])
def test_nobody_is_overtaken_by_who_wants_the_same(
    kind: tuple[tuple[int, ...], tuple[int, ...]], deeds: list[tuple[str, object]]
) -> None:
    """Of bodies that take the same, whoever came first starts first, or has been told already that it may."""
    world = World()
    live(world, [(deed, kind if deed == "arrive" else how) for deed, how in deeds])
    world.run_out()
    assert world.overtaken == world.told_for_nothing == []


def test_who_waits_for_a_rate_holds_no_slot() -> None:
    """Another body takes the slot meanwhile, and the first one takes both when its time has come."""
    world = World()
    for _ in range(2):
        world.end(world.arrive((0,), (0,)))
    rated = world.arrive((0,), (0,))
    assert rated.state == "waiting"
    other = world.arrive((0,), ())
    assert other.state == "running"
    world.loop.advance(10)
    world.pump()
    assert rated.state == "waiting"
    world.end(other)
    world.pump()
    assert rated.state == "running"


def test_a_start_that_somebody_cannot_use_is_the_next_one_s() -> None:
    """The first in line has to wait for a slot, or has given up: whoever comes after it need not wait for long."""
    for first_gives_up in (False, True):
        world = World()
        holder = world.arrive((0,), ())
        world.loop.advance(100)
        world.end(world.arrive((), (0,)))
        world.loop.advance(5)
        world.end(world.arrive((), (0,)))
        first = world.arrive((), (0,)) if first_gives_up else world.arrive((0,), (0,))
        if not first_gives_up:
            world.end(holder)
            world.pump()
            holder = world.arrive((0,), ())
        second = world.arrive((), (0,))
        assert (first.state, second.state) == ("waiting", "waiting")
        world.loop.advance(5)  # the first of the two starts is over, the other one has five seconds left
        if first_gives_up:
            world.end(first)
        world.pump()
        assert second.state == "running"
        if not first_gives_up:
            assert first.state == "waiting"


def test_a_rate_sets_no_timer_while_nobody_waits() -> None:
    """And one, however many wait."""
    world = World()
    world.arrive((), (1,))
    assert world.loop.pending == 0
    for _ in range(5):
        world.arrive((), (1,))
    assert world.loop.pending == 1
