"""What streams do is counted: opened, closed, resumed, refused, and the bytes and the time that they take."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from aiohttp import web
from pytest_aiohttp import AiohttpClient

from reactor import Context, Engine, Workflow
from reactor.listeners import StreamInfo
from reactor.logs.memory import MemoryLog
from reactor_web import Caps, Guard, create_app
from reactor_web.http.codes import CODES
from reactor_web.metrics.gathered import METRICS
from reactor_web.metrics.stream_ears import StreamEars
from reactor_web.streaming.streams import STREAMS
from tests.helpers.promtool import samples, value
from tests.helpers.runs import PATIENCE
from tests.helpers.server import Serve, Server
from tests.web.metrics.test_counts import page_of

EVENTS = 40
CHUNK = 8
"""Bytes of HTTP around what a channel writes at once."""


def speaking() -> Workflow:
    flow = Workflow("speaking")

    @flow.task
    async def speak(ctx: Context) -> None:
        for n in range(EVENTS):
            await ctx.emit("word.said", {"n": n})

    return flow


async def spoken(serve: Serve, log: MemoryLog | str = "memory://") -> Server:
    server = await serve(Engine(log), speaking())
    await server.start("speaking", run_id="r1")
    await asyncio.wait_for((await server.engine.get("r1")).ended(), PATIENCE)
    return server


@pytest.mark.parametrize("query", ["", "?dialect=steps", "?dialect=cloudevents"])
async def test_a_stream_is_counted_from_its_begin_to_its_end(serve: Serve, query: str) -> None:
    """By dialect while it is open, by reason when it is closed, and with all its bytes."""
    server = await spoken(serve)
    async with server.session.get(f"{server.url}/runs/r1/events{query}") as response:
        body = await response.read()
    page = await page_of(server)
    assert value(page, "reactor_streams_opened_total") == 1
    assert value(page, "reactor_streams_closed_total", reason="end") == 1
    assert value(page, "reactor_streams_open") == 0
    assert len(body) <= value(page, "reactor_stream_bytes_total") <= len(body) + CHUNK * 3


async def test_what_channels_write_is_counted_with_its_time(server: Server) -> None:
    """Live: shared frames that go straight to connections."""
    await server.start("gated", run_id="r1")
    async with server.events("r1") as stream, server.events("r1") as other:
        for one in (stream, other):
            await one.until("task.started", task_id="slow")
        page = await page_of(server)
        assert value(page, "reactor_streams_open", dialect="native") == 2
        server.gates.open()
        for one in (stream, other):
            await one.all()
    page = await page_of(server)
    sent = value(page, "reactor_stream_bytes_total")
    assert sent >= len(stream.raw) + len(other.raw), "with the frame of a chunk"
    assert sent < 1.1 * (len(stream.raw) + len(other.raw)) + 200
    assert value(page, "reactor_stream_lag_seconds_count") > 0
    assert value(page, "reactor_stream_lag_seconds_sum") > 0


@pytest.mark.parametrize(
    ("after", "result"), [(20, "exact"), (1, "gap"), (10_000, "gap")], ids=["kept", "trimmed", "ahead"]
)
async def test_a_client_that_comes_back_is_exact_or_has_a_gap(serve: Serve, after: int, result: str) -> None:
    """As it was told itself; who has no cursor is neither."""
    server = await spoken(serve, MemoryLog(max_events=EVENTS))
    for cursor in (None, after):
        headers = {} if cursor is None else {"Last-Event-ID": str(cursor)}
        async with server.session.get(f"{server.url}/runs/r1/events", headers=headers) as response:
            body = await response.text()
    assert ("stream.gap" in body) == (result == "gap")
    page = await page_of(server)
    found = {
        sample.labels["result"]: sample.value for sample in samples(page) if sample.name == "reactor_recover_total"
    }
    assert found == {"exact": 0, "gap": 0, result: 1}


async def test_a_live_client_that_comes_back_is_exact(server: Server) -> None:
    """As soon as it has caught up, and not at its end."""
    await server.start("gated", run_id="r1")
    async with server.events("r1", "?after=1") as stream:
        await stream.until("task.started", task_id="slow")
        async with asyncio.timeout(PATIENCE):
            while not value(await page_of(server), "reactor_recover_total", result="exact"):
                await asyncio.sleep(0)
        server.gates.open()
        await stream.all()
    assert value(await page_of(server), "reactor_recover_total") == 1


async def test_a_refusal_is_counted_by_its_code(aiohttp_client: AiohttpClient) -> None:
    """A status, a stream that says it to an EventSource, and a name that is not ours; a mistake is no refusal."""
    engine = Engine("memory://", grace=0.0)
    guard = Guard(caps=replace(Caps(), streams=1))
    client = await aiohttp_client(create_app(engine, [speaking()], guard=guard))
    await engine.session("r1")
    path = "/api/v1/runs/r1/events"
    first = await client.get(path)
    statuses = [
        (await client.get(path, headers={"Reactor-Client": "x"})).status,
        (await client.get(path, headers={"Accept": "text/event-stream"})).status,
        (await client.get("/api/v1/runs?limit=no")).status,
        (await client.get("/api/v1/runs", headers={"Host": "elsewhere.example"})).status,
    ]
    first.close()
    assert statuses == [503, 200, 400, 403]
    page = await (await client.get("/api/v1/metrics")).text()
    found = {sample.labels["code"]: sample.value for sample in samples(page) if sample.name == "reactor_refused_total"}
    assert found == {"too-many-streams": 2, "forbidden-host": 1}


async def test_a_client_that_does_not_read_is_stalled(aiohttp_client: AiohttpClient) -> None:
    """From the sixth second on, by the loop's time: its write has not ended."""
    engine = Engine("memory://")
    app = create_app(engine, [speaking()])
    client = await aiohttp_client(app)
    run = await engine.start("speaking", run_id="r1")
    await asyncio.wait_for(run.ended(), PATIENCE)
    session = await engine.session("open")
    async with client.get("/api/v1/runs/open/events") as response:
        await response.content.readany()
        (one,) = app[STREAMS]
        assert app[METRICS].waits() == []
        one.writing_since = asyncio.get_running_loop().time() - 6.0
        assert value(await (await client.get("/api/v1/metrics")).text(), "reactor_stalled_streams") == 1
        one.writing_since = asyncio.get_running_loop().time() - 1.0
        assert value(await (await client.get("/api/v1/metrics")).text(), "reactor_stalled_streams") == 0
        one.writing_since = None
        await session.close()
        await response.read()


def test_labels_of_strangers_are_other() -> None:
    """Reasons, codes and dialects that a host makes up."""
    ears = StreamEars()
    info = StreamInfo("r1", "/x", None, "of-a-host")
    ears.stream_opened(info)
    ears.stream_closed(info, "tired", 1.0)
    ears.request_refused("of-a-host")
    ears.request_refused(next(iter(CODES)))
    assert (dict(ears.open), dict(ears.closed)) == ({"other": 0}, {"other": 1})
    assert dict(ears.refused) == {"other": 1, next(iter(CODES)): 1}


async def test_a_stream_of_ones_own_route_is_counted(aiohttp_client: AiohttpClient) -> None:
    """In the same application, where the routes are mounted too."""
    from reactor_web import add_stream

    engine = Engine("memory://")
    app = create_app(engine, [speaking()])
    add_stream(app, "/mine/{id}", engine)
    client = await aiohttp_client(app)
    await asyncio.wait_for((await engine.start("speaking", run_id="r1")).ended(), PATIENCE)
    async with client.get("/mine/r1") as response:
        await response.read()
    assert isinstance(app, web.Application)
    page = await (await client.get("/api/v1/metrics")).text()
    assert value(page, "reactor_streams_opened_total") == value(page, "reactor_streams_closed_total") == 1
