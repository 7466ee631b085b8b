"""Deliver: a run as server-sent events. ``stream(request, run)`` is the whole of an SSE handler.

catch up    read the log from the cursor, write it in large pieces
join        a shared channel, at the moment nothing is left to read
live        write what the channel has; fall back to the log when it has moved on
end         ``stream.end`` after the terminal event; ``stream.closing`` when the server closes for a reason of its own
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import structlog
from aiohttp import web
from aiohttp_sse import EventSourceResponse

from reactor.events import Control
from reactor.feed import Feed
from reactor.follow import cursor_after
from reactor.run import Run
from web import sse
from web.channel import Channels, encode_replay
from web.query import StreamOptions, stream_options
from web.snapshot import encode_state, state_frames
from web.streams import SEND_TIMEOUT, Client, streams_of

logger = structlog.get_logger("reactor.web")

RETRY_MS: Final = 2_000
"""What clients are told to wait before they reconnect."""
_NEVER: Final = 10 * 365 * 86_400.0
"""aiohttp-sse's own ping cannot be switched off; its blank line makes clients report events nobody sent."""

HEADERS: Final = {"X-Accel-Buffering": "no", "X-Content-Type-Options": "nosniff"}
NO_STORE: Final = "no-store, no-transform"


async def stream(request: web.Request, run: Run, **options: Any) -> web.StreamResponse:
    """Streams a run to this request, from any aiohttp handler: ``return await web.stream(request, run)``.

    What the request asks for in its query and ``Last-Event-ID`` holds; ``options`` (the fields of ``StreamOptions``)
    are defaults for what it does not name. Answers 204 to who has seen everything. Returns when the stream has ended or
    the client has gone, which cancels nothing. Raises Problem 400 for a bad query.
    """
    asked = stream_options(request.query, request.headers.get("Last-Event-ID"), StreamOptions(**options))
    if run.feed.closed == "end" and asked.after == run.feed.last_seq:
        return web.Response(status=204)
    if request.method == "HEAD":
        return web.Response(headers={"Content-Type": "text/event-stream", "Cache-Control": NO_STORE, **HEADERS})
    response = EventSourceResponse(
        headers=HEADERS, allow_all_methods=True, ping_interval=_NEVER, send_timeout=SEND_TIMEOUT
    )
    response.headers["Cache-Control"] = NO_STORE
    del response.headers["Connection"]
    response.force_close()
    streams = streams_of(request)
    await response.prepare(request)
    client = Client(request, asked)
    streams.add(client)
    try:
        await _deliver(run.feed, client, response, streams.channels)
        await response.write_eof()
    except ConnectionResetError:
        logger.debug("client gone", run_id=run.id)
    finally:
        streams.remove(client)
        response.stop_streaming()
    return response


class _Wire:
    """Writes to one client. The watchdog over a write that never ends is ``Streams``, outside of it."""

    def __init__(self, client: Client, response: EventSourceResponse) -> None:
        self._client = client
        self._response = response
        self._told_retry = False

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


async def _deliver(feed: Feed, client: Client, response: EventSourceResponse, channels: Channels) -> None:
    wire = _Wire(client, response)
    position, opening = _opening(feed, client.options)
    await wire.write(opening or sse.HEARTBEAT)  # flushes the headers: the client knows at once that it is connected
    while client.closing is None:
        messages = await feed.read(position)
        if messages:
            data = encode_replay(messages, client.options)
            if isinstance(messages[0], Control):
                data = await _gap(feed, messages[0], data)
            position = cursor_after(messages, position)
            if data:
                await wire.write(data)
        elif feed.closed:
            break
        else:  # nothing to read, and nothing has suspended since: this is the moment to join
            position = await _live(feed, client, wire, channels, position)
    if last_words := _last_words(feed, client):
        await wire.write(last_words)


def _opening(feed: Feed, options: StreamOptions) -> tuple[int, bytes]:
    """Where the stream begins, and what is said before its first event."""
    if options.after is None:
        return state_frames(feed) if options.snapshot else (0, b"")
    if options.after > feed.last_seq:
        return 0, sse.control_frame(feed.gap(feed.last_seq + 1, options.after, "ahead"))
    return options.after, b""


async def _gap(feed: Feed, gap: Control, following: bytes) -> bytes:
    """The gap, the state as of its end, and what ``following`` holds after the gap's own frame."""
    frame = sse.control_frame(gap)
    state = await feed.state_at(gap.data["to"])
    return frame + encode_state(feed, state) + following[len(frame) :]


async def _live(feed: Feed, client: Client, wire: _Wire, channels: Channels, position: int) -> int:
    """Writes a shared channel's frames as they come; returns the position to read the log from."""
    floor = position
    channel = channels.join(feed, client.options, client.wake)
    offset = channel.end
    try:
        while client.closing is None:
            frames = channel.read(offset)
            if frames is None:
                return position
            if frames:
                offset += len(frames)
                position = frames[-1].position
                # what was held when this client joined, it has read from the log
                await wire.write(b"".join(frame.data for frame in frames if not 0 < frame.seq <= floor))
            elif channel.completed:
                return position
            else:
                await client.wait()
        return position
    finally:
        channels.leave(channel, client.options, client.wake)


def _last_words(feed: Feed, client: Client) -> bytes:
    if client.closing == "gone":
        return b""
    if client.closing is None and feed.closed == "end":
        return sse.control_frame(feed.control("stream.end", {"status": feed.state.status}), feed.last_seq)
    reason = client.closing or feed.closed
    return sse.control_frame(feed.control("stream.closing", {"reason": reason, "retry_ms": RETRY_MS}))
