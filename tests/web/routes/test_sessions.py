"""Sessions over HTTP: opened by PUT, written by POST, closed; and what a bad request is answered."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from rich.console import Console

from reactor import bounds
from reactor_web.client.follow import follow_url
from reactor_web.terminal.lines import plain_line
from reactor_web.terminal.views import open_view
from tests.helpers.life import Life
from tests.helpers.server import Server


async def opened(server: Server, **body: Any) -> None:
    status, _ = await server.put("/runs/s1", {"session": True, **body})
    assert status == 201


# --- open, write, close -----------------------------------------------------------------------------------------


async def test_a_session_is_opened_written_and_closed(server: Server) -> None:
    """Each answer comes once it is in the log; a stream that was opened first has all of it, and ends with it."""
    async with server.events("s1", "?await_run=60") as stream:
        body = {"session": True, "meta": {"a": 1}, "budget": {"cost": 5}, "idle": 60}
        status, answer = await server.put("/runs/s1", body)
        assert (status, answer["status"], answer["workflow"]) == (201, "running", "session")
        event = {"type": "agent:started", "data": {"agentName": "x"}, "task": "reader"}
        assert await server.post("/runs/s1/events", event) == (202, {"run_id": "s1", "seqs": [2]})
        events = [{"type": "ROUTER_THOUGHT"}, {"type": "page", "data": None, "task": None}]
        assert await server.post("/runs/s1/events", events) == (202, {"run_id": "s1", "seqs": [3, 4]})
        status, answer = await server.post("/runs/s1/close", {"outputs": {"answer": 42}})
        assert (status, answer["status"], answer["seq"]) == (202, "completed", 5)
        end = await stream.until("stream.end")
        assert json.loads(end.data)["data"]["status"] == "completed"
    _, body = await server.get("/runs/s1")
    assert (body["session"], body["idle"], body["graph"], body["outputs"]) == (True, 60, [], {"answer": 42})
    _, page = await server.get("/runs")
    assert [(run["run_id"], run["session"]) for run in page["runs"]] == [("s1", True)]


async def test_a_run_that_is_no_session_does_not_say_that_it_is_one(server: Server) -> None:
    """The member is there for sessions alone."""
    await server.start("small", run_id="r1")
    assert "session" not in (await server.get("/runs"))[1]["runs"][0]
    assert "session" not in (await server.get("/runs/r1"))[1]


async def test_put_is_repeated_by_its_id(server: Server) -> None:
    """200 and the same session, also after its end; 409 for anything else under the id."""
    await opened(server, meta={"a": 1}, idle=60)
    same = {"session": True, "meta": {"a": 1}, "idle": 60}
    assert (await server.put("/runs/s1", same))[0] == 200
    for other in ({"session": True}, {**same, "idle": 61}, {"workflow": "small", "meta": {"a": 1}}):
        assert (await server.put("/runs/s1", other))[0] == 409
    await server.post("/runs/s1/close")
    assert (await server.put("/runs/s1", same))[0] == 200
    await server.start("small", run_id="r1")
    assert (await server.put("/runs/r1", {"session": True}))[0] == 409


async def test_events_stand_beside_the_tasks_of_a_run(server: Server) -> None:
    """``POST /runs/{id}/events`` is for every open run."""
    await server.start("gated", run_id="r1")
    assert (await server.post("/runs/r1/events", {"type": "said", "task": "fast"}))[0] == 202
    status, problem = await server.post("/runs/r1/events", {"type": "said", "task": "fats"})
    assert (status, problem["detail"]) == (404, "run r1 has no task 'fats', did you mean 'fast'?")
    status, problem = await server.post("/runs/r1/close")
    assert (status, "is no session" in problem["detail"]) == (409, True)
    server.gates.open()
    await (await server.engine.get("r1"))
    assert (await server.post("/runs/r1/events", {"type": "late"}))[0] == 409


async def test_a_cancel_ends_it_and_a_pause_has_no_meaning(server: Server) -> None:
    """The other commands of a run."""
    await opened(server)
    for command in ("pause", "resume"):
        status, problem = await server.post(f"/runs/s1/{command}")
        assert (status, f"no tasks to {command}" in problem["detail"]) == (409, True)
    assert (await server.post("/runs/s1/cancel"))[0] == 202
    assert (await server.get("/runs/s1"))[1]["status"] == "cancelled"
    for path, body in (("events", {"type": "late"}), ("close", {}), ("retry", {}), ("cancel", {})):
        assert (await server.post(f"/runs/s1/{path}", body))[0] == 409
    assert (await server.delete("/runs/s1"))[0] == 204


# --- bad requests -----------------------------------------------------------------------------------------------


PROBLEMS: list[tuple[str, Any, int, str]] = [
    ("events", {"type": "a b"}, 422, "run s1: 'a b' is not an event type"),
    ("events", {"type": "task.done"}, 422, "run s1: the event type 'task.done' is reserved for the engine"),
    ("events", {}, 422, "run s1: None is not an event type"),
    ("events", [], 422, "run s1: 1 to 1,000 events are emitted at once, not 0"),
    ("events", [{"type": "x"}] * (bounds.EMITTED_AT_ONCE + 1), 422, "run s1: 1 to 1,000 events are emitted at once"),
    ("events", "x", 422, "the body must be an event {type, data, task}, or a list of them, not a string"),
    ("events", [{"type": "x"}, 5], 422, "run s1: events[1]: an event is an object {type, data, task}, not a number"),
    ("events", {"type": "x", "dat": {}}, 422, "run s1: an event has no member 'dat', did you mean 'data'?"),
    ("events", {"type": "x", "data": [1]}, 422, "run s1: the data of its 'x' event must be a JSON object, not a list"),
    ("events", {"type": "x", "task": 7}, 422, "run s1: a task is named by its id"),
    ("events", {"type": "x", "data": {"x": "x" * 49_152}}, 413, "run s1: its 'x' event has 49,160 bytes"),
    ("close", {"status": "done"}, 422, "a session is closed as one of completed, failed, cancelled, not 'done'"),
    ("close", {"status": "failed", "outputs": {}}, 422, "a session that is closed as failed has no outputs"),
    ("close", {"error": 5, "status": "failed"}, 422, "the error of a session must be text, or {type, message}"),
    ("close", {"output": 5}, 422, "the body has an unknown member 'output', did you mean 'outputs'?"),
    ("close", {"outputs": 5}, 422, "outputs must be an object, not a number"),
]


@pytest.mark.parametrize(("path", "body", "status", "detail"), PROBLEMS)
async def test_a_bad_request_appends_nothing(path: str, body: Any, status: int, detail: str, server: Server) -> None:
    """One sentence that says what is wrong and where."""
    await opened(server)
    answered, problem = await server.post(f"/runs/s1/{path}", body)
    assert (answered, problem["status"]) == (status, status)
    assert problem["detail"].startswith(detail)
    assert (await server.engine.get("s1")).state.seq == 1


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({"session": True, "workflow": "small"}, "a session has no workflow"),
        ({"session": True, "input": {}}, "a session has no input"),
        ({"session": "yes"}, "session must be true or false, not a string"),
        ({"session": 1}, "session must be true or false, not a number"),
        ({"session": False}, "the body must name the workflow, {workflow, input}, or say {session: true}"),
        ({"workflow": "small", "idle": 5}, "idle is for a session"),
        ({"session": True, "idle": 0}, "the idle of a session must be a number of seconds above 0"),
        ({"session": True, "idle": True}, "idle must be a number, not true"),
        ({"session": True, "budget": {"cost": 1, "on_exceeded": "pause"}}, "the budget of a session cannot pause it"),
    ],
)
async def test_a_bad_start_opens_nothing(body: Any, detail: str, server: Server) -> None:
    """422, and the id is free."""
    status, problem = await server.put("/runs/s1", body)
    assert (status, problem["detail"][: len(detail)]) == (422, detail)
    assert (await server.get("/runs/s1"))[0] == 404


@pytest.mark.parametrize("path", ["events", "close"])
async def test_another_site_can_neither_write_nor_close(path: str, server: Server) -> None:
    """They are guarded as all that changes something."""
    await opened(server)
    async with server.session.post(f"{server.url}/runs/s1/{path}", data=b'{"type": "x"}') as response:
        assert response.status == 415
    headers = {"Host": "evil.example", "Content-Type": "application/json"}
    async with server.session.post(f"{server.url}/runs/s1/{path}", data=b'{"type": "x"}', headers=headers) as response:
        assert response.status == 403
    assert (await server.get("/runs/s1"))[1]["seq"] == 1
    assert (await server.post(f"/runs/nope/{path}", {"type": "x"} if path == "events" else {}))[0] == 404


# --- keys -------------------------------------------------------------------------------------------------------


async def test_a_request_with_its_key_again_is_answered_the_same(server: Server) -> None:
    """Also after the end; another body under the key is 422, and neither appends anything."""
    await opened(server)
    key = {"Idempotency-Key": "k-1"}
    first = await server.post("/runs/s1/events", [{"type": "a"}, {"type": "b"}], **key)
    assert first == (202, {"run_id": "s1", "seqs": [2, 3]})
    assert await server.post("/runs/s1/events", [{"type": "a"}, {"type": "b"}], **key) == first
    status, problem = await server.post("/runs/s1/events", {"type": "a"}, **key)
    assert (status, "the key 'k-1' was used for another event" in problem["detail"]) == (422, True)
    closing = {"Idempotency-Key": "k-2"}
    closed = await server.post("/runs/s1/close", {"status": "failed", "error": "no luck"}, **closing)
    assert await server.post("/runs/s1/close", {"status": "failed", "error": "no luck"}, **closing) == closed
    assert (await server.post("/runs/s1/close", {}, **closing))[0] == 422
    assert (await server.post("/runs/s1/close"))[0] == 409
    assert await server.post("/runs/s1/events", [{"type": "a"}, {"type": "b"}], **key) == first
    assert (await server.post("/runs/s1/events", {"type": "c"}, **{"Idempotency-Key": ""}))[0] == 400
    run = await server.engine.get("s1")
    assert [(event.type, event.idempotency_key) async for event in run] == [
        ("run.started", None), ("a", "k-1"), ("b", "k-1"), ("run.failed", None),
    ]  # fmt: skip


# --- the terminal -----------------------------------------------------------------------------------------------


async def test_the_terminal_shows_what_is_said(server: Server) -> None:
    """As lines; a live view prints them above its header, for there is no tree of tasks."""
    await opened(server, idle=60)
    await server.post("/runs/s1/events", {"type": "ROUTER_THOUGHT", "data": {"text": "hm"}, "task": "router"})
    await server.post("/runs/s1/close")
    events = [event async for event in await server.engine.get("s1")]
    lines = [plain_line(event) or "" for event in events]
    assert [line[13:] for line in lines] == [
        "▶ run s1 opened, a session, 60 s idle at most",
        '· router ROUTER_THOUGHT {"text":"hm"}',
        f"✓ run completed in {lines[-1].rpartition(' in ')[2]}",
    ]
    screen = io.StringIO()
    with open_view(Console(file=screen, force_terminal=True, width=100), json=False) as view:
        for event in events:
            view.show(event)
    assert 'router ROUTER_THOUGHT {"text":"hm"}' in screen.getvalue()
    assert "3 events" in screen.getvalue()


# --- a server that dies -----------------------------------------------------------------------------------------


@contextmanager
def life(store: Path) -> Iterator[Life]:
    server = Life(store)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.end("SIGKILL")


WRITERS, READERS, EVENTS = 2, 50, 120


@pytest.mark.slow
async def test_writers_and_readers_of_a_server_that_is_killed(tmp_path: Path) -> None:
    """Two writers who repeat what was not answered, fifty readers who come back by their cursors, a kill -9 between.

    Each reader has what the log has, byte for byte; what the writers said is there once, in the order of each.
    """
    with life(tmp_path / "runs.db") as server:
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as http:
            await post(http, "PUT", f"{server.url}/runs/s1", {"session": True})
            readers = [asyncio.ensure_future(read(http, server.url)) for _ in range(READERS)]
            half = asyncio.Event()
            writers = [asyncio.ensure_future(write(http, server.url, writer, half)) for writer in range(WRITERS)]
            await half.wait()
            await asyncio.to_thread(server.end, "SIGKILL")
            await asyncio.to_thread(server.begin_again)
            answered = await asyncio.gather(*writers)
            await post(http, "POST", f"{server.url}/runs/s1/close", {}, "close")
            streams = await asyncio.wait_for(asyncio.gather(*readers), 60)
            async with http.get(f"{server.url}/runs/s1/events") as response:
                log = [line[6:] for line in (await response.read()).split(b"\n") if line.startswith(b'data: {"seq"')]
        assert all(stream == log for stream in streams)
        events = [json.loads(line) for line in log]
        assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
        assert events[-1]["type"] == "run.completed"
        for writer in range(WRITERS):
            mine = [event for event in events if event["type"] == f"w{writer}"]
            assert [event["data"]["n"] for event in mine] == list(range(EVENTS))
            assert [event["seq"] for event in mine] == answered[writer]


async def write(http: aiohttp.ClientSession, url: str, writer: int, half: asyncio.Event) -> list[int]:
    """Says its events in batches of three, each under its own key; returns the seqs that were answered."""
    seqs: list[int] = []
    for start in range(0, EVENTS, 3):
        batch = [{"type": f"w{writer}", "data": {"n": n}} for n in range(start, start + 3)]
        answer = await post(http, "POST", f"{url}/runs/s1/events", batch, f"{writer}-{start}")
        seqs += answer["seqs"]
        if start >= EVENTS // 2:
            half.set()
    return seqs


async def post(http: aiohttp.ClientSession, method: str, url: str, body: Any, key: str = "") -> Any:
    """Sends a request until it is answered."""
    headers = {"Idempotency-Key": key} if key else {}
    while True:
        try:
            async with http.request(method, url, json=body, headers=headers) as response:
                assert response.status in (200, 201, 202, 503), await response.text()
                if response.status != 503:
                    return await response.json()
        except aiohttp.ClientError:
            await asyncio.sleep(0.05)


async def read(http: aiohttp.ClientSession, url: str) -> list[bytes]:
    """The whole stream, over as many connections as it takes."""
    async with aclosing(follow_url(f"{url}/runs/s1/events", session=http, max_failures=100)) as frames:
        return [frame.data.encode() async for frame in frames if frame.data.startswith('{"seq"')]
