"""One open stream as the server sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Literal, Protocol

from aiohttp import web

from reactor.listeners import StreamInfo
from reactor.runs.run import Run
from reactor_web.guard.admission import admission_of
from reactor_web.http.query import StreamOptions

GONE: Final = "gone"
"""Why a stream closes whose client has gone; every other reason is told by ``stream.closing``."""


class ToldOfClients(Protocol):
    """Who is told what becomes of a client: the streams of its application."""

    def note_resumed(self, client: Client, result: Literal["exact", "gap"]) -> None: ...


class Sent:
    """The bytes that were written to clients."""

    __slots__ = ("bytes",)

    def __init__(self) -> None:
        self.bytes = 0


_NOWHERE: Final = Sent()
"""Of clients that are not open yet."""


class Client:
    """One open stream: what the client asked for, why its stream closes, since when a write to it has lasted."""

    __slots__ = (
        "_told_resumed", "_waiter", "_was_woken", "aborted", "admission", "closing", "has_ended", "on_wake", "opened",
        "options", "path", "peer", "run", "run_id", "sent", "server", "streams", "transport", "writing_since",
    )  # fmt: skip

    def __init__(self, request: web.Request, options: StreamOptions, run_id: str = "") -> None:
        self.transport = request.transport
        self.run_id = run_id
        self.run: Run | None = None
        """The run that it follows, once that has started; None where it follows several, or something else."""
        self.admission = admission_of(request)
        """None of a request to a handler that nothing guards."""
        self.peer = request.remote
        self.path = request.path
        self.options = options
        self.closing: str | None = None
        """``GONE``, or the reason that ``stream.closing`` gives; None while the stream goes on."""
        self.has_ended = False
        """Whether all of it was written."""
        self.aborted: Literal["stalled", "too slow", "shutdown", "error"] | None = None
        """Why the server cut the connection, if it did."""
        self.opened = asyncio.get_running_loop().time()
        """Loop time."""
        self.writing_since: float | None = None
        """Loop time."""
        self.on_wake: Callable[[], None] | None = None
        """Called by ``wake`` once the client has no handler that waits."""
        self.streams: ToldOfClients | None = None
        """Where it is open."""
        self.sent = _NOWHERE
        """What counts the bytes that are written to it; all streams of an application share one."""
        self._told_resumed = not options.after
        self.server: object = None
        """aiohttp's protocol of the connection, where nothing else tells that the server shuts down."""
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

    def has_cursor(self, has_one: bool) -> None:
        """Whether the client is told what it can go on from."""
        if self.admission is not None:
            self.admission.has_cursor = has_one

    def resumed(self, result: Literal["exact", "gap"]) -> None:
        """It came back with a cursor, and is now sent what is behind it, or was told of a gap. The first result counts;
        one that has gone before it had all is neither."""
        if not self._told_resumed and self.streams is not None and (result == "gap" or self.closing is None):
            self._told_resumed = True
            self.streams.note_resumed(self, result)

    def close(self, reason: str) -> None:
        """Asks the stream to close. The first reason counts."""
        if self.closing is None:
            self.closing = reason
            self.wake()

    def cut(self) -> bool:
        """The handler was cancelled. Whether the client can be told why; one that does not read is taken as gone."""
        if self.is_gone or (self.transport is not None and self.transport.get_write_buffer_size()):
            self.closing = GONE
        else:
            self.close("lifetime")
        return self.closing != GONE

    @property
    def is_gone(self) -> bool:
        return self.transport is None or self.transport.is_closing()

    @property
    def is_server_closing(self) -> bool:
        """Whether aiohttp has told the connection to close after this answer, as it does when the server shuts down."""
        return getattr(self.server, "_close", False) is True

    @property
    def is_cut(self) -> bool:
        """Whether the response must end without its last chunk: its client would take a clean end for the run's.

        A run that never started is the end of what such a client waits for.
        """
        return self.closing not in (None, "not_found") and self.options.find_dialect().info.fetch_client

    @property
    def end_reason(self) -> str:
        """Why its stream is over."""
        return self.aborted or ("end" if self.has_ended else self.closing) or "end"

    @property
    def info(self) -> StreamInfo:
        """What listeners are told of it."""
        return StreamInfo(self.run_id, self.path, self.peer, self.options.dialect)

    def abort(self, why: Literal["stalled", "too slow", "shutdown", "error"]) -> None:
        """Cuts the connection; what was not sent yet is lost."""
        self.aborted = self.aborted or why
        if self.transport is not None:
            self.transport.abort()
