"""What all routes of one's own share."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import Any, Final, TypeAlias

from aiohttp import web

from reactor.engine import Engine
from reactor.events.values import named
from reactor.runs.run import Run
from reactor_web.guard.access import Need, guard_of, let_in, let_out
from reactor_web.guard.caps import Limited
from reactor_web.guard.limited import answer_limited
from reactor_web.guard.principal import Scope
from reactor_web.hosting import run_engine
from reactor_web.http.keys import OWN_ROUTE
from reactor_web.http.problems import Problem, problems
from reactor_web.streaming.streams import streams_in

IdFrom: TypeAlias = str | Callable[[web.Request], str | Awaitable[str]]
"""Where the id of the run stands: a name in the path or, if the path has none of this name, in the query; or a function
of the request."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_ENGINES: Final = web.AppKey("reactor_own_engines", list[Engine])
_IN_PATH: Final = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)")


READS: Final = Need((Scope.READ,))
FOLLOWS: Final = Need((Scope.READ,), takes_ticket=True)
STARTS: Final = Need((Scope.RUN,))
STARTS_AND_SHOWS: Final = Need((Scope.READ, Scope.RUN))
COMMANDS: Final = Need((Scope.CONTROL,))
TALKS: Final = Need((Scope.READ, Scope.RUN, Scope.CONTROL))
"""Of an agent: its requests start runs, and answer their questions."""


def add_route(app: web.Application, method: str, path: str, engine: Engine, handle: Handler, need: Need) -> None:
    """Adds a route whose errors are problem documents, and whose engine lives with the application.

    Who may ask is said by the guard of ``mount`` or ``protect`` in the same application.

    Raises TypeError for an ``app`` or ``engine`` that is none, and what aiohttp raises for a path.
    """
    if not isinstance(app, web.Application):  # pyright: ignore[reportUnnecessaryIsInstance]  # users without a type checker
        raise TypeError(f"the app must be an aiohttp Application, not {named(app)}")
    if not isinstance(engine, Engine):  # pyright: ignore[reportUnnecessaryIsInstance]  # users without a type checker
        raise TypeError(f"the engine must be an Engine, not {named(engine)}")

    async def guarded(request: web.Request) -> web.StreamResponse:
        request[OWN_ROUTE] = True
        try:
            await let_in(request, need, guard_of(request), engine)
            return await handle(request)
        except Limited as limited:
            return answer_limited(request, limited)
        finally:
            let_out(request)

    async def handler(request: web.Request) -> web.StreamResponse:
        return await problems(request, guarded)

    app.router.add_route(method, path, handler)
    if method == "GET":
        app.router.add_route("HEAD", path, handler)
    streams_in(app).tell(engine.listeners)
    engines = app.get(_ENGINES)
    if engines is None:
        engines = app[_ENGINES] = []
    if engine not in engines:
        engines.append(engine)
        run_engine(app, engine)


def check_id_from(id_from: IdFrom, path: str) -> None:
    """Raises TypeError for what is neither a name nor a function."""
    if not isinstance(id_from, str) and not callable(id_from):
        raise TypeError(f"{path}: id_from= must be a name in the path or the query, or a function(request)")


async def id_of(request: web.Request, id_from: IdFrom) -> str:
    """The id of the run that a request is about; raises Problem 400 where it names none."""
    run_id = await id_or_none(request, id_from)
    if run_id is None:
        where = f": ?{id_from}=" if isinstance(id_from, str) else ""
        raise Problem(400, f"the request does not say which run{where}")
    return run_id


async def id_or_none(request: web.Request, id_from: IdFrom) -> str | None:
    """The id of the run that a request is about, if it names one.

    Raises TypeError for a function that returns neither text nor None: a bug, which the log then tells.
    """
    if isinstance(id_from, str):
        return request.match_info.get(id_from) or request.query.get(id_from) or None
    found: object = await value_of(id_from(request))
    if found is not None and not isinstance(found, str):
        raise TypeError(f"id_from(request) must return the id of a run, which is text, or None, not {named(found)}")
    return found or None


def own_query(request: web.Request, id_from: IdFrom) -> dict[str, list[str]]:
    """The query without the id of the run."""
    return {name: request.query.getall(name) for name in request.query if name != id_from}


def names_in(path: str) -> tuple[str, ...]:
    """The names of the variable parts of a path."""
    return tuple(_IN_PATH.findall(path))


async def value_of(result: Any) -> Any:
    """What a function of the host returns, which may be async. A run can be awaited, too, but then for its end."""
    return await result if isawaitable(result) and not isinstance(result, Run) else result
