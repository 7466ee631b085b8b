"""What goes through the pipe between an engine and a worker: pickled tuples, each after its length.

Values of users are pickled once more inside these tuples. So one that cannot be read fails its body, not the pipe. Both
ends are ours: the worker is a child of the process that reads it.
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
"""The longest message; a greater length was not written by us, but by a body that found the pipe."""

PipeMessage = tuple[Any, ...]
"""Its kind, the id of the body (0: none), and what else the kind needs."""


class RemoteError(ReactorError):
    """Stands for an exception that cannot be pickled: its class has the same name, and it has the same message."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (_stand_in, (type(self).__name__, str(self)))


class RemoteTraceback(Exception):
    """The cause of an exception from another process: the traceback it had there, as text."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """A body as it is sent to a worker."""

    body_id: int
    ids: dict[str, str]
    """``run_id`` and ``task_id``."""
    path: tuple[str, ...]
    """``sys.path`` of the engine."""
    main: tuple[str, str] | None
    """The file of the engine's ``__main__``, and the name of that module in a worker; None where it is not a file."""
    address: Address
    context: str | None
    """The parameter that takes the Context; None for a body without one."""
    values: bytes
    """The pickled arguments and, for a body with a Context, its attempt."""


def pack_message(message: PipeMessage) -> bytes:
    """The bytes of a message in the pipe."""
    body = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    return HEAD.pack(len(body)) + body


class MessageBuffer:
    """Cuts the bytes that come out of a pipe into messages."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[PipeMessage]:
        """Takes bytes and yields the messages they complete; raises ValueError for bytes that are not ours."""
        self._buffer += data
        while len(self._buffer) >= HEAD.size:
            end = HEAD.size + HEAD.unpack_from(self._buffer)[0]
            if end > MAX_BYTES:
                raise ValueError(
                    f"a message of {end:,} bytes in the pipe to a worker: something else writes to the pipe"
                )
            if len(self._buffer) < end:
                return
            message = pickle.loads(bytes(memoryview(self._buffer)[HEAD.size : end]))
            del self._buffer[:end]
            yield message


# --- exceptions ---


def pack_error(error: BaseException) -> bytes:
    """Pickles an exception for the other end of the pipe; never raises an Exception."""
    trace = traceback_of(error)
    try:
        body = pickle.dumps(error, pickle.HIGHEST_PROTOCOL)
        if type(pickle.loads(body)) is not type(error):
            raise TypeError("its pickle is of another type")
    except Exception:  # many exceptions cannot be pickled, or their pickle cannot be read
        body = pickle.dumps(_stand_in(type(error).__name__, _message(error)))
    return pickle.dumps((type(error).__name__, _message(error), trace, body))


def unpack_error(packed: bytes) -> BaseException:
    """The exception, or a RemoteError in its place. Its cause holds the traceback it had in the other process."""
    name, message, trace, body = pickle.loads(packed)
    try:
        error = pickle.loads(body)
    except BaseException:  # its class cannot be imported here, say; a SystemExit must not end the engine
        error = _stand_in(name, message)
    error.__cause__ = RemoteTraceback(f"\n{trace}")
    return error


def _stand_in(name: str, message: str) -> RemoteError:
    return type(name, (RemoteError,), {})(message)


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException as broken:  # in a user's __str__
        return f"<str() of the error raised {type(broken).__name__}>"
