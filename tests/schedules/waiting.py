"""Waits for what a scheduler does in its own time, over a log that answers in the time of the machine."""

from __future__ import annotations

import asyncio

from reactor import Engine, Run
from reactor.errors import UnknownRun
from tests.helpers.runs import PATIENCE


async def found(engine: Engine, run_id: str) -> Run:
    """The run, once it is there and its schedule has stored that it is; no event tells of that."""
    name = run_id.partition("~")[0]
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                run = await engine.get(run_id)
            except UnknownRun:
                pass
            else:
                if not (await engine.get_schedule(name)).pending:
                    return run
            await asyncio.sleep(0.002)
