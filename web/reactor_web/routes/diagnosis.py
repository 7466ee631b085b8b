"""``GET /diagnosis``: what ``reactor doctor`` looks at. Facts only; what they mean is said there."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from aiohttp import web

from reactor.engine import Engine
from reactor_web.guard.access import GUARD, needs
from reactor_web.guard.addresses import is_forwarded
from reactor_web.guard.guard import Guard
from reactor_web.guard.key_file import KeyFile, KeyFileError
from reactor_web.guard.principal import Scope
from reactor_web.http.body import json_response
from reactor_web.http.keys import ENGINE, HOSTS

_LOOKS: Final = 10
_LOOK_SECONDS: Final = 0.02


def routes() -> list[web.RouteDef]:
    return [web.get("/diagnosis", diagnosis)]


@needs(Scope.ADMIN)
async def diagnosis(request: web.Request) -> web.Response:
    engine, guard = request.app[ENGINE], request.app[GUARD]
    return json_response(
        {
            "time": engine.clock.now().decode(),
            "loop_lag_seconds": await _loop_lag(),
            **_of_engine(engine),
            **_of_log(engine),
            "is_open_to_all": guard.is_insecure and not guard.is_configured,
            "allows_any_host": "*" in request.config_dict.get(HOSTS, ()),
            "is_forwarded_by_stranger": is_forwarded(request.headers) and not guard.proxies.trusts_peer_of(request),
            "key_file_problem": await _key_file_problem(guard),
        }
    )


def _of_engine(engine: Engine) -> dict[str, Any]:
    figures = engine.figures
    return {
        "is_accepting": engine.is_accepting,
        "open_runs": figures.open_runs,
        "stranded_runs": figures.stranded_runs,
        "stuck_threads": figures.threads.get("stuck", 0),
        "append_pending_seconds": figures.append_pending_seconds,
    }


def _of_log(engine: Engine) -> dict[str, Any]:
    kept, problem = engine.figures.kept, engine.log_problem
    return {
        "is_durable": engine.log.durable,
        "log_problem": None if problem is None else problem.reason or "failing",  # without the words of the log
        "keeps_all": None if kept is None else kept.seconds is None and kept.runs is None,
    }


async def _loop_lag() -> float:
    """How much too late the loop came to what was due, at worst."""
    loop, worst = asyncio.get_running_loop(), 0.0
    for _ in range(_LOOKS):
        due = loop.time() + _LOOK_SECONDS
        await asyncio.sleep(_LOOK_SECONDS)
        worst = max(worst, loop.time() - due)
    return worst


async def _key_file_problem(guard: Guard) -> str | None:
    """Why the file cannot be read now. The server goes on with the keys that it has read before."""
    if guard.key_file is None:
        return None
    try:
        await asyncio.to_thread(KeyFile(guard.key_file).load)
    except KeyFileError as error:
        return str(error)
    return None
