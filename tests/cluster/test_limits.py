"""Limits over two nodes: each holds for both together, and nobody waits for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

import pytest

from reactor import Engine, Event, Limit, Run, Workflow
from tests.helpers.redis import RedisServer
from tests.helpers.runs import full_log, result, wait_until

RATE, PER = 3, 0.3


@asynccontextmanager
async def two(server: RedisServer, *flows: Workflow) -> AsyncIterator[tuple[Engine, Engine]]:
    url = server.url()
    async with Engine(url, workflows=flows, grace=0) as one, Engine(url, workflows=flows, grace=0) as other:
        yield one, other


def started(events: list[Event], task: str) -> list[float]:
    """When the attempts of a task began."""
    return [
        datetime.fromisoformat(event.time).timestamp()
        for event in events
        if event.type == "task.started" and event.task_id and event.task_id.startswith(f"{task}[")
    ]


async def both(engines: tuple[Engine, Engine], flow: Workflow) -> list[Run]:
    return [await engine.start(flow) for engine in engines]


@pytest.mark.parametrize("pool", [[], [Limit("pool", 2)]], ids=["alone", "with a pool"])
async def test_a_rate_holds_for_all_nodes(pool: list[Limit], server: RedisServer) -> None:
    """In any window of its length no more bodies start than it allows, on both nodes. Alone it keeps the order in a
    node; who waits for a place of a pool lets others have its start meanwhile."""
    flow = Workflow("calls")
    flow.task(lambda: list(range(5)), name="numbers")

    @flow.task(map="numbers", limits=[Limit("api", RATE, per=PER), *pool])
    async def call(numbers: int) -> int:
        return numbers

    async with two(server, flow) as engines:
        logs = [await full_log(engine, run) for engine, run in zip(engines, await both(engines, flow), strict=True)]
    for log in logs:
        order = [e.map_index for e in log if e.type == "task.started" and e.map_index is not None]
        assert sorted(order) == list(range(5))
        assert pool or order == sorted(order)
    times = sorted(time for log in logs for time in started(log, "call"))
    assert len(times) == 10
    for first, last in zip(times, times[RATE:], strict=False):
        assert last - first > PER - 0.001, "clocks differ by less"


async def test_the_concurrency_of_a_workflow_holds_for_all_nodes(server: RedisServer) -> None:
    """Bodies of it on both nodes together; those of another workflow are not counted, and are not kept waiting."""
    narrow, other, go = Workflow("narrow", concurrency=2), Workflow("other", concurrency=2), asyncio.Event()
    running = most = 0

    async def work() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await go.wait()
        running -= 1

    for n in range(3):
        narrow.task(work, name=f"work{n}")
    other.task(lambda: 1, name="one")

    async with two(server, narrow, other) as engines:
        runs = await both(engines, narrow)
        await wait_until(lambda: running == 2)
        for run in await both(engines, other):
            assert await result(run) == {"one": 1}
        go.set()
        for run in runs:
            await result(run)
    assert most == 2
