"""``?children=1``: the stream of a run and of all runs below it over HTTP, identical from every id on."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import aiohttp
import pytest

from reactor import Context, Engine, Workflow
from reactor.events.event import Event
from reactor.logs.memory import MemoryLog
from reactor.testing import read_all
from reactor_web import stream
from reactor_web.client.follow import follow_url
from reactor_web.sse.parser import Frame
from tests.helpers.runs import PATIENCE, open_run, wait_for_event, wait_until
from tests.helpers.server import Gates, Serve, Server


def family(gates: Gates) -> Workflow:
    """A run of depth n runs two of depth n - 1, one after the other; those of depth 0 wait at their gate."""
    flow = Workflow("family")

    @flow.task
    async def grow(ctx: Context, depth: int) -> int:
        for number in range(3):
            ctx.emit("line.said", {"number": number})
        if not depth:
            await gates[ctx.run_id].wait()
            return 1
        left = await ctx.run("family", {"depth": depth - 1})
        right = await ctx.run("family", {"depth": depth - 1})
        return left["grow"] + right["grow"]

    return flow


@pytest.fixture(params=["memory", "sqlite"])
async def kin(request: pytest.FixtureRequest, serve: Serve, tmp_path: Path) -> Server:
    """A server with the workflow ``family``; its gates are open."""
    gates = Gates()
    gates.open()
    url = "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/runs.db"
    server = await serve(Engine(url, grace=0.0), family(gates))
    server.gates = gates
    return server


async def grown(server: Server, run_id: str = "r", depth: int = 2) -> None:
    await server.start("family", {"depth": depth}, run_id=run_id)
    await asyncio.wait_for(await server.engine.get(run_id), PATIENCE)


async def frames_of(server: Server, query: str = "", run_id: str = "r", **headers: str) -> list[Frame]:
    async with server.events(run_id, f"?children=1{query}", **headers) as stream:
        assert stream.status == 200
        return list(map(timeless, await stream.all()))


def timeless(frame: Frame) -> Frame:
    """A notice is made for each client at its own time."""
    if not frame.event.startswith("stream."):
        return frame
    body = json.loads(frame.data)
    del body["time"]
    return Frame(frame.id, frame.event, json.dumps(body))


def key_of(id: str) -> tuple[int, float]:
    seq, _, part = id.partition(".")
    return int(seq), int(part) if part else float("inf")


async def test_the_stream_has_every_event_of_the_tree_and_ends_with_its_root(kin: Server) -> None:
    """Each as it is in the log; ids only grow; ``stream.end`` repeats the last one, and after it comes 204."""
    await grown(kin)
    await grown(kin, "other")
    *frames, end = await frames_of(kin)
    events = [Event.from_json(frame.data.encode()) for frame in frames]
    runs = {event.run_id for event in events}
    assert len(runs) == 7
    for run_id in runs:
        assert [event for event in events if event.run_id == run_id] == await read_all(kin.engine.log, run_id)
    assert [frame.event for frame in frames] == [event.type for event in events]
    assert (events[-1].type, events[-1].run_id) == ("run.completed", "r")
    ids = [key_of(frame.id) for frame in frames]
    assert ids == sorted(set(ids))
    assert (end.event, end.id, json.loads(end.data)["data"]) == ("stream.end", frames[-1].id, {"status": "completed"})
    assert json.loads(end.data)["run_id"] == "r"
    async with kin.events("r", "?children=1", **{"Last-Event-ID": end.id}) as stream:
        assert stream.status == 204


async def test_a_client_that_is_cut_after_any_frame_has_exactly_the_rest(kin: Server) -> None:
    """By ``Last-Event-ID`` and by ``after``, also in the middle of a window and of a run that has not ended."""
    await grown(kin)
    frames = await frames_of(kin)
    for at, frame in enumerate(frames[:-2]):
        assert await frames_of(kin, **{"Last-Event-ID": frame.id}) == frames[at + 1 :], f"after {frame.id}"
    middle = frames[len(frames) // 2]
    assert await frames_of(kin, f"&after={middle.id}") == frames[frames.index(middle) + 1 :]


async def test_a_live_client_sees_the_same_as_one_that_comes_later(kin: Server) -> None:
    """A child run that starts while it follows is there from its first event on."""
    kin.gates._are_open = False  # type: ignore[reportPrivateUsage]
    await kin.start("family", {"depth": 2}, run_id="r")
    live = asyncio.ensure_future(frames_of(kin))
    for leaf in ("r.grow.1.grow.1", "r.grow.1.grow.2", "r.grow.2.grow.1", "r.grow.2.grow.2"):
        await wait_for_event(await open_run(kin.engine, leaf), "line.said", None, 3)
        kin.gates[leaf].set()
    assert await asyncio.wait_for(live, PATIENCE) == await frames_of(kin)


async def test_the_client_of_this_library_follows_a_tree(kin: Server) -> None:
    """Its cursors are those of any stream: a connection that breaks off in the middle changes nothing."""
    await grown(kin)
    url = f"{kin.url}/runs/r/events?children=1"
    wanted = await frames_of(kin)
    async with aiohttp.ClientSession() as session:
        got = [timeless(frame) async for frame in follow_url(url, session=session)]
    assert got == wanted


async def test_filters_keep_the_ids(kin: Server) -> None:
    """``types`` and ``tasks`` choose frames; a client that comes back by one of their ids has the rest of them."""
    await grown(kin)
    whole = await frames_of(kin)
    chosen = await frames_of(kin, "&types=child.*,run.completed")
    assert [frame for frame in whole if frame.event.startswith("child.") or frame.event == "run.completed"] == [
        *chosen[:-1]
    ]
    for at, frame in enumerate(chosen[:-2]):
        rest = await frames_of(kin, "&types=child.*,run.completed", **{"Last-Event-ID": frame.id})
        assert rest == chosen[at + 1 :]


async def test_a_stream_may_be_opened_before_its_tree_begins(kin: Server) -> None:
    """``await_run``: from the first event on. And a start that streams may ask for the tree."""
    early = asyncio.ensure_future(frames_of(kin, "&await_run=30"))
    await wait_until(lambda: len(kin.streams))
    await grown(kin)
    assert await asyncio.wait_for(early, PATIENCE) == await frames_of(kin)
    body = {"input": {"depth": 1}, "run_id": "s"}
    url = f"{kin.url}/workflows/family/runs?children=1"
    async with kin.session.post(url, json=body, headers={"Accept": "text/event-stream"}) as response:
        text = await response.text()
    assert '"run_id":"s.grow.1"' in text
    assert text.rstrip().endswith('"data":{"status":"completed"}}')


async def test_a_cursor_of_another_log_is_told_and_everything_follows(kin: Server) -> None:
    """``stream.gap`` with the reason ``ahead``, as in the stream of one run."""
    await grown(kin)
    whole = await frames_of(kin)
    gap, *rest = await frames_of(kin, "&after=1000000")
    assert (gap.event, json.loads(gap.data)["data"]["reason"], gap.id) == ("stream.gap", "ahead", "")
    assert rest == whole
    gap, *rest = await frames_of(kin, "&after=1000000.7")
    assert rest == whole


async def test_a_cursor_that_was_never_given_skips_nothing_that_was_not_sent(kin: Server) -> None:
    """Inside of a window, but behind its last event: the whole window follows. ``0.5`` is the beginning."""
    await grown(kin)
    whole = await frames_of(kin)
    windows = sorted({key_of(frame.id)[0] for frame in whole})
    for position in windows:
        rest = [frame for frame in whole if key_of(frame.id)[0] >= position]
        for part in (len(whole), 999_999, 10**30):
            assert await frames_of(kin, f"&after={position}.{part}") == rest, f"after {position}.{part}"
    assert await frames_of(kin, "&after=0.5") == whole


async def test_a_client_that_comes_back_is_told_what_it_may_miss_of_a_deleted_child(kin: Server) -> None:
    """A gap without an id just before ``child.ended``; none for a client that has seen the whole child."""
    await grown(kin, depth=1)
    whole = await frames_of(kin)
    child = [frame for frame in whole if json.loads(frame.data)["run_id"] == "r.grow.1"]
    await kin.engine.delete("r.grow.1")
    for at, frame in enumerate(child):
        rest = await frames_of(kin, **{"Last-Event-ID": frame.id})
        gaps = [(gap.id, json.loads(gap.data)["data"]) for gap in rest if gap.event == "stream.gap"]
        is_last = at == len(child) - 1
        assert gaps == ([] if is_last else [("", {"from": 1, "to": len(child), "reason": "trimmed"})]), frame.id


@pytest.mark.parametrize("query", ["tail=3", "snapshot=1", "logs=3", "throttle=100", "children=2", "after=x"])
async def test_what_has_no_meaning_with_a_tree_is_refused(kin: Server, query: str) -> None:
    """400 with the name of the option, before the stream begins."""
    await grown(kin, depth=0)
    status, problem = await kin.get(f"/runs/r/events?{'' if 'children' in query else 'children=1&'}{query}")
    assert status == 400
    assert query.partition("=")[0] in problem["detail"]


@pytest.mark.usefixtures("quick_beats")
async def test_a_client_hears_heartbeats_and_why_its_stream_closes(kin: Server) -> None:
    """A comment after each silence; ``stream.closing`` when the server stops, without an id."""
    kin.gates._are_open = False  # type: ignore[reportPrivateUsage]
    await kin.start("family", {"depth": 1}, run_id="r")
    async with kin.events("r", "?children=1&heartbeat=0.05") as stream:
        seen = await stream.until("line.said")
        while b"\n\n:\n" not in stream.raw:
            stream.raw += await stream.response.content.readany()
        stopping = asyncio.ensure_future(kin.stop())
        closing = await stream.until("stream.closing")
        assert (closing.id, json.loads(closing.data)["data"]["reason"]) == ("", "shutdown")
        assert seen.id
        await stopping


async def test_a_log_that_does_not_keep_the_order_is_refused(serve: Serve) -> None:
    """400 with a sentence; the stream of the run alone goes on as ever."""

    class Unordered(MemoryLog):
        committed = None  # type: ignore[assignment]

    gates = Gates()
    gates.open()
    engine = Engine(Unordered(), grace=0.0)
    server = await serve(engine, family(gates))
    await grown(server, depth=1)
    status, problem = await server.get("/runs/r/events?children=1")
    assert (status, "does not keep the order" in problem["detail"]) == (400, True)
    async with server.events("r") as stream:
        assert (await stream.all())[-1].event == "stream.end"


async def test_a_handler_of_ones_own_cannot_ask_for_a_tree(kin: Server) -> None:
    """It does not know the engine: TypeError names the option; in a query it is refused as unknown."""
    with pytest.raises(TypeError, match="children=1"):
        await stream(None, None, children=True)  # type: ignore[arg-type]
