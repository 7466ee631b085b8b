"""A workflow that speaks slowly, for ``reactor serve``: it goes on when the test has made a file."""

from __future__ import annotations

import asyncio
from pathlib import Path

from reactor import Context, Retry, Workflow

FIRST = ("Every ", "token ", "comes ")
REST = ("once", ", ", "in ", "order", ".")

flow = Workflow("tokens")


@flow.task(retry=Retry(attempts=2, delay=0.01))
async def answer(gate: str, ctx: Context, fails: bool = False) -> str:
    """Says the first tokens, waits until the file ``gate`` is there, says the rest. ``fails``: not the first time."""
    for token in FIRST:
        await ctx.chunk(token)
        await ctx.committed()
    while not Path(gate).exists():
        await asyncio.sleep(0.02)
    if fails and ctx.attempt == 1:
        raise RuntimeError("the model went away")
    for token in REST:
        await ctx.chunk(token)
        await ctx.committed()
    return "".join(FIRST + REST)
