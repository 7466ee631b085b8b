"""Large values and many of a kind: what holds the loop, and what grows with the square of a size.

    $ .venv/bin/python -m benchmarks.large [--quick] [--json FILE] [--only sends,map]

Each row is a figure of the engine alone, at two sizes. What costs the same for the last as for the first has the same
figure in both columns. A hold is the processor's time of the longest callback of the loop, so that it does not depend
on what else runs on the machine; all other times are of the processor, too, except where processes work.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from time import perf_counter, process_time, thread_time
from typing import Any, NamedTuple

import orjson
from aiohttp.test_utils import TestClient, TestServer
from pydantic import BaseModel

from reactor import Context, Engine, Workflow
from reactor.events.event import Event
from reactor.logs.memory import MemoryLog
from reactor_web import create_app


class Row(NamedTuple):
    """What was measured, at the smaller and at the larger size."""

    what: str
    unit: str
    sizes: tuple[int, int]
    figures: tuple[float, float]


class CountingLog(MemoryLog):
    """Counts its reads, and the events that they give."""

    reads = 0
    events_read = 0

    async def read(self, run_id: str, after: int, limit: int, *, tenant: str = "") -> list[Event]:
        events = await super().read(run_id, after, limit, tenant=tenant)
        self.reads += 1
        self.events_read += len(events)
        return events


class Point(BaseModel):
    x: float
    y: float
    name: str


class Holds:
    """Measures each callback of the loop while it is entered: ``longest``, in milliseconds of the processor."""

    longest = 0.0

    def __enter__(self) -> Holds:
        run = self._run = asyncio.Handle._run  # pyright: ignore[reportPrivateUsage]  # there is no other place

        def measured(handle: asyncio.Handle) -> None:
            began = thread_time()
            run(handle)
            self.longest = max(self.longest, 1000 * (thread_time() - began))

        asyncio.Handle._run = measured  # pyright: ignore[reportPrivateUsage]
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.Handle._run = self._run  # pyright: ignore[reportPrivateUsage]


flow = Workflow("large")


@flow.task
def items(count: int, chars: int) -> list[str]:
    return [f"{i:08}" * (chars // 8) for i in range(count)]


@flow.task(map={"item": "items"}, executor="process")
def length(item: str, ctx: Context) -> int:
    return len(item) + ctx.attempt


wide = Workflow("wide")


@wide.task
def numbers(count: int) -> list[int]:
    return list(range(count))


@wide.task(map={"number": "numbers"})
async def same(number: int) -> int:
    return number


asks = Workflow("asks")


@asks.task
async def ask_all(count: int, ctx: Context) -> None:
    await asyncio.gather(*(ctx.receive("go on?", key=f"k{i}") for i in range(count)))


in_turn = Workflow("in-turn")


@in_turn.task
async def ask_in_turn(count: int, ctx: Context) -> None:
    for i in range(count):
        await ctx.receive("go on?", key=f"k{i}")


def returning(make: Callable[[], Any], annotation: Any = Any) -> Workflow:
    """A workflow whose task returns what was made before: that is not the time of the engine."""
    made = make()

    async def give() -> Any:
        return made

    give.__annotations__["return"] = annotation
    workflow = Workflow("returning")
    workflow.task(give)
    return workflow


# --- the rows ---


async def in_processes(count: int) -> float:
    """Milliseconds an item of a map in processes whose bodies have a Context; the list is 1 KB an item."""
    async with Engine(workflows=[flow]) as engine:
        await (await engine.start(flow, {"count": 4, "chars": 8}))  # the processes have started
        began = perf_counter()
        await (await engine.start(flow, {"count": count, "chars": 1_000}))
        return 1000 * (perf_counter() - began) / count


def hold_of(make: Callable[[int], Any], annotation: Any = Any) -> Callable[[int], Awaitable[float]]:
    async def measure(size: int) -> float:
        workflow = returning(lambda: make(size), annotation)
        async with Engine() as engine:
            gc.collect()
            gc.disable()
            try:
                with Holds() as holds:
                    await (await engine.start(workflow)).ended()
            finally:
                gc.enable()
            return holds.longest

    return measure


@asynccontextmanager
async def ended_run(count: int) -> AsyncIterator[tuple[CountingLog, str]]:
    """A wide run in the log, that no engine has in memory."""
    log = CountingLog()
    async with Engine(log, workflows=[wide]) as engine:
        run = await engine.start(wide, {"count": count})
        await run.ended()
    yield log, run.id


async def first_gets(count: int) -> float:
    """Events that are read for thirty who ask at once for one ended run, for each event of it."""
    async with ended_run(count) as (log, run_id), Engine(log, workflows=[wide]) as engine:
        log.events_read = 0
        runs = await asyncio.gather(*(engine.get(run_id) for _ in range(30)))
        return log.events_read / runs[0].feed.last_seq


async def output_reads(count: int) -> float:
    """Reads of the log for the output of a map, for a thousand children."""
    async with ended_run(count) as (log, run_id), Engine(log, workflows=[wide]) as engine:
        run = await engine.get(run_id)
        log.reads = 0
        assert len(orjson.loads(await run.output("same"))) == count
        return 1000 * log.reads / count


async def snapshot_hold(count: int) -> float:
    async with ended_run(count) as (log, run_id), TestClient(TestServer(create_app(Engine(log), [wide]))) as client:
        url = f"/api/v1/runs/{run_id}"
        await (await client.get(f"{url}?dialect=agents")).read()
        with Holds() as holds:
            await (await client.get(f"{url}/events?snapshot=1", headers={"Accept": "application/json"})).read()
        return holds.longest


async def sends(workflow: Workflow, task: str, count: int) -> float:
    """Microseconds of the last tenth of so many answers to one task."""
    async with Engine(workflows=[workflow]) as engine:
        run = await engine.start(workflow, {"count": count})
        spent = 0.0
        for i in range(count):
            while f"k{i}" not in (run.feed.state.tasks[task].asked or {}):  # noqa: ASYNC110  # for a turn or two
                await asyncio.sleep(0)
            began = process_time()
            await run.send(task, None, key=f"k{i}")
            if i >= count - count // 10:
                spent += process_time() - began
        await run
        return 1e6 * spent / (count // 10)


async def waits(count: int) -> float:
    """Microseconds of the last tenth of so many ``engine.wait_for``."""
    async with Engine() as engine:
        waiting = [engine.wait_for(f"r{i}") for i in range(count - count // 10)]
        began = process_time()
        waiting += [engine.wait_for(f"s{i}") for i in range(count // 10)]
        spent = process_time() - began
        for one in waiting:
            one.cancel()
        return 1e6 * spent / (count // 10)


async def last_page(count: int) -> float:
    """Microseconds of the last page of twenty of so many open runs in memory."""
    async with Engine() as engine:
        sessions = [await engine.session(f"s{i}") for i in range(count)]
        began = process_time()
        for _ in range(20):
            assert len(await engine.list(before="s20", limit=20)) == 20
        spent = process_time() - began
        for session in sessions:
            await session.close()
        return 1e6 * spent / 20


Measure = Callable[[int], Awaitable[float]]

ROWS: dict[str, tuple[str, str, tuple[int, int], Measure]] = {
    "map": ("a map in processes with `ctx`, 1 KB an item", "ms an item", (100, 800), in_processes),
    "ints": ("an output of n numbers", "ms held", (500_000, 5_000_000), hold_of(lambda n: list(range(n)))),
    "rows": (
        "an output of n objects of three members",
        "ms held",
        (30_000, 300_000),
        hold_of(lambda n: [{"id": i, "name": f"n{i}", "value": i / 7} for i in range(n)]),
    ),
    "models": (
        "an output of n models, `list[Point]`",
        "ms held",
        (10_000, 100_000),
        hold_of(lambda n: [Point(x=i / 3, y=i, name=f"n{i}") for i in range(n)], list[Point]),
    ),
    "odd": ("an output of n tuples without annotation", "ms held", (10_000, 100_000), hold_of(lambda n: [(1, 2)] * n)),
    "text": ("a text of n characters", "ms held", (10_000_000, 100_000_000), hold_of(lambda n: "x" * n)),
    "snapshot": ("`snapshot=1` of a run of n tasks", "ms held", (5_000, 40_000), snapshot_hold),
    "gets": ("thirty first GETs of a run of n tasks", "events read for each of it", (1_000, 10_000), first_gets),
    "output": ("the output of a map of n", "reads for 1,000", (1_000, 40_000), output_reads),
    "sends": (
        "an answer, n questions asked one after the other",
        "us",
        (400, 4_000),
        lambda n: sends(in_turn, "ask_in_turn", n),
    ),
    "open": ("an answer, n questions open at once", "us", (400, 4_000), lambda n: sends(asks, "ask_all", n)),
    "waits": ("`wait_for`, n waiting", "us", (100, 1_000), waits),
    "page": ("the last page of n open runs, in memory", "us", (400, 4_000), last_page),
}


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.large", description="Large values, and many of a kind.")
    parser.add_argument("--only", default=",".join(ROWS), help="rows, by comma: map,ints")
    parser.add_argument("--quick", action="store_true", help="a tenth of the sizes: to see that it works")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args()
    arguments.only = arguments.only.split(",")
    if unknown := [name for name in arguments.only if name not in ROWS]:
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(ROWS)}")
    return arguments


def main() -> int:
    arguments = parse()
    rows: list[Row] = []
    print("| | | n | figure | n | figure |\n|---|---|---|---|---|---|")
    for name in arguments.only:
        what, unit, sizes, measure = ROWS[name]
        few, many = (max(20, size // 10) for size in sizes) if arguments.quick else sizes
        figures = asyncio.run(_value(measure, few)), asyncio.run(_value(measure, many))
        rows.append(Row(what, unit, (few, many), figures))
        print(f"| {what} | {unit} | {few:,} | {figures[0]:.3g} | {many:,} | {figures[1]:.3g} |", flush=True)
    if arguments.json:
        arguments.json.write_bytes(orjson.dumps([row._asdict() for row in rows], option=orjson.OPT_INDENT_2))
    return 0


async def _value(measure: Measure, size: int) -> float:
    return await measure(size)


if __name__ == "__main__":
    sys.exit(main())
