"""What an application gets that serves an engine: the life of the engine, and streams that close at a shutdown."""

from __future__ import annotations

from collections.abc import AsyncIterator

from aiohttp import web

from reactor.engine import Engine
from reactor_web.streaming.streams import STREAMS, Streams


def streams_in(app: web.Application) -> Streams:
    """The streams of everything that is mounted in this application; its shutdown closes them."""
    streams = app.get(STREAMS)
    if streams is None:
        streams = app[STREAMS] = Streams()
        app.on_shutdown.append(_close_streams)
    return streams


def run_engine(app: web.Application, engine: Engine) -> None:
    """Enters the engine when the application starts, and drains it when it stops.

    Whoever has entered it before also leaves it.
    """

    async def run(_: web.Application) -> AsyncIterator[None]:
        if engine.is_accepting:
            yield
            return
        async with engine:
            yield

    app.cleanup_ctx.append(run)


async def _close_streams(app: web.Application) -> None:
    """Runs before the server waits for its handlers, which open streams would keep for as long as they like."""
    await app[STREAMS].close("shutdown")
