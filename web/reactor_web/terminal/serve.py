"""``reactor serve``: one server process from start to drain."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Sequence

from aiohttp import web

from reactor.definition.workflow import Workflow
from reactor.engine import Engine
from reactor.logger import get_logger
from reactor_web.app import create_app
from reactor_web.streaming.streams import STREAMS

logger = get_logger("reactor.web")

BACKLOG = 4096
"""Connections that may wait to be accepted: when a server restarts, all of its clients come back at once."""
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
    allowed_hosts: Sequence[str] = (),
    ready: Callable[[str], None],
) -> None:
    """Serves until SIGINT or SIGTERM, then drains; a second signal ends the process at once.

    ``ready(url)`` is called when connections are accepted; ``port`` 0 takes a free one. Raises OSError if the server
    cannot listen there.
    """
    app = create_app(engine, workflows, allowed_hosts=allowed_hosts)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=STREAMS_CLOSE_SECONDS)
    stop = asyncio.Event()
    _on_signals(stop, lambda signum: _say_stop(signum, app, engine))
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, backlog=BACKLOG).start()
        ready(_url(runner))
        await stop.wait()
    finally:
        await runner.cleanup()
        await _end_despite_bodies()


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


def _url(runner: web.AppRunner) -> str:
    host, port = runner.addresses[0][:2]
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
