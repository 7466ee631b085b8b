"""A restart takes up what a run was told, asked, owed and spent: nobody is asked, started or charged twice."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest

from reactor import Context, Engine, Event, InvalidValue, Retry, Run, RunFailed, TaskEnded, Workflow
from reactor.clock import SystemClock
from reactor.errors import RunEnded, RunEnding, RunNotHere, UnknownRun, WrongQuestion
from reactor.events.event import Draft
from reactor.events.fold import replay
from reactor.events.state import RunState
from reactor.events.timing import unix_seconds
from reactor.logs.sqlite.log import SqliteLog
from reactor.ports.log import EventLog
from reactor.testing import LogAround
from tests.helpers import controlled
from tests.helpers.crash import RUN_ID, check_laws, crashed_log, read_with_blobs
from tests.helpers.events import of_type, only
from tests.helpers.inside import recovery_done
from tests.helpers.runs import open_run, open_runs, turns, wait_for_event, wait_until
from tests.helpers.warm import start_python

CHILD_ID = f"{RUN_ID}.delegate.1"
SOON = 60


class Later(SystemClock):
    """A clock that is ahead: the process was started again so many seconds later."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.ahead = timedelta(seconds=seconds)

    def now(self) -> bytes:
        return (datetime.now(UTC) + self.ahead).strftime("%Y-%m-%dT%H:%M:%S.%fZ").encode()


async def recorded(scenario: str, *run_ids: str) -> list[list[Event]]:
    """The events of a scenario's runs, up to where its process can be killed."""
    async with Engine("memory://", workflows=controlled.ALL, grace=0) as engine:
        await controlled.SCENARIOS[scenario](engine)
        found = [await read_with_blobs(engine.log, run_id) for run_id in (RUN_ID, *run_ids)]
        for run in await open_runs(engine):
            with suppress(RunEnded):
                await run.request_cancel(0)
    return found


def upto(events: Sequence[Event], type: str, task: str | None = None) -> list[Event]:
    at = next(i for i, event in enumerate(events) if event.type == type and task in (None, event.task_id))
    return list(events[: at + 1])


async def left_by(engine: Engine, *run_ids: str) -> list[list[Event]]:
    """The events of runs that ended; they keep the laws."""
    logs = []
    for run_id in run_ids:
        await asyncio.wait_for((await engine.get(run_id)).ended(), SOON)
        events = await read_with_blobs(engine.log, run_id)
        assert check_laws(events) == (await engine.get(run_id)).state
        logs.append(events)
    return logs


# --- what must hold after a restart, by scenario ------------------------------------------------------------------


async def check_paused(engine: Engine) -> None:
    """Paused it stays, for whatever reason it was, and starts nothing; resumed it goes on."""
    run = await engine.get(RUN_ID)
    assert (run.status, run.state.reason) == ("paused", "lunch")
    await wait_for_event(run, "run.resumed")
    assert (run.status, run.state.reason) == ("paused", "lunch")
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(of_type(await read_with_blobs(engine.log), "task.started")) == 1
    await run.resume()
    await run.send("first", 1)
    assert await asyncio.wait_for(run, SOON) == {"second": 2}
    [events] = await left_by(engine, RUN_ID)
    recovered, resumed = of_type(events, "run.resumed")
    assert (recovered.data["reason"], resumed.data["reason"]) == ("recovered", "requested")
    assert [event.seq > resumed.seq for event in of_type(events, "task.started")] == [False, True, True]


async def check_waiting(engine: Engine) -> None:
    """Values that were sent are not asked for again, also those nobody had asked for yet."""
    run = await engine.get(RUN_ID)
    await wait_for_event(run, "run.resumed")
    await wait_until(lambda: run.state.tasks["ask"].status == "waiting")
    assert [asked["schema"] for asked in run.state.tasks["ask"].waiting or []] == [{"type": "integer"}]
    await run.send("ask", 3)
    assert await asyncio.wait_for(run, SOON) == {"later": "early"}
    [events] = await left_by(engine, RUN_ID)
    assert only(events, "task.completed", "ask").data["output"] == [1, "Ann", 3]
    assert len(of_type(events, "task.received", "ask")) == 3
    resumed = only(events, "run.resumed").seq
    assert [e.data["key"] for e in of_type(events, "task.waiting", "ask") if e.seq > resumed] == ["3"]


async def check_retrying(engine: Engine) -> None:
    """The delay is of an hour: an engine that waited all of it again would not end in time."""
    run = await engine.get(RUN_ID)
    assert await asyncio.wait_for(run, SOON) == {"flaky": 2}
    [events] = await left_by(engine, RUN_ID)
    assert len(of_type(events, "task.retrying")) == 1


async def check_child(engine: Engine) -> None:
    """One child, taken up where it was; its money counts once here and there, and nothing is told again."""
    child = await open_run(engine, CHILD_ID)
    await wait_for_event(child, "run.resumed")
    await wait_until(lambda: child.state.tasks["hold"].status == "waiting")
    await child.send("hold", True, key="go on")
    run = await engine.get(RUN_ID)
    assert await asyncio.wait_for(run, SOON) == {"delegate": {"hold": 2}}
    own, childs = await left_by(engine, RUN_ID, CHILD_ID)
    assert len(of_type(childs, "run.started")) == len(of_type(childs, "task.started", "pay")) == 1
    assert (run.state.cost, run.state.tokens) == (child.state.cost, child.state.tokens) == (Decimal("0.1"), 10)
    assert only(own, "budget.warning").data["resource"] == "cost"


async def check_timed_out(engine: Engine) -> None:
    """What was about to fail fails, with the error it had."""
    run = await engine.get(RUN_ID)
    with pytest.raises(RunFailed, match=r"RunTimeout: the run took longer than its timeout of 0.05 s"):
        await asyncio.wait_for(run, SOON)
    [events] = await left_by(engine, RUN_ID)
    assert events[-1].data["reason"] == "timeout"
    assert only(events, "task.cancelled").data["reason"] == "crash"


async def check_over_budget(engine: Engine) -> None:
    """The same of a budget; it is told of once."""
    run = await engine.get(RUN_ID)
    with pytest.raises(RunFailed, match="BudgetExceeded: the budget is exceeded: 2 of 1 cost"):
        await asyncio.wait_for(run, SOON)
    [events] = await left_by(engine, RUN_ID)
    assert (events[-1].data["reason"], events[-1].data["cost"]) == ("budget", 2)
    assert len(of_type(events, "task.started")) == 1
    only(events, "budget.exceeded")


async def check_task_cancelling(engine: Engine) -> None:
    """The one that was told to stop is cancelled with its reason and does not begin again; its siblings go on."""
    run = await engine.get(RUN_ID)
    await wait_until(lambda: [run.state.tasks[f"each[{i}]"].status for i in (0, 2)] == ["waiting"] * 2)
    for index in (0, 2):
        await run.send(f"each[{index}]", index)
    [events] = await left_by(engine, RUN_ID)
    assert only(events, "task.cancelled").task_id == "each[1]"
    assert only(events, "task.cancelled").data["reason"] == "enough"
    assert [run.state.tasks[f"each[{i}]"].status for i in range(3)] == ["completed", "cancelled", "completed"]


async def check_plan(engine: Engine) -> None:
    """The DAG is built from its own log: this engine was told of no workflow of its name."""
    assert "asked" not in engine.workflows
    run = await engine.get(RUN_ID)
    await wait_until(lambda: run.state.tasks["ask"].status == "waiting")
    await run.send("ask", 21)
    assert await asyncio.wait_for(run, SOON) == {"twice": 42}
    await left_by(engine, RUN_ID)


CHECKS: dict[str, Callable[[Engine], Awaitable[None]]] = {
    "paused": check_paused,
    "waiting": check_waiting,
    "retrying": check_retrying,
    "child": check_child,
    "timed_out": check_timed_out,
    "over_budget": check_over_budget,
    "task_cancelling": check_task_cancelling,
    "plan": check_plan,
}
WORKFLOWS = {"child": [controlled.parent]}
"""The child run's own is not among them: its parent brings it along."""


async def restarted(log: EventLog | str, scenario: str) -> None:
    clock = Later(3600) if scenario == "retrying" else None
    workflows = WORKFLOWS.get(scenario, controlled.ALL)
    async with Engine(log, workflows=workflows, clock=clock, grace=0) as engine:
        assert engine.not_recovered == {}
        await CHECKS[scenario](engine)


@pytest.mark.parametrize("scenario", CHECKS)
async def test_a_run_goes_on_as_it_was_when_its_log_ended(scenario: str, tmp_path: Path) -> None:
    """See the checks above; the crash is the end of a recorded log."""
    own, *others = await recorded(scenario, *([CHILD_ID] if scenario == "child" else []))
    await restarted(await crashed_log("sqlite", own, tmp_path, *others), scenario)


def live_and_die(store: str, scenario: str) -> None:
    with start_python("-m", "tests.helpers.controlled", store, scenario) as process:
        line = process.stdout.readline()
        process.kill()
        process.wait()
        assert line == "ready\n", process.stderr.read()


@pytest.mark.parametrize("scenario", CHECKS)
async def test_a_run_goes_on_as_it_was_when_its_process_was_killed(scenario: str, tmp_path: Path) -> None:
    """A run goes on where it was after a ``kill -9`` of its process."""
    store = f"sqlite:///{tmp_path / 'runs.db'}"
    await asyncio.to_thread(live_and_die, store, scenario)
    await restarted(store, scenario)


# --- paused -------------------------------------------------------------------------------------------------------


async def test_a_pause_survives_any_number_of_restarts(tmp_path: Path) -> None:
    """A run that is paused begins nothing in any of them."""
    [events] = await recorded("paused")
    log = await crashed_log("sqlite", events, tmp_path)
    assert isinstance(log, SqliteLog)
    for restart in range(1, 4):
        async with Engine(SqliteLog(log.path), workflows=controlled.ALL, grace=0) as engine:
            run = await engine.get(RUN_ID)
            await wait_for_event(run, "run.resumed", count=restart)
            assert run.status == "paused"
    await restarted_and_resumed(log.path)


async def restarted_and_resumed(path: Any) -> None:
    async with Engine(SqliteLog(path), workflows=controlled.ALL) as engine:
        run = await engine.get(RUN_ID)
        await run.resume()
        await run.send("first", 1)
        assert await asyncio.wait_for(run, SOON) == {"second": 2}
        await left_by(engine, RUN_ID)


# --- input --------------------------------------------------------------------------------------------------------


async def test_a_value_can_be_sent_after_the_restart_before_anybody_asks(tmp_path: Path) -> None:
    """It waits in the mailbox as it would have before."""
    [events] = await recorded("waiting")
    async with Engine(await crashed_log("sqlite", upto(events, "run.started"), tmp_path), workflows=controlled.ALL,
                      grace=0) as engine:  # fmt: skip
        run = await engine.get(RUN_ID)
        for value, key in ((1, None), ("Ann", "name"), (3, "3")):
            await run.send("ask", value, key=key)
        await run.send("later", None)
        assert await asyncio.wait_for(run, SOON) == {"later": None}
        [events] = await left_by(engine, RUN_ID)
    assert only(events, "task.completed", "ask").data["output"] == [1, "Ann", 3]


async def test_a_value_that_was_rejected_stays_so_after_the_restart(tmp_path: Path) -> None:
    """The body that runs again is not handed it, and asks once for what is missing."""
    flow = Workflow("rejects")

    @flow.task
    async def gate(ctx: Context) -> None:
        await ctx.receive()

    @flow.task(after="gate")
    async def ask(ctx: Context) -> int:
        return await ctx.receive(schema=int)

    async with Engine(workflows=[flow]) as engine:
        run = await engine.start(flow, run_id=RUN_ID)
        await run.send("ask", "no number")
        await run.send("gate", None)
        await wait_for_event(run, "task.waiting", "ask")
        events = await read_with_blobs(engine.log)
        await run.cancel()
    async with Engine(await crashed_log("sqlite", events, tmp_path), workflows=[flow]) as engine:
        run = await engine.get(RUN_ID)
        await wait_for_event(run, "task.waiting", "ask", count=2)
        await run.send("ask", 5)
        assert await asyncio.wait_for(run, SOON) == {"ask": 5}
        [events] = await left_by(engine, RUN_ID)
    assert ["rejected" in event.data for event in of_type(events, "task.waiting", "ask")] == [True, False]


# --- retry --------------------------------------------------------------------------------------------------------


async def test_a_retry_that_is_not_due_yet_waits_on_after_the_restart(tmp_path: Path) -> None:
    """It can be cancelled meanwhile, and never starts then."""
    [events] = await recorded("retrying")
    log = await crashed_log("sqlite", events, tmp_path)
    async with Engine(log, workflows=controlled.ALL, clock=Later(1800)) as engine:
        run = await engine.get(RUN_ID)
        await wait_for_event(run, "run.resumed")
        await turns()
        assert run.state.tasks["flaky"].status == "retrying"
        await asyncio.wait_for(run.cancel(), SOON)
        [events] = await left_by(engine, RUN_ID)
    assert len(of_type(events, "task.started")) == 1


async def test_a_retry_starts_after_the_rest_of_its_delay(tmp_path: Path) -> None:
    """The time without a process counts, too."""
    [events] = await recorded("retrying")
    log = await crashed_log("sqlite", events, tmp_path)
    async with Engine(log, workflows=controlled.ALL, clock=Later(3599.5)) as engine:
        assert await asyncio.wait_for(await engine.get(RUN_ID), SOON) == {"flaky": 2}
        [events] = await left_by(engine, RUN_ID)
    failed, started = only(events, "task.retrying"), of_type(events, "task.started")[-1]
    assert 3600 <= unix_seconds(started.time) - unix_seconds(failed.time) < 3600 + SOON


async def test_attempts_go_on_counting_failures_only(tmp_path: Path) -> None:
    """A start that the crash cut off is an attempt, but none of the failures the policy allows."""
    flow = Workflow("counted")
    hangs = asyncio.Event()

    @flow.task(retry=Retry(attempts=3, delay=0))
    async def flaky(ctx: Context) -> None:
        if ctx.attempt == 2 and not hangs.is_set():
            await asyncio.Event().wait()
        raise ValueError(f"attempt {ctx.attempt}")

    async with Engine(workflows=[flow]) as engine:
        run = await engine.start(flow, run_id=RUN_ID)
        await wait_for_event(run, "task.started", count=2)
        events = await read_with_blobs(engine.log)
        await run.cancel()
    hangs.set()
    async with Engine(await crashed_log("sqlite", events, tmp_path), workflows=[flow]) as engine:
        run = await engine.get(RUN_ID)
        with pytest.raises(RunFailed, match="attempt 4"):
            await asyncio.wait_for(run, SOON)
        [events] = await left_by(engine, RUN_ID)
    assert [e.attempt for e in of_type(events, "task.started")] == [1, 2, 3, 4]
    assert [e.data["error"]["message"] for e in of_type(events, "task.retrying")] == ["attempt 1", "attempt 3"]


# --- child runs ---------------------------------------------------------------------------------------------------


def family(ran: list[str]) -> Workflow:
    """A parent whose child spends in two tasks, of three parts each."""
    child = Workflow("spends")

    async def pay(ctx: Context) -> str:
        ran.append(ctx.task_id)
        for _ in range(3):
            await ctx.spend(cost="0.1", tokens=1)
        return ctx.task_id

    child.task(pay, name="one")
    child.task(pay, name="two", after="one")
    flow = Workflow("family")

    @flow.task
    async def delegate(ctx: Context) -> Any:
        return await ctx.run(child)

    return flow


BUDGET = {"cost": "0.7", "tasks": 100, "on_exceeded": "tell"}


@pytest.mark.slow
async def test_a_crash_between_the_commits_of_parent_and_child_neither_loses_nor_doubles_money(tmp_path: Path) -> None:
    """Whatever each of the two logs ends with: the child starts once, and the parent has exactly what it spent.

    Where the parent's log is ahead, what the child's own has lost was spent all the same, and once more when its body
    ran again; the parent has both.
    """
    ran: list[str] = []
    flow = family(ran)
    async with Engine() as engine:
        run = await engine.start(flow, run_id=RUN_ID, budget=BUDGET)
        await run.ended()
        own, childs = await left_by(engine, RUN_ID, CHILD_ID)
    assert run.state.cost == Decimal("0.6")
    for parent_has in range(2, len(upto(own, "child.ended"))):  # which comes after all of the child is in its log
        for child_has in (0, 1, 3, 4, len(childs) - 3, len(childs) - 1, len(childs)):
            prefixes = own[:parent_has], childs[:child_has]
            ran.clear()
            log = await crashed_log("sqlite", prefixes[0], tmp_path, prefixes[1])
            async with Engine(log, workflows=[flow]) as engine:
                again = await engine.get(RUN_ID)
                assert await asyncio.wait_for(again, SOON) == {"delegate": {"two": "two"}}
                after, child_after = await left_by(engine, RUN_ID, CHILD_ID)
            check_family(prefixes, after, child_after, f"parent {parent_has}, child {child_has}")
            done = {e.task_id for e in of_type(prefixes[1], "task.completed")}
            assert not done & set(ran)


def check_family(before: Any, after: list[Event], childs: list[Event], where: str) -> None:
    state, child = replay(RUN_ID, after), replay(CHILD_ID, childs)
    ahead = cost_of(before[0]) - cost_of(before[1])
    assert state.cost is not None
    assert child.cost is not None
    assert child.cost <= state.cost <= child.cost + max(ahead, Decimal(0)), where
    noted = (state.children or {})[CHILD_ID]
    assert noted["cost"] == state.cost, where
    starts = len(of_type(after, "task.started")), len(of_type(childs, "task.started"))
    assert noted["tasks"] == starts[1], where
    assert len(of_type(childs, "run.started")) == 1


def cost_of(events: Sequence[Event]) -> Decimal:
    return sum((Decimal(repr(event.data["cost"])) for event in of_type(events, "task.spent")), Decimal(0))


async def test_starts_of_a_child_before_the_crash_count_for_the_budget_of_its_parent(tmp_path: Path) -> None:
    """Three may start: the parent's has twice, because of the crash, and one of the child's before it."""
    ran: list[str] = []
    flow = family(ran)
    async with Engine() as engine:
        run = await engine.start(flow, run_id=RUN_ID, budget={"tasks": 3})
        await run.ended()
        own, childs = await left_by(engine, RUN_ID, CHILD_ID)
    assert run.status == "completed"
    ran.clear()
    log = await crashed_log("sqlite", upto(own, "task.started"), tmp_path, upto(childs, "task.completed", "one"))
    async with Engine(log, workflows=[flow]) as engine:
        run = await engine.get(RUN_ID)
        await asyncio.wait_for(run.ended(), SOON)
        own, _ = await left_by(engine, RUN_ID, CHILD_ID)
    assert run.status == "failed"
    assert ran == []
    assert only(own, "budget.exceeded").data["used"] == 4


async def test_a_child_that_nobody_asks_for_yet_does_not_go_on(tmp_path: Path) -> None:
    """It is its parent's to take up: while that is paused, nothing of the child runs; afterwards it goes on."""
    ran: list[str] = []
    flow = family(ran)
    async with Engine() as engine:
        run = await engine.start(flow, run_id=RUN_ID)
        await run.ended()
        own, childs = await left_by(engine, RUN_ID, CHILD_ID)
    ran.clear()
    paused = upto(own, "task.started")
    paused = [*paused, said_by(paused, "run.paused", reason="requested", by=None)]
    log = await crashed_log("sqlite", paused, tmp_path, upto(childs, "task.completed", "one"))
    async with Engine(log, workflows=[flow]) as engine:
        run = await engine.get(RUN_ID)
        await wait_for_event(run, "run.resumed")
        assert engine.open_runs == 1
        assert (await engine.get(CHILD_ID)).status == "running"
        assert ran == []
        await run.resume()
        assert await asyncio.wait_for(run, SOON) == {"delegate": {"two": "two"}}
        await left_by(engine, RUN_ID, CHILD_ID)
    assert ran == ["two"]


def said_by(events: Sequence[Event], type: str, **data: Any) -> Event:
    """What the run would have said next."""
    return Event.from_draft(len(events) + 1, events[0].run_id, SystemClock().now(), Draft(type, orjson.dumps(data)))


@pytest.mark.parametrize("parent", ["ended", "gone"])
async def test_an_orphaned_child_is_cancelled_at_the_next_start(parent: str, tmp_path: Path) -> None:
    """Nobody will ever ask for it: it ends as cancelled, reason parent, without running anything; so do its own."""
    ran: list[str] = []
    middle = family(ran)
    flow = Workflow("top")

    @flow.task
    async def top(ctx: Context) -> Any:
        return await ctx.run(middle)

    ids = (RUN_ID, f"{RUN_ID}.top.1", f"{RUN_ID}.top.1.delegate.1")
    async with Engine() as engine:
        run = await engine.start(flow, run_id=RUN_ID)
        await run.ended()
        own, middles, leaves = await left_by(engine, *ids)
    ran.clear()
    log = await crashed_log(
        "sqlite", own if parent == "ended" else [], tmp_path, middles[:3], upto(leaves, "task.completed", "one")
    )
    async with Engine(log, workflows=[flow, middle]) as engine:
        for id in ids[1:]:
            child = await engine.get(id)
            assert (child.status, child.state.reason) == ("cancelled", "parent")
        await left_by(engine, *ids[1:])
        assert engine.open_runs == 0
    assert ran == []


async def test_children_of_a_run_that_nobody_goes_on_with_end_with_it(tmp_path: Path) -> None:
    """Its workflow is unknown here: a cancel ends it from its log alone, and its children too."""
    async with Engine() as engine:
        run = await engine.start(family([]), run_id=RUN_ID)
        await run.ended()
        own, childs = await left_by(engine, RUN_ID, CHILD_ID)
    log = await crashed_log("sqlite", upto(own, "task.spent"), tmp_path, upto(childs, "task.spent"))
    async with Engine(log) as engine:
        assert (await engine.get(CHILD_ID)).status == "running"
        await engine.cancel(RUN_ID)
        assert (await engine.get(CHILD_ID)).state.reason == "parent"
        own, childs = await left_by(engine, RUN_ID, CHILD_ID)
    ended = only(own, "child.ended")
    assert (ended.data["status"], ended.data["reason"], ended.data["last_seq"]) == ("cancelled", "parent", len(childs))
    assert (ended.task_id, own[-1].type) == (only(own, "child.started").task_id, "run.cancelled")


async def test_a_child_that_somebody_cancelled_meanwhile_is_not_ended_twice(tmp_path: Path) -> None:
    """The parent finds it cancelled; at the parent's end nothing is written into it any more."""
    flow = family([])
    async with Engine() as engine:
        run = await engine.start(flow, run_id=RUN_ID)
        await run.ended()
        own, childs = await left_by(engine, RUN_ID, CHILD_ID)
    paused = upto(own, "task.started")
    paused = [*paused, said_by(paused, "run.paused", reason="requested", by=None)]
    log = await crashed_log("sqlite", paused, tmp_path, upto(childs, "task.completed", "one"))
    async with Engine(log, workflows=[flow]) as engine:
        run = await engine.get(RUN_ID)
        await engine.cancel(CHILD_ID, reason="mine")
        await run.resume()
        with pytest.raises(RunFailed, match="RunCancelled"):
            await asyncio.wait_for(run, SOON)
        await until_idle(engine)
        _, childs = await left_by(engine, RUN_ID, CHILD_ID)
    assert childs[-1].data["reason"] == "mine"


async def until_idle(engine: Engine) -> None:
    await recovery_done(engine)
    await wait_until(lambda: not engine.open_runs)


class Held(LogAround):
    """Does not let a run be read before the gate is open."""

    def __init__(self, inner: EventLog, run_id: str, gate: asyncio.Event) -> None:
        super().__init__(inner)
        self.run_id = run_id
        self.gate = gate

    async def base(self, run_id: str) -> RunState:
        if run_id == self.run_id:
            await self.gate.wait()
        return await super().base(run_id)

    async def read(self, run_id: str, after: int, limit: int) -> list[Event]:
        if run_id == self.run_id:
            await self.gate.wait()
        return await super().read(run_id, after, limit)


async def test_a_child_that_ended_while_the_engine_was_still_starting_is_left_alone(tmp_path: Path) -> None:
    """Its parent is quick and takes it up before the engine has looked at all open runs: it is no orphan later."""
    flow = family([])
    other = Workflow("other")
    other.task(lambda: 1, name="only")
    async with Engine() as engine:
        run = await engine.start(flow, run_id=RUN_ID)
        await run.ended()
        own, childs = await left_by(engine, RUN_ID, CHILD_ID)
        await (await engine.start(other, run_id="other")).ended()
        others = await read_with_blobs(engine.log, "other")
    gate = asyncio.Event()
    inner = await crashed_log(
        "sqlite", upto(own, "task.started"), tmp_path, others[:1], upto(childs, "task.completed", "one")
    )

    async def open_the_gate() -> None:
        while (await inner.record(RUN_ID)).status != "completed":
            await asyncio.sleep(0.002)
        gate.set()

    engine = Engine(Held(inner, "other", gate), workflows=[flow, other])
    await inner.open()
    opening = asyncio.ensure_future(open_the_gate())
    inner.open = _nothing  # type: ignore[method-assign]
    async with engine:
        await opening
        await until_idle(engine)
        await left_by(engine, RUN_ID, CHILD_ID, "other")


async def _nothing() -> None: ...


# --- budgets ------------------------------------------------------------------------------------------------------


async def test_a_budget_goes_on_from_what_was_spent_and_warns_no_second_time(tmp_path: Path) -> None:
    """0.85 of 1 before the crash, 0.1 and 0.1 after it: the total is exact, and only the last is too much."""
    flow = Workflow("goes-on")

    @flow.task
    async def before(ctx: Context) -> None:
        await ctx.spend(cost="0.85", tokens=2)

    @flow.task(after="before")
    async def after(ctx: Context) -> None:
        await ctx.spend(cost="0.1")
        await ctx.spend(cost="0.1")

    budget = {"cost": 1, "tasks": 2, "on_exceeded": "tell"}
    async with Engine() as engine:
        await (await engine.start(flow, run_id=RUN_ID, budget=budget)).ended()
        [events] = await left_by(engine, RUN_ID)
    prefix = upto(events, "task.completed", "before")
    only(prefix, "budget.warning")
    async with Engine(await crashed_log("sqlite", prefix, tmp_path), workflows=[flow]) as engine:
        run = await engine.get(RUN_ID)
        await asyncio.wait_for(run.ended(), SOON)
        [events] = await left_by(engine, RUN_ID)
    assert (run.state.cost, run.state.tokens) == (Decimal("1.05"), 2)
    assert [e.data["resource"] for e in of_type(events, "budget.warning")] == ["cost", "tasks"]
    assert [(e.data["resource"], e.data["used"]) for e in of_type(events, "budget.exceeded")] == [("cost", 1.05)]


async def test_a_crash_between_exceeded_and_the_stop_stops_at_the_next_start(tmp_path: Path) -> None:
    """The budget was exceeded, that is in the log; what it was to do is done now, and nothing starts."""
    [events] = await recorded("over_budget")
    log = await crashed_log("sqlite", upto(events, "budget.exceeded"), tmp_path)
    async with Engine(log, workflows=controlled.ALL, grace=0) as engine:
        run = await engine.get(RUN_ID)
        with pytest.raises(RunFailed, match="BudgetExceeded"):
            await asyncio.wait_for(run, SOON)
        [events] = await left_by(engine, RUN_ID)
    assert len(of_type(events, "task.started")) == 1


async def test_a_crash_between_exceeded_and_the_pause_pauses_at_the_next_start(tmp_path: Path) -> None:
    """Nothing starts until somebody resumes it; and who has resumed it is not paused by a later crash."""
    flow = Workflow("overspending")

    @flow.task
    async def spend(ctx: Context) -> None:
        await ctx.spend(cost=2)

    @flow.task(after="spend")
    async def rest(ctx: Context) -> None:
        await ctx.receive()

    async with Engine() as engine:
        run = await engine.start(flow, run_id=RUN_ID, budget={"cost": 1, "on_exceeded": "pause"})
        await wait_for_event(run, "run.paused")
        events = await read_with_blobs(engine.log)
    log = await crashed_log("sqlite", upto(events, "budget.exceeded"), tmp_path)
    async with Engine(log, workflows=[flow], grace=0) as engine:
        run = await engine.get(RUN_ID)
        await wait_for_event(run, "run.paused")
        assert (run.status, run.state.reason) == ("paused", "budget")
        await run.resume()
        await wait_for_event(run, "task.waiting", "rest")
        events = await read_with_blobs(engine.log)
    only(events, "budget.exceeded")
    async with Engine(await crashed_log("sqlite", events, tmp_path), workflows=[flow]) as engine:
        run = await engine.get(RUN_ID)
        await wait_for_event(run, "task.waiting", "rest", count=2)
        await run.send("rest", 1)
        [events] = await left_by(engine, RUN_ID)
    assert run.status == "completed"
    only(events, "run.paused")


# --- single tasks -------------------------------------------------------------------------------------------------


async def test_a_task_that_was_told_to_stop_does_not_begin_again(tmp_path: Path) -> None:
    """An unmapped one; what depends on it is skipped, and the rest goes on."""
    flow = Workflow("single-task")

    @flow.task
    async def stopped(ctx: Context) -> None:
        try:
            await controlled.hang()
        finally:
            await asyncio.shield(asyncio.sleep(3600))

    @flow.task
    async def dependent(stopped: None) -> None: ...

    @flow.task
    async def rest() -> int:
        return 1

    async with Engine(grace=0) as engine:
        run = await engine.start(flow, run_id=RUN_ID)
        await wait_for_event(run, "task.completed", "rest")
        await run.request_cancel(3600, task="stopped", reason="enough")
        events = await read_with_blobs(engine.log)
        await run.request_cancel(0)
    async with Engine(await crashed_log("sqlite", events, tmp_path), workflows=[flow]) as engine:
        [events] = await left_by(engine, RUN_ID)
    assert only(events, "task.cancelled", "stopped").data["reason"] == "enough"
    assert len(of_type(events, "task.started", "stopped")) == 1
    assert only(events, "task.skipped").data["because"] == "stopped"


# --- everything at once -------------------------------------------------------------------------------------------


def everything(ran: list[str]) -> Workflow:
    """Input, a retry, a child run, money, a map one of whose children is cancelled, and what comes after them."""
    child = Workflow("child-of-everything")

    @child.task
    async def inner(ctx: Context) -> int:
        ran.append("inner")
        await ctx.spend(cost="0.3", tokens=3)
        return await ctx.receive("inner?", schema=int)

    @child.task
    async def after(inner: int) -> int:
        ran.append("after")
        return inner + 1

    flow = Workflow("everything")

    @flow.task
    async def items(ctx: Context) -> list[int]:
        await ctx.receive("begin?")
        ran.append("items")
        return [0, 1]

    @flow.task
    async def asked(items: list[int], ctx: Context) -> list[Any]:
        ran.append("asked")
        return [await ctx.receive(schema=int), await ctx.receive("key?", key="k")]

    @flow.task(retry=Retry(attempts=2, delay=0))
    async def flaky(items: list[int], ctx: Context) -> int:
        ran.append("flaky")
        async with ctx.llm_call("model") as call:
            call.cost, call.tokens = "0.1", 1
        if not await ctx.receive("ok?", schema=bool) or ctx.attempt == 1:
            raise ValueError("once")
        return 7

    @flow.task
    async def delegate(items: list[int], ctx: Context) -> Any:
        ran.append("delegate")
        return await ctx.run(child)

    @flow.task(map="items")
    async def each(items: int, ctx: Context) -> int:
        if items == 1:
            await controlled.hang()
        ran.append("each[0]")
        return items

    @flow.task(after="each", on_upstream_failure="run")
    async def last(asked: list[Any], flaky: int, delegate: Any) -> list[Any]:
        ran.append("last")
        return [asked, flaky, delegate]

    return flow


async def drive(engine: Engine, run: Run) -> None:
    """What its user does, by the state alone: resumes, answers, stops ``each[1]``."""
    answers = {"1": 5, "k": "value"}
    async for _ in run:
        with suppress(RunEnded, RunEnding, TaskEnded, WrongQuestion):
            if run.status == "paused":
                await run.resume()
            for task in list(run.state.tasks.values()):
                for asked in task.waiting or ():
                    value = True if asked["prompt"] == "ok?" else answers[asked["key"]]
                    await run.send(task.id, value, key=asked["key"])
                if task.id == "each[1]" and task.status == "running" and task.cancelling is None:
                    await run.request_cancel(task="each[1]", reason="enough")


async def lived(engine: Engine, run: Run) -> RunState:
    """A run and its child, driven to their ends."""

    async def children() -> None:
        while not run.feed.closed:
            with suppress(UnknownRun, RunNotHere):  # before its parent has asked for it
                child = await engine.get(CHILD_ID)
                if child.feed.closed != "not_recovered":
                    await drive(engine, child)
                    return
            await asyncio.sleep(0.002)

    driving = [asyncio.ensure_future(drive(engine, run)), asyncio.ensure_future(children())]
    await asyncio.wait_for(run.ended(), SOON)
    await asyncio.wait_for(asyncio.gather(*driving), SOON)
    return run.state


async def test_a_crash_after_any_event_of_a_run_with_everything_changes_nothing_of_its_end(tmp_path: Path) -> None:
    """In the order of the commits of both runs: same statuses, same outputs, nothing completed repeated, laws kept."""
    ran: list[str] = []
    flow = everything(ran)
    committed: list[Event] = []
    async with Engine(workflows=[flow]) as engine:
        engine.live.subscribe(committed.append)
        run = await engine.start(flow, run_id=RUN_ID, budget={"cost": "0.55", "tokens": 4, "on_exceeded": "tell"})
        await run.send("asked", "too early, and no number")
        await run.pause()
        final = await lived(engine, run)
        whole, _ = await left_by(engine, RUN_ID, CHILD_ID)
    assert final.status == "completed"
    assert {e.type for e in whole} >= {
        *("run.paused", "run.resumed", "task.waiting", "task.received", "task.retrying", "task.cancelling"),
        *("task.spent", "task.mapped", "llm.call.completed", "budget.warning", "task.cancelled"),
    }
    for length in range(1, len(committed)):
        own, childs = ([event for event in committed[:length] if event.run_id == id] for id in (RUN_ID, CHILD_ID))
        if own[-1].type == "run.completed":
            continue
        ran.clear()
        log = await crashed_log("sqlite", own, tmp_path, childs)
        async with Engine(log, workflows=[flow]) as engine:
            run = await engine.get(RUN_ID)
            await lived(engine, run)
            after, child_after = await left_by(engine, RUN_ID, CHILD_ID)
        where = f"crash after {length}: {committed[length - 1]!r}"
        assert after[: len(own)] == own, where
        assert child_after[: len(childs)] == childs, where
        done = {e.task_id for e in of_type([*own, *childs], "task.completed")}
        assert not done & set(ran), where
        assert {id: t.status for id, t in run.state.tasks.items()} == {id: t.status for id, t in final.tasks.items()}, (
            where
        )
        assert after[-1].data["outputs"] == whole[-1].data["outputs"], where
        assert len(of_type(child_after, "run.started")) == 1, where


async def test_what_a_paused_run_had_asked_is_still_asked_after_a_restart(tmp_path: Path) -> None:
    """The state shows the question, and what does not fit it is refused before the body runs again."""
    flow = Workflow("question")

    @flow.task
    async def ask(ctx: Context) -> int:
        return await ctx.receive("how many?", schema=int)

    url = f"sqlite:///{tmp_path}/runs.db"
    async with Engine(url, workflows=[flow], grace=0) as engine:
        run = await engine.start(flow, run_id=RUN_ID)
        await wait_until(lambda: run.state.tasks["ask"].status == "waiting")
        await run.pause()
    async with Engine(url, workflows=[flow]) as engine:
        run = await engine.get(RUN_ID)
        question = (run.state.tasks["ask"].waiting or [])[0]
        assert (run.status, question["prompt"], question["schema"]) == ("paused", "how many?", {"type": "integer"})
        with pytest.raises(InvalidValue, match="not of type 'integer'"):
            await run.send("ask", "many")
        await run.send("ask", 3)
        await run.resume()
        assert await run == {"ask": 3}
