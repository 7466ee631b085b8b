"""Virtual time: timers of a loop that run when a test says so, and take no time."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context
from heapq import heappop, heappush
from itertools import count
from typing import Any


class VirtualLoop:
    """The clock and the timers of an asyncio loop; ``advance`` runs what is due, in its order.

    For code that takes a loop and only schedules on it: ``time``, ``call_soon``, ``call_later`` and ``call_at``. It
    runs no coroutines. An operator takes ``reactivex.scheduler.VirtualTimeScheduler`` instead.
    """

    def __init__(self) -> None:
        self._now = 0.0
        self._timers: list[tuple[float, int, VirtualTimer]] = []
        self._numbers = count()

    def time(self) -> float:
        """Seconds that have been advanced so far."""
        return self._now

    def call_soon(self, callback: Callable[..., Any], *args: Any, context: Context | None = None) -> VirtualTimer:
        """Runs ``callback(*args)`` in the next ``advance``, also in ``advance(0)``."""
        return self.call_at(self._now, callback, *args, context=context)

    def call_later(
        self, delay: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> VirtualTimer:
        """Runs ``callback(*args)`` once ``delay`` seconds have been advanced."""
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> VirtualTimer:
        """Runs ``callback(*args)`` once ``time()`` is ``when``."""
        timer = VirtualTimer(when, callback, args, context)
        heappush(self._timers, (when, next(self._numbers), timer))
        return timer

    def advance(self, seconds: float) -> None:
        """Lets time pass and runs what is due, oldest first, at the time it is due; also what this schedules.

        An exception of a callback is raised here.
        """
        until = self._now + seconds
        while self._timers and self._timers[0][0] <= until:
            when, _, timer = heappop(self._timers)
            self._now = max(self._now, when)
            timer.run()
        self._now = until

    @property
    def next_due(self) -> float | None:
        """The ``time()`` of the next timer that has not been cancelled; None if there is none."""
        while self._timers and self._timers[0][2].cancelled():
            heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    @property
    def pending(self) -> int:
        """How many timers wait and have not been cancelled."""
        return sum(not timer.cancelled() for _, _, timer in self._timers)


class VirtualTimer:
    """What ``VirtualLoop.call_later`` returns, as ``asyncio.TimerHandle``."""

    def __init__(
        self, when: float, callback: Callable[..., Any], args: tuple[Any, ...], context: Context | None
    ) -> None:
        self._when = when
        self._callback = callback
        self._args = args
        self._context = context
        self._is_cancelled = False

    def when(self) -> float:
        """The time of the loop at which it is due, in seconds."""
        return self._when

    def cancel(self) -> None:
        """It does not run any more. Nothing happens where it has run already."""
        self._is_cancelled = True

    def cancelled(self) -> bool:
        return self._is_cancelled

    def run(self) -> None:
        """For the loop: calls it unless it was cancelled."""
        if self._is_cancelled:
            return
        if self._context is None:
            self._callback(*self._args)
        else:
            self._context.run(self._callback, *self._args)
