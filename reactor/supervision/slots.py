"""Limits on what runs at once and how often it starts, and the queue of what is ready to."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Protocol

from reactor.operators.buffer_window import Room


class Slots:
    """At most ``limit`` holders at once; whoever comes later is parked and served in order."""

    __slots__ = ("_free", "_parked")

    def __init__(self, limit: int) -> None:
        self._free = limit
        self._parked: OrderedDict[Claim, None] = OrderedDict()

    def acquire(self, claim: Claim) -> bool:
        """True if taken; else the claim is parked until ``granted``."""
        if self._free > 0:
            self._free -= 1
            return True
        self._parked[claim] = None
        return False

    def release(self) -> None:
        """Hands the slot to the first of the parked."""
        if self._parked:
            claim, _ = self._parked.popitem(last=False)
            claim.granted()
        else:
            self._free += 1

    def withdraw(self, claim: Claim) -> None:
        """It waits no more: a run that is gone must not be kept by a slot that stays taken."""
        self._parked.pop(claim, None)


class Rate:
    """At most ``amount`` starts in any ``per`` seconds: it remembers when the last ones were.

    A start that becomes free is promised to the first of the parked, until it has taken it or cannot.
    """

    __slots__ = ("_amount", "_call_later", "_clock", "_is_armed", "_parked", "_per", "_promised", "_starts")

    def __init__(
        self,
        amount: int,
        per: float,
        *,
        clock: Callable[[], float],
        call_later: Callable[[float, Callable[[], None]], object],
    ) -> None:
        self._amount = amount
        self._per = per
        self._clock = clock
        self._call_later = call_later
        self._starts: deque[float] = deque()
        self._parked: OrderedDict[Claim, None] = OrderedDict()
        self._promised: set[Claim] = set()
        self._is_armed = False

    def is_free_for(self, claim: Claim) -> bool:
        """Whether it may start now; nobody overtakes those who are parked."""
        return claim in self._promised or (self._free() > 0 and not self._parked)

    def take(self, claim: Claim) -> None:
        """Counts a start."""
        self._promised.discard(claim)
        self._starts.append(self._clock())

    def park(self, claim: Claim) -> None:
        """Tells the claim to try again when its turn has come."""
        self._parked[claim] = None
        self._arm()

    def withdraw(self, claim: Claim) -> None:
        """It waits no more, and what it was promised is the next one's."""
        self._parked.pop(claim, None)
        if claim in self._promised:
            self._promised.remove(claim)
            self._serve()

    def _free(self) -> int:
        """Starts that nobody has taken and that are promised to nobody."""
        now = self._clock()
        while self._starts and self._starts[0] <= now - self._per:
            self._starts.popleft()
        return self._amount - len(self._starts) - len(self._promised)

    def _arm(self) -> None:
        if self._parked and not self._is_armed:
            self._is_armed = True
            wait = self._starts[0] + self._per - self._clock() if self._starts else 0.0
            self._call_later(max(wait, 0.001), self._due)

    def _due(self) -> None:
        self._is_armed = False
        self._serve()

    def _serve(self) -> None:
        for _ in range(min(self._free(), len(self._parked))):
            claim, _ = self._parked.popitem(last=False)
            self._promised.add(claim)
            claim.try_again()
        self._arm()


class Claim:
    """What one body holds while it runs: slots, narrowest first, and a start of each rate. Used once.

    Slots are always taken in the same order, so nobody waits in a circle; one that waits for a rate holds no slot.
    ``again`` is called when it is worth while to ``take`` once more.
    """

    __slots__ = ("_again", "_held", "_parked_at", "_rates", "_slots")

    def __init__(self, slots: Sequence[Slots], rates: Sequence[Rate], again: Callable[[], None]) -> None:
        self._slots = slots
        self._rates = rates
        self._again = again
        self._held = 0
        self._parked_at: Slots | Rate | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether it is parked."""
        return self._parked_at is not None

    def take(self) -> bool:
        """True once it has everything; else it waits in one place, and ``again`` will be called."""
        while self._held < len(self._slots):
            slots = self._slots[self._held]
            if not slots.acquire(self):
                self._forgo_rates()  # others can use them meanwhile
                self._parked_at = slots
                return False
            self._held += 1
        for rate in self._rates:
            if not rate.is_free_for(self):
                self._let_go()
                self._parked_at = rate
                rate.park(self)
                return False
        for rate in self._rates:
            rate.take(self)
        return True

    def granted(self) -> None:
        """The slot it was parked at is its own now."""
        self._held += 1
        self.try_again()

    def try_again(self) -> None:
        """What it waited for may be free."""
        self._parked_at = None
        self._again()

    def release(self) -> None:
        """Gives everything back and waits for nothing any more."""
        parked_at, self._parked_at = self._parked_at, None
        if parked_at is not None:
            parked_at.withdraw(self)
        self._let_go()

    def _let_go(self) -> None:
        self._forgo_rates()
        held, self._held = self._held, 0
        for slots in self._slots[:held]:
            slots.release()

    def _forgo_rates(self) -> None:
        for rate in self._rates:
            rate.withdraw(self)


class Startable(Protocol):
    """A task whose upstreams ended."""

    def begin(self) -> None:
        """Takes its slots and starts, or waits at the first one that is taken."""
        ...

    def fail(self, error: BaseException) -> None:
        """It could not begin."""
        ...


class ReadyQueue:
    """Starts what is ready, in order, while the window has room and the run is not paused.

    Completions and skips only append here, so a cascade through 10,000 tasks is a loop, never a recursion.
    """

    __slots__ = ("_pumping", "_queue", "_room", "_waiting", "is_paused")

    def __init__(self, room: Room) -> None:
        self._room = room
        self._queue: deque[Startable] = deque()
        self._pumping = False
        self._waiting = False
        self.is_paused = False

    def push(self, task: Startable) -> None:
        self._queue.append(task)

    def pump(self) -> None:
        """Begins what is ready; stops at a full window and goes on when there is room."""
        if self._pumping:
            return
        self._pumping = True
        try:
            queue, room = self._queue, self._room
            while queue and not self.is_paused:
                if room.full:
                    self._wait()
                    return
                task = queue.popleft()
                try:
                    task.begin()
                except BaseException as error:  # of a value a user made: one task fails, the queue goes on
                    task.fail(error)
                    if isinstance(error, (KeyboardInterrupt, SystemExit)):
                        raise  # the process's
        finally:
            self._pumping = False

    @contextmanager
    def held(self) -> Generator[None]:
        """Begins nothing inside of it, whatever becomes ready."""
        was_pumping, self._pumping = self._pumping, True
        try:
            yield
        finally:
            self._pumping = was_pumping

    def _wait(self) -> None:
        if not self._waiting:
            self._waiting = True
            self._room.when_free(self._resume)

    def _resume(self) -> None:
        self._waiting = False
        self.pump()
