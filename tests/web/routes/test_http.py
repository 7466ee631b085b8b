"""The resources over HTTP: starting, results, and what each kind of bad request is answered."""

from __future__ import annotations

import asyncio
import io
import json
from typing import Any

import pytest

from reactor import Context, Workflow
from tests.helpers.server import Server, Stream


async def test_workflows_are_described_with_graph_and_input_schema(server: Server) -> None:
    """GET /workflows and /workflows/{name}."""
    status, body = await server.get("/workflows")
    assert status == 200
    assert [workflow["name"] for workflow in body["workflows"]] == ["gated", "small"]
    status, small = await server.get("/workflows/small")
    assert small["tasks"] == [
        {"id": "a", "kind": "task", "depends_on": []},
        {"id": "b", "kind": "task", "depends_on": ["a"]},
    ]
    assert small["input_schema"] == {
        "type": "object",
        "properties": {"n": {"type": "integer", "default": 1}},
        "additionalProperties": False,
    }


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
    url = f"{server.url}/workflows/small/runs"
    async with server.session.post(url, json={"input": {"n": 4}}, headers={"Prefer": "wait=10"}) as response:
        body = await response.json()
        assert response.status == 201
    assert body["status"] == "completed"
    assert body["outputs"] == {"b": 5}
    assert (body["total_tasks"], body["completed"]) == (2, 2)
    assert {"duration_ms", "task_time_ms", "speedup"} <= body.keys()
    url = f"{server.url}/workflows/gated/runs"
    async with server.session.post(url, json={}, headers={"Prefer": "wait=0"}) as response:
        assert response.status == 202
        assert (await response.json())["status"] == "running"


async def test_a_post_that_accepts_an_event_stream_starts_and_streams(server: Server) -> None:
    """The stream of a POST begins with event 1 and ends with stream.end."""
    request = server.session.post(
        f"{server.url}/workflows/small/runs?types=run.*", json={}, headers={"Accept": "text/event-stream"}
    )
    async with Stream(request) as stream:
        assert stream.status == 200
        assert [frame.event for frame in await stream.all()] == ["run.started", "run.completed", "stream.end"]


async def test_a_failed_run_says_which_task_failed_and_how(server: Server) -> None:
    """error {type, message, task_id} in the result, error of the task in the state, no traceback."""
    flow = Workflow("failing")

    @flow.task
    async def broken() -> None:
        raise KeyError("nothing here")

    @flow.task
    async def after(broken: None) -> None: ...

    server.engine.register(flow)
    async with server.session.post(
        f"{server.url}/workflows/failing/runs", json={}, headers={"Prefer": "wait=10"}
    ) as response:
        body = await response.json()
    assert body["status"] == "failed"
    assert body["error"] == {"type": "KeyError", "message": "'nothing here'", "task_id": "broken"}
    assert body["tasks"]["broken"]["error"] == {"type": "KeyError", "message": "'nothing here'"}
    assert body["tasks"]["after"]["status"] == "skipped"
    assert body["tasks"]["after"]["because"] == "broken"


async def test_an_output_of_any_size_is_had_in_full(server: Server) -> None:
    """Above 32 KiB the event has a reference and a preview; the route has the bytes."""
    flow = Workflow("large")
    flow.task(lambda: list(range(20_000)), name="large")
    server.engine.register(flow)
    run = await server.start("large")
    await (await server.engine.get(run["run_id"]))
    status, output = await server.get(f"/runs/{run['run_id']}/tasks/large/output")
    assert (status, output) == (200, list(range(20_000)))
    _, body = await server.get(f"/runs/{run['run_id']}")
    assert body["outputs"]["large"] == output
    async with server.events(run["run_id"]) as stream:
        completed = json.loads((await stream.until("task.completed")).data)["data"]
    assert completed["output_ref"] == f"runs/{run['run_id']}/tasks/large/output"
    assert completed["size"] == len(json.dumps(output, separators=(",", ":")))
    assert completed["preview"].startswith("[0,1,2,")


async def test_runs_are_listed_newest_first_by_pages(server: Server) -> None:
    """limit and cursor walk through all runs; status and workflow filter."""
    ids = [(await server.start("small", run_id=f"run-{i}"))["run_id"] for i in range(5)]
    for id in ids:
        await (await server.engine.get(id))
    await server.start("gated", run_id="open")
    found: list[str] = []
    cursor = ""
    while True:
        _, body = await server.get(f"/runs?limit=2{cursor}")
        found += [run["run_id"] for run in body["runs"]]
        if body["cursor"] is None:
            break
        cursor = f"&cursor={body['cursor']}"
    assert found == ["open", *reversed(ids)]
    assert [run["run_id"] for run in (await server.get("/runs?status=running"))[1]["runs"]] == ["open"]
    assert len((await server.get("/runs?workflow=small&status=completed"))[1]["runs"]) == 5


async def test_a_cancel_is_202_while_it_lasts_and_409_after_the_end(server: Server) -> None:
    """202 once run.cancelling is in the log; the run ends as cancelled; then there is nothing to cancel."""
    flow = Workflow("stubborn")
    told, let_go = asyncio.Event(), asyncio.Event()

    @flow.task
    async def stubborn(ctx: Context) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            told.set()
            await let_go.wait()

    server.engine.register(flow)
    run_id = (await server.start("stubborn"))["run_id"]
    for _ in range(2):
        async with server.session.post(f"{server.url}/runs/{run_id}/cancel", json={"grace": 30}) as response:
            assert response.status == 202
            assert (await response.json())["status"] == "cancelling"
        await told.wait()
    let_go.set()
    async with server.events(run_id) as stream:
        await stream.until("run.cancelled")
    async with server.session.post(f"{server.url}/runs/{run_id}/cancel", json={}) as response:
        assert response.status == 409


async def test_health_and_readiness(server: Server) -> None:
    """healthz answers while the process does; readyz counts."""
    assert (await server.get("/healthz"))[0] == 200
    assert (await server.get("/readyz"))[1]["status"] == "ok"


GET_PROBLEMS = [
    ("/runs/nope", 404, "there is no run 'nope'"),
    ("/runs/nope/events", 404, "there is no run 'nope'"),
    ("/runs/nope/events?after=x", 400, "after is 'x', but a cursor is the seq of the last event seen"),
    ("/workflows/nope", 404, "there is no workflow 'nope'; registered: 'gated', 'small'"),
    ("/nowhere", 404, "there is nothing at /api/v1/nowhere"),
    ("/runs?limit=0", 400, "limit is '0', but must be 1 to 1000 runs"),
    ("/runs?status=done", 400, "status is 'done', but must be one of"),
    ("/runs?cursor=nope", 404, "there is no run 'nope'"),
    ("/runs?offset=1", 400, "there is no parameter 'offset' here"),
]


@pytest.mark.parametrize(("path", "status", "sentence"), GET_PROBLEMS)
async def test_a_bad_get_is_a_problem_with_a_sentence(server: Server, path: str, status: int, sentence: str) -> None:
    """application/problem+json that names what and where."""
    async with server.session.get(f"{server.url}{path}") as response:
        body = await response.json(content_type="application/problem+json")
        assert response.status == body["status"] == status
    assert sentence in body["detail"]


STREAM_PROBLEMS = [
    "after=-1", "after=1e3", "after=%31%30%", "after=9999999999999999999", "after=1&after=2", "throttle=5",
    "throttle=x", "throttle=60001", "heartbeat=0", "heartbeat=3601", "heartbeat=nan", "snapshot=yes", "types=",
    "types=,", "tasks=", "tail=-1", "tail=10001", "tail=1.5", "logs=x", "await_run=301", "wait=1",
    "types=" + ",".join(f"t{i}" for i in range(70)), "tasks=" + "a" * 300,
]  # fmt: skip


@pytest.mark.parametrize("query", STREAM_PROBLEMS)
async def test_a_bad_stream_query_is_400_before_anything_is_sent(server: Server, query: str) -> None:
    """Each is a sentence that names the option."""
    run_id = (await server.start("small"))["run_id"]
    async with server.session.get(f"{server.url}/runs/{run_id}/events?{query}") as response:
        body = await response.json(content_type="application/problem+json")
        assert response.status == 400
    assert query.partition("=")[0] in body["detail"]


@pytest.mark.parametrize("cursor", ["abc", "-1", "1.", "1.x", "1" * 19, "٣", "1;2"])
async def test_a_malformed_last_event_id_is_400(server: Server, cursor: str) -> None:
    """A cursor is digits, at most 18."""
    run_id = (await server.start("small"))["run_id"]
    status, body = await server.get(f"/runs/{run_id}/events", **{"Last-Event-ID": cursor})
    assert status == 400
    assert "Last-Event-ID" in body["detail"]


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
    """The status and sentence of each, and no run."""
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
    """What cannot be answered is not started."""
    async with server.session.post(f"{server.url}{path}", json={}, headers=headers) as response:
        assert response.status == status
        assert response.content_type == "application/problem+json"
    assert (await server.get("/runs"))[1]["runs"] == []


async def test_an_id_is_given_once(server: Server) -> None:
    """409 for a run id that exists, also when both start at the same time."""
    answers = await asyncio.gather(*(_start(server, "same") for _ in range(5)))
    assert sorted(answers) == [201, 409, 409, 409, 409]


async def _start(server: Server, run_id: str) -> int:
    url = f"{server.url}/workflows/small/runs"
    async with server.session.post(url, json={"run_id": run_id}) as response:
        return response.status


async def test_missing_input_names_the_task_and_what_was_expected(server: Server) -> None:
    """Every problem at once, and machine-readable beside the sentence."""
    flow = Workflow("needy")

    @flow.task
    async def fetch(url: str, tries: int) -> None: ...

    server.engine.register(flow)
    async with server.session.post(f"{server.url}/workflows/needy/runs", json={"input": {"tries": "x"}}) as response:
        body: dict[str, Any] = await response.json(content_type=None)
    assert response.status == 422
    assert [(p["input"], p["tasks"], p["expected"]) for p in body["problems"]] == [
        ("url", ["fetch"], "str"),
        ("tries", ["fetch"], "int"),
    ]
    assert "the input 'url' of task 'fetch' is missing (expected str)" in body["detail"]


async def test_a_stream_refuses_who_does_not_take_one(server: Server) -> None:
    """406 with the type there is; HEAD and wrong methods are answered too."""
    run_id = (await server.start("small"))["run_id"]
    assert (await server.get(f"/runs/{run_id}/events", Accept="image/png"))[0] == 406
    async with server.session.delete(f"{server.url}/runs/{run_id}/events") as response:
        assert response.status == 405
        assert "GET" in response.headers["Allow"]


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
        async with server.session.post(f"{server.url}/runs/{run_id}/retry", json={}) as response:
            assert response.status == status
