from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from reactivex import Observable
from reactivex.abc import SchedulerBase
from reactivex.disposable import SerialDisposable

from reactor.definition.names import names_options
from reactor.operators.attached import Sink, Stage, operator_of
from reactor.operators.timed import TIMER_RESOLUTION, operator_clock

T = TypeVar("T")
U = TypeVar("U")


@names_options("heartbeat")
def heartbeat(
    period: float, beat: U, *, scheduler: SchedulerBase, clock: Callable[[], float] | None = None
) -> Callable[[Observable[T]], Observable[T | U]]:
    """Passes every item, and emits ``beat`` after each ``period`` seconds without one, until the source ends.

        source  --a--b------------c---|
                    heartbeat(5)
        result  --a--b----♥----♥--c---|

    An item sets no timer, only the time of the last item; when the one timer fires, it waits for what is left of the
    period. Put this operator last, after any that drops or holds items, so that it sees what the client sees.

    ``clock`` returns seconds. The default is the scheduler's ``now``, which on an event loop is the *wall* clock: pass
    ``loop.time`` in a service. Raises TypeError without a scheduler, ValueError for a period that is not above 0.

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
    now = operator_clock("heartbeat", period, scheduler, clock)

    def make(sink: Sink[T | U]) -> _Beating[T, U]:
        return _Beating(period, beat, sink, scheduler, now)

    return operator_of(make)


class _Beating(Stage[T, T | U]):
    __slots__ = ("beat", "last_item", "now", "period", "scheduler", "timer")

    def __init__(
        self, period: float, beat: U, sink: Sink[T | U], scheduler: SchedulerBase, now: Callable[[], float]
    ) -> None:
        super().__init__(sink)
        self.period = period
        self.beat = beat
        self.scheduler = scheduler
        self.now = now
        self.last_item = now()
        self.timer = SerialDisposable()

    def attach_to(self, source: Observable[T], scheduler: SchedulerBase | None) -> None:
        self._wait(self.period)
        super().attach_to(source, scheduler)

    def _wait(self, seconds: float) -> None:
        self.timer.disposable = self.scheduler.schedule_relative(seconds, self._on_timer)

    def _on_timer(self, *_: object) -> None:
        rest = self.last_item + self.period - self.now()
        if TIMER_RESOLUTION < rest <= self.period:  # more than a period is left only if the clock was set back
            self._wait(rest)
            return
        self._wait(self.period)
        self.sink.on_next(self.beat)

    def on_next(self, item: T, /) -> None:
        self.last_item = self.now()
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
