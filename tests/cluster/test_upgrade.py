"""A run whose graph a node does not have: it is left to nodes that have it, then it goes on in the later one."""

from __future__ import annotations

from typing import Any

import pytest

from reactor import Context, Engine, RunCancelled, RunNotHere, Workflow, bounds
from tests.helpers.redis import RedisServer
from tests.helpers.runs import full_log, result, wait_for_event, wait_until

LEASE = 1.0


def release(version: str, *, keeps: bool = True) -> Workflow:
    """ask -> tell; ``keeps``: one without ask is no way on for a run that asks."""
    flow = Workflow("release", version)

    if keeps:

        @flow.task
        async def ask(ctx: Context) -> Any:
            return await ctx.receive("go on?")

    @flow.task(name=f"tell{version}", after=["ask"] if keeps else [])
    async def tell() -> str:
        return version

    return flow


@pytest.fixture
def never(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Runs are left to others for an hour, until the test says otherwise."""
    monkeypatch.setattr(bounds, "UPGRADE_SECONDS", 3600.0)
    return monkeypatch


async def leave(url: str, version: str = "1") -> None:
    """A run "r" that asks; its node drains."""
    async with Engine(url, workflows=[release(version)], grace=0) as engine:
        await wait_for_event(await engine.start("release", run_id="r"), "task.waiting")


async def test_a_node_that_has_the_graph_goes_on_with_it(server: RedisServer, never: pytest.MonkeyPatch) -> None:
    """However many later nodes look at it: in its own graph, as soon as there is such a node."""
    url = server.url(lease=LEASE)
    await leave(url)
    async with Engine(url, workflows=[release("2")]) as later, Engine(url, workflows=[release("3")]):
        run = await later.get("r")
        assert not later.not_recovered
        async with Engine(url, workflows=[release("1")]) as old:
            await wait_until(lambda: old.open_runs == 1)
            await run.send("ask", "yes")
            assert await result(run) == {"tell1": "1"}
            assert "run.upgraded" not in [event.type for event in await full_log(old, run)]


async def test_after_its_time_one_later_node_takes_it(server: RedisServer, never: pytest.MonkeyPatch) -> None:
    """Until then whoever follows it waits, and commands are refused with the reason. Then it is upgraded once, and from
    then on it is the older node that leaves it to others."""
    url = server.url(lease=LEASE)
    await leave(url)
    async with Engine(url, workflows=[release("2")], grace=0) as one, Engine(url, workflows=[release("2")]) as other:
        run = await other.get("r")
        with pytest.raises(RunNotHere, match="it is left for 3600 s to nodes that have its graph"):
            await run.send("ask", "yes")
        assert run.feed.closed is None
        assert [one.not_recovered, other.not_recovered] == [{}, {}]
        never.setattr(bounds, "UPGRADE_SECONDS", 0.0)
        await wait_for_event(run, "task.waiting", "ask", count=2)
        never.setattr(bounds, "UPGRADE_SECONDS", 3600.0)
        assert run.state.version == "2"
    async with Engine(url, workflows=[release("1")]) as old:
        assert (await old.get("r")).status == "running"
        async with Engine(url, workflows=[release("2")]) as again:
            run = await again.get("r")
            await wait_until(lambda: again.open_runs == 1)
            await run.send("ask", "yes")
            assert await result(run) == {"tell2": "2"}
            events = await full_log(again, run)
    assert [event.data["version"] for event in events if event.type == "run.upgraded"] == ["2"]


async def test_what_cannot_be_upgraded_is_left_at_once_and_a_cancel_need_not_wait(
    server: RedisServer, never: pytest.MonkeyPatch
) -> None:
    """The reason is known without waiting. A run that is left to others for now is cancelled by whoever asks."""
    url = server.url(lease=LEASE)
    await leave(url)
    async with Engine(url, workflows=[release("2", keeps=False)]) as engine:
        assert "its task 'ask' has begun, and is not in the graph any more" in engine.not_recovered["r"]
    async with Engine(url, workflows=[release("2")]) as engine:
        await engine.cancel("r", reason="enough")
        with pytest.raises(RunCancelled, match="enough"):
            await result(await engine.get("r"))
