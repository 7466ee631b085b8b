"""A run as server-sent events: ``stream(request, run)`` is all that a handler needs.

open        the headers, and what is written before the first event
follow      from the cursor to the end of the stream (``follower``)
hand over   a client that has caught up needs no handler, unless somebody waits for the end of it (``handover``)
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, Final

from aiohttp import web
from aiohttp_sse import EventSourceResponse

from reactor.clock import SystemClock
from reactor.errors import ReactorError
from reactor.events.event import Notice
from reactor.events.values import traceback_of
from reactor.logger import get_logger
from reactor.runs.run import Run
from reactor.stream.feed import Feed
from reactor_web.bounds import RETRY_MS, SEND_TIMEOUT_SECONDS
from reactor_web.dialects.native import NATIVE
from reactor_web.guard.hosts import guard_site
from reactor_web.http.query import StreamOptions, stream_options
from reactor_web.streaming.channels import Channels
from reactor_web.streaming.client import GONE, Client
from reactor_web.streaming.direct import transport_of
from reactor_web.streaming.follower import Follower
from reactor_web.streaming.handover import hand_over
from reactor_web.streaming.snapshot import last_logs, state_frames
from reactor_web.streaming.streams import Streams, streams_of
from reactor_web.streaming.wire import Wire

logger = get_logger("reactor.web")

_NEVER: Final = 10 * 365 * 86_400.0
"""Seconds until the ping of aiohttp-sse, which has a blank line: clients report it as an event that nobody sent."""

HEADERS: Final = {"X-Accel-Buffering": "no", "X-Content-Type-Options": "nosniff"}
NO_STORE: Final = "no-store, no-transform"


async def stream(request: web.Request, run: Run | Awaitable[Run], **options: Any) -> web.StreamResponse:
    """Answers a request with the events of a run, from any aiohttp handler: ``return await stream(request, run)``.

    The query and ``Last-Event-ID`` of the request say what the client wants. ``options`` are fields of
    ``StreamOptions`` that the handler sets; a query changes none of them but the cursor. ``run`` may be an awaitable of
    a run that has not started; it is awaited for ``await_run`` seconds. Answers 204 if the run has ended and the client
    has seen all of it. Returns when the stream has ended or the client has gone, which cancels nothing. Raises Problem
    400 for a bad query.
    """
    wanted = stream_options(request.query, request.headers.get("Last-Event-ID"), options)
    return await stream_to(request, run, wanted, may_hand_over=False)


async def stream_to(
    request: web.Request, run: Run | Awaitable[Run], options: StreamOptions, *, may_hand_over: bool
) -> web.StreamResponse:
    """Answers a request with the events of a run, under options that are checked.

    With ``may_hand_over`` it may return before the stream has ended; the stream then goes on without its handler.
    """
    if isinstance(run, Run) and run.feed.closed == "end" and options.after == run.feed.last_seq:
        return web.Response(status=204)
    if request.method == "HEAD":
        return web.Response(headers={"Content-Type": "text/event-stream", "Cache-Control": NO_STORE, **HEADERS})
    if request.query.get("on_disconnect") == "cancel":
        guard_site(request)
    response = _response()
    streams = streams_of(request)
    client = Client(request, options)
    streams.add(client)
    try:
        await _deliver(request, run, client, response, streams, may_hand_over=may_hand_over)
    except ConnectionError:
        client.close(GONE)  # this is not an error, and changes nothing unless the client asked for that
    except asyncio.CancelledError:  # a host application may have its handlers cancelled when their client goes
        if client.is_gone:
            client.close(GONE)
        raise
    except Exception as error:
        # the answer has begun: the client would read a problem document as part of the stream
        logger.error("stream broke off", path=request.path, traceback=traceback_of(error))
        client.abort()
    finally:
        if client.on_wake is None:
            streams.remove(client)
        if options.on_disconnect == "cancel" and client.closing == GONE and isinstance(run, Run):
            streams.spawn(_cancel(run, request))
    return response


async def _deliver(
    request: web.Request,
    run: Run | Awaitable[Run],
    client: Client,
    response: EventSourceResponse,
    streams: Streams,
    *,
    may_hand_over: bool,
) -> None:
    """Writes the stream to its end, or until it is handed over."""
    may_hand_over = may_hand_over and client.options.on_disconnect != "cancel"
    writer = await response.prepare(request)
    response.stop_streaming()  # ends its ping, a task and a timer for each client: we have our own heartbeat
    wire = Wire(client, response.write, transport_of(writer))
    follower = await _open(request, run, client, wire, streams.channels)
    if follower is not None:
        try:
            while await follower.advance():
                if may_hand_over and hand_over(request, follower, streams):
                    return
                await client.wait()
            await follower.finish()
        finally:
            if client.on_wake is None:
                follower.leave()
    await response.write_eof()


def _response() -> EventSourceResponse:
    response = EventSourceResponse(
        headers=HEADERS, allow_all_methods=True, ping_interval=_NEVER, send_timeout=SEND_TIMEOUT_SECONDS
    )
    response.headers["Cache-Control"] = NO_STORE
    del response.headers["Connection"]
    response.force_close()
    return response


async def _cancel(run: Run, request: web.Request) -> None:
    """Cancels a run whose client has gone before the end, as the client asked for."""
    try:
        await run.request_cancel(reason="disconnected", by=request.remote)
    except ReactorError as problem:  # the run may have ended meanwhile
        logger.info("not cancelled by a disconnect", run_id=run.id, reason=str(problem))


async def _open(
    request: web.Request, run: Run | Awaitable[Run], client: Client, wire: Wire, channels: Channels
) -> Follower | None:
    """Writes what stands before the first event; None if there is no run to follow."""
    await wire.write(NATIVE.heartbeat)  # sends the headers: the client knows at once that it is connected
    if isinstance(run, Run):
        feed = run.feed
        position, opening = await _opening(feed, client.options)
    else:
        started = await _wait_for_start(run, request.match_info.get("id", ""), client, wire)
        if started is None:
            return None
        feed = started.feed
        # the run is younger than the cursor, which therefore is not one of this run
        position, opening = (0, _ahead(feed, client.options.after)) if client.options.after else (0, b"")
    if opening:
        await wire.write(opening)
    return Follower(feed, client, wire, channels, position)


async def _wait_for_start(pending: Awaitable[Run], run_id: str, client: Client, wire: Wire) -> Run | None:
    """The run of a stream that was opened before its run; None, after ``stream.closing``, if the run does not start."""
    options = client.options
    waiting = asyncio.ensure_future(pending)
    waiting.add_done_callback(lambda _: client.wake())
    loop = asyncio.get_running_loop()
    until = loop.time() + options.await_run
    try:
        while not waiting.done() and client.closing is None and loop.time() < until:
            try:
                await asyncio.wait_for(client.wait(), min(options.heartbeat, until - loop.time()))
            except TimeoutError:
                await wire.write(NATIVE.heartbeat)
        if waiting.done():
            return waiting.result()
    finally:
        waiting.cancel()
    if client.closing != GONE:
        closing = Notice("stream.closing", run_id, SystemClock().now().decode(), {
            "reason": client.closing or "not_found", "retry_ms": RETRY_MS,
        })  # fmt: skip
        await wire.write(NATIVE.notice(closing))
    return None


async def _opening(feed: Feed, options: StreamOptions) -> tuple[int, bytes]:
    """The position the stream begins at, and the frames before its first event: none of them for a resume."""
    if options.after is not None:
        return (0, _ahead(feed, options.after)) if options.after > feed.last_seq else (options.after, b"")
    position, state = 0, b""
    if options.snapshot:
        position, state = state_frames(feed)
    elif options.tail is not None:
        position = max(0, feed.last_seq - options.tail)
    # ids only grow: the log lines come before the state, which is newer
    return position, await last_logs(feed, options.logs, position) + state


def _ahead(feed: Feed, cursor: int) -> bytes:
    """Tells a client that its cursor is above the last event of the run, so that all events follow."""
    return NATIVE.notice(feed.gap(feed.last_seq + 1, cursor, "ahead"))
