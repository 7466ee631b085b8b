from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from enum import Enum
from functools import partial
from math import inf
from typing import Final, Generic, TypeVar

from reactivex import Observable
from reactivex.abc import SchedulerBase
from reactivex.disposable import Disposable, SerialDisposable

from reactor.events.event import Control, Message
from reactor.events.vocabulary import PROGRESS_LIKE, TERMINAL
from reactor.operators.attached import Sink, Stage, operator_of

T = TypeVar("T")

RESOLUTION: Final = 1e-6
"""Schedulers round to the microsecond of a datetime: a timer may ring that much early."""


class Flush(Enum):
    """What ``flushes`` may say instead of a key."""

    ALL = "all"


def event_key(message: Message) -> tuple[str, str] | None:
    """The throttle key of an event of which only the latest per task matters; None for all others."""
    if message.type in PROGRESS_LIKE and message.task_id is not None:
        return message.run_id, message.task_id
    return None


def event_flushes(message: Message) -> tuple[str, str] | Flush | None:
    """Whose held progress must leave before ``message``: its task's, or everybody's when the stream speaks of the
    whole run (its end, ``run.state``, ``stream.gap``)."""
    if message.task_id is not None:
        return message.run_id, message.task_id
    return Flush.ALL if message.type in TERMINAL or isinstance(message, Control) else None


def throttle_latest(
    period: float,
    *,
    key: Callable[[T], Hashable | None],
    scheduler: SchedulerBase,
    flushes: Callable[[T], Hashable | None] | None = None,
    late: Callable[[T], T] | None = None,
    clock: Callable[[], float] | None = None,
) -> Callable[[Observable[T]], Observable[T]]:
    """Of each key at most one item per ``period`` passes, the first at once and then the latest; nothing final is lost.

        source  -1-2-3-------4-5-T----6-|      1 to 6: progress of one task; T: its transition
                    throttle_latest(6)
        result  -1-----3-----4---(5T)-6-|

    ``key`` names what may be held back; None means never. An item that is never held may name a key by ``flushes``
    (a transition of a task): what is held under that key leaves first, and the key starts afresh; ``Flush.ALL``
    does so for all keys, and so do completion and error. What was held passes through ``late`` as it leaves (a late
    SSE frame loses its ``id:``). Everything leaves in the order of arrival, except that a held item may be
    overtaken by other keys.

    What ``key``, ``flushes`` or ``late`` raise is the result's error, and the source is let go.
    One timer per subscription, only while something is held. Memory: the keys that passed within the last period.
    ``clock`` gives seconds; the default is the scheduler's ``now``, which on an event loop is the *wall* clock and
    may jump: a service passes ``loop.time``. Raises TypeError without a scheduler: the library's default is a
    thread a timer.

        >>> from reactivex.scheduler import VirtualTimeScheduler
        >>> from reactivex.subject import Subject
        >>> time, source = VirtualTimeScheduler(), Subject[str]()
        >>> throttled = source.pipe(throttle_latest(5.0, key=lambda item: item[0], scheduler=time))
        >>> _ = throttled.subscribe(print)
        >>> for item in ("a1", "a2", "a3"): source.on_next(item)
        a1
        >>> time.advance_by(5.0)
        a3
    """
    if scheduler is None:  # pyright: ignore[reportUnnecessaryComparison]  # not every caller is type-checked
        raise TypeError("throttle_latest needs a scheduler")
    if not period > 0:
        raise ValueError(f"the period of throttle_latest is {period}; it must be above 0 seconds")
    now = clock or (lambda: scheduler.now.timestamp())

    return operator_of(
        lambda sink: _Throttling(period, sink, key=key, flushes=flushes, late=late, scheduler=scheduler, now=now)
    )


class _Throttling(Stage[T, T]):
    """What is held, and the one timer that lets it go."""

    __slots__ = ("flushes", "held", "key", "late", "now", "rings", "scheduler", "timer")

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
        self.rings = inf
        """When the timer does."""

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
            self._leave(partial(self.held.pop, flushed))
        self._disarm_when_empty()
        if not self.is_disposed:  # by whoever was given what was held
            self.sink.on_next(item)

    def on_error(self, error: Exception, /) -> None:
        self._leave(partial(self.held.pop, Flush.ALL))
        if not self.is_disposed:
            self._end()
            self.sink.on_error(error)

    def on_completed(self) -> None:
        self._leave(partial(self.held.pop, Flush.ALL))
        if not self.is_disposed:
            self._end()
            self.sink.on_completed()

    def _fail(self, error: Exception) -> None:
        """Of a function it was given."""
        self.dispose()
        self.sink.on_error(error)

    def dispose(self) -> None:
        self._end()
        super().dispose()

    def _end(self) -> None:
        self.is_disposed = True
        self.timer.dispose()

    def _arm(self, due: float) -> None:
        if due < self.rings:
            self.rings = due
            self.timer.disposable = self.scheduler.schedule_relative(max(0.0, due - self.now()), self._ring)

    def _disarm_when_empty(self) -> None:
        if self.rings < inf and not self.held.waiting:
            self.rings = inf
            self.timer.disposable = Disposable()

    def _ring(self, *_: object) -> None:
        self.rings = inf
        try:
            self._leave(partial(self.held.pop_ripe, self.now()))
        finally:
            self._arm(self.held.next_due())

    def _leave(self, pop: Callable[[], list[T]]) -> None:
        # one by one: whatever a subscriber sets off meanwhile finds the rest still held
        while not self.is_disposed and (items := pop()):
            item = items[0]
            try:
                item = self.late(item) if self.late else item
            except Exception as error:
                self._fail(error)
                return
            self.sink.on_next(item)


class _Held(Generic[T]):
    """What waits, and until when each key cools: values only, no timer."""

    __slots__ = ("_period", "due", "waiting")

    def __init__(self, period: float) -> None:
        self._period = period
        self.due: OrderedDict[Hashable, float] = OrderedDict()
        """The soonest first, because all periods are equal; every key that waits is here."""
        self.waiting: OrderedDict[Hashable, T] = OrderedDict()
        """In the order of arrival."""

    def keeps(self, key: Hashable, item: T, now: float) -> bool:
        """True if ``item`` has to wait; either way it takes the place of the one that waited."""
        self.waiting.pop(key, None)
        if key in self.due and self._cools(self.due[key], now):
            self.waiting[key] = item
            return True
        self._forget(now)
        self._cool(key, now)
        return False

    def pop(self, key: Hashable) -> list[T]:
        """What waits under ``key`` (one item at most; of ``Flush.ALL`` the oldest), whose key starts afresh."""
        if key is Flush.ALL:
            if not self.waiting:
                self.due.clear()
                return []
            key = next(iter(self.waiting))
        self.due.pop(key, None)
        return [self.waiting.pop(key)] if key in self.waiting else []

    def pop_ripe(self, now: float) -> list[T]:
        """One item whose key has cooled, if there is any."""
        self._forget(now)
        if not self.waiting:
            return []
        key, due = next(iter(self.due.items()))
        if self._cools(due, now):
            return []
        self._cool(key, now)
        return [self.waiting.pop(key)]

    def next_due(self) -> float:
        """When the next item that waits may leave. The keys skipped here are forgotten by then."""
        return next((due for key, due in self.due.items() if key in self.waiting), inf)

    def _cools(self, due: float, now: float) -> bool:
        # a key cannot cool for longer than a period: a clock that was set back must not hold anything for hours
        return now + RESOLUTION < due <= now + self._period

    def _cool(self, key: Hashable, now: float) -> None:
        self.due[key] = now + self._period
        self.due.move_to_end(key)

    def _forget(self, now: float) -> None:
        while self.due:
            key, due = next(iter(self.due.items()))
            if key in self.waiting or self._cools(due, now):
                return
            del self.due[key]
