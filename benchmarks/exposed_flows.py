"""The workflows of ``exposed``, which ``reactor serve`` loads."""

from __future__ import annotations

import asyncio
import gc
from time import time

from reactor import Context, Workflow

pulse = Workflow("pulse")
quiet = Workflow("quiet")
flood = Workflow("flood")
small = Workflow("small")
look = Workflow("look")


@pulse.task
async def beat(seconds: float, per_second: int, ctx: Context) -> None:
    """Says when each event was due: one that is late because the loop was held is late for its clients."""
    began = time()
    for number in range(int(seconds * per_second)):
        due = began + number / per_second
        await asyncio.sleep(max(0.0, due - time()))
        await ctx.emit("pulse.made", {"due": due})


@quiet.task
async def wait() -> None:
    await asyncio.Event().wait()


@flood.task
async def pour(seconds: float, per_second: int, size: int, ctx: Context) -> None:
    text = "x" * size
    for _ in range(int(seconds * per_second)):
        await ctx.emit("block.made", {"text": text})
        await asyncio.sleep(1 / per_second)


@small.task
async def nothing() -> None:
    """A task that costs nothing."""


@look.task
async def count() -> dict[str, int]:
    """The tasks of this process."""
    gc.collect()
    return {"tasks": len(asyncio.all_tasks())}
