from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from reactivex import Observable
from reactivex.abc import SchedulerBase

from reactor.operators.attached import Attachable, Disposing, Sink, attach

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

    def operator(source: Observable[Sequence[T]]) -> Attachable[T]:
        def unwindow_into(sink: Sink[T], scheduler: SchedulerBase | None) -> Disposing:
            unwindowing = _Unwindowing(sink)
            unwindowing.source = attach(source, unwindowing, scheduler)
            return unwindowing

        return Attachable(unwindow_into)

    return operator


class _Unwindowing(Generic[T]):
    __slots__ = ("is_disposed", "on_completed", "on_error", "sink", "source")

    def __init__(self, sink: Sink[T]) -> None:
        self.sink = sink
        self.source: Disposing | None = None
        self.is_disposed = False
        self.on_error = sink.on_error
        self.on_completed = sink.on_completed

    def on_next(self, window: Sequence[T]) -> None:
        say = self.sink.on_next
        for item in window:
            if self.is_disposed:
                return
            say(item)

    def dispose(self) -> None:
        self.is_disposed = True
        if self.source is not None:
            self.source.dispose()
