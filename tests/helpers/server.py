"""A real server on a real socket, and what the tests of the web layer ask it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer
from pytest_aiohttp import AiohttpClient, AiohttpServer

import reactor_web
from reactor import Context, Engine, Workflow
from reactor_web.sse.parser import Frame, Parser
from reactor_web.streaming.streams import STREAMS, Streams

API = "/api/v1"
CLOSE_SECONDS = 2.0
"""What handlers get to return when a server stops."""


# --- workflows that wait for the test ---------------------------------------------------------------------------


class Gates:
    """Bodies wait here until the test lets them go."""

    def __init__(self) -> None:
        self._events: dict[str, asyncio.Event] = {}
        self._are_open = False

    def __getitem__(self, name: str) -> asyncio.Event:
        if name not in self._events:
            self._events[name] = asyncio.Event()
            if self._are_open:
                self._events[name].set()
        return self._events[name]

    def open(self) -> None:
        """Lets all bodies go, also those that come later."""
        self._are_open = True
        for event in self._events.values():
            event.set()


def gated_workflow(gates: Gates) -> Workflow:
    """fast, middle and slow in parallel, each behind its gate; after_fast needs fast alone.

    middle emits a ``step.made`` each time the gate ``step`` is opened, until its own gate is open.
    """
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


def small_workflow() -> Workflow:
    """a -> b, with one progress event of a."""
    flow = Workflow("small")

    @flow.task
    async def a(n: int = 1, ctx: Context = None) -> int:  # type: ignore[assignment]
        await ctx.progress(0.5)
        return n

    @flow.task
    async def b(a: int) -> int:
        return a + 1

    return flow


# --- the server -------------------------------------------------------------------------------------------------


@dataclass
class Server:
    """The server under test: ``url`` of its API, and a client session."""

    url: str
    engine: Engine
    session: aiohttp.ClientSession
    app: aiohttp.web.Application
    stop: Callable[[], Awaitable[None]]
    gates: Gates = field(default_factory=Gates)

    @classmethod
    def of(cls, client: TestClient[Any, Any], engine: Engine, app: aiohttp.web.Application) -> Server:
        return cls(str(client.make_url(API)), engine, client.session, app, client.server.close)

    @property
    def streams(self) -> Streams:
        """The open streams."""
        return self.app[STREAMS]

    async def start(self, workflow: str, input: dict[str, Any] | None = None, **body: Any) -> dict[str, Any]:
        status, answer = await self.post(f"/workflows/{workflow}/runs", {"input": input or {}, **body})
        assert status == 201, answer
        return answer

    async def get(self, path: str, **headers: str) -> tuple[int, Any]:
        """(status, JSON of the answer), as ``post`` and ``put`` too."""
        return await self._ask("GET", path, headers=headers)

    async def post(self, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        return await self._ask("POST", path, json={} if body is None else body, headers=headers)

    async def put(self, path: str, body: Any, **headers: str) -> tuple[int, Any]:
        return await self._ask("PUT", path, json=body, headers=headers)

    async def delete(self, path: str, **headers: str) -> tuple[int, Any]:
        return await self._ask("DELETE", path, headers=headers)

    async def _ask(self, method: str, path: str, **options: Any) -> tuple[int, Any]:
        async with self.session.request(method, self.url + path, **options) as response:
            raw = await response.read()
            return response.status, json.loads(raw) if raw else None

    def events(self, run_id: str, query: str = "", **headers: str) -> Stream:
        return Stream(self.session.get(f"{self.url}/runs/{run_id}/events{query}", headers=headers))


Serve = Callable[..., Awaitable[Server]]


@pytest.fixture
def serve(aiohttp_server: AiohttpServer, aiohttp_client: AiohttpClient) -> Serve:
    """Starts a server for an engine and workflows: ``server = await serve(engine, flow)``."""

    async def serve(engine: Engine, *flows: Workflow) -> Server:
        app = reactor_web.create_app(engine, flows)
        listening = await aiohttp_server(app, shutdown_timeout=CLOSE_SECONDS)
        return Server.of(await aiohttp_client(listening), engine, app)

    return serve


@pytest.fixture
async def server(serve: Serve) -> Server:
    """A server with the gated workflow, whose gates are ``server.gates``, and the small one."""
    gates = Gates()
    found = await serve(Engine("memory://", grace=0.0), gated_workflow(gates), small_workflow())
    found.gates = gates
    return found


@asynccontextmanager
async def serving(engine: Engine, *flows: Workflow) -> AsyncIterator[Server]:
    """A server where no fixture can be: in a loop of the test's own."""
    app = reactor_web.create_app(engine, flows)
    listening = TestServer(app, host="127.0.0.1")
    await listening.start_server(shutdown_timeout=CLOSE_SECONDS)
    async with TestClient(listening) as client:
        yield Server.of(client, engine, app)


# --- streams ----------------------------------------------------------------------------------------------------


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


def event_ids(frames: list[Frame]) -> list[int]:
    """The ids of the events of a stream; ``stream.end`` repeats the last of them."""
    return [int(frame.id) for frame in frames if frame.id and frame.event != "stream.end"]
