"""A crash after every single event of a run: whatever the log ends with, the run ends as it would have."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reactor import Context, Engine, Event, Workflow
from reactor.events.fold import replay
from reactor.events.state import RunState
from reactor.logs.memory import MemoryLog
from tests.helpers.crash import RUN_ID, check_laws, crashed_log, ended_in, read_with_blobs, record, said
from tests.helpers.dags import Spec, build, dags, expected
from tests.helpers.runs import PATIENCE


@dataclass
class Point:
    x: int
    y: tuple[int, ...]


def mixed(ran: list[str]) -> Workflow:
    """Maps over a list and over each other, a condition, a handled failure, outputs of all kinds; no two alike."""
    flow = Workflow("mixed")

    @flow.task
    async def items() -> list[int]:
        ran.append("items")
        return [0, 1, 2, 3]

    @flow.task(map="items", when=lambda items: items != 1)
    async def measured(items: int, ctx: Context) -> tuple[int, int]:
        ran.append(ctx.task_id)
        await asyncio.sleep(0.001 * items)
        return (items, items)

    @flow.task(map="measured")
    def doubled(measured: tuple[int, int], ctx: Context) -> int:
        ran.append(ctx.task_id)
        assert type(measured) is tuple
        return sum(measured)

    @flow.task(map="items")
    async def sets(items: int, ctx: Context):  # type: ignore[no-untyped-def]  # nothing restores it
        ran.append(ctx.task_id)
        await asyncio.sleep(0.002 * (4 - items))
        if items == 2:
            raise ValueError("told to fail")
        return {items}

    @flow.task(map="sets")
    async def from_sets(sets: set[int], ctx: Context) -> int:
        ran.append(ctx.task_id)
        assert type(sets) is set
        return sum(sets)

    @flow.task(on_upstream_failure="run", after="sets")
    async def rescued(from_sets: list[int] | None, ctx: Context) -> str:
        ran.append("rescued")
        assert (ctx.upstreams["from_sets"].status, ctx.upstreams["from_sets"].because) == ("skipped", "sets[2]")
        assert ctx.upstreams["sets"].error == {"type": "ValueError", "message": "told to fail"}
        return "rescued"

    @flow.task(when=lambda items: len(items) > 100)
    async def left_out(items: list[int]) -> int:
        raise AssertionError

    @flow.task
    async def after_left_out(left_out: int) -> int:
        raise AssertionError

    @flow.task
    async def point(items: list[int]) -> Point:
        ran.append("point")
        return Point(len(items), (1, 2))

    @flow.task
    async def opaque():  # type: ignore[no-untyped-def]
        ran.append("opaque")
        return {1, 2, 3}

    @flow.task
    async def told(opaque: Any):  # type: ignore[no-untyped-def]
        ran.append("told")
        return frozenset(opaque)

    @flow.task(after="told")
    async def waits_only() -> str:
        ran.append("waits_only")
        return "done"

    @flow.task
    async def last(point: Point, doubled: list[int], told: frozenset[int], large: str, ctx: Context) -> list[Any]:
        ran.append("last")
        assert type(point) is Point
        assert type(told) is frozenset
        await ctx.emit("last.word", {"n": 1})
        return [point.x, list(point.y), doubled, len(large), len(told)]

    @flow.task
    async def large() -> str:
        ran.append("large")
        return "x" * 40_000

    @flow.task(map="items")
    async def leaves(items: int, ctx: Context):  # type: ignore[no-untyped-def]  # shown at the end, needed by nobody
        ran.append(ctx.task_id)
        await asyncio.sleep(0.001 * items)
        return {items}

    return flow


NEEDS = {
    "opaque": {"told"},
    "told": {"last"},
    **{f"sets[{i}]": {f"from_sets[{i}]", "rescued"} for i in range(4)},
}
"""Outputs that no restart hands on, and who can see them (``rescued`` through its context)."""


def may_run_again(task_id: str, ends: dict[str, Event]) -> bool:
    """Semantics 23: only what cannot be recovered, and only where an unfinished task needs it."""
    return any(dependent not in ends or may_run_again(dependent, ends) for dependent in NEEDS.get(task_id, ()))


async def recovered(log: Any, flow: Workflow) -> list[Event]:
    async with Engine(log, workflows=[flow]) as engine:
        run = await engine.get(RUN_ID)
        state = await asyncio.wait_for(run.ended(), PATIENCE)
        events = await read_with_blobs(engine.log)
        assert replay(RUN_ID, events) == state
        return events


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_a_crash_after_any_event_of_a_run_changes_nothing_of_its_end(kind: str, tmp_path: Path) -> None:
    """For every prefix of a log the run completes with the same statuses and outputs, and repeats nothing completed."""
    ran: list[str] = []
    flow = mixed(ran)
    whole = await record(flow)
    final = check_laws(whole)
    assert final.status == "completed"
    assert final.tasks["last"].status == "completed"
    for length in range(1, len(whole)):
        prefix = whole[:length]
        ran.clear()
        events = await recovered(await crashed_log(kind, prefix, tmp_path), flow)
        ends = ended_in(prefix)
        assert events[:length] == prefix
        again = [task for task in ran if task in ends and not may_run_again(task, ends)]
        assert not again, f"crash after {length} {prefix[-1]!r}: {again} ran again"
        state = check_laws(events)
        assert statuses(state) == statuses(final)
        assert events[-1].data["outputs"] == whole[-1].data["outputs"]


def statuses(state: RunState) -> dict[str, tuple[str, str | None]]:
    return {id: (task.status, task.reason) for id, task in state.tasks.items()}


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_a_crash_while_a_run_is_cancelled_is_finished_as_a_cancel(kind: str, tmp_path: Path) -> None:
    """Nothing starts any more; what had not ended is cancelled with reason crash, what had ended stays as it was."""
    ran: list[str] = []
    flow = mixed(ran)
    whole = await record(flow)
    for length in range(1, len(whole)):
        prefix = whole[:length]
        cancelling = [*prefix, said(prefix, "run.cancelling", reason="requested", by="test")]
        ran.clear()
        events = await recovered(await crashed_log(kind, cancelling, tmp_path), flow)
        assert ran == []
        assert [e for e in events[length:] if e.type == "task.started"] == []
        assert events[-1].type == "run.cancelled"
        assert events[-1].data["reason"] == "requested"
        before, after = ended_in(prefix), ended_in(events)
        assert {id: after[id] for id in before} == before
        new = {id: event for id, event in after.items() if id not in before}
        assert {(e.type, e.data["reason"]) for e in new.values()} <= {("task.cancelled", "crash")}
        begun = {event.task_id for event in prefix if event.type == "task.started"}
        assert begun <= after.keys()
        check_laws(events)


# --- random graphs ----------------------------------------------------------------------------------------------

LAWFUL = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)


@pytest.mark.slow
@LAWFUL
@given(dags(max_tasks=12), st.lists(st.floats(0, 1), min_size=1, max_size=4))
def test_random_graphs_end_as_the_model_says_after_any_number_of_crashes(spec: Spec, crashes: list[float]) -> None:
    """Each crash leaves a random prefix of what the recovered run had written; statuses and totals are the model's."""

    async def main() -> None:
        flow, model = build(spec), expected(spec)
        events = await record(flow)
        length = 0
        for share in crashes:
            length += int((len(events) - length) * share)
            length = min(max(length, 1), len(events) - 1)
            prefix = events[:length]
            log = MemoryLog()
            await log.append(RUN_ID, prefix)
            events = await recovered(log, flow)
            assert events[:length] == prefix
            check_log(events)
        state = replay(RUN_ID, events)
        assert {id: task.status for id, task in state.tasks.items()} == model.statuses
        assert state.status == model.run_status
        assert {name: events[-1].data[name] for name in model.totals} == model.totals

    asyncio.run(main())


def check_log(events: list[Event]) -> None:
    check_laws(events)
