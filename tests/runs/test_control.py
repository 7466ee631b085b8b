"""Pause and resume, the cancel of one task, and groups: what an operator does to a run, and what it may rely on."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from reactor import (
    Context,
    ContextClosed,
    Engine,
    Event,
    Limit,
    Retry,
    Run,
    RunCancelled,
    RunEnded,
    RunEnding,
    TaskEnded,
    UnknownTask,
    Workflow,
    WorkflowError,
)
from reactor.logs.memory import MemoryLog
from reactor.testing import FaultyLog
from tests.helpers.crash import check_laws, ended_in, read_with_blobs
from tests.helpers.flows import deaf
from tests.helpers.inside import parked_at
from tests.helpers.runs import PATIENCE, full_log, result, turns, wait_for_event, wait_until


def seq_of(events: list[Event], type: str, task_id: str | None = None) -> int:
    return next(event.seq for event in events if event.type == type and task_id in (None, event.task_id))


def started(events: list[Event]) -> list[str | None]:
    return [event.task_id for event in events if event.type == "task.started"]


def types(events: list[Event], of: str = "run.") -> list[str]:
    return [event.type for event in events if event.type.startswith(of)]


# --- pause: nothing starts --------------------------------------------------------------------------------------


async def test_dependents_and_mapped_children_do_not_start_while_the_run_is_paused(engine: Engine) -> None:
    """What runs finishes and is recorded; nothing that becomes ready by it starts, or fans out, before the resume."""
    flow, go = Workflow("paused"), asyncio.Event()

    @flow.task
    async def first() -> list[int]:
        await go.wait()
        return [1, 2, 3]

    @flow.task
    async def after(first: list[int]) -> int:
        return len(first)

    @flow.task(map="first")
    async def each(first: int) -> int:
        return first

    run = await engine.start(flow)
    await wait_for_event(run, "task.started")
    await run.pause(reason="lunch", by="me")
    assert (run.status, run.state.reason) == ("paused", "lunch")
    go.set()
    await wait_for_event(run, "task.completed", "first")
    await turns()
    assert [task.status for task in run.state.tasks.values()] == ["completed", "pending", "pending"]
    await run.resume(reason="back", by="you")
    events = await full_log(engine, run)
    paused, resumed = seq_of(events, "run.paused"), seq_of(events, "run.resumed")
    assert paused < seq_of(events, "task.completed", "first") < resumed
    assert [event.task_id for event in events[paused:] if event.type in ("task.started", "task.mapped")]
    assert min(seq_of(events, "task.started", "after"), seq_of(events, "task.mapped")) > resumed
    assert (events[paused - 1].data, events[resumed - 1].data) == (
        {"reason": "lunch", "by": "me"},
        {"reason": "back", "by": "you"},
    )
    assert await run == {"after": 3, "each": [1, 2, 3]}


async def test_a_mapped_child_does_not_take_the_slot_of_another_while_the_run_is_paused(engine: Engine) -> None:
    """A slot that becomes free starts nobody; after the resume the children go on, one by one and in order."""
    flow, go = Workflow("slots"), asyncio.Event()
    flow.task(lambda: [0, 1, 2, 3], name="items")

    @flow.task(map="items", concurrency=1)
    async def each(items: int) -> int:
        await go.wait()
        return items

    run = await engine.start(flow)
    await wait_for_event(run, "task.started", "each[0]")
    await run.pause()
    go.set()
    await wait_for_event(run, "task.completed", "each[0]")
    await turns()
    await run.resume()
    events = await full_log(engine, run)
    assert started(events) == ["items", "each[0]", "each[1]", "each[2]", "each[3]"]
    assert seq_of(events, "task.started", "each[1]") > seq_of(events, "run.resumed")


async def test_a_retry_that_is_due_waits_for_the_resume(engine: Engine) -> None:
    """The delay of a retry may pass during a pause; the attempt begins after it."""
    flow, go = Workflow("retries"), asyncio.Event()

    @flow.task(retry=Retry(attempts=2, delay=0.001, jitter=0))
    async def flaky(ctx: Context) -> int:
        if ctx.attempt == 1:
            await go.wait()
            raise ValueError("not yet")
        return ctx.attempt

    run = await engine.start(flow)
    await wait_for_event(run, "task.started")
    await run.pause()
    go.set()
    await wait_for_event(run, "task.retrying")
    await asyncio.sleep(0.01)  # a loop keeps its timers in order: this one is due after the delay of the retry
    await turns()
    assert run.state.tasks["flaky"].status == "retrying"
    await run.resume()
    assert await run == {"flaky": 2}
    events = await full_log(engine, run)
    assert [event.attempt for event in events if event.type == "task.started"] == [1, 2]
    assert seq_of(events, "run.resumed") < next(e.seq for e in events if e.type == "task.started" and e.attempt == 2)


async def test_a_slot_of_the_engine_is_given_to_nobody_of_a_paused_run() -> None:
    """A body that waited for a slot of all runs lets others pass while its run is paused, and takes it afterwards."""
    flow, go = Workflow("gated"), {name: asyncio.Event() for name in ("a", "b", "c")}

    @flow.task
    async def body(name: str) -> str:
        await go[name].wait()
        return name

    async with Engine(concurrency=1, grace=0) as engine:
        a = await engine.start(flow, {"name": "a"})
        await wait_for_event(a, "task.started")
        b, c = [await engine.start(flow, {"name": name}) for name in ("b", "c")]
        await b.pause()
        for event in go.values():
            event.set()
        assert await asyncio.wait_for(a, PATIENCE) == {"body": "a"}
        assert await asyncio.wait_for(c, PATIENCE) == {"body": "c"}
        await turns()
        assert b.state.tasks["body"].status == "pending"
        await b.resume()
        assert await asyncio.wait_for(b, PATIENCE) == {"body": "b"}
        events = await full_log(engine, b)
        assert seq_of(events, "task.started") > seq_of(events, "run.resumed")


async def test_a_start_that_a_rate_allows_waits_for_the_resume() -> None:
    """A rate limit whose time comes during the pause starts nobody of the run."""
    flow = Workflow("rated")
    flow.task(lambda: [0, 1], name="items")

    @flow.task(map="items", limits="slow")
    async def each(items: int) -> int:
        return items

    async with Engine(limits=[Limit("slow", 1, per=0.02)], grace=0) as engine:
        run = await engine.start(flow)
        await wait_for_event(run, "task.completed", "each[0]")
        await run.pause()
        assert run.state.tasks.get("each[1]") is None
        await asyncio.sleep(0.05)  # timers are kept in order: the limit's was due before
        await turns()
        await run.resume()
        events = await full_log(engine, run)
        assert seq_of(events, "task.started", "each[1]") > seq_of(events, "run.resumed")


async def test_a_child_run_that_is_asked_for_during_a_pause_starts_after_the_resume(engine: Engine) -> None:
    """A body that runs on may ask for a child; its tasks are new, so they wait."""
    child, flow, go = Workflow("child"), Workflow("parent"), asyncio.Event()
    child.task(lambda: 1, name="one")

    @flow.task
    async def asks(ctx: Context) -> Any:
        await go.wait()
        await ctx.emit("body.wants")
        return await ctx.run(child)

    run = await engine.start(flow, run_id="p")
    await wait_for_event(run, "task.started")
    await run.pause()
    go.set()
    await wait_for_event(run, "body.wants")
    await turns()
    assert [record.run_id for record in await engine.list()] == ["p"]
    await run.resume()
    assert await asyncio.wait_for(run, PATIENCE) == {"asks": {"one": 1}}


async def test_a_pause_holds_the_child_runs_too_and_only_what_it_paused_goes_on_with_it(engine: Engine) -> None:
    """Open children are paused with their parent; one that was paused by itself stays so until it is resumed."""
    child, flow = Workflow("child"), Workflow("parent")
    go: dict[str, asyncio.Event] = {"x": asyncio.Event(), "y": asyncio.Event()}

    @child.task
    async def first(key: str) -> int:
        await go[key].wait()
        return 1

    @child.task
    async def second(first: int) -> int:
        return first + 1

    @flow.task
    async def asks(ctx: Context) -> Any:
        return await asyncio.gather(*(ctx.run(child, {"key": key}, key=key) for key in go))

    run = await engine.start(flow, run_id="p")
    await wait_until(lambda: engine.open_runs == 3)
    x, y = [await engine.get(f"p.asks.{key}") for key in go]
    for one in (x, y):
        await wait_for_event(one, "task.started")
    await y.pause(reason="mine")
    await run.pause()
    await wait_until(lambda: x.status == "paused")
    assert (x.state.reason, y.state.reason) == ("parent", "mine")
    for event in go.values():
        event.set()
    await wait_for_event(x, "task.completed", "first")
    await run.resume()
    await full_log(engine, x)
    await turns()
    assert (x.status, y.status, run.status) == ("completed", "paused", "running")
    await y.resume()
    assert await asyncio.wait_for(run, PATIENCE) == {"asks": [{"second": 2}] * 2}
    for one in (x, y):
        events = await full_log(engine, one)
        assert seq_of(events, "task.started", "second") > seq_of(events, "run.resumed")


# --- pause: what runs -------------------------------------------------------------------------------------------


async def test_a_run_whose_last_task_finishes_during_the_pause_completes(engine: Engine) -> None:
    """There is nothing left to wait for."""
    flow, go = Workflow("last"), asyncio.Event()

    @flow.task
    async def only() -> int:
        await go.wait()
        return 1

    run = await engine.start(flow)
    await wait_for_event(run, "task.started")
    await run.pause()
    go.set()
    assert await asyncio.wait_for(run, PATIENCE) == {"only": 1}
    assert types(await full_log(engine, run)) == ["run.started", "run.paused", "run.completed"]


def stepping(in_thread: bool, go: threading.Event, caught: list[BaseException]) -> Workflow:
    """A body that says ``step.before``, passes a checkpoint once it may, and says ``step.after``."""
    flow = Workflow("stepping")

    async def on_loop(ctx: Context) -> str:
        while not go.is_set():
            await asyncio.sleep(0)
        await ctx.emit("step.before")
        try:
            await ctx.checkpoint()
        except BaseException as error:
            caught.append(error)
            raise
        await ctx.emit("step.after")
        return "done"

    def thread(ctx: Context) -> str:
        go.wait()
        ctx.emit("step.before")
        try:
            ctx.checkpoint()
        except BaseException as error:
            caught.append(error)
            raise
        ctx.emit("step.after")
        return "done"

    flow.task(thread if in_thread else on_loop, name="body", limits=Limit("stage", 1))
    return flow


BOTH = pytest.mark.parametrize("in_thread", [False, True], ids=["loop", "thread"])


async def parked(engine: Engine, run: Run, go: threading.Event) -> None:
    """Pauses the run and returns once its body waits in its checkpoint, without a slot."""
    await wait_for_event(run, "task.started")
    await run.pause()
    go.set()
    await wait_for_event(run, "step.before")
    probe = Workflow("probe")

    @probe.task(limits="stage")
    async def takes_the_slot() -> bool:
        return True

    assert await result(await engine.start(probe)) == {"takes_the_slot": True}


@BOTH
async def test_a_checkpoint_waits_while_the_run_is_paused(
    engine: Engine, gate: threading.Event, in_thread: bool
) -> None:
    """The body goes on after the resume, and says nothing in between; without a pause it does not wait."""
    run = await engine.start(stepping(in_thread, gate, []))
    await parked(engine, run, gate)
    await turns()
    assert run.state.tasks["body"].status == "running"
    await run.resume()
    events = await full_log(engine, run)
    assert seq_of(events, "step.before") < seq_of(events, "run.resumed") < seq_of(events, "step.after")
    assert await run == {"body": "done"}
    unpaused = await engine.start(stepping(in_thread, gate, []))
    assert await asyncio.wait_for(unpaused, PATIENCE) == {"body": "done"}


@BOTH
async def test_a_body_in_its_checkpoint_is_stopped_by_a_cancel_of_the_paused_run(
    engine: Engine, gate: threading.Event, in_thread: bool
) -> None:
    """A paused run can be cancelled: on the loop the body gets CancelledError, a thread ContextClosed; it says so."""
    caught: list[BaseException] = []
    run = await engine.start(stepping(in_thread, gate, caught))
    await parked(engine, run, gate)
    await asyncio.wait_for(run.cancel(reason="enough"), PATIENCE)
    events = await full_log(engine, run)
    assert [type(error) for error in caught] == [ContextClosed if in_thread else asyncio.CancelledError]
    assert "step.after" not in [event.type for event in events]
    assert ended_in(events)["body"].data["stopped"] is True
    assert types(events) == ["run.started", "run.paused", "run.cancelling", "run.cancelled"]
    assert events[-1].data["abandoned"] == 0
    with pytest.raises(RunCancelled, match="enough"):
        await run


async def test_a_checkpoint_raises_in_a_thread_once_it_is_cancelled(engine: Engine) -> None:
    """A thread that only passes checkpoints is cooperative: it stops there, although nothing was ever paused."""
    flow, caught = Workflow("passing"), list[BaseException]()

    @flow.task
    def body(ctx: Context) -> None:
        try:
            while True:
                ctx.checkpoint()
        except ContextClosed as error:
            caught.append(error)
            raise

    run = await engine.start(flow)
    await wait_for_event(run, "task.started")
    await asyncio.wait_for(run.cancel(), PATIENCE)
    events = await full_log(engine, run)
    assert len(caught) == 1
    assert (events[-2].type, events[-2].data["stopped"], events[-1].data["abandoned"]) == ("task.cancelled", True, 0)


async def test_a_body_in_its_checkpoint_frees_its_slot_for_other_runs_and_takes_it_again() -> None:
    """While a paused run waits another one runs in its place; after the resume it waits for its turn."""
    go, other_go = threading.Event(), asyncio.Event()
    other_flow = Workflow("other")

    @other_flow.task
    async def other() -> int:
        await other_go.wait()
        return 1

    async with Engine(concurrency=1, grace=0) as engine:
        run = await engine.start(stepping(False, go, []))
        await wait_for_event(run, "task.started")
        other_run = await engine.start(other_flow)
        await turns()
        assert other_run.state.tasks["other"].status == "pending"
        await run.pause()
        go.set()
        await wait_for_event(other_run, "task.started")
        await run.resume()
        await turns()
        assert "step.after" not in [event.type for event in await read_with_blobs(engine.log, run.id)]
        other_go.set()
        assert await asyncio.wait_for(other_run, PATIENCE) == {"other": 1}
        assert await asyncio.wait_for(run, PATIENCE) == {"body": "done"}


async def test_a_pause_outlives_the_engine() -> None:
    """A run that was paused is paused after a restart, starts nothing and is told by nobody; a resume lets it go on."""
    flow, ran, go = Workflow("outlives"), list[str](), asyncio.Event()

    @flow.task
    async def first(ctx: Context) -> int:
        ran.append(f"first {ctx.attempt}")
        await go.wait()
        return 1

    @flow.task
    async def second(first: int) -> int:
        ran.append("second")
        return first + 1

    class Durable(MemoryLog):
        durable = True

    log = Durable()
    async with Engine(log, grace=0) as engine:
        run = await engine.start(flow, run_id="r")
        await wait_for_event(run, "task.started")
        await run.pause(reason="night")
    go.set()
    async with Engine(log, workflows=[flow], grace=0) as engine:
        run = await engine.get("r")
        await turns()
        assert (run.status, run.state.reason, ran) == ("paused", "night", ["first 1"])
        await run.pause()
        await run.resume()
        assert await asyncio.wait_for(run, PATIENCE) == {"second": 2}
        events = await full_log(engine, run)
    assert types(events) == ["run.started", "run.paused", "run.resumed", "run.resumed", "run.completed"]
    assert ran == ["first 1", "first 2", "second"]


async def test_the_end_of_the_engine_cancels_a_paused_run_on_a_log_that_forgets() -> None:
    """Nobody could resume it any more."""
    go = threading.Event()
    async with Engine(grace=0) as engine:
        run = await engine.start(stepping(False, go, []))
        await parked(engine, run, go)
    assert (run.status, run.state.reason) == ("cancelled", "shutdown")


# --- pause: commands --------------------------------------------------------------------------------------------


async def test_a_repeated_command_writes_nothing(engine: Engine) -> None:
    """One run.paused, one run.resumed, however often either is asked for; a run that is not paused is not resumed."""
    flow, go = Workflow("repeated"), asyncio.Event()

    @flow.task
    async def body() -> None:
        await go.wait()

    run = await engine.start(flow)
    await run.resume()
    await asyncio.gather(*(run.pause(reason=f"pause {n}") for n in range(3)))
    await run.pause(reason="another")
    await asyncio.gather(*(run.resume(reason=f"resume {n}") for n in range(3)))
    await run.resume()
    go.set()
    events = await full_log(engine, run)
    assert types(events) == ["run.started", "run.paused", "run.resumed", "run.completed"]
    assert [e.data["reason"] for e in events if e.type in ("run.paused", "run.resumed")] == ["pause 0", "resume 0"]


async def test_pause_resume_and_input_are_refused_while_the_run_is_being_cancelled_and_after_it(
    engine: Engine, gate: threading.Event
) -> None:
    """RunEnding, then RunEnded; neither leaves anything in the log."""
    run = await engine.start(deaf(gate))
    await wait_for_event(run, "task.started")
    await run.request_cancel(grace=0.05)
    commands = (run.pause, run.resume, lambda: run.send("body", 1), lambda: run.cancel(task="body"))
    for command in commands:
        with pytest.raises(RunEnding, match=run.id):
            await command()
    await asyncio.wait_for(run.ended(), PATIENCE)
    for command in commands:
        with pytest.raises(RunEnded, match="cancelled"):
            await command()
    assert types(await full_log(engine, run)) == ["run.started", "run.cancelling", "run.cancelled"]


@pytest.mark.parametrize("reason", ["x" * 201, "\ud800"], ids=["long", "no text"])
async def test_a_reason_that_no_event_can_carry_is_refused(engine: Engine, reason: str) -> None:
    """ValueError, and nothing happens to the run."""
    flow = Workflow("reasons")

    @flow.task
    async def body() -> None:
        await asyncio.Event().wait()

    run = await engine.start(flow)
    for command in (run.pause, run.resume, run.cancel):
        with pytest.raises(ValueError, match="reason"):
            await command(reason=reason)
    assert run.status == "running"


async def test_a_command_that_comes_behind_the_last_event_is_refused() -> None:
    """The run has said its last word, although the log has not answered yet: no command says it succeeded."""
    flow, go = Workflow("sealed"), asyncio.Event()

    @flow.task
    async def body() -> int:
        await go.wait()
        return 1

    log = FaultyLog(MemoryLog(), hangs=["r"], after=2)
    async with Engine(log, grace=0) as engine:
        run = await engine.start(flow, run_id="r")
        await wait_for_event(run, "task.started")
        go.set()
        await wait_until(lambda: log.held)
        await turns()
        commands = [
            asyncio.ensure_future(command)
            for command in (run.pause(), run.resume(), run.send("body", 1), run.cancel(), run.cancel(task="body"))
        ]
        await turns()
        log.release()
        outcomes = await asyncio.wait_for(asyncio.gather(*commands, return_exceptions=True), PATIENCE)
        assert [type(outcome) for outcome in outcomes] == [RunEnded] * 5
        assert types(await full_log(engine, run)) == ["run.started", "run.completed"]


async def test_pausing_again_and_again_keeps_nothing() -> None:
    """What waits for a slot that stays taken waits once, however often its run was paused or others were cancelled."""
    flow, holds = Workflow("waits"), Workflow("holds")
    flow.task(lambda: list(range(20)), name="items")

    @flow.task(map="items", limits="scarce")
    async def each(items: int) -> int:
        return items

    @holds.task(limits="scarce")
    async def hold(go: Any) -> None:
        await go.wait()

    async with Engine(limits=[Limit("scarce", 1)], grace=0) as engine:
        go = asyncio.Event()
        await wait_for_event(await engine.start(holds, {"go": go}), "task.started")
        run = await engine.start(flow, run_id="waits")
        await wait_until(lambda: parked_at(engine, "scarce") == 20)
        for _ in range(20):
            await run.pause()
            await run.resume()
            cancelled = await engine.start(flow)
            await wait_for_event(cancelled, "task.mapped")
            await cancelled.cancel()
        assert parked_at(engine, "scarce") == 20
        go.set()
        assert await asyncio.wait_for(run, PATIENCE) == {"each": list(range(20))}


# --- the cancel of one task -------------------------------------------------------------------------------------


def forever(stopped: list[str] | None = None) -> Callable[..., Any]:
    async def body(ctx: Context) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            if stopped is not None:
                stopped.append(ctx.task_id)

    return body


def statuses(run: Run) -> dict[str, str]:
    return {id: task.status for id, task in run.state.tasks.items()}


async def test_a_running_task_is_cancelled_alone(engine: Engine) -> None:
    """It is told and says so, what depends on it is skipped because of it, the rest goes on and the run completes."""
    flow, go, stopped = Workflow("alone"), asyncio.Event(), list[str]()
    flow.task(forever(stopped), name="long")

    @flow.task(after="long")
    async def after() -> None: ...

    @flow.task(after="after")
    async def behind() -> None: ...

    @flow.task
    async def other() -> int:
        await go.wait()
        return 1

    run = await engine.start(flow)
    await wait_for_event(run, "task.started", count=2)
    await asyncio.wait_for(run.cancel(task="long", reason="too long", by="me"), PATIENCE)
    assert stopped == ["long"]
    assert run.state.tasks["long"].status == "cancelled"
    assert run.state.tasks["long"].cancelling is None
    assert run.status == "running"
    go.set()
    assert await asyncio.wait_for(run, PATIENCE) == {"other": 1}
    events = await full_log(engine, run)
    of_long = [event for event in events if event.task_id == "long"]
    assert [event.type for event in of_long] == ["task.started", "task.cancelling", "task.cancelled"]
    assert of_long[1].data == {"reason": "too long", "by": "me"}
    assert (of_long[2].data["reason"], of_long[2].data["stopped"]) == ("too long", True)
    ends = ended_in(events)
    for name in ("after", "behind"):
        assert ends[name].type == "task.skipped"
        assert (ends[name].data["reason"], ends[name].data["because"]) == ("upstream_failed", "long")
    assert types(events) == ["run.started", "run.completed"]


async def test_a_task_that_has_not_begun_is_cancelled_at_once_and_never_starts(engine: Engine) -> None:
    """Whether it waits for an upstream, for the delay of a retry or for a value: stop_ms is 0 where nothing ran."""
    flow = Workflow("waiting")
    flow.task(forever(), name="long")

    @flow.task(after="long")
    async def pending() -> None: ...

    @flow.task(retry=Retry(attempts=2, delay=3600))
    async def retrying() -> None:
        raise ValueError("once")

    @flow.task
    async def waiting(ctx: Context) -> None:
        await ctx.receive("for ever")

    run = await engine.start(flow)
    await wait_for_event(run, "task.retrying")
    await wait_for_event(run, "task.waiting")
    for name in ("pending", "retrying", "waiting"):
        await asyncio.wait_for(run.cancel(task=name), PATIENCE)
        assert run.state.tasks[name].status == "cancelled"
    assert run.state.tasks["waiting"].waiting is None
    await asyncio.wait_for(run.cancel(task="long"), PATIENCE)
    events = await full_log(engine, run)
    ends = ended_in(events)
    assert [ends[name].data["stop_ms"] for name in ("pending", "retrying")] == [0.0, 0.0]
    assert sorted(started(events)) == ["long", "retrying", "waiting"]  # type: ignore[type-var]
    assert run.status == "completed"


async def test_a_mapped_task_is_cancelled_with_all_its_children(engine: Engine) -> None:
    """What runs stops, what waits for a slot never starts, what completed stays so; what depends on it is skipped."""
    flow, stopped = Workflow("mapped"), list[str]()
    flow.task(lambda: [0, 1, 2, 3, 4], name="items")

    @flow.task(map="items", concurrency=2)
    async def each(items: int, ctx: Context) -> int:
        if items:
            await forever(stopped)(ctx)
        return items

    @flow.task
    async def total(each: list[int]) -> int:
        return sum(each)

    run = await engine.start(flow)
    await wait_for_event(run, "task.completed", "each[0]")
    await wait_for_event(run, "task.started", "each[2]")
    await asyncio.wait_for(run.cancel(task="each"), PATIENCE)
    assert run.state.tasks["each"].status == "cancelled"
    events = await full_log(engine, run)
    assert sorted(stopped) == ["each[1]", "each[2]"]
    assert statuses(run) == {
        "items": "completed",
        "each": "cancelled",
        "each[0]": "completed",
        **{f"each[{i}]": "cancelled" for i in (1, 2, 3, 4)},
        "total": "skipped",
    }
    assert [event.task_id for event in events if event.type == "task.cancelling"] == ["each"]
    assert run.state.tasks["each"].cancelling is None
    assert started(events) == ["items", "each[0]", "each[1]", "each[2]"]


async def test_a_mapped_task_that_has_not_fanned_out_is_cancelled_as_one(engine: Engine) -> None:
    """It has no children, is among no totals, and what maps over it is skipped."""
    flow = Workflow("unmapped")
    flow.task(forever(), name="items")
    flow.task(lambda items: items, name="each", map="items")
    flow.task(lambda each: each, name="pairs", map="each")
    run = await engine.start(flow)
    await wait_for_event(run, "task.started")
    await asyncio.wait_for(run.cancel(task="each"), PATIENCE)
    await asyncio.wait_for(run.cancel(task="items"), PATIENCE)
    await full_log(engine, run)
    assert statuses(run) == {"items": "cancelled", "each": "cancelled", "pairs": "skipped"}
    assert run.state.total_tasks == 1


async def test_one_child_of_a_mapped_task_is_cancelled_alone(engine: Engine) -> None:
    """``m[3]``: its siblings go on, also the one that gets its slot; the whole is cancelled, its pair skipped."""
    flow = Workflow("child")
    flow.task(lambda: [0, 1, 2, 3, 4], name="items")

    @flow.task(map="items", concurrency=1)
    async def each(items: int, ctx: Context) -> int:
        if items == 3:
            await forever()(ctx)
        return items

    @flow.task(map="each")
    async def pairs(each: int) -> int:
        return each

    @flow.task
    async def total(each: list[int]) -> int:
        return sum(each)

    run = await engine.start(flow)
    await wait_for_event(run, "task.started", "each[3]")
    await asyncio.wait_for(run.cancel(task="each[3]", reason="this one"), PATIENCE)
    events = await full_log(engine, run)
    assert {id for id, status in statuses(run).items() if status == "cancelled"} == {"each", "each[3]"}
    assert {id for id, status in statuses(run).items() if status == "skipped"} == {"pairs", "pairs[3]", "total"}
    assert ended_in(events)["each[3]"].map_index == 3
    assert ended_in(events)["pairs[3]"].data["because"] == "each[3]"
    assert started(events).count("each[4]") == started(events).count("pairs[4]") == 1
    cancelling = events[seq_of(events, "task.cancelling") - 1]
    assert (cancelling.task_id, cancelling.task, cancelling.map_index) == ("each[3]", "each", 3)


async def test_what_runs_whatever_became_of_its_upstreams_runs_after_a_cancelled_one(engine: Engine) -> None:
    """``on_upstream_failure="run"``: it gets its default for the missing output, and knows what happened."""
    flow, seen = Workflow("tidy"), list[Any]()
    flow.task(forever(), name="long")

    @flow.task(on_upstream_failure="run")
    async def tidy(ctx: Context, long: int = 7) -> int:
        seen.append((ctx.upstreams["long"].status, long))
        return long

    run = await engine.start(flow)
    await wait_for_event(run, "task.started")
    await run.cancel(task="long")
    assert await asyncio.wait_for(run, PATIENCE) == {"tidy": 7}
    assert seen == [("cancelled", 7)]


async def test_a_task_that_does_not_stop_is_abandoned_and_the_run_goes_on(
    engine: Engine, gate: threading.Event
) -> None:
    """After the grace it is named as such; a second cancel may shorten the grace and writes nothing."""
    flow = Workflow("deaf")

    @flow.task
    def deaf() -> None:
        gate.wait()

    @flow.task(after="deaf", on_upstream_failure="run")
    async def then() -> int:
        return 1

    run = await engine.start(flow)
    await wait_for_event(run, "task.started")
    await run.request_cancel(grace=3600, task="deaf", reason="first")
    assert run.state.tasks["deaf"].cancelling == "first"
    assert run.state.tasks["deaf"].status == "running"
    await run.request_cancel(grace=3600, task="deaf", reason="second")
    await asyncio.wait_for(run.cancel(grace=0.01, task="deaf", reason="third"), PATIENCE)
    assert await asyncio.wait_for(run, PATIENCE) == {"then": 1}
    events = await full_log(engine, run)
    assert [e.data["reason"] for e in events if e.type == "task.cancelling"] == ["first"]
    assert ended_in(events)["deaf"].data["stopped"] is False


async def test_a_task_that_returns_without_having_looked_has_completed(engine: Engine, gate: threading.Event) -> None:
    """A cancel that came too late takes nothing back."""
    flow = Workflow("late")

    @flow.task
    def body() -> int:
        gate.wait()
        return 1

    run = await engine.start(flow)
    await wait_for_event(run, "task.started")
    await run.request_cancel(task="body")
    gate.set()
    assert await asyncio.wait_for(run, PATIENCE) == {"body": 1}


async def test_a_task_that_is_cancelled_is_not_retried(engine: Engine, gate: threading.Event) -> None:
    """What it fails with while it stops is no reason for another attempt."""
    flow = Workflow("flaky")

    @flow.task(retry=5)
    def body() -> None:
        gate.wait()
        raise ValueError("while it was stopped")

    run = await engine.start(flow)
    await wait_for_event(run, "task.started")
    await run.request_cancel(task="body")
    gate.set()
    events = await full_log(engine, run)
    assert started(events) == ["body"]
    assert ended_in(events)["body"].type == "task.cancelled"


async def test_a_cancelled_task_stops_the_child_run_it_waits_for(engine: Engine) -> None:
    """The child has ended, reason ``parent``, before its task has."""
    child, flow = Workflow("child"), Workflow("parent")
    child.task(forever(), name="long")

    @flow.task
    async def asks(ctx: Context) -> Any:
        return await ctx.run(child)

    run = await engine.start(flow, run_id="p")
    await wait_until(lambda: engine.open_runs == 2)
    inner = await engine.get("p.asks.1")
    await wait_for_event(inner, "task.started")
    await asyncio.wait_for(run.cancel(task="asks"), PATIENCE)
    assert (inner.status, inner.state.reason) == ("cancelled", "parent")
    await full_log(engine, run)
    assert (run.status, run.state.tasks["asks"].status) == ("completed", "cancelled")


async def test_a_child_run_is_stopped_only_once_the_reason_is_in_the_log_of_its_parent() -> None:
    """A crash in between must not leave a cancelled child to a body that nobody has cancelled."""
    child, flow = Workflow("child"), Workflow("parent")
    child.task(forever(), name="long")

    @flow.task
    async def asks(ctx: Context) -> Any:
        return await ctx.run(child)

    log = FaultyLog(MemoryLog(), hangs=["p"], after=3)  # up to child.started
    async with Engine(log, grace=0) as engine:
        run = await engine.start(flow, run_id="p")
        await wait_until(lambda: engine.open_runs == 2)
        inner = await engine.get("p.asks.1")
        await wait_for_event(inner, "task.started")
        cancel = asyncio.ensure_future(run.cancel(task="asks"))
        await turns()
        assert (run.state.tasks["asks"].cancelling, inner.status) == (None, "running")
        log.release()
        await asyncio.wait_for(cancel, PATIENCE)
        assert (inner.status, run.state.tasks["asks"].status) == ("cancelled", "cancelled")


@pytest.mark.parametrize(
    "task", ["nope", "each[5]", "each[-1]", "each[01]", "each[x]", "each[", "items[0]", "", "each[0]]"]
)
async def test_a_task_there_is_not_cannot_be_cancelled(engine: Engine, task: str) -> None:
    """UnknownTask names it and the run, and nothing is written."""
    flow = Workflow("unknown")
    flow.task(lambda: [0, 1], name="items")

    @flow.task(map="items")
    async def each(items: int, ctx: Context) -> None:
        await forever()(ctx)

    run = await engine.start(flow)
    await wait_for_event(run, "task.started", count=3)
    for command in (run.cancel(task=task), run.send(task, 1), engine.cancel(run.id, task=task)):
        with pytest.raises(UnknownTask, match=run.id) as unknown:
            await command
        assert unknown.value.task_id == task
    assert not [e for e in await read_with_blobs(engine.log, run.id) if e.type in ("task.cancelling", "task.received")]


async def test_a_task_that_has_ended_cannot_be_cancelled(engine: Engine) -> None:
    """TaskEnded says how it ended, for a task, a mapped one and a child."""
    flow = Workflow("over")
    flow.task(lambda: [0], name="items")
    flow.task(lambda items: items, name="each", map="items")
    flow.task(forever(), name="long", after="each")
    run = await engine.start(flow)
    await wait_for_event(run, "task.started", "long")
    for name in ("items", "each", "each[0]"):
        with pytest.raises(TaskEnded, match=r"has ended: completed"):
            await run.cancel(task=name)
    assert run.status == "running"


async def test_a_task_of_a_paused_run_can_be_cancelled(engine: Engine) -> None:
    """Its end does not resume the run: what depends on it is settled after the resume."""
    flow = Workflow("paused")
    flow.task(forever(), name="long")

    @flow.task(after="long", on_upstream_failure="run")
    async def after() -> int:
        return 1

    run = await engine.start(flow)
    await wait_for_event(run, "task.started")
    await run.pause()
    await asyncio.wait_for(run.cancel(task="long"), PATIENCE)
    await turns()
    assert (run.status, statuses(run)) == ("paused", {"long": "cancelled", "after": "pending"})
    await run.resume()
    assert await asyncio.wait_for(run, PATIENCE) == {"after": 1}
    await full_log(engine, run)


@pytest.mark.parametrize("names", [("long",), ("each",), ("long", "each"), ("each", "long")], ids="+".join)
async def test_a_cancel_of_a_task_is_finished_after_a_restart(engine: Engine, names: tuple[str, ...]) -> None:
    """task.cancelling is in the log: whatever came of the process, the task does not start again."""
    flow, ran = Workflow("restarted"), list[str]()

    @flow.task
    async def items(ctx: Context) -> list[int]:
        return [0, 1]

    async def stubborn(ctx: Context) -> None:
        ran.append(ctx.task_id)
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if ctx.resources["life"] != "first":
                    raise
                if ctx.resources["over"].is_set():
                    raise

    flow.task(stubborn, name="long")

    @flow.task(map="items")
    async def each(items: int, ctx: Context) -> None:
        await stubborn(ctx)

    @flow.task(after=names, on_upstream_failure="run")
    async def after() -> int:
        return 1

    class Durable(MemoryLog):
        durable = True

    log, over = Durable(), asyncio.Event()
    async with Engine(log, grace=0, resources={"life": "first", "over": over}) as first:
        run = await first.start(flow, run_id="r")
        await wait_for_event(run, "task.started", count=4)
        for name in names:
            await run.request_cancel(grace=3600, task=name, reason="enough")
            assert run.state.tasks[name].cancelling == "enough"
        over.set()
    ran.clear()
    async with Engine(log, workflows=[flow], grace=0, resources={"life": "second", "over": over}) as second:
        run = await second.get("r")
        await wait_for_event(run, "task.completed", "after")
        assert not [task for task in ran if task.startswith(names)]
        assert {run.state.tasks[name].status for name in names} == {"cancelled"}
        if len(names) == 1:  # the other one runs for ever
            await asyncio.wait_for(run.cancel(), PATIENCE)
        await asyncio.wait_for(run.ended(), PATIENCE)
        check_laws(await read_with_blobs(log, "r"))


# --- groups -----------------------------------------------------------------------------------------------------


def named(*names: str) -> tuple[Workflow, dict[str, Any]]:
    """A workflow of tasks that depend on nothing."""
    flow = Workflow("grouped")
    return flow, {name: flow.task(lambda: None, name=name) for name in names}


def edges(flow: Workflow) -> set[str]:
    return {f"{upstream}>{node.name}" for node in flow.validate().nodes for upstream in node.upstreams}


def test_a_sequence_puts_one_after_the_other() -> None:
    """A sequence takes tasks or names and adds to the edges there are, each once."""
    flow, tasks = named("a", "b", "c")
    flow.task(lambda a: a, name="d")
    flow.sequence(tasks["a"], "b", tasks["c"])
    flow.sequence("a", "b", "d")
    assert edges(flow) == {"a>b", "b>c", "a>d", "b>d"}


def test_groups_nest() -> None:
    """A group begins with its first tasks and ends with its last ones, however deep it is; it can stand in after=."""
    flow, _ = named("a", "b", "c", "d", "e", "f")
    left = flow.sequence("b", "c")
    side = flow.parallel(left, "d")
    flow.sequence("a", side, flow.parallel("e", flow.parallel("f")))
    flow.task(lambda: None, name="g", after=side)
    flow.task(lambda: None, name="h", after=["a", left])
    assert edges(flow) == {"a>b", "b>c", "a>d", "c>e", "d>e", "c>f", "d>f", "c>g", "d>g", "a>h", "c>h"}


def test_parallel_adds_no_edge() -> None:
    """It only names several as one."""
    flow, _ = named("a", "b")
    flow.parallel("a", "b", "a")
    assert edges(flow) == set()


async def test_a_sequence_runs_in_its_order(engine: Engine) -> None:
    """Nothing of a later part starts before all of the earlier one has ended."""
    flow, order = Workflow("ordered"), list[str]()
    for name in ("c", "b2", "b1", "a"):

        @flow.task(name=name)
        async def body(ctx: Context) -> None:
            order.append(f"{ctx.task_id}+")
            await turns(3)
            order.append(f"{ctx.task_id}-")

    flow.sequence("a", flow.parallel("b1", "b2"), "c")
    await (await engine.start(flow))
    assert order[:2] == ["a+", "a-"]
    assert order[-2:] == ["c+", "c-"]
    assert {order[2], order[3]} == {"b1+", "b2+"}


@pytest.mark.parametrize("of", ["sequence", "parallel"])
def test_misuse_of_a_group_is_named(of: str) -> None:
    """WorkflowError with the workflow and what is wrong, at once, and no edge is added."""
    flow, _ = named("a", "b")
    other, theirs = named("a", "x")
    group: Callable[..., Any] = getattr(flow, of)
    misuses: list[tuple[tuple[Any, ...], str]] = [
        ((), "at least one task"),
        (("a", "nope"), "'nope'"),
        (("a", theirs["x"]), "'x'"),
        (("b", theirs["a"]), "'a'"),
        (("a", other.parallel("x")), "another workflow"),
        (("b", other.parallel("a")), "another workflow"),
        (("a", ["b"]), "list"),
        (("a", None), "None"),
        (("a", lambda: None), "function"),
    ]
    for parts, problem in misuses:
        with pytest.raises(WorkflowError, match=problem) as error:
            group(*parts)
        assert error.value.workflow == "grouped"
    assert edges(flow) == set()
    assert edges(other) == set()


def test_a_sequence_in_a_circle_is_a_cycle() -> None:
    """Found like any other, with the tasks involved."""
    flow, _ = named("a", "b")
    flow.sequence("a", "b", "a")
    with pytest.raises(WorkflowError, match=r"a.*b"):
        flow.validate()
    flow, _ = named("a")
    flow.sequence("a", "a")
    with pytest.raises(WorkflowError, match="itself"):
        flow.validate()


def test_a_sequence_comes_too_late_once_the_workflow_is_frozen() -> None:
    """The edges of a run do not change under it."""
    flow, _ = named("a", "b")
    flow.validate()
    with pytest.raises(WorkflowError, match="too late"):
        flow.sequence("a", "b")
    assert edges(flow) == set()


async def test_a_task_is_named_by_its_id_or_is_the_task_itself(engine: Engine) -> None:
    """As ``after=`` takes both: to send, to cancel, to follow and to read; anything else is one sentence."""
    flow = Workflow("named")

    @flow.task
    async def ask(ctx: Context) -> Any:
        return await ctx.receive()

    @flow.task
    async def long() -> None:
        await asyncio.Event().wait()

    @flow.task
    async def longer() -> None:
        await asyncio.Event().wait()

    run = await engine.start(flow)
    await wait_for_event(run, "task.started", "longer")
    followed = asyncio.Event()
    run.task_events(ask).subscribe(on_completed=followed.set)
    await run.send(ask, 7)
    await asyncio.wait_for(run.cancel(task=long), PATIENCE)
    await engine.cancel(run.id, task=longer)
    await asyncio.wait_for(followed.wait(), PATIENCE)
    assert await run.output(ask) == b"7"
    wrong: Any = 7
    for command in (run.send(wrong, 1), run.cancel(task=wrong), engine.cancel(run.id, task=wrong), run.output(wrong)):
        with pytest.raises(TypeError, match="a task is named by its id, like measure or measure"):
            await command
    with pytest.raises(TypeError, match=r"or is the Task itself, not 7$"):
        run.task_events(wrong)
