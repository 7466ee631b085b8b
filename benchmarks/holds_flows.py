"""The workflows and tools of the server of ``holds``, and the runs that make its answers large."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated, Any, Final

from pydantic import Field

from benchmarks.holds_asked import ASKED, Branch, Order
from reactor import Context, Engine, Run, Workflow, tool

WORKFLOWS: Final = 500
LISTED: Final = 1_000
CHILDREN: Final = 1_000
EVENTS: Final = 1_500
"""Of 40 KB each."""

small = Workflow("small")


@small.task
async def idle() -> None:
    """Takes nothing and makes nothing."""


inputs = Workflow("inputs")


@inputs.task
async def take(
    anything: Any = None,
    pattern: Annotated[str, Field(pattern=r"^(a+)+$")] = "a",
    order: Order | None = None,
    branch: Branch | None = None,
    numbers: list[int] | None = None,
    names: dict[str, int] | None = None,
    unique: set[str] | None = None,
    floats: list[float] | None = None,
    either: list[int | str | bool | list[int] | dict[str, str] | None] | None = None,
) -> None:
    """Takes all that can be sent."""


asking = Workflow("asking")


def _asks(schema: Any) -> Callable[..., Any]:
    async def ask(ctx: Context) -> None:
        while True:
            await ctx.receive(schema=schema)

    return ask


for _name, _asked in ASKED.items():
    asking.task(_asks(_asked.schema), name=_name)

waiting = Workflow("waiting")


@waiting.task
async def wait(ctx: Context) -> Any:
    return await ctx.receive("go on?", key="go")


wide = Workflow("wide")


@wide.task
async def numbers_of(count: int) -> list[int]:
    return list(range(count))


@wide.task(map={"item": "numbers_of"})
async def each(item: int) -> int:
    return item


@wide.task
async def last(stays: bool, each: list[int], ctx: Context) -> list[int]:
    if stays:
        await ctx.receive("go on?", key="go")
    return each


def graph_of(tasks: int) -> Workflow:
    """So many tasks in chains of 100."""
    graph = Workflow("graph")
    for number in range(tasks):
        graph.task(idle.function, name=f"task_{number}", after=[f"task_{number - 1}"] if number % 100 else [])
    return graph


loud = Workflow("loud")


@loud.task
async def shout(ctx: Context) -> None:
    for number in range(EVENTS):
        await ctx.emit("block.made", {"text": "x" * 40_000, "number": number})
        await ctx.log.info("x" * 1_000)
    await ctx.receive("go on?", key="go")


family = Workflow("family")


@family.task
async def bear(ctx: Context) -> None:
    for first in range(0, CHILDREN, 50):
        await asyncio.gather(*(ctx.run(small, {}, key=f"child-{n}") for n in range(first, first + 50)))
    await ctx.receive("go on?", key="go")


curious = Workflow("curious")


@curious.task
async def asks_much(ctx: Context) -> None:
    """100 open questions of 30 KB each."""
    await asyncio.gather(*(ctx.receive("x" * 30_000, key=f"question-{n}") for n in range(100)))


big = Workflow("big")


@big.task
async def make(megabytes: int) -> list[str]:
    return ["x" * 100 for _ in range(megabytes * 10_000)]


@tool(name="holds.echo")
def echo(value: Any = None, number: int = 0, names: list[str] | None = None) -> Any:
    """Gives back what it is given."""
    return value


FLOWS: Final = (small, inputs, asking, waiting, wide, loud, family, curious, big)


def others() -> list[Workflow]:
    """Workflows that only make lists of workflows long."""
    made: list[Workflow] = []
    for number in range(WORKFLOWS):
        flow = Workflow(f"other_{number}")
        flow.task(take.function, name="take")
        flow.task(idle.function, name="idle")
        made.append(flow)
    return made


async def prepare(engine: Engine, *, quick: bool) -> None:
    """Starts the runs that requests are about."""
    part = 20 if quick else 1
    await engine.start(asking, {}, run_id="asking")
    await engine.start(waiting, {}, run_id="waiting", meta={"chat": "waiting"})
    for first in range(0, LISTED, 100):  # first of all: the log in memory forgets the oldest of so many
        started = [await engine.start(small, {}, run_id=f"listed-{n}") for n in range(first, first + 100)]
        for run in started:
            await run
    await engine.session("session")
    await engine.start(wide, {"count": 50_000 // part, "stays": True}, run_id="wide")
    ended = await engine.start(wide, {"count": 50_000 // part, "stays": False}, run_id="wide-ended")
    shown = await engine.start("graph", {}, run_id="graph-ended")
    large = await engine.start(big, {"megabytes": 8}, run_id="big-ended")
    for run in (ended, shown, large):
        await run
    await engine.start(loud, {}, run_id="loud")
    parent = await engine.start(family, {}, run_id="family")
    await engine.start(curious, {}, run_id="curious")
    await _asked(parent)


async def _asked(run: Run) -> None:
    async for event in run:
        if event.type == "task.waiting":
            return
