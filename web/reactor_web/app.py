"""``create_app`` makes an aiohttp application of the routes; ``mount`` adds them to an application that exists."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from aiohttp import web

from reactor.definition.names import names_options
from reactor.definition.workflow import Workflow
from reactor.engine import Engine
from reactor.events.values import named
from reactor.registry import check_workflows
from reactor_web.guard.cors import allow_origin, check_origins
from reactor_web.guard.hosts import LOOPBACK
from reactor_web.hosting import run_engine, streams_in
from reactor_web.http.keys import API_PREFIX, ENGINE, HOSTS, ORIGINS, SERVING
from reactor_web.http.problems import problems
from reactor_web.http.serving import Serving, View
from reactor_web.routes import all_events, client, commands, events, health, openapi, runs, sessions, socket, tools
from reactor_web.routes import workflows as definitions
from reactor_web.routes.methods import methods
from reactor_web.streaming.streams import STREAMS

PREFIX = "/api/v1"

Workflows = Iterable[Workflow] | Workflow


@names_options("create_app")
def create_app(
    engine: Engine,
    workflows: Workflows = (),
    *,
    allowed_hosts: Iterable[str] = (),
    cors: Iterable[str] = (),
    heartbeat: float | None = None,
    throttle: float | None = None,
    dialect: str = "native",
    compress: bool = False,
    views: Mapping[str, View] | None = None,
) -> web.Application:
    """An aiohttp application that serves the workflows under ``/api/v1``.

    It enters the engine when it starts, unless the engine was entered before, and drains it when it stops.

    - ``allowed_hosts``: host names other than loopback under which a request may start or change runs (``*``: any).
    - ``cors``: origins like ``https://app.example`` whose pages may ask, with credentials.
    - ``heartbeat`` (seconds), ``throttle`` (milliseconds), ``dialect``, ``compress``: what streams have where their
      query does not say otherwise. A dialect that has a pace of its own keeps it.
    - ``views``: pipelines of operators by the name that ``?view=`` asks for.

    Raises WorkflowError for a bad workflow; TypeError and ValueError for an option that cannot be.
    """
    app = web.Application(middlewares=[problems])
    mount(
        app, engine, workflows, allowed_hosts=allowed_hosts, cors=cors,
        heartbeat=heartbeat, throttle=throttle, dialect=dialect, compress=compress, views=views,
    )  # fmt: skip
    return app


@names_options("mount")
def mount(
    app: web.Application,
    engine: Engine,
    workflows: Workflows = (),
    *,
    prefix: str = PREFIX,
    allowed_hosts: Iterable[str] = (),
    cors: Iterable[str] = (),
    heartbeat: float | None = None,
    throttle: float | None = None,
    dialect: str = "native",
    compress: bool = False,
    views: Mapping[str, View] | None = None,
) -> None:
    """Adds the routes of ``create_app`` to an application under ``prefix``, so that its handlers can ``stream`` too.

    The options and errors are those of ``create_app``, and they hold for these routes only; a bad ``prefix`` raises
    ValueError. The engine is entered and drained with the application. The routes answer errors with problem documents;
    for your own handlers, give the application the middleware ``problems`` before you mount.
    """
    _check(app, engine, prefix, allowed_hosts)
    origins = check_origins(cors)
    serving = Serving(heartbeat, throttle, dialect, compress, {} if views is None else views)
    for workflow in check_workflows(workflows):
        engine.register(workflow)
    # the middlewares of ``app`` wrap those of the routes: one that is in both would run twice for each request
    api = web.Application(middlewares=[methods] if problems in app.middlewares else [problems, methods])
    api[ENGINE], api[SERVING], api[ORIGINS] = engine, serving, origins
    api.on_response_prepare.append(allow_origin)
    api[HOSTS] = LOOPBACK | frozenset(allowed_hosts)
    app[HOSTS] = api[HOSTS] | app.get(HOSTS, LOOPBACK)  # for routes of one's own
    api[STREAMS] = streams_in(app)
    api[STREAMS].tell(engine.listeners)
    for resource in (definitions, tools, runs, commands, sessions, events, all_events, socket, client, health, openapi):
        api.add_routes(resource.routes())
    app[API_PREFIX] = prefix
    run_engine(api, engine)
    app.add_subapp(prefix, api)


def _check(app: object, engine: object, prefix: object, allowed_hosts: object) -> None:
    """Raises TypeError or ValueError for an argument that ``mount`` cannot take: ``mount(app, "memory://")``."""
    if not isinstance(app, web.Application):
        raise TypeError(f"mount(app, engine): the app must be an aiohttp Application, not {named(app)}")
    if not isinstance(engine, Engine):
        hint = f": Engine({engine!r})" if isinstance(engine, str) else ""
        raise TypeError(f"the engine to mount must be an Engine, not {named(engine)}{hint}")
    if not isinstance(prefix, str) or not prefix.startswith("/") or prefix.endswith("/"):
        raise ValueError(f"{prefix!r} is not a prefix: it begins with / and does not end with /, like '/api/v1'")
    if any(resource.canonical == prefix for resource in app.router.resources()):
        raise ValueError(f"something is mounted under {prefix!r} already; give another prefix=")
    if isinstance(allowed_hosts, str):
        raise TypeError(f"allowed_hosts must be a list of names, not {allowed_hosts!r}: [{allowed_hosts!r}]")
