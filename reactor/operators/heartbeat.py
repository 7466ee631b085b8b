from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from reactivex import Observable
from reactivex.abc import SchedulerBase
from reactivex.disposable import SerialDisposable

from reactor.operators.attached import Sink, Stage, operator_of

T = TypeVar("T")
U = TypeVar("U")

RESOLUTION: Final = 1e-6
"""Schedulers round to the microsecond of a datetime: a timer may ring that much early."""


def heartbeat(
    period: float, beat: U, *, scheduler: SchedulerBase, clock: Callable[[], float] | None = None
) -> Callable[[Observable[T]], Observable[T | U]]:
    """Says ``beat`` after every ``period`` seconds in which the source said nothing, and ends when the source ends.

        source  --a--b------------c---|
                    heartbeat(5)
        result  --a--b----♥----♥--c---|

    Every item passes at once and starts the silence anew, but sets no timer: it only writes down the time. The one
    timer finds out when it rings, and then waits for the remainder. Completion and error pass at once.
    Put it last, after whatever drops or holds items, so that it hears what the client hears.

    ``clock`` gives seconds; the default is the scheduler's ``now``, which on an event loop is the *wall* clock: a
    service passes ``loop.time``. Raises TypeError without a scheduler: the library's default is a thread a timer.

        >>> from reactivex.scheduler import VirtualTimeScheduler
        >>> from reactivex.subject import Subject
        >>> time, source = VirtualTimeScheduler(), Subject[str]()
        >>> _ = source.pipe(heartbeat(15.0, "beat", scheduler=time)).subscribe(print)
        >>> time.advance_by(10.0)
        >>> source.on_next("item")
        item
        >>> time.advance_by(14.0)
        >>> time.advance_by(1.0)
        beat
    """
    if scheduler is None:  # pyright: ignore[reportUnnecessaryComparison]  # not every caller is type-checked
        raise TypeError("heartbeat needs a scheduler")
    if not period > 0:
        raise ValueError(f"the period of heartbeat is {period}; it must be above 0 seconds")
    now = clock or (lambda: scheduler.now.timestamp())

    def beating(sink: Sink[T | U]) -> _Beating[T, U]:
        return _Beating(period, beat, sink, scheduler, now)

    return operator_of(beating)


class _Beating(Stage[T, T | U]):
    __slots__ = ("beat", "heard", "now", "period", "scheduler", "timer")

    def __init__(
        self, period: float, beat: U, sink: Sink[T | U], scheduler: SchedulerBase, now: Callable[[], float]
    ) -> None:
        super().__init__(sink)
        self.period = period
        self.beat = beat
        self.scheduler = scheduler
        self.now = now
        self.heard = now()
        self.timer = SerialDisposable()

    def attach_to(self, source: Observable[T], scheduler: SchedulerBase | None) -> None:
        self._wait(self.period)
        super().attach_to(source, scheduler)

    def _wait(self, seconds: float) -> None:
        self.timer.disposable = self.scheduler.schedule_relative(seconds, self._ring)

    def _ring(self, *_: object) -> None:
        rest = self.heard + self.period - self.now()
        if RESOLUTION < rest <= self.period:  # more than a period: the clock was set back, so nothing is known
            self._wait(rest)
            return
        self._wait(self.period)
        self.sink.on_next(self.beat)

    def on_next(self, item: T, /) -> None:
        self.heard = self.now()
        self.sink.on_next(item)

    def on_error(self, error: Exception, /) -> None:
        self.timer.dispose()
        self.sink.on_error(error)

    def on_completed(self) -> None:
        self.timer.dispose()
        self.sink.on_completed()

    def dispose(self) -> None:
        self.timer.dispose()
        super().dispose()
