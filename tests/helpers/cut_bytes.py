"""A proxy of bytes that cuts each connection after so many frames. What a client gets is what the server wrote."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

_RETRY = re.compile(rb"retry: \d+\n")


class ByteProxy:
    """``port``: where it listens. ``connections``: how many it has had."""

    def __init__(self, upstream: int, frames: int) -> None:
        self.frames = frames
        self.connections = 0
        self.port = 0
        self._upstream = upstream
        self._open: set[asyncio.Task[None] | None] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open.add(asyncio.current_task())
        try:
            # the server may be down; and at the end of a test a task that is cancelled would be told as an error
            with suppress(OSError, asyncio.CancelledError):
                await self._pass_on(reader, writer)
        finally:
            await _close(writer)
            self._open.discard(asyncio.current_task())

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self._upstream)
        asking = asyncio.ensure_future(self._ask(reader, to_server))
        try:
            await self._answer(from_server, writer)
        finally:
            asking.cancel()
            await _close(to_server)

    async def close(self) -> None:
        """Closes what is still open."""
        for task in list(self._open):
            if task is not None:
                task.cancel()
                await asyncio.wait([task])

    @staticmethod
    async def _ask(reader: asyncio.StreamReader, to_server: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            to_server.write(data)
        to_server.close()  # the client has left: the server must hear of it at once

    async def _answer(self, from_server: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen = b""
        sent = 0
        while data := await from_server.read(65_536):
            # in as many bytes as before, since they stand in a chunk: soon, so that a test need not wait long
            seen += _RETRY.sub(lambda found: b"retry: " + b"20\n".rjust(len(found[0]) - 7, b"0"), data)
            frames = seen.split(b"\n\n", self.frames)
            is_cut = len(frames) > self.frames
            end = len(seen) - len(frames[-1]) if is_cut else len(seen)
            writer.write(seen[sent:end])
            await writer.drain()
            sent = end
            if is_cut:
                return


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


@asynccontextmanager
async def cut_every(frames: int, upstream: int) -> AsyncGenerator[ByteProxy]:
    """A proxy before the server on this port."""
    proxy = ByteProxy(upstream, frames)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0, limit=1 << 20)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        await proxy.close()
