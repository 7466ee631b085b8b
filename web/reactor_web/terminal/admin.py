"""``--admin-port``: what Prometheus and an orchestrator ask, on a port of its own, without a key.

It is for this machine unless ``--admin-host`` says otherwise. There is nothing of runs there but numbers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, NamedTuple

import typer
from aiohttp import web

from reactor.engine import Engine
from reactor_web.guard.access import GUARD
from reactor_web.guard.guard import Guard
from reactor_web.guard.hosts import LOOPBACK, check_host, check_hosts
from reactor_web.http.keys import ENGINE, HOSTS, ROOM
from reactor_web.http.problems import problems
from reactor_web.metrics.gathered import METRICS, metrics_in
from reactor_web.routes import health, metrics
from reactor_web.streaming.streams import STREAMS
from reactor_web.terminal.given import refuse

AdminPort = Annotated[
    int | None,
    typer.Option("--admin-port", min=0, max=65535, help="A port for /metrics, /healthz and /readyz, without a key."),
]
AdminHost = Annotated[str, typer.Option("--admin-host", help="Address of the admin port.")]


class AdminPortTaken(Exception):
    """Nobody can listen there: one sentence says why."""


class Admin(NamedTuple):
    """Where the admin port is."""

    host: str
    port: int


def admin_of(port: int | None, host: str) -> Admin | None:
    """What the flags say; refuses an address without a port."""
    if port is None and host != "127.0.0.1":
        refuse("--admin-host is the address of the admin port: give --admin-port as well")
    return None if port is None else Admin(host, port)


def admin_app(app: web.Application, engine: Engine, allowed_hosts: Sequence[str]) -> web.Application:
    """The routes of the admin port, about an application that serves an engine."""
    admin = web.Application(middlewares=[problems, _by_our_name])
    admin[HOSTS] = LOOPBACK | check_hosts(allowed_hosts)
    admin[ENGINE], admin[GUARD], admin[STREAMS], admin[METRICS] = engine, Guard(), app[STREAMS], metrics_in(app)
    if ROOM in app:
        admin[ROOM] = app[ROOM]
    admin.add_routes([*health.routes(), *metrics.routes()])
    return admin


@web.middleware
async def _by_our_name(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """No web page reads it under a name that its owner has made point here."""
    check_host(request)
    return await handler(request)


async def open_admin(app: web.Application, admin: Admin, ready: Callable[[str], None]) -> web.AppRunner:
    """Listens, and calls ``ready(url)``; returns what is to be cleaned up. Raises AdminPortTaken where it cannot."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, admin.host, admin.port).start()
    except OSError as error:
        await runner.cleanup()
        raise AdminPortTaken(
            f"cannot listen on {admin.host}:{admin.port}: {error.strerror or error}; choose another --admin-port"
        ) from error
    host, port = runner.addresses[0][:2]
    ready(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")
    return runner


async def close_admin(runner: web.AppRunner | None) -> None:
    """Lets go of the port, if there is one."""
    if runner is not None:
        await runner.cleanup()
