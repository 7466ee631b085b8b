"""``examples/seeds.py``: what its requests may say, and the failures that can be asked for."""

from __future__ import annotations

import json
from typing import Any

import aiohttp
import pytest

from tests.examples.test_seeds import Seeds, frames, post
from tests.examples.test_seeds import seeds as seeds
from tests.examples.test_seeds import session as session

WRONG: list[tuple[str, Any, str]] = [
    ("/execute", 5, "a JSON object"),
    ("/execute", {"project_id": "p"}, "query"),
    ("/execute", {"project_id": 5, "query": "q"}, "project_id"),
    ("/execute", {"workflow_id": 5}, "run id"),
    ("/execute", {"workflow_id": "w", "name": 5}, "name"),
    ("/api/workflows", [], "a JSON object"),
    ("/api/workflows", {"task": 5}, "task"),
    ("/api/v1/agents/ann/tasks", [], "a JSON object"),
    ("/api/v1/agents/ann/tasks", {"task_id": 5}, "task_id"),
    ("/api/v1/agents/ann/tasks", {"task_id": "t1", "query": 5}, "query"),
]


async def test_a_body_that_cannot_be_is_422_and_starts_nothing(seeds: Seeds, session: aiohttp.ClientSession) -> None:
    """One sentence that names the member."""
    for path, body, word in WRONG:
        status, problem = await post(session, seeds.url + path, body)
        assert (status, word in problem["detail"]) == (422, True), (path, body, problem)
    async with session.get(f"{seeds.url}/api/v1/runs") as response:
        assert (await response.json())["runs"] == []


async def test_a_workflow_that_nobody_knows_is_404_for_clients_of_steps(
    seeds: Seeds, session: aiohttp.ClientSession
) -> None:
    """They have no frame for an error, so it is no stream."""
    ask = {"Accept": "text/event-stream"}
    status, problem = await post(session, f"{seeds.url}/execute", {"workflow_id": "w1", "name": "nobody"}, **ask)
    assert (status, "nobody" in problem["detail"]) == (404, True)
    async with session.get(f"{seeds.url}/stream?workflow_id=w1&name=nobody", headers=ask) as response:
        assert response.status == 404


async def test_a_task_of_an_agent_needs_no_id_and_is_worked_on_once(
    seeds: Seeds, session: aiohttp.ClientSession
) -> None:
    """Asked for twice, it says everything once, whether the first asking has ended or not."""
    tasks = f"{seeds.url}/api/v1/agents/ann/tasks"
    status, task = await post(session, tasks, {"query": "what is it?"})
    assert status == 201
    again = {"query": "what is it?", "task_id": task["run_id"]}
    assert [(await post(session, tasks, again))[0] for _ in range(2)] == [201, 201]
    shown = await frames(session, f"{tasks}/{task['run_id']}/events/stream")
    assert [frame.event for frame in shown] == [
        "WorkflowStarted", "WorkflowStepStarted", "WorkflowLLMCallStarted", "WorkflowLLMCallCompleted",
        "WorkflowStepCompleted", "WorkflowCompleted",
    ]  # fmt: skip


async def test_results_of_parallel_agents_come_as_they_are_there(seeds: Seeds, session: aiohttp.ClientSession) -> None:
    """The slowest is the first of the plan and the last to complete; the query may name the workflow."""
    shown = await frames(session, f"{seeds.url}/stream?workflow_id=w1&name=parallel-demo")
    updates = [json.loads(frame.data) for frame in shown if frame.event == "message"]
    done = [update["step_name"] for update in updates if update["status"] == "completed"]
    assert done == ["agent-2", "agent-3", "agent-1"]


async def test_steps_that_fail_are_skipped_mapped_or_tried_again(seeds: Seeds, session: aiohttp.ClientSession) -> None:
    """Two workflows of the catalog show what becomes of steps."""
    for name, expected in {
        "failing-demo": {
            ("analyzer", "sequential", "completed"), ("failing", "sequential", "failed"),
            ("writer", "sequential", "cancelled"),
        },
        "mixed-demo": {
            ("outline", "agent", "completed"), ("write[0]", "parallel", "completed"),
            ("write[1]", "parallel", "completed"), ("write[2]", "parallel", "completed"),
            ("proofread", "retry", "completed"), ("shorten", "conditional", "cancelled"),
            ("publish", "conditional", "completed"),
        },
    }.items():  # fmt: skip
        shown = await frames(session, f"{seeds.url}/stream?workflow_id={name}&name={name}")
        updates = [json.loads(frame.data) for frame in shown if frame.event == "message"]
        became = {(one["step_name"], one["step_type"], one["status"]) for one in updates if one["status"] != "started"}
        assert expected <= became


@pytest.mark.parametrize(("query", "status"), [("lang=fr", 200), ("workflow_id=w1", 200), ("heartbeat=x", 400)])
async def test_a_handler_of_the_application_reads_the_query_too(
    query: str, status: int, seeds: Seeds, session: aiohttp.ClientSession
) -> None:
    """What is no option of a stream is its own; an option that cannot be is 400."""
    async with session.get(f"{seeds.url}/workflow?{query}") as response:
        assert response.status == status, await response.text()
