"""The workflows that the server serves while it is measured."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from benchmarks.shapes import layers
from reactor import Context, Workflow

GRAPH_TASKS = 5_000


async def noop() -> None:
    """A task that costs nothing."""


def speaking() -> Workflow:
    """One task: it waits for a value, then emits ``events`` in bursts, ``pause`` seconds or a loop turn apart."""
    flow = Workflow("speaking")

    @flow.task
    async def speak(events: int, burst: int, pause: float, ctx: Context) -> int:
        await ctx.receive("go?")
        for first in range(0, events, burst):
            for index in range(first, min(first + burst, events)):
                await ctx.emit("step.made", {"index": index})
            await asyncio.sleep(pause)
        return events

    return flow


def ticking() -> Workflow:
    """``count`` tasks that all start at once and complete one after the other, every ``period`` seconds."""
    flow = Workflow("ticking")

    @flow.task
    async def speak(count: int, ctx: Context) -> list[int]:
        await ctx.receive("go?")
        return list(range(count))

    @flow.task(map="speak")
    async def tick(speak: int, period: float) -> None:
        await asyncio.sleep(1.0 + speak * period)

    return flow


def telling() -> Workflow:
    """A map whose ``tasks`` children say something of every kind, one child after the other, a loop turn apart."""
    flow = Workflow("telling")

    @flow.task
    async def speak(tasks: int, ctx: Context) -> list[int]:
        await ctx.receive("go?")
        return list(range(tasks))

    @flow.task(map={"item": "speak"}, concurrency=1)
    async def say(item: int, ctx: Context) -> dict[str, int]:
        async with ctx.tool_call("search", {"q": f"number {item}"}) as call:
            await asyncio.sleep(0)
            call.result = [item]
        await _turn(ctx.chunk("a few words of a longer text "))
        await _turn(ctx.progress(0.5, "half of it is done"))
        await _turn(ctx.log.info("found", count=item))
        await _turn(ctx.spend(cost=0.01, tokens=10))
        await _turn(ctx.emit("step.made", {"count": item, "text": "x" * 40}))
        await _turn(ctx.emit("step.made", {"count": item + 1, "text": "x" * 40}))
        return {"lines": item}

    return flow


async def _turn(said: Awaitable[object]) -> None:
    await said
    await asyncio.sleep(0)


def graph(n: int = GRAPH_TASKS) -> Workflow:
    """Layers of no-op tasks: what E6 follows."""
    flow = Workflow("graph")
    for i, upstreams in enumerate(layers(n)):
        flow.task(noop, name=f"t{i}", after=[f"t{upstream}" for upstream in upstreams])
    return flow


def lines() -> list[Workflow]:
    """The chains of no-op tasks that E7 watches, and the same behind a task that waits for a value."""
    return [flow for tasks in (300, 1_000, 2_000, 20_000) for flow in (_line(f"chain-{tasks}", tasks), _gated(tasks))]


def _gated(tasks: int) -> Workflow:
    flow = Workflow(f"gated-{tasks}")

    @flow.task(name="gate")
    async def wait(ctx: Context) -> None:
        await ctx.receive("go?")

    return _add_line(flow, tasks, ["gate"])


def _line(name: str, tasks: int) -> Workflow:
    return _add_line(Workflow(name), tasks, [])


def _add_line(flow: Workflow, tasks: int, after: list[str]) -> Workflow:
    for index in range(tasks):
        flow.task(noop, name=f"t{index}", after=after)
        after = [f"t{index}"]
    return flow
