"""A workflow whose tasks end in every way, and what came of each of them by the state of its run."""

from __future__ import annotations

import asyncio

from reactor import Context, Engine, Retry, Run, Workflow
from tests.helpers.runs import wait_for_event


class Gate:
    """Opened by the test once its clients are there."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    async def wait(self) -> None:
        await self._event.wait()

    def open(self) -> None:
        self._event.set()


def mixed_workflow(gate: Gate) -> Workflow:
    """Tasks that complete, fail, are tried again, skipped, mapped, cancelled; ``first`` waits for the gate."""
    flow = Workflow("mixed")

    @flow.task
    async def first(ctx: Context) -> list[int]:
        await ctx.log.info("waiting")
        await gate.wait()
        return [1, 0, 2]

    @flow.task(retry=Retry(attempts=3, delay=0.0, jitter=0.0))
    async def shaky(first: list[int], ctx: Context) -> str:
        if ctx.attempt < 3:
            raise ConnectionError("try again")
        return "at last"

    @flow.task(map={"n": "first"})
    async def divide(n: int) -> float:
        return 1 / n

    @flow.task
    async def total(divide: list[float]) -> float:
        return sum(divide)

    @flow.task(when=lambda shaky: shaky == "never")
    async def unwanted(shaky: str) -> None: ...

    @flow.task
    async def empty(first: list[int]) -> list[int]:
        return []

    @flow.task(map={"n": "empty"})
    async def nothing(n: int) -> int:
        return n

    @flow.task
    async def large(first: list[int]) -> str:
        return "ü\u2028" * 10_000

    @flow.task
    async def endless(first: list[int]) -> None:
        await asyncio.Event().wait()

    flow.sequence("shaky", "unwanted")
    return flow


async def finish(engine: Engine, run: Run, gate: Gate) -> None:
    """Opens the gate, and cancels the task that would never end."""
    gate.open()
    await wait_for_event(run, "task.started", "endless")
    await run.request_cancel(task="endless", reason="not needed")
    await run.ended()


def outcomes(run: Run) -> dict[str, str]:
    """The status of each body, and of each mapped task without children, by the state of the run."""
    return {id: task.status for id, task in run.state.tasks.items() if not task.count}
