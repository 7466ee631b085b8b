"""A proxy before a server: it cuts streams after a number of frames, or refuses them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import repeat

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer

_END = b"\n\n"


class CuttingProxy:
    """``base`` is its URL. Streams are those answers that are ``text/event-stream``; all others pass."""

    def __init__(self, target: str, session: aiohttp.ClientSession) -> None:
        self.base = ""
        self.cuts: Iterator[int | None] = repeat(None)
        """For each stream that is opened, after how many frames it is cut; None: it is not."""
        self.refuses = False
        """Whether streams are answered 503."""
        self.opened = 0
        """How many streams were asked for."""
        self._target = target
        self._session = session

    async def pass_on(self, request: web.Request) -> web.StreamResponse:
        headers = {name: value for name, value in request.headers.items() if name != "Host"}
        async with self._session.get(self._target + request.path_qs, headers=headers) as answer:
            if answer.content_type != "text/event-stream":
                return web.Response(status=answer.status, body=await answer.read(), content_type=answer.content_type)
            self.opened += 1
            if self.refuses:
                return web.Response(status=503)
            response = web.StreamResponse(headers={"Content-Type": answer.headers["Content-Type"]})
            await response.prepare(request)
            async for frame in _frames(answer, next(self.cuts)):
                await response.write(frame)
            if request.transport is not None and not answer.content.at_eof():
                request.transport.abort()
            return response


async def _frames(answer: aiohttp.ClientResponse, count: int | None) -> AsyncIterator[bytes]:
    """The first frames of a stream, each as soon as it has come."""
    data = b""
    async for chunk in answer.content.iter_any():
        data += chunk
        while data.startswith((b":", b"retry")) and b"\n" in data:  # between frames: they pass, and do not count
            line, _, data = data.partition(b"\n")
            yield line + b"\n"
        while _END in data:
            frame, _, data = data.partition(_END)
            yield frame + _END
            if count is not None:
                count -= 1
                if not count:
                    return


@asynccontextmanager
async def cutting(target: str) -> AsyncGenerator[CuttingProxy]:
    """A proxy before the server ``http://host:port``."""
    async with aiohttp.ClientSession() as session:
        proxy = CuttingProxy(target, session)
        app = web.Application()
        app.router.add_get("/{path:.*}", proxy.pass_on)
        listening = TestServer(app, host="127.0.0.1")
        await listening.start_server(shutdown_timeout=0.1)
        proxy.base = str(listening.make_url("")).rstrip("/")
        try:
            yield proxy
        finally:
            await listening.close()
