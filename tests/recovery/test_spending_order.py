"""A run never has more of a child's spending than the child's own log, wherever its logs are cut off."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, given, settings

from reactor import Context, Engine, Workflow
from reactor.events.event import Event, Window
from reactor.events.fold import replay
from reactor.events.state import RunState
from reactor.logs.memory import MemoryLog
from reactor.testing import FaultyLog, read_all
from tests.helpers.crash import RUN_ID, check_laws
from tests.helpers.jittered_log import JITTERS, JitteredLog
from tests.helpers.runs import PATIENCE

CHILD_ID, GRANDCHILD_ID = f"{RUN_ID}.delegate.1", f"{RUN_ID}.delegate.1.pass_on.1"


def family() -> Workflow:
    """Three runs, one below the other, that spend beside each other and again after a pause."""
    lowest, child, flow = Workflow("lowest"), Workflow("child"), Workflow("family")

    @lowest.task
    async def pay(ctx: Context) -> None:
        for _ in range(4):
            ctx.spend(cost="0.1", tokens=1)
            await asyncio.sleep(0)

    @child.task
    async def pass_on(ctx: Context) -> None:
        await ctx.spend(cost="0.01", tokens=10)
        await ctx.run(lowest)
        ctx.spend(cost="0.02", tokens=10)

    @flow.task
    async def delegate(ctx: Context) -> None:
        await ctx.run(child)
        await ctx.spend(cost="0.001", tokens=100)

    return flow


class OrderedLog(MemoryLog):
    """Remembers the order in which it kept the windows of all runs."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[tuple[str, Window]] = []

    def append(self, run_id: str, window: Window, *, tenant: str = "") -> asyncio.Future[int]:
        done = super().append(run_id, window, tenant=tenant)
        self.kept.append((run_id, list(window)))
        return done


def states_of(kept: Sequence[tuple[str, Window]]) -> dict[str, RunState]:
    """The state of each run, as a process that was killed then has left it."""
    events: dict[str, list[Event]] = {}
    for run_id, window in kept:
        events.setdefault(run_id, []).extend(window)
    return {run_id: replay(run_id, said) for run_id, said in events.items()}


def check_no_more_than_below(states: dict[str, RunState]) -> None:
    """Law: what a log says that a child has spent, the child's own log says too."""
    for state in states.values():
        for child_id, copied in (state.children or {}).items():
            child = states.get(child_id, RunState(child_id))
            assert copied["cost"] <= (child.cost or 0), f"{state.run_id} has more than {child_id}"
            assert copied["tokens"] <= (child.tokens or 0), f"{state.run_id} has more than {child_id}"


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(jitters=JITTERS)
def test_no_prefix_of_the_logs_has_more_above_than_below(jitters: Sequence[tuple[int, ...]]) -> None:
    """However long each commit takes: the law holds at each of them, and in the end nothing lacks."""

    async def live() -> None:
        log = OrderedLog()
        async with Engine(JitteredLog(log, jitters), workflows=[family()]) as engine:
            run = await engine.start("family", run_id=RUN_ID)
            await asyncio.wait_for(run, PATIENCE)
            for run_id in (RUN_ID, CHILD_ID, GRANDCHILD_ID):
                check_laws(await read_all(engine.log, run_id))
        for cut in range(len(log.kept) + 1):
            check_no_more_than_below(states_of(log.kept[:cut]))
        ended = states_of(log.kept)
        assert ended[RUN_ID].cost == Decimal("0.431")
        assert ended[RUN_ID].tokens == 124
        assert ended[CHILD_ID].cost == Decimal("0.43")

    asyncio.run(live())


async def test_whatever_is_left_a_recovery_has_as_much_above_as_below() -> None:
    """Cut after each commit and recovered, the run ends with exactly what it and its children have in their logs."""
    log = OrderedLog()
    async with Engine(JitteredLog(log, [(3, 1, 0, 0), (0, 2, 0, 0), (1, 0, 0, 0)]), workflows=[family()]) as engine:
        await asyncio.wait_for(await engine.start("family", run_id=RUN_ID), PATIENCE)
    for cut in range(1, len(log.kept)):
        left = OrderedLog()
        await left.open()
        for run_id, window in log.kept[:cut]:
            await left.append(run_id, window)
        async with Engine(left, workflows=[family()]) as engine:
            await asyncio.wait_for((await engine.get(RUN_ID)).ended(), PATIENCE)
        for later in range(cut, len(left.kept) + 1):
            check_no_more_than_below(states_of(left.kept[:later]))
        ended = states_of(left.kept)
        check_sums(ended, f"after {cut} commits")


def check_sums(states: dict[str, RunState], where: str) -> None:
    own = {RUN_ID: Decimal("0.001"), CHILD_ID: Decimal("0.03"), GRANDCHILD_ID: Decimal("0.4")}
    for state in states.values():
        below = sum(((states[id].cost or Decimal(0)) for id in state.children or ()), Decimal(0))
        assert state.cost is not None
        assert state.cost - below >= own[state.run_id], where  # more: a body that ran again has spent again
        assert below == sum(child["cost"] for child in (state.children or {}).values()), where


async def test_a_child_whose_log_failed_leaves_nothing_above() -> None:
    """What the child's log did not take is in no log, and the budget above does not count it any more."""
    inner = OrderedLog()
    log = FaultyLog(inner, fails=[CHILD_ID], after=1)
    spent = asyncio.Event()
    child, flow = Workflow("child"), Workflow("parent")

    @child.task
    async def pay(ctx: Context) -> None:
        ctx.spend(cost="0.5")
        spent.set()
        await ctx.receive("go on?")

    @flow.task
    async def delegate(ctx: Context) -> Any:
        return await ctx.run(child)

    async with Engine(log, workflows=[child, flow]) as engine:
        run = await engine.start(flow, run_id=RUN_ID, budget={"cost": 0.8})
        await asyncio.wait_for(spent.wait(), PATIENCE)
        spent.clear()
        while not engine.log_problem:
            await asyncio.sleep(0)
        check_no_more_than_below(states_of(inner.kept))
        log.fails = frozenset()
        await asyncio.wait_for(spent.wait(), PATIENCE)  # its body runs again, and spends again
        await (await engine.descendant(RUN_ID, CHILD_ID)).send("pay", 1)
        await asyncio.wait_for(run, PATIENCE)
        assert run.state.cost == (await engine.get(CHILD_ID)).state.cost
    for cut in range(len(inner.kept) + 1):
        check_no_more_than_below(states_of(inner.kept[:cut]))
