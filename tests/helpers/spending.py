"""Bodies in processes that spend more than they may: at module level, where a worker finds them."""

from __future__ import annotations

from reactor import Context, Workflow

spends_in_a_process, spends_in_a_process_async = Workflow("spends"), Workflow("spends_async")


@spends_in_a_process.task(name="spend", executor="process")
def spend(ctx: Context) -> None:
    for _ in range(10_000):
        ctx.spend(cost=0.01)


@spends_in_a_process_async.task(name="spend", executor="process")
async def spend_async(ctx: Context) -> None:
    for _ in range(10_000):
        await ctx.spend(cost=0.01)
