"""Bytes that many clients share, straight to the transport of each that is caught up.

aiohttp's public way costs a wake-up of the handler and a chunk frame of its own per client and write, three times the
price of the system call. Here the chunk is framed once and handed to each transport. This is the one place that goes
past ``StreamResponse.write``: where the response is not as expected (HTTP/1.0, a compressor, another aiohttp) a client
simply is not direct, and its handler writes.
"""

from __future__ import annotations

import asyncio
from typing import Any


def chunk_of(data: bytes) -> bytes:
    """One chunk of HTTP/1.1 (RFC 9112, section 7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data)


class Direct:
    """One client's place in a channel: ``offset`` of the next frame, ``position`` to read the log from.

    ``is_waiting``: its handler has nothing to write, so whoever has something may.
    """

    __slots__ = ("_transport", "floor", "is_waiting", "offset", "position", "writes")

    def __init__(self, transport: asyncio.WriteTransport | None, position: int, offset: int) -> None:
        self._transport = transport
        self.floor = position
        """What is at or below it, the client has read from the log."""
        self.position = position
        self.offset = offset
        self.is_waiting = False
        self.writes = 0

    def write(self, chunk: bytes) -> bool:
        """Sends a framed chunk now; False where the handler has to: the client is behind, or gone."""
        transport = self._transport
        if transport is None or transport.is_closing() or transport.get_write_buffer_size():
            return False
        transport.write(chunk)
        self.writes += 1
        return True


def transport_of(writer: Any) -> asyncio.WriteTransport | None:
    """The transport under a response that is sent in plain chunks; None where it is not, or cannot be told."""
    is_plain = getattr(writer, "chunked", False) and getattr(writer, "_compress", writer) is None
    transport = getattr(writer, "transport", None) if is_plain else None
    return transport if isinstance(transport, asyncio.WriteTransport) else None
