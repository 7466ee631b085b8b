"""``?children=1``, and ``GET /events``: the events of several runs in the order of their commits, for one client.

The id of a frame is a position of the log: ``<position>`` for the last event of the window that was committed there,
``<position>.<k>`` for the k-th of those before it. A client that comes back is sent what is behind its cursor, from the
same log in the same order.
"""

from __future__ import annotations

import asyncio

from aiohttp import web

from reactor.events.event import Event
from reactor.operators.select import matcher
from reactor.runs.positions import PositionReader, TreeEvent
from reactor.stream.feed import Closed
from reactor_web.bounds import RETRY_MS
from reactor_web.dialects import Dialect, End
from reactor_web.dialects.framing import place_at
from reactor_web.http.query import StreamOptions
from reactor_web.streaming.connection.client import GONE, Client
from reactor_web.streaming.connection.wire import Wire
from reactor_web.streaming.response import head_response, respond


async def stream_positions(request: web.Request, options: StreamOptions, events: PositionReader) -> web.StreamResponse:
    """Answers a request with the events of several runs."""
    if request.method == "HEAD":
        return head_response(options)
    client = Client(request, options)

    async def deliver(wire: Wire) -> bool:
        await wire.write(wire.comment)
        await follow_positions(events, client, wire)
        return True

    return await respond(request, client, deliver)


async def follow_positions(events: PositionReader, client: Client, wire: Wire) -> None:
    """Writes the stream of several runs from its first frame to its end."""
    if (ahead := await events.begin()) is not None:
        client.resumed("gap")
        await wire.write(client.options.find_dialect().notice(None, ahead))
    stop = events.watch(client.wake)
    try:
        await _write_all(events, client, wire)
    except asyncio.CancelledError:
        if client.cut():
            await _finish(events, client, wire)
        raise
    else:
        await _finish(events, client, wire)
    finally:
        stop()


async def _finish(events: PositionReader, client: Client, wire: Wire) -> None:
    """Writes why nothing more comes, unless the client has gone."""
    if client.is_gone or client.closing == GONE:
        client.close(GONE)  # nothing has told that it is gone, where it was only seen by its connection
        return
    client.has_ended = client.closing is None and (events.is_over or events.closed == Closed.END)
    if not client.has_ended and events.closed is not None:
        client.close(events.closed)
    await wire.write(client.options.find_dialect().end(None, _end(events, client)))


async def _write_all(events: PositionReader, client: Client, wire: Wire) -> None:
    """Writes what comes until nothing more does."""
    dialect = client.options.find_dialect()
    matches = matcher(client.options.types, client.options.tasks)
    period = client.options.heartbeat or None
    while client.closing is None and not client.is_gone and not events.is_over:
        closed = events.closed  # before the read: what closes it is in the log by then
        if found := await events.read():
            frames = [_frame(dialect, event) for event in found if matches(event.message)]
            await (wire.write(b"".join(frames)) if frames else asyncio.sleep(0))
        elif events.is_behind:
            await asyncio.sleep(0)  # a selection that nothing passes must not block the loop
        elif closed:
            if closed == Closed.END and await events.is_deleted():
                client.close("not_found")  # it was deleted while it was read
            return
        else:
            client.resumed("exact")
            try:
                async with asyncio.timeout(period):
                    await client.wait()
            except TimeoutError:
                await wire.write(dialect.heartbeat(None, 0, ""))


def _frame(dialect: Dialect, event: TreeEvent) -> bytes:
    message = event.message
    if isinstance(message, Event):
        return place_at(dialect.step(None, message), event.position, event.part)
    return dialect.notice(None, message)


def _end(events: PositionReader, client: Client) -> End:
    if client.has_ended:
        return End(events.notice("stream.end", {"status": events.status}), events.position)
    return End(events.notice("stream.closing", {"reason": client.closing, "retry_ms": RETRY_MS}))
