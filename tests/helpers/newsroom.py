"""A workflow of agents that do all there is: complete, fail, try again, map, are skipped, log, spend and report."""

from __future__ import annotations

from reactor import Context, Retry, Workflow
from tests.helpers.server import Gates


def newsroom(gates: Gates) -> Workflow:
    """topics -> write (a map, one of which fails) -> tidy (all the same); check tries again -> publish (skipped), idle.

    ``topics`` goes on behind the gate ``begin``, ``idle`` behind ``end``.
    """
    flow = Workflow("newsroom")

    @flow.task(meta={"agentName": "editor", "agentRole": "lead", "prompt": "Find three topics"})
    async def topics(ctx: Context) -> list[str]:
        await gates["begin"].wait()
        await ctx.log.info("looking around", desk="news")
        await ctx.progress(0.5, "half of them")
        await ctx.spend(cost=0.25)
        return ["sea", "sky", ""]

    @flow.task(map={"topic": "topics"})
    async def write(topic: str, ctx: Context) -> str:
        await ctx.progress(1.0)
        if not topic:
            raise ValueError("no topic")
        return topic.upper()

    @flow.task(after=["write"], on_upstream_failure="run")
    async def tidy() -> None: ...

    @flow.task(retry=Retry(attempts=2, delay=0.0, jitter=0.0), after=["topics"])
    async def check(ctx: Context) -> str:
        if ctx.attempt == 1:
            raise ConnectionError("nobody is there")
        await ctx.log.warning("checked twice")
        return "ok"

    @flow.task(when=lambda check: check != "ok")
    async def publish(check: str) -> None: ...

    @flow.task(after=["check"])
    async def idle(ctx: Context) -> str:
        await ctx.emit("coffee.made", {"cups": 2})
        await gates["end"].wait()
        return "done"

    return flow
