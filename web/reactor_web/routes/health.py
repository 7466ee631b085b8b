"""``/healthz``: the process answers. ``/readyz``: the engine takes runs."""

from __future__ import annotations

from aiohttp import web

from reactor_web.guard.access import GUARD, public
from reactor_web.http.body import json_response
from reactor_web.http.keys import ENGINE, ROOM
from reactor_web.http.problems import LOG_FAILS, LOG_UNAVAILABLE, problem_response
from reactor_web.streaming.streams import STREAMS


def routes() -> list[web.RouteDef]:
    return [web.get("/healthz", healthz), web.get("/readyz", readyz)]


@public
async def healthz(request: web.Request) -> web.Response:
    return json_response({"status": "ok"})


@public
async def readyz(request: web.Request) -> web.Response:
    engine = request.app[ENGINE]
    if not engine.is_accepting:
        return problem_response(503, "the engine is draining")
    is_guarded = request.app[GUARD].is_configured  # then what goes on is for nobody who has not said who they are
    problem = engine.log_problem
    if problem is not None:
        reason = {} if problem.reason is None else {"reason": problem.reason}
        return problem_response(503, LOG_FAILS, request=request, code=LOG_UNAVAILABLE, **reason)
    room = request.config_dict.get(ROOM)
    if room is not None and room.is_full:
        return problem_response(503, "this server has no descriptors left for more connections")
    if is_guarded:
        return json_response({"status": "ok"})
    return json_response({"status": "ok", "open_runs": engine.open_runs, "streams": len(request.app[STREAMS])})
