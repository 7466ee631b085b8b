"""``/runs/{id}/events``: following a run."""

from __future__ import annotations

from aiohttp import web

from web.keys import ENGINE
from web.problems import Problem
from web.query import accepts, stream_options
from web.stream import stream


def routes() -> list[web.RouteDef]:
    return [web.get("/runs/{id}/events", follow_run)]


async def follow_run(request: web.Request) -> web.StreamResponse:
    """Server-sent events from the cursor on: first what the log has, then live, then ``stream.end``."""
    if not accepts(request.headers.get("Accept"), "text/event-stream"):
        raise Problem(406, "this is a stream of server-sent events: Accept: text/event-stream")
    stream_options(request.query, request.headers.get("Last-Event-ID"))  # a bad query is one whatever the run
    return await stream(request, await request.app[ENGINE].get(request.match_info["id"]))
