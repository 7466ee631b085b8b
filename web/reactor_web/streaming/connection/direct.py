"""Writes bytes that many clients share straight to the transport of each client that has caught up.

The public way of aiohttp wakes up the handler and frames a chunk of its own for each client and write, which costs
three times as much as the system call. Here a chunk is framed once and handed to each transport. Only this file goes
past ``StreamResponse.write``. Where the response is not as expected (HTTP/1.0, a compressor, another aiohttp), the
client has no transport here and its handler writes.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

LAST_CHUNK: Final = b"0\r\n\r\n"
"""The end of a chunked body (RFC 9112, section 7.1)."""
NO_CHUNK: Final = b"1 \r\n"
"""The beginning of a chunk of which nothing follows: the body breaks off. ``fetch`` of Node before 24 takes every body
that says ``Connection: close`` and stops for one that has ended; it refuses the space. Other clients read over it, and
miss the rest. What none could read (``!``) leaves aiohttp waiting for ever."""


def chunk_of(data: bytes) -> bytes:
    """One chunk of HTTP/1.1 (RFC 9112, section 7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data)


class Place:
    """Where one client stands in a channel: ``offset`` of its next frame, ``position`` to read the log from.

    ``is_waiting``: its handler has nothing to write, so the channel may write to it.
    """

    __slots__ = ("_transport", "floor", "is_waiting", "offset", "position", "written")

    def __init__(self, transport: asyncio.WriteTransport | None, position: int, offset: int) -> None:
        self._transport = transport
        self.floor = position
        """The last seq that the client has read from the log."""
        self.position = position
        self.offset = offset
        self.is_waiting = False
        self.written = 0
        """Bytes that the channel has sent to this client."""

    def write(self, chunk: bytes) -> bool:
        """Sends a framed chunk now. False if its handler has to write: the client is behind, or gone."""
        transport = self._transport
        if transport is None or transport.is_closing() or transport.get_write_buffer_size():
            return False
        transport.write(chunk)
        self.written += len(chunk)
        return True


def transport_of(writer: Any) -> asyncio.WriteTransport | None:
    """The transport of a response that is sent in plain chunks; None for any other response."""
    is_plain = getattr(writer, "chunked", False) and getattr(writer, "_compress", writer) is None
    transport = getattr(writer, "transport", None) if is_plain else None
    return transport if isinstance(transport, asyncio.WriteTransport) else None
