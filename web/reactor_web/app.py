"""The application: ``create_app`` for a service of its own, ``mount`` into one there is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

from aiohttp import web

from reactor.definition.workflow import Workflow
from reactor.engine import Engine
from reactor_web.guard.hosts import LOOPBACK
from reactor_web.http.keys import ENGINE, HOSTS
from reactor_web.http.problems import problems
from reactor_web.routes import commands, events, health, plans, runs
from reactor_web.routes import workflows as definitions
from reactor_web.streaming.streams import STREAMS, Streams

PREFIX = "/api/v1"


def create_app(
    engine: Engine, workflows: Iterable[Workflow] | Workflow = (), *, allowed_hosts: Iterable[str] = ()
) -> web.Application:
    """An aiohttp application that serves ``workflows`` under ``/api/v1``.

    Enters the engine when it starts, unless that was done, and drains it when it stops. ``allowed_hosts``: names other
    than loopback under which runs may be started here (``*``: any). Raises WorkflowError for a bad workflow.
    """
    app = web.Application(middlewares=[problems])
    mount(app, engine, workflows, allowed_hosts=allowed_hosts)
    return app


def mount(
    app: web.Application,
    engine: Engine,
    workflows: Iterable[Workflow] | Workflow = (),
    *,
    prefix: str = PREFIX,
    allowed_hosts: Iterable[str] = (),
) -> None:
    """The same inside an existing application, under ``prefix``. ``web.stream`` then works in its handlers too."""
    if not prefix.startswith("/") or prefix.endswith("/"):
        raise ValueError(f"{prefix!r} is no prefix: it begins with / and does not end with one")
    for workflow in [workflows] if isinstance(workflows, Workflow) else workflows:
        engine.register(workflow)
    api = web.Application(middlewares=[problems])
    api[ENGINE] = engine
    api[HOSTS] = LOOPBACK | frozenset(allowed_hosts)
    api[STREAMS] = app[STREAMS] = Streams()
    for resource in (definitions.routes, plans.routes, runs.routes, commands.routes, events.routes, health.routes):
        api.add_routes(resource())
    api.cleanup_ctx.append(_engine_life)
    app.on_shutdown.append(_close_streams)
    app.add_subapp(prefix, api)


async def _engine_life(api: web.Application) -> AsyncIterator[None]:
    engine = api[ENGINE]
    if engine.is_accepting:
        yield  # entered by whoever made it, who also leaves it
        return
    async with engine:
        yield


async def _close_streams(app: web.Application) -> None:
    """Before the server waits for its handlers: open streams would hold it for as long as they like."""
    await app[STREAMS].close("shutdown")
