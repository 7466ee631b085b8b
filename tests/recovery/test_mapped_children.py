"""The children of a mapped task after a restart: they can be reached at once, whatever keeps them from going on."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from reactor import Context, Engine, Run, TaskEnded, Workflow
from reactor.testing import read_all
from tests.helpers.crash import RUN_ID, check_laws
from tests.helpers.runs import PATIENCE, wait_for_event
from tests.helpers.server import Gates, serving

SHAPES = ("items", "lost items", "map over map")


def asking(shape: str, gates: Gates) -> Workflow:
    """Three children that ask; of a source whose output is in the log, of one that runs again, of another map."""
    flow = Workflow("asking")

    if shape == "lost items":

        @flow.task
        async def items():  # type: ignore[no-untyped-def]  # nothing restores a set of frozensets in a list
            await gates["items"].wait()
            return [{1}, {2}, {3}]
    elif shape == "items":

        @flow.task
        async def items() -> list[int]:
            return [1, 2, 3]
    else:

        @flow.task
        async def sources() -> list[int]:
            return [1, 2, 3]

        @flow.task(map="sources")
        async def items(sources: int) -> int:
            return sources

    @flow.task(map="items")
    async def ask(items: Any, ctx: Context) -> int:
        return await ctx.receive(f"what is {items}?", schema={"type": "integer"}, key="q")

    @flow.task(on_upstream_failure="run")
    async def total(ask: list[int] | None, ctx: Context) -> Any:
        return ask if ask is not None else ctx.upstreams["ask"].status

    return flow


async def leave_asking(store: str, shape: str, how: str) -> None:
    """A run whose three children wait, one of them with an answer, in a log that its engine has left."""
    gates = Gates()
    gates.open()
    async with Engine(store, workflows=[asking(shape, gates)], grace=0) as engine:
        run = await engine.start("asking", run_id=RUN_ID)
        await wait_for_event(run, "task.waiting", count=3)
        if how == "paused":
            await run.pause()


async def finish(engine: Engine, run: Run) -> list[Any]:
    events = await read_all(engine.log, run.id)
    check_laws(events)
    return events


@pytest.mark.parametrize("shape", SHAPES)
async def test_children_of_a_paused_run_are_reached_after_a_restart(shape: str, tmp_path: Path) -> None:
    """``send`` and ``cancel`` of a child are carried out at once; after the resume the bodies find what was sent."""
    store, gates = f"sqlite:///{tmp_path}/log.db", Gates()
    await leave_asking(store, shape, "paused")
    gates.open()
    async with Engine(store, workflows=[asking(shape, gates)]) as engine:
        run = await engine.get(RUN_ID)
        assert run.status == "paused"
        await asyncio.wait_for(run.send("ask[1]", 20, key="q"), PATIENCE)
        await asyncio.wait_for(run.cancel(task="ask[0]"), PATIENCE)
        with pytest.raises(TaskEnded):
            await run.send("ask[0]", 10, key="q")
        assert run.status == "paused"
        assert run.state.tasks["ask[0]"].status == "cancelled"
        await run.resume()
        await run.send("ask[2]", 30, key="q")
        assert await asyncio.wait_for(run, PATIENCE) == {"total": "cancelled"}
        started = [event.task_id for event in await finish(engine, run) if event.type == "task.started"]
    assert started.count("ask[0]") == 1
    assert (started.count("ask[1]"), started.count("ask[2]")) == (2, 2)


async def test_children_are_reached_while_their_source_runs_again(tmp_path: Path) -> None:
    """Its output was lost with the process. What was sent meanwhile is there when the children go on."""
    store, gates = f"sqlite:///{tmp_path}/log.db", Gates()
    await leave_asking(store, "lost items", "open")
    async with Engine(store, workflows=[asking("lost items", gates)]) as engine:
        run = await engine.get(RUN_ID)
        for number in range(3):
            await asyncio.wait_for(run.send(f"ask[{number}]", number, key="q"), PATIENCE)
        gates.open()
        assert await asyncio.wait_for(run, PATIENCE) == {"total": [0, 1, 2]}
        await finish(engine, run)


@pytest.mark.parametrize("how", ["paused", "open"])
async def test_a_map_whose_children_are_all_cancelled_before_they_go_on_ends(how: str, tmp_path: Path) -> None:
    """Though its source is still to come, and what maps over it is skipped; no body of them runs."""
    store, gates = f"sqlite:///{tmp_path}/log.db", Gates()
    await leave_asking(store, "lost items", how)
    async with Engine(store, workflows=[asking("lost items", gates)]) as engine:
        run = await engine.get(RUN_ID)
        for number in range(3):
            await asyncio.wait_for(run.cancel(task=f"ask[{number}]"), PATIENCE)
        assert run.state.tasks["ask"].status == "cancelled"
        gates.open()
        if how == "paused":
            await run.resume()
        assert await asyncio.wait_for(run, PATIENCE) == {"total": "cancelled"}
        started = [event.task_id for event in await finish(engine, run) if event.type == "task.started"]
    assert [started.count(f"ask[{number}]") for number in range(3)] == [1, 1, 1]


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_paused_run_is_cancelled_as_a_whole_after_a_restart(shape: str, tmp_path: Path) -> None:
    """Or a mapped task of it, with all of its children."""
    store, gates = f"sqlite:///{tmp_path}/log.db", Gates()
    for what in ("ask", None):
        file = f"{store}-{what}"
        await leave_asking(file, shape, "paused")
        gates.open()
        async with Engine(file, workflows=[asking(shape, gates)]) as engine:
            run = await engine.get(RUN_ID)
            await asyncio.wait_for(run.cancel(task=what), PATIENCE)
            assert {run.state.tasks[f"ask[{n}]"].status for n in range(3)} == {"cancelled"}
            if what is not None:
                await run.resume()
                assert await asyncio.wait_for(run, PATIENCE) == {"total": "cancelled"}
            await finish(engine, run)


async def test_over_http_a_child_of_a_paused_run_is_answered_and_cancelled(tmp_path: Path) -> None:
    """202 for both, as before the restart, and the events of both are in the stream."""
    store, gates = f"sqlite:///{tmp_path}/log.db", Gates()
    await leave_asking(store, "items", "paused")
    async with serving(Engine(store, grace=0), asking("items", gates)) as server:
        status, _ = await server.post(f"/runs/{RUN_ID}/input", {"task": "ask[2]", "value": 3, "key": "q"})
        assert status == 202
        status, _ = await server.post(f"/runs/{RUN_ID}/cancel", {"task": "ask[0]"})
        assert status == 202
        async with server.events(RUN_ID) as stream:
            await stream.until("task.received", task_id="ask[2]")
            await stream.until("task.cancelled", task_id="ask[0]")
