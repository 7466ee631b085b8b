"""``/runs/{id}/events``: following a run."""

from __future__ import annotations

from aiohttp import web

from reactor.errors import UnknownRun
from reactor_web.http.keys import ENGINE
from reactor_web.http.problems import Problem
from reactor_web.http.query import accepts, stream_options
from reactor_web.streaming.stream import stream_to


def routes() -> list[web.RouteDef]:
    return [web.get("/runs/{id}/events", follow_run)]


async def follow_run(request: web.Request) -> web.StreamResponse:
    """Server-sent events from the cursor on: first what the log has, then live, then ``stream.end``."""
    if not accepts(request.headers.get("Accept"), "text/event-stream"):
        raise Problem(406, "this is a stream of server-sent events: Accept: text/event-stream")
    # a bad query is one whatever the run
    options = stream_options(request.query, request.headers.get("Last-Event-ID"))
    engine, run_id = request.app[ENGINE], request.match_info["id"]
    if not options.await_run:
        return await stream_to(request, await engine.get(run_id), options, may_hand_over=True)
    pending = engine.wait_for(run_id)  # before asking for it: it may start in between
    try:
        return await stream_to(request, await engine.get(run_id), options, may_hand_over=True)
    except UnknownRun:
        return await stream_to(request, pending, options, may_hand_over=True)
    finally:
        pending.cancel()
