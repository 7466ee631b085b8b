"""``reactor serve``: one server process from start to drain."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence

from aiohttp import web

from reactor.definition.workflow import Workflow
from reactor.engine import Engine
from reactor.logger import get_logger
from reactor_web.app import create_app
from reactor_web.guard.guard import Guard
from reactor_web.streaming.streams import STREAMS
from reactor_web.terminal.arrivals import Arrivals
from reactor_web.terminal.memory import give_memory_back, trimmer

logger = get_logger("reactor.web")

BACKLOG = 4096
"""Connections that may wait to be accepted: when a server restarts, all of its clients come back at once."""
ACCEPTS = 4
"""Connections that are accepted in one turn of the loop."""
IDLE_SECONDS = 75.0
"""How long a connection may be open without a whole request: longer than a proxy keeps it for the next one."""
LAST_CANCEL_SECONDS = 1.0
"""How long bodies that still run after the drain may take to answer a last cancel."""
STREAMS_CLOSE_SECONDS = 2.0
"""How long the server waits for open streams at its end."""


async def serve(
    engine: Engine,
    workflows: Sequence[Workflow],
    host: str,
    port: int,
    *,
    guard: Guard | None = None,
    allowed_hosts: Sequence[str] = (),
    cors: Sequence[str] = (),
    ready: Callable[[str], None],
) -> None:
    """Serves until SIGINT or SIGTERM, then drains; a second signal ends the process at once.

    ``ready(url)`` is called when connections are accepted; ``port`` 0 takes a free one. Raises OSError if the server
    cannot listen there.
    """
    app = create_app(engine, workflows, guard=guard, allowed_hosts=allowed_hosts, cors=cors)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=STREAMS_CLOSE_SECONDS, keepalive_timeout=IDLE_SECONDS)
    stop = asyncio.Event()
    _on_signals(stop, lambda signum: _say_stop(signum, app, engine))
    await runner.setup()
    assert runner.server is not None, "it is set up"
    arrivals = Arrivals(runner.server, IDLE_SECONDS)
    server = trimming = None
    try:
        server = await _listen(arrivals, host, port)
        # what is there now stays: to look through it again for garbage would hold everybody for 70 ms each time
        gc.collect()
        gc.freeze()
        trimming = asyncio.create_task(give_memory_back(app[STREAMS], trimmer()))
        ready(_url(server))
        await stop.wait()
    finally:
        if trimming is not None:
            trimming.cancel()
        if server is not None:
            server.close()
        arrivals.close()
        await runner.cleanup()
        await _end_despite_bodies()


async def _listen(arrivals: Arrivals, host: str, port: int) -> asyncio.Server:
    """Accepts connections, but not all that wait at once: asyncio takes as many in one turn of the loop as its backlog
    says, and 4,000 of them hold everybody else for 70 ms. The system keeps the others waiting. What a turn reads of
    those that are accepted is bounded by ``turns``."""
    server = await asyncio.get_running_loop().create_server(arrivals, host, port, backlog=ACCEPTS)
    for listening in server.sockets:
        with socket.socket(fileno=os.dup(listening.fileno())) as copy:
            copy.listen(BACKLOG)
    return server


async def _end_despite_bodies() -> None:
    """Ends the process if a body does not stop: an async body that swallows its cancel keeps the loop for ever."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    running = (await asyncio.wait(left, timeout=LAST_CANCEL_SECONDS))[1] if left else set[asyncio.Task[object]]()
    if running:
        logger.error("bodies that do not stop are left behind", bodies=len(running))
        sys.stdout.flush()
        os._exit(0)


def _url(server: asyncio.Server) -> str:
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


def _on_signals(stop: asyncio.Event, stopping: Callable[[int], None]) -> None:
    def on_signal(signum: int) -> None:
        if stop.is_set():
            os._exit(128 + signum)  # the second signal: no clean-up, no waiting for threads
        stop.set()
        stopping(signum)

    loop = asyncio.get_running_loop()
    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, on_signal, signum)
