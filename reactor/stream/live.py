"""The hot observables: events from now on, as they are committed, without what came before."""

from __future__ import annotations

from collections.abc import Callable

from reactivex import Observable, abc
from reactivex.disposable import CompositeDisposable, Disposable
from reactivex.subject import Subject

from reactor.events.event import Event, Window
from reactor.operators.guarded import guarded
from reactor.stream.feed import Feed
from reactor.stream.follow import closing_error, log_error_of
from reactor.stream.views import views


class Live(Observable[Event]):
    """``run.live``: the events of one run from now on. Ends like ``run.events``: with the run, or with LogLost."""

    def __init__(self, feed: Feed) -> None:
        super().__init__()
        self._feed = feed
        self._windows: Observable[Window] = Observable(self._subscribe_windows)
        self._events = self._windows.pipe(views(), guarded(log_error_of(feed.run_id), run_id=feed.run_id))

    def _subscribe_core(
        self, observer: abc.ObserverBase[Event], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        return self._events.subscribe(observer, scheduler=scheduler)

    def _subscribe_windows(
        self, observer: abc.ObserverBase[Window], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        def finish() -> None:
            error = closing_error(self._feed)
            if error is None:
                observer.on_completed()
            else:
                observer.on_error(error)

        return self._feed.windows.subscribe(observer.on_next, observer.on_error, finish, scheduler=scheduler)


def live_of_all(
    windows: Subject[Window], others: Callable[[Callable[[Window | None], None]], Callable[[], None]]
) -> Observable[Event]:
    """``engine.live``: the events of all runs from now on. Completes when the engine closes.

    ``others(heard)`` tells of what other processes commit, and returns what ends that.
    """

    def subscribe(observer: abc.ObserverBase[Window], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        def heard(window: Window | None) -> None:
            if window is not None:
                observer.on_next(window)

        own = windows.subscribe(observer, scheduler=scheduler)
        return CompositeDisposable(own, Disposable(others(heard)))

    return Observable(subscribe).pipe(views(), guarded(log_error_of("*"), run_id="*"))
