"""Deliver: a run as server-sent events. ``stream(request, run)`` is the whole of an SSE handler.

open        the response, and what is said before the first event
follow      follower: from the cursor to the end of the stream
hand over   handover: a client that has caught up needs no handler, where nobody else waits for its end
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, Final

import structlog
from aiohttp import web
from aiohttp_sse import EventSourceResponse

from reactor.clock import SystemClock
from reactor.errors import ReactorError
from reactor.events.event import Control
from reactor.events.values import traceback_of
from reactor.runs.run import Run
from reactor.stream.feed import Feed
from reactor_web.guard.hosts import guard_site
from reactor_web.http.query import StreamOptions, stream_options
from reactor_web.sse import frames as sse
from reactor_web.streaming.channel import Channels
from reactor_web.streaming.direct import transport_of
from reactor_web.streaming.follower import Follower
from reactor_web.streaming.handover import hand_over
from reactor_web.streaming.snapshot import last_logs, state_frames
from reactor_web.streaming.streams import SEND_TIMEOUT, Client, streams_of
from reactor_web.streaming.wire import RETRY_MS, Wire

logger = structlog.get_logger("reactor.web")

_NEVER: Final = 10 * 365 * 86_400.0
"""Seconds until aiohttp-sse's own ping, whose blank line makes clients report events nobody sent."""

HEADERS: Final = {"X-Accel-Buffering": "no", "X-Content-Type-Options": "nosniff"}
NO_STORE: Final = "no-store, no-transform"


async def stream(request: web.Request, run: Run | Awaitable[Run], **options: Any) -> web.StreamResponse:
    """Streams a run to this request, from any aiohttp handler: ``return await web.stream(request, run)``.

    What the request asks for in its query and ``Last-Event-ID`` holds, except for ``options`` (the fields of
    ``StreamOptions``): what the handler says no query changes. ``run`` may be awaited: one that has not started, for
    ``await_run`` seconds. Answers 204 to who has seen everything. Returns when the stream has ended or the client has
    gone, which cancels nothing. Raises Problem 400 for a bad query.
    """
    asked = stream_options(request.query, request.headers.get("Last-Event-ID"), options)
    return await stream_to(request, run, asked, may_hand_over=False)


async def stream_to(
    request: web.Request, run: Run | Awaitable[Run], asked: StreamOptions, *, may_hand_over: bool
) -> web.StreamResponse:
    """The same; with ``may_hand_over`` it may return earlier, and the stream goes on without its handler."""
    if isinstance(run, Run) and run.feed.closed == "end" and asked.after == run.feed.last_seq:
        return web.Response(status=204)
    if request.method == "HEAD":
        return web.Response(headers={"Content-Type": "text/event-stream", "Cache-Control": NO_STORE, **HEADERS})
    if request.query.get("on_disconnect") == "cancel":
        guard_site(request)
    response = _response()
    streams = streams_of(request)
    client = Client(request, asked)
    streams.add(client)
    try:
        writer = await response.prepare(request)
        response.stop_streaming()  # its ping, a task and a timer for each client; ours is the heartbeat operator
        wire = Wire(client, response.write, transport_of(writer))
        follower = await _open(request, run, client, wire, streams.channels)
        if follower is not None:
            try:
                while await follower.advance():
                    if may_hand_over and asked.on_disconnect != "cancel" and hand_over(request, follower, streams):
                        return response
                    await client.wait()
                await follower.finish()
            finally:
                if client.on_wake is None:
                    follower.leave()
        await response.write_eof()
    except ConnectionError:
        client.close("gone")  # which is no error, and changes nothing unless the client asked for that
    except asyncio.CancelledError:  # a host application may have its handlers cancelled when their client goes
        if client.is_gone:
            client.close("gone")
        raise
    except Exception as error:
        # the answer has begun: a problem document would be read as part of the stream
        logger.error("stream broke off", path=request.path, traceback=traceback_of(error))
        client.abort()
    finally:
        if client.on_wake is None:
            streams.remove(client)
        if asked.on_disconnect == "cancel" and client.closing == "gone" and isinstance(run, Run):
            streams.spawn(_cancel(run, request))
    return response


def _response() -> EventSourceResponse:
    response = EventSourceResponse(
        headers=HEADERS, allow_all_methods=True, ping_interval=_NEVER, send_timeout=SEND_TIMEOUT
    )
    response.headers["Cache-Control"] = NO_STORE
    del response.headers["Connection"]
    response.force_close()
    return response


async def _cancel(run: Run, request: web.Request) -> None:
    """The client of this stream asked for it, should it go before the run has ended."""
    try:
        await run.request_cancel(reason="disconnected", by=request.remote)
    except ReactorError as problem:  # it has ended meanwhile, say
        logger.info("not cancelled by a disconnect", run_id=run.id, reason=str(problem))


async def _open(
    request: web.Request, run: Run | Awaitable[Run], client: Client, wire: Wire, channels: Channels
) -> Follower | None:
    """Says what stands before the first event; None where there is no run to follow."""
    await wire.write(sse.HEARTBEAT)  # flushes the headers: the client knows at once that it is connected
    if isinstance(run, Run):
        feed = run.feed
        position, opening = await _opening(feed, client.options)
    else:
        started = await _started(run, request.match_info.get("id", ""), client, wire)
        if started is None:
            return None
        feed = started.feed
        # a cursor that is older than the run is nothing this run ever gave
        position, opening = (0, _ahead(feed, client.options.after)) if client.options.after else (0, b"")
    if opening:
        await wire.write(opening)
    return Follower(feed, client, wire, channels, position)


async def _started(pending: Awaitable[Run], run_id: str, client: Client, wire: Wire) -> Run | None:
    """The run this stream was opened for before it existed, or None where it has to close without one."""
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
                await wire.write(sse.HEARTBEAT)
        if waiting.done():
            return waiting.result()
    finally:
        waiting.cancel()
    if client.closing != "gone":
        closing = Control("stream.closing", run_id, _now(), {
            "reason": client.closing or "not_found", "retry_ms": RETRY_MS,
        })  # fmt: skip
        await wire.write(sse.control_frame(closing))
    return None


async def _opening(feed: Feed, options: StreamOptions) -> tuple[int, bytes]:
    """Where the stream begins, and what is said before its first event. A cursor is past all opening frames."""
    if options.after is not None:
        return (0, _ahead(feed, options.after)) if options.after > feed.last_seq else (options.after, b"")
    position, state = 0, b""
    if options.snapshot:
        position, state = state_frames(feed)
    elif options.tail is not None:
        position = max(0, feed.last_seq - options.tail)
    # ids only grow: the log lines stand before the state that is newer than they are
    return position, await last_logs(feed, options.logs, position) + state


def _ahead(feed: Feed, cursor: int) -> bytes:
    return sse.control_frame(feed.gap(feed.last_seq + 1, cursor, "ahead"))


def _now() -> str:
    return SystemClock().now().decode()
