from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from enum import Enum
from functools import partial
from math import inf
from typing import Generic, TypeVar

from reactivex import Observable
from reactivex.abc import SchedulerBase
from reactivex.disposable import Disposable, SerialDisposable

from reactor.definition.names import names_options
from reactor.events.event import Message, Notice
from reactor.events.vocabulary import PROGRESS_LIKE, TERMINAL
from reactor.operators.attached import Sink, Stage, operator_of
from reactor.operators.timed import TIMER_RESOLUTION, operator_clock

T = TypeVar("T")


class Flush(Enum):
    """What ``flushes`` may return instead of a key."""

    ALL = "all"


def event_key(message: Message) -> tuple[str, str] | None:
    """The ``key`` for events: run and task of a progress event, None (never held back) for any other message."""
    if message.type in PROGRESS_LIKE and message.task_id is not None:
        return message.run_id, message.task_id
    return None


def event_flushes(message: Message) -> tuple[str, str] | Flush | None:
    """The ``flushes`` for events: an event of a task flushes the progress of that task.

    A message about the whole run (its end, ``run.state``, ``stream.gap``) flushes all.
    """
    if message.task_id is not None:
        return message.run_id, message.task_id
    return Flush.ALL if message.type in TERMINAL or isinstance(message, Notice) else None


@names_options("throttle_latest")
def throttle_latest(
    period: float,
    *,
    key: Callable[[T], Hashable | None],
    scheduler: SchedulerBase,
    flushes: Callable[[T], Hashable | None] | None = None,
    late: Callable[[T], T] | None = None,
    clock: Callable[[], float] | None = None,
) -> Callable[[Observable[T]], Observable[T]]:
    """Passes at most one item a key in ``period`` seconds: the first at once, then the latest. The last is never lost.

        source  -1-2-3-------4-5-T----6-|      1 to 6: progress of one task; T: its transition
                    throttle_latest(6)
        result  -1-----3-----4---(5T)-6-|

    - ``key``: of an item; None if it may not be held back.
    - ``flushes``: for an item without a key, the key whose held item must leave before it, and which then starts
      afresh; ``Flush.ALL`` for all keys. Completion and error flush all.
    - ``late``: changes a held item as it leaves (a late SSE frame loses its ``id:``).
    - ``clock``: returns seconds. The default is the scheduler's ``now``, which on an event loop is the *wall* clock and
      may jump: pass ``loop.time`` in a service.

    Items leave in the order of arrival, but other keys may overtake a held item. An exception in one of the functions
    becomes the ``on_error`` of the result. There is one timer, while something is held, and a memory of the keys of the
    last period. Raises TypeError without a scheduler, ValueError for a period that is not above 0.

        >>> from reactivex.scheduler import VirtualTimeScheduler
        >>> from reactivex.subject import Subject
        >>> time, source = VirtualTimeScheduler(), Subject[str]()
        >>> _ = source.pipe(throttle_latest(5.0, key=lambda item: item[0], scheduler=time)).subscribe(print)
        >>> for item in ("a1", "a2", "a3"): source.on_next(item)
        a1
        >>> time.advance_by(5.0)
        a3
    """
    now = operator_clock("throttle_latest", period, scheduler, clock)
    return operator_of(
        lambda sink: _Throttling(period, sink, key=key, flushes=flushes, late=late, scheduler=scheduler, now=now)
    )


class _Throttling(Stage[T, T]):
    """The held items of one subscription, and the one timer that releases them."""

    __slots__ = ("fires_at", "flushes", "held", "key", "late", "now", "scheduler", "timer")

    def __init__(
        self,
        period: float,
        sink: Sink[T],
        *,
        key: Callable[[T], Hashable | None],
        flushes: Callable[[T], Hashable | None] | None,
        late: Callable[[T], T] | None,
        scheduler: SchedulerBase,
        now: Callable[[], float],
    ) -> None:
        super().__init__(sink)
        self.held = _Held[T](period)
        self.key = key
        self.flushes = flushes
        self.late = late
        self.scheduler = scheduler
        self.now = now
        self.timer = SerialDisposable()
        self.fires_at = inf
        """When the timer will fire; infinite if it is not set."""

    def on_next(self, item: T, /) -> None:
        if self.is_disposed:
            return
        try:
            name = self.key(item)
            flushed = None if name is not None or self.flushes is None else self.flushes(item)
        except Exception as error:
            self._fail(error)
            return
        if name is not None and self.held.keeps(name, item, self.now()):
            self._arm(self.held.due[name])
            return
        if flushed is not None:
            self._emit_held(partial(self.held.pop, flushed))
        self._disarm_when_empty()
        if not self.is_disposed:  # a subscriber may dispose when it gets the held item
            self.sink.on_next(item)

    def on_error(self, error: Exception, /) -> None:
        self._emit_held(partial(self.held.pop, Flush.ALL))
        if not self.is_disposed:
            self._end()
            self.sink.on_error(error)

    def on_completed(self) -> None:
        self._emit_held(partial(self.held.pop, Flush.ALL))
        if not self.is_disposed:
            self._end()
            self.sink.on_completed()

    def _fail(self, error: Exception) -> None:
        """Ends with an exception that a user's function raised."""
        self.dispose()
        self.sink.on_error(error)

    def dispose(self) -> None:
        self._end()
        super().dispose()

    def _end(self) -> None:
        self.is_disposed = True
        self.timer.dispose()

    def _arm(self, due: float) -> None:
        if due < self.fires_at:
            self.fires_at = due
            self.timer.disposable = self.scheduler.schedule_relative(max(0.0, due - self.now()), self._on_timer)

    def _disarm_when_empty(self) -> None:
        if self.fires_at < inf and not self.held.waiting:
            self.fires_at = inf
            self.timer.disposable = Disposable()

    def _on_timer(self, *_: object) -> None:
        self.fires_at = inf
        try:
            self._emit_held(partial(self.held.pop_ripe, self.now()))
        finally:
            self._arm(self.held.next_due())

    def _emit_held(self, pop: Callable[[], list[T]]) -> None:
        # one by one, because a subscriber may cause new items that must find the rest still held
        while not self.is_disposed and (items := pop()):
            item = items[0]
            try:
                item = self.late(item) if self.late else item
            except Exception as error:
                self._fail(error)
                return
            self.sink.on_next(item)


class _Held(Generic[T]):
    """The held items, and for each key until when it holds items back. Only values, no timer."""

    __slots__ = ("_period", "due", "waiting")

    def __init__(self, period: float) -> None:
        self._period = period
        self.due: OrderedDict[Hashable, float] = OrderedDict()
        """Key -> when its period ends, soonest first because all periods are equal. Has every key with a held item."""
        self.waiting: OrderedDict[Hashable, T] = OrderedDict()
        """Key -> the held item, in the order of arrival."""

    def keeps(self, key: Hashable, item: T, now: float) -> bool:
        """True if ``item`` has to wait. In either case the item that its key held before is dropped."""
        self.waiting.pop(key, None)
        if key in self.due and self._is_cooling(self.due[key], now):
            self.waiting[key] = item
            return True
        self._forget(now)
        self._start_period(key, now)
        return False

    def pop(self, key: Hashable) -> list[T]:
        """Takes the item held under ``key``, or the oldest of all for ``Flush.ALL``; its key starts afresh."""
        if key is Flush.ALL:
            if not self.waiting:
                self.due.clear()
                return []
            key = next(iter(self.waiting))
        self.due.pop(key, None)
        return [self.waiting.pop(key)] if key in self.waiting else []

    def pop_ripe(self, now: float) -> list[T]:
        """Takes one item whose period is over, if there is any."""
        self._forget(now)
        if not self.waiting:
            return []
        key, due = next(iter(self.due.items()))
        if self._is_cooling(due, now):
            return []
        self._start_period(key, now)
        return [self.waiting.pop(key)]

    def next_due(self) -> float:
        """When the next held item may leave; infinite if none is held."""
        return next((due for key, due in self.due.items() if key in self.waiting), inf)

    def _is_cooling(self, due: float, now: float) -> bool:
        # more than a period is left only if the clock was set back, and that must not hold items for hours
        return now + TIMER_RESOLUTION < due <= now + self._period

    def _start_period(self, key: Hashable, now: float) -> None:
        self.due[key] = now + self._period
        self.due.move_to_end(key)

    def _forget(self, now: float) -> None:
        while self.due:
            key, due = next(iter(self.due.items()))
            if key in self.waiting or self._is_cooling(due, now):
                return
            del self.due[key]
