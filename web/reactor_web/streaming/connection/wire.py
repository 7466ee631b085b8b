"""What one client is sent, in order: by its handler through aiohttp, or straight to the transport without a handler."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from reactor_web.bounds import RETRY_MS
from reactor_web.dialects import EVENT_STREAM
from reactor_web.dialects.framing import is_comment, with_retry
from reactor_web.streaming.connection.client import Client
from reactor_web.streaming.connection.direct import Framing, Place, chunk_of


class Wire:
    """Writes to one client with ``send``. ``Streams`` watches for a write that never ends."""

    __slots__ = ("_client", "can_wait", "comment", "direct_bytes", "framing", "send", "transport")

    def __init__(
        self,
        client: Client,
        send: Callable[[bytes], Awaitable[None]],
        transport: asyncio.WriteTransport | None,
        framing: Framing = chunk_of,
    ) -> None:
        info = client.options.find_dialect().info
        self._client = client
        self.send = send
        self.transport = transport
        """Where a channel may write to this client; None if only ``send`` may."""
        self.framing = framing
        """What a channel writes there."""
        self.direct_bytes = 0
        """What channels have written to this client beside ``send``."""
        self.comment = info.comment
        """What may be written before the first frame, and while there is nothing to say."""
        self.can_wait = info.media_type != EVENT_STREAM
        if self.can_wait:
            client.has_cursor(True)
        """Whether nothing has to go with the next frames: the first ones of server-sent events carry ``retry:``."""

    def place(self, position: int, offset: int) -> Place:
        """A place in a channel for this client."""
        return Place(self.transport, position, offset, self.framing, self._client.sent)

    def began(self, has_cursor: bool) -> None:
        """The first frames that are more than a comment are written. ``has_cursor``: whether one has an id."""
        self.can_wait = True
        self._client.has_cursor(has_cursor)

    def first(self, data: bytes) -> bytes:
        """``data``, with ``retry:`` where it is the first."""
        if self.can_wait or is_comment(data):
            return data
        self.began(b"id: " in data)
        return with_retry(data, RETRY_MS)

    async def write(self, data: bytes) -> None:
        """Writes frames; the first of server-sent events carries ``retry:``.

        Who writes much lets go of it before this is awaited, and so does all that is below: a client that does not read
        keeps only what the transport has of it. Raises ConnectionResetError when the client is gone.
        """
        data = self.first(data)
        self._client.sent.bytes += len(data)
        self._client.writing_since = asyncio.get_running_loop().time()
        sending = self.send(data)
        del data
        try:
            await sending
        finally:
            self._client.writing_since = None
        # a write only suspends when the transport is full: a long replay leaves the loop to others in between
        await asyncio.sleep(0)
