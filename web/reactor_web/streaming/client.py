"""One open stream as the server sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from aiohttp import web

from reactor_web.http.query import StreamOptions

GONE: Final = "gone"
"""Why a stream closes whose client has gone; every other reason is told by ``stream.closing``."""


class Client:
    """One open stream: what the client asked for, why its stream closes, since when a write to it has lasted."""

    __slots__ = (
        "_waiter", "_was_woken", "closing", "cut", "on_wake", "opened", "options", "path", "run_id", "transport",
        "writing_since",
    )  # fmt: skip

    def __init__(self, request: web.Request, options: StreamOptions, run_id: str | None = None) -> None:
        self.transport = request.transport
        self.path = request.path
        self.run_id = run_id
        self.options = options
        self.closing: str | None = None
        """``GONE``, or the reason that ``stream.closing`` gives; None while the stream goes on."""
        self.cut: str | None = None
        """Why the connection was cut from here."""
        self.opened = asyncio.get_running_loop().time()
        self.writing_since: float | None = None
        """Loop time."""
        self.on_wake: Callable[[], None] | None = None
        """Called by ``wake`` once the client has no handler that waits."""
        self._waiter: asyncio.Future[None] | None = None
        self._was_woken = False

    def wake(self) -> None:
        """There is something to write, or the stream has to close."""
        if self.on_wake is not None:
            self.on_wake()
            return
        self._was_woken = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def wait(self) -> None:
        """Returns when ``wake`` was called since the last wait."""
        if not self._was_woken:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        self._was_woken = False

    def close(self, reason: str) -> None:
        """Asks the stream to close. The first reason counts."""
        if self.closing is None:
            self.closing = reason
            self.wake()

    @property
    def is_gone(self) -> bool:
        return self.transport is None or self.transport.is_closing()

    def abort(self, why: str) -> None:
        """Cuts the connection; what was not sent yet is lost. ``why``: for the log."""
        self.cut = self.cut or why
        if self.transport is not None:
            self.transport.abort()
