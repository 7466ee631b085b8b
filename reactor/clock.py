"""Time: the system clock, the scheduler of an event loop, and the clock of an operator that waits for time."""

from __future__ import annotations

import time
from asyncio import AbstractEventLoop, get_running_loop
from collections.abc import Callable
from contextvars import copy_context
from typing import Any, Final, Generic, TypeVar

from reactivex import abc
from reactivex.scheduler.eventloop import AsyncIOScheduler

S = TypeVar("S")

TIMER_RESOLUTION: Final = 1e-6
"""Seconds by which a timer may fire too early, because schedulers round to the microseconds of a datetime."""


def operator_clock(
    operator: str, period: float, scheduler: abc.SchedulerBase | None, clock: Callable[[], float] | None
) -> Callable[[], float]:
    """The clock, in seconds, of an operator that waits for time: ``clock`` if given, else the scheduler's ``now``.

    Raises TypeError without a scheduler and ValueError for a period that is not above 0, both with the operator's name.
    """
    if scheduler is None:
        raise TypeError(f"{operator} needs a scheduler: scheduler=AsyncIOScheduler(loop)")
    # users without a type checker pass anything; the comparison is also false for NaN
    if not isinstance(period, (int, float)) or not period > 0:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValueError(f"the period of {operator} must be above 0 seconds, not {period!r}")
    return clock or (lambda: scheduler.now.timestamp())


class SystemClock:
    """The clock of the machine. It formats each second once, which costs a third of ``datetime.isoformat``."""

    monotonic = staticmethod(time.monotonic)

    def __init__(self) -> None:
        self._second = -1
        self._prefix = b""

    def now(self) -> bytes:
        second, nanos = divmod(time.time_ns(), 1_000_000_000)
        if second != self._second:
            self._second = second
            self._prefix = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)).encode()
        return b"%b.%06dZ" % (self._prefix, nanos // 1000)


class LoopScheduler(AsyncIOScheduler):
    """An ``AsyncIOScheduler`` with a cheap ``schedule``: all actions of one loop turn run together in the next turn.

    This matters because each run closes one window a turn, and a thousand runs may be open.
    """

    def __init__(self, loop: AbstractEventLoop) -> None:
        super().__init__(loop)
        self.loop = loop
        self._context = copy_context()
        """Actions run in the context that made the scheduler, not in that of the body that scheduled first."""
        self._turns: list[_Turn[Any]] = []

    def schedule(self, action: abc.ScheduledAction[S], state: S | None = None) -> abc.DisposableBase:
        if not self._turns:
            self.loop.call_soon(self._run, context=self._context)
        turn = _Turn(action, state)
        self._turns.append(turn)
        return turn

    def _run(self) -> None:
        turns, self._turns = self._turns, []
        for count, turn in enumerate(turns, 1):
            try:
                turn.run(self)
            except (KeyboardInterrupt, SystemExit):  # these leave the loop, which may run again for a clean-up
                self._turns = turns[count:] + self._turns
                if self._turns:
                    self.loop.call_soon(self._run, context=self._context)
                raise
            except BaseException as error:  # report it like the loop does, and run the other actions
                context = {"message": f"exception in {turn.action!r}", "exception": error}
                self.loop.call_exception_handler(context)


class _Turn(abc.DisposableBase, Generic[S]):
    """One action for the next turn of the loop. Disposing it cancels the action, or disposes what the action began."""

    __slots__ = ("action", "begun", "is_disposed", "state")

    def __init__(self, action: abc.ScheduledAction[S], state: S | None) -> None:
        self.action = action
        self.state = state
        self.begun: abc.DisposableBase | None = None
        self.is_disposed = False

    def run(self, scheduler: abc.SchedulerBase) -> None:
        if not self.is_disposed:
            self.begun = self.action(scheduler, self.state)
            if self.is_disposed and self.begun is not None:  # the action disposed its own turn
                self.begun.dispose()

    def dispose(self) -> None:
        self.is_disposed = True
        if self.begun is not None:
            self.begun.dispose()


def is_in_loop() -> bool:
    """Whether this thread runs an event loop already."""
    try:
        get_running_loop()
    except RuntimeError:
        return False
    return True
