"""``leaving(request)``: tells a handler that waits that its client has gone, so that nothing waits for nobody.

aiohttp cancels such a handler only where the host application asked for that. So one timer of the loop looks at the
connections of all requests that wait, as the timer of the streams does with theirs.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import Final
from weakref import WeakKeyDictionary

from aiohttp import web

from reactor_web.bounds import CHECK_SECONDS

_HANG_UP: Final[int | None] = getattr(select, "POLLRDHUP", None)
"""Linux only: the other end sends no more, whatever is still unread of what it has sent."""


class _Waiting:
    """The requests of a loop that wait for something. The timer runs while there is one."""

    def __init__(self) -> None:
        self._gone: dict[asyncio.Future[None], web.BaseRequest] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, request: web.BaseRequest) -> asyncio.Future[None]:
        loop = asyncio.get_running_loop()
        gone: asyncio.Future[None] = loop.create_future()
        self._gone[gone] = request
        if self._timer is None:
            self._timer = loop.call_later(CHECK_SECONDS, self._check)
        return gone

    def remove(self, gone: asyncio.Future[None]) -> None:
        del self._gone[gone]
        gone.cancel()  # nobody may wait for it any longer

    def _check(self) -> None:
        deaf = hung_up(request.transport for request in self._gone.values())
        for gone, request in self._gone.items():
            transport = request.transport
            if (transport is None or transport.is_closing() or transport in deaf) and not gone.done():
                gone.set_result(None)
        self._timer = asyncio.get_running_loop().call_later(CHECK_SECONDS, self._check) if self._gone else None


_of_loop: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, _Waiting]] = WeakKeyDictionary()


@contextmanager
def leaving(request: web.BaseRequest) -> Generator[asyncio.Future[None]]:
    """A future that is done as soon as the client of a request has been seen to be gone, within ``CHECK_SECONDS``."""
    loop = asyncio.get_running_loop()
    waiting = _of_loop.get(loop)
    if waiting is None:
        waiting = _of_loop[loop] = _Waiting()
    gone = waiting.add(request)
    try:
        yield gone
    finally:
        waiting.remove(gone)


def hung_up(transports: Iterable[asyncio.Transport | None]) -> set[asyncio.Transport]:
    """Those whose client has gone although nothing is read from them, so that nothing else tells it.

    aiohttp stops to read from a client that has sent 32 requests ahead.
    """
    if _HANG_UP is None:
        return set()
    found: dict[int, asyncio.Transport] = {}
    poll = select.poll()
    for transport in transports:
        if transport is not None and not transport.is_closing() and not transport.is_reading():
            connection = transport.get_extra_info("socket")
            if connection is not None and (fd := connection.fileno()) >= 0:
                found[fd] = transport
                poll.register(fd, _HANG_UP)
    return {found[fd] for fd, _ in poll.poll(0)} if found else set()
