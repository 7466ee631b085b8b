"""AG-UI: a server with an agent, the vendor's HttpAgent in Node, and what its judges say of frames."""

from __future__ import annotations

import asyncio
import json
import subprocess
import threading
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import ag_ui.core
import aiohttp
from ag_ui_validate import create_validator
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from pydantic import TypeAdapter

import reactor_web
from reactor import Engine, Event, Workflow
from reactor_web import dialects
from reactor_web.sse.parser import Frame, Parser
from tests.helpers.node import node_script
from tests.helpers.server import CLOSE_SECONDS

PATH = "/agent"
PATIENCE = 60.0

_EVENT: TypeAdapter[Any] = TypeAdapter(ag_ui.core.Event)


def frames_of(log: Sequence[Event]) -> bytes:
    """The frames of a log."""
    dialect = dialects.find("ag-ui")
    state, _ = dialect.begin(log[0], "fresh")
    return b"".join([dialect.step(state, event) for event in log])


def parsed(frames: bytes) -> list[Frame]:
    return Parser(sticky_id=False).feed(frames)


def messages_in(frames: bytes) -> list[dict[str, Any]]:
    """What the frames say."""
    return [json.loads(frame.data) for frame in parsed(frames)]


def judge(messages: Iterable[dict[str, Any]]) -> None:
    """The models of the protocol take each message, and its validator finds no error and no warning."""
    validator = create_validator()
    for message in messages:
        _EVENT.validate_python(message)
        validator.feed(message)
    validator.finalize()
    problems = [str(found) for found in validator.report().diagnostics if found.severity != "info"]
    assert not problems, "\n".join(problems)


class Verdict(NamedTuple):
    """What the vendor's client made of frames."""

    types: list[str]
    error: str | None
    """Of its parser or verifier."""
    warnings: list[str]
    """For example of a patch that does not fit."""
    state: Any
    messages: list[dict[str, Any]]


class Verifier:
    """``@ag-ui/client`` in a process: its parser, its verifier, its state."""

    def __enter__(self) -> Verifier:
        command = node_script("ag_ui_verify.mjs")
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.communicate()

    def verify(self, frames: bytes) -> Verdict:
        """What it makes of one stream."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        patience = threading.Timer(PATIENCE, self._process.kill)
        patience.start()
        try:
            self._process.stdin.write(json.dumps({"frames": frames.decode()}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        finally:
            patience.cancel()
        assert line, "the verifier has ended"
        return Verdict(**json.loads(line))


@dataclass
class Site:
    """A server with the agent ``PATH`` and the routes of the engine."""

    base: str
    engine: Engine
    session: aiohttp.ClientSession
    app: web.Application

    @property
    def url(self) -> str:
        return self.base + PATH

    async def post(self, body: Any, **headers: str) -> tuple[int, list[dict[str, Any]] | dict[str, Any]]:
        """(status, the messages of the stream, or the problem)."""
        async with self.session.post(self.url, json=body, headers=headers) as response:
            raw = await asyncio.wait_for(response.read(), PATIENCE)
            if response.content_type == "text/event-stream":
                return response.status, messages_in(raw)
            return response.status, json.loads(raw)

    async def run(self, thread: str, run: str, *messages: dict[str, Any], **members: Any) -> list[dict[str, Any]]:
        """The messages of one AG-UI run, which the judges accept."""
        status, answer = await self.post({"threadId": thread, "runId": run, "messages": list(messages), **members})
        assert status == 200, answer
        assert isinstance(answer, list)
        judge(answer)
        assert answer[-1]["type"] in ("RUN_FINISHED", "RUN_ERROR"), answer[-1]
        assert {message["type"] for message in answer[:-1]}.isdisjoint({"RUN_FINISHED", "RUN_ERROR"})
        return answer


@asynccontextmanager
async def serving(begin: Any, *flows: Workflow, engine: Engine | None = None) -> AsyncIterator[Site]:
    """``add_agent`` with this workflow, name or function."""
    app = web.Application()
    engine = engine or Engine("memory://", grace=0.0)
    reactor_web.mount(app, engine, flows)
    reactor_web.add_agent(app, PATH, engine, begin)
    listening = TestServer(app, host="127.0.0.1")
    await listening.start_server(shutdown_timeout=CLOSE_SECONDS)
    async with TestClient(listening) as client:
        yield Site(str(client.make_url("/")).rstrip("/"), engine, client.session, app)


def user(id: str, text: str) -> dict[str, Any]:
    """A message of the user."""
    return {"id": id, "role": "user", "content": text}


@dataclass
class Agent:
    """An ``HttpAgent`` on a thread, in a process of its own."""

    url: str
    thread: str

    async def __aenter__(self) -> Agent:
        self._process = await asyncio.create_subprocess_exec(
            *node_script("ag_ui_client.mjs"), self.url, self.thread,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=10_000_000,
        )  # fmt: skip
        return self

    async def __aexit__(self, *error: object) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()

    async def begin(self, **command: Any) -> None:
        """Asks for a run: ``message``, ``resume``, ``runId``, ``forwardedProps``, ``tell``."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        await self._process.stdin.drain()

    async def next(self) -> dict[str, Any]:
        """What it shows next."""
        assert self._process.stdout is not None
        line = await asyncio.wait_for(self._process.stdout.readline(), PATIENCE)
        assert line, "the agent has ended"
        return json.loads(line)

    async def ended(self) -> dict[str, Any]:
        """What came of a run: {types, runId, outcome, usage, failed, error, result, warnings, state, messages, …}."""
        while "event" in (shown := await self.next()):
            pass
        return shown

    async def run(self, **command: Any) -> dict[str, Any]:
        """What comes of a whole run."""
        await self.begin(**command)
        return await self.ended()
