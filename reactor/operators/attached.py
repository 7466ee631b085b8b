from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

from reactivex import Observable
from reactivex.abc import DisposableBase, ObserverBase, SchedulerBase

T = TypeVar("T")
U = TypeVar("U")
T_contra = TypeVar("T_contra", contravariant=True)


def _nothing(*_: Any) -> None:
    """Where nobody listens."""


class Disposing(Protocol):
    """What ends a subscription; again: nothing happens."""

    def dispose(self) -> None: ...


class Sink(Protocol[T_contra]):
    """What an attachable source speaks to: an observer, without the guards that ``subscribe`` puts around one."""

    def on_next(self, value: T_contra, /) -> None: ...
    def on_error(self, error: Exception, /) -> None: ...
    def on_completed(self) -> None: ...


class Callbacks(Generic[T]):
    """A sink of functions."""

    def __init__(
        self,
        on_next: Callable[[T], None],
        on_error: Callable[[Exception], None],
        on_completed: Callable[[], None] = _nothing,
    ) -> None:
        self.on_next = on_next
        self.on_error = on_error
        self.on_completed = on_completed


class Attachable(Observable[T]):
    """An Observable that keeps the grammar of Rx by itself: nothing after its end or its disposal, all on one thread.

    Whoever knows that may ``attach`` a sink instead of subscribing. ``subscribe`` guards everybody against everything:
    a trampoline, an observer and a subscription around each callback, twelve microseconds once and half a microsecond
    an event. That is right for the code of users, and a fifth of all that a task costs between the engine's own
    operators. For anybody else this is an Observable like any other.

        >>> from reactivex import operators as ops
        >>> source = Inlet[int]()
        >>> _ = attach(source, Callbacks(lambda n: print("attached", n), print))
        >>> source.on_next(1)
        attached 1
    """

    lock = threading.RLock()
    """``Observable`` makes one an instance, for operators of the library that join; here all share it."""
    _subscribe = None

    def __init__(self, attach: Callable[[Sink[T], SchedulerBase | None], Disposing]) -> None:
        # not Observable.__init__: it sets what stands above
        self._attach = attach

    def attach(self, sink: Sink[T], scheduler: SchedulerBase | None = None) -> Disposing:
        """Begins to speak to ``sink``, until it has ended or is disposed."""
        return self._attach(sink, scheduler)

    def _subscribe_core(self, observer: ObserverBase[T], scheduler: SchedulerBase | None = None) -> DisposableBase:
        return _Disposable(self.attach(observer, scheduler))


class _Disposable(DisposableBase):
    """What the library wants of a subscription."""

    __slots__ = ("_attached",)

    def __init__(self, attached: Disposing) -> None:
        self._attached = attached

    def dispose(self) -> None:
        self._attached.dispose()


def attach(source: Observable[T], sink: Sink[T], scheduler: SchedulerBase | None = None) -> Disposing:
    """Attaches a sink where the source allows that; else subscribes it."""
    if isinstance(source, Attachable):
        return source.attach(sink, scheduler)
    return source.subscribe(sink.on_next, sink.on_error, sink.on_completed, scheduler=scheduler)


class Stage(ABC, Generic[T, U]):
    """What an operator does to one subscription: it hears one source and speaks to one sink.

    Ends pass as they are, unless a subclass has something to do first. Disposed, it lets go of its source, which then
    is silent; one that holds items, or hands out several for one, looks at ``is_disposed`` itself.
    """

    __slots__ = ("is_disposed", "sink", "source")

    def __init__(self, sink: Sink[U]) -> None:
        self.sink = sink
        self.source: Disposing | None = None
        self.is_disposed = False

    def attach_to(self, source: Observable[T], scheduler: SchedulerBase | None) -> None:
        """Begins to listen."""
        self.source = attach(source, self, scheduler)
        if self.is_disposed:  # while it was being attached
            self.source.dispose()

    @abstractmethod
    def on_next(self, value: T, /) -> None: ...

    def on_error(self, error: Exception, /) -> None:
        self.sink.on_error(error)

    def on_completed(self) -> None:
        self.sink.on_completed()

    def dispose(self) -> None:
        self.is_disposed = True
        if self.source is not None:
            self.source.dispose()


def operator_of(make: Callable[[Sink[U]], Stage[T, U]]) -> Callable[[Observable[T]], Attachable[U]]:
    """The operator whose subscriptions are these stages: ``source.pipe(operator_of(make))``."""

    def operator(source: Observable[T]) -> Attachable[U]:
        def attach_stage(sink: Sink[U], scheduler: SchedulerBase | None) -> Disposing:
            stage = make(sink)
            stage.attach_to(source, scheduler)
            return stage

        return Attachable(attach_stage)

    return operator


class Inlet(Attachable[T]):
    """Where values enter a pipeline: hot, with at most one sink. What comes while there is none goes nowhere."""

    def __init__(self) -> None:
        self._sink: Sink[T] | None = None

    def attach(self, sink: Sink[T], scheduler: SchedulerBase | None = None) -> Disposing:
        if self._sink is not None:
            raise RuntimeError("an inlet has one sink, and it has it already")
        self._sink = sink
        return _Entry(self, sink)

    def on_next(self, value: T) -> None:
        if self._sink is not None:
            self._sink.on_next(value)

    def on_completed(self) -> None:
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.on_completed()

    def leave(self, sink: Sink[T]) -> None:
        """Its sink is gone; whoever came after it stays."""
        if self._sink is sink:
            self._sink = None


class _Entry(Generic[T]):
    """The one sink of an inlet, as long as it is that."""

    __slots__ = ("_inlet", "_sink")

    def __init__(self, inlet: Inlet[T], sink: Sink[T]) -> None:
        self._inlet = inlet
        self._sink = sink

    def dispose(self) -> None:
        self._inlet.leave(self._sink)
