"""Cancel is proven: every body stops and says so, or is named as abandoned; then, once, the run ends."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from reactor import Context, ContextClosed, Engine, Event, Run, RunCancelled, RunEnded, Workflow, bounds
from reactor.logs.memory import MemoryLog
from reactor.testing import FaultyLog, read_all
from tests.helpers import bodies
from tests.helpers.flows import deaf, endless
from tests.helpers.inside import room_of
from tests.helpers.log_lines import log_lines
from tests.helpers.runs import PATIENCE, full_log, wait_for_event, wait_until

AT_ONCE = bounds.CANCEL_GRACE_SECONDS / 2
"""Seconds: a cancel that takes longer has waited for its grace."""


def story(events: list[Event]) -> list[tuple[str, str | None]]:
    return [(event.type, event.task_id) for event in events if event.type != "run.started"]


# --- bodies -----------------------------------------------------------------------------------------------------


async def test_an_async_body_is_stopped_and_says_so(engine: Engine) -> None:
    """``run.cancelling`` at once, ``task.cancelled`` with its time to stop, ``run.cancelled`` last; awaiting raises."""
    run = await engine.start(endless())
    await wait_for_event(run, "task.started")
    await asyncio.wait_for(run.cancel(reason="enough", by="me"), AT_ONCE)
    events = await full_log(engine, run)
    assert story(events) == [
        ("task.started", "body"),
        ("run.cancelling", None),
        ("task.cancelled", "body"),
        ("run.cancelled", None),
    ]
    assert events[2].data == {"reason": "enough", "by": "me"}
    assert events[3].data["stopped"] is True
    assert events[3].data["reason"] == "enough"
    assert events[3].data["stop_ms"] >= 0
    assert events[4].data["abandoned"] == 0
    assert events[4].data["cancelled"] == events[4].data["total_tasks"] == 1
    assert run.status == "cancelled"
    with pytest.raises(RunCancelled, match="enough") as cancelled:
        await run
    assert cancelled.value.reason == "enough"


async def test_an_async_body_may_clean_up_before_it_is_cancelled(engine: Engine) -> None:
    """Its events of cleaning up are in the log before its end, and the time is told."""
    flow = Workflow("tidy")

    @flow.task
    async def body(ctx: Context) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            assert ctx.cancelled
            await asyncio.sleep(0.02)
            await ctx.emit("room.tidied", {})

    run = await engine.start(flow)
    await wait_for_event(run, "task.started")
    await asyncio.wait_for(run.cancel(), AT_ONCE)
    events = await full_log(engine, run)
    types = [event.type for event in events]
    assert types[-3:] == ["room.tidied", "task.cancelled", "run.cancelled"]
    assert events[-2].data["stop_ms"] >= 15


async def test_an_async_body_whose_clean_up_fails_is_cancelled_all_the_same(engine: Engine) -> None:
    """A failing clean-up is logged; the task was cancelled, not failed."""
    flow = Workflow("untidy")

    @flow.task
    async def body() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise RuntimeError("clean-up failed")

    run = await engine.start(flow)
    await wait_for_event(run, "task.started")
    await asyncio.wait_for(run.cancel(), AT_ONCE)
    assert (await full_log(engine, run))[-1].type == "run.cancelled"
    assert run.state.tasks["body"].status == "cancelled"


async def test_an_async_body_that_will_not_stop_is_abandoned_after_the_grace(engine: Engine) -> None:
    """It is named: ``stopped`` false, ``abandoned`` 1; what it does later is not recorded."""
    flow = Workflow("stubborn")
    go_on = asyncio.Event()
    caught: list[type[BaseException]] = []

    @flow.task
    async def body(ctx: Context) -> str:
        while not go_on.is_set():
            try:
                await go_on.wait()
            except asyncio.CancelledError:
                continue
        try:
            await ctx.emit("number.said", {})
        except ContextClosed as error:
            caught.append(type(error))
        return "late"

    run = await engine.start(flow)
    await wait_for_event(run, "task.started")
    await asyncio.wait_for(run.cancel(grace=0.02), AT_ONCE)
    events = await full_log(engine, run)
    assert events[-2].data["stopped"] is False
    assert events[-1].data["abandoned"] == 1
    go_on.set()
    while not caught:
        await asyncio.sleep(0)
    assert await read_all(engine.log, run.id) == events


async def test_a_thread_that_looks_stops(engine: Engine) -> None:
    """A cooperative ``def`` body returns, and its task was cancelled only if it did not complete."""
    flow = Workflow("cooperative")

    @flow.task
    def body(ctx: Context) -> None:
        while not ctx.cancelled:
            time.sleep(0.001)
        raise InterruptedError("asked to stop")

    run = await engine.start(flow)
    await wait_for_event(run, "task.started")
    await asyncio.wait_for(run.cancel(), AT_ONCE)
    events = await full_log(engine, run)
    assert events[-2].type == "task.cancelled"
    assert events[-2].data["stopped"] is True
    assert events[-1].data["abandoned"] == 0


async def test_a_thread_that_does_not_look_is_abandoned_and_its_context_closed(
    engine: Engine, gate: threading.Event
) -> None:
    """After the grace the run ends without it and says so; nothing it says later reaches the log."""
    caught: list[type[BaseException]] = []
    ended = threading.Event()
    flow = Workflow("deaf")

    @flow.task
    def body(ctx: Context) -> str:
        gate.wait()
        for act in (lambda: ctx.emit("number.said", {}), lambda: ctx.progress(0.5), lambda: ctx.committed()):
            try:
                act()
            except ContextClosed as error:
                caught.append(type(error))
        ended.set()
        return "late"

    run = await engine.start(flow)
    await wait_for_event(run, "task.started")
    await asyncio.wait_for(run.cancel(grace=0.02), AT_ONCE)
    events = await full_log(engine, run)
    assert story(events)[-2:] == [("task.cancelled", "body"), ("run.cancelled", None)]
    assert events[-2].data["stopped"] is False
    assert events[-2].data["stop_ms"] >= 15
    assert events[-1].data["abandoned"] == 1
    gate.set()
    assert await asyncio.to_thread(ended.wait, AT_ONCE)
    assert caught == [ContextClosed] * 3
    assert await read_all(engine.log, run.id) == events


async def test_a_thread_that_is_held_by_backpressure_is_woken_by_the_cancel() -> None:
    """A ``def`` body blocked in ``emit`` finds out at once, although the log does not answer yet."""
    flow = Workflow("blocked")
    woken = threading.Event()

    @flow.task
    def body(ctx: Context) -> None:
        while not ctx.cancelled:
            ctx.emit("text.said", {"text": "x" * 40_000})
        woken.set()

    log = FaultyLog(MemoryLog(), hangs=["r"], after=1)
    async with Engine(log, grace=0) as engine:
        run = await engine.start(flow, run_id="r")
        await wait_until(lambda: room_of(run).full)
        cancel = asyncio.create_task(run.cancel(grace=5))
        assert await asyncio.to_thread(woken.wait, AT_ONCE)
        log.release()
        await asyncio.wait_for(cancel, AT_ONCE)
        assert (await full_log(engine, run))[-1].data["abandoned"] == 0


async def test_committed_never_returns_in_a_thread_before_the_log_has_it() -> None:
    """A cancel wakes the thread with an error: what follows ``committed()`` relies on the log."""
    flow = Workflow("effect")
    did: list[str] = []
    asked, ended = threading.Event(), threading.Event()

    @flow.task
    def body(ctx: Context) -> None:
        try:
            ctx.emit("number.said", {})
            asked.set()
            ctx.committed()
            did.append("the effect, of which the log knows nothing")
        finally:
            ended.set()

    log = FaultyLog(MemoryLog(), hangs=["r"], after=1)
    async with Engine(log, grace=0) as engine:
        run = await engine.start(flow, run_id="r")
        assert await asyncio.to_thread(asked.wait, AT_ONCE)
        await asyncio.sleep(0.02)
        cancel = asyncio.create_task(run.cancel(grace=0.05))
        assert await asyncio.to_thread(ended.wait, AT_ONCE)
        log.release()
        await asyncio.wait_for(cancel, AT_ONCE)
    assert not did


# --- what has not begun -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["skip", "run"])
async def test_what_has_not_begun_is_cancelled_at_once_and_never_starts(engine: Engine, policy: Any) -> None:
    """Whatever depends on what: pending tasks end as cancelled, also those that run on a failure upstream."""
    flow = Workflow("waiting")

    @flow.task
    async def a() -> None:
        await asyncio.Event().wait()

    @flow.task(after="a", on_upstream_failure=policy)
    async def b() -> None: ...

    @flow.task(after="b", on_upstream_failure=policy)
    async def c() -> None: ...

    @flow.task(map={"x": "c"}, on_upstream_failure=policy)
    async def d(x: int) -> None: ...

    run = await engine.start(flow)
    await wait_for_event(run, "task.started")
    await asyncio.wait_for(run.cancel(), AT_ONCE)
    events = await full_log(engine, run)
    assert [event.task_id for event in events if event.type == "task.started"] == ["a"]
    assert {id: task.status for id, task in run.state.tasks.items()} == dict.fromkeys("abcd", "cancelled")
    waiting = [event for event in events if event.task_id in ("b", "c", "d")]
    assert all(event.data["reason"] == "requested" and event.data["stop_ms"] == 0.0 for event in waiting)


@pytest.mark.parametrize("is_async", [True, False])
async def test_children_that_wait_for_a_slot_never_start(engine: Engine, gate: threading.Event, is_async: bool) -> None:
    """Slots that a cancel frees are given to nobody."""
    flow = Workflow("slots")

    @flow.task
    async def items() -> list[int]:
        return list(range(50))

    async def async_body(items: int) -> None:
        await asyncio.Event().wait()

    def thread_body(items: int, ctx: Context) -> None:
        while not ctx.cancelled:
            time.sleep(0.001)

    flow.task(async_body if is_async else thread_body, name="each", map={"items": "items"}, concurrency=2)
    run = await engine.start(flow)
    await wait_for_event(run, "task.started", count=3)
    await asyncio.wait_for(run.cancel(), AT_ONCE)
    events = await full_log(engine, run)
    cancelling = next(event.seq for event in events if event.type == "run.cancelling")
    assert not [event for event in events if event.type == "task.started" and event.seq > cancelling]
    assert sum(event.type == "task.started" and event.task == "each" for event in events) == 2
    assert events[-1].data["cancelled"] + events[-1].data["completed"] == 51


async def test_a_run_cancelled_before_its_first_body_began_ends(engine: Engine) -> None:
    """Cancelling is possible from the moment ``start`` returned."""
    run = await engine.start(endless())
    await asyncio.wait_for(run.cancel(), AT_ONCE)
    assert (await full_log(engine, run))[-1].type == "run.cancelled"


async def test_what_completed_before_stays_completed(engine: Engine) -> None:
    """A cancel takes nothing back."""
    flow = Workflow("half")

    @flow.task
    async def a() -> int:
        return 1

    @flow.task(after="a")
    async def b() -> None:
        await asyncio.Event().wait()

    run = await engine.start(flow)
    await wait_for_event(run, "task.started", count=2)
    await asyncio.wait_for(run.cancel(), AT_ONCE)
    assert {id: task.status for id, task in run.state.tasks.items()} == {"a": "completed", "b": "cancelled"}
    assert await run.output("a") == b"1"


# --- commands ---------------------------------------------------------------------------------------------------


async def test_a_second_cancel_is_harmless(engine: Engine) -> None:
    """One ``run.cancelling``, one end; both callers come back, the first reason holds."""
    run = await engine.start(endless())
    await wait_for_event(run, "task.started")
    await asyncio.wait_for(
        asyncio.gather(run.cancel(reason="first"), run.cancel(reason="second"), run.cancel(reason="third")), 2
    )
    events = await full_log(engine, run)
    assert [e.data["reason"] for e in events if e.type in ("run.cancelling", "run.cancelled")] == ["first", "first"]


async def test_a_second_cancel_may_shorten_the_grace_but_not_lengthen_it(engine: Engine, gate: threading.Event) -> None:
    """Of several graces the one that is over first counts."""
    run = await engine.start(deaf(gate))
    await wait_for_event(run, "task.started")
    await run.request_cancel(grace=60)
    await run.request_cancel(grace=0.02)
    await run.request_cancel(grace=60)
    await asyncio.wait_for(run.ended(), AT_ONCE)
    assert run.status == "cancelled"


async def test_request_cancel_returns_once_cancelling_is_in_the_log(engine: Engine, gate: threading.Event) -> None:
    """It does not wait for the bodies."""
    run = await engine.start(deaf(gate))
    await wait_for_event(run, "task.started")
    await asyncio.wait_for(run.request_cancel(grace=0.05), AT_ONCE)
    assert run.status == "cancelling"
    assert (await engine.log.read(run.id, run.state.seq - 1, 1))[0].type == "run.cancelling"
    gate.set()
    await asyncio.wait_for(run.ended(), AT_ONCE)


@pytest.mark.parametrize("ending", ["completed", "cancelled"])
async def test_a_cancel_after_the_end_is_refused(engine: Engine, ending: str) -> None:
    """RunEnded names the run and how it ended; the log does not change."""
    flow = Workflow("quick")

    @flow.task
    async def body() -> None:
        if ending == "cancelled":
            await asyncio.Event().wait()

    run = await engine.start(flow)
    if ending == "cancelled":
        await run.cancel()
    await run.ended()
    events = await full_log(engine, run)
    for handle in (run, await engine.get(run.id)):
        with pytest.raises(RunEnded, match=ending) as ended:
            await handle.cancel()
        assert (ended.value.run_id, ended.value.status) == (run.id, ending)
    assert await read_all(engine.log, run.id) == events


async def test_a_negative_grace_is_refused(engine: Engine) -> None:
    """And nothing is cancelled."""
    run = await engine.start(endless())
    with pytest.raises(ValueError, match="grace"):
        await run.cancel(grace=-1)
    assert run.status == "running"


async def test_who_stops_waiting_for_a_run_does_not_cancel_it(engine: Engine) -> None:
    """A client that goes away never ends a run."""
    run = await engine.start(endless())
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(run.ended(), 0.01)
    assert run.status == "running"


# --- the end of the engine --------------------------------------------------------------------------------------


async def test_the_end_of_the_engine_cancels_what_still_runs() -> None:
    """On the memory log open runs get the grace, then end as cancelled with reason ``shutdown``."""
    async with Engine(grace=0.02) as engine:
        run = await engine.start(endless())
    assert run.status == "cancelled"
    events = await full_log(engine, run)
    assert [e.data["reason"] for e in events if e.type in ("run.cancelling", "task.cancelled", "run.cancelled")] == [
        "shutdown"
    ] * 3
    with pytest.raises(RunCancelled, match="shutdown"):
        await run


async def test_a_run_that_ends_within_the_grace_is_not_cancelled() -> None:
    """Drain first waits."""
    flow = Workflow("short")

    @flow.task
    async def body() -> int:
        await asyncio.sleep(0.02)
        return 1

    async with Engine(grace=5) as engine:
        run = await engine.start(flow)
    assert await run == {"body": 1}


async def test_the_end_of_the_engine_does_not_wait_for_a_deaf_thread(gate: threading.Event) -> None:
    """It is abandoned like in any cancel."""
    flow = Workflow("deaf")

    @flow.task
    def body() -> None:
        gate.wait()

    async with Engine(grace=0.02) as engine:
        run = await engine.start(flow)
        await wait_for_event(run, "task.started")
    assert not gate.is_set(), "the body is still there"
    assert (await full_log(engine, run))[-1].data["abandoned"] == 1


async def test_an_error_inside_the_engine_block_ends_it_without_grace() -> None:
    """Nobody waits for results any more."""
    runs: list[Run] = []

    async def main() -> None:
        async with Engine(grace=60) as engine:
            runs.append(await engine.start(endless()))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(main(), AT_ONCE)
    assert runs[0].status == "cancelled"


async def test_abandoned_threads_do_not_take_the_slots_of_others(gate: threading.Event) -> None:
    """An abandoned thread is replaced; from 32 of them on further ``def`` bodies wait, and nothing else does."""
    flow, small = Workflow("deaf"), Workflow("small")
    asynchronous, elsewhere = Workflow("asynchronous"), Workflow("elsewhere")

    @flow.task
    async def items() -> list[int]:
        return list(range(bounds.THREADS - 1))

    @flow.task(map="items")
    def block(items: int) -> None:
        gate.wait()

    @small.task
    def body() -> int:
        return 1

    @asynchronous.task(name="body")
    async def on_the_loop() -> int:
        return 2

    elsewhere.task(bodies.pid, name="body", executor="process")

    with log_lines() as lines:
        async with Engine(grace=0) as engine:
            run = await engine.start(flow)
            await wait_for_event(run, "task.started", count=bounds.THREADS)
            await asyncio.wait_for(run.cancel(grace=0), AT_ONCE)
            assert (await full_log(engine, run))[-1].data["abandoned"] == bounds.THREADS - 1
            again = await engine.start(small)
            assert await again == {"body": 1}
            other = await engine.start(flow)
            await wait_for_event(other, "task.started", count=3)
            await asyncio.wait_for(other.cancel(grace=0), AT_ONCE)
            waiting, given_up = await engine.start(small), await engine.start(small)
            assert await asyncio.wait_for(await engine.start(asynchronous), AT_ONCE) == {"body": 2}
            assert await asyncio.wait_for(await engine.start(elsewhere), PATIENCE)
            assert waiting.state.tasks["body"].status == "pending"
            await asyncio.wait_for(given_up.cancel(grace=0), AT_ONCE)
            assert given_up.status == "cancelled"
            gate.set()
            assert await asyncio.wait_for(waiting, PATIENCE) == {"body": 1}
            assert await asyncio.wait_for(await engine.start(small), PATIENCE) == {"body": 1}
    (line,) = [line for line in lines if line["event"].startswith("no thread is left")]
    assert line["log_level"] == "warning"
    assert f"task block[0] of run {run.id} and " in line["held_by"]
    assert line["held_by"].endswith(" more of block")


async def test_a_body_that_waits_for_an_answer_gets_on_while_no_thread_is_left(gate: threading.Event) -> None:
    """It has its thread; only new bodies wait."""
    flow, asking = Workflow("deaf"), Workflow("asking")

    @flow.task
    async def items() -> list[int]:
        return list(range(bounds.ABANDONED_THREADS))

    @flow.task(map="items")
    def block(items: int) -> None:
        gate.wait()

    @asking.task
    def ask(ctx: Context) -> int:
        return ctx.receive()

    async with Engine(grace=0) as engine:
        asked = await engine.start(asking)
        await wait_for_event(asked, "task.waiting")
        run = await engine.start(flow)
        await wait_for_event(run, "task.started", count=bounds.ABANDONED_THREADS + 1)
        await asyncio.wait_for(run.cancel(grace=0), AT_ONCE)
        await asked.send("ask", 7)
        assert await asyncio.wait_for(asked, PATIENCE) == {"ask": 7}
        gate.set()
