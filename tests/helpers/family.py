"""Three workflows, each of which asks before and after the next one runs as its child: for ``serve`` in a process."""

from __future__ import annotations

from typing import Any

from reactor import Context, Workflow

top, middle, leaf = Workflow("top"), Workflow("middle"), Workflow("leaf")


async def _ask(ctx: Context, child: str | None) -> dict[str, Any]:
    before = await ctx.receive("before?", schema=int, key="before")
    await ctx.emit("body.goes.on", {"with": before})
    below = None if child is None else await ctx.run(child)
    after = await ctx.receive("after?", schema=int, key="after")
    return {"before": before, "after": after, "below": below}


@top.task(name="ask")
async def ask_top(ctx: Context) -> dict[str, Any]:
    return await _ask(ctx, "middle")


@middle.task(name="ask")
async def ask_middle(ctx: Context) -> dict[str, Any]:
    return await _ask(ctx, "leaf")


@leaf.task(name="ask")
async def ask_leaf(ctx: Context) -> dict[str, Any]:
    return await _ask(ctx, None)


RUNS = ("r", "r.ask.1", "r.ask.1.ask.1")
"""The ids of the three runs, where the first is ``r``."""
QUESTIONS = [*((run, "before") for run in RUNS), *((run, "after") for run in reversed(RUNS))]
"""(run, key) in the order in which they are asked."""
EXPECTED = {
    "ask": {
        "before": 0,
        "after": 5,
        "below": {"ask": {"before": 1, "after": 4, "below": {"ask": {"before": 2, "after": 3, "below": None}}}},
    }
}
"""The outputs, where each question is answered with its place in ``QUESTIONS``."""
