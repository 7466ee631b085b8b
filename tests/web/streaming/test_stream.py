"""A run as server-sent events on a real socket."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from urllib.parse import urlsplit

import httpx
import httpx_sse
import pytest
from aiohttp import web as aiohttp_web
from pytest_aiohttp import AiohttpClient

import reactor_web
from reactor import Context, Engine, Workflow
from reactor.events.event import Event
from reactor.logs.memory import MemoryLog
from reactor.testing import read_all
from tests.helpers.runs import PATIENCE
from tests.helpers.server import Serve, Server, event_ids


async def logged(server: Server, run_id: str) -> list[Event]:
    return await read_all(server.engine.log, run_id)


async def test_a_stream_is_the_log_from_1_to_the_end_then_says_so_and_closes(server: Server) -> None:
    """ids are 1, 2, 3 ... without a gap, data is the log byte for byte, the last frame is stream.end."""
    run = await server.start("small")
    async with server.events(run["run_id"]) as stream:
        frames = await stream.all()
    events = await logged(server, run["run_id"])
    assert event_ids(frames) == list(range(1, len(events) + 1))
    assert [frame.data.encode() for frame in frames[:-1]] == [event.json for event in events]
    assert [frame.event for frame in frames[:-1]] == [event.type for event in events]
    assert frames[-1].event == "stream.end"
    assert frames[-1].id == str(len(events))
    assert stream.raw.count(b"retry:") == 1


async def test_events_arrive_while_the_run_goes_on(server: Server) -> None:
    """The first completion reaches the client before the second task is done, and what needs only it has started."""
    run = await server.start("gated")
    async with server.events(run["run_id"]) as stream:
        for _ in range(4):  # run.started and three task.started, while all bodies wait
            frame = await stream.next()
        assert frame is not None
        assert frame.event == "task.started"
        server.gates["fast"].set()
        await stream.until("task.completed", task_id="fast")
        await stream.until("task.started", task_id="after_fast")
        await stream.until("task.completed", task_id="after_fast")
        assert not server.gates["slow"].is_set()  # slow and middle still run
        server.gates.open()
        await stream.until("run.completed")


async def test_a_resume_goes_on_after_the_cursor_and_is_204_after_the_end(server: Server) -> None:
    """Last-Event-ID: 5 starts at 6; it wins over after=; the last seq is answered 204."""
    run = await server.start("small")
    async with server.events(run["run_id"]) as stream:
        total = event_ids(await stream.all())[-1]
    for cursor in range(total):
        async with server.events(run["run_id"], "?after=1", **{"Last-Event-ID": str(cursor)}) as stream:
            assert event_ids(await stream.all()) == list(range(cursor + 1, total + 1))
        async with server.events(run["run_id"], f"?after={cursor}") as stream:
            assert event_ids(await stream.all()) == list(range(cursor + 1, total + 1))
    assert (await server.get(f"/runs/{run['run_id']}/events", **{"Last-Event-ID": str(total)}))[0] == 204
    async with server.events(run["run_id"], f"?after={total}") as stream:
        assert stream.status == 204


async def test_a_cursor_stays_valid_under_any_filter(server: Server) -> None:
    """Filtered streams carry the log's own numbers, and stream.end is current to the last event."""
    run = await server.start("small")
    async with server.events(run["run_id"]) as stream:
        frames = (await stream.all())[:-1]
    for query, wanted in (
        ("types=task.*", lambda f: f.event.startswith("task.")),
        ("types=run.*,task.completed", lambda f: f.event.startswith("run.") or f.event == "task.completed"),
        ("tasks=b", lambda f: '"task_id"' not in f.data or '"task_id":"b"' in f.data),
    ):
        for after in (0, 3):
            async with server.events(run["run_id"], f"?{query}&after={after}") as stream:
                got = await stream.all()
            assert [f.data for f in got[:-1]] == [f.data for f in frames if wanted(f) and int(f.id) > after]
            assert got[-1].id == frames[-1].id


async def test_a_live_client_and_a_late_one_read_the_same_bytes(server: Server) -> None:
    """Clients that replay first, follow live, or replay after the end read the same sequence of frames."""
    run_id = (await server.start("gated"))["run_id"]
    gates = server.gates
    async with server.events(run_id) as early:
        for number in range(1, 31):
            gates["step"].set()
            await early.until("step.made")
            if number == 15:
                middle = server.events(run_id)
                await middle.__aenter__()
        gates.open()
        await early.all()
        await middle.all()
        await middle.__aexit__(None, None, None)
    async with server.events(run_id) as late:
        await late.all()
    events = [bytes(line) for line in late.raw.split(b"\n") if line.startswith((b"id", b'data: {"seq'))]
    for stream in (early, middle):
        assert [line for line in stream.raw.split(b"\n") if line.startswith((b"id", b'data: {"seq'))] == events


async def test_clients_with_the_same_options_share_one_pipeline_which_ends_with_the_last_of_them(
    server: Server,
) -> None:
    """Three clients with two sets of options have two channels; when all have gone there is none."""
    run_id = (await server.start("gated"))["run_id"]
    run = await server.engine.get(run_id)
    streams = [server.events(run_id, query) for query in ("?types=task.*", "?types=task.*&after=1", "")]
    for stream in streams:
        await stream.__aenter__()
        await stream.next()
    channels = server.streams.channels
    async with asyncio.timeout(PATIENCE):
        while sum(len(channel.clients) for channel in channels) != 3:
            await asyncio.sleep(0.01)
    assert [channel.feed for channel in channels] == [run.feed] * 2
    for stream in streams:
        stream.response.close()
    async with asyncio.timeout(PATIENCE):
        while len(server.streams):
            await asyncio.sleep(0.01)
    assert list(channels) == []


async def test_a_throttled_stream_drops_superseded_progress_only(server: Server) -> None:
    """Every transition arrives in order at once; ids only grow; the last progress leaves before its task's end."""
    flow = Workflow("busy")

    @flow.task
    async def busy(ctx: Context) -> None:
        for step in range(40):
            await ctx.progress(step / 40)
            await asyncio.sleep(0.005)
        await ctx.progress(1.0)

    server.engine.register(flow)
    run_id = (await server.start("busy"))["run_id"]
    async with server.events(run_id, "?throttle=10000") as stream:
        frames = (await stream.all())[:-1]
    events = await logged(server, run_id)
    bodies = [json.loads(frame.data) for frame in frames]
    assert [b["seq"] for b in bodies if b["type"] != "task.progress"] == [
        e.seq for e in events if e.type != "task.progress"
    ]
    ids = event_ids(frames)
    assert ids == sorted(set(ids))
    progress = [b for b in bodies if b["type"] == "task.progress"]
    assert len(progress) <= 3 < sum(e.type == "task.progress" for e in events)
    assert progress[-1]["data"]["fraction"] == 1.0
    assert [b["type"] for b in bodies].index("task.completed") > bodies.index(progress[-1])
    async with server.events(run_id, "?throttle=10000") as replayed:
        again = (await replayed.all())[:-1]
    assert [f.event for f in again] == [
        "run.started",
        "task.started",
        "task.progress",
        "task.completed",
        "run.completed",
    ]


@pytest.mark.usefixtures("quick_beats")
async def test_an_idle_stream_beats_without_a_phantom_event(server: Server) -> None:
    """The heartbeat is a comment without a blank line: httpx-sse, which reports blocks of comments, sees none."""
    run_id = (await server.start("gated"))["run_id"]
    seen: list[httpx_sse.ServerSentEvent] = []
    async with (
        server.events(run_id, "?heartbeat=0.05") as raw,
        httpx.AsyncClient(timeout=10) as client,
        httpx_sse.aconnect_sse(client, "GET", f"{server.url}/runs/{run_id}/events?heartbeat=0.05") as source,
    ):
        frames = source.aiter_sse()
        seen.extend([await anext(frames) for _ in range(4)])
        while b"\n\n:\n" not in raw.raw:
            chunk = await asyncio.wait_for(raw.response.content.readany(), 5)
            raw.raw += chunk
        server.gates.open()
        seen.extend([frame async for frame in frames])
    assert [int(frame.id) for frame in seen[:-1]] == list(range(1, len(seen)))
    assert all(frame.data for frame in seen)


async def test_a_snapshot_is_the_state_as_of_its_id_and_only_newer_events_follow(server: Server) -> None:
    """snapshot=1: run.state first, its id is the seq it is current to; with a cursor it is not sent again."""
    run_id = (await server.start("gated"))["run_id"]
    server.gates["fast"].set()
    async with server.events(run_id) as stream:
        await stream.until("task.completed", task_id="after_fast")
    async with server.events(run_id, "?snapshot=1") as stream:
        first = await stream.next()
        assert first is not None
        state = json.loads(first.data)
        assert first.event == "run.state" == state["type"]
        assert state["data"]["seq"] == int(first.id)
        assert state["data"]["tasks"]["fast"]["status"] == "completed"
        server.gates.open()
        rest = (await stream.all())[:-1]
    total = len(await logged(server, run_id))
    assert event_ids(rest) == list(range(int(first.id) + 1, total + 1))
    async with server.events(run_id, "?snapshot=1", **{"Last-Event-ID": "2"}) as stream:
        assert event_ids(await stream.all())[0] == 3


async def test_a_state_too_large_for_an_event_comes_in_parts_with_the_id_on_the_last(serve: Serve) -> None:
    """Every frame stays below 48 KiB; the parts together are the state."""
    flow = Workflow("wide")
    for number in range(1500):
        flow.task(_nothing, name=f"a_rather_long_name_for_a_task_number_{number}")
    server = await serve(Engine(), flow)
    run = await server.engine.start(flow)
    await run
    async with server.events(run.id, "?snapshot=1") as stream:
        text = await stream.response.text()
    blocks = [block for block in text.split("\n\n") if "event: run.state" in block]
    assert len(blocks) > 1
    assert all(len(block) < 48 * 1024 for block in blocks)
    assert [("\nid:" in f"\n{block}") for block in blocks] == [False] * (len(blocks) - 1) + [True]
    parts = [json.loads(block.partition("data: ")[2])["data"] for block in blocks]
    assert [(p["part"], p["parts"]) for p in parts] == [(i + 1, len(parts)) for i in range(len(parts))]
    assert {id: t for p in parts for id, t in p["tasks"].items()} == run.state.to_dict()["tasks"]
    _, body = await server.get(f"/runs/{run.id}")
    assert len(body["graph"]) == 1500  # tasks_ref: too large for run.started
    assert len(body["outputs"]) == 1500  # outputs_ref


async def test_a_cursor_ahead_of_the_run_is_told_so_and_gets_everything(server: Server) -> None:
    """stream.gap {reason: ahead} without an id, then from 1."""
    run_id = (await server.start("small"))["run_id"]
    async with server.events(run_id, "?after=999") as stream:
        frames = await stream.all()
    assert frames[0].event == "stream.gap"
    assert json.loads(frames[0].data)["data"]["reason"] == "ahead"
    assert not frames[0].id
    assert event_ids(frames) == list(range(1, len(frames) - 1))


async def test_a_trimmed_range_is_told_then_the_state_at_the_cut_then_every_event_after_it(serve: Serve) -> None:
    """stream.gap {from, to, reason: trimmed}, run.state as of ``to``, then ``to`` + 1 and so on."""
    flow = Workflow("chatty")

    @flow.task
    async def chatty(ctx: Context) -> None:
        for number in range(3_000):
            await ctx.emit("said.it", {"number": number})

    server = await serve(Engine(MemoryLog(max_events=100)), flow)
    run = await server.engine.start(flow)
    await run
    async with server.events(run.id, "?after=7&types=run.*") as stream:
        frames = await stream.all()
    gap, state, *rest = [json.loads(frame.data) for frame in frames]
    assert gap["type"] == "stream.gap"
    first_kept = (await server.engine.log.record(run.id)).first_seq
    assert gap["data"] == {"from": 8, "to": first_kept - 1, "reason": "trimmed"}
    assert state["type"] == "run.state"
    assert state["data"]["seq"] == first_kept - 1
    assert [body["type"] for body in rest] == ["run.completed", "stream.end"]


async def test_a_disconnect_is_noticed_within_a_second_and_cancels_nothing(server: Server) -> None:
    """The stream of a client that closes or resets its socket ends; the run goes on."""
    run_id = (await server.start("gated"))["run_id"]
    parts = urlsplit(server.url)
    for reset in (False, True):
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        writer.write(f"GET {parts.path}/runs/{run_id}/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        await reader.readuntil(b"run.started")
        assert len(server.streams) == 1
        if reset:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.close()
        async with asyncio.timeout(PATIENCE):
            while len(server.streams):
                await asyncio.sleep(0.01)
    assert (await server.get(f"/runs/{run_id}"))[1]["status"] == "running"


async def test_a_shutdown_tells_every_stream_and_waits_for_none_that_does_not_read(server: Server) -> None:
    """stream.closing {reason: shutdown, retry_ms} without id; a client that does not read does not hold it up."""
    run_id = (await server.start("gated"))["run_id"]
    parts = urlsplit(server.url)
    _, stuck = await asyncio.open_connection(parts.hostname, parts.port)
    stuck.write(f"GET {parts.path}/runs/{run_id}/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    async with server.events(run_id) as stream:
        await stream.until("task.started", task_id="slow")
        async with asyncio.timeout(PATIENCE):
            stopping = asyncio.ensure_future(server.stop())
            last = (await stream.all())[-1]
            await stopping
    assert last.event == "stream.closing"
    assert json.loads(last.data)["data"]["reason"] == "shutdown"
    assert not last.id
    stuck.close()


async def test_anybodys_handler_streams_a_run_with_options_of_its_own(aiohttp_client: AiohttpClient) -> None:
    """reactor_web.stream works in any application, mounted or not, and no query changes an option of the handler."""
    flow = Workflow("theirs")
    flow.task(_nothing, name="job")
    async with Engine() as engine:
        run = await engine.start(flow)
        await run

        async def handler(request: aiohttp_web.Request) -> aiohttp_web.StreamResponse:
            return await reactor_web.stream(request, run, types=("task.*",))

        app = aiohttp_web.Application()
        app.router.add_get("/mine", handler)
        client = await aiohttp_client(app)
        for query, wanted in (("", "task.started task.completed"), ("?types=run.*&after=2", "task.completed")):
            text = await (await client.get(f"/mine{query}")).text()
            types = [line.removeprefix("event: ") for line in text.splitlines() if line.startswith("event: ")]
            assert types == [*wanted.split(), "stream.end"]


async def test_head_answers_the_headers_and_no_stream(server: Server) -> None:
    """HEAD is answered with the headers of a stream and no body."""
    run_id = (await server.start("gated"))["run_id"]
    async with server.session.head(f"{server.url}/runs/{run_id}/events") as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/event-stream"


async def _nothing() -> None: ...
