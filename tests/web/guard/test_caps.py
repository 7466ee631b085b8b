"""Caps: what is taken is given back, nobody takes more than there is, and what counts it stays small."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import fields
from itertools import pairwise
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_aiohttp import AiohttpClient

from reactor.ports.access import CapCounter
from reactor.testing import CAP_LAWS, VirtualClock
from reactor.testing.access_laws import CapLaw
from reactor_web.dialects import find_named, known
from reactor_web.guard.caps import Caps, Limited, Take, take_all
from reactor_web.guard.counting import SLOTS, MemoryCaps
from reactor_web.guard.limited import answer_limited, limited_stream
from reactor_web.guard.principal import Principal
from reactor_web.http.codes import CODES
from reactor_web.http.problems import problems
from reactor_web.sse.parser import Parser

ANN = Principal("key:ann", frozenset({"read", "run"}))
BOB = Principal("key:bob", frozenset({"read", "run"}))


def still() -> VirtualClock:
    """A clock that stands still until ``jump``."""
    return VirtualClock(jumps=False)


@pytest.mark.parametrize("law", CAP_LAWS, ids=lambda law: law.__name__)
async def test_the_counter_in_memory_keeps_the_law(law: CapLaw) -> None:
    """Both ends are the same counter, in virtual time."""
    clock = still()
    counter = MemoryCaps(clock)
    assert isinstance(counter, MemoryCaps)
    port: CapCounter = counter
    assert port.scope == "process"

    async def passes(seconds: float) -> None:
        clock.jump(seconds)

    await law(counter, counter, passes)


# --- the window ---------------------------------------------------------------------------------------------------


@given(gaps=st.lists(st.floats(0, 3, allow_nan=False), min_size=1, max_size=60), most=st.integers(1, 5))
@settings(deadline=None)
def test_a_window_never_has_more_than_the_cap_and_forgets_in_time(gaps: list[float], most: int) -> None:
    """Of takes at any times: no ``seconds`` have more than ``most``; none is refused that an exact count would let in
    a sixteenth later."""
    seconds = 1.0

    async def check() -> None:
        clock, taken = still(), list[float]()
        counter = MemoryCaps(clock)
        for gap in gaps:
            clock.jump(gap)
            now = clock.monotonic()
            if await counter.take("c", "w", most, seconds):
                taken.append(now)
            else:
                longer = seconds * (SLOTS + 1) / SLOTS
                assert sum(time > now - longer - 1e-6 for time in taken) >= most
        for i in range(len(taken) - most):
            assert taken[i + most] - taken[i] >= seconds - 1e-6

    asyncio.run(check())


async def test_a_window_is_given_back_by_its_newest() -> None:
    """So that what was rolled back does not make older takes count longer."""
    clock = still()
    counter = MemoryCaps(clock)
    assert await counter.take("c", "w", 2, 1.0)
    clock.jump(0.9)
    assert await counter.take("c", "w", 2, 1.0)
    await counter.give_back("c", "w")
    clock.jump(0.2)
    assert await counter.take("c", "w", 2, 1.0, count=2), "the older one is over, the newer one was given back"


async def test_a_cap_has_one_time() -> None:
    """Two times of one cap are a mistake, told at once."""
    counter = MemoryCaps(still())
    assert await counter.take("c", "w", 2, 1.0)
    with pytest.raises(ValueError, match=r"cap c counts for 1\.0 s, not for 2\.0 s"):
        await counter.take("c", "w", 2, 2.0)
    with pytest.raises(ValueError, match="0 cannot be taken"):
        await counter.take("c", "w", 2, 1.0, count=0)


async def test_more_at_once_than_the_cap_is_refused_and_leaves_nothing() -> None:
    """Of somebody new, and of somebody whose window is over."""
    clock = still()
    counter = MemoryCaps(clock)
    assert not await counter.take("c", "w", 2, 1.0, count=3)
    assert not await counter.take("held", "w", 2, count=3)
    assert len(counter) == 0
    assert await counter.take("c", "w", 2, 1.0)
    clock.jump(2)
    assert not await counter.take("c", "w", 2, 1.0, count=3)
    assert await counter.take("c", "other", 2, 1.0)
    assert await counter.take("c", "w", 2, 1.0, count=2)


# --- memory -------------------------------------------------------------------------------------------------------


async def test_what_counts_nothing_is_forgotten() -> None:
    """Held pairs at once, timed ones as soon as others of their cap are taken."""
    clock = still()
    counter = MemoryCaps(clock)
    for i in range(1_000):
        assert await counter.take("held", str(i), 1)
        assert await counter.take("timed", str(i), 1, 1.0)
    assert len(counter) == 2_000
    for i in range(1_000):
        await counter.give_back("held", str(i))
    assert len(counter) == 1_000
    clock.jump(2)
    for i in range(1_000):
        assert await counter.take("timed", f"new-{i}", 1, 1.0)
    clock.jump(2)
    for _ in range(1_000):
        await counter.take("timed", "one", 1, 1.0)
    assert len(counter) == 1


async def test_of_too_many_pairs_the_held_are_refused_and_the_timed_forgotten() -> None:
    """What is held is never forgotten. Many addresses neither lock a new one out nor push out what is in use."""
    counter = MemoryCaps(still(), most=100)
    for i in range(50):
        assert await counter.take("held", str(i), 1)
    for i in range(1_000):
        assert await counter.take("timed", "busy", 10_000, 1.0)
        assert await counter.take("timed", str(i), 1, 1.0)
        assert len(counter) <= 100
    assert not await counter.take("timed", "busy", 1_000, 1.0), "it was counted all the time"
    for i in range(50, 100):
        assert await counter.take("held", str(i), 1)
    assert not await counter.take("held", "one more", 1)
    assert not await counter.take("timed", "one more", 1, 1.0), "there is nothing that could be forgotten"
    assert await counter.take("held", "7", 2), "who is counted already is not refused"
    await counter.give_back("held", "8")
    assert await counter.take("timed", "one more", 1, 1.0)
    assert len(counter) == 100


async def test_a_take_costs_the_same_however_many_were_taken() -> None:
    """One pair keeps no more than its slots, whatever its cap is."""
    clock = still()
    counter = MemoryCaps(clock)
    for _ in range(5_000):
        assert await counter.take("c", "w", 1_000_000, 1.0, count=100)
        clock.jump(0.01)
    (timed,) = counter._timed.values()  # pyright: ignore[reportPrivateUsage]  # its size is what is asked about
    assert len(timed.windows["w"].slots) <= 2 * (SLOTS + 1), "the number of each, and how many were taken in it"


# --- several at once ----------------------------------------------------------------------------------------------


async def test_all_is_taken_or_nothing() -> None:
    """Where the last of several refuses, the others are as if nobody had asked; the error names that one."""
    counter = MemoryCaps(still())
    takes = [
        Take("too-many-streams-of-you", "w", 2),
        Take("too-many-starts", "", 5, 1.0),
        Take("too-many-streams", "", 1),
    ]
    first = await take_all(counter, takes)
    for _ in range(10):
        with pytest.raises(Limited, match="1 streams are open on this server already") as refused:
            await take_all(counter, takes)
        assert (refused.value.code, refused.value.status) == ("too-many-streams", 503)
    assert await counter.take("too-many-starts", "", 5, 1.0, count=4)
    await first.give_back()
    await (await take_all(counter, takes[::2])).give_back()


async def test_what_was_taken_is_given_back_once() -> None:
    """Twice, or at the same time from two places: others lose nothing by it. What is timed goes on counting."""
    counter = MemoryCaps(still())
    takes = [Take("held", "w", 2), Take("timed", "w", 1, 1.0)]
    mine = await take_all(counter, takes)
    assert await counter.take("held", "w", 2)
    await asyncio.gather(mine.give_back(), mine.give_back())
    await mine.give_back()
    assert await counter.take("held", "w", 2)
    assert not await counter.take("held", "w", 2)
    assert not await counter.take("timed", "w", 1, 1.0)


class Slow(MemoryCaps):
    """A counter elsewhere: it answers late, and some caps cannot be given back."""

    def __init__(self) -> None:
        super().__init__(still())
        self.broken = ""

    async def take(self, cap: str, who: str, most: int, seconds: float | None = None, *, count: int = 1) -> bool:
        await asyncio.sleep(0)
        if cap == "hangs":
            await asyncio.Event().wait()
        return await super().take(cap, who, most, seconds, count=count)

    async def give_back(self, cap: str, who: str, *, count: int = 1) -> None:
        await asyncio.sleep(0)
        if cap == self.broken:
            raise OSError("gone")
        await super().give_back(cap, who, count=count)


async def test_a_request_that_goes_while_it_takes_leaves_nothing() -> None:
    """Cancelled between two caps: what it has by then is given back."""
    counter = Slow()
    asking = asyncio.ensure_future(take_all(counter, [Take("held", "w", 1), Take("hangs", "w", 1)]))
    while not len(counter):
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert len(counter) == 0


async def test_one_that_cannot_be_given_back_keeps_no_other() -> None:
    """All others are given back, and the error is raised."""
    counter = Slow()
    taken = await take_all(counter, [Take(cap, "w", 1) for cap in ("a", "b", "c")])
    counter.broken = "b"
    with pytest.raises(ExceptionGroup, match="cannot be given back"):
        await taken.give_back()
    counter.broken = ""
    assert await counter.take("a", "w", 1)
    assert await counter.take("c", "w", 1)


# --- the settings -------------------------------------------------------------------------------------------------

ALL: list[tuple[str, Callable[[Caps], Iterable[Take]]]] = [
    ("connect", lambda caps: caps.of_connect("203.0.113.7")),
    ("stream", lambda caps: caps.of_stream(ANN, "acme", "r", "203.0.113.7")),
    ("start", lambda caps: caps.of_start(ANN, "acme")),
    ("open run", lambda caps: caps.of_open_run("acme")),
    ("waiting", lambda caps: caps.of_waiting("acme")),
    ("emit", lambda caps: caps.of_emit(ANN, "acme")),
]
KINDS = ("streams", "connects_per_second", "starts_per_second", "open_runs", "waiting", "emits_per_second")
OFF: dict[str, Any] = {field.name: None for field in fields(Caps) if field.name.startswith(KINDS)}
"""All caps switched off."""


@pytest.mark.parametrize(("name", "of"), ALL, ids=[name for name, _ in ALL])
def test_every_cap_has_a_code_with_a_sentence(name: str, of: Callable[[Caps], Iterable[Take]]) -> None:
    """429 or 503, with a time to come back; the cap of all comes last."""
    takes = list(of(Caps()))
    assert takes
    for take in takes:
        limited = Limited(take)
        assert limited.status in (429, 503)
        assert f"{take.most:,}" in str(limited)
        assert limited.retry_seconds >= 1
        assert CODES[take.cap].status == (429 if take.who and take.cap != "too-many-streams-of-run" else 503)
    assert [bool(take.who) for take in takes] == sorted((bool(take.who) for take in takes), reverse=True)
    assert list(of(Caps(**OFF))) == []


def test_what_counts_nobody_else_has_no_part_of() -> None:
    """Two tenants with the same principals, runs and addresses share the caps of all and no other."""
    caps = Caps()
    of = {
        tenant: {(take.cap, take.who) for _, takes in takes_of(caps, tenant) for take in takes}
        for tenant in ("acme", "umbrella")
    }
    shared = of["acme"] & of["umbrella"]
    assert {who for _, who in shared} == {""}
    assert {cap for cap, _ in shared} == {
        "too-many-streams", "too-many-starts", "too-many-open-runs", "too-many-waiting",
    }  # fmt: skip


def takes_of(caps: Caps, tenant: str) -> list[tuple[str, list[Take]]]:
    return [
        ("stream", list(caps.of_stream(ANN, tenant, "r", "203.0.113.7"))),
        ("start", list(caps.of_start(ANN, tenant))),
        ("open run", list(caps.of_open_run(tenant))),
        ("waiting", list(caps.of_waiting(tenant))),
        ("emit", list(caps.of_emit(ANN, tenant))),
    ]


async def test_a_tenant_leaves_something_for_the_others() -> None:
    """It takes its share and is told so; the next one still gets streams. The default tenant may take all."""
    caps, counter = Caps(streams=10, streams_per_principal=None), MemoryCaps(still())
    for _ in range(5):
        await take_all(counter, caps.of_stream(ANN, "acme", "", None))
    with pytest.raises(Limited, match="your tenant has 5 open streams already") as refused:
        await take_all(counter, caps.of_stream(BOB, "acme", "", None))
    assert refused.value.code == "too-many-streams-of-tenant"
    for _ in range(5):
        await take_all(counter, caps.of_stream(ANN, "", "", None))
    with pytest.raises(Limited, match="10 streams are open on this server") as refused:
        await take_all(counter, caps.of_stream(ANN, "umbrella", "", None))
    assert refused.value.code == "too-many-streams"


async def test_each_cap_of_streams_names_itself() -> None:
    """You, your address, the run, all: whichever is full."""
    for change, code in [
        ({"streams_per_principal": 1}, "too-many-streams-of-you"),
        ({"streams_per_address": 1}, "too-many-streams-of-address"),
        ({"streams_per_run": 1}, "too-many-streams-of-run"),
        ({"streams": 1}, "too-many-streams"),
    ]:
        caps, counter = Caps(**{**OFF, **change}), MemoryCaps(still())
        taken = await take_all(counter, caps.of_stream(ANN, "", "r", "203.0.113.7"))
        with pytest.raises(Limited) as refused:
            await take_all(counter, caps.of_stream(ANN, "", "r", "203.0.113.7"))
        assert refused.value.code == code
        await taken.give_back()
        assert len(counter) == 0


async def test_connects_have_a_burst_and_a_rate() -> None:
    """The burst at once, then as many as the rate says on the long run; others are not slowed by it."""
    clock = still()
    caps, counter = Caps(connects_per_second=10, connects_burst=50), MemoryCaps(clock)

    codes = set[str]()

    async def connects(address: str | None) -> int:
        count = 0
        try:
            while count < 1_000:
                await take_all(counter, caps.of_connect(address))
                count += 1
        except Limited as limited:
            codes.add(limited.code)
        return count

    assert await connects("a") == 50
    assert await connects("b") == 50
    assert await connects(None) == 1_000
    total = 0
    for _ in range(60):
        clock.jump(1)
        total += await connects("a")
    assert 500 <= total <= 600
    assert codes == {"too-many-connects"}


async def test_slow_rates_are_kept_too() -> None:
    """One start in ten seconds, not ten in a hundred at once."""
    clock = still()
    caps, counter = Caps(starts_per_second=None, starts_per_second_per_principal=0.1), MemoryCaps(clock)
    await take_all(counter, caps.of_start(ANN, ""))
    await take_all(counter, caps.of_start(BOB, ""))
    clock.jump(9)
    with pytest.raises(Limited) as refused:
        await take_all(counter, caps.of_start(ANN, ""))
    assert (refused.value.code, refused.value.retry_seconds) == ("too-many-starts-of-you", 10)
    clock.jump(2)
    await take_all(counter, caps.of_start(ANN, ""))


async def test_a_list_of_events_counts_as_many() -> None:
    """One that is longer than a second's worth takes that second, and is not refused for ever."""
    clock = still()
    caps, counter = Caps(emits_per_second=100), MemoryCaps(clock)
    await take_all(counter, caps.of_emit(ANN, "", 60))
    with pytest.raises(Limited, match="100 at once"):
        await take_all(counter, caps.of_emit(ANN, "", 41))
    await take_all(counter, caps.of_emit(ANN, "", 40))
    await take_all(counter, caps.of_emit(BOB, "", 1_000))
    clock.jump(2)
    await take_all(counter, caps.of_emit(ANN, "", 1_000))


LONG = (8_000, 8_001)


def test_names_of_any_form_and_length_are_told_apart() -> None:
    """A tenant and a principal cannot be read as another tenant and another principal; long ones stay short."""
    whos = [
        next(iter(Caps().of_start(Principal(id, frozenset()), tenant))).who
        for tenant, id in [("a", "bc"), ("ab", "c"), ("a", "1:b"), ("", "1:a2:bc"), *(("a", "x" * n) for n in LONG)]
    ]
    assert len(set(whos)) == len(whos)
    assert max(map(len, whos)) <= 128


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"streams": 0}, "the cap streams must be a number from 1 to 10,000,000, not 0"),
        ({"streams": True}, "the cap streams must be"),
        ({"streams": 1.5}, "the cap streams must be a whole number, not 1.5"),
        ({"waiting": "10"}, "the cap waiting must be"),
        ({"open_runs": 10_000_001}, "the cap open_runs must be"),
        ({"starts_per_second": 0}, "the cap starts_per_second must be"),
        ({"emits_per_second": float("nan")}, "the cap emits_per_second must be"),
        ({"emits_per_second": float("inf")}, "the cap emits_per_second must be"),
        ({"connects_burst": None}, "the cap connects_burst must be"),
        ({"connects_burst": 5}, "the cap connects_burst must be connects_per_second at least: 20"),
        ({"tenant_share": 0}, "the cap tenant_share must be a number from"),
        ({"tenant_share": 1.1}, "the cap tenant_share must be"),
    ],
)
def test_a_cap_that_cannot_be_is_refused(given: dict[str, Any], words: str) -> None:
    """One sentence that names it; there is always a bound."""
    with pytest.raises(ValueError) as refused:  # the words are compared below
        Caps(**given)
    assert str(refused.value).startswith(words)


# --- the answer ---------------------------------------------------------------------------------------------------

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
STREAM = {"Accept": "text/event-stream"}


@pytest.fixture
async def full(aiohttp_client: AiohttpClient) -> Any:
    """A server whose only stream is full."""

    async def handler(request: web.Request) -> web.StreamResponse:
        return answer_limited(request, Limited(Take("too-many-streams-of-you", "w", 3, retry_seconds=7)))

    app = web.Application(middlewares=[problems])
    app.router.add_route("*", "/runs/{id}/events", handler)
    return await aiohttp_client(app)


async def test_an_event_source_is_told_in_a_stream(full: Any) -> None:
    """200, ``retry:`` of at least the seconds, not for all the same, ``stream.closing``, the end of the connection."""
    retries = set[int]()
    for _ in range(10):
        response = await full.get("/runs/r/events", headers=STREAM)
        body = await response.read()
        parser = Parser()
        (frame,) = parser.feed(body)
        assert (response.status, response.content_type) == (200, "text/event-stream")
        assert response.headers["Cache-Control"] == "no-cache, no-store, no-transform"
        assert response.headers["Connection"] == "close"
        assert frame.event == "stream.closing"
        assert parser.retry_ms is not None
        assert 7_000 <= parser.retry_ms <= 10_500
        assert (
            f'"data":{{"reason":"limit","code":"too-many-streams-of-you","retry_ms":{parser.retry_ms}}}' in frame.data
        )
        assert '"run_id":"r"' in frame.data
        assert frame.id == ""
        retries.add(parser.retry_ms)
    assert len(retries) > 1


async def test_without_names_the_frame_has_none(full: Any) -> None:
    """``names=0``: a page that only listens to ``message`` is told, too."""
    response = await full.get("/runs/r/events?names=0", headers=STREAM)
    (frame,) = Parser().feed(await response.read())
    assert frame.event == "message"


FETCHING = [name for name in known() if find_named(name).info.fetch_client]
"""Dialects whose clients take the end of such a stream for that of the run."""


@pytest.mark.parametrize("dialect", sorted(set(known()) - {*FETCHING, "native"}))
async def test_in_another_dialect_there_is_no_frame(full: Any, dialect: str) -> None:
    """A comment and ``retry:``, which no client reports as an event."""
    response = await full.get(f"/runs/r/events?dialect={dialect}", headers=STREAM)
    body = await response.read()
    parser = Parser()
    assert response.status == 200
    assert parser.feed(body) == parser.feed(b"\n\n") == []
    assert 7_000 <= (parser.retry_ms or 0) <= 10_500
    assert body.startswith(b": too-many-streams-of-you\n")
    assert b"\n\n" not in body


@pytest.mark.parametrize(
    ("method", "query", "headers"),
    [
        ("GET", "", {**STREAM, "Authorization": "Bearer x"}),
        ("GET", "", {**STREAM, "Reactor-Client": "1"}),
        ("GET", "", {"Accept": "application/x-ndjson"}),
        ("GET", "", {"Accept": "*/*"}),
        *(("GET", f"?dialect={name}", STREAM) for name in FETCHING),
        ("POST", "", STREAM),
    ],
)
async def test_every_other_client_sees_the_status(full: Any, method: str, query: str, headers: dict[str, str]) -> None:
    """A problem document with its code and the time to come back."""
    response = await full.request(method, f"/runs/r/events{query}", headers=headers)
    document = await response.json()
    assert (response.status, response.content_type) == (429, "application/problem+json")
    assert response.headers["Retry-After"] == "7"
    assert document == {
        "type": "about:blank", "title": "Too many streams of yours", "status": 429, "code": "too-many-streams-of-you",
        "detail": "you have 3 open streams already", "retry_after": 7,
    }  # fmt: skip


async def test_the_chance_is_what_spreads_them(aiohttp_client: AiohttpClient) -> None:
    """Without it, exactly the seconds."""

    async def handler(request: web.Request) -> web.StreamResponse:
        return limited_stream(request, "ticket-in-use", 2, chance=lambda: 0.0)

    app = web.Application()
    app.router.add_get("/", handler)
    client = await aiohttp_client(app)
    body = await (await client.get("/")).read()
    assert body.startswith(b"retry: 2000\nevent: stream.closing\n")


def test_the_windows_of_the_caps_are_in_order() -> None:
    """Each take of a kind of request is another cap, so that none is asked twice."""
    for _, of in ALL:
        caps = [take.cap for take in of(Caps())]
        assert all(a != b for a, b in pairwise(sorted(caps)))
