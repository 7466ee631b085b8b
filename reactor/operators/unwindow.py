from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from reactivex import Observable
from reactivex.abc import DisposableBase, ObserverBase, SchedulerBase
from reactivex.disposable import SingleAssignmentDisposable

T = TypeVar("T")


def unwindow() -> Callable[[Observable[Sequence[T]]], Observable[T]]:
    """The items of each window, one by one, in order.

        source  --[a b]------[]--[c]--|
                    unwindow()
        result  --(ab)-----------c----|

    A subscriber that disposes in the middle of a window gets nothing more of it. It is not ``flat_map``: that costs a
    subscription a window, a hundred times the price of what it delivers.

        >>> from reactivex import from_iterable
        >>> from_iterable([["a", "b"], [], ["c"]]).pipe(unwindow()).subscribe(print).dispose()
        a
        b
        c
    """

    def operator(source: Observable[Sequence[T]]) -> Observable[T]:
        def subscribe(observer: ObserverBase[T], scheduler: SchedulerBase | None = None) -> DisposableBase:
            subscription = SingleAssignmentDisposable()

            def on_next(window: Sequence[T]) -> None:
                for item in window:
                    if subscription.is_disposed:
                        return
                    observer.on_next(item)

            subscription.disposable = source.subscribe(
                on_next, observer.on_error, observer.on_completed, scheduler=scheduler
            )
            return subscription

        return Observable(subscribe)

    return operator
