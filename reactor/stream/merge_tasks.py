from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Generic, TypeVar

from reactivex import Observable
from reactivex.abc import DisposableBase, SchedulerBase

from reactor.operators.attached import Attachable, Callbacks, Disposing, Sink

T = TypeVar("T")


def merge_tasks(sources: Sequence[Observable[T]]) -> Attachable[T]:
    """Merges sources: completes when the last of them has completed, fails with the first that fails.

        a       --1-----2--|
        b       -----3---------4--|
                    merge_tasks([a, b])
        result  --1--3--2------4--|

    A run merges its tasks with it, up to 50,000 of them. ``reactivex.merge`` searches a list at each completion, which
    is quadratic; here a completion is a count, or one deletion from a dict, and the subscription is released. The
    sources are subscribed in order. An error first disposes all the others, then passes. Without any source the result
    completes at once. A failed task is a *value*: ``on_error`` means a bug in the engine. Sources that are
    ``Attachable`` share one sink.

        >>> from reactivex import of
        >>> merge_tasks([of("a", "b"), of("c")]).subscribe(print, on_completed=lambda: print("done")).dispose()
        a
        b
        c
        done
    """
    sources = tuple(sources)

    def join(sink: Sink[T], scheduler: SchedulerBase | None) -> Disposing:
        merging = _Merging(sink)
        merging.join(sources, scheduler)
        return merging

    return Attachable(join)


class _Merging(Generic[T]):
    """One subscription to the merged sources."""

    __slots__ = ("_attached", "_left", "_sink", "_subscribed")

    def __init__(self, sink: Sink[T]) -> None:
        self._sink = sink
        self._left = 0
        """How many sources have not ended; -1 once it is disposed."""
        self._attached: list[Disposing] = []
        self._subscribed: dict[int, DisposableBase | None] = {}
        """By the index of a source that has not ended: its subscription; None while it is being subscribed."""

    def join(self, sources: Sequence[Observable[T]], scheduler: SchedulerBase | None) -> None:
        self._left = len(sources)
        if not sources:
            self._sink.on_completed()
        shared: Callbacks[T] = Callbacks(self._sink.on_next, self._failed, self._one_ended)
        for index, source in enumerate(sources):
            if self._left < 0:
                break  # an earlier source failed at once
            if isinstance(source, Attachable):
                attached = source.attach(shared, scheduler)
                if self._left < 0:  # attaching this one made an earlier one fail
                    attached.dispose()
                else:
                    self._attached.append(attached)
            else:
                self._subscribe(index, source, scheduler)

    def _subscribe(self, index: int, source: Observable[T], scheduler: SchedulerBase | None) -> None:
        self._subscribed[index] = None
        ended = partial(self._ended, index)
        subscription = source.subscribe(self._sink.on_next, self._failed, ended, scheduler=scheduler)
        if index in self._subscribed:
            self._subscribed[index] = subscription
        else:
            subscription.dispose()

    def _ended(self, index: int) -> None:
        if self._subscribed.pop(index, self) is not self:
            self._one_ended()

    def _one_ended(self) -> None:
        self._left -= 1
        if not self._left:
            self._sink.on_completed()

    def _failed(self, error: Exception) -> None:
        if self._left > 0:
            self.dispose()
            self._sink.on_error(error)

    def dispose(self) -> None:
        self._left = -1
        disposing: list[Disposing | None] = [*self._attached, *self._subscribed.values()]
        self._attached.clear()
        self._subscribed.clear()
        for disposed in disposing:
            if disposed is not None:
                disposed.dispose()
