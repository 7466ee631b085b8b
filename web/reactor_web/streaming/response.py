"""The response of a stream: its headers, and what happens when its client goes or its source breaks off."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from aiohttp import web

from reactor.logger import get_logger
from reactor_web.guard.admission import count_stream
from reactor_web.http.body import NoBody
from reactor_web.http.passing import HEADERS, OWN
from reactor_web.http.query import StreamOptions
from reactor_web.http.sending import unread_of_loop
from reactor_web.streaming.connection.client import GONE, Client
from reactor_web.streaming.connection.compress import coding_for
from reactor_web.streaming.connection.direct import transport_of
from reactor_web.streaming.connection.event_stream import EventStream
from reactor_web.streaming.connection.wire import Wire
from reactor_web.streaming.streams import STREAMS, Streams, streams_of

logger = get_logger("reactor.web")

NO_HEADERS: Final[Mapping[str, str]] = {}


def head_response(options: StreamOptions) -> web.Response:
    """What HEAD is answered: the headers of the stream, and no stream."""
    info = options.find_dialect().info
    return NoBody(headers={**HEADERS, **info.headers, **OWN, "Content-Type": info.media_type})


async def respond(
    request: web.Request,
    client: Client,
    deliver: Callable[[Wire], Awaitable[bool]],
    more_headers: Mapping[str, str] = NO_HEADERS,
    *,
    keeps_alive: bool = False,
) -> web.StreamResponse:
    """Answers with what ``deliver`` writes. ``deliver`` returns False if the stream goes on without its handler.

    ``keeps_alive``: the connection takes another request after this one. Then a client can tell a connection that broke
    from the end: some take what ``Connection: close`` announced for complete. Raises Limited before anything is sent.
    """
    response = _response(request, client, more_headers, keeps_alive=keeps_alive)
    await count_stream(request, client.run_id)
    streams = streams_of(request)
    if STREAMS not in request.config_dict:
        client.server = request.protocol
    streams.add(client)
    try:
        writer = await response.prepare(request)
        response.stop_streaming()  # ends its ping, a task and a timer for each client: we have our own heartbeat
        wire = Wire(client, response.write, None if response.is_compressed else transport_of(writer))
        try:
            is_over = await deliver(wire)
        finally:
            if writer is not None:
                writer.output_size += wire.direct_bytes
        if is_over:
            response.is_cut = client.is_cut
            await response.write_eof()
    except ConnectionError:
        client.close(GONE)  # this is not an error, and changes nothing unless the client asked for that
    except asyncio.CancelledError:
        await _end_cancelled(client, response)
        raise
    except Exception as error:
        if _may_still_be_answered(request):
            raise
        logger.error("stream broke off", path=request.path, exc_info=error)
        client.abort("error")  # not a problem document, which the client would read as part of the stream
    finally:
        if client.on_wake is None:
            _leave(client, streams)
    return response


def _leave(client: Client, streams: Streams) -> None:
    """The stream is written, but its client must read the rest, too."""
    streams.remove(client)
    unread_of_loop().touch(client.transport)


def _may_still_be_answered(request: web.Request) -> bool:
    """Whether nothing was sent, because a hook of the application has raised: then with an error.

    That has a length, and no chunks.
    """
    if request.writer.output_size:
        return False
    setattr(request.writer, "chunked", False)  # noqa: B010  # no public way back from ``enable_chunking``
    return True


def _response(
    request: web.Request, client: Client, more_headers: Mapping[str, str], *, keeps_alive: bool
) -> EventStream:
    info = client.options.find_dialect().info
    of_run = {info.run_header: client.run_id} if info.run_header else NO_HEADERS
    headers = {**HEADERS, **info.headers, **of_run, **more_headers}
    coding = coding_for(request.headers.get("Accept-Encoding")) if client.options.compress else None
    return EventStream(headers, info.media_type, keeps_alive=keeps_alive, coding=coding)


async def _end_cancelled(client: Client, response: EventStream) -> None:
    """Ends the body of a stream whose handler was cancelled.

    Some hosts have their handlers cancelled when their client goes. Others limit the time of all handlers, and answer
    for them then: the client must not read that as part of the stream.
    """
    if client.cut() and response.prepared:
        response.is_cut = client.is_cut
        try:
            await response.write_eof()
        except ConnectionError:
            client.close(GONE)
    elif not client.is_gone:
        client.abort("error")
