"""Starting a run over HTTP: what is answered, and what starts nothing."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import pytest

from reactor import Workflow
from tests.helpers.runs import full_log
from tests.helpers.server import Server, Stream


async def test_a_start_is_answered_after_it_is_in_the_log(server: Server) -> None:
    """201, Location, and run.started is committed by then."""
    async with server.session.post(f"{server.url}/workflows/small/runs", json={"run_id": "r-1"}) as response:
        body = await response.json()
        assert response.status == 201
        assert response.headers["Location"] == "/api/v1/runs/r-1"
    assert body["run_id"] == "r-1"
    assert body["seq"] >= 1
    assert (await server.engine.log.read("r-1", 0, 1))[0].type == "run.started"


async def test_prefer_wait_answers_the_result(server: Server) -> None:
    """201 with outputs and totals once the run ended; 202 with the state when the time runs out."""
    status, body = await server.post("/workflows/small/runs", {"input": {"n": 4}}, Prefer="wait=10")
    assert status == 201
    assert body["status"] == "completed"
    assert body["outputs"] == {"b": 5}
    assert (body["total_tasks"], body["completed"]) == (2, 2)
    assert {"duration_ms", "task_time_ms", "speedup"} <= body.keys()
    status, body = await server.post("/workflows/gated/runs", Prefer="wait=0")
    assert (status, body["status"]) == (202, "running")


async def test_a_post_that_accepts_an_event_stream_starts_and_streams(server: Server) -> None:
    """The stream of a POST begins with event 1 and ends with stream.end."""
    request = server.session.post(
        f"{server.url}/workflows/small/runs?types=run.*", json={}, headers={"Accept": "text/event-stream"}
    )
    async with Stream(request) as stream:
        assert stream.status == 200
        assert [frame.event for frame in await stream.all()] == ["run.started", "run.completed", "stream.end"]
        location = stream.response.headers["Location"]
    assert (await server.get(location.removeprefix("/api/v1")))[1]["status"] == "completed"


async def test_a_failed_run_says_which_task_failed_and_how(server: Server) -> None:
    """error {type, message, task_id} in the result, error of the task in the state, no traceback."""
    flow = Workflow("failing")

    @flow.task
    async def broken() -> None:
        raise KeyError("nothing here")

    @flow.task
    async def after(broken: None) -> None: ...

    server.engine.register(flow)
    _, body = await server.post("/workflows/failing/runs", Prefer="wait=10")
    assert body["status"] == "failed"
    assert body["error"] == {"type": "KeyError", "message": "'nothing here'", "task_id": "broken"}
    assert body["tasks"]["broken"]["error"] == {"type": "KeyError", "message": "'nothing here'"}
    assert body["tasks"]["after"]["status"] == "skipped"
    assert body["tasks"]["after"]["because"] == "broken"


async def test_an_id_is_given_once(server: Server) -> None:
    """409 for a run id that exists, also when both start at the same time."""
    answers = await asyncio.gather(*(server.post("/workflows/small/runs", {"run_id": "same"}) for _ in range(5)))
    assert sorted(status for status, _ in answers) == [201, 409, 409, 409, 409]


# --- under an id of the client's -------------------------------------------------------------------------------------


async def test_the_same_put_is_the_same_run_and_another_body_is_409(server: Server) -> None:
    """201 first, 200 for each repeat, also at the same time and after the end; 409 for another input or workflow."""
    answers = await asyncio.gather(
        *(server.put("/runs/mine", {"workflow": "small", "input": {"n": 3}}) for _ in range(4))
    )
    assert sorted(status for status, _ in answers) == [200, 200, 200, 201]
    await (await server.engine.get("mine")).ended()
    assert (await server.put("/runs/mine", {"workflow": "small", "input": {"n": 3}}))[0] == 200
    assert (await server.put("/runs/mine", {"workflow": "small", "input": {"n": 4}}))[0] == 409
    assert (await server.put("/runs/mine", {"workflow": "small"}))[0] == 409
    assert (await server.put("/runs/mine", {"workflow": "gated"}))[0] == 409
    assert (await server.put("/runs/mine", {"workflow": "small", "input": {"n": 3}, "meta": {"a": 1}}))[0] == 409
    assert len((await server.get("/runs"))[1]["runs"]) == 1


async def test_a_put_without_a_workflow_or_with_a_bad_id_starts_nothing(server: Server) -> None:
    """Each mistake is answered with one sentence, and no run is started."""
    status, body = await server.put("/runs/mine", {"input": {}})
    assert (status, body["detail"]) == (
        422,
        "the body must name the workflow, {workflow, input}, or say {session: true}",
    )
    status, body = await server.put("/runs/a%20b", {"workflow": "small"})
    assert (status, body["run_id"]) == (422, "a b")
    assert "'a b' is not a valid run id" in body["detail"]
    assert (await server.put("/runs/mine", {"workflow": "none"}))[0] == 404
    assert (await server.get("/runs"))[1]["runs"] == []


# --- what is refused -------------------------------------------------------------------------------------------------


START_PROBLEMS: list[tuple[bytes, str, int, str]] = [
    (b"{", "application/json", 400, "the body is not JSON"),
    (b"\xff\xfe", "application/json", 400, "the body is not JSON"),
    (b"[]", "application/json", 422, "the body must be a JSON object"),
    (b'{"inputs": {}}', "application/json", 422, "unknown member 'inputs'"),
    (b'{"input": []}', "application/json", 422, "the input of workflow 'small' must be an object"),
    (b'{"input": {"n": "x"}}', "application/json", 422, "the input 'n' of task 'a' does not fit (expected int)"),
    (b'{"input": {"m": 1}}', "application/json", 422, "the input 'm' is not an input of this workflow"),
    (b'{"run_id": "a b"}', "application/json", 422, "'a b' is not a valid run id"),
    (b'{"run_id": 7}', "application/json", 422, "run_id must be a string"),
    (b'{"meta": []}', "application/json", 422, "meta must be an object"),
    (b"{}", "text/plain", 415, "send Content-Type: application/json"),
    (b" " * 2_000_000, "application/json", 413, "the body is above"),
]


@pytest.mark.parametrize(("body", "kind", "status", "sentence"), START_PROBLEMS)
async def test_a_bad_start_starts_nothing(server: Server, body: bytes, kind: str, status: int, sentence: str) -> None:
    """Each bad body has its status and sentence, and starts no run."""
    url = f"{server.url}/workflows/small/runs"
    async with server.session.post(url, data=io.BytesIO(body), headers={"Content-Type": kind}) as response:
        problem = await response.json(content_type="application/problem+json")
        assert response.status == status
    assert sentence in problem["detail"]
    assert (await server.get("/runs"))[1]["runs"] == []


@pytest.mark.parametrize(
    ("headers", "path", "status"),
    [
        ({"Prefer": "wait=soon"}, "/workflows/small/runs", 400),
        ({"Accept": "text/event-stream"}, "/workflows/small/runs?throttle=1", 400),
        ({"Accept": "text/event-stream", "Last-Event-ID": "x"}, "/workflows/small/runs", 400),
        ({"Host": "evil.example"}, "/workflows/small/runs", 403),
        ({}, "/workflows/none/runs", 404),
    ],
)
async def test_a_bad_request_around_a_good_body_starts_nothing(
    server: Server, headers: dict[str, str], path: str, status: int
) -> None:
    """A request that cannot be answered as it asks starts no run."""
    async with server.session.post(f"{server.url}{path}", json={}, headers=headers) as response:
        assert response.status == status
        assert response.content_type == "application/problem+json"
    assert (await server.get("/runs"))[1]["runs"] == []


async def test_missing_input_names_the_task_and_what_was_expected(server: Server) -> None:
    """All problems of an input are answered at once, as data beside the sentence."""
    flow = Workflow("needy")

    @flow.task
    async def fetch(url: str, tries: int) -> None: ...

    server.engine.register(flow)
    status, body = await server.post("/workflows/needy/runs", {"input": {"tries": "x"}})
    assert status == 422
    assert [(p["input"], p["tasks"], p["expected"]) for p in body["problems"]] == [
        ("url", ["fetch"], "str"),
        ("tries", ["fetch"], "int"),
    ]
    assert "the input 'url' of task 'fetch' is missing (expected str)" in body["detail"]


# --- budgets ---------------------------------------------------------------------------------------------------------


BAD_BUDGETS: list[tuple[Any, str]] = [
    ({"cost": -1}, "cost"),
    ({"cost": "much"}, "cost"),
    ({"cost": True}, "cost"),
    ({"cost": [1]}, "cost"),
    ({"tokens": 1.5}, "tokens"),
    ({"tokens": -1}, "tokens"),
    ({"seconds": 0}, "seconds"),
    ({"seconds": "1"}, "seconds"),
    ({"tasks": "two"}, "tasks"),
    ({"on_exceeded": "explode"}, "on_exceeded"),
    ({"on_exceeded": ["fail"]}, "on_exceeded"),
    ({"money": 1}, "money"),
    (5, "budget"),
    ([], "budget"),
    ("5", "budget"),
]


@pytest.mark.parametrize("route", ["post", "put"])
async def test_a_bad_budget_is_refused_with_the_place_and_starts_nothing(server: Server, route: str) -> None:
    """A bad budget is 422, names the member, and starts no run."""
    for n, (budget, place) in enumerate(BAD_BUDGETS):
        status, answer = await _start(server, route, f"run-{n}", budget)
        assert status == 422, (budget, answer)
        assert place in answer["detail"], (budget, answer)
    assert (await server.get("/runs"))[1]["runs"] == []


@pytest.mark.parametrize("route", ["post", "put"])
async def test_a_budget_is_part_of_the_run(server: Server, route: str) -> None:
    """It is in run.started and in the state, and it holds: one body may start, the second one fails the run."""
    status, answer = await _start(server, route, "r", {"tasks": 1, "cost": "0.5"})
    assert status == 201, answer
    events = await full_log(server.engine, await server.engine.get("r"))
    budget = {"cost": 0.5, "tasks": 1, "on_exceeded": "fail"}
    assert events[0].data["budget"] == budget
    assert events[-1].type == "run.failed"
    assert (await server.get("/runs/r"))[1]["budget"] == budget
    status, answer = await _start(server, "put", "r", {"on_exceeded": "fail", "cost": 0.5, "tasks": 1})
    assert status == 200, "the same budget, however it is written"
    for other in ({"tasks": 2, "cost": 0.5}, None):
        status, answer = await _start(server, "put", "r", other)
        assert status == 409, other


async def _start(server: Server, route: str, run_id: str, budget: Any) -> tuple[int, Any]:
    if route == "put":
        return await server.put(f"/runs/{run_id}", {"workflow": "small", "budget": budget})
    return await server.post("/workflows/small/runs", {"run_id": run_id, "budget": budget})
