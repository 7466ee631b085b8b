"""What ``mount`` sets for the streams of its routes: a pace, a dialect, views by name."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from reactivex import operators as ops

import reactor_web
from reactor import Context, Engine
from reactor.operators import select
from reactor_web.http.query import stream_options
from reactor_web.http.serving import Serving
from reactor_web.sse.parser import Frame
from tests.helpers.flows import one_task
from tests.helpers.lines_client import NDJSON
from tests.helpers.runs import wait_for_event, wait_until
from tests.helpers.server import Gates, Server, gated_workflow, small_workflow
from tests.helpers.sse import parse

Make = Callable[..., Awaitable[Server]]


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    """Starts a server with these options of ``create_app``."""
    async with AsyncExitStack() as stack:

        async def make(**options: Any) -> Server:
            gates, engine = Gates(), Engine(grace=0.0)
            app = reactor_web.create_app(engine, [small_workflow(), gated_workflow(gates)], **options)
            client = await stack.enter_async_context(TestClient(TestServer(app)))
            server = Server.of(client, engine, app)
            server.gates = gates
            return server

        yield make


def completed(events: Any) -> Any:
    """How many tasks have completed."""
    return events.pipe(
        select("task.completed"),
        ops.scan(lambda last, event: (event.seq, "count", {"count": last[2]["count"] + 1}), (0, "", {"count": 0})),
    )


def failed(events: Any) -> Any:
    """Nothing, where nothing fails."""
    return events.pipe(select("task.failed"))


async def frames_of(server: Server, query: str, run_id: str = "r") -> list[Frame]:
    async with server.session.get(f"{server.url}/runs/{run_id}/events{query}") as response:
        assert response.status == 200, await response.text()
        return parse(await response.read())


# --- defaults ---------------------------------------------------------------------------------------------------


def test_a_query_and_a_dialect_with_a_pace_of_its_own_win() -> None:
    """The mount says what holds where nobody else says anything."""
    serving = Serving(heartbeat=40.0, throttle=200.0)
    options = stream_options({}, None, serving=serving)
    assert (options.heartbeat, options.throttle) == (40.0, 200.0)
    options = stream_options({"heartbeat": "5", "throttle": "300"}, None, serving=serving)
    assert (options.heartbeat, options.throttle) == (5.0, 300.0)
    assert stream_options({"dialect": "timeline"}, None, serving=serving).heartbeat == 3.0
    assert stream_options({"dialect": "ai-sdk"}, None, serving=serving).throttle is None
    assert stream_options({}, None, {"heartbeat": 7.0}, serving=serving).heartbeat == 7.0


async def test_the_dialect_of_a_mount_is_the_one_that_nobody_names(make: Make) -> None:
    """Also for a start that streams; other forms, trees and streams of all runs stay native."""
    server = await make(dialect="timeline")
    await server.start("small", run_id="r")
    await (await server.engine.get("r")).ended()
    first = json.loads((await frames_of(server, ""))[0].data)
    assert first["type"] == "WORKFLOW_START"
    assert (await frames_of(server, "?dialect=native"))[0].event == "run.started"
    assert (await frames_of(server, "?children=1"))[0].event == "run.started"
    async with server.session.get(f"{server.url}/runs/r/events", headers={"Accept": NDJSON}) as response:
        assert json.loads((await response.read()).split(b"\n")[1])["type"] == "run.started"
    async with server.session.get(f"{server.url}/events") as response:
        assert b"event: run.started" in await response.content.readuntil(b"run.started")
    async with server.session.ws_connect(f"{server.url}/runs/r/ws") as ws:
        assert (await ws.receive_json())["type"] == "run.started"
    async with server.session.post(
        f"{server.url}/workflows/small/runs", json={}, headers={"Accept": "text/event-stream"}
    ) as response:
        assert b"WORKFLOW_START" in await response.read()


async def test_the_throttle_of_a_mount_holds_progress_back(make: Make) -> None:
    """Of a hundred the last one is sent; ``throttle`` of the query wins."""

    async def body(ctx: Context) -> None:
        for n in range(100):
            await ctx.progress(n / 100)
            await ctx.emit("step.made", {"n": n})

    server = await make(throttle=60_000)
    server.engine.register(one_task(body, "busy"))
    run = await server.engine.start("busy", run_id="r")
    await run
    logged = [event async for event in run if event.type == "task.progress"]
    seen = [frame for frame in await frames_of(server, "") if frame.event == "task.progress"]
    assert json.loads(seen[-1].data)["data"] == logged[-1].data
    assert len(seen) <= len(logged)


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        ({"heartbeat": 0}, ValueError, "mount: heartbeat= must be a number from 1 to 3,?600"),
        ({"heartbeat": "15"}, ValueError, "mount: heartbeat= must be a number"),
        ({"throttle": 5}, ValueError, "mount: throttle= must be a number from 10"),
        ({"dialect": "nope"}, ValueError, "there is no dialect 'nope'; there are"),
        ({"dialect": "native.lines"}, ValueError, "there is no dialect"),
        ({"compress": 1}, TypeError, "mount: compress= must be True or False"),
        ({"views": [completed]}, TypeError, "mount: views= must be a dict"),
        ({"views": {"a b": completed}}, ValueError, "mount: views= has 'a b'"),
        ({"views": {"a": 3}}, TypeError, "a view is a function with a hash"),
        ({"heartbet": 3}, TypeError, "create_app has no option 'heartbet', did you mean 'heartbeat'"),
    ],
)
def test_a_bad_option_is_refused_when_it_is_mounted(
    options: dict[str, Any], error: type[Exception], sentence: str
) -> None:
    """One sentence that names it."""
    with pytest.raises(error, match=sentence):
        reactor_web.create_app(Engine(), **options)


# --- views by name ----------------------------------------------------------------------------------------------


async def test_a_view_is_served_by_its_name_like_any_stream(make: Make) -> None:
    """From any cursor on exactly the rest; ``stream.end`` at the end, and 204 after it."""
    server = await make(views={"done": completed, "errors": failed})
    await server.start("small", run_id="r")
    run = await server.engine.get("r")
    await run.ended()
    *frames, end = await frames_of(server, "?view=done")
    assert [(frame.event, json.loads(frame.data)) for frame in frames] == [
        ("count", {"count": 1}), ("count", {"count": 2}),
    ]  # fmt: skip
    assert end.event == "stream.end"
    assert (await frames_of(server, f"?view=done&after={frames[0].id}"))[:-1] == [frames[1]]
    assert [frame.event for frame in await frames_of(server, "?view=errors")] == ["stream.end"]
    async with server.session.get(f"{server.url}/runs/r/events?view=done&after={run.feed.last_seq}") as response:
        assert response.status == 204


async def test_clients_with_the_same_view_and_options_share_it(make: Make) -> None:
    """One pipeline for both; another view has another."""
    server = await make(views={"done": completed, "errors": failed})
    await server.start("gated", run_id="r")
    await wait_for_event(await server.engine.get("r"), "task.started", None, 3)
    streams = [server.events("r", f"?view={name}") for name in ("done", "done", "errors")]
    for stream in streams:
        await stream.__aenter__()
    channels = server.streams.channels
    await wait_until(lambda: sorted(len(channel.clients) for channel in channels) == [1, 2])
    server.gates.open()
    one, two, other = await asyncio.gather(*(stream.all() for stream in streams))
    assert one[:-1] == two[:-1]
    assert len(one) == 5
    assert len(other) == 1
    for stream in streams:
        await stream.__aexit__(None, None, None)


async def test_an_unknown_view_is_400_and_names_those_there_are(make: Make) -> None:
    """With a hint for a slip; without views, too; and what has no view says so."""
    server = await make(views={"done": completed, "errors": failed})
    await server.start("small", run_id="r")
    for query, headers, sentence in (
        ("?view=nope", {}, "there is no view 'nope'; there are done, errors"),
        ("?view=eror", {}, "did you mean 'errors'?"),
        ("?view=done&view=errors", {}, "view is given 2 times"),
        ("?view=done&children=1", {}, "view has no meaning with children=1"),
        ("?view=done", {"Accept": NDJSON}, "view has no meaning in application/x-ndjson"),
        ("?view=done", {"Accept": "application/json"}, "view has no meaning in this page"),
    ):
        status, problem = await server.get(f"/runs/r/events{query}", **headers)
        assert (status, sentence in problem["detail"]) == (400, True), problem
    status, problem = await server.get("/events?view=done")
    assert (status, "view" in problem["detail"]) == (400, True)
    plain = await make()
    await plain.start("small", run_id="r")
    status, problem = await plain.get("/runs/r/events?view=done")
    assert (status, problem["detail"]) == (400, "there is no view 'done'")
