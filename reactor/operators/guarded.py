from __future__ import annotations

import gc
import time
from collections.abc import Callable
from functools import partial
from typing import Generic, TypeVar

from reactivex import Observable
from reactivex.abc import DisposableBase, ObserverBase, SchedulerBase
from reactivex.disposable import SingleAssignmentDisposable

from reactor.bounds import SLOW_CALLBACK_SECONDS
from reactor.definition.names import names_options
from reactor.errors import SlowSubscriber
from reactor.interrupts import is_from_signal

T = TypeVar("T")


class Collector:
    """Sums the seconds the garbage collector takes, since a pause must not be blamed on the code it interrupts."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._began = 0.0
        gc.callbacks.append(self._on_collection)

    def _on_collection(self, phase: str, _: object) -> None:
        if phase == "start":
            self._began = time.perf_counter()
        else:
            self.seconds += time.perf_counter() - self._began


collector = Collector()


@names_options("guarded")
def guarded(
    report: Callable[[Exception], None],
    *,
    clock: Callable[[], float] = time.perf_counter,
    limit: float = SLOW_CALLBACK_SECONDS,
    run_id: str = "",
) -> Callable[[Observable[T]], Observable[T]]:
    """Detaches a subscriber that raises, or that holds the event loop above ``limit`` seconds twice.

        source  --a--b--c--d--|
                    guarded(report)            the subscriber raises on b
        result  --a--b                         report gets what it raised

    Without it, an exception in one subscriber reaches the code that emits, and other subscribers miss the event; if the
    source emits while being subscribed, Rx even ends the source. Put it first, to catch what any later operator raises.

    A slow callback is reported as ``SlowSubscriber``. The second time, the subscriber is detached and gets that error
    as its ``on_error``; one that raises gets nothing. ``report`` must not raise.

        >>> from reactivex.subject import Subject
        >>> source = Subject[int]()
        >>> _ = source.pipe(guarded(lambda error: print("detached:", error))).subscribe(lambda n: print(1 // n))
        >>> _ = source.subscribe(lambda n: print("unharmed by", n))
        >>> for n in (1, 0, 1): source.on_next(n)
        1
        unharmed by 1
        detached: integer division or modulo by zero
        unharmed by 0
        unharmed by 1
    """

    def operator(source: Observable[T]) -> Observable[T]:
        def subscribe(observer: ObserverBase[T], scheduler: SchedulerBase | None = None) -> DisposableBase:
            return _Guarding(observer, report, clock, limit, run_id).subscribe_to(source, scheduler)

        return Observable(subscribe)

    return operator


class _Guarding(Generic[T]):
    """One subscriber, and whether it has been slow once (``warned``)."""

    __slots__ = ("clock", "limit", "observer", "report", "run_id", "subscription", "warned")

    def __init__(
        self,
        observer: ObserverBase[T],
        report: Callable[[Exception], None],
        clock: Callable[[], float],
        limit: float,
        run_id: str,
    ) -> None:
        self.observer = observer
        self.report = report
        self.clock = clock
        self.limit = limit
        self.run_id = run_id
        # it may be disposed before it is assigned, by a source that emits while it is being subscribed
        self.subscription = SingleAssignmentDisposable()
        self.warned = False

    def subscribe_to(self, source: Observable[T], scheduler: SchedulerBase | None) -> DisposableBase:
        observer = self.observer
        self.subscription.disposable = source.subscribe(
            partial(self._deliver, observer.on_next),
            partial(self._deliver, observer.on_error),
            partial(self._deliver, observer.on_completed),
            scheduler=scheduler,
        )
        return self.subscription

    def _deliver(self, callback: Callable[..., None], *values: object) -> None:
        if self.subscription.is_disposed:
            return
        began, collected = self.clock(), collector.seconds
        try:
            callback(*values)
        except BaseException as error:  # also CancelledError, which would cancel the code that emits
            if is_from_signal(error):
                raise
            self.subscription.dispose()
            self.report(error if isinstance(error, Exception) else RuntimeError(repr(error)))
            return
        took = self.clock() - began - (collector.seconds - collected)
        if took > self.limit:
            self._on_slow(took)

    def _on_slow(self, took: float) -> None:
        detach, self.warned = self.warned, True
        error = _slow_subscriber(took, self.limit, self.run_id, detach)
        if not detach:
            self.report(error)
            return
        self.subscription.dispose()
        self.report(error)
        try:
            self.observer.on_error(error)
        except Exception as raised:
            if raised is not error:  # a subscriber without on_error raises the error it was given
                self.report(raised)


def _slow_subscriber(took: float, limit: float, run_id: str, detached: bool) -> SlowSubscriber:
    consequence = "it is detached" if detached else "the next time it is detached; off_loop() gives it a thread"
    subject = f"A subscriber of run {run_id}" if run_id else "A subscriber"
    return SlowSubscriber(
        f"{subject} held the event loop for {took:.3f} s, above {limit:.3f} s: {consequence}", run_id=run_id
    )
