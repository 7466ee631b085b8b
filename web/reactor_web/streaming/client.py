"""One open stream as the server sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Literal

from aiohttp import web

from reactor.listeners import StreamInfo
from reactor_web.http.query import StreamOptions

GONE: Final = "gone"
"""Why a stream closes whose client has gone; every other reason is told by ``stream.closing``."""


class Client:
    """One open stream: what the client asked for, why its stream closes, since when a write to it has lasted."""

    __slots__ = (
        "_waiter", "_was_woken", "closing", "cut", "has_ended", "on_wake", "opened", "options", "path", "peer",
        "run_id", "transport", "writing_since",
    )  # fmt: skip

    def __init__(self, request: web.Request, options: StreamOptions, run_id: str = "") -> None:
        self.transport = request.transport
        self.run_id = run_id
        self.peer = request.remote
        self.path = request.path
        self.options = options
        self.closing: str | None = None
        """``GONE``, or the reason that ``stream.closing`` gives; None while the stream goes on."""
        self.has_ended = False
        """Whether all of it was written."""
        self.cut: Literal["stalled", "error"] | None = None
        """Why the server cut the connection, if it did."""
        self.opened = 0.0
        """Loop time."""
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

    @property
    def end_reason(self) -> str:
        """Why its stream is over."""
        return self.cut or ("end" if self.has_ended else self.closing) or "end"

    @property
    def info(self) -> StreamInfo:
        """What listeners are told of it."""
        return StreamInfo(self.run_id, self.path, self.peer, self.options.dialect)

    def abort(self, why: Literal["stalled", "error"] = "error") -> None:
        """Cuts the connection; what was not sent yet is lost."""
        self.cut = why
        if self.transport is not None:
            self.transport.abort()
