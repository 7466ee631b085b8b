"""Connections that have asked nothing yet: each is a socket and a time, until its first bytes come.

What serves a connection (a task, a parser and their buffers) takes 13 KB, asked or not. Clients that come at the same
time connect first and ask later, and some never ask: ten thousand of them made 120 MB, which the allocator did not give
back, and collections of garbage that held everybody for 300 ms.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

CHECK_SECONDS: Final = 1.0
"""How often it is looked who has asked nothing for too long."""


class Arrivals:
    """Makes the protocols of a server, for ``loop.create_server``.

    - ``serve()``: makes the protocol that a connection gets as soon as it asks.
    - ``patience``: seconds after which a connection that has sent nothing ends.
    """

    def __init__(self, serve: Callable[[], asyncio.Protocol], patience: float) -> None:
        self.serve = serve
        self._patience = patience
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[_Unasked, float] = {}
        """Those that have asked nothing, the oldest first: the loop time at which they end."""
        self._timer: asyncio.TimerHandle | None = None

    def __call__(self) -> asyncio.Protocol:
        return _Unasked(self)

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, connection: _Unasked) -> None:
        self._waiting[connection] = self._loop.time() + self._patience
        if self._timer is None:
            self._timer = self._loop.call_later(CHECK_SECONDS, self._check)

    def remove(self, connection: _Unasked) -> None:
        self._waiting.pop(connection, None)

    def close(self) -> None:
        """Ends those that have asked nothing."""
        if self._timer is not None:
            self._timer.cancel()
        for connection in list(self._waiting):
            connection.end()

    def _check(self) -> None:
        now = self._loop.time()
        for connection, ends in list(self._waiting.items()):
            if ends > now:
                break
            connection.end()
        self._timer = self._loop.call_later(CHECK_SECONDS, self._check) if self._waiting else None


class _Unasked(asyncio.Protocol):
    """The protocol of a connection that has sent nothing."""

    __slots__ = ("_arrivals", "_transport")

    _transport: asyncio.Transport

    def __init__(self, arrivals: Arrivals) -> None:
        self._arrivals = arrivals

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._arrivals.add(self)

    def data_received(self, data: bytes) -> None:
        self._arrivals.remove(self)
        served = self._arrivals.serve()
        self._transport.set_protocol(served)
        served.connection_made(self._transport)
        served.data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._arrivals.remove(self)

    def end(self) -> None:
        self._arrivals.remove(self)
        self._transport.close()
