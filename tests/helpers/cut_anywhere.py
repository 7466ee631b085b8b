"""A proxy of bytes before a server: it cuts connections after any number of bytes, and loses answers on purpose."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import asynccontextmanager

from tests.helpers.cut_bytes import ByteProxy


class AnywhereProxy(ByteProxy):
    """``url``: where it listens."""

    def __init__(self, upstream: int, cuts: Iterable[int]) -> None:
        super().__init__(upstream, frames=0)
        self.url = ""
        self.cuts: Iterator[int] = iter(cuts)
        """For each connection, after how many bytes of the server it is cut; when there are no more, none is."""
        self.cut = 0
        """How many connections were cut: every other one by a reset."""
        self.lost = 0
        """How many answers are still to be lost: the server has all of the request, the client nothing."""

    async def _answer(self, from_server: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        left = next(self.cuts, None)
        while data := await from_server.read(65_536):
            if self.lost:
                self.lost -= 1
                return
            is_cut = left is not None and len(data) >= left
            writer.write(data[:left] if is_cut else data)
            await writer.drain()
            if is_cut:
                self.cut += 1
                if self.cut % 2:
                    writer.transport.abort()
                return
            left = None if left is None else left - len(data)


@asynccontextmanager
async def cut_anywhere(upstream: int, cuts: Iterable[int] = ()) -> AsyncGenerator[AnywhereProxy]:
    """A proxy before the server on this port."""
    proxy = AnywhereProxy(upstream, cuts)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        server.close()
        await proxy.close()
