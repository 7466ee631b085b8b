"""The server program: ``python -m benchmarks.server KIND [LOG]``; prints its port, serves until it is terminated.

- ``reactor``: the package as ``reactor serve`` runs it, with the workflows of ``workloads``.
- ``counted``: the same, and counts how often each dialect makes frames (``steps``).
- ``secure FOLDER``: the package in an application that has TLS, with the certificate in that folder, and one open run.
- ``stock FOLDER``: the same, but asyncio keeps its read buffers.
- ``send``: what people write with aiohttp-sse: a queue per client and ``send()`` per event.
- ``made``: only writes bytes that were made before, one write per event and client: the limit of the kernel, of
  Python's ``socket.send`` and of the load program.

With BENCH_METRICS=off the server counts nothing. With BENCH_PROFILE=FILE cProfile profiles the process while it serves.
On SIGUSR1 it collects garbage, so that a run does not begin with the garbage of another one.
"""

from __future__ import annotations

import asyncio
import cProfile
import gc
import os
import signal
import ssl
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from aiohttp import web

from benchmarks import baseline
from benchmarks.messages import RUN_ID
from benchmarks.steps import count_steps
from benchmarks.workloads import graph, lines, speaking, telling, ticking
from reactor import Engine, Workflow
from reactor_web import create_app
from reactor_web.http import read_buffer
from reactor_web.terminal.serve import serve


def ready(url: str) -> None:
    """Prints the port, then discards all logs: nobody reads them, and a full pipe would block."""
    print(url.rpartition(":")[2], flush=True)
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


async def reactor(log: str, *more: Workflow) -> None:
    flows = [speaking(), ticking(), telling(), graph(), *lines(), *more]
    await serve(Engine(log), flows, "127.0.0.1", 0, metrics=os.environ.get("BENCH_METRICS") != "off", ready=ready)


async def secure(folder: str) -> None:
    """An open run in an application of somebody's that has TLS."""
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(Path(folder) / "cert.pem", Path(folder) / "key.pem")
    engine = Engine("memory://")
    runner = web.AppRunner(create_app(engine, [speaking()]), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls, backlog=1_024).start()
    await engine.start("speaking", {"events": 1, "burst": 1, "pause": 0.0}, run_id=RUN_ID)
    ready(f":{runner.addresses[0][1]}")
    await asyncio.Event().wait()


def job_of(kind: str, log: str = "memory://") -> Coroutine[Any, Any, None]:
    """What the program does."""
    match kind:
        case "reactor":
            return reactor(log)
        case "counted":
            return reactor(log, count_steps())
        case "secure":
            return secure(log)
        case "stock":
            read_buffer.is_known = lambda: False
            return secure(log)
        case "send":
            return baseline.send(ready)
        case _:
            return baseline.made(ready)


def collect(*_: object) -> None:
    gc.collect()


def main() -> None:
    signal.signal(signal.SIGUSR1, collect)
    job = job_of(*sys.argv[1:])
    file = os.environ.get("BENCH_PROFILE")
    if file is None:
        asyncio.run(job)
        return
    profile = cProfile.Profile()
    profile.runcall(asyncio.run, job)
    profile.dump_stats(file)


if __name__ == "__main__":
    main()
