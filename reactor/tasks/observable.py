"""A body that returns an Observable: it is subscribed, and its last value is the output of the task."""

from __future__ import annotations

import threading
from asyncio import AbstractEventLoop, CancelledError
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

from reactivex import Observable
from reactivex.abc import DisposableBase, ScheduledAction, SchedulerBase
from reactivex.scheduler.periodicscheduler import PeriodicScheduler
from reactivex.typing import AbsoluteTime, RelativeTime

from reactor.interrupts import is_from_signal
from reactor.logger import get_logger
from reactor.ports.executor import Done

logger = get_logger()

S = TypeVar("S")


class ObservableJob:
    """Implements ``Job`` for a subscription. Loop thread only, but the Observable may emit on any thread.

    ``done(output, error)`` is called once, on the loop: with the last value (None for an empty Observable) or with what
    ``on_error`` brings. Operators that wait for time use the loop, unless they were given a scheduler of their own.
    """

    saw_cancel = False

    def __init__(
        self, loop: AbstractEventLoop, scheduler: SchedulerBase, done: Done, *, run_id: str, task_id: str
    ) -> None:
        self._loop = loop
        self._scheduler = _Guarding(scheduler, self._on_broken)
        self._done = done
        self._run_id = run_id
        self._task_id = task_id
        self._loop_thread = threading.get_ident()
        self._last: Any = None
        self._has_ended = False
        self._subscription: DisposableBase | None = None

    def start(self, source: Observable[Any]) -> None:
        """Subscribes. ``done`` may be called before this returns. An error while subscribing is the task's failure."""
        try:
            subscription = source.subscribe(
                self._on_next, self._on_error, self._on_completed, scheduler=self._scheduler
            )
        except BaseException as error:  # of the user's subscribe, also a CancelledError: only this task fails
            self._end(None, _failure(error))
            if is_from_signal(error):
                raise
            return
        if self._has_ended:
            subscription.dispose()
        else:
            self._subscription = subscription

    def cancel(self) -> None:
        """Disposes the subscription. The task ends as cancelled."""
        self._end(None, CancelledError())

    def abandon(self) -> bool:
        """Disposes the subscription, and never calls ``done``. Nothing of it is left."""
        self._has_ended = True
        self._dispose()
        return True

    # --- what the Observable calls, on any thread ---

    def _on_next(self, value: Any) -> None:
        self._last = value

    def _on_error(self, error: Exception) -> None:
        self._call_on_loop(lambda: self._end(None, _failure(error)))

    def _on_broken(self, error: BaseException) -> None:
        """An operator has raised, on a timer, what no operator passes on as ``on_error``: a CancelledError, say."""
        self._end(None, _failure(error))

    def _on_completed(self) -> None:
        self._call_on_loop(lambda: self._end(self._last, None))

    def _call_on_loop(self, end: Callable[[], None]) -> None:
        if threading.get_ident() == self._loop_thread:
            end()
        else:
            self._loop.call_soon_threadsafe(end)

    # --- the end ---

    def _end(self, output: Any, error: BaseException | None) -> None:
        if not self._has_ended:
            self._has_ended = True
            self._dispose()
            self._done(output, error)

    def _dispose(self) -> None:
        subscription, self._subscription = self._subscription, None
        if subscription is None:
            return
        try:
            subscription.dispose()
        except Exception as error:  # of the user's clean-up: the task has its end all the same
            logger.error(
                "the clean-up of an Observable failed", run_id=self._run_id, task_id=self._task_id, exc_info=error
            )


class _Guarding(PeriodicScheduler):
    """The scheduler of one subscription: what its actions raise ends the subscription, and not the loop."""

    def __init__(self, scheduler: SchedulerBase, broken: Callable[[BaseException], None]) -> None:
        super().__init__()
        self._scheduler = scheduler
        self._broken = broken

    @property
    def now(self) -> datetime:
        return self._scheduler.now

    def schedule(self, action: ScheduledAction[S], state: S | None = None) -> DisposableBase:
        return self._scheduler.schedule(self._guarded(action), state)

    def schedule_relative(
        self, duetime: RelativeTime, action: ScheduledAction[S], state: S | None = None
    ) -> DisposableBase:
        return self._scheduler.schedule_relative(duetime, self._guarded(action), state)

    def schedule_absolute(
        self, duetime: AbsoluteTime, action: ScheduledAction[S], state: S | None = None
    ) -> DisposableBase:
        return self._scheduler.schedule_absolute(duetime, self._guarded(action), state)

    def _guarded(self, action: ScheduledAction[S]) -> ScheduledAction[S]:
        def run(_: SchedulerBase, state: S | None = None) -> DisposableBase | None:
            try:
                return action(self, state)
            except BaseException as error:
                self._broken(error)
                if is_from_signal(error):
                    raise
                return None

        return run


def _failure(error: object) -> BaseException:
    """What the task fails with. A CancelledError that nobody asked for, and what is no error, are failures too."""
    if isinstance(error, BaseException) and not isinstance(error, CancelledError):
        return error
    return RuntimeError(f"the Observable of the body ended with {error!r}")
