"""A workflow of many events, for those who follow it while its server is killed."""

from __future__ import annotations

import asyncio

from reactor import Context, Workflow

followed = Workflow("followed")
STEPS = 250
EVENTS_EACH = 18


@followed.task
async def steps() -> list[int]:
    return list(range(STEPS))


@followed.task(map="steps", concurrency=2)
async def talk(steps: int, ctx: Context, pause: float = 0.005) -> int:
    for i in range(EVENTS_EACH):
        await ctx.emit("step.made", {"step": steps, "i": i, "text": "ü \u2028 \n" * (i % 5)})
        if i % 9 == 0:
            await asyncio.sleep(pause)
    return steps
