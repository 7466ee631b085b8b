"""The ports for what several processes share: who executes a run, its live windows, and slots.

One process needs none of them from outside: it executes all runs of its log, has their windows, and counts its slots.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

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


class LiveFeed(Protocol):
    """The committed windows of a run that another process executes."""

    async def follow(self, run_id: str, take: Callable[[Window | None], None], *, tenant: str = "") -> Stop:
        """Calls ``take`` on the loop with each window from now on, in order.

        ``take(None)``: windows may be missing here; the log has them. Returns what ends it. Raises UnknownRun.
        """
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


class Slots(Protocol):
    """A number of places that bodies take while they run."""

    def acquire(self, waiter: SlotWaiter) -> bool:
        """Takes a slot, or parks the waiter and returns False. Waiters are served in the order in which they came."""
        ...

    def release(self) -> None:
        """Gives a slot back; the first waiter gets it."""
        ...

    def withdraw(self, waiter: SlotWaiter) -> None:
        """Forgets a waiter that is parked; does nothing for any other."""
        ...
