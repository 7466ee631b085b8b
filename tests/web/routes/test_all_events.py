"""``GET /events``: the events of all runs, as a stream, as lines and by pages."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from reactor import Engine
from reactor.logs.memory import MemoryLog
from reactor.testing import read_all
from reactor_web.sse.parser import Frame
from tests.helpers.lines_client import Lines
from tests.helpers.runs import PATIENCE, wait_until
from tests.helpers.server import Gates, Serve, Server, Stream, gated_workflow, small_workflow

JSON = "application/json"


@pytest.fixture(params=["memory", "sqlite"])
async def server(request: pytest.FixtureRequest, serve: Serve, tmp_path: Path) -> Server:
    """A server on either log."""
    url = "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/runs.db"
    gates = Gates()
    found = await serve(Engine(url, grace=0.0), gated_workflow(gates), small_workflow())
    found.gates = gates
    return found


def follow(server: Server, query: str = "", **headers: str) -> Stream:
    return Stream(server.session.get(f"{server.url}/events{query}", headers=headers))


async def upto(stream: Stream, run_id: str, event: str) -> list[Frame]:
    """The frames up to this event of this run."""
    frames: list[Frame] = []
    while (frame := await stream.next()) is not None:
        frames.append(frame)
        if frame.event == event and json.loads(frame.data)["run_id"] == run_id:
            return frames
    raise AssertionError(f"the stream ended before {event} of {run_id}")


async def ended(server: Server, run_id: str, workflow: str = "small", **body: Any) -> None:
    await server.start(workflow, run_id=run_id, **body)
    await (await server.engine.get(run_id)).ended()


async def test_history_comes_first_then_what_happens_and_no_event_twice(server: Server) -> None:
    """Runs that start while a client follows are there from their first event on; a run's events are as in its log."""
    await ended(server, "a")
    await server.start("gated", run_id="g")
    async with follow(server) as stream:
        frames = await upto(stream, "a", "run.completed")
        await ended(server, "b")
        server.gates.open()
        frames += await upto(stream, "g", "run.completed")
        if not any(json.loads(f.data)["run_id"] == "b" and f.event == "run.completed" for f in frames):
            frames += await upto(stream, "b", "run.completed")
    for run_id in ("a", "b", "g"):
        mine = [frame.data.encode() for frame in frames if json.loads(frame.data)["run_id"] == run_id]
        assert mine == [event.json for event in await read_all(server.engine.log, run_id)]
    ids = [tuple(map(int, frame.id.split("."))) for frame in frames]
    assert len(set(ids)) == len(ids)


async def test_a_client_that_is_cut_after_any_frame_has_exactly_the_rest(server: Server) -> None:
    """By ``Last-Event-ID``, by ``after`` and by the ``cursor`` of a line."""
    await ended(server, "a")
    await ended(server, "b")
    async with follow(server) as stream:
        frames = await upto(stream, "b", "run.completed")
    for at, frame in enumerate(frames[:-1]):
        async with follow(server, **{"Last-Event-ID": frame.id}) as stream:
            assert await upto(stream, "b", "run.completed") == frames[at + 1 :]
    async with Lines(server, "/events") as lines:
        seen = [await lines.next() or {} for _ in frames]
    assert [line.pop("cursor") for line in seen] == [frame.id for frame in frames]
    assert seen == [json.loads(frame.data) for frame in frames]


async def test_a_selection_of_runs_and_of_events(server: Server) -> None:
    """``workflow``, ``meta.<member>``, ``types`` and ``tasks``."""
    await ended(server, "a", meta={"customer": "c1"})
    await ended(server, "b", meta={"customer": "c2"})
    server.gates.open()
    await ended(server, "g", "gated")
    for query, wanted in (
        ("?workflow=gated&types=run.*", [("g", "run.started"), ("g", "run.completed")]),
        ("?meta.customer=c2&types=run.*", [("b", "run.started"), ("b", "run.completed")]),
        ("?workflow=small&types=task.completed&tasks=b", [("a", "task.completed"), ("b", "task.completed")]),
    ):
        async with follow(server, query) as stream:
            frames = [await stream.next() for _ in wanted]
        assert [(json.loads(frame.data)["run_id"], frame.event) for frame in frames if frame] == wanted, query


async def test_some_runs_by_name_also_those_that_start_later(server: Server) -> None:
    """The frames that a stream of all runs has of them, from any of its cursors on; ids given at once or repeated."""
    await ended(server, "a")
    await ended(server, "other")
    async with follow(server, "?runs=late,a") as stream:
        frames = await upto(stream, "a", "run.completed")
        await ended(server, "b")
        await ended(server, "late", meta={"customer": "c1"})
        frames += await upto(stream, "late", "run.completed")
    async with follow(server) as stream:
        everything = await upto(stream, "late", "run.completed")
    wanted = [frame for frame in everything if json.loads(frame.data)["run_id"] in ("a", "late")]
    assert frames == wanted
    for at, frame in enumerate(everything[:-1]):
        async with follow(server, "?runs=a&runs=late,a", **{"Last-Event-ID": frame.id}) as stream:
            rest = [other for other in everything[at + 1 :] if other in wanted]
            assert await upto(stream, "late", "run.completed") == rest


@pytest.mark.parametrize(
    ("query", "seen"),
    [
        ("types=run.*", [("a", "run.started"), ("a", "run.completed"), ("b", "run.started"), ("b", "run.completed")]),
        ("types=task.completed&tasks=b", [("a", "task.completed"), ("b", "task.completed")]),
        ("types=run.started&meta.customer=c2", [("b", "run.started")]),
        ("types=run.started&workflow=small&heartbeat=1", [("a", "run.started"), ("b", "run.started")]),
        ("types=run.started&workflow=gated", []),
    ],
)
async def test_the_names_of_runs_go_with_every_other_selection(
    server: Server, query: str, seen: list[tuple[str, str]]
) -> None:
    """As frames, compressed, as lines and as pages of any size."""
    await ended(server, "a", meta={"customer": "c1"})
    await ended(server, "x", meta={"customer": "c2"})
    await ended(server, "b", meta={"customer": "c2"})
    query = f"?runs=b,a&{query}"
    for more, headers in (("", {}), ("&compress=1", {"Accept-Encoding": "gzip"})):
        async with follow(server, query + more, **headers) as stream:
            frames = [await stream.next() for _ in seen]
        assert [(json.loads(frame.data)["run_id"], frame.event) for frame in frames if frame] == seen
    async with Lines(server, f"/events{query.replace('&heartbeat=1', '')}") as lines:
        found = [await lines.next() or {} for _ in seen]
    assert [(line["run_id"], line["type"]) for line in found] == seen
    pages: list[tuple[str, str]] = []
    cursor, page = "0", ["something"]
    while page:
        paged = f"/events{query.replace('&heartbeat=1', '')}&limit=1&after={cursor}"
        _, body = await server.get(paged, Accept=JSON)
        page, cursor = body["events"], body["cursor"]
        pages += [(event["run_id"], event["type"]) for event in page]
    assert pages == seen


async def test_a_deleted_run_is_told_only_to_who_has_named_it(server: Server) -> None:
    """``stream.gap`` stands there for these runs alone."""
    for run_id in ("a", "b", "c"):
        await ended(server, run_id)
    for run_id in ("a", "b"):
        await server.delete(f"/runs/{run_id}")
    _, body = await server.get("/events?runs=a,c&types=run.started", Accept=JSON)
    assert [(event["run_id"], event["type"]) for event in body["events"]] == [("a", "stream.gap"), ("c", "run.started")]


async def test_a_poll_for_some_runs_ends_with_their_next_event(server: Server) -> None:
    """What others say neither ends it nor moves its cursor past anything."""
    await ended(server, "a")
    _, page = await server.get("/events?runs=a,g", Accept=JSON)
    poll = asyncio.ensure_future(server.get(f"/events?runs=a,g&after={page['cursor']}&wait=300", Accept=JSON))
    await wait_until(lambda: server.engine.tenant("").runs.windows.observers)  # type: ignore[reportPrivateUsage]
    await ended(server, "c")
    assert not poll.done()
    await server.start("gated", run_id="g")
    _, body = await asyncio.wait_for(poll, PATIENCE)
    assert {event["run_id"] for event in body["events"]} == {"g"}


async def test_a_hundred_runs_of_the_longest_names_can_be_followed(server: Server) -> None:
    """Such a URL is taken; one more, an id that cannot be, and none are 400 with one sentence."""
    names = [f"{n:064}" for n in range(100)]
    await ended(server, names[-1])
    async with follow(server, f"?runs={','.join(names)}&types=run.started") as stream:
        frame = await stream.next()
    assert frame is not None
    assert json.loads(frame.data)["run_id"] == names[-1]
    for runs, sentence in (
        (",".join(f"r{n}" for n in range(101)), "runs: 101 runs are named, but it must be 1 to 100"),
        ("a,b%2Fc", "runs: 'b/c' is not a valid run id"),
        ("a,,b", "runs: '' is not a valid run id"),
        ("", "runs: '' is not a valid run id"),
        ("a&runs=..", "runs: '..' is not a valid run id"),
    ):
        for accept in ("text/event-stream", JSON):
            status, problem = await server.get(f"/events?runs={runs}", Accept=accept)
            assert (status, sentence in problem["detail"]) == (400, True), problem


async def test_pages_and_long_polls_of_all_runs(server: Server) -> None:
    """The cursor of a page is a position; a poll that waits ends with the next event that is wanted."""
    await ended(server, "a")
    await ended(server, "b")
    async with follow(server) as stream:
        frames = await upto(stream, "b", "run.completed")
    for limit in (1, 4, 1_000):
        seen: list[dict[str, Any]] = []
        cursor = "0"
        while len(seen) < len(frames):
            status, body = await server.get(f"/events?limit={limit}&after={cursor}", Accept=JSON)
            assert (status, body["ended"], body["status"]) == (200, False, None)
            assert 1 <= len(body["events"]) <= limit
            seen += body["events"]
            cursor = body["cursor"]
        assert seen == [json.loads(frame.data) for frame in frames]
    assert (await server.get(f"/events?after={cursor}&wait=0.01", Accept=JSON))[1]["events"] == []
    poll = asyncio.ensure_future(server.get(f"/events?after={cursor}&wait=300&workflow=gated", Accept=JSON))
    await wait_until(lambda: server.engine.tenant("").runs.windows.observers)  # type: ignore[reportPrivateUsage]
    await ended(server, "c")
    assert not poll.done()
    await server.start("gated", run_id="g")
    _, body = await asyncio.wait_for(poll, PATIENCE)
    assert body["events"][0]["run_id"] == "g"


async def test_what_was_deleted_is_told(server: Server) -> None:
    """``stream.gap`` with the run, what is gone of it, and why; it has no id. In a page, too."""
    await ended(server, "a")
    last = (await server.engine.get("a")).feed.last_seq
    await ended(server, "b")
    await server.delete("/runs/a")
    async with follow(server) as stream:
        gap = await stream.next()
        assert gap is not None
        assert (gap.event, gap.id, json.loads(gap.data)["run_id"]) == ("stream.gap", "", "a")
        assert json.loads(gap.data)["data"] == {"from": 1, "to": last, "reason": "deleted"}
        assert json.loads((await stream.until("run.started")).data)["run_id"] == "b"
    cursor, seen = "0", []
    while len(seen) < 3:
        _, body = await server.get(f"/events?limit=1&after={cursor}", Accept=JSON)
        seen += [event["type"] for event in body["events"]]
        cursor = body["cursor"]
    assert seen[:2] == ["stream.gap", "run.started"]
    assert "stream.gap" not in seen[2:]


async def test_a_cursor_beyond_the_log_is_told(server: Server) -> None:
    """``ahead``, and everything from the first event on."""
    await ended(server, "a")
    async with follow(server, "?after=100000") as stream:
        gap, first = await stream.next(), await stream.next()
    assert gap is not None
    assert first is not None
    assert (json.loads(gap.data)["data"]["reason"], first.event) == ("ahead", "run.started")


@pytest.mark.usefixtures("quick_beats")
async def test_the_stream_has_heartbeats_and_closes_with_the_server(server: Server) -> None:
    """A comment after a silence; ``stream.closing {shutdown}`` when the server stops, also for a poll that waits."""
    async with follow(server, "?heartbeat=0.05") as stream:
        while b":\n:\n" not in stream.raw:
            stream.raw += await stream.response.content.readany()
        poll = asyncio.ensure_future(server.get("/events?wait=300", Accept=JSON))
        await wait_until(lambda: len(server.engine.tenant("").runs.windows.observers) == 2)  # type: ignore[reportPrivateUsage]
        stopping = asyncio.ensure_future(server.stop())
        closing = await stream.until("stream.closing")
        assert (json.loads(closing.data)["data"]["reason"], closing.id) == ("shutdown", "")
        assert (await poll)[1]["events"][0]["data"]["reason"] == "shutdown"
        await stopping


@pytest.mark.parametrize(
    "query",
    ["after=x", "tail=3", "snapshot=1", "children=1", "throttle=100", "await_run=3", "meta.=x", "worklow=a",
     "workflow=a&workflow=b", "heartbeat=0"],
)  # fmt: skip
async def test_what_has_no_meaning_there_is_refused(server: Server, query: str) -> None:
    """400 with the name of the option."""
    status, problem = await server.get(f"/events?{query}")
    assert (status, query.partition("=")[0] in problem["detail"]) == (400, True)
    status, problem = await server.get(f"/events?{query}", Accept=JSON)
    assert (status, query.partition("=")[0] in problem["detail"]) == (400, True)


async def test_a_dialect_that_folds_is_refused(server: Server) -> None:
    """It makes its frames of one run."""
    status, problem = await server.get("/events?dialect=timeline")
    assert (status, "of one run" in problem["detail"]) == (400, True)


async def test_a_log_that_does_not_keep_the_order_is_refused(serve: Serve) -> None:
    """400 with a sentence."""

    class Unordered(MemoryLog):
        whole = None  # type: ignore[assignment]

    server = await serve(Engine(Unordered(), grace=0.0), small_workflow())
    status, problem = await server.get("/events")
    assert (status, "does not keep the order of all runs" in problem["detail"]) == (400, True)


async def test_a_head_has_the_headers_and_no_stream(server: Server) -> None:
    """It ends at once."""
    async with server.session.head(f"{server.url}/events") as response:
        assert (response.status, response.content_type, await response.read()) == (200, "text/event-stream", b"")
