"""What the nodes run: a list of parcels, weighed a few at a time. Each body says on which node it ran."""

import asyncio
import os

from reactor import Context, Workflow

NODE = os.environ.get("NODE", "here")

flow = Workflow("parcels")


@flow.task
async def arrive(count: int = 16) -> list[int]:
    return list(range(count))


@flow.task(map="arrive", concurrency=2)
async def weigh(arrive: int, pace: float = 0.3, ctx: Context | None = None) -> dict[str, object]:
    await asyncio.sleep(pace)
    return {"grams": 100 + arrive, "node": NODE}


@flow.task
async def load(weigh: list[dict[str, object]]) -> dict[str, object]:
    return {"grams": sum(int(str(one["grams"])) for one in weigh), "node": NODE}
