"""``execution`` under routes of one's own: a plan is posted and followed, or answered with all results at once."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from pytest_aiohttp import AiohttpClient

from reactor import Engine, load_plan
from reactor_web import Start, add_start, add_stream
from tests.helpers.documents import TOOLS
from tests.helpers.folding import Told, frames_of

Client = TestClient[Any, Any]
SSE = {"Accept": "text/event-stream"}
PLAN: dict[str, Any] = {
    "tasks": [
        {"id": "page", "tool": "fetch", "arguments": {"url": "u"}},
        {"id": "bad", "tool": "fail", "arguments": {"message": "told to"}},
        {"id": "sum", "tool": "add", "arguments": {"a": "$page.limit"}, "dependsOn": ["page"]},
        {"id": "never", "tool": "echo", "arguments": {"value": "$bad"}, "dependsOn": ["sum"]},
    ]
}


@pytest.fixture
async def client(aiohttp_client: AiohttpClient) -> Client:
    """``POST /execute`` with a plan and, if it likes, a ``workflow_id``; ``GET /execute/{id}`` follows it.

    ``GET /start`` starts a plan, ``GET /start?id=`` one of this id.
    """
    app, engine = web.Application(), Engine("memory://", grace=0.0)

    def begin(request: web.Request, body: Any) -> Start:
        plan = {name: value for name, value in body.items() if name != "workflow_id"}
        return Start(load_plan(plan, TOOLS), run_id=body.get("workflow_id"))

    add_start(app, "/execute", engine, begin, dialect="execution")
    add_stream(app, "/execute/{id}", engine, dialect="execution")
    add_stream(app, "/start", engine, dialect="execution", start=lambda request: Start(load_plan(PLAN, TOOLS)))
    return await aiohttp_client(app)


async def post(client: Client, body: Any, **headers: str) -> tuple[int, str, bytes]:
    async with client.post("/execute", json=body, headers=headers) as response:
        return response.status, response.content_type, await response.read()


async def stream(client: Client, body: Any) -> list[Told]:
    status, content_type, data = await post(client, body, **SSE)
    assert (status, content_type) == (200, "text/event-stream")
    return frames_of(data)


async def test_a_plan_is_followed_where_accept_says_so_and_else_answered_with_all_results(client: Client) -> None:
    """Both say the same of each task, also of those that failed, and the stream can be opened again."""
    frames = await stream(client, {**PLAN, "workflow_id": "w-1"})
    assert frames[-1].event == "execution_complete"
    status, content_type, data = await post(client, PLAN)
    body = json.loads(data)
    assert (status, content_type) == (200, "application/json")
    assert [(row["taskId"], row["status"], row.get("error")) for row in body["results"]] == [
        ("page", "success", None),
        ("bad", "error", "told to"),
        ("sum", "success", None),
        ("never", "error", "skipped: upstream_failed (bad)"),
    ]
    assert body["results"][2]["output"] == 11
    assert [error["taskId"] for error in body["errors"]] == ["bad", "never"]
    assert body["parallelizationLayers"] == 3
    assert body["executionTimeMs"] > 0
    ends = {one.data["taskId"]: one.data["status"] for one in frames if one.event == "task_complete"}
    assert ends == {row["taskId"]: row["status"] for row in body["results"]}
    counted = frames[-1].data
    assert (counted["totalTasks"], counted["successCount"], counted["errorCount"]) == (4, 2, 2)
    async with client.get("/execute/w-1", headers=SSE) as response:
        assert frames_of(await response.read()) == frames


async def test_a_bad_plan_is_an_error_event_in_a_stream_and_else_a_problem(client: Client) -> None:
    """An EventSource sees no status. Nothing is started."""
    bad = {"workflow_id": "w-1", "tasks": [{"id": "a", "tool": "echo", "dependsOn": ["b"]}]}
    sentence = "tasks[0].dependsOn[0] is 'b', which is not a task of this plan"
    (frame,) = await stream(client, bad)
    assert (frame.id, frame.event, frame.data["error"]) == ("", "error", sentence)
    status, content_type, data = await post(client, bad)
    assert (status, content_type) == (422, "application/problem+json")
    assert json.loads(data)["detail"] == sentence
    async with client.get("/execute/w-1", headers=SSE) as response:
        assert response.status == 404


async def test_the_results_of_a_large_plan_with_large_outputs_are_whole(client: Client) -> None:
    """Also where neither the tasks of the plan nor an output fit into an event."""
    chain = [
        {"id": f"task-{number}", "tool": "echo", "arguments": {"value": f"$task-{number - 1}"}}
        for number in range(1, 600)
    ]
    first = {"id": "task-0", "tool": "echo", "arguments": {"value": "x" * 40_000}}
    status, _, data = await post(client, {"tasks": [*reversed(chain), first]})
    body = json.loads(data)
    assert status == 200
    assert body["parallelizationLayers"] == 600
    assert [row["taskId"] for row in body["results"]] == [f"task-{number}" for number in range(600)]
    assert {row["output"] for row in body["results"]} == {"x" * 40_000}


async def test_a_client_that_comes_back_starts_nothing_again(client: Client) -> None:
    """An EventSource repeats its URL. Where it names its run it goes on; where it does not, no plan runs twice."""
    async with client.get("/start?id=w-1", headers=SSE) as response:
        frames = frames_of(await response.read())
    async with client.get("/start?id=w-1", headers={**SSE, "Last-Event-ID": frames[2].id}) as response:
        assert frames_of(await response.read()) == frames[3:]
    async with client.get("/start", headers=SSE) as response:
        assert frames_of(await response.read())[-1].event == "execution_complete"
    async with client.get("/start", headers={**SSE, "Last-Event-ID": "3"}) as response:
        (frame,) = frames_of(await response.read())
    assert (frame.event, frame.data["error"]) == (
        "error",
        "the stream cannot go on where it broke off: its URL names no run; this would start another",
    )
