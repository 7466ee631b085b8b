"""The ports for what several processes share: who executes a run, its live windows, slots and rates.

One process needs none of them from outside: it executes all runs of its log, has their windows, and counts its slots
and starts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from reactor.events.event import Window


@runtime_checkable
class Lease(Protocol):
    """Who may execute a run. A log that several processes share implements it; for any other log all runs are ours.

    The log refuses the windows of a run whose lease another process has, so that the lease need not be right at every
    moment.
    """

    async def acquire(self, run_id: str, *, tenant: str = "") -> bool:
        """Whether this process may execute the run from now on. False while another one does."""
        ...

    def release(self, run_id: str, *, tenant: str = "") -> None:
        """Lets others execute the run, from now on or soon. Does nothing where this process does not hold it."""
        ...

    def when_lost(self, lost: Callable[[str, str], None]) -> None:
        """``lost(run_id, tenant)`` is called on the loop for each run that another process may execute from now on."""
        ...


@runtime_checkable
class LiveFeed(Protocol):
    """The committed windows of a run that another process executes. A log that several processes share has it."""

    async def follow(self, run_id: str, take: Callable[[Window | None], None], *, tenant: str = "") -> Stop:
        """Calls ``take`` on the loop with each window from now on, in order.

        ``take(None)``: windows may be missing here; the log has them. Returns what ends it. Raises UnknownRun.
        """
        ...

    async def follow_all(self, take: Callable[[Window | None], None], *, tenant: str = "") -> Stop:
        """The same with the windows of all runs of the tenant, but not with those that this process commits."""
        ...


class Stop(Protocol):
    """What ends a ``follow``."""

    def __call__(self) -> None:
        """Nothing is taken any more. May be called twice."""
        ...


class SlotWaiter(Protocol):
    """Who waits for a slot."""

    def on_granted(self) -> None:
        """Called on the loop, not inside of ``acquire``: one slot is its own now."""
        ...

    def on_waiting(self) -> None:
        """No slot is free: it may take long. Called inside of ``acquire`` or later, maybe again."""
        ...


class Slots(Protocol):
    """A number of places that bodies take while they run."""

    def acquire(self, waiter: SlotWaiter) -> bool:
        """Takes a slot, or parks the waiter and returns False. Waiters are served in the order in which they came.

        Where processes share the slots nobody knows at once whether one is free: the waiter is parked, and granted one
        soon, or told that it waits.
        """
        ...

    def release(self) -> None:
        """Gives a slot back; the first waiter gets it."""
        ...

    def withdraw(self, waiter: SlotWaiter) -> None:
        """Forgets a waiter that is parked; does nothing for any other."""
        ...


class StartWaiter(Protocol):
    """Who waits for a start."""

    def try_again(self) -> None:
        """Called on the loop, not inside of ``park``: a start is promised to it, until it takes it or withdraws."""
        ...

    def let_go(self) -> None:
        """No start is free: it may take long, so others shall have meanwhile what it holds. Called inside of ``park``
        or later, maybe again."""
        ...


class Starts(Protocol):
    """Starts of bodies, of which there are so many in a time."""

    def is_free_for(self, waiter: StartWaiter) -> bool:
        """Whether it may ``take`` one now. Where False it may ``park``."""
        ...

    def take(self, waiter: StartWaiter) -> None:
        """Counts a start."""
        ...

    def park(self, waiter: StartWaiter) -> None:
        """Waits for a start. Those that are parked are served in the order in which they came."""
        ...

    def withdraw(self, waiter: StartWaiter) -> None:
        """Gives up what was promised, and waits no more. Does nothing for any other."""
        ...


class NamedRate(NamedTuple):
    """At most ``amount`` starts in any ``per`` seconds."""

    name: str
    amount: int
    per: float


@runtime_checkable
class SharesLimits(Protocol):
    """For a log that several processes share: a limit holds for all of them together."""

    def slots(self, name: str, limit: int) -> Slots:
        """The slots of this name; ``limit`` of them are taken at once. Those of a process that is gone come back."""
        ...

    def starts(self, rates: Sequence[NamedRate]) -> Starts:
        """Each start is one of all these rates. All who name several name them in the same order."""
        ...
