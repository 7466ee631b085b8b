"""A real server on a real socket, and what the tests of the web layer ask it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
import reactor_web
from aiohttp.test_utils import TestServer
from reactor_web.sse.parser import Frame, Parser

from reactor import Context, Engine, Workflow


class Gates:
    """Bodies wait here until the test lets them go."""

    def __init__(self) -> None:
        self._events: dict[str, asyncio.Event] = {}

    def __getitem__(self, name: str) -> asyncio.Event:
        return self._events.setdefault(name, asyncio.Event())


def gated_workflow(gates: Gates) -> Workflow:
    """fast, middle and slow in parallel, each behind its gate; after_fast needs fast alone; steps emits until told."""
    flow = Workflow("gated")

    @flow.task
    async def fast() -> str:
        await gates["fast"].wait()
        return "fast"

    @flow.task
    async def middle(ctx: Context) -> str:
        count = 0
        while not gates["middle"].is_set():
            await gates["step"].wait()
            gates["step"].clear()
            count += 1
            await ctx.emit("step.made", {"count": count})
        return "middle"

    @flow.task
    async def slow() -> str:
        await gates["slow"].wait()
        return "slow"

    @flow.task
    async def after_fast(fast: str) -> str:
        return fast.upper()

    return flow


@dataclass
class Server:
    """The server under test: ``url`` of its API, and a client session."""

    url: str
    engine: Engine
    session: aiohttp.ClientSession
    gates: Gates
    app: aiohttp.web.Application
    stop: Callable[[], Awaitable[None]]
    extra: dict[str, Any] = field(default_factory=dict)

    async def start(self, workflow: str, input: dict[str, Any] | None = None, **body: Any) -> dict[str, Any]:
        async with self.session.post(
            f"{self.url}/workflows/{workflow}/runs", json={"input": input or {}, **body}
        ) as response:
            assert response.status == 201, await response.text()
            return await response.json()

    async def get(self, path: str, **headers: str) -> tuple[int, Any]:
        async with self.session.get(f"{self.url}{path}", headers=headers) as response:
            return response.status, await response.json(content_type=None) if response.status != 204 else None

    def events(self, run_id: str, query: str = "", **headers: str) -> Stream:
        return Stream(self.session.get(f"{self.url}/runs/{run_id}/events{query}", headers=headers))


class Stream:
    """An open event stream: ``async with``, then frame by frame. ``raw`` keeps every byte."""

    def __init__(self, request: Any) -> None:
        self._request = request
        self._parser = Parser(sticky_id=False)
        self._frames: list[Frame] = []
        self.raw = b""

    async def __aenter__(self) -> Stream:
        self.response: aiohttp.ClientResponse = await self._request.__aenter__()
        self.status = self.response.status
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._request.__aexit__(*error)

    async def __aiter__(self) -> AsyncIterator[Frame]:
        while (frame := await self.next()) is not None:
            yield frame

    async def next(self) -> Frame | None:
        async with asyncio.timeout(10):
            while not self._frames:
                chunk = await self.response.content.readany()
                if not chunk:
                    return None
                self.raw += chunk
                self._frames = self._parser.feed(chunk)
        return self._frames.pop(0)

    async def until(self, event: str, **data: Any) -> Frame:
        """The next frame of this type."""
        while (frame := await self.next()) is not None:
            if frame.event == event and all(f'"{k}":"{v}"' in frame.data for k, v in data.items()):
                return frame
        raise AssertionError(f"the stream ended before {event} {data}")

    async def all(self) -> list[Frame]:
        return [frame async for frame in self]


def small_workflow() -> Workflow:
    """a -> b, with one progress event each."""
    flow = Workflow("small")

    @flow.task
    async def a(n: int = 1, ctx: Context = None) -> int:  # type: ignore[assignment]
        await ctx.progress(0.5)
        return n

    @flow.task
    async def b(a: int) -> int:
        return a + 1

    return flow


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    gates = Gates()
    engine = Engine("memory://", grace=0.0)
    app = reactor_web.create_app(engine, [gated_workflow(gates), small_workflow()])
    test_server = TestServer(app, host="127.0.0.1")
    await test_server.start_server(shutdown_timeout=2.0)
    async with aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{test_server.port}/api/v1"
        yield Server(url, engine, session, gates, app, test_server.close)
    await test_server.close()
