"""``PacedResponse``: leaves as fast as its client reads, and a client that does not read keeps little of it.

pieces    a body leaves in pieces, and each waits for the one before: the connection holds two, not 20 MB
one body  clients that are sent the same large body share it
a bound   all large bodies on their way together; who reads nothing is cut off before somebody else is refused
a stall   whoever takes too long to read is cut off, also with the last bytes of a small answer
"""

from __future__ import annotations

import asyncio
from typing import Any, Final
from weakref import WeakKeyDictionary, WeakSet

from aiohttp import web

from reactor.bounds import KIB
from reactor.clock import without_standstill
from reactor_web import bounds
from reactor_web.bounds import CHECK_SECONDS, PATIENT_SECONDS, SLOW_BYTES

PIECE_BYTES: Final = 72 * KIB
"""A little more than what makes aiohttp wait for the client after a write."""
LARGE_BYTES: Final = 256 * KIB
"""Larger bodies are counted, and shared."""


class PacedResponse(web.Response):
    """A response with a body of bytes or text, from any handler of ours."""

    began = since = 0.0
    """Loop time: when it was made, and when its client has last read something."""
    sent = 0
    connection: asyncio.Transport | None = None

    @property
    def content(self) -> bytes:
        """What is sent of it: a middleware of the host may have compressed it."""
        body: Any = self._body if self._compressed_body is None else self._compressed_body
        return body if isinstance(body, bytes) else b""

    def is_slow(self, now: float) -> bool:
        """Whether its client reads nothing, or hardly anything."""
        until = now - PATIENT_SECONDS
        return self.since <= until or (self.began <= until and self.sent < SLOW_BYTES * (now - self.began))

    def share(self, other: PacedResponse) -> None:
        """Lets go of a body that is the same as another one."""
        self._body = other._body

    async def write_eof(self, data: bytes = b"") -> None:
        """Sends the body, in pieces where it is larger than one, and waits for the client between them."""
        request, unread = self._req, unread_of_loop()
        connection = None if request is None else request.transport
        unread.touch(connection)
        content = b"" if self._must_be_empty_body else self.content
        try:
            if len(content) <= PIECE_BYTES or data:
                await super().write_eof(data)
                return
            view = memoryview(content)
            for start in range(0, len(content), PIECE_BYTES):
                await self.write(view[start : start + PIECE_BYTES])
                self.since, self.sent = unread.touch(connection), start
                await asyncio.sleep(0)  # a client that keeps up would hold the loop for the length of the body
            await web.StreamResponse.write_eof(self)
        finally:
            unread.large.discard(self)
            unread.touch(connection)


class Unread:
    """What the clients of a loop have not read yet. The timer runs while there is something."""

    def __init__(self) -> None:
        self._since: dict[asyncio.Transport, float] = {}
        """Loop time since which nothing has been read, at most, of what waits in a connection."""
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        """Loop time at which the timer is to run."""
        self.large: WeakSet[PacedResponse] = WeakSet()
        """Answers with a large body that are on their way."""

    def touch(self, connection: asyncio.Transport | None) -> float:
        """Something is written to this connection, or was just read from it. Returns the time."""
        now = asyncio.get_running_loop().time()
        if connection is not None:
            self._since[connection] = now
            if self._timer is None:
                self._timer = self._next()
        return now

    def _check(self) -> None:
        """Aborts connections whose clients have read nothing for too long, and forgets those that have read all.

        Time in which the loop itself stood still does not count: nobody could be seen to read.
        """
        now = asyncio.get_running_loop().time()
        for connection, earlier in list(self._since.items()):
            since = self._since[connection] = without_standstill(earlier, self._due, now)
            if connection.get_write_buffer_size():
                if now - since > bounds.SEND_TIMEOUT_SECONDS:
                    connection.abort()
                    del self._since[connection]
            elif now - since >= CHECK_SECONDS:
                del self._since[connection]
        self._timer = self._next() if self._since else None

    def _next(self) -> asyncio.TimerHandle:
        loop = asyncio.get_running_loop()
        self._due = loop.time() + CHECK_SECONDS
        return loop.call_at(self._due, self._check)

    def take(self, answer: PacedResponse) -> bool:
        """Counts a large body. False where there are too many, also without those whose clients do not read."""
        size = len(answer.content)
        if size < LARGE_BYTES:
            return True
        same = next((other for other in self.large if other.content == answer.content), None)
        if same is not None:
            answer.share(same)
        elif not self._make_room(size):
            return False
        answer.began = answer.since = asyncio.get_running_loop().time()
        self.large.add(answer)
        return True

    def _make_room(self, size: int) -> bool:
        """Cuts off slow clients, the slowest first, until a body of this size is not too much. Whether there is room:
        where nothing else is sent, one body may be of any size."""
        now = asyncio.get_running_loop().time()
        slow = sorted([answer for answer in self.large if answer.is_slow(now)], key=lambda answer: answer.since)
        while self.large and self.held + size > bounds.UNREAD_BYTES:
            if not slow:
                return False
            slowest = slow.pop(0)
            self.large.discard(slowest)
            if slowest.connection is not None:
                slowest.connection.abort()
        return True

    @property
    def held(self) -> int:
        """Bytes of all large bodies that are on their way; one that several are sent counts once."""
        return sum(map(len, {id(answer.content): answer.content for answer in self.large}.values()))


_of_loop: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, Unread]] = WeakKeyDictionary()


def unread_of_loop() -> Unread:
    """What the clients of the running loop have not read yet."""
    loop = asyncio.get_running_loop()
    unread = _of_loop.get(loop)
    if unread is None:
        unread = _of_loop[loop] = Unread()
    return unread


def may_be_sent(request: web.BaseRequest, response: web.StreamResponse) -> bool:
    """Whether there is room for a response. From then on its body is counted until it was sent, or is dropped."""
    if not isinstance(response, PacedResponse):
        return True
    response.connection = request.transport
    return unread_of_loop().take(response)
