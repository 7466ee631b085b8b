"""A server whose log is broken tells nobody how: not by any route, status or frame, and its own log has it all."""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
from collections.abc import AsyncIterator
from inspect import iscoroutinefunction
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer

import reactor_web
from reactor import Engine
from reactor.errors import LogUnavailable
from reactor.logs.memory import MemoryLog
from reactor.testing import LogAround
from tests.helpers.server import API, Gates, Server, gated_workflow, small_workflow

INTERNAL = "SELECT payload FROM events -- /srv/secret/runs.db at reactor.logs.sqlite.writer line 7"
WORDS = ("SELECT", "/srv/secret", "reactor.logs", "Traceback", "OperationalError", "sqlite", ".py", "line 7")
ERRORS: list[Exception] = [
    sqlite3.OperationalError(INTERNAL),
    json.JSONDecodeError(INTERNAL, INTERNAL, 0),
    LogUnavailable(INTERNAL, path="/srv/secret/runs.db"),
]
BODIES: dict[tuple[str, str], Any] = {
    ("PUT", "/runs/{id}"): {"workflow": "small"},
    ("POST", "/runs"): {"tasks": []},
    ("POST", "/runs/{id}/input"): {"task": "a", "value": 1},
    ("POST", "/runs/{id}/events"): {"type": "note.made"},
    ("POST", "/stream-tickets"): {"run_id": "open"},
}
QUERIES = {"/runs/{id}/events": ("?after=0", "?tail=1", "?children=1")}
ACCEPTS = ("*/*", "application/json")


class BrokenLog(LogAround):
    """Everything that it is asked for raises ``error``, once there is one."""

    error: Exception | None = None
    asked = 0

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        error = super().__getattribute__("error")
        if error is None or name.startswith("_") or not callable(found) or name in ("close", "open"):
            return found
        self.asked += 1
        if name == "append":
            return lambda *_, **__: failed(error)
        if not iscoroutinefunction(found):
            return found

        async def fail(*_: Any, **__: Any) -> Any:
            raise error

        return fail


def failed(error: Exception) -> asyncio.Future[int]:
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    future.set_exception(error)
    return future


@pytest.fixture(params=ERRORS, ids=lambda error: type(error).__name__)
async def broken(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Server, BrokenLog]]:
    """A server with a run that is open and one that has ended, whose log breaks when the test begins."""
    log = BrokenLog(MemoryLog())
    gates = Gates()
    engine = Engine(log, workflows=[gated_workflow(gates), small_workflow()], grace=0.0)
    app = reactor_web.create_app(engine)
    async with TestClient(TestServer(app, host="127.0.0.1")) as client:
        server = Server.of(client, engine, app)
        await server.start("gated", run_id="open")
        await server.start("small", run_id="ended")
        await (await engine.get("ended")).ended()
        log.error = request.param
        yield server, log
        log.error = None
        gates.open()


def all_requests() -> list[tuple[str, str, Any]]:
    """Method, path and body of a request to each route, for the run that is open, one that has ended and no run."""
    app = reactor_web.create_app(Engine())
    found: list[tuple[str, str, Any]] = []
    for route in app.router.routes():
        assert route.resource is not None
        path = route.resource.canonical.removeprefix(API)
        if route.method == "HEAD" or path.endswith("/ws"):
            continue
        body = BODIES.get((route.method, path), {}) if route.method in ("POST", "PUT") else None
        for id in ("open", "ended", "new") if "{id}" in path else ("",):
            filled = path.format(id=id, name="small", task="b", code="not-exposed", file="reactor.js", schedule="s")
            found += [(route.method, filled + query, body) for query in QUERIES.get(path, ("",))]
    return found


async def test_no_answer_of_any_route_has_internals(
    broken: tuple[Server, BrokenLog], caplog: pytest.LogCaptureFixture
) -> None:
    """Nor has a stream; what a client is told of a bug is one sentence, and the log of the server has the error."""
    server, log = broken
    statuses: list[int] = []
    with caplog.at_level(logging.ERROR):
        for method, path, body in all_requests():
            for accept in ACCEPTS if method == "GET" and "/events" in path else ("*/*",):
                async with server.session.request(
                    method, server.url + path, json=body, headers={"Accept": accept}
                ) as response:
                    text = await first_bytes(response)
                    statuses.append(response.status)
                    shown = text + str(dict(response.headers)) + (response.reason or "")
                    assert [word for word in WORDS if word in shown] == [], (method, path, accept, shown)
    assert log.asked > 10
    assert sum(status >= 500 for status in statuses) > 10
    assert INTERNAL in caplog.text


async def first_bytes(response: Any) -> str:
    """The whole body; of a stream that stays open, or is cut off, what has come by then."""
    parts: list[bytes] = []
    try:
        async with asyncio.timeout(0.05):
            while part := await response.content.readany():
                parts.append(part)
    except (TimeoutError, aiohttp.ClientPayloadError):
        response.close()
    return b"".join(parts).decode()
