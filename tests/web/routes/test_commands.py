"""Commands over HTTP: 202 once the event is in the log, one clear problem for everything else."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from reactor import Context, Engine, Event, Run, Workflow
from reactor.logs.memory import MemoryLog
from reactor.testing import FaultyLog, read_all
from tests.helpers.runs import full_log, wait_for_event
from tests.helpers.server import Gates, Serve, Server, gated_workflow

COMMANDS = ("pause", "resume", "cancel", "input")


def asking_workflow() -> Workflow:
    """approve asks for a bool, then for a value under a key; bill waits for it."""
    flow = Workflow("asking")

    @flow.task
    async def approve(ctx: Context) -> Any:
        is_good = await ctx.receive("approve?", schema=bool)
        return [is_good, await ctx.receive("why?", key="why")]

    @flow.task
    async def bill(approve: list[Any]) -> int:
        return len(approve)

    return flow


@pytest.fixture
async def asking(server: Server) -> Server:
    server.engine.register(asking_workflow())
    return server


async def command(server: Server, run_id: str, name: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    return await server.post(f"/runs/{run_id}/{name}", body, **headers)


async def open_run(server: Server, workflow: str = "gated") -> Run:
    """A run whose bodies run, or wait."""
    started = await server.start(workflow)
    run = await server.engine.get(started["run_id"])
    type, count = ("task.waiting", 1) if workflow == "asking" else ("task.started", 3)
    await wait_for_event(run, type, None, count)
    return run


async def types(server: Server, run: Run, *of: str) -> list[str]:
    return [event.type for event in await read_all(server.engine.log, run.id) if event.type.startswith(of)]


# --- pause and resume ------------------------------------------------------------------------------------------------


async def test_a_run_is_paused_and_resumed(server: Server) -> None:
    """202 with the state; the event is in the log, with the reason and who asked; again is 202 and writes nothing."""
    run = await open_run(server)
    for _ in range(2):
        status, body = await command(server, run.id, "pause", {"reason": "lunch"})
        assert (status, body["run_id"], body["status"]) == (202, run.id, "paused")
    paused = (await read_all(server.engine.log, run.id))[-1]
    assert (paused.type, paused.data) == ("run.paused", {"reason": "lunch", "by": "127.0.0.1"})
    assert (await server.get(f"/runs/{run.id}"))[1]["status"] == "paused"
    assert [listed["run_id"] for listed in (await server.get("/runs?status=paused"))[1]["runs"]] == [run.id]
    for _ in range(2):
        status, body = await command(server, run.id, "resume")
        assert (status, body["status"]) == (202, "running")
    server.gates.open()
    await full_log(server.engine, run)
    assert await types(server, run, "run.") == ["run.started", "run.paused", "run.resumed", "run.completed"]


async def test_a_command_is_answered_only_once_its_event_is_in_the_log(serve: Serve) -> None:
    """While the log hangs there is no answer; whoever has one can rely on it."""
    is_written = asyncio.Event()

    class Hanging(FaultyLog):
        def append(self, run_id: str, window: Sequence[Event], *, tenant: str = "") -> asyncio.Future[int]:
            if window[0].seq > self.after:
                is_written.set()
            return super().append(run_id, window)

    log = Hanging(MemoryLog(), hangs=["r"], after=4)
    server = await serve(Engine(log, grace=0), gated_workflow(Gates()))
    await server.start("gated", run_id="r")
    run = await server.engine.get("r")
    await wait_for_event(run, "task.started", None, 3)
    asked = asyncio.ensure_future(command(server, "r", "pause"))
    await asyncio.wait_for(is_written.wait(), 10)
    assert (await server.get("/runs/r"))[1]["status"] == "running"
    assert not asked.done()
    log.release()
    status, body = await asyncio.wait_for(asked, 10)
    assert (status, body["status"]) == (202, "paused")
    assert (await read_all(log, "r"))[-1].type == "run.paused"


# --- input -----------------------------------------------------------------------------------------------------------


async def test_a_task_that_waits_is_shown_and_fed(asking: Server) -> None:
    """GET /runs/{id} says what each task waits for; a value goes to what is open, or to its key; it may be null.

    The log says who sent each.
    """
    run = await open_run(asking, "asking")
    _, body = await asking.get(f"/runs/{run.id}")
    assert body["tasks"]["approve"]["status"] == "waiting"
    assert body["tasks"]["approve"]["waiting"] == [{"prompt": "approve?", "schema": {"type": "boolean"}, "key": "1"}]
    status, body = await command(asking, run.id, "input", {"task": "approve", "value": True})
    assert (status, body["run_id"]) == (202, run.id)
    await wait_for_event(run, "task.waiting", "approve", 2)
    _, body = await asking.get(f"/runs/{run.id}")
    assert body["tasks"]["approve"]["waiting"] == [{"prompt": "why?", "schema": None, "key": "why"}]
    assert (await command(asking, run.id, "input", {"task": "approve", "value": None, "key": "why"}))[0] == 202
    events = await full_log(asking.engine, run)
    received = [event.data for event in events if event.type == "task.received"]
    sender = {"by": "127.0.0.1"}
    assert received == [{"value": True, "key": "1", **sender}, {"value": None, "key": "why", **sender}]
    _, body = await asking.get(f"/runs/{run.id}")
    assert body["outputs"] == {"bill": 2}
    assert "waiting" not in body["tasks"]["approve"]


async def test_input_that_does_not_fit_is_refused_and_asked_for_still(asking: Server) -> None:
    """422 names the task and the problem; the task waits on."""
    run = await open_run(asking, "asking")
    status, body = await command(asking, run.id, "input", {"task": "approve", "value": "yes"})
    assert (status, body["task_id"]) == (422, "approve")
    assert "approve" in body["detail"]
    assert await types(asking, run, "task.received") == []
    assert run.state.tasks["approve"].status == "waiting"


async def test_a_double_click_answers_one_question(asking: Server) -> None:
    """The second is 409 with a sentence that names the open question; with one Idempotency-Key it is 202 again."""
    run = await open_run(asking, "asking")
    click = {"task": "approve", "value": True, "key": "1"}
    path = f"/runs/{run.id}/input"
    first = await asking.post(path, click, **{"Idempotency-Key": "click"})
    await wait_for_event(run, "task.waiting", "approve", 2)
    assert first[0] == 202
    assert await asking.post(path, click, **{"Idempotency-Key": "click"}) == first
    status, body = await command(asking, run.id, "input", click)
    assert (status, body["task_id"], body["keys"]) == (409, "approve", ["why"])
    assert "its question '1' ('approve?') is already answered; open: 'why' ('why?')" in body["detail"]
    assert len(await types(asking, run, "task.received")) == 1
    assert run.state.tasks["approve"].status == "waiting"


async def test_input_for_a_full_mailbox_is_409(asking: Server) -> None:
    """100 values wait for nobody; the next one is refused, and one for whoever waits is not."""
    run = await open_run(asking, "asking")
    body = {"task": "approve", "value": 1}
    for number in range(100):
        assert (await command(asking, run.id, "input", {**body, "key": f"other {number}"}))[0] == 202
    assert (await command(asking, run.id, "input", {**body, "key": "one more"}))[0] == 409
    assert (await command(asking, run.id, "input", {"task": "approve", "value": False}))[0] == 202


async def test_input_above_the_size_of_an_event_is_413(asking: Server) -> None:
    """And nothing of it is in the log."""
    run = await open_run(asking, "asking")
    body = {"task": "approve", "value": "x" * 40_000, "key": "large"}
    assert (await command(asking, run.id, "input", body))[0] == 413
    assert await types(asking, run, "task.received") == []


# --- cancel ----------------------------------------------------------------------------------------------------------


async def test_one_task_is_cancelled(server: Server) -> None:
    """``task`` in the body: that one ends, the rest goes on; its end makes the same command a 409."""
    run = await open_run(server)
    status, body = await command(server, run.id, "cancel", {"task": "fast", "reason": "not needed", "grace": 5})
    assert (status, body["status"]) == (202, "running")
    await wait_for_event(run, "task.cancelled", "fast")
    assert (await command(server, run.id, "cancel", {"task": "fast"}))[0] == 409
    for name in ("middle", "step", "slow"):
        server.gates[name].set()
    events = await full_log(server.engine, run)
    cancelling = next(event for event in events if event.type == "task.cancelling")
    assert (cancelling.task_id, cancelling.data) == ("fast", {"reason": "not needed", "by": "127.0.0.1"})
    assert (run.status, run.state.tasks["after_fast"].status) == ("completed", "skipped")


async def test_a_run_is_cancelled_and_a_second_cancel_is_harmless(server: Server) -> None:
    """202, and 202 again until it has ended; then 409 with the run's status."""
    flow = Workflow("slow-to-stop")
    go = asyncio.Event()

    @flow.task
    async def body() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await go.wait()

    server.engine.register(flow)
    run = await server.engine.start(flow)
    await wait_for_event(run, "task.started")
    for _ in range(2):
        status, answer = await command(server, run.id, "cancel", {"reason": "enough"})
        assert (status, answer["status"]) == (202, "cancelling")
    for name, body in (
        ("pause", {}),
        ("resume", {}),
        ("input", {"task": "body", "value": 1}),
        ("cancel", {"task": "body"}),
    ):
        assert (await command(server, run.id, name, body))[0] == 409, name
    go.set()
    events = await full_log(server.engine, run)
    assert [e.type for e in events if e.type.startswith("run.")] == ["run.started", "run.cancelling", "run.cancelled"]
    status, answer = await command(server, run.id, "cancel")
    assert (status, answer["run_status"]) == (409, "cancelled")


async def test_a_cancel_is_202_while_it_lasts_and_409_after_the_end(server: Server) -> None:
    """202 once run.cancelling is in the log; the run ends as cancelled; then there is nothing to cancel."""
    flow = Workflow("stubborn")
    was_told, let_go = asyncio.Event(), asyncio.Event()

    @flow.task
    async def stubborn(ctx: Context) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            was_told.set()
            await let_go.wait()

    server.engine.register(flow)
    run_id = (await server.start("stubborn"))["run_id"]
    for _ in range(2):
        status, body = await command(server, run_id, "cancel", {"grace": 30})
        assert (status, body["status"]) == (202, "cancelling")
        await was_told.wait()
    let_go.set()
    async with server.events(run_id) as stream:
        await stream.until("run.cancelled")
    assert (await command(server, run_id, "cancel"))[0] == 409


# --- retry -----------------------------------------------------------------------------------------------------------


async def test_a_retry_over_http_is_a_new_run(server: Server) -> None:
    """202 with its Location; 409 for a run that is open, 404 for one that is not there."""
    first = (await server.start("small", {"n": 5}))["run_id"]
    await (await server.engine.get(first)).ended()
    async with server.session.post(f"{server.url}/runs/{first}/retry", json={"run_id": "again"}) as response:
        assert response.status == 202
        assert response.headers["Location"] == "/api/v1/runs/again"
    await (await server.engine.get("again")).ended()
    assert (await server.get("/runs/again"))[1]["outputs"] == {"b": 6}
    open_ = (await server.start("gated"))["run_id"]
    for run_id, status in ((open_, 409), ("never", 404)):
        assert (await command(server, run_id, "retry"))[0] == status


# --- what is refused -------------------------------------------------------------------------------------------------


async def test_after_the_end_every_command_is_409(server: Server) -> None:
    """The problem names the run and how it ended; the log does not change."""
    started = await server.start("small")
    run = await server.engine.get(started["run_id"])
    events = await full_log(server.engine, run)
    for name in COMMANDS:
        body = {"task": "a", "value": 1} if name == "input" else {}
        status, answer = await command(server, run.id, name, body)
        assert (status, answer["run_id"], answer["run_status"]) == (409, run.id, "completed"), name
        assert "completed" in answer["detail"]
    assert await read_all(server.engine.log, run.id) == events


async def test_an_unknown_run_or_task_is_404(server: Server) -> None:
    """The problem names what there is not."""
    run = await open_run(server)
    for name in (*COMMANDS, "retry"):
        status, body = await command(server, "nope", name, {"task": "a", "value": 1} if name == "input" else {})
        assert (status, body["run_id"]) == (404, "nope"), name
    for name, body in (("cancel", {"task": "nope"}), ("input", {"task": "fast[0]", "value": 1})):
        status, answer = await command(server, run.id, name, body)
        assert (status, answer["task_id"]) == (404, body["task"])
    assert run.status == "running"


BAD_BODIES: list[tuple[str, Any, int, str]] = [
    ("pause", {"reason": 7}, 422, "reason"),
    ("pause", {"reason": "x" * 201}, 422, "reason"),
    ("pause", {"task": "fast"}, 422, "'task'"),
    ("pause", [], 422, "object"),
    ("resume", {"reason": ["x"]}, 422, "reason"),
    ("resume", {"grace": 1}, 422, "'grace'"),
    ("cancel", {"grace": "1"}, 422, "grace"),
    ("cancel", {"grace": True}, 422, "grace"),
    ("cancel", {"grace": -1}, 422, "grace"),
    ("cancel", {"grace": 1e9}, 422, "grace"),
    ("cancel", {"task": 1}, 422, "task"),
    ("cancel", {"task": ["fast"]}, 422, "task"),
    ("cancel", {"reason": {}}, 422, "reason"),
    ("cancel", {"tasks": "fast"}, 422, "'tasks'"),
    ("input", {}, 422, "task"),
    ("input", {"task": "fast"}, 422, "value"),
    ("input", {"value": 1}, 422, "task"),
    ("input", {"task": 1, "value": 1}, 422, "task"),
    ("input", {"task": None, "value": 1}, 422, "task"),
    ("input", {"task": "fast", "value": 1, "key": 1}, 422, "key"),
    ("input", {"task": "fast", "value": 1, "key": ""}, 422, "key"),
    ("input", {"task": "fast", "value": 1, "key": "x" * 201}, 422, "key"),
    ("input", {"task": "fast", "value": 1, "schema": {}}, 422, "'schema'"),
    ("retry", {"run_id": 1}, 422, "run_id"),
]


async def test_a_bad_body_is_refused_with_the_place_and_nothing_happens(server: Server) -> None:
    """422 whose sentence names the member."""
    run = await open_run(server)
    before = await read_all(server.engine.log, run.id)
    for name, body, expected, place in BAD_BODIES:
        status, answer = await command(server, run.id, name, body)
        assert (status, answer["status"]) == (expected, expected), (name, body, answer)
        assert place in answer["detail"], (name, body, answer)
    assert await read_all(server.engine.log, run.id) == before


@pytest.mark.parametrize("raw", [b"{", b'{"reason": "\xff"}', b"NaN"])
async def test_a_body_that_is_no_json_is_400(server: Server, raw: bytes) -> None:
    """For every command."""
    run = await open_run(server)
    for name in COMMANDS:
        url, headers = f"{server.url}/runs/{run.id}/{name}", {"Content-Type": "application/json"}
        async with server.session.post(url, data=raw, headers=headers) as response:
            assert response.status == 400, name
            assert response.content_type == "application/problem+json"


async def test_a_command_of_another_page_is_refused(server: Server) -> None:
    """415 without a JSON content type, also for an empty body; 403 under a foreign name; nothing happens to the run."""
    run = await open_run(server)
    before = await read_all(server.engine.log, run.id)
    for name in (*COMMANDS, "retry"):
        url = f"{server.url}/runs/{run.id}/{name}"
        for options in ({}, {"data": b"{}"}, {"data": {"task": "fast"}}, {"data": "{}"}):
            async with server.session.post(url, **options) as response:  # type: ignore[arg-type]
                assert response.status == 415, (name, options)
        status, _ = await command(
            server, run.id, name, {"task": "fast", "value": 1} if name == "input" else {}, Host="evil.example"
        )
        assert status == 403, name
        async with server.session.get(url) as response:
            assert response.status == 405, name
    assert await read_all(server.engine.log, run.id) == before


# --- what is recorded ------------------------------------------------------------------------------------------------


async def test_an_answer_names_the_event_that_records_the_command(asking: Server) -> None:
    """``recorded`` is its seq, and null where there was nothing to do. Of a retry it is in the new run."""
    run = await open_run(asking, "asking")

    async def recorded(name: str, body: Any = None) -> str | None:
        status, answer = await command(asking, run.id, name, body)
        assert status == 202
        if answer["recorded"] is None:
            return None
        events = {event.seq: event.type for event in await read_all(asking.engine.log, answer["run_id"])}
        return events[answer["recorded"]]

    assert await recorded("pause") == "run.paused"
    assert await recorded("pause") is None
    assert await recorded("resume") == "run.resumed"
    assert await recorded("resume") is None
    assert await recorded("input", {"task": "approve", "value": True}) == "task.received"
    assert await recorded("cancel", {"grace": 0}) == "run.cancelling"
    await full_log(asking.engine, run)
    assert await recorded("retry") == "run.started"


async def test_a_repeat_names_the_same_event(asking: Server) -> None:
    """With an ``Idempotency-Key``, also of a session's close; it is where the log has the value."""
    run = await open_run(asking, "asking")
    body = {"task": "approve", "value": True}
    answers = [await command(asking, run.id, "input", body, **{"Idempotency-Key": "k"}) for _ in range(2)]
    assert answers[0] == answers[1]
    (received,) = [e for e in await read_all(asking.engine.log, run.id) if e.type == "task.received"]
    assert answers[0][1]["recorded"] == received.seq
    session = await asking.engine.session("s")
    closed = [await command(asking, "s", "close", {}, **{"Idempotency-Key": "k"}) for _ in range(2)]
    assert closed[0] == closed[1]
    assert closed[0][1]["recorded"] == session.feed.last_seq
