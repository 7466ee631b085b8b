"""The event broker of ``examples/seeds.py``: what any process says of a task reaches the pages of every node."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from reactor import Engine
from tests.examples.test_seeds import Seeds, frames, post
from tests.examples.test_seeds import session as session
from tests.examples.test_seeds_pages import open_session, say, shown_up_to
from tests.helpers.redis import redis_server
from tests.helpers.runs import PATIENCE
from tests.helpers.site_of_agents import node_client

PAGE = "/api/v1/agents/ann/tasks/t1/events/stream"

Cluster = tuple[str, Seeds, Seeds]


@pytest.fixture
async def cluster(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Cluster]:
    """The URL of a Redis, and two nodes on it. Its parameter is the lease, in seconds."""
    with redis_server(tmp_path) as server:
        url = server.url(lease=request.param)
        nodes = Seeds(url), Seeds(url)
        try:
            for node in nodes:
                await node.start()
            yield url, *nodes
        finally:
            for node in nodes:
                node.close()


def types(shown: list[dict[str, Any]]) -> list[str]:
    return [one["heard"] for one in shown]


@pytest.mark.slow
@pytest.mark.parametrize("cluster", [60], indirect=True, ids=[""])  # a worker that is late would lose what it has said
async def test_what_any_process_says_reaches_the_pages_of_every_node(
    cluster: Cluster, session: aiohttp.ClientSession
) -> None:
    """A worker that serves nothing, and both nodes, speak in one task: by ``engine.session``, ``run.emit`` and HTTP.
    The pages of both nodes show what was said before they came, then what is said, in one order, each once."""
    url, first, second = cluster
    async with Engine(url) as worker, Engine(url) as helper:
        task = await worker.session("t1", meta={"agent_id": "ann"})
        await task.emit("WorkflowStarted", {"message": "of the worker"})
        await task.emit("WorkflowLLMCallStarted", {"message": "of the worker"})
        async with (
            node_client("domain.mjs", first.url + PAGE) as one,
            node_client("domain.mjs", second.url + PAGE) as two,
        ):
            shown = [await shown_up_to(page, "WorkflowLLMCallStarted") for page in (one, two)]
            await task.emit("WorkflowLLMCallCompleted", {"message": "of the worker"})
            for node, type in ((second, "WorkflowToolCallStarted"), (first, "WorkflowToolCallCompleted")):
                await say(session, node, "t1", type)
            run = await helper.get("t1")
            await run.emit("WorkflowBudgetWarning", {"message": "of another engine"})
            answer = await post(session, f"{second.url}/api/v1/runs/t1/close", {"outputs": {"answer": 42}})
            assert answer[0] == 202
            for page, one_shown in zip((one, two), shown, strict=True):
                one_shown += await page.until(heard="closed")
        assert await asyncio.wait_for(_outputs(task), PATIENCE) == {"answer": 42}
    assert types(shown[0]) == types(shown[1]) == [
        "WorkflowStarted", "WorkflowLLMCallStarted", "WorkflowLLMCallCompleted", "WorkflowToolCallStarted",
        "WorkflowToolCallCompleted", "WorkflowBudgetWarning", "WorkflowCompleted", "closed",
    ]  # fmt: skip
    assert shown[0] == shown[1]


async def _outputs(task: Any) -> Any:
    return await task


@pytest.mark.slow
@pytest.mark.parametrize("cluster", [1], indirect=True, ids=[""])
async def test_a_task_goes_on_when_the_node_that_held_it_is_killed(
    cluster: Cluster, session: aiohttp.ClientSession
) -> None:
    """Whoever speaks next is heard by a page that stays open on another node; what was acknowledged is there once."""
    _, first, second = cluster
    await open_session(session, first, "t1")
    await say(session, first, "t1", "WorkflowStarted")
    async with node_client("domain.mjs", second.url + PAGE) as page:
        shown = await shown_up_to(page, "WorkflowStarted")
        await say(session, first, "t1", "WorkflowLLMCallStarted")
        first.kill()
        await say(session, second, "t1", "WorkflowLLMCallCompleted")
        assert (await post(session, f"{second.url}/api/v1/runs/t1/close", {}))[0] == 202
        shown += await page.until(heard="closed")
    said = ["WorkflowStarted", "WorkflowLLMCallStarted", "WorkflowLLMCallCompleted", "WorkflowCompleted", "closed"]
    assert [type for type in types(shown) if type != "WorkflowResumed"] == said
    found = [int(frame.id) for frame in await frames(session, second.url + PAGE) if frame.id]
    assert found == sorted(set(found))
