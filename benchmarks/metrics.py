"""What ``/metrics`` costs: ``python -m benchmarks.metrics [--pairs N] [--quick]``.

E1 (microseconds a task, memory log) and S1 (1,000 clients, one event a loop turn), each without and with metrics, by
turns, in processor time: other load on the machine changes it little. For each the median of the ratios of the pairs;
the target is at most 5 % more.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
from collections.abc import Callable
from statistics import geometric_mean, median
from time import process_time

from benchmarks.engine import TASKS, log_of, workflow_of
from benchmarks.fanout import CLIENTS, EVENTS, QUICK_CLIENTS
from benchmarks.served import measured, plan_of, server
from benchmarks.shapes import SHAPES
from reactor import Engine, Workflow
from reactor_web.metrics.gathered import Metrics

MOST = 1.05
"""The target."""


def of_task(flow: Workflow, tasks: int, *, counts: bool) -> float:
    """Microseconds of processor time a task of one run."""

    async def run() -> float:
        with log_of("memory") as log:
            engine = Engine(log, workflows=[flow])
            if counts:
                Metrics().add(engine)
            async with engine:
                began = process_time()
                run = await engine.start(flow)
                await run
                assert run.state.completed == tasks
                return (process_time() - began) / tasks * 1e6

    gc.collect()
    return asyncio.run(run())


def of_delivery(clients: int, events: int, *, counts: bool) -> float:
    """Microseconds of the server's processor time an event that one client is sent."""
    with server("reactor", env={} if counts else {"BENCH_METRICS": "off"}) as served:
        result = measured(served, {**plan_of("reactor", served.port, events, 1), "clients": clients})
    return (result["user"] + result["system"]) / result["delivered"] * 1e6


def ratio(measure: Callable[[bool], float], pairs: int) -> tuple[float, float, float]:
    """The medians without and with, and the median of the ratios. The first pair is not counted."""
    without, counted = list[float](), list[float]()
    for n in range(pairs + 1):
        for counts in (False, True) if n % 2 else (True, False):
            (counted if counts else without).append(measure(counts))
    ratios = [more / less for less, more in zip(without[1:], counted[1:], strict=True)]
    return median(without[1:]), median(counted[1:]), median(ratios)


def e1(pairs: int, tasks: int) -> dict[str, object]:
    """All three shapes."""
    found: dict[str, tuple[float, float, float]] = {}
    for name, shape in SHAPES.items():
        flow = workflow_of(shape(tasks))
        found[name] = ratio(lambda counts, flow=flow: of_task(flow, tasks, counts=counts), pairs)
    mean = geometric_mean(ratio for _, _, ratio in found.values())
    shapes = {name: [round(number, 3) for number in numbers] for name, numbers in found.items()}
    return {"id": "E1", "ratio": round(mean, 3), "met": mean <= MOST, "unit": "us a task", "shapes": shapes}


def s1(pairs: int, clients: int, events: int) -> dict[str, object]:
    """A server process, and its load program."""
    less, more, found = ratio(lambda counts: of_delivery(clients, events, counts=counts), pairs)
    numbers = {"without": round(less, 3), "with": round(more, 3)}
    return {"id": "S1", "ratio": round(found, 3), "met": found <= MOST, "unit": "us a delivery", **numbers}


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.metrics", description="What counting costs.")
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--quick", action="store_true", help="small sizes: to see that it works, not to judge")
    parser.add_argument("--only", choices=["E1", "S1"])
    given = parser.parse_args()
    if given.only != "S1":
        print(json.dumps(e1(given.pairs, 500 if given.quick else TASKS)), flush=True)
    if given.only != "E1":
        clients = QUICK_CLIENTS if given.quick else CLIENTS
        print(json.dumps(s1(given.pairs, clients, EVENTS // 3 if given.quick else EVENTS)), flush=True)


if __name__ == "__main__":
    main()
