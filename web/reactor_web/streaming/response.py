"""The response of a stream: its headers, and what happens when its client goes or its source breaks off."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from aiohttp import web
from aiohttp_sse import EventSourceResponse

from reactor.logger import get_logger
from reactor_web.bounds import SEND_TIMEOUT_SECONDS
from reactor_web.dialects import find
from reactor_web.http.query import StreamOptions
from reactor_web.streaming.client import GONE, Client
from reactor_web.streaming.direct import transport_of
from reactor_web.streaming.streams import streams_of
from reactor_web.streaming.wire import Wire

logger = get_logger("reactor.web")

_NEVER: Final = 10 * 365 * 86_400.0
"""Seconds until the ping of aiohttp-sse, which has a blank line: clients report it as an event that nobody sent."""

HEADERS: Final = {"X-Accel-Buffering": "no", "X-Content-Type-Options": "nosniff"}
NO_STORE: Final = "no-store, no-transform"
NO_HEADERS: Final[Mapping[str, str]] = {}


def head_response(options: StreamOptions) -> web.Response:
    """What HEAD is answered: the headers of the stream, and no stream."""
    own = find(options.dialect).info.headers
    return web.Response(headers={"Content-Type": "text/event-stream", "Cache-Control": NO_STORE, **HEADERS, **own})


async def respond(
    request: web.Request,
    client: Client,
    deliver: Callable[[Wire], Awaitable[bool]],
    more_headers: Mapping[str, str] = NO_HEADERS,
) -> web.StreamResponse:
    """Answers with what ``deliver`` writes. ``deliver`` returns False if the stream goes on without its handler."""
    response = _response(client.options)
    response.headers.update(more_headers)
    streams = streams_of(request)
    streams.add(client)
    try:
        writer = await response.prepare(request)
        response.stop_streaming()  # ends its ping, a task and a timer for each client: we have our own heartbeat
        if await deliver(Wire(client, response.write, transport_of(writer))):
            await response.write_eof()
    except ConnectionError:
        client.close(GONE)  # this is not an error, and changes nothing unless the client asked for that
    except asyncio.CancelledError:  # a host application may have its handlers cancelled when their client goes
        if client.is_gone:
            client.close(GONE)
        raise
    except Exception as error:
        # the answer has begun: the client would read a problem document as part of the stream
        logger.error("stream broke off", path=request.path, exc_info=error)
        client.abort("error")
    finally:
        if client.on_wake is None:
            streams.remove(client)
    return response


def _response(options: StreamOptions) -> EventSourceResponse:
    headers = {**HEADERS, **find(options.dialect).info.headers}
    response = EventSourceResponse(
        headers=headers, allow_all_methods=True, ping_interval=_NEVER, send_timeout=SEND_TIMEOUT_SECONDS
    )
    response.headers["Cache-Control"] = NO_STORE
    del response.headers["Connection"]
    response.force_close()
    return response
