from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Callable
from typing import TypeVar

from reactivex import Observable

from reactor.operators.attached import Attachable, Sink, Stage, operator_of

T = TypeVar("T")
U = TypeVar("U")


def encode(encoder: Callable[[T], U]) -> Callable[[Observable[T]], Attachable[U]]:
    """Passes each item through ``encoder``, once for all clients that share the stream.

        source  --a----b-----c--|
                    encode(frame)
        result  --<a>--<b>---<c>|

    An exception in the encoder becomes the ``on_error`` of the result, and the source is disposed. (``ops.map`` of
    reactivex does the same at a higher cost an event.)

        >>> from reactivex import of
        >>> of("a", "b").pipe(encode(str.encode)).subscribe(print).dispose()
        b'a'
        b'b'
    """

    return operator_of(lambda sink: _Encoding(encoder, sink))


class _Encoding(Stage[T, U]):
    __slots__ = ("encoder",)

    def __init__(self, encoder: Callable[[T], U], sink: Sink[U]) -> None:
        super().__init__(sink)
        self.encoder = encoder

    def on_next(self, item: T, /) -> None:
        if self.is_disposed:
            return
        try:
            encoded = self.encoder(item)
        except Exception as error:
            self.dispose()
            self.sink.on_error(error)
            return
        except CancelledError as error:  # raised by the encoder: it must not reach whoever emits
            self.dispose()
            self.sink.on_error(RuntimeError(repr(error)))
            return
        self.sink.on_next(encoded)
