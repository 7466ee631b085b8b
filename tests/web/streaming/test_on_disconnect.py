"""A client that goes cancels its run if it asked for that, and never otherwise."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web as aiohttp_web
from aiohttp.test_utils import TestServer
from reactivex import operators as ops

import reactor_web
from reactor import Engine, Event, Run
from reactor.testing import read_all
from reactor_web.streaming.streams import STREAMS
from tests.helpers.runs import full_log, wait_for_event, wait_until
from tests.helpers.server import Gates, Serve, Server, Stream, gated_workflow


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    """A session that the test closes while the server's own session stays open."""
    async with aiohttp.ClientSession() as session:
        yield session


def following(server: Server, client: aiohttp.ClientSession, how: str, query: str, **headers: str) -> Stream:
    """A stream of the run ``r``: of GET /events, or of the POST that starts it."""
    if how == "get":
        return Stream(client.get(f"{server.url}/runs/r/events{query}", headers=headers))
    headers = {"Accept": "text/event-stream", **headers}
    return Stream(client.post(f"{server.url}/workflows/gated/runs{query}", json={"run_id": "r"}, headers=headers))


async def begin(server: Server, how: str) -> None:
    if how == "get":
        await server.start("gated", run_id="r")


async def types(server: Server, run: Run, *of: str) -> list[str]:
    return [event.type for event in await read_all(server.engine.log, run.id) if event.type.startswith(of)]


@pytest.mark.parametrize("how", ["get", "post"])
@pytest.mark.parametrize("are_told", [True, False], ids=["handlers cancelled", "handlers left"])
async def test_a_client_that_goes_cancels_the_run_where_it_asked_for_that(
    server: Server, client: aiohttp.ClientSession, how: str, are_told: bool
) -> None:
    """``on_disconnect=cancel`` cancels the run (reason ``disconnected``), whether the host cancels handlers or not."""
    runner = aiohttp_web.AppRunner(reactor_web.create_app(server.engine), handler_cancellation=are_told)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(runner.cleanup)
        await runner.setup()
        site = aiohttp_web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/api/v1"
        await begin(server, how)
        async with following(server, client, how, "?on_disconnect=cancel") as stream:
            await stream.until("task.started")
            run = await server.engine.get("r")
            assert run.status == "running"
        await client.close()
        events = await full_log(server.engine, run)
    cancelling = next(event for event in events if event.type == "run.cancelling")
    assert cancelling.data == {"reason": "disconnected", "by": "127.0.0.1"}
    assert events[-1].data["reason"] == "disconnected"


WAITING = {
    "get": "/api/v1/runs/r/events?await_run=60&on_disconnect=cancel",
    "lines": "/api/v1/runs/r/events?await_run=60&on_disconnect=cancel",
    "tree": "/api/v1/runs/r/events?await_run=60&on_disconnect=cancel&children=1",
    "folding": "/api/v1/runs/r/events?await_run=60&on_disconnect=cancel&dialect=agents",
    "view": "/api/v1/runs/r/events?await_run=60&on_disconnect=cancel&view=types",
    "socket": "/api/v1/runs/r/ws?await_run=60&on_disconnect=cancel",
    "route": "/own/r",
    "matching route": "/own/r/of/me",
}
"""Streams that are opened before their run has started."""


@pytest.mark.parametrize("way", WAITING)
async def test_a_client_that_waited_for_its_run_cancels_it_when_it_goes(
    server: Server, client: aiohttp.ClientSession, way: str
) -> None:
    """``await_run`` with ``on_disconnect=cancel``, in every form of the stream: the run that came is the client's."""
    views = {"types": lambda events: events.pipe(ops.map(lambda event: (event.seq, event.type, {})))}
    app = reactor_web.create_app(server.engine, views=views)
    own: dict[str, Any] = {"await_run": 60, "on_disconnect": "cancel"}
    reactor_web.add_stream(app, "/own/{id}", server.engine, **own)
    reactor_web.add_stream(app, "/own/{id}/of/{user}", server.engine, match=["user"], **own)
    async with TestServer(app) as site:
        url = site.make_url(WAITING[way])
        accept = "application/x-ndjson" if way == "lines" else "text/event-stream"
        asked = client.ws_connect(url) if way == "socket" else client.get(url, headers={"Accept": accept})
        async with asked:
            await wait_until(lambda: len(app[STREAMS]) == 1)
            run = await server.engine.start("gated", run_id="r", meta={"user": "me"})
            await wait_for_event(run, "task.started")
        await client.close()
        events = await full_log(server.engine, run)
    assert events[-1].type == "run.cancelled"
    assert events[-1].data["reason"] == "disconnected"


async def test_a_client_that_goes_before_its_run_comes_cancels_nothing(
    server: Server, client: aiohttp.ClientSession
) -> None:
    """The run that somebody starts later is not this client's."""
    async with Stream(client.get(f"{server.url}/runs/r/events?await_run=60&on_disconnect=cancel")) as stream:
        await stream.response.content.readany()
    await client.close()
    await wait_until(lambda: not len(server.streams))
    await server.start("gated", run_id="r")
    server.gates.open()
    assert (await full_log(server.engine, await server.engine.get("r")))[-1].type == "run.completed"


@pytest.mark.parametrize("how", ["get", "post"])
@pytest.mark.parametrize("query", ["", "?on_disconnect=continue"])
async def test_a_client_that_goes_cancels_nothing_by_default(
    server: Server, client: aiohttp.ClientSession, how: str, query: str
) -> None:
    """The server notices that the client has gone, and the run goes on to its end."""
    await begin(server, how)
    async with following(server, client, how, query) as stream:
        await stream.until("task.started")
    await client.close()
    await wait_until(lambda: not len(server.streams))
    run = await server.engine.get("r")
    server.gates.open()
    assert "run.cancelling" not in [event.type for event in await full_log(server.engine, run)]
    assert run.status == "completed"


async def test_a_client_that_saw_the_end_cancels_nothing(server: Server, client: aiohttp.ClientSession) -> None:
    """A client that leaves after ``stream.end`` does not count as disconnected."""
    server.gates.open()
    async with following(server, client, "post", "?on_disconnect=cancel") as stream:
        assert (await stream.all())[-1].event == "stream.end"
    assert (await server.engine.get("r")).status == "completed"


async def test_one_of_two_clients_that_goes_cancels_for_both(server: Server, client: aiohttp.ClientSession) -> None:
    """The run is cancelled, and the other client gets ``run.cancelled`` and ``stream.end``."""
    await begin(server, "get")
    async with server.events("r") as other:
        async with following(server, client, "get", "?on_disconnect=cancel") as stream:
            await stream.until("task.started")
        await client.close()
        await other.until("run.cancelled")
        frame = await other.until("stream.end")
    assert '"status":"cancelled"' in frame.data


async def test_on_disconnect_that_is_neither_is_400(server: Server, client: aiohttp.ClientSession) -> None:
    """Another value is 400, on the GET and on the POST, which then starts nothing."""
    await begin(server, "get")
    for stream in (
        following(server, client, "get", "?on_disconnect=pause"),
        following(server, client, "get", "?on_disconnect=cancel&on_disconnect=cancel"),
        Stream(
            client.post(
                f"{server.url}/workflows/gated/runs?on_disconnect=pause",
                json={"run_id": "other"},
                headers={"Accept": "text/event-stream"},
            )
        ),
    ):
        async with stream:
            assert stream.status == 400
            assert "on_disconnect" in (await stream.response.json())["detail"]
    assert [listed["run_id"] for listed in (await server.get("/runs"))[1]["runs"]] == ["r"]


async def test_the_end_of_the_server_is_no_disconnect(serve: Serve, tmp_path: Path) -> None:
    """A shutdown closes the stream with ``stream.closing`` and cancels no run: in a durable log the run stays open."""
    store = f"sqlite:///{tmp_path / 'runs.db'}"
    server = await serve(Engine(store, grace=0), gated_workflow(Gates()))
    await server.start("gated", run_id="r")
    async with server.events("r", "?on_disconnect=cancel") as stream:
        await stream.until("task.started")
        closing = asyncio.ensure_future(server.stop())
        await stream.until("stream.closing", reason="shutdown")
    await closing
    async with Engine(store) as engine:
        events: list[Event] = await read_all(engine.log, "r")
    assert [event.type for event in events] == ["run.started", *["task.started"] * 3]
