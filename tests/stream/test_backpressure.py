"""Backpressure: a log that is slow, or gone, holds producers back; memory stays bounded and nothing is lost."""

from __future__ import annotations

import asyncio
import gc
import threading
from pathlib import Path
from typing import Any

import pytest

from reactor import Context, Engine, LogLost, RunFailed, Workflow, bounds
from reactor.events.event import Message
from reactor.logs.memory import MemoryLog
from reactor.operators.buffer_window import Room
from reactor.testing import FaultyLog, SlowLog, read_all
from tests.helpers.inside import room_of
from tests.helpers.runs import PATIENCE

MANY = 10_000
PADDING = "x" * 16_000
"""With it 10,000 events are above 150 MiB: what is not let go of shows. A window of them is full within a turn."""


def resident_mib() -> float:
    """What this process holds in memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / bounds.MIB


class Peaks:
    """How much waited at most in the open window, and in this process."""

    def __init__(self) -> None:
        self.events = 0
        self.bytes = 0
        self.waits = 0
        self.resident = 0.0

    def see(self, room: Room) -> None:
        self.events = max(self.events, room.events)
        self.bytes = max(self.bytes, room.bytes)
        self.waits += room.full
        if room.full:
            self.resident = max(self.resident, resident_mib())


@pytest.mark.slow
async def test_a_flood_into_a_slow_log_is_held_at_one_window_and_loses_nothing() -> None:
    """10,000 awaited emits: the open window and the process stay bounded, a live subscriber sees all in order."""
    peaks, seen = Peaks(), Sequence()
    flow = Workflow("flood")

    @flow.task
    async def speaker(ctx: Context) -> int:
        room = room_of(ctx)
        for i in range(MANY):
            waiting = ctx.emit("number.said", {"i": i, "padding": PADDING})
            peaks.see(room)
            await waiting
        return MANY

    gc.collect()
    before = resident_mib()
    async with Engine(SlowLog(MemoryLog(max_events=1_000), 0.001)) as engine:
        run = await engine.start(flow)
        run.events.subscribe(seen.take)
        assert await run == {"speaker": MANY}
    assert peaks.events <= bounds.WINDOW_EVENTS + 2
    assert peaks.bytes <= bounds.WINDOW_BYTES + bounds.MAX_EVENT_BYTES
    assert peaks.waits > 10, "the log was never too slow: nothing was shown"
    assert peaks.resident - before < 40, "MiB above what was there before"
    assert (seen.numbers, seen.last_seq) == (MANY, run.state.seq)


class Sequence:
    """A subscriber that keeps only how far it came, and insists on the order."""

    def __init__(self) -> None:
        self.numbers = 0
        self.last_seq = 0

    def take(self, event: Message) -> None:
        assert event.seq == self.last_seq + 1
        self.last_seq = event.seq
        if event.type == "number.said":
            assert event.data["i"] == self.numbers
            self.numbers += 1


async def test_a_flood_from_a_thread_blocks_the_thread() -> None:
    """A ``def`` body needs no await: its emit holds it while the window is full, and all arrive in order."""
    peaks, seen = Peaks(), Sequence()
    flow = Workflow("flood")

    @flow.task
    def speaker(ctx: Context) -> int:
        room = room_of(ctx)
        for i in range(2_000):
            ctx.emit("number.said", {"i": i, "padding": PADDING})
            peaks.see(room)
        return 2_000

    async with Engine(SlowLog(MemoryLog(), 0.005)) as engine:
        run = await engine.start(flow)
        run.events.subscribe(seen.take)
        assert await run == {"speaker": 2_000}
    assert peaks.events <= bounds.WINDOW_EVENTS + 1
    assert peaks.bytes <= bounds.WINDOW_BYTES + bounds.MAX_EVENT_BYTES
    assert (seen.numbers, seen.last_seq) == (2_000, run.state.seq)


async def test_an_emit_nobody_awaits_raises_beyond_twice_the_window() -> None:
    """A body that never awaits is told with Backpressure before more than two windows wait."""
    said = 0
    peaks = Peaks()
    flow = Workflow("careless")

    @flow.task
    async def speaker(ctx: Context) -> None:
        nonlocal said
        for i in range(10_000):
            ctx.emit("number.said", {"i": i})
            said += 1
            peaks.see(room_of(ctx))

    async with Engine() as engine:
        run = await engine.start(flow)
        with pytest.raises(RunFailed, match=r"await ctx\.emit") as failure:
            await run
        assert failure.value.errors["speaker"]["type"] == "Backpressure"
        events = await read_all(engine.log, run.id)
    assert bounds.WINDOW_EVENTS < said <= bounds.CROWDED * bounds.WINDOW_EVENTS
    assert peaks.events <= bounds.CROWDED * bounds.WINDOW_EVENTS
    assert sum(event.type == "number.said" for event in events) == said, "what was accepted is in the log"


@pytest.mark.parametrize("asleep", [0, 1], ids=["as they start", "all in one loop turn"])
async def test_many_bodies_that_await_their_emits_never_meet_backpressure(asleep: int) -> None:
    """However many bodies emit at once: the error is for those who do not await."""
    flow = Workflow("crowd")
    together = asyncio.Event()
    ready = 0

    @flow.task
    async def items() -> list[int]:
        return list(range(3_000))

    @flow.task(map="items")
    async def speaker(items: int, ctx: Context) -> int:
        nonlocal ready
        ready += 1
        if ready == 3_000:
            together.set()
        if asleep:
            await together.wait()
        for i in range(3):
            await ctx.emit("number.said", {"i": i})
        return items

    async with Engine(SlowLog(MemoryLog(), 0.001)) as engine:
        outputs = await (await engine.start(flow))
    assert outputs == {"speaker": list(range(3_000))}


async def test_a_full_window_lets_no_task_start() -> None:
    """While the log does not answer, what was started is bounded by the window, whatever the width of the graph."""
    started = 0
    flow = Workflow("wide")

    @flow.task
    async def items() -> list[int]:
        return list(range(10_000))

    @flow.task(map="items")
    async def each(items: int) -> None:
        nonlocal started
        started += 1

    log = FaultyLog(MemoryLog(), hangs=["wide"], after=1)
    async with Engine(log) as engine:
        run = await engine.start(flow, run_id="wide")
        await asyncio.sleep(0.05)
        assert started <= 2 * bounds.WINDOW_EVENTS
        log.release()
        await run
    assert started == 10_000


# --- large graphs -----------------------------------------------------------------------------------------------


async def check_large(flow: Workflow, tasks: int, outputs: int) -> None:
    async with Engine(MemoryLog(max_events=10 * tasks, max_bytes=bounds.MIB * 1024)) as engine:
        run = await engine.start(flow)
        result = await run
        events = await read_all(engine.log, run.id)
    assert len(result) == outputs
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert max(len(event.json) for event in events) <= bounds.MAX_EVENT_BYTES
    assert sum(event.type == "task.completed" for event in events) == tasks
    assert len({event.task_id for event in events if event.type == "task.completed"}) == tasks
    assert events[-1].data["completed"] == tasks == run.state.completed


@pytest.mark.slow
async def test_a_graph_of_50_000_independent_tasks_completes() -> None:
    """Nothing grows with the square of the width, no event with its width."""
    flow = Workflow("wide")

    async def body() -> int:
        return 1

    for i in range(50_000):
        flow.task(body, name=f"t{i}")
    await check_large(flow, 50_000, 50_000)


async def test_a_chain_of_10_000_tasks_completes() -> None:
    """A cascade is a loop, not a recursion."""
    flow = Workflow("chain")

    async def body() -> int:
        return 1

    for i in range(10_000):
        flow.task(body, name=f"t{i}", after=(f"t{i - 1}",) if i else ())
    await check_large(flow, 10_000, 1)


async def test_a_failure_at_the_head_of_a_chain_of_10_000_skips_the_rest() -> None:
    """A cascade of skips is a loop too, and each names where it began."""
    flow = Workflow("chain")

    async def body() -> int:
        raise RuntimeError("head")

    for i in range(10_000):
        flow.task(body, name=f"t{i}", after=(f"t{i - 1}",) if i else ())
    async with Engine() as engine:
        run = await engine.start(flow)
        with pytest.raises(RunFailed, match="head"):
            await run
        assert (run.state.failed, run.state.skipped) == (1, 9_999)
        assert {task.because for task in run.state.tasks.values() if task.status == "skipped"} == {"t0"}


# --- a log that fails -------------------------------------------------------------------------------------------


def steps(count: int = 50) -> Workflow:
    flow = Workflow("steps")

    @flow.task
    async def speaker(ctx: Context) -> int:
        for i in range(count):
            await ctx.emit("number.said", {"i": i})
            await asyncio.sleep(0)
        return count

    return flow


@pytest.mark.parametrize("how", ["raises", "fails"])
@pytest.mark.parametrize("after", [10, 30])
async def test_a_run_whose_log_refuses_it_ends_here_and_no_other_does(how: str, after: int) -> None:
    """``await run`` raises LogLost, nothing unlogged was published, and other runs do not notice."""
    options: dict[str, Any] = {how: ["bad"], "after": after}
    log = FaultyLog(MemoryLog(), **options)
    seen: list[Message] = []
    errors: list[Exception] = []
    async with Engine(log) as engine:
        good = await engine.start(steps(), run_id="good")
        bad = await engine.start(steps(), run_id="bad")
        bad.events.subscribe(seen.append, errors.append)
        with pytest.raises(LogLost) as lost:
            await asyncio.wait_for(bad.ended(), PATIENCE)
        with pytest.raises(LogLost):
            await bad
        assert lost.value.run_id == "bad"
        assert await good == {"speaker": 50}
        later = await engine.start(steps(), run_id="later")
        assert await later == {"speaker": 50}
        logged = await read_all(log, "bad")
        assert engine.open_runs == 0
    assert seen == logged
    assert [type(error) for error in errors] == [LogLost]
    assert bad.state.seq == len(logged)
    assert bad.status == "running", "in the log it has not ended"


async def test_a_start_the_log_refuses_starts_nothing() -> None:
    """``engine.start`` raises LogLost and the run is not open."""
    async with Engine(FaultyLog(MemoryLog(), raises=["bad"])) as engine:
        with pytest.raises(LogLost):
            await engine.start(steps(), run_id="bad")
        assert engine.open_runs == 0
        assert await (await engine.start(steps(), run_id="good")) == {"speaker": 50}


async def test_bodies_of_a_run_whose_log_is_lost_are_stopped() -> None:
    """Async bodies are cancelled; nothing of them is published any more."""
    stopped = asyncio.Event()
    flow = Workflow("endless")

    @flow.task
    async def speaker(ctx: Context) -> None:
        try:
            while True:
                await ctx.emit("number.said", {})
                await asyncio.sleep(0)
        finally:
            stopped.set()

    async with Engine(FaultyLog(MemoryLog(), raises=["bad"], after=20)) as engine:
        run = await engine.start(flow, run_id="bad")
        with pytest.raises(LogLost):
            await run
        await asyncio.wait_for(stopped.wait(), PATIENCE)


async def test_a_log_that_hangs_for_one_run_holds_up_no_other() -> None:
    """The others complete; the one that hangs shows nothing beyond its log, and goes on when the log answers."""
    log = FaultyLog(MemoryLog(), hangs=["slow"], after=5)
    async with Engine(log) as engine:
        slow = await engine.start(steps(5_000), run_id="slow")
        quick = await engine.start(steps(), run_id="quick")
        assert await asyncio.wait_for(quick.ended(), PATIENCE)
        assert slow.state.seq == (await log.record("slow")).last_seq <= 5
        log.release()
        assert await slow == {"speaker": 5_000}


async def test_threads_freed_by_one_run_serve_the_next() -> None:
    """Thread slots are the engine's: a run that waits for those of another starts when they are free."""
    gate = threading.Event()
    hog, guest = Workflow("hog"), Workflow("guest")

    @hog.task
    async def items() -> list[int]:
        return list(range(bounds.THREADS))

    @hog.task(map="items")
    def block(items: int) -> None:
        gate.wait(10)

    @guest.task
    def one() -> int:
        return 1

    async with Engine() as engine:
        first = await engine.start(hog)
        while first.state.running < bounds.THREADS:
            await asyncio.sleep(0.001)
        second = await engine.start(guest)
        gate.set()
        await first
        await asyncio.wait_for(second.ended(), PATIENCE)
        assert second.status == "completed"


async def test_a_run_whose_log_is_lost_gives_its_threads_back() -> None:
    """After it ended, as many ``def`` bodies can run as before."""
    gate = threading.Event()
    lost, guest = Workflow("lost"), Workflow("guest")

    @lost.task
    async def items() -> list[int]:
        return list(range(bounds.THREADS))

    @lost.task(map="items")
    def block(items: int) -> None:
        gate.wait(10)

    @lost.task(after="items")
    async def speaker(ctx: Context) -> None:
        while not gate.is_set():
            await ctx.emit("number.said", {})
            await asyncio.sleep(0.001)

    @guest.task
    def one() -> int:
        return 1

    async with Engine(FaultyLog(MemoryLog(), raises=["bad"], after=60)) as engine:
        run = await engine.start(lost, run_id="bad")
        with pytest.raises(LogLost):
            await run
        gate.set()
        async with asyncio.timeout(PATIENCE):  # until the last of the threads has ended after all
            while (await (await engine.start(guest)).ended()).status != "completed":
                pass
