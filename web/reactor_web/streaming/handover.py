"""A client that has caught up goes on without its handler: all it costs then is a socket and a cursor.

A handler of aiohttp that waits keeps its request, its response, the parser of a connection that sends no more requests,
and two tasks with their frames: 14 KB a client. If nobody but us waits for the end of the handler, we take the
connection over: its transport gets a protocol that only follows, the handler returns, and aiohttp lets go of the rest
as if the client had gone. From then on the channel writes the frames; a task exists only while a client is behind.

Only this file reaches into aiohttp's server protocol. If anything is not as expected (another aiohttp, HTTP/1.0,
middlewares of a host application that do not say ``only_looks``, an access log, handlers that are cancelled with their
client), nothing is taken over and the handler goes on.
"""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from reactor.logger import get_logger
from reactor_web.http.middleware import must_see_the_end
from reactor_web.streaming.connection.client import GONE
from reactor_web.streaming.connection.direct import LAST_CHUNK, NO_CHUNK, chunk_of
from reactor_web.streaming.following.follower import Following
from reactor_web.streaming.streams import Streams

logger = get_logger("reactor.web")


def hand_over(request: web.Request, follower: Following, streams: Streams) -> bool:
    """Takes the connection of a client that has caught up away from aiohttp; False if its handler has to go on."""
    transport = follower.wire.transport
    protocol = request.protocol
    if (
        not isinstance(transport, asyncio.Transport)
        or not _is_as_expected(protocol, transport)
        or _is_awaited(request, protocol)
        or transport.is_closing()
    ):
        return False
    detached = _Detached(follower, streams, transport)
    follower.client.on_wake = detached.wake
    follower.wire.send = detached.send
    if protocol._paused:  # pyright: ignore[reportPrivateUsage]  # aiohttp waits for it to read
        detached.pause_writing()
    transport.set_protocol(detached)
    if not transport.is_reading():  # aiohttp stopped at a body or more requests, which we drop
        transport.resume_reading()
    protocol.transport = None  # or aiohttp would close it
    protocol.connection_lost(None)
    return True


def _is_as_expected(protocol: Any, transport: asyncio.Transport) -> bool:
    """Whether this is the server protocol that this file was written for, and still in charge of the connection."""
    manager = getattr(protocol, "_manager", None)
    return (
        type(protocol) is RequestHandler
        and protocol.transport is transport
        and transport.get_protocol() is protocol
        and getattr(manager, "handler_cancellation", None) is False
        and isinstance(getattr(protocol, "_paused", None), bool)
    )


def _is_awaited(request: web.Request, protocol: RequestHandler) -> bool:
    """Whether somebody else waits for the end of the handler: a middleware, or an access log that writes durations."""
    log = protocol.access_logger
    middlewares = [middleware for app in request.match_info.apps for middleware in app.middlewares]
    return any(map(must_see_the_end, middlewares)) or (log is not None and log.enabled)


class _Detached(asyncio.Protocol):
    """The protocol of a connection without a handler. What the client still sends is dropped."""

    __slots__ = ("_drained", "_follower", "_is_over", "_is_writing", "_streams", "_transport")

    def __init__(self, follower: Following, streams: Streams, transport: asyncio.Transport) -> None:
        self._follower = follower
        self._streams = streams
        self._transport = transport
        self._is_over = False
        self._is_writing = False
        self._drained: asyncio.Future[None] | None = None

    # --- as a protocol ---

    def pause_writing(self) -> None:
        self._drained = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        drained, self._drained = self._drained, None
        if drained is not None and not drained.done():
            drained.set_result(None)

    def eof_received(self) -> None:
        self._transport.abort()  # aiohttp, too, takes it as gone; unread data must not keep it open

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_over = True
        self.resume_writing()
        self._follower.client.close(GONE)
        self._follower.leave()
        self._streams.remove(self._follower.client)

    # --- in place of the response and the handler ---

    async def send(self, data: bytes) -> None:
        """Writes a chunk and waits while the transport is full. Raises ConnectionResetError when the client is gone."""
        self._check()
        if not data:
            return  # an empty chunk would end the body
        self._transport.write(chunk_of(data))
        del data
        if self._drained is not None:
            await self._drained
            self._check()

    def _check(self) -> None:
        if self._transport.is_closing():
            raise ConnectionResetError("the client is gone")

    def wake(self) -> None:
        if not self._is_writing and not self._is_over:
            self._is_writing = True
            self._streams.spawn(self._write())

    async def _write(self) -> None:
        """Writes until the client has caught up, or the stream is over."""
        follower, is_over = self._follower, True
        try:
            if await follower.advance():
                is_over = False
                return
            end = follower.wire.first(follower.last_frames())
            if not self._transport.is_closing():
                last = NO_CHUNK if follower.client.is_cut else LAST_CHUNK
                self._transport.write(chunk_of(end) + last if end else last)
        except ConnectionError:
            follower.client.close(GONE)
        except Exception as error:
            logger.error("stream broke off", path=follower.client.path, exc_info=error)
            follower.client.abort("error")
        finally:
            self._is_writing = False
            if is_over:
                self._is_over = True
                follower.leave()
                follower.client.writing_since = asyncio.get_running_loop().time()  # it must read the rest
                self._transport.close()
