from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from reactivex import Observable

from reactor.operators.attached import Stage, operator_of

T = TypeVar("T")


def unwindow() -> Callable[[Observable[Sequence[T]]], Observable[T]]:
    """Emits the items of each window one by one, in order.

        source  --[a b]------[]--[c]--|
                    unwindow()
        result  --(ab)-----------c----|

    A subscriber that disposes in the middle of a window gets nothing more of it. ``flat_map`` of reactivex does the
    same with a subscription for each window, which costs a hundred times as much.

        >>> from reactivex import from_iterable
        >>> from_iterable([["a", "b"], [], ["c"]]).pipe(unwindow()).subscribe(print).dispose()
        a
        b
        c
    """

    return operator_of(_Unwindowing)


class _Unwindowing(Stage[Sequence[T], T]):
    __slots__ = ()

    def on_next(self, window: Sequence[T], /) -> None:
        emit = self.sink.on_next
        for item in window:
            if self.is_disposed:
                return
            emit(item)
