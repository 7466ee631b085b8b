"""The workflows of the soak, which ``reactor serve`` loads."""

from __future__ import annotations

import asyncio
import gc
import threading
import time

from reactor import Context, Retry, Workflow, tool

chain = Workflow("chain")
fan = Workflow("fan")
parent, child, grandchild = Workflow("parent"), Workflow("child"), Workflow("grandchild")
shaky = Workflow("shaky")
asking = Workflow("asking")
computed = Workflow("computed")
speaking = Workflow("speaking")
endless = Workflow("endless")
flood = Workflow("flood")
failing = Workflow("failing")
look = Workflow("look")

TEXT = "a line of text that says something, ü \u2028 "


@chain.task
async def first(ctx: Context, n: int = 3) -> list[int]:
    await ctx.log.info("begun", n=n)
    await ctx.progress(0.5)
    return list(range(n))


@chain.task
def second(first: list[int], ctx: Context) -> int:
    ctx.emit("soak.said", {"text": TEXT})
    return sum(first)


@chain.task
async def third(second: int) -> int:
    return second + 1


@fan.task
async def items(count: int = 100) -> list[int]:
    return list(range(count))


@fan.task(map="items", concurrency=20)
async def each(items: int, ctx: Context) -> int:
    await ctx.progress(0.5)
    await asyncio.sleep(0.001)
    return items


@fan.task(map="each")
def paired(each: int) -> int:
    return each


@parent.task(name="go")
async def go_parent(ctx: Context) -> int:
    found = await asyncio.gather(*(ctx.run("child", {"n": n}, key=f"c{n}") for n in range(3)))
    return sum(outputs["go"] for outputs in found)


@child.task(name="go")
async def go_child(n: int, ctx: Context) -> int:
    await ctx.spend(cost=0.1, tokens=3)
    return n + (await ctx.run("grandchild"))["go"]


@grandchild.task(name="go")
async def go_grandchild(ctx: Context) -> int:
    await ctx.emit("soak.said", {"text": TEXT})
    return 1


@shaky.task(retry=Retry(attempts=4, delay=0.02, jitter=0.0), timeout=5)
async def shake(ctx: Context) -> int:
    if ctx.attempt < 4:
        raise ConnectionError("told to fail")
    return ctx.attempt


@shaky.task(timeout=0.05, retry=2)
async def late(ctx: Context) -> int:
    if ctx.attempt == 1:
        await asyncio.Event().wait()
    return ctx.attempt


@asking.task
async def ask(ctx: Context) -> list[str]:
    return [await ctx.receive(f"question {n}?", schema=str, key=f"q{n}") for n in range(3)]


@asking.task
async def after(ask: list[str]) -> int:
    return len(ask)


@computed.task(executor="process")
def compute(ctx: Context, n: int = 10_000) -> int:
    ctx.emit("soak.said", {"text": TEXT})
    return sum(range(n))


@speaking.task
async def speak(ctx: Context, words: int = 40) -> str:
    """Says something of every kind, as an agent does."""
    async with ctx.tool_call("search", {"q": "reactor"}) as call:
        call.result = ["a", "b"]
    async with ctx.llm_call("some-model", estimated_cost=0.01) as called:
        for word in range(words):
            await ctx.chunk(f"word {word} ")
            await asyncio.sleep(0.002)
        called.cost, called.tokens = 0.02, words
    await ctx.log.info("spoken")
    return "done"


@endless.task
async def wait() -> None:
    await asyncio.Event().wait()


@endless.task
def spin(ctx: Context) -> None:
    while not ctx.cancelled:
        time.sleep(0.005)


@flood.task
async def pour(ctx: Context, blocks: int = 200) -> str:
    """Blocks of 20 KB, and an output of 200 KB."""
    for _ in range(blocks):
        await ctx.emit("soak.block", {"text": "x" * 20_000})
    return "y" * 200_000


@failing.task
async def works() -> int:
    return 1


@failing.task
async def fails(works: int) -> int:
    raise ValueError("told to fail")


@tool(name="soak.add")
def add(a: int, b: int) -> int:
    return a + b


@look.task
async def count() -> dict[str, int]:
    """What this process has, after a garbage collection."""
    gc.collect()
    return {"tasks": len(asyncio.all_tasks()), "threads": threading.active_count(), "objects": len(gc.get_objects())}
