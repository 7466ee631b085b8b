"""What goes through the pipe between an engine and a worker: pickled tuples, each behind its length.

Values of users travel as pickles inside of these, so that one that cannot be read is the failure of its body and not of
the pipe. Both ends are ours: the worker is a child of the process that reads it.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from reactor.definition.address import Address
from reactor.errors import ReactorError
from reactor.events.values import traceback_of

HEAD: Final = struct.Struct(">Q")
"""The length of what follows, in bytes."""
MAX_BYTES: Final = 2**32
"""Of a message; a length above it was written by a body that found the pipe."""

Message = tuple[Any, ...]


class RemoteError(ReactorError):
    """An exception that cannot leave its process, as it is known here: of the same name, with the same message."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (_stand_in, (type(self).__name__, str(self)))


class RemoteTraceback(Exception):
    """The cause of an exception from another process: its traceback there, as text."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """A body as it is sent to a worker."""

    number: int
    ids: dict[str, str]
    """``run_id`` and ``task_id``."""
    path: tuple[str, ...]
    """``sys.path`` of the engine."""
    main: tuple[str, str] | None
    """The file of the engine's ``__main__``, and its name here."""
    address: Address
    context: str | None
    values: bytes
    """A pickle of the arguments and, for a context, of the attempt."""


def framed(message: Message) -> bytes:
    """A message as it goes through the pipe."""
    body = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    return HEAD.pack(len(body)) + body


class Frames:
    """Cuts what comes out of a pipe into messages."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Message]:
        """The messages that are complete by now, in order."""
        self._buffer += data
        while len(self._buffer) >= HEAD.size:
            end = HEAD.size + HEAD.unpack_from(self._buffer)[0]
            if end > MAX_BYTES:
                raise ValueError(f"a message of {end:,} bytes: what comes out of the pipe is not ours")
            if len(self._buffer) < end:
                return
            message = pickle.loads(bytes(memoryview(self._buffer)[HEAD.size : end]))
            del self._buffer[:end]
            yield message


# --- exceptions ---


def pack_error(error: BaseException) -> bytes:
    """An exception of a body, or of the engine, for the other end; never raises an Exception."""
    trace = traceback_of(error)
    try:
        body = pickle.dumps(error, pickle.HIGHEST_PROTOCOL)
        if type(pickle.loads(body)) is not type(error):
            raise TypeError("its pickle is of another type")
    except Exception:  # many exceptions cannot be pickled, or not be read again
        body = pickle.dumps(_stand_in(type(error).__name__, _message(error)))
    return pickle.dumps((type(error).__name__, _message(error), trace, body))


def unpack_error(packed: bytes) -> BaseException:
    """The exception, or a ``RemoteError`` in its place; its cause is the traceback it had in the other process."""
    name, message, trace, body = pickle.loads(packed)
    try:
        error = pickle.loads(body)
    except BaseException:  # its class cannot be imported on this side, say; SystemExit is not the engine's
        error = _stand_in(name, message)
    error.__cause__ = RemoteTraceback(f"\n{trace}")
    return error


def _stand_in(name: str, message: str) -> RemoteError:
    return type(name, (RemoteError,), {})(message)


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException as broken:  # a user's __str__: its failure is all there is to tell
        return f"<str() of the error raised {type(broken).__name__}>"
