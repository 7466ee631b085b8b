"""A wire between a client and a server on this machine, which a test cuts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress


class Wire:
    """Passes bytes on between ``port`` and the server, until it is cut."""

    def __init__(self, upstream: int) -> None:
        self.port = 0
        self.is_down = False
        """Whether connections are closed as soon as they are made."""
        self.cuts = 0
        """How many connections were cut while they were open."""
        self.budgets: list[int] = []
        """Of each next event stream, after about how many bytes it is cut. After the last of them the wire is down."""
        self.refuses_streams = False
        """Whether an event stream is answered with 502, as by a proxy that knows no streams."""
        self._upstream = upstream
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None] | None] = set()

    def cut(self) -> None:
        """Breaks every connection off, in the middle of whatever it says."""
        self.cuts += len(self._writers)
        for writer in self._writers:
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.add(asyncio.current_task())
        try:
            if not self.is_down:
                with suppress(OSError):  # the server is down
                    await self._join(reader, writer)
        finally:
            await _leave(writer)
            self._tasks.discard(asyncio.current_task())

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self._upstream)
        self._writers.add(writer)
        try:
            await asyncio.gather(_pass_on(reader, to_server), self._answer(from_server, writer))
        finally:
            self._writers.discard(writer)
            await _leave(to_server)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Passes on what the server says; an event stream until its budget is spent."""
        sent = 0
        with suppress(OSError):
            while data := await reader.read(4_096):
                if self.refuses_streams and b"text/event-stream" in data:
                    writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                    break
                writer.write(data)
                await writer.drain()
                if self.budgets and (sent or b"text/event-stream" in data):
                    sent += len(data)
                    if sent >= self.budgets[0]:
                        del self.budgets[0]
                        self.is_down = not self.budgets
                        self.cuts += 1
                        writer.transport.abort()
                        return
        writer.transport.abort() if reader.exception() else writer.close()

    async def close(self) -> None:
        """Returns when nothing is open any more."""
        while self._tasks:
            self.cut()
            await asyncio.wait([task for task in self._tasks if task is not None], timeout=0.1)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Everything until an end is gone; then the other end goes, too."""
    with suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.transport.abort() if reader.exception() else writer.close()


async def _leave(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
    with suppress(OSError):
        await writer.wait_closed()


@asynccontextmanager
async def wire_to(upstream: int) -> AsyncGenerator[Wire]:
    """To a server that listens on this port of 127.0.0.1, now or later."""
    wire = Wire(upstream)
    server = await asyncio.start_server(wire.serve, "127.0.0.1", 0)
    wire.port = server.sockets[0].getsockname()[1]
    try:
        yield wire
    finally:
        server.close()
        await wire.close()
        await server.wait_closed()
