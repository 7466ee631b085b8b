"""E5: 1,000 runs of 10 tasks at once, against one run of the same 10,000 tasks: 1,000 chains of 10 in both."""

from __future__ import annotations

import asyncio
from time import perf_counter

from benchmarks.engine import log_of, ours, timed, workflow_of
from benchmarks.figure import Figure, spread
from benchmarks.shapes import Shape, chain
from reactor import Engine, Workflow
from reactor.ports.log import EventLog
from reactor.testing import read_all

RUNS = 1_000
LENGTH = 10
TARGET = 0.8


def chains(count: int) -> Shape:
    """``count`` chains of ten in one graph."""
    return [[] if i % LENGTH == 0 else [i - 1] for i in range(count * LENGTH)]


def e5(quick: bool) -> Figure:
    """Tasks per second of the runs, over those of the single run."""
    count, rounds = (200, 2) if quick else (RUNS, 5)
    single_flow, flow = workflow_of(chains(count)), workflow_of(chain(LENGTH))
    tasks = count * LENGTH
    single: list[float] = []
    many: list[float] = []
    for _ in range(rounds):
        with log_of("memory") as log:
            single.append(tasks / timed(lambda log=log: ours(single_flow, tasks, log)))
        with log_of("memory") as log:
            many.append(tasks / timed(lambda log=log: concurrent(flow, count, log)))
    ratio = spread(many)["value"] / spread(single)["value"]
    return Figure(
        id="E5",
        what=f"{count:,} concurrent runs of {LENGTH} tasks",
        unit="tasks/s",
        **spread(many),
        target=f"≥ {TARGET:g} of one run's rate",
        met=ratio >= TARGET,
        ratio=ratio,
        against="one run",
        note=f"one run of {tasks:,} tasks {spread(single)['value']:,.0f}/s, "
        f"{1e6 * LENGTH * (1 / spread(many)['value'] - 1 / spread(single)['value']):.0f} us more a run",
        bars={"one run": spread(single)["value"], "reactor": spread(many)["value"]},
    )


async def concurrent(flow: Workflow, count: int, log: EventLog) -> float:
    """Seconds from the first start to the last end; then every log is checked."""
    async with Engine(log) as engine:
        began = perf_counter()
        runs = await asyncio.gather(*(engine.start(flow) for _ in range(count)))
        await asyncio.gather(*(run.ended() for run in runs))
        seconds = perf_counter() - began
        for run in runs:
            events = await read_all(engine.log, run.id)
            assert [event.seq for event in events] == list(range(1, 2 * LENGTH + 3)), "a log is not complete"
    return seconds
