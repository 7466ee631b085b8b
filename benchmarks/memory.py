"""E4: what a finished task costs an open run, from the operating system.

A process of its own runs layers of no-op tasks, and one task that does not end. The log is SQLite, so that its events
are not counted. The figure is the growth of resident bytes from the start of the run to the end of its last but one
task, after a garbage collection, divided by the number of tasks; so the definition and a small run before do not count.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import tempfile
from pathlib import Path

from benchmarks.child import Child, rss
from benchmarks.engine import bare, ours, workflow_of
from benchmarks.figure import Figure, spread
from benchmarks.shapes import layers
from benchmarks.workloads import noop
from reactor import Engine, Run, Workflow
from reactor.logs.sqlite.log import SqliteLog

TASKS = 40_000
TARGET_KB = 2.0
WARM_UP = 1_000


def e4(quick: bool) -> Figure:
    """KB per finished task."""
    tasks, rounds = (10_000, 1) if quick else (TASKS, 3)
    kept = [kb(tasks, "open") for _ in range(rounds)]
    plain = kb(tasks, "bare")
    return Figure(
        id="E4",
        what=f"memory per finished task in an open run, {tasks:,} tasks",
        unit="KB",
        **spread(kept),
        target=f"≤ {TARGET_KB:g} KB",
        met=spread(kept)["value"] <= TARGET_KB,
        ratio=spread(kept)["value"] / plain if plain > 0.01 else None,
        against="bare asyncio",
        note=f"bare asyncio {plain:.2f} KB: its counters and what the allocator keeps",
        bars={"reactor": spread(kept)["value"]},
    )


def kb(tasks: int, kind: str) -> float:
    """KB per finished task, measured in a process of its own."""
    with Child.module("memory", str(tasks), kind) as child:
        return child.answer() / tasks / 1024


async def grown(tasks: int) -> int:
    """The bytes by which this process grew while ``tasks`` tasks finished and the run stayed open."""
    flow = Workflow("open")
    for i, upstreams in enumerate(layers(tasks)):
        flow.task(noop, name=f"t{i}", after=[f"t{upstream}" for upstream in upstreams])
    stop = asyncio.Event()
    flow.task(stop.wait, name="last")
    flow.validate()
    with tempfile.TemporaryDirectory() as folder:
        await ours(workflow_of(layers(WARM_UP)), WARM_UP, SqliteLog(Path(folder) / "warm.db"))
        async with Engine(SqliteLog(Path(folder) / "runs.db")) as engine:
            gc.collect()
            before = rss(os.getpid())
            run = await engine.start(flow)
            await finished(run, tasks)
            gc.collect()
            after = rss(os.getpid())
            stop.set()
            await run
    return after - before


async def finished(run: Run, tasks: int) -> None:
    """Until so many have completed."""
    async for _ in run:
        if run.state.completed >= tasks:
            return


async def grown_bare(tasks: int) -> int:
    """The bytes by which this process grew with plain asyncio, whose counters stay until it returns."""
    shape = layers(tasks)
    await bare(layers(WARM_UP))
    gc.collect()
    before = rss(os.getpid())
    await bare(shape)
    return rss(os.getpid()) - before


if __name__ == "__main__":
    print(asyncio.run((grown if sys.argv[2] == "open" else grown_bare)(int(sys.argv[1]))))
