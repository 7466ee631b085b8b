"""The server of ``holds``: all routes, those of one's own too, with everything that makes a request expensive.

``python -m benchmarks.holds_server [--quick]`` prints its port and a key. For each line on its input it prints what the
probe has seen since the line before.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
from typing import Any, Final

import orjson
from aiohttp import web

import reactor_web
from benchmarks import holds_flows as flows
from benchmarks.holds_probe import Probe
from reactor import Engine
from reactor.ports.access import KeyRecord
from reactor_web import Caps, Guard, JwtSettings
from reactor_web.guard.keys import MemoryKeys, make_key
from reactor_web.terminal.serve import COLLECTOR

SECRET: Final = "a-secret-of-this-benchmark-that-is-long-enough-for-sha-512-in-hmac-as-well"
SCOPES: Final = ("read", "run", "control", "admin")


def application(engine: Engine, *, quick: bool) -> tuple[web.Application, str]:
    """All routes, and a key that may do everything."""
    made = make_key()
    record = KeyRecord(
        id=made.id, digest=made.digest, name="all", scopes=frozenset(SCOPES), tenant="", expires=None,
        runs=("*a*a*a*a*a*a*a*a*b", "*"), workflows=("*",),
    )  # fmt: skip
    guard = Guard(
        keys=MemoryKeys([record]),
        jwt=JwtSettings(audience="reactor", key=SECRET, algorithms=["HS256"]),
        caps=Caps(connects_per_second=None, starts_per_second_per_principal=None, emits_per_second=None),
    )
    app = web.Application(middlewares=[reactor_web.problems])
    graph = flows.graph_of(2_500 if quick else 50_000)
    reactor_web.mount(
        app, engine, [*flows.FLOWS, graph, *flows.others()], guard=guard, allowed_hosts=["api.example"],
        cors=["https://app.example"],
    )  # fmt: skip
    own_routes(app, engine)
    return app, made.token


def own_routes(app: web.Application, engine: Engine) -> None:
    """One of each kind."""

    def start(request: web.Request, body: Any = None) -> reactor_web.Start:
        return reactor_web.Start("inputs", body if isinstance(body, dict) else {})

    reactor_web.add_stream(app, "/own/{id}/stream", engine, dialect="timeline")
    reactor_web.add_stream(app, "/own/{id}/started", engine, start=lambda _: reactor_web.Start("small"))
    reactor_web.add_start(app, "/own/start", engine, start)
    reactor_web.add_start(app, "/own/created", engine, start, answer="created")
    reactor_web.add_state(app, "/own/{id}/state", engine, dialect="agents")
    reactor_web.add_chat(
        app, "/own/chat", engine, lambda request, body: reactor_web.Start("inputs", {"anything": body})
    )
    reactor_web.add_agent(app, "/own/agent", engine, "inputs")


async def main() -> None:
    logging.disable()  # what is said of bodies and of the memory log is not what is measured
    quick = "--quick" in sys.argv
    loop = asyncio.get_running_loop()
    async with Engine("memory://", tools=[flows.echo], grace=0.0) as engine:
        app, key = application(engine, quick=quick)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        server = await loop.create_server(runner.server, "127.0.0.1", 0)  # type: ignore[arg-type]
        await flows.prepare(engine, quick=quick)
        gc.collect()
        gc.freeze()  # as ``serve`` does, and so is this
        gc.set_threshold(*COLLECTOR)
        say({"port": server.sockets[0].getsockname()[1], "key": key})
        probe = Probe(loop)
        lines = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
        while await lines.readline():
            say(probe.taken())
            probe.reset()
        await runner.cleanup()


def say(message: Any) -> None:
    sys.stdout.buffer.write(orjson.dumps(message) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    asyncio.run(main())
