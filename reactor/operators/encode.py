from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from reactivex import Observable
from reactivex.abc import SchedulerBase

from reactor.operators.attached import Attachable, Disposing, Sink, attach

T = TypeVar("T")
U = TypeVar("U")


def encode(encoder: Callable[[T], U]) -> Callable[[Observable[T]], Attachable[U]]:
    """Each item as ``encoder`` writes it: the bytes that all who asked for the same are sent.

        source  --a----b-----c--|
                    encode(frame)
        result  --<a>--<b>---<c>|

    What the encoder raises is the result's error, and the source is let go.

        >>> from reactivex import of
        >>> of("a", "b").pipe(encode(str.encode)).subscribe(print).dispose()
        b'a'
        b'b'
    """

    def operator(source: Observable[T]) -> Attachable[U]:
        def encode_into(sink: Sink[U], scheduler: SchedulerBase | None) -> Disposing:
            encoding = _Encoding(encoder, sink)
            encoding.attach_to(source, scheduler)
            return encoding

        return Attachable(encode_into)

    return operator


class _Encoding(Generic[T, U]):
    __slots__ = ("encoder", "is_disposed", "on_completed", "on_error", "sink", "source")

    def __init__(self, encoder: Callable[[T], U], sink: Sink[U]) -> None:
        self.encoder = encoder
        self.sink = sink
        self.source: Disposing | None = None
        self.is_disposed = False
        self.on_error = sink.on_error
        self.on_completed = sink.on_completed

    def attach_to(self, source: Observable[T], scheduler: SchedulerBase | None) -> None:
        self.source = attach(source, self, scheduler)
        if self.is_disposed:  # while it was being attached
            self.source.dispose()

    def on_next(self, item: T) -> None:
        if self.is_disposed:
            return
        try:
            encoded = self.encoder(item)
        except Exception as error:
            self.dispose()
            self.sink.on_error(error)
            return
        self.sink.on_next(encoded)

    def dispose(self) -> None:
        self.is_disposed = True
        if self.source is not None:
            self.source.dispose()
