"""Virtual time: the clock of an engine drives everything it waits for, and the testing kit is built on that."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import reactivex
from reactivex import operators as ops

from reactor import Cache, Context, Engine, Event, Limit, LogLost, QuestionExpired, Retry, RunFailed, Workflow
from reactor.clock import LoopScheduler, SystemClock, sleep, wait_at_most
from reactor.logs.memory import MemoryLog
from reactor.logs.sqlite.log import SqliteLog
from reactor.operators import heartbeat, throttle_latest
from reactor.testing import FaultyLog, SlowLog, VirtualClock, read_all, virtual_engine
from tests.helpers.crash import check_laws
from tests.helpers.events import data_of, of_type
from tests.helpers.flows import endless, one_task
from tests.helpers.runs import PATIENCE, result, wait_for_event

HOUR = 3_600.0


def started_at(events: list[Event], task: str | None = None) -> list[float]:
    """When attempts started, in seconds since the start of the run."""
    begin = datetime.fromisoformat(events[0].time)
    starts = of_type(events, "task.started", task)
    return [(datetime.fromisoformat(event.time) - begin).total_seconds() for event in starts]


async def never() -> None:
    await asyncio.Event().wait()


async def stubborn() -> None:
    """Does not stop the first time it is told to."""
    try:
        await never()
    except asyncio.CancelledError:
        await never()


# --- everything an engine waits for --------------------------------------------------------------------------------


async def test_the_time_that_a_question_is_open() -> None:
    """A question of an hour expires after an hour of the clock, and takes no time."""
    flow = Workflow("asks")

    @flow.task
    async def ask(ctx: Context) -> str:
        try:
            return await ctx.receive("anybody?", schema=str, timeout=HOUR)
        except QuestionExpired:
            return "nobody"

    async with virtual_engine() as (engine, clock):
        assert await (await engine.start(flow)) == {"ask": "nobody"}
        assert clock.monotonic() >= HOUR


async def test_the_delays_of_retries() -> None:
    """Three hours of delays take no time, and the log says they were three hours."""

    async def flaky(ctx: Context) -> int:
        if ctx.attempt < 4:
            raise ValueError("again")
        return ctx.attempt

    flow = one_task(flaky, retry=Retry(attempts=4, delay=HOUR, max_delay=HOUR, jitter=0))
    async with virtual_engine(workflows=[flow]) as (engine, clock):
        began = time.monotonic()
        run = await engine.start(flow)
        assert await result(run) == {"body": 4}
        assert clock.monotonic() == 3 * HOUR
        events = await read_all(engine.log, run.id)
        check_laws(events)
    assert started_at(events) == [0.0, HOUR, 2 * HOUR, 3 * HOUR]
    assert events[-1].data["duration_ms"] == 3 * HOUR * 1000
    assert time.monotonic() - began < PATIENCE


@pytest.mark.parametrize(("body", "seconds"), [(never, 2 * HOUR), (stubborn, 2 * HOUR + 1)], ids=["stops", "stubborn"])
async def test_the_timeout_of_a_task_and_its_grace(body: Callable[[], Any], seconds: float) -> None:
    """A body that waits for ever is timed out after its hours; one that does not stop gets a second more."""
    flow = one_task(body, timeout=2 * HOUR)
    async with virtual_engine(workflows=[flow]) as (engine, clock):
        run = await engine.start(flow)
        with pytest.raises(RunFailed, match="timeout of 7200 s"):
            await result(run)
        assert clock.monotonic() == seconds


async def test_the_timeout_of_a_run() -> None:
    """``Workflow(timeout=)`` is measured on the clock."""
    flow = Workflow("long", timeout=5 * HOUR)
    flow.task(never, name="body")
    async with virtual_engine() as (engine, clock):
        run = await engine.start(flow)
        with pytest.raises(RunFailed, match="timeout of 18000 s"):
            await result(run)
        assert clock.monotonic() == 5 * HOUR


async def test_a_budget_of_wall_time_stands_still_in_a_pause() -> None:
    """An hour of budget: half of it, a day of pause that does not count, the other half."""
    flow = endless()
    async with virtual_engine(clock=VirtualClock(jumps=False)) as (engine, clock):
        run = await engine.start(flow, budget={"seconds": HOUR})
        await clock.advance(HOUR / 2)
        await run.pause()
        await clock.advance(24 * HOUR)
        await run.resume()
        await clock.advance(HOUR / 2 - 1)
        assert run.status == "running"
        assert run.state.warned == ["seconds"]
        await clock.advance(1)
        assert run.state.exceeded == ["seconds"]
        with pytest.raises(RunFailed):
            await result(run)


async def test_a_rate() -> None:
    """Two starts an hour: six bodies take two hours more than the first two."""
    flow = Workflow("rated")

    @flow.task
    async def items() -> list[int]:
        return list(range(6))

    @flow.task(map="items", limits=Limit("calls", 2, per=HOUR))
    async def call(items: int) -> int:
        return items

    async with virtual_engine(workflows=[flow]) as (engine, _):
        run = await engine.start(flow)
        await result(run)
        starts = started_at([event for event in await read_all(engine.log, run.id) if event.task != "items"])
        events = await read_all(engine.log, run.id)
    starts = [at for id in range(6) for at in started_at(events, f"call[{id}]")]
    assert starts == pytest.approx([0, 0, HOUR, HOUR, 2 * HOUR, 2 * HOUR], abs=0.01)


async def test_the_grace_of_a_cancel_and_of_the_end_of_an_engine() -> None:
    """A body that does not stop is abandoned after its minutes, and an engine waits its hours for runs to end."""
    flow = one_task(stubborn)
    async with virtual_engine(workflows=[flow]) as (engine, clock):
        run = await engine.start(flow)
        await wait_for_event(run, "task.started")
        await run.cancel(grace=600)
        assert clock.monotonic() == 600
        assert run.state.tasks["body"].status == "cancelled"
    async with virtual_engine(workflows=[flow], grace=2 * HOUR) as (engine, clock):
        await engine.start(flow)
    assert clock.monotonic() >= 2 * HOUR


async def test_progress_is_paced_by_the_clock() -> None:
    """Only the latest of a twentieth of a second is written, and that takes no time."""

    async def reports(ctx: Context) -> None:
        for percent in range(100):
            await ctx.progress(percent / 100)
        await never()

    flow = one_task(reports, timeout=10)
    async with virtual_engine(workflows=[flow]) as (engine, _):
        run = await engine.start(flow)
        with pytest.raises(RunFailed):
            await result(run)
        events = await read_all(engine.log, run.id)
    assert [data["fraction"] for data in data_of(events, "task.progress")] == [0.0, 0.99]
    first, last = of_type(events, "task.progress")
    apart = datetime.fromisoformat(last.time) - datetime.fromisoformat(first.time)
    assert apart.total_seconds() == pytest.approx(0.05)


async def test_what_is_left_of_a_delay_after_a_restart() -> None:
    """The next engine, ten minutes later, waits fifty of the sixty."""

    async def flaky(ctx: Context) -> int:
        if ctx.attempt < 2:
            raise ValueError("again")
        return ctx.attempt

    flow = one_task(flaky, retry=Retry(attempts=2, delay=HOUR, max_delay=HOUR, jitter=0))
    log = Kept(MemoryLog())
    async with virtual_engine(log, workflows=[flow], grace=0, clock=VirtualClock(jumps=False)) as (engine, _):
        await wait_for_event(await engine.start(flow, run_id="r"), "task.retrying")
    later = VirtualClock("2026-01-01T00:10:00Z")
    async with virtual_engine(log, workflows=[flow], clock=later) as (engine, _):
        assert await result(await engine.get("r")) == {"body": 2}
        assert later.monotonic() == pytest.approx(50 * 60, abs=1)


class Kept(FaultyLog):
    """A log in memory that outlives its engines."""

    durable = True  # type: ignore[assignment]  # the log around says it for the test

    async def close(self) -> None:
        pass


async def test_an_append_that_hangs_and_a_log_that_is_slow() -> None:
    """append_timeout passes on the clock, and so does the delay of a SlowLog."""
    flow = one_task(never)
    log = FaultyLog(MemoryLog(), hangs={"r"}, after=2)
    async with virtual_engine(log, workflows=[flow], append_timeout=900, grace=0) as (engine, clock):
        run = await engine.start(flow, run_id="r")
        with pytest.raises(LogLost, match="no answer within 900 seconds"):
            await run.pause()
        assert clock.monotonic() == pytest.approx(900)
    async with virtual_engine(SlowLog(MemoryLog(), 60), append_timeout=100) as (engine, clock):
        await engine.start(flow)
        assert clock.monotonic() == 60
        await engine.drain(0)


async def test_a_pipeline_that_a_body_returns() -> None:
    """``ops.delay`` of an Observable that a body returns uses the scheduler of the run, so the clock of the engine."""

    async def delayed() -> Any:
        return reactivex.of(1, 2).pipe(ops.delay(HOUR))

    async with virtual_engine() as (engine, clock):
        assert await result(await engine.start(one_task(delayed))) == {"body": 2}
        assert clock.monotonic() == HOUR


async def test_the_age_of_runs_and_of_cached_outputs(tmp_path: Path) -> None:
    """keep_days and the time to live of a cache are counted on the clock of the engine."""
    ran: list[int] = []

    def work() -> int:
        ran.append(1)
        return 1

    flow = one_task(work, cache=Cache(ttl=2 * HOUR))
    path = tmp_path / "runs.db"
    for run_id, start, wanted in (
        ("first", "2026-01-01T00:00:00Z", 1),
        ("soon", "2026-01-01T01:00:00Z", 1),
        ("late", "2026-01-05T00:00:00Z", 2),
    ):
        log = SqliteLog(path, keep_days=3)
        async with virtual_engine(log, workflows=[flow], clock=VirtualClock(start)) as (engine, _):
            await result(await engine.start(flow, run_id=run_id))
            assert len(ran) == wanted
            found = [record.run_id for record in await engine.list()]
    assert found == ["late"], "the runs of four days ago are kept"


async def test_operators_with_the_scheduler_of_the_clock() -> None:
    """heartbeat and throttle_latest in process: an hour of silence has its beats at once, at the right times."""
    flow = endless()
    async with virtual_engine(workflows=[flow], grace=0) as (engine, clock):
        scheduler = LoopScheduler(asyncio.get_running_loop(), clock)
        run = await engine.start(flow)
        beats: list[float] = []

        def hear(item: Any) -> None:
            if item == "beat":
                beats.append(clock.monotonic())

        throttled = run.events.pipe(
            throttle_latest(5, key=lambda event: event.type, scheduler=scheduler),
            heartbeat(900, "beat", scheduler=scheduler),
        )
        throttled.subscribe(hear)
        await sleep(clock, HOUR + 1)
        assert beats == pytest.approx([900, 1800, 2700, 3600])
        assert scheduler.now.isoformat().startswith("2026-01-01T01:00:01")


# --- what works elsewhere -----------------------------------------------------------------------------------------


def slow_work(items: int) -> int:
    time.sleep(0.1)
    return items


@pytest.mark.parametrize("executor", ["thread", "process"])
async def test_time_stands_still_while_bodies_work_elsewhere(executor: str) -> None:
    """Bodies that take real time in threads or processes do not run into timeouts of the virtual time."""
    flow = Workflow("elsewhere")
    flow.task(_three, name="items")
    flow.task(slow_work, name="work", map="items", timeout=5, executor=executor)
    async with virtual_engine(workflows=[flow]) as (engine, clock):
        assert await result(await engine.start(flow)) == {"work": [1, 2, 3]}
        assert clock.monotonic() == 0


async def _three() -> list[int]:
    return [1, 2, 3]


async def test_time_goes_on_while_a_thread_waits_for_an_answer() -> None:
    """A ``def`` body in ``receive`` waits for the loop, not the loop for it."""
    flow = Workflow("asks")

    @flow.task
    def ask(ctx: Context) -> Any:
        return ctx.receive("how many?")

    @flow.task(retry=Retry(attempts=2, delay=HOUR, max_delay=HOUR, jitter=0))
    async def flaky(ctx: Context) -> int:
        if ctx.attempt == 1:
            raise ValueError("again")
        return 2

    async with virtual_engine(workflows=[flow]) as (engine, clock):
        run = await engine.start(flow)
        await wait_for_event(run, "task.completed", "flaky")
        assert clock.monotonic() == HOUR
        await run.send("ask", 7)
        assert await result(run) == {"ask": 7, "flaky": 2}


async def test_a_log_in_a_file_holds_the_clock_and_loses_nothing(tmp_path: Path) -> None:
    """SQLite answers from its thread in real time; append_timeout of the virtual time does not pass meanwhile."""

    async def flaky(ctx: Context) -> int:
        if ctx.attempt < 20:
            raise ValueError("again")
        return ctx.attempt

    flow = one_task(flaky, retry=Retry(attempts=20, delay=HOUR, max_delay=HOUR, jitter=0))
    async with virtual_engine(f"sqlite:///{tmp_path}/runs.db", workflows=[flow]) as (engine, clock):
        run = await engine.start(flow)
        assert await result(run) == {"body": 20}
        assert clock.monotonic() == 19 * HOUR
        check_laws(await read_all(engine.log, run.id))


async def test_hold_and_a_moment_of_real_sleep() -> None:
    """``clock.hold`` keeps time where it is; a short asyncio.sleep of a body needs no hold."""
    clock = VirtualClock()

    async def naps() -> None:
        await asyncio.sleep(0.05)

    async def asks_a_server() -> None:
        with clock.hold():
            await asyncio.sleep(1.3)

    flow = Workflow("real")
    flow.task(naps, name="naps", timeout=1)
    flow.task(asks_a_server, name="asks", timeout=1)
    async with virtual_engine(workflows=[flow], clock=clock) as (engine, _):
        assert await result(await engine.start(flow)) == {"naps": None, "asks": None}
        assert clock.monotonic() == 0


# --- the same at each run -----------------------------------------------------------------------------------------


async def test_two_runs_have_the_same_log_to_the_byte() -> None:
    """Times, durations and order: everything that an engine writes comes from the clock."""
    flow = Workflow("same")

    @flow.task
    async def items() -> list[int]:
        return [3, 1, 2]

    @flow.task(map="items", retry=Retry(attempts=3, delay=60, jitter=0), timeout=30)
    async def work(items: int, ctx: Context) -> int:
        await ctx.progress(0.5, "half")
        if ctx.attempt < items:
            raise ValueError(f"attempt {ctx.attempt}")
        return items * 10

    @flow.task
    async def total(work: list[int]) -> int:
        return sum(work)

    logs: list[list[bytes]] = []
    for _ in range(3):
        async with virtual_engine(workflows=[flow]) as (engine, _clock):
            run = await engine.start(flow, run_id="r")
            assert await result(run) == {"total": 60}
            logs.append([event.json for event in await read_all(engine.log, "r")])
    assert logs[0] == logs[1] == logs[2]


# --- the clock ----------------------------------------------------------------------------------------------------


async def test_advance_runs_what_is_due_in_order_and_waits_for_what_follows() -> None:
    """At each timer the loop does all there is to do before time goes on; nothing that is later happens."""
    clock, happened = VirtualClock(jumps=False), list[tuple[float, str]]()

    async def chain(name: str, seconds: float) -> None:
        for _ in range(3):
            await sleep(clock, seconds)
            for _ in range(10):
                await asyncio.sleep(0)
            happened.append((clock.monotonic(), name))

    tasks = [asyncio.ensure_future(chain("a", 10)), asyncio.ensure_future(chain("b", 15))]
    await clock.advance(30)
    assert happened == [(10, "a"), (15, "b"), (20, "a"), (30, "b"), (30, "a")]
    assert clock.monotonic() == 30
    assert clock.now() == b"2026-01-01T00:00:30.000000Z"
    await clock.advance(100)
    await asyncio.gather(*tasks)
    assert clock.pending == 0


async def test_a_cancelled_timer_does_not_draw_time_to_it() -> None:
    """Time jumps to timers that still ring; without any it stands."""
    clock = VirtualClock()
    rang = asyncio.Event()
    clock.call_later(HOUR, rang.set).cancel()
    clock.call_later(60, rang.set)
    await asyncio.wait_for(rang.wait(), PATIENCE)
    for _ in range(20):
        await asyncio.sleep(0)
    assert clock.monotonic() == 60


@pytest.mark.parametrize("make", [SystemClock, VirtualClock])
async def test_what_every_clock_does(make: Callable[[], Any]) -> None:
    """Timers ring in order and never inside call_later; cancelled ones do not; time does not go back."""
    clock, rang = make(), list[str]()
    begin = clock.monotonic()
    clock.call_later(0.02, rang.append, "later")
    clock.call_later(0, rang.append, "at once")
    clock.call_later(0.01, rang.append, "never").cancel()
    assert rang == []
    await sleep(clock, 0.05)
    assert rang == ["at once", "later"]
    assert clock.monotonic() >= begin + 0.045
    assert datetime.fromisoformat(clock.now().decode()).utcoffset() is not None
    assert len(clock.now()) == len(b"2026-01-01T00:00:00.000000Z")
    futures = [asyncio.get_running_loop().create_future() for _ in range(2)]
    futures[0].set_result(1)
    done, pending = await wait_at_most(clock, futures, 0.02)
    assert (done, pending) == ({futures[0]}, {futures[1]})
    assert not futures[1].cancelled()


class OldClock:
    """A clock as engines took it before they waited by it."""

    def now(self) -> bytes:
        return b""

    def monotonic(self) -> float:
        return 0.0


@pytest.mark.parametrize(("clock", "problem"), [
    (OldClock(), r"the clock OldClock needs a method call_later\(\): derive it from reactor\.clock\.SystemClock"),
    (VirtualClock, r"VirtualClock is a class; a clock is an object: VirtualClock\(\)"),
    (7, "the clock int needs a method now"),
])  # fmt: skip
def test_what_is_no_clock_is_refused_at_once(clock: Any, problem: str) -> None:
    """Not in the middle of a run, at the first delay."""
    with pytest.raises(TypeError, match=problem):
        Engine(clock=clock)
