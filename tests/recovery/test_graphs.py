"""Several graphs of one name after a restart: a run goes on in the graph it began with, or says why it does not."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from reactor import Context, Engine, Workflow
from reactor.errors import WorkflowChanged
from tests.helpers.runs import open_run, result, wait_for_event


def asking(answer: Any, *, task: str = "give", name: str = "made", version: str = "1") -> Workflow:
    """A body that waits until it is told to go on, then gives what it closes over."""
    flow = Workflow(name, version)

    @flow.task(name=task)
    async def give(ctx: Context) -> Any:
        await ctx.receive("go on?", key="go")
        return answer

    return flow


async def leave_open(engine: Engine, workflow: Workflow | str, run_id: str) -> None:
    """Starts a run that waits; the end of its engine leaves it open."""
    await wait_for_event(await engine.start(workflow, run_id=run_id), "task.waiting")


async def answered(engine: Engine, run_id: str, task: str = "give") -> dict[str, Any]:
    run = await open_run(engine, run_id)
    await run.send(task, True, key="go")
    return await result(run)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/runs.db"


async def test_each_run_goes_on_in_the_graph_it_began_with(url: str) -> None:
    """Two releases of one name are known: runs of both go on, and the name means the last one."""
    async with Engine(url, workflows=[asking("old")], grace=0) as engine:
        await leave_open(engine, "made", "old")
        engine.register(asking("new", task="other"))
        await leave_open(engine, "made", "new")
        engine.register(asking("newest", task="other", version="2"))
        await leave_open(engine, "made", "newest")
    releases = [asking("old"), asking("new", task="other"), asking("newest", task="other", version="2")]
    async with Engine(url, workflows=releases, grace=0) as engine:
        assert not engine.not_recovered
        assert await answered(engine, "old") == {"give": "old"}
        assert await answered(engine, "new", "other") == {"other": "new"}
        assert await answered(engine, "newest", "other") == {"other": "newest"}
        assert engine.workflows["made"] is releases[-1]


async def test_a_graph_that_was_only_started_is_left_after_a_restart(url: str) -> None:
    """It says why; what is registered under its name goes on, whatever else was started under it."""
    async with Engine(url, workflows=[asking("registered")], grace=0) as engine:
        await leave_open(engine, asking("made", task="other"), "made")
        await leave_open(engine, asking("unnamed", name="unnamed"), "unnamed")
        await leave_open(engine, "made", "registered")
    async with Engine(url, workflows=[asking("registered")], grace=0) as engine:
        assert engine.not_recovered == {
            "made": "the graph of workflow 'made' has changed since it was started: "
            "its task 'other' has begun, and is not in the graph any more",
            "unnamed": "its workflow 'unnamed' is not registered here",
        }
        assert await answered(engine, "registered") == {"give": "registered"}


async def test_a_run_that_was_left_goes_on_with_the_next_engine_that_has_its_graph(url: str) -> None:
    """A graph that comes after ``async with`` is for new runs: it may close over another request."""
    async with Engine(url, grace=0) as engine:
        await leave_open(engine, asking("first"), "first")
    async with Engine(url, grace=0) as engine:
        await leave_open(engine, asking("second"), "second")
        engine.register(asking("third"))
        assert "not registered here" in engine.not_recovered["first"]
        assert (await engine.get("first")).status == "running"
    async with Engine(url, workflows=[asking("again")], grace=0) as engine:
        assert not engine.not_recovered
        assert await answered(engine, "first") == await answered(engine, "second") == {"give": "again"}


async def test_a_run_that_was_left_is_cancelled_and_retried(url: str) -> None:
    """The way out for whoever cannot make the graph before the engine starts."""
    async with Engine(url, grace=0) as engine:
        await leave_open(engine, asking("made"), "r")
    async with Engine(url, grace=0) as engine:
        await engine.cancel("r")
        with pytest.raises(WorkflowChanged, match="its workflow 'made' is not registered here"):
            await engine.retry("r")
        engine.register(asking("again"))
        await engine.retry("r", new_run_id="again")
        assert await answered(engine, "again") == {"give": "again"}


async def test_child_runs_go_on_with_the_workflow_that_the_body_gives(url: str) -> None:
    """After a restart too: not with another one that has the same name and the same tasks."""

    def parent() -> Workflow:
        flow = Workflow("parent")

        @flow.task
        async def ask(ctx: Context) -> list[Any]:
            return await asyncio.gather(*(ctx.run(asking(n), key=f"k{n}") for n in range(3)))

        return flow

    async with Engine(url, workflows=[parent()], grace=0) as engine:
        await engine.start("parent", run_id="r")
        for n in range(3):
            await wait_for_event(await open_run(engine, f"r.ask.k{n}"), "task.waiting")
    async with Engine(url, workflows=[parent(), asking("registered")], grace=0) as engine:
        run = await open_run(engine, "r")
        for n in range(3):
            assert await answered(engine, f"r.ask.k{n}") == {"give": n}
        assert await result(run) == {"ask": [{"give": n} for n in range(3)]}
