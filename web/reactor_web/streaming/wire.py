"""What one client is sent, in order: through aiohttp by its handler, or past it once nobody needs the handler."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from reactor_web.sse import frames as sse
from reactor_web.streaming.streams import Client

RETRY_MS: Final = 2_000
"""What clients are told to wait before they reconnect."""


class Wire:
    """Writes to one client with ``send``. The watchdog over a write that never ends is ``Streams``, outside of it."""

    __slots__ = ("_client", "can_wait", "send", "transport")

    def __init__(
        self, client: Client, send: Callable[[bytes], Awaitable[None]], transport: asyncio.WriteTransport | None
    ) -> None:
        self._client = client
        self.send = send
        self.transport = transport
        """Where others may write to this client; None where only ``send`` may."""
        self.can_wait = False
        """Whether somebody else may write the next frames: the first one takes ``retry:`` with it."""

    async def write(self, data: bytes) -> None:
        """Writes frames; the first one carries ``retry:``. Raises ConnectionResetError when the client is gone."""
        if not self.can_wait and not data.startswith(b":"):
            self.can_wait = True
            data = sse.with_retry(data, RETRY_MS)
        self._client.writing_since = asyncio.get_running_loop().time()
        try:
            await self.send(data)
        finally:
            self._client.writing_since = None
        # a write only suspends when the transport is full: a long replay leaves the loop to others in between
        await asyncio.sleep(0)
