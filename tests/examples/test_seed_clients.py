"""The clients of two systems of ``examples/seeds.py``, unmodified and under its URLs, also through a ``kill -9``."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from yarl import URL

from tests.examples.test_seeds import Seeds
from tests.examples.test_seeds import seeds as seeds
from tests.helpers.cut_bytes import cut_every
from tests.helpers.stream_clients import PATIENCE, javascript, port_of, read_events, script, through

PLAN: dict[str, Any] = {
    "tasks": [
        {"id": "first", "tool": "echo", "arguments": {"value": 1}},
        {"id": "slow", "tool": "sleep", "arguments": {"seconds": 1, "value": "$first"}},
        {"id": "broken", "tool": "fail", "arguments": {"message": "no more"}, "dependsOn": ["slow"]},
        {"id": "never", "tool": "echo", "dependsOn": ["broken"]},
    ]
}


def dag_url(seeds: Seeds, plan: Any) -> str:
    return str(URL(f"{seeds.url}/dag").with_query(plan=json.dumps(plan)))


async def test_an_event_source_starts_a_plan_and_follows_it(seeds: Seeds) -> None:
    """Each task with its tool, those that fail with their reason, and the totals; then it closes."""
    shown = await javascript("execution.mjs", dag_url(seeds, PLAN))
    assert [(one["event"], one["data"].get("taskId"), one["data"].get("status")) for one in shown] == [
        ("task_start", "first", None), ("task_complete", "first", "success"),
        ("task_start", "slow", None), ("task_complete", "slow", "success"),
        ("task_start", "broken", None), ("task_complete", "broken", "error"),
        ("task_complete", "never", "error"), ("execution_complete", None, None),
    ]  # fmt: skip
    assert shown[2]["data"]["tool"] == "sleep"
    assert shown[5]["data"]["error"] == "no more"
    counted = shown[-1]["data"]
    assert (counted["totalTasks"], counted["successCount"], counted["errorCount"]) == (4, 2, 2)
    (refused,) = await javascript("execution.mjs", dag_url(seeds, {"tasks": [{"id": "a", "tool": "ehco"}]}))
    assert (refused["event"], refused["data"]["error"]) == (
        "error", "tasks[0].tool is 'ehco', which is not a known tool, did you mean 'echo'?",
    )  # fmt: skip


async def test_a_page_shows_the_steps_of_each_workflow(seeds: Seeds) -> None:
    """The bar is full in the end; parallel agents have a card each."""
    *updates, page = await javascript("steps.mjs", f"{seeds.url}/stream?workflow_id=w-1")
    assert [(one["update"]["step_name"], one["update"]["message"]) for one in updates] == [
        ("analyzer", "Started step 1 of 2"), ("analyzer", "Completed step 1 of 2"),
        ("writer", "Started step 2 of 2"), ("writer", "Completed step 2 of 2"),
    ]  # fmt: skip
    assert {one["update"]["workflow_id"] for one in updates} == {"w-1"}
    assert updates[1]["update"]["result"] == {"success": True, "output": "analyzer complete"}
    assert (page["bar"], page["closing"]) == (
        {"value": 100, "textContent": "writer: Completed step 2 of 2"}, ["completed"],
    )  # fmt: skip
    *_, page = await javascript("steps.mjs", f"{seeds.url}/workflow")
    assert page["agentCards"] == {f"agent-{n}": f"agent-{n + 1} completed" for n in range(3)}
    *_, page = await javascript("steps.mjs", f"{seeds.url}/custom?steps=one,two,fail-3")
    assert page["log"][-1].endswith(" fail-3: failed")
    assert page["closing"] == ["failed"]


@pytest.mark.slow
async def test_an_event_source_goes_on_after_a_kill_by_itself(seeds: Seeds) -> None:
    """It comes back with the last id it has seen until the server is there again, and shows each frame once."""
    url = f"{seeds.url}/stream?workflow_id=w-1"
    async with (
        cut_every(1_000, port_of(url)) as proxy,
        script("steps.mjs", through(url, proxy.port), "stays") as client,
    ):
        await client.next()
        seeds.kill()
        await seeds.start()
        *updates, page = await client.rest()
    assert page["closing"] == ["completed"]
    whole = await asyncio.wait_for(read_events(url), PATIENCE)
    assert updates == [{"id": one["id"], "update": one["data"]} for one in whole if one["event"] == "message"]
