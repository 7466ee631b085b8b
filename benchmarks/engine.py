"""E1, E2, E9: microseconds a task, against bare asyncio that counts down upstreams and makes no events.

For each shape it takes five interleaved pairs (bare, ours, bare, ours …), each after a garbage collection, and the
medians; the verdict is on the geometric mean of the three ratios. After each run the log is read back, which is not
timed, and must be complete.
"""

from __future__ import annotations

import asyncio
import gc
import tempfile
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from statistics import geometric_mean, median
from time import perf_counter
from typing import Any

from benchmarks.figure import Figure
from benchmarks.redis_log import redis_log
from benchmarks.shapes import SHAPES, Shape
from reactor import Engine, Workflow
from reactor.bounds import MAX_EVENT_BYTES
from reactor.logs.memory import MemoryLog
from reactor.logs.sqlite.log import SqliteLog
from reactor.ports.log import EventLog
from reactor.testing import read_all

PAIRS = 5
TASKS = 2_000
WORST = 1.5
"""How far above the target the worst shape may be."""


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
    """The graph as a validated workflow: its definition is not timed."""
    flow = Workflow("bench")
    for i, upstreams in enumerate(shape):
        flow.task(noop, name=f"t{i}", after=[f"t{upstream}" for upstream in upstreams])
    flow.validate()
    return flow


@contextmanager
def log_of(kind: str) -> Generator[EventLog]:
    """A new log: ``memory`` without bounds, ``sqlite`` with its defaults (WAL, synchronous=NORMAL), or ``redis``."""
    if kind == "memory":
        yield MemoryLog(max_events=10**9, max_bytes=10**12)
        return
    if kind == "redis":
        with redis_log() as log:
            yield log
        return
    with tempfile.TemporaryDirectory() as folder:
        yield SqliteLog(Path(folder) / "runs.db")


async def ours(flow: Workflow, n: int, log: EventLog) -> float:
    """Seconds from start to the published end; then the log is checked."""
    async with Engine(log) as engine:
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


def run_ours(flow: Workflow, n: int, kind: str) -> float:
    """Seconds of one run, on a log of its own."""
    with log_of(kind) as log:
        return timed(lambda: ours(flow, n, log))


def measure(name: str, n: int, pairs: int = PAIRS, log: str = "memory") -> dict[str, Any]:
    """One shape: medians in microseconds a task, and their ratio."""
    shape = SHAPES[name](n)
    flow = workflow_of(shape)
    bares, runs = [], []
    for _ in range(pairs):
        bares.append(timed(lambda: bare(shape)) / n * 1e6)
        runs.append(run_ours(flow, n, log) / n * 1e6)
    ratio = median(runs) / median(bares)
    return {
        "shape": name,
        "n": n,
        "bare_us": median(bares),
        "us": median(runs),
        "low": min(runs),
        "high": max(runs),
        "ratio": ratio,
        "ratios": [run / bare for run, bare in zip(runs, bares, strict=True)],
    }


def e1(quick: bool) -> Figure:
    """E1: with the memory log."""
    return overhead("E1", "memory", 10.0, quick)


def e2(quick: bool) -> Figure:
    """E2: with the SQLite log, where events are committed before they are published."""
    return overhead("E2", "sqlite", 14.0, quick)


def e9(quick: bool) -> Figure:
    """E9: with the log in Redis, in a process beside this one."""
    return overhead("E9", "redis", 25.0, quick)


def overhead(id: str, log: str, target: float, quick: bool) -> Figure:
    """All shapes, and the verdict on the geometric mean of their ratios and on the worst of them."""
    rows = [measure(name, TASKS, 2 if quick else PAIRS, log) for name in SHAPES]
    mean = geometric_mean(row["ratio"] for row in rows)
    worst = max(rows, key=lambda row: row["ratio"])
    pairs = [geometric_mean(ratios) for ratios in zip(*(row["ratios"] for row in rows), strict=True)]
    by_shape = ", ".join(f"{row['shape']} {row['us']:.1f} us = {row['ratio']:.1f} ×" for row in rows)
    bare_us = geometric_mean(row["bare_us"] for row in rows)
    return Figure(
        id=id,
        what=f"overhead, {log} log, n = {TASKS:,}, wide, chain and layers",
        value=geometric_mean(row["us"] for row in rows),
        unit="us/task",
        low=min(row["low"] for row in rows),
        high=max(row["high"] for row in rows),
        rounds=len(pairs),
        target=f"≤ {target:g} × bare",
        met=mean <= target and worst["ratio"] <= WORST * target,
        ratio=mean,
        against="bare asyncio",
        note=f"{by_shape}; pairs {min(pairs):.1f}-{max(pairs):.1f} ×",
        bars={"bare asyncio": bare_us, f"reactor, {log}": geometric_mean(row["us"] for row in rows)},
        details={"shapes": rows},
    )
