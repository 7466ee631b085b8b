"""A client of a real server: the engine behind it is in this process, so that a test can compare both sides."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

import reactor_web
from reactor import Engine, Workflow
from reactor_web.client import Client
from reactor_web.client.loop_thread import LoopThread
from reactor_web.streaming.streams import STREAMS
from tests.helpers.cut_anywhere import AnywhereProxy, cut_anywhere
from tests.helpers.runs import wait_until


@dataclass
class Remote:
    """``client`` asks through ``proxy``, which cuts nothing unless it is told to; ``engine`` is the server's."""

    client: Client
    engine: Engine
    app: web.Application
    proxy: AnywhereProxy

    async def until_nobody_follows(self) -> None:
        """Fails where the server keeps a stream."""
        await wait_until(lambda: len(self.app[STREAMS]) == 0)


@asynccontextmanager
async def remote(
    engine: Engine, *flows: Workflow, cuts: Iterable[int] = (), throttle: float | None = None, **options: Any
) -> AsyncGenerator[Remote]:
    """A server for an engine and workflows, and a client with these ``options`` that waits no time."""
    app = reactor_web.create_app(engine, flows, throttle=throttle)
    server = TestServer(app, host="127.0.0.1")
    await server.start_server(shutdown_timeout=0.5)
    assert server.port is not None
    try:
        async with cut_anywhere(server.port, cuts) as proxy:
            given = {"sleep": lambda _: asyncio.sleep(0.002), "max_failures": 200, **options}
            async with Client(proxy.url, **given) as client:
                yield Remote(client, engine, app, proxy)
    finally:
        await server.close()


@contextmanager
def served(engine: Engine, *flows: Workflow) -> Iterator[str]:
    """The URL of a server in a thread of its own, for those who block theirs."""
    thread = LoopThread()
    servers: list[TestServer] = []

    async def start() -> str:
        servers.append(TestServer(reactor_web.create_app(engine, flows), host="127.0.0.1"))
        await servers[0].start_server(shutdown_timeout=0.5)
        return str(servers[0].make_url(""))

    async def stop() -> None:
        for server in servers:
            await server.close()

    try:
        yield thread.wait(start)
    finally:
        thread.stop(stop)
