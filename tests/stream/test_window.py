"""``Engine(window=…)``: how many events a window takes at most. Backpressure follows it; what is logged does not."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from reactor import Context, Engine, RunFailed, Workflow, bounds
from reactor.clock import sleep
from reactor.events.event import Window
from reactor.logs.memory import MemoryLog
from reactor.ports.clock import Clock
from reactor.testing import FaultyLog, SlowLog, read_all, virtual_engine
from tests.helpers.crash import check_laws
from tests.helpers.dags import Spec, build, dags, expected
from tests.helpers.inside import room_of
from tests.helpers.runs import PATIENCE, result

WINDOWS = (1, 2, 1_000)


class Windows:
    """A listener that keeps the sizes of all windows."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def window_appended(self, window: Window, seconds: float) -> None:
        self.sizes.append(len(window))


def speaking(count: int, *, awaits: bool = True, padding: int = 0) -> Workflow:
    flow = Workflow("speaking")

    @flow.task
    async def speak(ctx: Context) -> list[int]:
        said: list[int] = []
        for i in range(count):
            waiting = ctx.emit("number.said", {"i": i, "padding": "x" * padding})
            said.append(room_of(ctx).events)
            if awaits:
                await waiting
        return said

    return flow


@pytest.mark.parametrize("window", [1, 2, 7, 1_000])
async def test_no_window_takes_more_events_than_the_engine_says(window: int) -> None:
    """An awaited flood comes through all the same, and holds one window and what was under way."""
    windows = Windows()
    async with Engine(SlowLog(MemoryLog(), 0.0005), window=window, listeners=[windows]) as engine:
        waited = (await result(await engine.start(speaking(200))))["speak"]
    assert max(windows.sizes) <= window
    assert max(waited) <= window + 1
    assert sum(windows.sizes) == 200 + 4  # of the run and of the task: started and completed


@pytest.mark.parametrize("window", [1, 2, 7, 1_000])
async def test_backpressure_follows_the_window(window: int) -> None:
    """Past twice the window an emit that nobody awaits raises; what was accepted before is in the log."""
    async with Engine(window=window) as engine:
        run = await engine.start(speaking(10_000, awaits=False))
        with pytest.raises(RunFailed, match=r"await ctx\.emit") as failure:
            await result(run)
        said = [event.data["i"] for event in await read_all(engine.log, run.id) if event.type == "number.said"]
    assert failure.value.errors["speak"]["type"] == "Backpressure"
    assert max(1, window - 1) <= len(said) <= bounds.CROWDED * window
    assert said == list(range(len(said)))


async def test_a_full_window_lets_no_task_start() -> None:
    """While the log does not answer, what was started is bounded by the window of this engine."""
    started = 0
    flow = Workflow("wide")

    async def body() -> None:
        nonlocal started
        started += 1

    for i in range(100):
        flow.task(body, name=f"t{i}")
    log = FaultyLog(MemoryLog(), hangs=["wide"], after=1)
    async with Engine(log, window=5) as engine:
        run = await engine.start(flow, run_id="wide")
        for _ in range(1_000):  # far more turns than all of them take
            await asyncio.sleep(0)
        assert 0 < started <= 2 * 5
        log.release()
        await result(run)
    assert started == 100


@pytest.mark.parametrize("window", WINDOWS)
async def test_a_window_takes_one_event_however_large(window: int) -> None:
    """Thirty of almost the largest size are more than the bytes of a window; each of them comes through."""
    windows = Windows()
    async with Engine(window=window, listeners=[windows]) as engine:
        await result(await engine.start(speaking(30, padding=bounds.MAX_EVENT_BYTES - 1_000)))
    assert sum(windows.sizes) == 30 + 4
    assert min(windows.sizes) >= 1


@pytest.mark.parametrize("count", [1, 20])
async def test_bodies_that_await_their_emits_never_meet_backpressure_in_the_smallest_window(count: int) -> None:
    """However many of them, on the loop and in threads."""
    flow = Workflow("crowd")

    @flow.task
    async def items() -> list[int]:
        return list(range(count))

    @flow.task(map="items")
    async def speak(items: int, ctx: Context) -> int:
        for i in range(5):
            await ctx.emit("number.said", {"i": i})
        return items

    @flow.task(map="items")
    def speak_in_thread(items: int, ctx: Context) -> int:
        for i in range(5):
            ctx.emit("number.said", {"i": i})
        return items

    async with Engine(SlowLog(MemoryLog(), 0.0001), window=1) as engine:
        outputs = await result(await engine.start(flow))
    assert outputs == {"speak": list(range(count)), "speak_in_thread": list(range(count))}


# --- laws: the window changes when something is seen, not what -----------------------------------------------------


def chain(length: int, clock: Clock) -> Workflow:
    flow = Workflow("chain")

    async def body(ctx: Context) -> int:
        for i in range(3):
            await ctx.emit("number.said", {"i": i})
            await sleep(clock, 0.5)
        ctx.progress(0.5)
        return length

    for i in range(length):
        flow.task(body, name=f"t{i}", after=(f"t{i - 1}",) if i else ())
    return flow


async def test_a_chain_has_the_same_log_with_every_window() -> None:
    """Byte for byte, in virtual time."""
    logs: list[list[bytes]] = []
    for window in WINDOWS:
        async with virtual_engine(window=window) as (engine, clock):
            run = await engine.start(chain(10, clock), run_id="r")
            await run
            logs.append([event.json for event in await read_all(engine.log, "r")])
    assert logs[0] == logs[1] == logs[2]
    assert len(logs[0]) > 50
    assert clock.monotonic() == 15


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(dags(max_tasks=8))
def test_every_graph_has_the_same_end_with_every_window(spec: Spec) -> None:
    """Its tasks end as they should, and its log keeps the laws of every run."""

    async def main() -> None:
        for window in WINDOWS:
            async with Engine(window=window) as engine:
                run = await engine.start(build(spec))
                await asyncio.wait_for(run.ended(), PATIENCE)
                check_laws(await read_all(engine.log, run.id))
                assert run.status == expected(spec).run_status
                assert {id: task.status for id, task in run.state.tasks.items()} == expected(spec).statuses

    asyncio.run(main())


@pytest.mark.parametrize("window", [0, -1, 10_001, 1.5, True, None, "1000"])
def test_a_window_out_of_its_range_is_refused(window: Any) -> None:
    """One sentence that says what it may be."""
    with pytest.raises(ValueError, match="the engine's window must be a whole number from 1 to 10,000, not "):
        Engine(window=window)
