"""The clock of the machine, and the scheduler of a loop."""

from __future__ import annotations

import time
from asyncio import AbstractEventLoop
from contextvars import copy_context
from typing import Any, Generic, TypeVar

from reactivex import abc
from reactivex.scheduler.eventloop import AsyncIOScheduler

S = TypeVar("S")


class SystemClock:
    """Formats the second once and the microseconds per event: a third of the price of ``datetime.isoformat``."""

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
    """The library's, where ``schedule`` costs one object: whatever is scheduled in a turn runs in one go in the next.

    A run closes a window a turn, and a thousand runs may be open.
    """

    def __init__(self, loop: AbstractEventLoop) -> None:
        super().__init__(loop)
        self.loop = loop
        self._context = copy_context()
        """Turns run in the context of whoever made this, not of whichever body was the first to schedule."""
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
            except (KeyboardInterrupt, SystemExit):  # out of the loop, which may be run again for a clean-up
                self._turns = turns[count:] + self._turns
                if self._turns:
                    self.loop.call_soon(self._run, context=self._context)
                raise
            except BaseException as error:  # as the loop does with what it calls: the others are run all the same
                context = {"message": f"exception in {turn.action!r}", "exception": error}
                self.loop.call_exception_handler(context)


class _Turn(abc.DisposableBase, Generic[S]):
    """Something that runs in the next turn of the loop, and what it has begun."""

    __slots__ = ("action", "begun", "is_disposed", "state")

    def __init__(self, action: abc.ScheduledAction[S], state: S | None) -> None:
        self.action = action
        self.state = state
        self.begun: abc.DisposableBase | None = None
        self.is_disposed = False

    def run(self, scheduler: abc.SchedulerBase) -> None:
        if not self.is_disposed:
            self.begun = self.action(scheduler, self.state)
            if self.is_disposed and self.begun is not None:  # by what it did
                self.begun.dispose()

    def dispose(self) -> None:
        self.is_disposed = True
        if self.begun is not None:
            self.begun.dispose()
