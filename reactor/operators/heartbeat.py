from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from reactivex import Observable
from reactivex.abc import DisposableBase, ObserverBase, SchedulerBase
from reactivex.disposable import CompositeDisposable, SerialDisposable

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

    def operator(source: Observable[T]) -> Observable[T | U]:
        def subscribe(
            observer: ObserverBase[T | U], subscribe_scheduler: SchedulerBase | None = None
        ) -> DisposableBase:
            timer = SerialDisposable()
            heard = now()

            def ring(*_: object) -> None:
                rest = heard + period - now()
                if RESOLUTION < rest <= period:  # more than a period: the clock was set back, so nothing is known
                    timer.disposable = scheduler.schedule_relative(rest, ring)
                    return
                timer.disposable = scheduler.schedule_relative(period, ring)
                observer.on_next(beat)

            def on_next(item: T) -> None:
                nonlocal heard
                heard = now()
                observer.on_next(item)

            timer.disposable = scheduler.schedule_relative(period, ring)
            return CompositeDisposable(
                timer,
                source.subscribe(on_next, observer.on_error, observer.on_completed, scheduler=subscribe_scheduler),
            )

        return Observable(subscribe)

    return operator
