"""D1: what the frames of an event cost in each dialect, over the log of one run.

The run has 300 tasks, one after the other (``workloads.telling``). Each makes a tool call, says a chunk, a progress, a
log line, a cost and two events of its own. A round takes the log through one dialect after the other, each time as
events that nobody has decoded yet: a fold pays for reading their data, which the native dialect never does. Clients
share frames, so the cost is per event, not per client. The time is the processor's.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Sequence
from statistics import median
from time import process_time

from benchmarks.figure import Figure, spread
from benchmarks.workloads import telling
from reactor import Engine
from reactor.events.event import Event
from reactor.testing import read_all
from reactor_web import dialects
from reactor_web.dialects import Dialect

TASKS = 300
ROUNDS = 7
NATIVE = "native"


async def log_of(tasks: int) -> list[Event]:
    """The events of one run of ``telling``."""
    flow = telling()
    async with Engine(workflows=[flow]) as engine:
        run = await engine.start(flow, {"tasks": tasks})
        await run.send("speak", True)
        await run
        return await read_all(engine.log, run.id)


def made(dialect: Dialect, log: Sequence[Event]) -> tuple[float, int]:
    """Seconds of the processor that the frames of a log take, and how many they are."""
    events = [event.view() for event in log]
    gc.collect()
    began = process_time()
    state, _ = dialect.begin(events[0], "resume")
    frames = [dialect.step(state, event) for event in events]
    return process_time() - began, sum(frame.count(b"\n\n") for frame in frames)


def d1(quick: bool) -> Figure:
    """Microseconds an event, in the dearest dialect; the others stand beside it."""
    tasks, rounds = (60, 2) if quick else (TASKS, ROUNDS)
    log = asyncio.run(log_of(tasks))
    names = dialects.known()
    costs: dict[str, list[float]] = {name: [] for name in names}
    counts: dict[str, int] = {}
    for _ in range(rounds):
        for name in names:
            seconds, counts[name] = made(dialects.find(name), log)
            costs[name].append(seconds / len(log) * 1e6)
    medians = {name: median(costs[name]) for name in names}
    dearest = max(medians, key=medians.__getitem__)
    return Figure(
        id="D1",
        what=f"frames of an event in the dearest dialect, {dearest}",
        unit="us/event",
        **spread(costs[dearest]),
        target="none",
        met=None,
        ratio=medians[dearest] / medians[NATIVE],
        against=NATIVE,
        note="; ".join(f"{name} {medians[name]:.1f} us ({counts[name] / len(log):.2f} frames)" for name in names),
        bars=medians,
        details={"frames": counts, "events": len(log)},
    )
