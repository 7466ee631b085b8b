"""All open streams of a process: one timer looks at every transport, one call wakes them all for a shutdown."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final
from weakref import WeakKeyDictionary

import structlog
from aiohttp import web

from reactor_web.http.query import StreamOptions
from reactor_web.streaming.channel import Channels

logger = structlog.get_logger("reactor.web")

SEND_TIMEOUT: Final = 30.0
"""Seconds one write may take before its client counts as stalled: aborted, to resume by its cursor."""
LOOK_SECONDS: Final = 0.5
CLOSING_SECONDS: Final = 1.5
"""How long a client may take to read ``stream.closing``."""


class Client:
    """One open stream: what it asked for, why it shall close, since when it writes."""

    __slots__ = ("_transport", "_waiter", "_was_woken", "closing", "on_wake", "options", "path", "writing_since")

    def __init__(self, request: web.Request, options: StreamOptions) -> None:
        self._transport = request.transport
        self.path = request.path
        self.options = options
        self.closing: str | None = None
        """``gone``, or the reason a ``stream.closing`` gives."""
        self.writing_since: float | None = None
        self.on_wake: Callable[[], None] | None = None
        """Where no handler waits any more."""
        self._waiter: asyncio.Future[None] | None = None
        self._was_woken = False

    def wake(self) -> None:
        if self.on_wake is not None:
            self.on_wake()
            return
        self._was_woken = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def wait(self) -> None:
        """Until woken since the last wait."""
        if not self._was_woken:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        self._was_woken = False

    def close(self, reason: str) -> None:
        if self.closing is None:
            self.closing = reason
            self.wake()

    @property
    def is_gone(self) -> bool:
        return self._transport is None or self._transport.is_closing()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()


class Streams:
    """The open streams. Its timer runs while there are any."""

    def __init__(self) -> None:
        self.channels = Channels()
        self.closing = asyncio.Event()
        self._clients: set[Client] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._emptied: asyncio.Future[None] | None = None
        self._spawned: set[asyncio.Task[None]] = set()
        """Strong references."""

    def __len__(self) -> int:
        return len(self._clients)

    def add(self, client: Client) -> None:
        self._clients.add(client)
        if self.closing.is_set():
            client.close("shutdown")
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(LOOK_SECONDS, self._look)

    def spawn(self, job: Coroutine[Any, Any, None]) -> None:
        """What a stream does without its handler."""
        task = asyncio.get_running_loop().create_task(job)
        self._spawned.add(task)
        task.add_done_callback(self._spawned.discard)

    def remove(self, client: Client) -> None:
        self._clients.discard(client)
        if not self._clients:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if self._emptied is not None and not self._emptied.done():
                self._emptied.set_result(None)

    async def close(self, reason: str = "shutdown") -> None:
        """Tells every stream to close, aborts those that cannot take it, and waits until none is left."""
        self.closing.set()
        for client in tuple(self._clients):
            client.close(reason)
        if self._clients:
            loop = asyncio.get_running_loop()
            self._emptied = loop.create_future()
            aborting = loop.call_later(CLOSING_SECONDS, self._abort_all)
            try:
                await self._emptied
            finally:
                aborting.cancel()

    def _abort_all(self) -> None:
        for client in tuple(self._clients):
            client.abort()

    def _look(self) -> None:
        """Not left to aiohttp: a waiting handler is not told of a disconnect unless the host application wants it."""
        now = asyncio.get_running_loop().time()
        for client in tuple(self._clients):
            if client.writing_since is not None and now - client.writing_since > SEND_TIMEOUT:
                logger.info("stalled client aborted", path=client.path)
                client.abort()
            elif client.is_gone:
                client.close("gone")
        self._timer = asyncio.get_running_loop().call_later(LOOK_SECONDS, self._look)


STREAMS: Final = web.AppKey("reactor_streams", Streams)

_of_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, Streams] = WeakKeyDictionary()


def streams_of(request: web.Request) -> Streams:
    """The streams of the application this request belongs to; of the loop, where nothing of ours is mounted."""
    streams = request.config_dict.get(STREAMS)
    return streams if streams is not None else _of_loop.setdefault(asyncio.get_running_loop(), Streams())
