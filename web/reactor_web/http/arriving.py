"""Bodies of requests while they come: each is bounded by its application, and here all of them together.

A body that is read is kept until all of it is there. A thousand clients that send all but the last byte of a megabyte
would else have a gigabyte kept for half a minute.
"""

from __future__ import annotations

import asyncio
from typing import Final
from weakref import WeakKeyDictionary

from aiohttp import web

from reactor_web import bounds
from reactor_web.http.problems import Problem

SMALL_BYTES: Final = 16 * 1024
"""So much of each body is not counted: what aiohttp reads ahead of a handler is more."""


class _Body:
    """One that comes. ``size``: what is counted of it."""

    __slots__ = ("connection", "since", "size")

    def __init__(self, connection: asyncio.Transport | None) -> None:
        self.connection = connection
        self.since = asyncio.get_running_loop().time()
        self.size = 0

    def is_slow(self, now: float) -> bool:
        """Whether it has come long enough to be judged, and slower than a client that is alive."""
        seconds = now - self.since
        return seconds > bounds.PATIENT_SECONDS and self.size < seconds * bounds.SLOW_BYTES


class Arriving:
    """All bodies that come to the server of one loop."""

    def __init__(self) -> None:
        self.held = 0
        """Bytes of those that are not small."""
        self._bodies: dict[_Body, None] = {}
        """The oldest first."""

    async def read(self, request: web.Request) -> bytes:
        """All of a body. Raises HTTPRequestEntityTooLarge, and Problem 503 where too much comes at once."""
        if request.content.at_eof():  # there is none, or a middleware has read it
            return await request.read()
        limit, arrived, body = request.client_max_size, bytearray(), _Body(request.transport)
        try:
            while chunk := await request.content.readany():
                arrived += chunk
                if 0 < limit < len(arrived):
                    raise web.HTTPRequestEntityTooLarge(limit, len(arrived))
                if len(arrived) > SMALL_BYTES:
                    self._count(body, len(arrived))
            # what a handler of the application gets that reads it again
            request._read_bytes = bytes(arrived)  # pyright: ignore[reportPrivateUsage]
            return request._read_bytes  # pyright: ignore[reportPrivateUsage]
        finally:
            self._forget(body)

    def _count(self, body: _Body, size: int) -> None:
        if body.connection is not None and body.connection.is_closing():
            return  # it was cut off, and is told soon
        self._bodies[body] = None
        self.held += size - body.size
        body.size = size
        # one alone may be as large as its application allows
        if self.held > bounds.ARRIVING_BYTES and len(self._bodies) > 1 and not self._make_room(body):
            self._forget(body)
            raise Problem(503, "too many large bodies are being sent to this server")

    def _make_room(self, body: _Body) -> bool:
        """Cuts off slow clients, the oldest first, until there is room."""
        now = asyncio.get_running_loop().time()
        for other in [other for other in self._bodies if other is not body and other.is_slow(now)]:
            self._forget(other)
            if other.connection is not None:
                other.connection.abort()
            if self.held <= bounds.ARRIVING_BYTES:
                return True
        return False

    def _forget(self, body: _Body) -> None:
        if self._bodies.pop(body, body) is None:
            self.held -= body.size


_of_loop: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, Arriving]] = WeakKeyDictionary()


def arriving_of_loop() -> Arriving:
    """What comes to the servers of the running loop."""
    loop = asyncio.get_running_loop()
    if loop not in _of_loop:
        _of_loop[loop] = Arriving()
    return _of_loop[loop]
