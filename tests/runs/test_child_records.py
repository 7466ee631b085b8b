"""A child run is visible in its parent: ``child.started`` and ``child.ended``, in order, each once."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest

from reactor import Context, Engine, InvalidEvent, Retry, RunCancelled, RunFailed, Workflow
from reactor.bounds import MAX_EVENT_BYTES, MAX_INLINE_BYTES
from reactor.clock import SystemClock
from reactor.events import drafts
from reactor.events.event import Draft, Event, task_head
from reactor.events.fold import evolve, replay
from reactor.events.state import RunState
from reactor.logs.memory import MemoryLog
from reactor.logs.sqlite.log import SqliteLog
from reactor.stream.checkpoints import decode_state, encode_state
from reactor.testing import FaultyLog, check_event, read_all
from tests.helpers.bodies import asks_child
from tests.helpers.crash import crashed_log, in_log, read_with_blobs
from tests.helpers.events import data_of, of_type, only
from tests.helpers.log_lines import log_lines
from tests.helpers.runs import PATIENCE, full_log, open_run, result, wait_for_event, wait_until

HEAD = task_head("ask", "ask", None, 1)


def child_of(ends: str, size: int = 1) -> Workflow:
    """A child run that completes with an output of this size, fails in two tasks, or waits to be cancelled."""
    flow = Workflow("child")

    @flow.task
    async def work(ctx: Context) -> str:
        await ctx.spend(cost="0.5", tokens=7)
        if ends == "failed":
            raise ValueError("x" * size)
        if ends == "cancelled":
            await ctx.emit("body.waits")
            await asyncio.Event().wait()
        return "x" * size

    @flow.task
    async def other() -> None:
        if ends == "failed":
            raise KeyError("y" * size)

    return flow


def parent_of(child: Workflow | str, **options: Any) -> Workflow:
    flow = Workflow("parent")

    @flow.task(**options)
    async def ask(ctx: Context) -> Any:
        return await ctx.run(child)

    return flow


# --- what the log of the parent says ------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["loop", "thread", "process"])
async def test_the_parent_says_what_its_child_was_and_how_it_ended(where: str, tmp_path: Path) -> None:
    """The same wherever the body is; the state has it, from these events alone."""
    flow = Workflow("parent")
    flow.task(asks_child[where], name="ask", executor=where)
    async with Engine(f"sqlite:///{tmp_path}/runs.db", workflows=[flow, child_of("completed")]) as engine:
        run = await engine.start(flow, run_id="r")
        assert await result(run) == {"ask": {"work": "x", "other": None}}
        events = await full_log(engine, run)
    started, ended = only(events, "child.started"), only(events, "child.ended")
    assert started.task_id == ended.task_id == "ask"
    assert started.data == {"engine": True, "child_run": "r.ask.1", "workflow": "child", "key": "1"}
    assert ended.data == {
        "engine": True,
        "child_run": "r.ask.1",
        "status": "completed",
        "outputs": {"work": "x", "other": None},
        "last_seq": 7,
        "cost": 0.5,
        "tokens": 7,
    }
    assert run.state.children == {
        "r.ask.1": {
            "task_id": "ask",
            "workflow": "child",
            "key": "1",
            "status": "completed",
            "seq": ended.seq,
            "cost": Decimal("0.5"),
            "tokens": 7,
            "tasks": 0,
        }
    }


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_the_events_are_committed_in_the_order_in_which_things_happened(kind: str, tmp_path: Path) -> None:
    """child.started before anything of the child, child.ended before the body goes on: by the positions in the log."""
    log: Any = MemoryLog() if kind == "memory" else SqliteLog(tmp_path / "runs.db")
    positions: dict[tuple[str, int], int] = {}
    append = log.append

    def noting(run_id: str, window: Any, *, tenant: str = "") -> asyncio.Future[int]:
        future = append(run_id, window, tenant=tenant)
        future.add_done_callback(lambda f: positions.update({(run_id, event.seq): f.result() for event in window}))
        return future

    log.append = noting
    flow = Workflow("parent")

    @flow.task
    async def ask(ctx: Context) -> Any:
        outputs = await ctx.run(child_of("completed"))
        await ctx.emit("body.went.on")
        return outputs

    async with Engine(log) as engine:
        run = await engine.start(flow, run_id="r")
        await result(run)
        own, childs = await full_log(engine, run), await full_log(engine, await engine.get("r.ask.1"))
    began, ended, on = (only(own, type).seq for type in ("child.started", "child.ended", "body.went.on"))
    assert positions["r", began] < positions["r.ask.1", 1]
    assert positions["r.ask.1", childs[-1].seq] < positions["r", ended] < positions["r", on]


@pytest.mark.parametrize("ends", ["failed", "cancelled"])
async def test_how_a_child_failed_or_was_cancelled_stands_in_its_parent(engine: Engine, ends: str) -> None:
    """The error and the errors of all tasks; the reason."""
    run = await engine.start(parent_of(child_of(ends)), run_id="r")
    if ends == "cancelled":
        child = await open_run(engine, "r.ask.1")
        await wait_for_event(child, "body.waits")
        await child.cancel(reason="mine")
    await asyncio.wait_for(run.ended(), PATIENCE)
    ended = only(await full_log(engine, run), "child.ended").data
    assert (ended["status"], ended["cost"]) == (ends, 0.5)
    if ends == "cancelled":
        assert (ended["reason"], "error" in ended) == ("mine", False)
    else:
        assert ended["error"]["task_id"] in ("work", "other")
        assert ended["errors"].keys() == {"work", "other"}


async def test_children_of_a_map_and_of_children_each_stand_with_their_task(engine: Engine) -> None:
    """The index of the map is in the envelope, as with every event of a child of a map; each level has its own."""
    middle = parent_of(child_of("completed"))
    flow = Workflow("top")
    flow.task(lambda: [1, 2], name="items")

    @flow.task(map="items")
    async def each(items: int, ctx: Context) -> Any:
        return await ctx.run(middle, key=f"k{items}")

    run = await engine.start(flow, run_id="r")
    await result(run)
    events = await full_log(engine, run)
    assert {(e.task_id, e.map_index, e.data["key"]) for e in of_type(events, "child.started")} == {
        ("each[0]", 0, "k1"),
        ("each[1]", 1, "k2"),
    }
    assert (run.state.children or {}).keys() == {"r.each~0.k1", "r.each~1.k2"}
    below = await full_log(engine, await engine.get("r.each~0.k1"))
    assert only(below, "child.ended").data["child_run"] == "r.each~0.k1.ask.1"


async def test_a_child_that_cannot_start_is_not_in_the_log(engine: Engine) -> None:
    """The input does not fit: there never was a child run."""
    flow = Workflow("parent")
    needs = Workflow("needs")
    needs.task(lambda n: n, name="n_of")

    @flow.task
    async def ask(ctx: Context) -> Any:
        return await ctx.run(needs, {})

    run = await engine.start(flow)
    events = await full_log(engine, run)
    assert not [event for event in events if event.type.startswith("child.")]
    assert run.state.children is None


async def test_what_is_cancelled_between_its_start_and_its_first_event_has_an_end(engine: Engine) -> None:
    """The log of the parent hangs with child.started in it: the child never starts, and the parent says so."""
    log = FaultyLog(MemoryLog(), hangs=["r"], after=2)
    async with Engine(log, grace=0) as engine:
        run = await engine.start(parent_of(child_of("completed")), run_id="r")
        await wait_until(lambda: log.held)
        cancel = asyncio.ensure_future(run.cancel(grace=0.5))
        await asyncio.sleep(0)
        log.release()
        await asyncio.wait_for(cancel, PATIENCE)
        events = await full_log(engine, run)
        assert [record.run_id for record in await engine.list()] == ["r"]
    assert only(events, "child.ended").data["status"] == "cancelled"
    assert (run.state.children or {})["r.ask.1"]["status"] == "cancelled"


# --- a user's own events of these types ---------------------------------------------------------------------------


async def test_the_prefix_is_the_engines_now(engine: Engine) -> None:
    """A body that emits ``child.x`` is told so."""
    flow = Workflow("emits")

    @flow.task
    async def say(ctx: Context) -> None:
        await ctx.emit("child.started", {"child_run": "x"})

    run = await engine.start(flow)
    with pytest.raises(RunFailed, match=InvalidEvent.__name__):
        await result(run)


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_events_of_a_body_in_an_old_log_are_not_taken_for_the_engines(kind: str, tmp_path: Path) -> None:
    """Not by the state, not by the list of runs, not by recovery: the child goes on, and runs once."""
    async with Engine("memory://", workflows=[child_of("completed")]) as engine:
        flow = parent_of("child")
        run = await engine.start(flow, run_id="crashed")
        await result(run)
        own, childs = await read_all(engine.log, "crashed"), await read_all(engine.log, "crashed.ask.1")
    head = HEAD
    before = own[: own.index(only(own, "child.started"))]
    faked: list[Event] = []
    for type, data in (
        ("child.started", {"child_run": "crashed.ask.1", "name": "mine"}),
        ("child.ended", {"child_run": "crashed.ask.1", "status": "completed", "outputs": {"work": "faked"}}),
    ):
        seq = len(before) + len(faked) + 1
        faked.append(
            Event.from_draft(seq, "crashed", SystemClock().now(), Draft(type, orjson.dumps(data), "ask", head))
        )
        check_event(faked[-1])
    assert replay("crashed", [*before, *faked]).children is None
    log = await crashed_log(kind, [*before, *faked], tmp_path, childs)
    async with Engine(log, workflows=[flow, child_of("completed")]) as engine:
        again = await engine.get("crashed")
        assert await result(again) == {"ask": {"work": "x", "other": None}}
        assert len(await read_all(engine.log, "crashed.ask.1")) == len(childs)
        assert [child["status"] for child in (again.state.children or {}).values()] == ["completed"]


# --- again --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2 * MAX_INLINE_BYTES])
@pytest.mark.parametrize("ends", ["completed", "failed", "cancelled"])
async def test_a_body_that_runs_again_gets_the_end_without_the_child(ends: str, size: int, tmp_path: Path) -> None:
    """The child run is deleted while its parent is open, and the process ends: nothing runs again, for the same answer.

    Also where the outputs, or the errors, are too large for the event.
    """
    answers: list[Any] = []
    gate = asyncio.Event()
    flow = Workflow("parent")

    @flow.task
    async def ask(ctx: Context) -> None:
        try:
            answers.append(await ctx.run("child"))
        except (RunFailed, RunCancelled) as error:
            answers.append((type(error), str(error), vars(error)))
        await ctx.emit("body.has.it")
        await gate.wait()

    url = f"sqlite:///{tmp_path}/runs.db"
    async with Engine(url, workflows=[flow, child_of(ends, size)], grace=0) as engine:
        run = await engine.start(flow, run_id="r")
        if ends == "cancelled":
            child = await open_run(engine, "r.ask.1")
            await wait_for_event(child, "body.waits")
            await child.cancel(reason="mine")
        await wait_for_event(run, "body.has.it")
        await engine.delete("r.ask.1")
    gate.set()
    async with Engine(url, workflows=[flow], grace=0) as engine:  # the workflow of the child is not even known here
        run = await engine.get("r")
        await asyncio.wait_for(run.ended(), PATIENCE)
        events = await full_log(engine, run)
        assert [record.run_id for record in await engine.list()] == ["r"]
    first, again = answers
    assert first == again
    assert len(of_type(events, "child.started")) == len(of_type(events, "child.ended")) == 1
    assert (run.status, run.state.cost) == ("completed", Decimal("0.5"))


async def test_a_retry_gets_the_end_without_opening_the_child(engine: Engine) -> None:
    """Also a failure: it fails again, and each end is in the log once."""
    run = await engine.start(parent_of(child_of("failed"), retry=Retry(attempts=3, delay=0)), run_id="r")
    with pytest.raises(RunFailed) as failed:
        await result(run)
    assert "RunFailed: run r.ask.1: task" in str(failed.value)
    events = await full_log(engine, run)
    assert len(of_type(events, "task.started")) == 3
    assert len(of_type(events, "child.ended")) == 1


async def test_a_key_for_another_workflow_is_refused_though_the_child_is_gone(engine: Engine) -> None:
    """The record names the workflow: its outputs are not handed out for those of another one."""
    flow = Workflow("parent")
    refused: list[str] = []

    @flow.task
    async def ask(ctx: Context) -> Any:
        given = await ctx.run(child_of("completed"), key="doc")
        await engine.delete("r.ask.doc")
        other = Workflow("other")
        other.task(lambda: 1, name="one")
        try:
            await ctx.run(other, key="doc")
        except Exception as error:
            refused.append(f"{type(error).__name__}: {error}")
        return [given, await ctx.run(child_of("completed"), key="doc")]

    run = await engine.start(flow, run_id="r")
    outputs = (await result(run))["ask"]
    assert outputs[0] == outputs[1] == {"work": "x", "other": None}
    assert len(refused) == 1
    assert refused[0].startswith("RunExists: child run 'r.ask.doc' has ended and was deleted")


async def test_every_prefix_of_the_log_recovers_to_one_start_and_one_end(tmp_path: Path) -> None:
    """A crash after any event of the parent, with any part of the child in the log: one child, one record, one cost."""
    flow, child = parent_of("child"), child_of("completed", 2 * MAX_INLINE_BYTES)
    async with Engine("memory://", workflows=[flow, child]) as engine:
        await result(await engine.start(flow, run_id="crashed"))
        own = await read_with_blobs(engine.log, "crashed")
        childs = await read_with_blobs(engine.log, "crashed.ask.1")
    began, ended = only(own, "child.started").seq, only(own, "child.ended").seq
    for cut in range(2, len(own)):
        kept = (0,) if cut < began else (0, 1, 3, len(childs)) if cut < ended else (len(childs),)
        for child_cut in kept:
            log = await crashed_log("sqlite", own[:cut], tmp_path, childs[:child_cut])
            async with Engine(log, workflows=[flow, child]) as engine:
                run = await engine.get("crashed")
                await asyncio.wait_for(run.ended(), PATIENCE)
                events = await full_log(engine, run)
                again = await full_log(engine, await engine.get("crashed.ask.1"))
            where = f"after {cut} events, {child_cut} of the child"
            assert len(of_type(events, "child.started")) == len(of_type(events, "child.ended")) == 1, where
            assert len(of_type(again, "run.started")) == 1, where
            assert only(events, "child.ended").seq > only(events, "child.started").seq
            if cut >= ended:
                assert len(again) == len(childs), where


async def test_a_crash_after_the_task_has_ended_leaves_no_child_without_an_end(tmp_path: Path) -> None:
    """The body left its child open and ended; before that was cancelled the process died. The run says how it ended."""
    flow = Workflow("parent")

    @flow.task
    async def ask(ctx: Context) -> None:
        task = asyncio.ensure_future(ctx.run("child"))
        await wait_for_event(await open_run(engine, "crashed.ask.1"), "body.waits")
        del task

    child = child_of("cancelled")
    async with Engine("memory://", workflows=[flow, child]) as engine:
        await asyncio.wait_for((await engine.start(flow, run_id="crashed")).ended(), PATIENCE)
        own, childs = await read_all(engine.log, "crashed"), await read_all(engine.log, "crashed.ask.1")
    kept = own[: only(own, "task.completed").seq]
    open_child = childs[: only(childs, "body.waits").seq]
    log = await crashed_log("sqlite", kept, tmp_path, open_child)
    async with Engine(log, workflows=[flow, child]) as engine:
        run = await engine.get("crashed")
        await asyncio.wait_for(run.ended(), PATIENCE)
        events = await full_log(engine, run)
        assert (await engine.get("crashed.ask.1")).status == "cancelled"
    assert data_of(events, "child.ended") == [
        {**only(events, "child.ended").data, "status": "cancelled", "reason": "parent", "cost": 0.5}
    ]
    assert run.state.cost == Decimal("0.5")
    assert in_log(log.path, "crashed.ask.1")[-1].type == "run.cancelled"  # type: ignore[attr-defined]


async def test_a_run_whose_child_is_lost_can_be_cancelled() -> None:
    """The log refuses the child, and its parent waits for it as long as it runs; a cancel does not."""
    log = FaultyLog(MemoryLog(), fails=["r.ask.1"], after=2)
    async with Engine(log, grace=0) as engine:
        with log_lines() as lines:
            run = await engine.start(parent_of(child_of("completed")), run_id="r")
            await wait_until(lambda: any(line["event"] == "run lost, its log failed" for line in lines))
        await asyncio.wait_for(run.cancel(grace=0.1), PATIENCE)
        assert run.status == "cancelled"
        assert (run.state.children or {})["r.ask.1"]["status"] == "running", "its end is unknown here"


async def test_states_of_very_many_child_runs_are_kept_in_pieces() -> None:
    """A checkpoint gives back the same state, and no line of it holds the loop for long."""
    state = RunState("r")
    for n in range(3_000):
        data = drafts.child_started(f"r.ask.{n}", "section", str(n))
        evolve(state, Event.from_draft(n + 1, "r", SystemClock().now(), Draft("child.started", data, "ask", HEAD)))
    encoded = await encode_state(state)
    assert await decode_state(encoded) == state
    assert max(map(len, encoded.split(b"\n"))) < MAX_EVENT_BYTES
