"""``create_app`` makes an aiohttp application of the routes; ``mount`` adds them to an application that exists."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

from aiohttp import web

from reactor.definition.names import names_options
from reactor.definition.workflow import Workflow
from reactor.engine import Engine
from reactor.events.values import named
from reactor.registry import check_workflows
from reactor_web.guard.hosts import LOOPBACK
from reactor_web.http.idempotency import Repeats
from reactor_web.http.keys import ENGINE, HOSTS, REPEATS
from reactor_web.http.problems import problems
from reactor_web.routes import commands, events, health, runs, sessions, socket, tools
from reactor_web.routes import workflows as definitions
from reactor_web.streaming.streams import STREAMS, Streams

PREFIX = "/api/v1"

Workflows = Iterable[Workflow] | Workflow


@names_options("create_app")
def create_app(engine: Engine, workflows: Workflows = (), *, allowed_hosts: Iterable[str] = ()) -> web.Application:
    """An aiohttp application that serves the workflows under ``/api/v1``.

    It enters the engine when it starts, unless the engine was entered before, and drains it when it stops.
    ``allowed_hosts``: host names other than loopback under which a request may start or change runs (``*``: any name).
    Raises WorkflowError for a bad workflow.
    """
    app = web.Application(middlewares=[problems])
    mount(app, engine, workflows, allowed_hosts=allowed_hosts)
    return app


@names_options("mount")
def mount(
    app: web.Application,
    engine: Engine,
    workflows: Workflows = (),
    *,
    prefix: str = PREFIX,
    allowed_hosts: Iterable[str] = (),
) -> None:
    """Adds the routes of ``create_app`` to an application under ``prefix``, so that its handlers can ``stream`` too.

    ``allowed_hosts`` and errors are those of ``create_app``; a bad ``prefix`` raises ValueError. The engine is entered
    and drained with the application. The routes answer errors with problem documents; for your own handlers, give the
    application the middleware ``problems`` before you mount.
    """
    _check(app, engine, prefix, allowed_hosts)
    for workflow in check_workflows(workflows):
        engine.register(workflow)
    # the middlewares of ``app`` wrap those of the routes: one that is in both would run twice for each request
    api = web.Application(middlewares=[] if problems in app.middlewares else [problems])
    api[ENGINE] = engine
    api[REPEATS] = Repeats(engine.answers)
    api[HOSTS] = LOOPBACK | frozenset(allowed_hosts)
    api[STREAMS] = _streams_of(app)
    api[STREAMS].tell(engine.listeners)
    for resource in (definitions, tools, runs, commands, sessions, events, socket, health):
        api.add_routes(resource.routes())
    api.cleanup_ctx.append(_run_engine)
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


def _streams_of(app: web.Application) -> Streams:
    """The streams of everything that is mounted in this application; its shutdown closes them."""
    streams = app.get(STREAMS)
    if streams is None:
        streams = app[STREAMS] = Streams()
        app.on_shutdown.append(_close_streams)
    return streams


async def _run_engine(api: web.Application) -> AsyncIterator[None]:
    engine = api[ENGINE]
    if engine.is_accepting:
        yield  # whoever entered it also leaves it
        return
    async with engine:
        yield


async def _close_streams(app: web.Application) -> None:
    """Runs before the server waits for its handlers, which open streams would keep for as long as they like."""
    await app[STREAMS].close("shutdown")
