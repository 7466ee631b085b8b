"""The workflows of the load. Each body notes its effects; what it notes as ``done`` is what it returns.

All take ``tenant``, because a body does not know whose run it is in, and two tenants have runs of the same ids.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any

from reactor import Context, Retry, Workflow
from tests.crash.oracle import DONE, note

ITEMS = 6
PRICE = 0.25
"""What each spending costs."""
LIMIT = 2.0
"""The budget of ``spends``, which asks for more."""


def noted(ctx: Context, tenant: str, step: str, value: Any, when: str = "after") -> Any:
    note(when, f"{tenant}/{ctx.run_id}", ctx.task_id, ctx.attempt, step, value)
    return value


async def effect(ctx: Context, tenant: str, step: str, value: Any, seconds: float = 0.002) -> Any:
    """Something that is done to the world outside, and takes its time."""
    noted(ctx, tenant, step, value, "before")
    await asyncio.sleep(seconds)
    return noted(ctx, tenant, step, value)


def blocking_effect(ctx: Context, tenant: str, step: str, value: Any, seconds: float = 0.002) -> Any:
    noted(ctx, tenant, step, value, "before")
    time.sleep(seconds)
    return noted(ctx, tenant, step, value)


# --- a chain and a map, on the loop and in threads; retries with delays, a timeout --------------------------------

graph = Workflow("graph")


@graph.task
async def items(tenant: str, ctx: Context) -> list[int]:
    return await effect(ctx, tenant, DONE, list(range(ITEMS)))


@graph.task(map="items", concurrency=3)
async def measure(items: int, tenant: str, ctx: Context) -> int:
    await ctx.progress(0.5)
    await effect(ctx, tenant, "measure", items)
    await spend(ctx, tenant, "measured")
    return await effect(ctx, tenant, DONE, items * 10)


@graph.task(map="measure", concurrency=2)
def pair(measure: int, tenant: str, ctx: Context) -> tuple[int, str]:
    blocking_effect(ctx, tenant, DONE, [measure + 1, str(measure)])
    return measure + 1, str(measure)


@dataclass
class Point:
    x: int
    y: tuple[int, str]


@graph.task
async def point(items: list[int], tenant: str, ctx: Context) -> Point:
    await effect(ctx, tenant, DONE, {"x": len(items), "y": [1, "one"]})
    return Point(len(items), (1, "one"))


@graph.task
def opaque(items: list[int], tenant: str, ctx: Context):  # type: ignore[no-untyped-def]  # nothing restores a set
    blocking_effect(ctx, tenant, DONE, sorted(items))
    return set(items)


@graph.task(retry=Retry(attempts=4, delay=0.02, jitter=0.0))
async def shaky(items: list[int], tenant: str, ctx: Context) -> str:
    await effect(ctx, tenant, "try", ctx.attempt)
    if ctx.attempt < 3:
        raise ConnectionError("told to fail")
    return await effect(ctx, tenant, DONE, "at last")


@graph.task(timeout=0.05, retry=Retry(attempts=3, delay=0.0, jitter=0.0))
async def late(items: list[int], tenant: str, ctx: Context) -> str:
    await effect(ctx, tenant, "try", ctx.attempt)
    if ctx.attempt == 1:
        await asyncio.Event().wait()
    return await effect(ctx, tenant, DONE, "in time", 0.0)


@graph.task(when=lambda items: len(items) > ITEMS)
async def left_out(items: list[int], tenant: str, ctx: Context) -> None:
    raise AssertionError


@graph.task
async def fails(items: list[int], tenant: str, ctx: Context) -> int:
    await effect(ctx, tenant, "fails", None)
    raise ValueError("told to fail")


@graph.task(on_upstream_failure="run")
async def total(
    pair: list[tuple[int, str]], point: Point, opaque: Any, shaky: str, late: str | None, fails: int | None,
    tenant: str, ctx: Context,
) -> dict[str, Any]:  # fmt: skip
    """Whatever life its upstreams ran in, it is given what they returned; ``late`` may be so in all its attempts."""
    wanted = [(item * 10 + 1, str(item * 10)) for item in range(ITEMS)]
    assert pair == wanted
    assert {type(one) for one in pair} == {tuple}
    assert (point, opaque, shaky, fails) == (Point(ITEMS, (1, "one")), set(range(ITEMS)), "at last", None)
    assert ctx.upstreams["fails"].error == {"type": "ValueError", "message": "told to fail"}
    return await effect(ctx, tenant, DONE, {"sum": sum(number for number, _ in pair), "late": late})


async def spend(ctx: Context, tenant: str, step: str) -> None:
    """Pays, and then says so: what was said and is in the log was paid."""
    noted(ctx, tenant, f"pay:{step}", PRICE)
    await ctx.spend(cost=PRICE, tokens=1)


# --- what is in the log before a body goes on ---------------------------------------------------------------------

commits = Workflow("commits")
SAYINGS = 8


@commits.task
async def say(tenant: str, ctx: Context) -> int:
    for number in range(SAYINGS):
        saying = f"{ctx.run_id}/{ctx.attempt}/{number}"
        await ctx.emit("crash.said", {"saying": saying})
        await ctx.committed()
        noted(ctx, tenant, f"committed:{number}", saying)
    return await effect(ctx, tenant, DONE, SAYINGS)


# --- questions, child runs and their child runs --------------------------------------------------------------------

asks, below, deepest = Workflow("asks"), Workflow("below"), Workflow("deepest")


async def ask(ctx: Context, tenant: str, child: str | None) -> list[Any]:
    first = await ctx.receive("first?", schema=str, key="first")
    await effect(ctx, tenant, "answer:first", first)
    found: Any = None
    if child is not None:
        outputs = await ctx.run(child, {"tenant": tenant})
        found = await effect(ctx, tenant, "child", outputs["ask"])
    await spend(ctx, tenant, "asked")
    second = await ctx.receive("second?", schema=str)
    await effect(ctx, tenant, "answer:2", second)
    return await effect(ctx, tenant, DONE, [first, found, second])


@asks.task(name="ask", retry=Retry(attempts=2, delay=0.01))
async def ask_first(tenant: str, ctx: Context) -> list[Any]:
    answer = await ask(ctx, tenant, "below")
    if ctx.attempt == 1:
        raise ConnectionError("told to fail, with both answers")
    return answer


@below.task(name="ask")
async def ask_below(tenant: str, ctx: Context) -> list[Any]:
    return await ask(ctx, tenant, "deepest")


@deepest.task(name="ask")
async def ask_deepest(tenant: str, ctx: Context) -> list[Any]:
    return await ask(ctx, tenant, None)


# --- money ---------------------------------------------------------------------------------------------------------

spends = Workflow("spends")


@spends.task
async def buy(tenant: str, ctx: Context) -> None:
    for number in range(int(LIMIT / PRICE) + 4):
        await spend(ctx, tenant, str(number))
        await ctx.committed()
        await asyncio.sleep(0.001)  # where the budget takes hold


# --- bodies in processes, and one that has to be stopped -------------------------------------------------------------

processes = Workflow("processes")


@processes.task(executor="process")
def compute(tenant: str, ctx: Context) -> int:
    blocking_effect(ctx, tenant, "compute", 1)
    ctx.emit("crash.computed", {"by": ctx.task_id})
    return blocking_effect(ctx, tenant, DONE, 42)


@processes.task
async def collect(compute: int, tenant: str, ctx: Context) -> int:
    return await effect(ctx, tenant, DONE, compute)


endless = Workflow("endless")


@endless.task
async def wait(tenant: str, ctx: Context) -> None:
    noted(ctx, tenant, "begun", None)
    await asyncio.Event().wait()


@endless.task
def spin(tenant: str, ctx: Context) -> None:
    noted(ctx, tenant, "begun", None)
    while not ctx.cancelled:
        time.sleep(0.001)


ALL = [graph, commits, asks, below, deepest, spends, processes, endless]
