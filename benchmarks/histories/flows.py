"""The workflows of the nodes. Each body notes in a file that it begins, says where it runs, and returns that."""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path
from typing import Any

from reactor import Context, Workflow
from reactor.testing import NODE, Began

ITEMS = 12
SECONDS = 0.15
"""How long each body takes."""
HERE, FOLDER = "HISTORY_NODE", "HISTORY_FOLDER"
"""Of the environment: the node and its life, and where bodies and followers write."""


def append(name: str, record: Any) -> None:
    """A record as one line of JSON, in one write, which is whole although the process is killed."""
    with Path(os.environ[FOLDER], name).open("ab", buffering=0) as file:
        file.write(json.dumps(record).encode() + b"\n")


async def work(ctx: Context) -> dict[str, str]:
    here = os.environ[HERE]
    append("began", Began(time.monotonic(), ctx.run_id, ctx.task_id, ctx.attempt, here))
    await ctx.emit("work.began", {NODE: here})
    await asyncio.sleep(SECONDS)
    return {NODE: here}


mapped = Workflow("mapped")


@mapped.task
async def items(ctx: Context) -> list[int]:
    await work(ctx)
    return list(range(ITEMS))


@mapped.task(map="items", concurrency=3)
async def measure(items: int, ctx: Context) -> dict[str, str]:
    return await work(ctx)


@mapped.task
async def total(measure: list[dict[str, str]], ctx: Context) -> int:
    await work(ctx)
    return len(measure)


asks = Workflow("asks")


@asks.task(name="before")
async def before_question(ctx: Context) -> dict[str, str]:
    return await work(ctx)


@asks.task
async def ask(before: dict[str, str], ctx: Context) -> str:
    await work(ctx)
    return await ctx.receive("what now?", schema={"type": "string"}, key="what")


@asks.task
async def after(ask: str, ctx: Context) -> str:
    await work(ctx)
    return ask


family = Workflow("family")


@family.task(name="before")
async def before_child(ctx: Context) -> dict[str, str]:
    return await work(ctx)


@family.task
async def child(before: dict[str, str], ctx: Context) -> Any:
    await work(ctx)
    return await ctx.run("asks", {})


@family.task(name="after")
async def after_child(child: Any, ctx: Context) -> Any:
    await work(ctx)
    return child


ALL = [mapped, asks, family]
