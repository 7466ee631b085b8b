"""Workflows for servers that are to be in trouble: quick work, a thread that does not stop, a question."""

from __future__ import annotations

import time
from pathlib import Path

from reactor import Context, Workflow

census, stuck, asking = Workflow("census"), Workflow("stuck"), Workflow("asking")


@census.task
async def numbers(ctx: Context) -> list[int]:
    for n in range(20):
        await ctx.emit("number.found", {"n": n})
    return [1, 2, 3]


@census.task(map="numbers")
def square(numbers: int) -> int:
    return numbers * numbers


@stuck.task
def waits_for_a_file(file: str) -> None:
    """Looks at nothing else: told to stop, it goes on."""
    while not Path(file).exists():
        time.sleep(0.02)


@asking.task
async def asks(ctx: Context) -> int:
    return await ctx.receive("how many?")
