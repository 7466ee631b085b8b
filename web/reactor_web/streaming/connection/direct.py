"""Writes bytes that many clients share straight to the transport of each client that has caught up.

The public way of aiohttp wakes up the handler and frames a chunk of its own for each client and write, which costs
three times as much as the system call. Here a chunk is framed once and handed to each transport, and so are the frames
of WebSockets. Only this file goes past ``StreamResponse.write``.
Where the response is not as expected (HTTP/1.0, a compressor, another aiohttp), the client has no transport here and
its handler writes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, Protocol

LAST_CHUNK: Final = b"0\r\n\r\n"
"""The end of a chunked body (RFC 9112, section 7.1)."""
NO_CHUNK: Final = b"1 \r\n"
"""The beginning of a chunk of which nothing follows: the body breaks off. ``fetch`` of Node before 24 takes every body
that says ``Connection: close`` and stops for one that has ended; it refuses the space. Other clients read over it, and
miss the rest. What none could read (``!``) leaves aiohttp waiting for ever."""

Framing = Callable[[bytes], bytes | None]
"""Frames of a dialect as a connection has them; None for what its handler must send."""


class Shared(Protocol):
    """Frames for many clients."""

    has_id: bool
    """Whether one of them has an id."""

    @property
    def is_comment(self) -> bool:
        """Whether ``retry:`` cannot go with them."""
        ...

    def framed(self, framing: Framing, *, is_first: bool) -> bytes | None:
        """As a connection has them; ``is_first``: with ``retry:``."""
        ...


class Counted(Protocol):
    """Counts bytes."""

    bytes: int


def chunk_of(data: bytes) -> bytes:
    """One chunk of HTTP/1.1 (RFC 9112, section 7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def text_frames(lines: bytes) -> bytes | None:
    """Each line as a text frame of a server's WebSocket (RFC 6455, section 5.2).

    None where one is empty: that is a heartbeat, for which the handler sends a ping and waits for what comes back.
    """
    frames: list[bytes] = []
    for line in lines.removesuffix(b"\n").split(b"\n"):
        size = len(line)
        if not size:
            return None
        if size < 126:
            frames.append(b"\x81%c" % size)
        elif size < 1 << 16:
            frames.append(b"\x81\x7e" + size.to_bytes(2, "big"))
        else:
            frames.append(b"\x81\x7f" + size.to_bytes(8, "big"))
        frames.append(line)
    return b"".join(frames)


class Place:
    """Where one client stands in a channel: ``offset`` of its next frame, ``position`` to read the log from.

    ``is_waiting``: its handler has nothing to write, so the channel may write to it.
    """

    __slots__ = ("_framing", "_sent", "_transport", "begin", "floor", "is_waiting", "offset", "position", "written")

    def __init__(
        self,
        transport: asyncio.WriteTransport | None,
        position: int,
        offset: int,
        framing: Framing = chunk_of,
        sent: Counted | None = None,
    ) -> None:
        self._transport = transport
        self._sent = sent
        """What counts the bytes of all clients."""
        self._framing = framing
        self.floor = position
        """The last seq that the client has read from the log."""
        self.position = position
        self.offset = offset
        self.is_waiting = False
        self.begin: Callable[[bool], None] | None = None
        """Called with the first frames that are more than a comment: whether one of them has an id."""
        self.written = 0
        """Bytes that the channel has sent to this client."""

    def takes(self, piece: Shared) -> bool:
        """Whether a channel may write this to it now. Else its handler has to: it is behind, gone, or special."""
        return self._transport_now() is not None and self._framed(piece) is not None

    def _transport_now(self) -> asyncio.WriteTransport | None:
        transport = self._transport
        if transport is None or transport.is_closing() or transport.get_write_buffer_size():
            return None
        return transport

    def _framed(self, piece: Shared) -> bytes | None:
        return piece.framed(self._framing, is_first=self.begin is not None and not piece.is_comment)

    def write(self, piece: Shared) -> bool:
        """Sends frames now. False if its handler has to send them."""
        transport = self._transport_now()
        data = None if transport is None else self._framed(piece)
        if transport is None or data is None:
            return False
        if data:
            transport.write(data)
            self.written += len(data)
            if self._sent is not None:
                self._sent.bytes += len(data)
        if self.begin is not None and not piece.is_comment:
            begin, self.begin = self.begin, None
            begin(piece.has_id)
        return True


def transport_of(writer: Any) -> asyncio.WriteTransport | None:
    """The transport of a response that is sent in plain chunks; None for any other response."""
    is_plain = getattr(writer, "chunked", False) and getattr(writer, "_compress", writer) is None
    transport = getattr(writer, "transport", None) if is_plain else None
    return transport if isinstance(transport, asyncio.WriteTransport) else None


def transport_of_socket(socket: Any) -> asyncio.WriteTransport | None:
    """The transport of a WebSocket whose frames are sent as they are; None for any other."""
    writer = getattr(socket, "_writer", None)
    is_plain = getattr(writer, "compress", True) == 0 and getattr(writer, "use_mask", True) is False
    transport = getattr(writer, "transport", None) if is_plain else None
    return transport if isinstance(transport, asyncio.WriteTransport) else None
