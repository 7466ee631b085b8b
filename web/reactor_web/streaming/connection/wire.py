"""What one client is sent, in order: by its handler through aiohttp, or straight to the transport without a handler."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from reactor_web.bounds import RETRY_MS
from reactor_web.dialects import EVENT_STREAM
from reactor_web.dialects.framing import is_comment, with_retry
from reactor_web.streaming.connection.client import Client


class Wire:
    """Writes to one client with ``send``. ``Streams`` watches for a write that never ends."""

    __slots__ = ("_client", "can_wait", "comment", "direct_bytes", "send", "transport")

    def __init__(
        self, client: Client, send: Callable[[bytes], Awaitable[None]], transport: asyncio.WriteTransport | None
    ) -> None:
        info = client.options.find_dialect().info
        self._client = client
        self.send = send
        self.transport = transport
        """Where a channel may write to this client; None if only ``send`` may."""
        self.direct_bytes = 0
        """What channels have written to this client beside ``send``."""
        self.comment = info.comment
        """What may be written before the first frame, and while there is nothing to say."""
        self.can_wait = info.media_type != EVENT_STREAM
        if self.can_wait:
            client.has_cursor(True)
        """Whether a channel may write the next frames. Not the first ones where they carry ``retry:``."""

    async def write(self, data: bytes) -> None:
        """Writes frames; the first of server-sent events carries ``retry:``.

        Who writes much lets go of it before this is awaited, and so does all that is below: a client that does not read
        keeps only what the transport has of it. Raises ConnectionResetError when the client is gone.
        """
        if not self.can_wait and not is_comment(data):
            self.can_wait = True
            self._client.has_cursor(b"id: " in data)
            data = with_retry(data, RETRY_MS)
        self._client.writing_since = asyncio.get_running_loop().time()
        sending = self.send(data)
        del data
        try:
            await sending
        finally:
            self._client.writing_since = None
        # a write only suspends when the transport is full: a long replay leaves the loop to others in between
        await asyncio.sleep(0)
