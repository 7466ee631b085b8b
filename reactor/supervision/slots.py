"""Limits on what runs at once and how often it starts; the queue of tasks that are ready to start."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from time import perf_counter
from typing import Final, Protocol

from reactor.bounds import TURN_SECONDS
from reactor.interrupts import is_from_signal
from reactor.operators.buffer_window import Room
from reactor.ports.sharing import Slots, SlotWaiter, Starts, StartWaiter


class LocalSlots:
    """Implements ``Slots`` in this process: at most ``limit`` are taken at once."""

    __slots__ = ("__weakref__", "_free", "_parked")

    def __init__(self, limit: int) -> None:
        self._free = limit
        self._parked: OrderedDict[SlotWaiter, None] = OrderedDict()

    def acquire(self, waiter: SlotWaiter) -> bool:
        if self._free > 0:
            self._free -= 1
            return True
        waiter.on_waiting()
        self._parked[waiter] = None
        return False

    def release(self) -> None:
        if self._parked:
            waiter, _ = self._parked.popitem(last=False)
            waiter.on_granted()
        else:
            self._free += 1

    def withdraw(self, waiter: SlotWaiter) -> None:
        self._parked.pop(waiter, None)  # a slot that stays taken must not keep a run that is gone in memory


class Rate:
    """Implements ``Starts`` in this process: at most ``amount`` in any ``per`` seconds. It remembers the last ones.

    A start that becomes free is promised to the first parked waiter, until that takes it or withdraws.
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
        self._parked: OrderedDict[StartWaiter, None] = OrderedDict()
        self._promised: set[StartWaiter] = set()
        self._is_armed = False

    def is_free_for(self, waiter: StartWaiter) -> bool:
        """Whether it may start now; none overtakes the parked ones."""
        return waiter in self._promised or (self._free() > 0 and not self._parked)

    def take(self, waiter: StartWaiter) -> None:
        """Counts a start."""
        self._promised.discard(waiter)
        self._starts.append(self._clock())

    def park(self, waiter: StartWaiter) -> None:
        waiter.let_go()
        self._parked[waiter] = None
        self._arm()

    def withdraw(self, waiter: StartWaiter) -> None:
        """What was promised to it goes to the next one."""
        self._parked.pop(waiter, None)
        if waiter in self._promised:
            self._promised.remove(waiter)
            self._serve()

    def _free(self) -> int:
        """How many starts are neither taken nor promised."""
        now = self._clock()
        while self._starts and self._starts[0] <= now - self._per:
            self._starts.popleft()
        return self._amount - len(self._starts) - len(self._promised)

    def _arm(self) -> None:
        if self._parked and not self._is_armed:
            self._is_armed = True
            wait = self._starts[0] + self._per - self._clock() if self._starts else 0.0
            self._call_later(max(wait, 0.001), self._on_due)

    def _on_due(self) -> None:
        self._is_armed = False
        self._serve()

    def _serve(self) -> None:
        for _ in range(min(self._free(), len(self._parked))):
            waiter, _ = self._parked.popitem(last=False)
            self._promised.add(waiter)
            waiter.try_again()
        self._arm()


class Gate:
    """Implements ``Starts``: any number, while it is open. What waits for it holds no slot."""

    __slots__ = ("_is_open", "_parked")

    def __init__(self) -> None:
        self._is_open = True
        self._parked: OrderedDict[StartWaiter, None] = OrderedDict()

    def is_free_for(self, waiter: StartWaiter) -> bool:
        return self._is_open

    def take(self, waiter: StartWaiter) -> None:
        """Counts nothing."""

    def park(self, waiter: StartWaiter) -> None:
        waiter.let_go()
        self._parked[waiter] = None

    def withdraw(self, waiter: StartWaiter) -> None:
        """Unparks a waiter."""
        self._parked.pop(waiter, None)

    def set_open(self, is_open: bool) -> None:
        """Opens or closes it. What was parked tries again, in order."""
        self._is_open = is_open
        if is_open:
            parked, self._parked = self._parked, OrderedDict()
            for waiter in parked:
                waiter.try_again()


class Claim:
    """What one body takes to start: its slots, narrowest limit first, and a start of each rate. Used once.

    All claims take slots in the same order, so they cannot wait in a circle; one that waits for a rate holds no slot.
    Where processes share the limits, it keeps its slots, or a start, until it is known that the next thing is not free:
    a claim that gave up the one as soon as it asked for the other might never have both.
    ``again`` is called when another ``take`` may succeed.
    """

    __slots__ = ("_again", "_held", "_parked_at", "_rates", "_slots", "waiting_since")

    def __init__(self, slots: Sequence[Slots], rates: Sequence[Starts], again: Callable[[], None]) -> None:
        self._slots = slots
        self._rates = rates
        self._again = again
        self._held = 0
        self._parked_at: Slots | Starts | None = None
        self.waiting_since: float | None = None
        """When it was first parked, where somebody wants to know."""

    @property
    def is_waiting(self) -> bool:
        """Whether it is parked somewhere."""
        return self._parked_at is not None

    def take(self) -> bool:
        """True once it holds everything; else it is parked in one place, and ``again`` will be called."""
        while self._held < len(self._slots):
            slots = self._slots[self._held]
            if not slots.acquire(self):
                self._parked_at = slots
                return False
            self._held += 1
        for rate in self._rates:
            if not rate.is_free_for(self):
                self._parked_at = rate
                rate.park(self)
                return False
        for rate in self._rates:
            rate.take(self)
        return True

    def on_granted(self) -> None:
        """Called by the Slots it is parked at: a slot is its own now."""
        self._held += 1
        self.try_again()

    def on_waiting(self) -> None:
        """Called by the Slots it waits for: others can use meanwhile the starts that were promised to it."""
        self._give_up_rates()

    def let_go(self) -> None:
        """Called by the rate it is parked at: others can use meanwhile what else it has."""
        self._release_all()

    def try_again(self) -> None:
        """Called when what it waits for may be free."""
        self._parked_at = None
        self._again()

    def release(self) -> None:
        """Gives everything back, and is parked nowhere any more."""
        parked_at, self._parked_at = self._parked_at, None
        if parked_at is not None:
            parked_at.withdraw(self)
        self._release_all()

    def _release_all(self) -> None:
        self._give_up_rates()
        held, self._held = self._held, 0
        for slots in self._slots[:held]:
            slots.release()

    def _give_up_rates(self) -> None:
        for rate in self._rates:
            if rate is not self._parked_at:  # where it keeps its place
                rate.withdraw(self)


class Startable(Protocol):
    """What the queue needs of a task whose upstreams have ended."""

    def begin(self) -> None:
        """Takes its slots and starts, or waits for the first slot that is not free."""
        ...

    def fail(self, error: BaseException) -> None:
        """Called with what ``begin`` raised."""
        ...


_BEGUN_AT_ONCE: Final = 16
"""Tasks that begin before somebody looks at the time."""


class ReadyQueue:
    """Starts the tasks that are ready, in order, while the window has room and the run is not paused.

    The end of a task only appends its dependents here: 10,000 tasks in a chain are a loop, not a recursion. Where they
    take long, the others begin ``later``: in the next turn of the event loop.
    """

    __slots__ = ("_later", "_pumping", "_queue", "_room", "_waiting", "is_paused")

    def __init__(self, room: Room, later: Callable[[Callable[[], None]], object]) -> None:
        self._room = room
        self._later = later
        self._queue: deque[Startable] = deque()
        self._pumping = False
        self._waiting = False
        self.is_paused = False

    def push(self, task: Startable) -> None:
        self._queue.append(task)

    def pump(self) -> None:
        """Begins the tasks in the queue; at a full window it stops, and goes on when there is room."""
        if self._pumping:
            return
        self._pumping = True
        try:
            queue, room = self._queue, self._room
            until, begun = perf_counter() + TURN_SECONDS, 0
            while queue and not self.is_paused:
                if room.full:
                    self._wait(room.when_free)
                    return
                begun += 1
                if not begun % _BEGUN_AT_ONCE and perf_counter() > until:
                    self._wait(self._later)
                    return
                task = queue.popleft()
                try:
                    task.begin()
                except BaseException as error:  # from a user's value: this task fails, the queue goes on
                    task.fail(error)
                    if is_from_signal(error):
                        raise
        finally:
            self._pumping = False

    @contextmanager
    def held(self) -> Generator[None]:
        """Inside it no task begins; those that become ready stay in the queue."""
        was_pumping, self._pumping = self._pumping, True
        try:
            yield
        finally:
            self._pumping = was_pumping

    def _wait(self, call: Callable[[Callable[[], None]], object]) -> None:
        if not self._waiting:
            self._waiting = True
            call(self._resume)

    def _resume(self) -> None:
        self._waiting = False
        self.pump()
