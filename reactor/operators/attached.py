"""What our operators have in common: sources that can be attached to without the cost of ``subscribe``."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

from reactivex import Observable
from reactivex.abc import DisposableBase, ObserverBase, SchedulerBase
from reactivex.subject import Subject

T = TypeVar("T")
U = TypeVar("U")
T_contra = TypeVar("T_contra", contravariant=True)


def _nothing(*_: Any) -> None:
    """A callback that does nothing."""


class Disposing(Protocol):
    """Ends a subscription. Disposing twice does nothing more."""

    def dispose(self) -> None: ...


class Sink(Protocol[T_contra]):
    """What an attachable source calls: an observer without the guards that ``subscribe`` puts around one."""

    def on_next(self, value: T_contra, /) -> None: ...
    def on_error(self, error: Exception, /) -> None: ...
    def on_completed(self) -> None: ...


class Callbacks(Generic[T]):
    """A sink made of three functions."""

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
    """An Observable that keeps the Rx contract by itself: no call after its end or disposal, and all on one thread.

    Code that relies on this can ``attach`` a sink instead of subscribing. ``subscribe`` puts a trampoline, an observer
    and a subscription around the callbacks: 12 microseconds once and 0.5 an event. User code needs that protection;
    between the engine's own operators it would be a fifth of the cost of a task. ``subscribe`` works as usual.

        >>> from reactivex import operators as ops
        >>> source = Inlet[int]()
        >>> _ = attach(source, Callbacks(lambda n: print("attached", n), print))
        >>> source.on_next(1)
        attached 1
    """

    lock = threading.RLock()
    """reactivex operators that join sources use it. One for all, where ``Observable`` makes one for each instance."""
    _subscribe = None

    def __init__(self, attach: Callable[[Sink[T], SchedulerBase | None], Disposing]) -> None:
        # Observable.__init__ is not called: it would set the two class attributes again
        self._attach = attach

    def attach(self, sink: Sink[T], scheduler: SchedulerBase | None = None) -> Disposing:
        """Begins to call ``sink``, until the source has ended or the result is disposed."""
        return self._attach(sink, scheduler)

    def _subscribe_core(self, observer: ObserverBase[T], scheduler: SchedulerBase | None = None) -> DisposableBase:
        return _Disposable(self.attach(observer, scheduler))


class _Disposable(DisposableBase):
    """A subscription as reactivex expects it."""

    __slots__ = ("_attached",)

    def __init__(self, attached: Disposing) -> None:
        self._attached = attached

    def dispose(self) -> None:
        self._attached.dispose()


def attach(source: Observable[T], sink: Sink[T], scheduler: SchedulerBase | None = None) -> Disposing:
    """Attaches a sink to an ``Attachable``; subscribes it to any other Observable."""
    if isinstance(source, (Attachable, HotSubject)):
        return source.attach(sink, scheduler)
    return source.subscribe(sink.on_next, sink.on_error, sink.on_completed, scheduler=scheduler)


class Stage(ABC, Generic[T, U]):
    """One subscription of an operator: it listens to one source and calls one sink.

    Error and completion are passed on, unless a subclass overrides them. ``dispose`` disposes the source, which then
    calls no more. A subclass that holds items back, or emits several for one, must check ``is_disposed`` itself.
    """

    __slots__ = ("is_disposed", "sink", "source")

    def __init__(self, sink: Sink[U]) -> None:
        self.sink = sink
        self.source: Disposing | None = None
        self.is_disposed = False

    def attach_to(self, source: Observable[T], scheduler: SchedulerBase | None) -> None:
        """Begins to listen to ``source``."""
        self.source = attach(source, self, scheduler)
        if self.is_disposed:  # the source ended, or the sink disposed, while it was being attached
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
    """An operator that makes a stage for each subscription: ``source.pipe(operator_of(make))``."""

    def operator(source: Observable[T]) -> Attachable[U]:
        def attach_stage(sink: Sink[U], scheduler: SchedulerBase | None) -> Disposing:
            stage = make(sink)
            stage.attach_to(source, scheduler)
            return stage

        return Attachable(attach_stage)

    return operator


class Inlet(Attachable[T]):
    """The entry of a pipeline: a hot source with at most one sink. A value is dropped while there is no sink."""

    def __init__(self) -> None:
        self._sink: Sink[T] | None = None

    def attach(self, sink: Sink[T], scheduler: SchedulerBase | None = None) -> Disposing:
        if self._sink is not None:
            raise RuntimeError("an Inlet takes one sink, and it has it already")
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
        """Removes ``sink``, unless another one has taken its place."""
        if self._sink is sink:
            self._sink = None


class _Entry(Generic[T]):
    """The subscription of an inlet's sink."""

    __slots__ = ("_inlet", "_sink")

    def __init__(self, inlet: Inlet[T], sink: Sink[T]) -> None:
        self._inlet = inlet
        self._sink = sink

    def dispose(self) -> None:
        self._inlet.leave(self._sink)


class HotSubject(Subject[T]):
    """A Subject that sinks can be attached to: they are called first, at a tenth of the cost of an observer.

    For values that all come on one thread. Observers are as with every Subject.
    """

    def __init__(self) -> None:
        super().__init__()
        self._sinks: tuple[Sink[T], ...] = ()

    @property
    def has_observers(self) -> bool:
        """Whether anybody is told anything."""
        return bool(self._sinks or self.observers)

    def attach(self, sink: Sink[T], scheduler: SchedulerBase | None = None) -> Disposing:
        """Calls ``sink`` from now on; at once where all is over."""
        if self.is_stopped:
            return self.subscribe(sink.on_next, sink.on_error, sink.on_completed, scheduler=scheduler)
        self._sinks = (*self._sinks, sink)
        return _Sunk(self, sink)

    def on_next(self, value: T) -> None:
        for sink in self._sinks:
            sink.on_next(value)
        if self.observers:
            super().on_next(value)

    def on_completed(self) -> None:
        sinks, self._sinks = self._sinks, ()
        for sink in sinks:
            sink.on_completed()
        super().on_completed()

    def leave(self, sink: Sink[T]) -> None:
        """Calls it no more."""
        self._sinks = tuple([one for one in self._sinks if one is not sink])


class _Sunk(Generic[T]):
    """The place of a sink in a subject."""

    __slots__ = ("_sink", "_subject")

    def __init__(self, subject: HotSubject[T], sink: Sink[T]) -> None:
        self._subject = subject
        self._sink = sink

    def dispose(self) -> None:
        self._subject.leave(self._sink)
