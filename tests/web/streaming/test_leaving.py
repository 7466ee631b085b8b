"""A client that leaves while its answer is waited for takes with it what it held: no task, no connection, no place."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web as aiohttp_web

from reactor import Engine
from reactor_web import add_start, create_app
from reactor_web.guard.guard import Guard
from reactor_web.guard.principal import SCOPES, Principal
from reactor_web.http import leaving
from reactor_web.own import Start
from reactor_web.streaming.streams import STREAMS
from tests.helpers.log_lines import log_lines
from tests.helpers.server import Gates, gated_workflow
from tests.helpers.site import Raw, Site, poll, site_of

CLIENTS = 4
"""Of each kind."""
AHEAD = 40
"""Requests that are sent ahead: more than aiohttp reads while one is not answered."""
SECONDS = 3
"""They waited five minutes before, with four tasks each."""

PAGE = "Accept: application/json\r\n"
JSON = "Content-Type: application/json\r\n"
WAITING = {
    "a start that waits": ("POST", "/api/v1/workflows/gated/runs", f"{JSON}Prefer: wait=300\r\n"),
    "a start of one's own": ("POST", "/own", JSON),
    "a page": ("GET", "/api/v1/runs/open/events?wait=300&after={last}", PAGE),
    "a page of a run to come": ("GET", "/api/v1/runs/later/events?await_run=300", PAGE),
    "a page of a tree": ("GET", "/api/v1/runs/open/events?wait=300&children=1&after={cursor}", PAGE),
    "a page of all runs": ("GET", "/api/v1/events?runs=open&wait=300&after={position}", PAGE),
    "a stream of a run to come": ("GET", "/api/v1/runs/later/events?await_run=300&heartbeat=3600", ""),
    "a stream that cancels": ("GET", "/api/v1/runs/other/events?on_disconnect=cancel&heartbeat=3600", ""),
    "a stream of a tree": ("GET", "/api/v1/runs/open/events?children=1&heartbeat=3600", ""),
    "a stream of all runs": ("GET", "/api/v1/events?heartbeat=3600", ""),
}  # fmt: skip
"""What waits: method, path and headers. Each would wait for 300 seconds, or write nothing for an hour."""


@pytest.fixture
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is looked for clients that have gone more often than every half second: only for the speed of these tests."""
    monkeypatch.setattr("reactor_web.http.leaving.CHECK_SECONDS", 0.02)
    monkeypatch.setattr("reactor_web.streaming.streams.CHECK_SECONDS", 0.02)


@pytest.fixture
def gates() -> Gates:
    return Gates()


@pytest.fixture
async def site(gates: Gates) -> AsyncIterator[Site]:
    """Two runs that are open, and a route of one's own that answers at the end of the run it starts."""

    async def begin(request: aiohttp_web.Request, body: object) -> Start:
        return Start("gated")

    async with Engine("memory://", grace=0.0) as engine:
        app = create_app(engine, [gated_workflow(gates)])
        add_start(app, "/own", engine, begin)
        for run_id in ("open", "other"):
            run = await engine.start("gated", run_id=run_id)
            await poll(lambda run=run: run.state.tasks["slow"].status == "running", "it does not begin")
        async with site_of(engine, app) as site:
            yield site


def tasks_of_clients(before: set[asyncio.Task[object]]) -> set[asyncio.Task[object]]:
    """Tasks that are there for connections, and not for a run."""
    return {task for task in asyncio.all_tasks() - before if "aiohttp" in repr(task) or "reactor_web" in repr(task)}


async def read(site: Site, path: str) -> Any:
    """What a GET is answered, on a connection of its own."""
    client = await site.open(path, headers=f"{PAGE}Connection: close\r\n")
    return json.loads(await client.rest())


async def ask_all(site: Site) -> list[Raw]:
    """Some clients of each kind."""
    run = await site.engine.get("open")
    listing, tree = await read(site, "/api/v1/runs"), await read(site, "/api/v1/runs/open/events?children=1")
    places = {"last": run.feed.last_seq, "position": listing["position"], "cursor": tree["cursor"]}
    return [
        await site.open(path.format(**places), method=method, headers=f"{headers}Content-Length: 0\r\n")
        for method, path, headers in WAITING.values()
        for _ in range(CLIENTS)
    ]


@pytest.mark.usefixtures("looks_often")
@pytest.mark.parametrize("how", ["close", "reset", "half", "ahead"])
async def test_whatever_waits_ends_with_its_client(site: Site, how: str) -> None:
    """However clients go, also after requests ahead that nobody has read yet: soon all that waited for something is
    gone, its tasks, its connections and its streams. On a quiet run nothing else would tell it for minutes."""
    before = asyncio.all_tasks()
    clients = await ask_all(site)
    await poll(lambda: waiting(site) == len(clients), "they do not wait")
    await poll(lambda: handed_over(site) == CLIENTS, "a stream of a run to come needs no handler")
    await poll(lambda: site.connections == len(clients) - CLIENTS, "each other client needs one")
    assert len(tasks_of_clients(before)) >= site.connections, "the tasks of handlers are not seen"
    if how == "ahead":
        for client in clients:
            client.writer.write(b"GET /api/v1/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" * AHEAD)
        await poll(lambda: all(not transport.is_reading() for transport in served(site)), "aiohttp reads on")
    for client in clients:
        client.writer.close() if how == "ahead" else client.leave(how)
    await poll(lambda: site.connections == 0, f"{site.connections} connections are left", SECONDS)
    await poll(lambda: not tasks_of_clients(before), "tasks are left", SECONDS)
    await poll(lambda: not site.streams, "streams are left", SECONDS)


def waiting(site: Site) -> int:
    """How many clients have an open stream, or a request that waits for something."""
    requests: Any = leaving._of_loop.get(asyncio.get_running_loop())  # nothing public counts them
    return len(site.streams) + (0 if requests is None else len(requests._gone))


def handed_over(site: Site) -> int:
    """How many streams go on without a handler."""
    return sum(client.on_wake is not None for client in site.streams)


def served(site: Site) -> list[asyncio.Transport]:
    """The connections of all clients, at the server."""
    assert site.runner.server is not None
    return [handler.transport for handler in site.runner.server.connections if handler.transport is not None]


async def test_an_answer_that_is_waited_for_comes_as_before(site: Site, gates: Gates) -> None:
    """A client that stays gets its result, its page and its stream when there is something to say."""
    clients = await ask_all(site)
    await poll(lambda: site.connections + handed_over(site) == len(clients), "they do not connect")
    gates.open()
    later = await site.engine.start("gated", run_id="later")
    await later
    kinds = list(WAITING)
    for number, client in enumerate(clients):
        kind = kinds[number // CLIENTS]
        await client.until(b"201 Created" if kind == "a start that waits" else b"200 OK")
        await client.until(b"event: run.completed" if "stream" in kind else b'"')


@pytest.mark.usefixtures("looks_often")
@pytest.mark.parametrize("form", ["text/event-stream", "application/x-ndjson"])
async def test_a_client_that_leaves_before_its_stream_begins_is_no_bug(form: str) -> None:
    """While it is asked who asks, say. Nothing is left of its stream, and no line of the log tells of an error."""
    asked, has_left = asyncio.Event(), asyncio.Event()

    async def who(request: aiohttp_web.Request) -> Principal:
        if request.path.endswith("/events"):
            asked.set()
            while request.transport is not None:
                await asyncio.sleep(0.001)
            has_left.set()
        return Principal("ann", SCOPES)

    engine = Engine(workflows=[gated_workflow(Gates())], grace=0)
    app = create_app(engine, guard=Guard(authorize=who))
    runner = aiohttp_web.AppRunner(app)  # it cancels no handler
    await runner.setup()
    listening = aiohttp_web.TCPSite(runner, "127.0.0.1", 0)
    await listening.start()
    with log_lines() as lines:
        await engine.start("gated", run_id="r")
        _, writer = await asyncio.open_connection("127.0.0.1", runner.addresses[0][1])
        writer.write(f"GET /api/v1/runs/r/events HTTP/1.1\r\nHost: localhost\r\nAccept: {form}\r\n\r\n".encode())
        await asyncio.wait_for(asked.wait(), 5)
        writer.close()
        await asyncio.wait_for(has_left.wait(), 5)
        await poll(lambda: not app[STREAMS], "its stream is left")
        await runner.cleanup()
    assert [line for line in lines if line["log_level"] in ("error", "critical")] == []
