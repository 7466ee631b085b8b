"""``create_app`` makes an aiohttp application of the routes; ``mount`` adds them to an application that exists."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from aiohttp import web

from reactor.definition.names import names_options
from reactor.definition.workflow import Workflow
from reactor.engine import Engine
from reactor.events.values import named
from reactor.registry import check_workflows
from reactor_web.dashboard.routes import add_dashboard, check_dashboard
from reactor_web.guard.access import GUARD, check_needs, guarded
from reactor_web.guard.cors import allow_origin, check_origins
from reactor_web.guard.guard import Guard
from reactor_web.guard.hosts import LOOPBACK, check_hosts
from reactor_web.guard.private import keep_private
from reactor_web.guard.watch import Authorize
from reactor_web.hosting import protect, run_engine
from reactor_web.http.keys import CREDENTIALS, ENGINE, HOSTS, ORIGINS, SERVING
from reactor_web.http.prefix import API_PREFIX
from reactor_web.http.problems import problems
from reactor_web.http.serving import Serving, View
from reactor_web.metrics.gathered import metrics_in
from reactor_web.routes import (
    all_events,
    client,
    commands,
    diagnosis,
    events,
    health,
    openapi,
    problem_pages,
    questions,
    runs,
    schedules,
    sessions,
    socket,
    tickets,
    tools,
    whoami,
)
from reactor_web.routes import metrics as metrics_page
from reactor_web.routes import workflows as definitions
from reactor_web.routes.methods import methods
from reactor_web.streaming.streams import STREAMS, streams_in

PREFIX = "/api/v1"

_RESOURCES = (
    definitions, tools, runs, questions, commands, schedules, sessions, events, all_events, socket, tickets, whoami,
    client, health, diagnosis, metrics_page,
    problem_pages, openapi,
)  # fmt: skip

Workflows = Iterable[Workflow] | Workflow


@names_options("create_app")
def create_app(
    engine: Engine,
    workflows: Workflows = (),
    *,
    guard: Guard | None = None,
    authorize: Authorize | None = None,
    allowed_hosts: Iterable[str] = (),
    cors: Iterable[str] = (),
    cors_credentials: bool = False,
    heartbeat: float | None = None,
    throttle: float | None = None,
    dialect: str = "native",
    compress: bool = False,
    views: Mapping[str, View] | None = None,
    metrics: bool = True,
    dashboard: bool | str = False,
) -> web.Application:
    """An aiohttp application that serves the workflows under ``/api/v1``.

    It enters the engine when it starts, unless the engine was entered before, and drains it when it stops.

    - ``guard``: who may ask, and how much. None: as ``protect`` or another ``mount`` of the application has said
      before, else everybody on this machine, and nobody else.
    - ``authorize``: ``authorize(request) -> Principal | None``, short for ``guard=Guard(authorize=...)``.
    - ``allowed_hosts``: host names other than loopback under which it may be asked (``*``: any).
    - ``cors``: origins like ``https://app.example`` whose pages may ask. ``cors_credentials``: with their cookies.
    - ``heartbeat`` (seconds), ``throttle`` (milliseconds), ``dialect``, ``compress``: what streams have where their
      query does not say otherwise. A dialect that has a pace of its own keeps it.
    - ``views``: pipelines of operators by the name that ``?view=`` asks for.
    - ``metrics``: whether the engine and its streams are counted, for ``/metrics``; False: that is 404.
    - ``dashboard``: whether pages that show the runs are served at ``/``, or the prefix of another place (``/ops``).

    Raises WorkflowError for a bad workflow; TypeError and ValueError for an option that cannot be.
    """
    app = web.Application(middlewares=[problems])
    mount(
        app, engine, workflows, guard=guard, authorize=authorize, allowed_hosts=allowed_hosts, cors=cors,
        cors_credentials=cors_credentials,
        heartbeat=heartbeat, throttle=throttle, dialect=dialect, compress=compress, views=views, metrics=metrics,
        dashboard=dashboard,
    )  # fmt: skip
    return app


@names_options("mount")
def mount(
    app: web.Application,
    engine: Engine,
    workflows: Workflows = (),
    *,
    prefix: str = PREFIX,
    guard: Guard | None = None,
    authorize: Authorize | None = None,
    allowed_hosts: Iterable[str] = (),
    cors: Iterable[str] = (),
    cors_credentials: bool = False,
    heartbeat: float | None = None,
    throttle: float | None = None,
    dialect: str = "native",
    compress: bool = False,
    views: Mapping[str, View] | None = None,
    metrics: bool = True,
    dashboard: bool | str = False,
) -> None:
    """Adds the routes of ``create_app`` to an application under ``prefix``, so that its handlers can ``stream`` too.

    The options and errors are those of ``create_app``, and they hold for these routes only; a bad ``prefix`` raises
    ValueError. The engine is entered and drained with the application. The routes answer errors with problem documents;
    for your own handlers, give the application the middleware ``problems`` before you mount.
    """
    _check(app, engine, prefix)
    pages = check_dashboard(app, dashboard)
    hosts, origins = check_hosts(allowed_hosts), check_origins(cors)
    guard = protect(app, _guard(app, guard, authorize), allowed_hosts=hosts)
    serving = Serving(heartbeat, throttle, dialect, compress, {} if views is None else views)
    for workflow in check_workflows(workflows):
        engine.register(workflow)
    # the middlewares of ``app`` wrap those of the routes: one that is in both would run twice for each request
    api = web.Application(middlewares=[*(() if problems in app.middlewares else (problems,)), methods, guarded])
    api[ENGINE], api[SERVING], api[GUARD] = engine, serving, guard
    api[ORIGINS], api[CREDENTIALS], api[HOSTS] = origins, cors_credentials, LOOPBACK | hosts
    api.on_response_prepare.extend([allow_origin, keep_private])
    api[STREAMS] = streams_in(app)
    api[STREAMS].tell(engine.listeners)
    if metrics:
        metrics_in(app, [engine])
    _add_resources(api)
    app[API_PREFIX] = prefix
    run_engine(api, engine)
    app.add_subapp(prefix, api)
    add_dashboard(app, engine, pages, prefix)


def _add_resources(api: web.Application) -> None:
    """Raises TypeError for a route of which nobody has said who may ask it."""
    for resource in _RESOURCES:
        routes = resource.routes()
        check_needs(routes)
        api.add_routes(routes)


def _check(app: object, engine: object, prefix: object) -> None:
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


def _guard(app: web.Application, guard: Guard | None, authorize: Authorize | None) -> Guard:
    """The guard that is given, else that of the application. Raises TypeError for both, and for what is no guard."""
    if guard is None and authorize is None:
        return app.get(GUARD) or Guard()
    if guard is None:
        return Guard(authorize=authorize)
    if authorize is not None:
        raise TypeError("give authorize= to the guard: Guard(authorize=...)")
    if not isinstance(guard, Guard):  # pyright: ignore[reportUnnecessaryIsInstance]  # users without a type checker
        raise TypeError(f"guard must be a Guard, not {named(guard)}")
    return guard
