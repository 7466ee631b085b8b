"""``reactor serve``: one server process from start to drain."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from typing import Final

from aiohttp import web

from reactor.definition.workflow import Workflow
from reactor.engine import Engine
from reactor.logger import get_logger
from reactor.ports.stores import Announced
from reactor.run_once import end_others
from reactor.tracing.environment import configure_tracing
from reactor.tracing.here import flush_spans
from reactor_web.app import create_app
from reactor_web.guard.guard import Guard
from reactor_web.http.keys import ROOM, Room
from reactor_web.streaming.streams import STREAMS
from reactor_web.terminal.accepting import Accepting, bind
from reactor_web.terminal.admin import Admin, admin_app, close_admin, open_admin
from reactor_web.terminal.arrivals import Arrivals
from reactor_web.terminal.memory import give_memory_back, trimmer
from reactor_web.terminal.signals import listen_for_signals

logger = get_logger("reactor.web")

BACKLOG = 4096
"""Connections that may wait to be accepted: when a server restarts, all of its clients come back at once."""
IDLE_SECONDS = 75.0
"""How long a connection may be open without a whole request: longer than a proxy keeps it for the next one."""
LINGER_SECONDS = 5.0
"""How long the rest of a body is waited for, and dropped, after its request was answered."""
STREAMS_CLOSE_SECONDS = 2.0
"""How long the server waits for open streams at its end."""
COLLECTOR: Final = 2_000, 10, 50
"""When garbage is collected: what is new after 2,000 objects, all after a million. By default, all after 70,000: so
many come with 1,000 clients, in the middle of what they wait for, and then everybody waits for 25 to 80 ms."""


async def serve(
    engine: Engine,
    workflows: Sequence[Workflow],
    host: str,
    port: int,
    *,
    guard: Guard | None = None,
    allowed_hosts: Sequence[str] = (),
    cors: Sequence[str] = (),
    metrics: bool = True,
    admin: Admin | None = None,
    ready: Callable[[str], None],
    sockets: Sequence[socket.socket] = (),
    admin_ready: Callable[[str], None] = lambda url: None,
) -> None:
    """Serves until SIGINT or SIGTERM, then drains; a second signal ends the process at once.

    ``ready(url)`` is called when connections are accepted, ``admin_ready(url)`` before that; ``port`` 0 takes a free
    one. Raises OSError if the server cannot listen there, AdminPortTaken if it cannot at the admin port.
    ``sockets``: those that listen already, instead of that address; they are closed at the end.
    """
    configure_tracing()
    app = create_app(
        engine, workflows, guard=guard, allowed_hosts=allowed_hosts, cors=cors, metrics=metrics, dashboard=True
    )
    room, runner = Room(), _runner_of(app)
    app[ROOM] = room
    stop = _stopped_by_signals(app, engine)
    await runner.setup()
    assert runner.server is not None, "it is set up"
    arrivals = Arrivals(runner.server, IDLE_SECONDS)
    server = trimming = admin_runner = None
    try:
        if admin is not None:
            admin_runner = await open_admin(admin_app(app, engine, allowed_hosts), admin, admin_ready)
        server = Accepting(arrivals, sockets or await bind(host, port, BACKLOG), room)
        _tune_collector()
        trimming = asyncio.create_task(give_memory_back(app[STREAMS], trimmer()))
        ready(_announced(engine, _url(server)))
        await stop.wait()
    finally:
        _take_no_more(server, arrivals, trimming)
        await runner.cleanup()
        await close_admin(admin_runner)  # last: how the drain goes can be looked at
        await _end_despite_bodies()


def _take_no_more(server: Accepting | None, arrivals: Arrivals, trimming: asyncio.Task[None] | None) -> None:
    if trimming is not None:
        trimming.cancel()
    if server is not None:
        server.close()
    arrivals.close()


def _stopped_by_signals(app: web.Application, engine: Engine) -> asyncio.Event:
    """Is set by the first SIGINT or SIGTERM."""
    stop = asyncio.Event()

    def on_signal(signum: int) -> None:
        stop.set()
        _say_stop(signum, app, engine)

    listen_for_signals(on_signal)
    return stop


def _announced(engine: Engine, url: str) -> str:
    """Whoever finds the log in use is told where to ask."""
    if isinstance(engine.log, Announced):
        engine.log.announce(url)
    return url


def _tune_collector() -> None:
    """What is there stays: to look through it again for garbage would hold everybody for 70 ms each time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTOR)


def _runner_of(app: web.Application) -> web.AppRunner:
    return web.AppRunner(
        app,
        access_log=None,
        shutdown_timeout=STREAMS_CLOSE_SECONDS,
        keepalive_timeout=IDLE_SECONDS,
        lingering_time=LINGER_SECONDS,
    )


async def _end_despite_bodies() -> None:
    """Ends the process if a body does not stop: an async body that swallows its cancel keeps the loop for ever."""
    await asyncio.to_thread(flush_spans)
    if await end_others() is not None:
        sys.stdout.flush()
        os._exit(0)


def _url(server: Accepting) -> str:
    host, port = server.sockets[0].getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _say_stop(signum: int, app: web.Application, engine: Engine) -> None:
    """Says at once what the end waits for; the lines of the engine say more."""
    logger.info(
        "the server stops; a second signal ends it at once",
        signal=signal.Signals(signum).name,
        streams=len(app[STREAMS]),
        open_runs=engine.open_runs,
    )
