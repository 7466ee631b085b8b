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
from reactor.trace_context import TraceContext

HEAD: Final = struct.Struct(">Q")
"""The length of what follows, in bytes."""
MAX_BYTES: Final = 2**32
"""The longest message; a greater length was not written by us, but by a body that found the pipe."""

PipeMessage = tuple[Any, ...]
"""Its kind, the id of the body (0: none), and what else the kind needs."""


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
    """The pickled arguments and, for a body with a Context, its attempt and the names of its upstreams."""
    trace: TraceContext | None = None
    """The place of the attempt in a trace."""


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
