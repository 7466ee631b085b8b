"""Deliver: a run as server-sent events. ``stream(request, run)`` is the whole of an SSE handler.

catch up    read the log from the cursor, write it in large pieces
join        a shared channel, at the moment nothing is left to read
live        write what the channel has; fall back to the log when it has moved on
end         ``stream.end`` after the terminal event; ``stream.closing`` when the server closes for a reason of its own
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, Final

import structlog
from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp_sse import EventSourceResponse

from reactor.bounds import READ_BYTES
from reactor.clock import SystemClock
from reactor.errors import ReactorError, UnknownRun
from reactor.events import Control, Message
from reactor.feed import Feed
from reactor.follow import cursor_after
from reactor.run import Run
from reactor.values import traceback_of
from web import sse
from web.body import guard_site
from web.channel import Channel, Channels, Frame, encode_replay
from web.direct import Direct
from web.query import StreamOptions, stream_options
from web.snapshot import encode_state, last_logs, state_frames
from web.streams import SEND_TIMEOUT, Client, streams_of

logger = structlog.get_logger("reactor.web")

RETRY_MS: Final = 2_000
"""What clients are told to wait before they reconnect."""
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
    if isinstance(run, Run) and run.feed.closed == "end" and asked.after == run.feed.last_seq:
        return web.Response(status=204)
    if request.method == "HEAD":
        return web.Response(headers={"Content-Type": "text/event-stream", "Cache-Control": NO_STORE, **HEADERS})
    response = EventSourceResponse(
        headers=HEADERS, allow_all_methods=True, ping_interval=_NEVER, send_timeout=SEND_TIMEOUT
    )
    response.headers["Cache-Control"] = NO_STORE
    del response.headers["Connection"]
    response.force_close()
    if request.query.get("on_disconnect") == "cancel":
        guard_site(request)
    streams = streams_of(request)
    client = Client(request, asked)
    streams.add(client)
    try:
        writer = await response.prepare(request)
        response.stop_streaming()  # its ping, a task and a timer for each client; ours is the heartbeat operator
        wire = _Wire(client, response, writer)
        await _deliver(run, client, wire, streams.channels)
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
        streams.remove(client)
        if asked.on_disconnect == "cancel" and client.closing == "gone" and isinstance(run, Run):
            streams.spawn(_cancel(run, request))
    return response


async def _cancel(run: Run, request: web.Request) -> None:
    """The client of this stream asked for it, should it go before the run has ended."""
    try:
        await run.request_cancel(reason="disconnected", by=request.remote)
    except ReactorError as problem:  # it has ended meanwhile, say
        logger.info("not cancelled by a disconnect", run_id=run.id, reason=str(problem))


class _Wire:
    """Writes to one client. The watchdog over a write that never ends is ``Streams``, outside of it."""

    def __init__(self, client: Client, response: EventSourceResponse, writer: AbstractStreamWriter | None) -> None:
        self._client = client
        self._response = response
        self._writer = writer
        self._told_retry = False

    def place(self, position: int, offset: int) -> Direct:
        """This client's place in a channel, which writes to it past its handler."""
        return Direct(self._writer, position, offset)

    @property
    def can_wait(self) -> bool:
        """Whether somebody else may write the next frames: the first one takes ``retry:`` with it."""
        return self._told_retry

    async def write(self, data: bytes) -> None:
        """Writes frames; the first one carries ``retry:``. Raises ConnectionResetError when the client is gone."""
        if not self._told_retry and not data.startswith(b":"):
            self._told_retry = True
            data = sse.with_retry(data, RETRY_MS)
        self._client.writing_since = asyncio.get_running_loop().time()
        try:
            await self._response.write(data)
        finally:
            self._client.writing_since = None
        # aiohttp only suspends when the transport is full: a long replay leaves the loop to others in between
        await asyncio.sleep(0)


async def _deliver(run: Run | Awaitable[Run], client: Client, wire: _Wire, channels: Channels) -> None:
    await wire.write(sse.HEARTBEAT)  # flushes the headers: the client knows at once that it is connected
    if isinstance(run, Run):
        feed = run.feed
        position, opening = await _opening(feed, client.options)
    else:
        started = await _started(run, client, wire)
        if started is None:
            return
        feed = started.feed
        # a cursor that is older than the run is nothing this run ever gave
        position, opening = (0, _ahead(feed, client.options.after)) if client.options.after else (0, b"")
    if opening:
        await wire.write(opening)
    try:
        await _follow(feed, client, wire, channels, position)
    except UnknownRun:  # retention took it while it was read
        client.close("not_found")
    if last_words := _last_words(feed, client):
        await wire.write(last_words)


async def _follow(feed: Feed, client: Client, wire: _Wire, channels: Channels, position: int) -> None:
    while client.closing is None:
        messages = await _next(feed, position)
        if messages:
            data = encode_replay(messages, client.options)
            if isinstance(messages[0], Control):
                data = await _gap(feed, messages[0], data)
            position = cursor_after(messages, position)
            if data:
                await wire.write(data)
            else:
                await asyncio.sleep(0)  # a filter that nothing passes must not hold the loop
        elif feed.closed:
            return
        else:  # nothing to read, and nothing has suspended since: this is the moment to join
            position = await _live(feed, client, wire, channels, position)


async def _next(feed: Feed, position: int) -> list[Message]:
    """What follows a position, as far as one write takes it: many small windows, or a part of a large one."""
    messages: list[Message] = []
    size = 0
    while more := await feed.read(position):
        for message in more:
            size += len(message.json)
            if size > READ_BYTES and messages:
                return messages
            messages.append(message)
        position = cursor_after(more, position)
        if size > READ_BYTES // 2:
            break  # another page of the log would be read for nothing
    return messages


async def _started(pending: Awaitable[Run], client: Client, wire: _Wire) -> Run | None:
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
        closing = Control("stream.closing", client.request.match_info.get("id", ""), _now(), {
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


async def _gap(feed: Feed, gap: Control, following: bytes) -> bytes:
    """The gap, the state as of its end, and what ``following`` holds after the gap's own frame."""
    frame = sse.control_frame(gap)
    state = await feed.state_at(gap.data["to"])
    return frame + encode_state(feed, state) + following[len(frame) :]


async def _live(feed: Feed, client: Client, wire: _Wire, channels: Channels, position: int) -> int:
    """Writes a shared channel's frames as they come; returns the position to read the log from."""
    channel = channels.of(feed, client.options)
    place = wire.place(position, channel.end)
    channel.join(place, client.wake)
    try:
        while client.closing is None:
            frames = channel.read(place.offset)
            if frames is None:
                return place.position
            if frames:
                await wire.write(_taken(channel, place, frames))
            elif channel.completed:
                return place.position
            else:
                place.is_waiting = wire.can_wait
                await client.wait()
                place.is_waiting = False
        return place.position
    finally:
        channels.leave(channel, client.options, place)


def _taken(channel: Channel, place: Direct, frames: list[Frame]) -> bytes:
    """What a client that is behind writes next; its place moves on."""
    frames = _at_most(READ_BYTES, frames)
    place.offset += len(frames)
    # in the middle of a window the position is not yet the window's end
    at_end = place.offset == channel.end
    place.position = frames[-1].position if at_end else max(place.position, frames[-1].seq)
    # what was held when this client joined, it has read from the log
    return b"".join(frame.data for frame in frames if not 0 < frame.seq <= place.floor)


def _at_most(size: int, frames: list[Frame]) -> list[Frame]:
    """As many of the frames as fit, and at least one."""
    total = 0
    for count, frame in enumerate(frames):
        total += len(frame.data)
        if total > size and count:
            return frames[:count]
    return frames


def _last_words(feed: Feed, client: Client) -> bytes:
    if client.closing == "gone":
        return b""
    if client.closing is None and feed.closed == "end":
        return sse.control_frame(feed.control("stream.end", {"status": feed.state.status}), feed.last_seq)
    reason = client.closing or feed.closed
    return sse.control_frame(feed.control("stream.closing", {"reason": reason, "retry_ms": RETRY_MS}))
