"""E8: what subscribers in the same process cost that read the data of every event.

Layers of 2,000 no-op tasks on a memory log, with no subscriber, 1 and 10 of them, interleaved, each after a garbage
collection. Each subscriber gets views of its own over the shared bytes and decodes them for itself, so the price of
one is a constant per event and subscriber. The time ends when every subscriber has read the last event.
"""

from __future__ import annotations

import asyncio
import gc
from statistics import median
from time import perf_counter

from benchmarks.engine import workflow_of
from benchmarks.figure import Figure, spread
from benchmarks.shapes import layers
from reactor import Engine, Event, Workflow

TASKS = 2_000
EVENTS = 2 * TASKS + 2


def e8(quick: bool) -> Figure:
    """Microseconds an event and subscriber, from the median with 10 of them less that with none."""
    rounds = 3 if quick else 7
    flow = workflow_of(layers(TASKS))
    seconds: dict[int, list[float]] = {0: [], 1: [], 10: []}
    for _ in range(rounds + 1):
        for readers, taken in seconds.items():
            gc.collect()
            taken.append(asyncio.run(run_read(flow, readers)))
    alone, one, ten = (median(taken[1:]) for taken in seconds.values())  # the first round loads modules
    each = [(taken - alone) / EVENTS / 10 * 1e6 for taken in seconds[10][1:]]
    return Figure(
        id="E8",
        what="a subscriber that reads the data of every event, 10 of them",
        unit="us/event",
        **spread(each),
        target="a constant per subscriber",
        met=None,
        ratio=one / alone,
        against="one, to none",
        note=f"a run of {TASKS:,} tasks: {alone * 1e3:.0f} ms with none, {one * 1e3:.0f} with 1, "
        f"{ten * 1e3:.0f} with 10",
        bars={"none": alone, "1": one, "10": ten},
        details={str(readers): taken for readers, taken in seconds.items()},
    )


async def run_read(flow: Workflow, readers: int) -> float:
    """Seconds from the start until the run is awaited and every subscriber has read the whole of it."""
    ended: list[asyncio.Future[None]] = []
    async with Engine("memory://", workflows=[flow]) as engine:
        began = perf_counter()
        run = await engine.start(flow)
        for _ in range(readers):
            done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            ended.append(done)
            run.events.subscribe(read_data, done.set_exception, lambda done=done: done.set_result(None))
        await run
        await asyncio.gather(*ended)
        return perf_counter() - began


def read_data(event: Event) -> None:
    """Reads what a subscriber usually looks at."""
    event.data.get("duration_ms")
