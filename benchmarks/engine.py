"""E1, E3: microseconds a task, against bare asyncio that counts down upstreams and makes no events.

Five interleaved pairs a shape (bare, ours, bare, ours …) after a garbage collection; the median of each, judged on the
geometric mean of the three ratios. After each timed run, untimed, the log is read back and must be complete.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from statistics import geometric_mean, median
from time import perf_counter
from typing import Any

from benchmarks.shapes import SHAPES, Shape
from reactor import Engine, Workflow
from reactor.bounds import MAX_EVENT_BYTES
from reactor.logs import MemoryLog
from reactor.testing import read_all

PAIRS = 5
GATE = 20.0
TARGET = 10.0


async def noop() -> None:
    """The task."""


async def bare(shape: Shape) -> float:
    """Seconds for the graph in plain asyncio."""
    loop = asyncio.get_running_loop()
    waiting = [len(upstreams) for upstreams in shape]
    dependents: list[list[int]] = [[] for _ in shape]
    for i, upstreams in enumerate(shape):
        for upstream in upstreams:
            dependents[upstream].append(i)
    left = len(shape)
    done = loop.create_future()
    held: set[asyncio.Task[None]] = set()

    async def run(i: int) -> None:
        nonlocal left
        await noop()
        left -= 1
        for dependent in dependents[i]:
            waiting[dependent] -= 1
            if not waiting[dependent]:
                start(dependent)
        if not left:
            done.set_result(None)

    def start(i: int) -> None:
        task = loop.create_task(run(i))
        held.add(task)
        task.add_done_callback(held.discard)

    began = perf_counter()
    for i, upstreams in enumerate(shape):
        if not upstreams:
            start(i)
    await done
    return perf_counter() - began


def workflow_of(shape: Shape) -> Workflow:
    """The same graph as a workflow, validated: the definition is not what is timed."""
    flow = Workflow("bench")
    for i, upstreams in enumerate(shape):
        flow.task(noop, name=f"t{i}", after=[f"t{upstream}" for upstream in upstreams])
    flow.validate()
    return flow


async def ours(flow: Workflow, n: int) -> float:
    """Seconds from start to the published end; then the log is checked."""
    async with Engine(MemoryLog(max_events=10**9, max_bytes=10**12)) as engine:
        began = perf_counter()
        run = await engine.start(flow)
        await run
        seconds = perf_counter() - began
        events = await read_all(engine.log, run.id)
        assert [event.seq for event in events] == list(range(1, 2 * n + 3)), "the log is not complete"
        assert max(len(event.json) for event in events) <= MAX_EVENT_BYTES, "an event is too large"
        assert run.state.completed == n
        return seconds


def timed(measure: Callable[[], Awaitable[float]]) -> float:
    gc.collect()

    async def main() -> float:
        return await measure()

    return asyncio.run(main())


def measure(name: str, n: int, pairs: int = PAIRS) -> dict[str, Any]:
    """One shape: medians in microseconds a task, and their ratio."""
    shape = SHAPES[name](n)
    flow = workflow_of(shape)
    bares, runs = [], []
    for _ in range(pairs):
        bares.append(timed(lambda: bare(shape)) / n * 1e6)
        runs.append(timed(lambda: ours(flow, n)) / n * 1e6)
    spread = f"{min(runs):.1f}-{max(runs):.1f}"
    ratio = median(runs) / median(bares)
    return {"shape": name, "n": n, "bare_us": median(bares), "us": median(runs), "spread": spread, "ratio": ratio}


def overhead(n: int = 2_000) -> dict[str, Any]:
    """E1: all shapes, and the verdict on their geometric mean."""
    rows = [measure(name, n) for name in SHAPES]
    mean = geometric_mean(row["ratio"] for row in rows)
    worst = max(row["ratio"] for row in rows)
    return {"rows": rows, "mean": mean, "worst": worst, "gate": GATE, "target": TARGET}


def large() -> list[dict[str, Any]]:
    """A chain of 10,000 and a wide graph of 50,000, once each."""
    return [measure("chain", 10_000, pairs=1), measure("wide", 50_000, pairs=1)]
