"""A run that nobody here goes on with: only its log is left, and a cancel ends it there."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from reactor import Engine, RunCancelled, RunEnded, Workflow
from reactor.events.fold import replay
from reactor.events.state import ENDED
from reactor.logs.sqlite.log import SqliteLog
from reactor.testing import read_all
from reactor.testing.log_laws import started


def make(name: str = "left") -> Workflow:
    flow = Workflow(name)

    @flow.task
    async def items() -> list[int]:
        return [1, 2, 3]

    @flow.task(map="items", concurrency=1)
    async def each(items: int) -> int:
        if items > 1:
            await asyncio.sleep(3600)
        return items

    @flow.task(map="each")
    async def pair(each: int) -> int:
        return each

    @flow.task(map="total")
    async def later(total: list[int]) -> int:
        return len(total)

    @flow.task
    async def total(pair: list[int]) -> list[list[int]]:
        return [pair]

    return flow


async def test_a_run_of_an_unknown_workflow_is_ended_by_a_cancel_and_by_nothing_else(tmp_path: Path) -> None:
    """It says why it is left; the cancel ends every task and the run in its log; the next start has nothing to do."""
    url = f"sqlite:///{tmp_path}/runs.db"
    async with Engine(url, workflows=[make()], grace=0) as engine:
        run = await engine.start("left", run_id="r")
        async for message in run:
            if message.task_id == "pair[0]" and message.type == "task.completed":
                break
    async with Engine(url, workflows=[make("other")]) as engine:
        assert "'left' is not registered here" in engine.not_recovered["r"]
        assert (await engine.get("r")).status == "running"
        cancelled = await engine.cancel("r", reason="cleaned up")
        with pytest.raises(RunCancelled, match="cleaned up"):
            await cancelled
        with pytest.raises(RunEnded):
            await engine.cancel("r")
        events = await read_all(engine.log, "r")
        state = replay("r", events)
        assert [e.seq for e in events] == list(range(1, len(events) + 1))
        assert events[-1].type == "run.cancelled"
        assert all(task.status in ENDED for task in state.tasks.values())
        totals = events[-1].data
        ended = totals["completed"] + totals["failed"] + totals["skipped"] + totals["cancelled"]
        assert ended == totals["total_tasks"] == state.total_tasks
    async with Engine(url, workflows=[make()]) as engine:
        assert not engine.not_recovered
        assert (await engine.get("r")).status == "cancelled"


async def test_a_run_whose_input_no_log_can_give_back_is_left_and_told(tmp_path: Path) -> None:
    """Bodies never receive another value than at first: such a run is not recovered, and says which input it is."""
    url = f"sqlite:///{tmp_path}/runs.db"
    flow = Workflow("inputs")

    @flow.task
    async def take(plain: list[int], odd: object = None) -> None:
        await asyncio.sleep(3600)

    async with Engine(url, workflows=[flow], grace=0) as engine:
        await engine.start(flow, {"plain": [1], "odd": float("nan")}, run_id="odd")
        await engine.start(flow, {"plain": [1], "odd": {"a": 1}}, run_id="plain")
    async with Engine(url, workflows=[flow], grace=0) as engine:
        assert list(engine.not_recovered) == ["odd"]
        assert "its input 'odd' is a value that no log can give back" in engine.not_recovered["odd"]
        assert (await engine.get("plain")).status == "running"


async def test_one_run_that_cannot_be_read_does_not_stop_the_engine(tmp_path: Path) -> None:
    """A beginning that this version did not write: the run is left with the reason, the engine starts."""
    log = SqliteLog(tmp_path / "runs.db")
    await log.open()
    await log.append("strange", [started("strange", "left")])
    await log.close()
    async with Engine(SqliteLog(tmp_path / "runs.db"), workflows=[make()]) as engine:
        assert "strange" in engine.not_recovered
        assert await (await engine.start(one())) == {"one": 1}


def one() -> Workflow:
    flow = Workflow("one")
    flow.task(lambda: 1, name="one")
    return flow
