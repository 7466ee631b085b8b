"""Runs that are killed while paused, waiting, spending ...: ``python -m tests.helpers.controlled STORE NAME``.

Each scenario brings a run to where it can be killed, says ``ready`` and hangs.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from reactor import Context, Engine, Retry, Run, Workflow, load_plan
from reactor.plans.tools import tool
from tests.helpers.crash import RUN_ID
from tests.helpers.runs import open_run, wait_for_event


async def hang() -> None:
    await asyncio.Event().wait()


async def hang_on() -> None:
    """Does not stop when it is told to; the second time it does, so that a test can end."""
    try:
        await hang()
    except asyncio.CancelledError:
        await hang()


# --- workflows ----------------------------------------------------------------------------------------------------

steps = Workflow("steps")


@steps.task
async def first(ctx: Context) -> int:
    return await ctx.receive()


@steps.task
async def second(first: int) -> int:
    return first + 1


asks = Workflow("asks")


@asks.task
async def ask(ctx: Context) -> list[Any]:
    return [await ctx.receive(schema=int), await ctx.receive("name?", key="name"), await ctx.receive(schema=int)]


@asks.task(after="ask")
async def later(ctx: Context) -> Any:
    return await ctx.receive()


fails = Workflow("fails")


@fails.task(retry=Retry(attempts=3, delay=3600, max_delay=3600, jitter=0))
async def flaky(ctx: Context) -> int:
    if ctx.attempt < 2:
        raise ValueError("again")
    return ctx.attempt


spender = Workflow("spender")


@spender.task
async def pay(ctx: Context) -> int:
    await ctx.spend(cost="0.1", tokens=10)
    return 1


@spender.task
async def hold(pay: int, ctx: Context) -> int:
    if not (await ctx.receive(key="go on", schema=bool)):
        raise ValueError
    return pay + 1


parent = Workflow("parent")


@parent.task
async def delegate(ctx: Context) -> Any:
    return await ctx.run(spender)


late = Workflow("late", timeout=0.05)


@late.task
async def stubborn(ctx: Context) -> None:
    await hang_on()


overspent = Workflow("overspent")


@overspent.task
async def spends(ctx: Context) -> None:
    await ctx.spend(cost=2)
    await hang_on()


single = Workflow("single")


@single.task
async def items() -> list[int]:
    return [0, 1, 2]


@single.task(map="items")
async def each(items: int, ctx: Context) -> int:
    if items != 1:
        return await ctx.receive(schema=int)
    await hang_on()
    return None


@tool(name="controlled.ask")
async def plan_ask(question: str, ctx: Context) -> Any:
    return await ctx.receive(question)


@tool(name="controlled.twice")
async def plan_twice(value: int) -> int:
    return 2 * value


PLAN = {
    "name": "asked",
    "tasks": [
        {"id": "ask", "tool": "controlled.ask", "input": {"question": "how many?"}},
        {"id": "twice", "tool": "controlled.twice", "input": {"value": "$ask"}},
    ],
}
ALL = [steps, asks, fails, spender, parent, late, overspent, single]


# --- scenarios ----------------------------------------------------------------------------------------------------


async def paused(engine: Engine) -> Run:
    run = await engine.start(steps, run_id=RUN_ID)
    await wait_for_event(run, "task.waiting")
    await run.pause(reason="lunch", by="somebody")
    return run


async def waiting(engine: Engine) -> Run:
    run = await engine.start(asks, run_id=RUN_ID)
    await wait_for_event(run, "task.waiting")
    await run.send("ask", 1)
    await run.send("ask", "Ann", key="name")
    await run.send("later", "early")
    await wait_for_event(run, "task.waiting", "ask", 3)
    return run


async def retrying(engine: Engine) -> Run:
    run = await engine.start(fails, run_id=RUN_ID)
    await wait_for_event(run, "task.retrying")
    return run


async def child(engine: Engine) -> Run:
    run = await engine.start(parent, run_id=RUN_ID, budget={"cost": "0.11", "on_exceeded": "tell"})
    await wait_for_event(await open_run(engine, f"{RUN_ID}.delegate.1"), "task.waiting")
    await wait_for_event(run, "budget.warning")
    return run


async def timed_out(engine: Engine) -> Run:
    run = await engine.start(late, run_id=RUN_ID)
    await wait_for_event(run, "run.cancelling")
    return run


async def over_budget(engine: Engine) -> Run:
    run = await engine.start(overspent, run_id=RUN_ID, budget={"cost": 1})
    await wait_for_event(run, "run.cancelling")
    return run


async def task_cancelling(engine: Engine) -> Run:
    run = await engine.start(single, run_id=RUN_ID)
    await wait_for_event(run, "task.waiting", count=2)
    await run.request_cancel(3600, task="each[1]", reason="enough")
    return run


async def plan(engine: Engine) -> Run:
    run = await engine.start(load_plan(PLAN), run_id=RUN_ID)
    await wait_for_event(run, "task.waiting")
    return run


SCENARIOS: dict[str, Callable[[Engine], Awaitable[Run]]] = {
    "paused": paused,
    "waiting": waiting,
    "retrying": retrying,
    "child": child,
    "timed_out": timed_out,
    "over_budget": over_budget,
    "task_cancelling": task_cancelling,
    "plan": plan,
}


async def main(store: str, name: str) -> None:
    async with Engine(store, workflows=ALL) as engine:
        await SCENARIOS[name](engine)
        print("ready", flush=True)
        await hang()


if __name__ == "__main__":
    logging.getLogger("reactor").setLevel(logging.ERROR)
    asyncio.run(main(*sys.argv[1:]))
