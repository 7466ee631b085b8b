"""``examples/seeds.py``: pages in JavaScript stay with a task of an agent and with a timeline through a ``kill -9``."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest

from tests.examples.test_seeds import Seeds, post
from tests.examples.test_seeds import seeds as seeds
from tests.examples.test_seeds import session as session
from tests.helpers.runs import PATIENCE
from tests.helpers.site_of_agents import NodeClient, node_client


async def open_session(session: aiohttp.ClientSession, seeds: Seeds, run_id: str) -> None:
    body = {"session": True, "meta": {"agent_id": "ann"}}
    async with session.put(f"{seeds.url}/api/v1/runs/{run_id}", json=body) as response:
        assert response.status == 201


async def say(session: aiohttp.ClientSession, seeds: Seeds, run_id: str, *types: str) -> None:
    events = [{"type": type, "data": {"message": type}} for type in types]
    assert (await post(session, f"{seeds.url}/api/v1/runs/{run_id}/events", events))[0] == 202


async def shown_up_to(page: NodeClient, type: str) -> list[dict[str, Any]]:
    """What a page shows up to the event of this type, without its lost connections."""
    shown: list[dict[str, Any]] = []
    until = asyncio.get_running_loop().time() + PATIENCE  # heartbeats are shown, too
    while type not in [one["data"].get("event_type", one["data"].get("type")) for one in shown]:
        one = await page.next()
        assert one is not None, f"the page stopped before {type}: {shown}"
        assert asyncio.get_running_loop().time() < until, f"the page does not show {type}: {shown}"
        if "data" in one:
            shown.append(one)
    return shown


@pytest.mark.slow
async def test_a_page_of_a_task_goes_on_after_a_kill(seeds: Seeds, session: aiohttp.ClientSession) -> None:
    """Its EventSource comes back by itself, sees what was said meanwhile, and nothing twice."""
    url = f"{seeds.url}/api/v1/agents/ann/tasks/t1/events/stream"
    async with node_client("domain.mjs", url + "?await_run=60") as page:
        await open_session(session, seeds, "t1")
        await say(session, seeds, "t1", "WorkflowStarted", "WorkflowLLMCallStarted")
        before = await shown_up_to(page, "WorkflowLLMCallStarted")
        seeds.kill()
        await seeds.start()
        await say(session, seeds, "t1", "WorkflowLLMCallCompleted", "draft.saved")
        assert (await post(session, f"{seeds.url}/api/v1/runs/t1/close", {"status": "completed"}))[0] == 202
        after = await page.until(heard="closed")
    assert [one["heard"] for one in before + after] == [
        "WorkflowStarted", "WorkflowLLMCallStarted", "WorkflowResumed", "WorkflowLLMCallCompleted", "message",
        "WorkflowCompleted", "closed",
    ]  # fmt: skip


@pytest.mark.slow
async def test_a_timeline_goes_on_after_a_kill(seeds: Seeds, session: aiohttp.ClientSession) -> None:
    """The lost connection is no end. In Node from 24 on: before, its ``fetch`` took one for an end."""
    url = f"{seeds.url}/timeline/stream/s1"
    async with node_client("timeline.mjs", url, newest=True) as page:
        await open_session(session, seeds, "s1")
        await say(session, seeds, "s1", "WORKFLOW_START", "ROUTER_THOUGHT")
        before = await shown_up_to(page, "ROUTER_THOUGHT")
        seeds.kill()
        assert "lost" in (await page.next() or {})
        await seeds.start()
        await say(session, seeds, "s1", "AGENT_START", "AGENT_COMPLETE", "WORKFLOW_COMPLETE")
        assert (await post(session, f"{seeds.url}/api/v1/runs/s1/close", {"status": "completed"}))[0] == 202
        after = await shown_up_to(page, "WORKFLOW_COMPLETE")
        assert "closed" in (await page.rest())[-1]
    assert [one["data"]["type"] for one in before + after] == [
        "WORKFLOW_START", "ROUTER_THOUGHT", "AGENT_START", "AGENT_COMPLETE", "WORKFLOW_COMPLETE",
    ]  # fmt: skip
