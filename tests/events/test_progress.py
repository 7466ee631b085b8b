"""The progress of a run: the mean over the tasks of its graph, the same in its log and in its state."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactor import Context, Engine, Event, Workflow
from reactor.clock import SystemClock
from reactor.events.fold import evolve, replay
from reactor.events.progress import WHOLE_TASK, child_units, fraction
from reactor.events.state import RunState
from reactor.events.vocabulary import TASK_ENDS
from reactor.recovery.leftover import cancel_events
from reactor.testing import check_event, read_all
from tests.events.golden.record import FOLDER, read
from tests.helpers.crash import check_ends, crashed_log, record
from tests.helpers.runs import run_to_end

OLD = sorted(path.stem for path in FOLDER.glob("*.jsonl") if not path.stem.endswith("_2"))


def progress_of(events: list[Event]) -> list[float]:
    return [event.data["progress"] for event in events if "progress" in event.data]


@given(st.integers(1, 3_000_000), st.data())
def test_children_add_up_to_a_whole_task(count: int, data: st.DataObject) -> None:
    """The children before any one add its share of a task, however many there are, and all add exactly one."""
    index = data.draw(st.integers(0, count - 1))
    assert child_units(index, count) >= 0
    assert child_units(0, count) + (count > 1) * child_units(count - 1, count) <= WHOLE_TASK
    few = min(count, 1_000)
    assert sum(child_units(child, few) for child in range(few)) == WHOLE_TASK


def test_progress_is_whole_only_at_the_end() -> None:
    """It is rounded down, never above 1, and 0 where nothing is known."""
    assert fraction(3 * WHOLE_TASK - 1, 3) == 0.999999
    assert fraction(3 * WHOLE_TASK, 3) == 1.0
    assert fraction(4 * WHOLE_TASK, 3) == 1.0
    assert fraction(0, 0) == 0.0


def mapping() -> Workflow:
    """Four tasks in a row: a list, a map of it, a map of nothing, a join."""
    flow = Workflow("mapping")

    @flow.task
    async def items() -> list[int]:
        return [1, 2, 3, 4]

    @flow.task(map={"item": "items"})
    async def each(item: int) -> int:
        return item

    @flow.task(after="each")
    async def nothing() -> list[int]:
        return []

    @flow.task(map={"item": "nothing"})
    async def unneeded(item: int) -> int:
        return item

    return flow


async def test_every_end_carries_the_progress_after_it() -> None:
    """A map counts the share of its children; a map of nothing ends where it maps."""
    events = await run_to_end(mapping())
    assert progress_of(events) == [0.25, 0.3125, 0.375, 0.4375, 0.5, 0.75, 1.0]
    assert events[-2].type == "task.mapped"


async def test_failed_skipped_and_cancelled_tasks_count_as_ended() -> None:
    """A map that never has children counts as one task."""
    flow = Workflow("failing")

    @flow.task
    async def bad() -> list[int]:
        raise ValueError("no")

    @flow.task(map={"item": "bad"})
    async def each(item: int) -> int:
        return item

    @flow.task(when=lambda: False)
    async def unwanted() -> None: ...

    events = await run_to_end(flow)
    ends = [(event.type, event.data["progress"]) for event in events if event.type in TASK_ENDS]
    assert sorted(type for type, _ in ends) == ["task.failed", "task.skipped", "task.skipped"]
    assert [progress for _, progress in ends] == [0.333333, 0.666666, 1.0]


async def test_a_graph_that_does_not_fit_its_event_has_the_same_progress() -> None:
    """Above 32 KiB of tasks the state knows their number from ``total_tasks`` and ``maps``."""
    flow = Workflow("large")

    async def nothing() -> list[int]:
        return []

    for number in range(999):
        flow.task(nothing, name=f"task_{number}", meta={"text": "x" * 40})

    async def each(item: int) -> None: ...

    flow.task(each, name="each", map={"item": "task_0"})
    events = await run_to_end(flow)
    assert "tasks_ref" in events[0].data
    assert (events[0].data["total_tasks"], events[0].data["maps"]) == (999, 1)
    check_ends(events)
    assert progress_of(events) == [round(number / 1000, 3) for number in range(1, 1001)]


async def test_progress_goes_on_after_a_crash_anywhere(tmp_path: Path) -> None:
    """Cut after any event and recovered, a run says what its state has, and never less than before."""
    whole = await record(mapping())
    for cut in range(1, len(whole)):
        async with Engine(await crashed_log("sqlite", whole[:cut], tmp_path), workflows=[mapping()]) as engine:
            run = await engine.get(whole[0].run_id)
            await asyncio.wait_for(run.ended(), 10)
            events = await read_all(engine.log, run.id)
        check_ends(events)
        assert progress_of(events)[-1] == 1.0


async def test_a_task_that_runs_again_after_a_restart_counts_once(tmp_path: Path) -> None:
    """Its output was lost with the process: the progress stays, and goes on with what ends for the first time."""

    def losing() -> Workflow:
        flow = Workflow("losing")

        @flow.task
        async def handle() -> Any:
            return object()

        @flow.task
        async def other() -> int:
            return 1

        @flow.task
        async def last(handle: Any, other: int) -> int:
            return other

        return flow

    whole = await record(losing())
    cut = next(event.seq for event in whole if event.type == "task.started" and event.task == "last")
    for before in (cut, cut - 1):
        async with Engine(await crashed_log("sqlite", whole[:before], tmp_path), workflows=[losing()]) as engine:
            run = await engine.get(whole[0].run_id)
            await asyncio.wait_for(run.ended(), 10)
            events = await read_all(engine.log, run.id)
        assert [event.task for event in events if event.type == "task.completed"].count("handle") == 2
        check_ends(events)
        assert progress_of(events) == [0.333333, 0.666666, 0.666666, 1.0]


async def test_a_run_that_nobody_goes_on_with_ends_with_its_progress() -> None:
    """The events that end it are made from its log alone, and carry the same keys."""
    whole = await record(mapping())
    mapped = next(event.seq for event in whole if event.type == "task.mapped")
    for cut in (1, mapped, mapped + 1, len(whole) - 3):
        state = replay(whole[0].run_id, whole[:cut])
        tasks = whole[0].data["tasks"]
        ends = cancel_events(state, tasks, SystemClock(), reason="not needed", by=None)
        for event in ends:
            check_event(event)
        check_ends([*whole[:cut], *ends])
        assert progress_of(ends)[-1] == 1.0


@pytest.mark.parametrize("name", OLD)
def test_a_log_of_an_earlier_version_has_progress_too(name: str) -> None:
    """It is made from the ends themselves: never falls, and is 1 when all tasks have ended."""
    events, _ = read(name)
    state, seen = RunState(events[0].run_id), [0.0]
    for event in events[:-1]:
        evolve(state, event)
        seen.append(state.progress)
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    assert len(set(seen)) > 2


async def test_the_end_of_a_task_says_what_it_has_spent() -> None:
    """The sum of its ``task.spent``, with its child runs; no keys where it is nothing."""
    child = Workflow("child")

    @child.task
    async def inner(ctx: Context) -> None:
        await ctx.spend(cost=0.25, tokens=5)

    flow = Workflow("spender")

    @flow.task
    async def twice(ctx: Context) -> None:
        await ctx.spend(cost=0.1)
        await ctx.spend(cost="0.2")

    @flow.task
    async def tokens(ctx: Context) -> None:
        await ctx.spend(tokens=3)

    @flow.task
    async def parent(ctx: Context) -> None:
        await ctx.spend(cost=1)
        await ctx.run(child, {})

    @flow.task
    async def nothing(ctx: Context) -> None: ...

    events = await run_to_end(flow)
    spent = {
        event.task: {key: event.data[key] for key in ("cost", "tokens") if key in event.data}
        for event in events
        if event.type == "task.completed"
    }
    assert spent == {
        "twice": {"cost": 0.3},
        "tokens": {"tokens": 3},
        "parent": {"cost": 1.25, "tokens": 5},
        "nothing": {},
    }
