"""Any Observable as server-sent events, for one client.

It has no log to fall back on: what the client has not read yet is kept here, up to a bound, and a client beyond it is
cut off. There is no cursor either, so a client that comes back has what its handler subscribes it to.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from functools import partial

from aiohttp import web
from reactivex import Observable

from reactor.clock import SystemClock
from reactor.events.event import Event, Notice
from reactor.logger import get_logger
from reactor_web.bounds import OBSERVABLE_BYTES, OBSERVABLE_ITEMS, RETRY_MS
from reactor_web.dialects import End
from reactor_web.dialects.framing import COMMENT
from reactor_web.http.query import StreamOptions
from reactor_web.streaming.connection.client import GONE, Client
from reactor_web.streaming.connection.wire import Wire
from reactor_web.streaming.pipeline.items import make
from reactor_web.streaming.response import head_response, respond

logger = get_logger("reactor.web")


async def stream_observable(
    request: web.Request, source: Observable[object], options: StreamOptions
) -> web.StreamResponse:
    """Answers a request with the items of an Observable.

    ``stream.end`` follows its completion; after ``on_error`` the connection is aborted.
    """
    if request.method == "HEAD":
        return head_response(options)
    client = Client(request, options)
    return await respond(request, client, partial(_deliver, source, client))


async def _deliver(source: Observable[object], client: Client, wire: Wire) -> bool:
    await wire.write(COMMENT)
    outbox = _Outbox(client)
    subscription = source.subscribe(outbox.on_next, outbox.on_error, outbox.on_completed)
    try:
        await _write_all(outbox, client, wire)
    except asyncio.CancelledError:
        if client.cut():
            await _finish(outbox, wire)
        raise
    finally:
        subscription.dispose()
    if client.closing != GONE and not client.is_gone:
        await _finish(outbox, wire)
    return True


async def _finish(outbox: _Outbox, wire: Wire) -> None:
    await wire.write(outbox.dialect.end(outbox.state, End(outbox.last_notice())))


async def _write_all(outbox: _Outbox, client: Client, wire: Wire) -> None:
    """Writes what comes until nothing more does. Raises what the Observable ended with."""
    period, beats = client.options.heartbeat or None, 0
    while client.closing is None and not client.is_gone:
        if data := outbox.take():
            await wire.write(data)
        elif outbox.error is not None:
            raise outbox.error
        elif outbox.is_over:
            return
        else:
            try:
                async with asyncio.timeout(period):
                    await client.wait()
            except TimeoutError:
                beats += 1
                await wire.write(outbox.dialect.heartbeat(outbox.state, beats, SystemClock().now().decode()))


class _Outbox:
    """The frames that one client has not been sent yet. Its source may call from any thread, one call at a time."""

    def __init__(self, client: Client) -> None:
        self.error: Exception | None = None
        self.is_over = False
        self.dialect = client.options.find_dialect()
        self.state, _ = self.dialect.begin(None, "resume")
        self._client = client
        self._frames: deque[bytes] = deque()
        self._bytes = 0
        self._run_id = ""
        self._lock = threading.Lock()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()

    def on_next(self, item: object) -> None:
        if self.is_over:
            return
        try:
            if isinstance(item, Event):
                self._run_id = item.run_id
            self._add(make(item, self.dialect, self.state).frames)
        except Exception as error:
            self.on_error(error)
        else:
            self._wake()

    def on_error(self, error: Exception) -> None:
        self.error = error
        self.on_completed()

    def on_completed(self) -> None:
        self.is_over = True
        self._wake()

    def take(self) -> bytes:
        """All frames there are, to be written as one piece."""
        with self._lock:
            data = b"".join(self._frames)
            self._frames.clear()
            self._bytes = 0
        return data

    def last_notice(self) -> Notice:
        """``stream.end``, or ``stream.closing`` where the server closes before the Observable has ended."""
        time, reason = SystemClock().now().decode(), self._client.closing
        if reason is None:
            return Notice("stream.end", self._run_id, time, {"status": "completed"})
        return Notice("stream.closing", self._run_id, time, {"reason": reason, "retry_ms": RETRY_MS})

    def _add(self, frames: bytes) -> None:
        with self._lock:
            self._frames.append(frames)
            self._bytes += len(frames)
            is_full = len(self._frames) > OBSERVABLE_ITEMS or self._bytes > OBSERVABLE_BYTES
            if is_full:
                self._frames.clear()
                self.is_over = True
        if is_full:
            logger.error(
                "a client is too slow for an Observable, which has no log to read again",
                path=self._client.path,
                items=OBSERVABLE_ITEMS,
                bytes=OBSERVABLE_BYTES,
            )
            self._call(lambda: self._client.abort("too slow"))  # its handler may be in the middle of a write

    def _wake(self) -> None:
        self._call(self._client.wake)

    def _call(self, function: Callable[[], None]) -> None:
        if threading.get_ident() == self._thread:
            function()
        else:
            self._loop.call_soon_threadsafe(function)
