"""One life of a process whose body kills it: ``python -m tests.helpers.killers STORE BODY``.

The first life starts the run, prints ``begun`` and waits: the body kills none before the run is in the log.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading

from reactor import Context, Engine, Workflow, bounds
from reactor.errors import UnknownRun

KILLER_LIVES = 4
"""``bounds.CRASH_LOOP`` of these processes."""


IS_FIRST = threading.Event()


def die() -> None:
    if IS_FIRST.is_set():
        threading.Event().wait()
    os.kill(os.getpid(), signal.SIGKILL)


async def die_here() -> None:
    if IS_FIRST.is_set():
        await asyncio.Event().wait()
    die()


at_once, after_another, in_thread = (Workflow(name) for name in ("at_once", "after_another", "in_thread"))


@at_once.task(name="bad")
async def bad_at_once() -> None:
    await die_here()


@after_another.task
async def first(ctx: Context) -> int:
    await ctx.emit("life", {"attempt": ctx.attempt})
    await ctx.committed()
    return 1


@after_another.task(name="bad")
async def bad_after_another(first: int) -> None:
    await die_here()


@in_thread.task(name="bad")
def bad_in_thread() -> None:
    die()


FLOWS = {flow.name: flow for flow in (at_once, after_another, in_thread)}


async def main(store: str, body: str) -> None:
    async with Engine(store, workflows=FLOWS.values()) as engine:
        try:
            run = await engine.get("k")
        except UnknownRun:
            IS_FIRST.set()
            run = await engine.start(FLOWS[body], run_id="k")
            print("begun", flush=True)
        state = await run.ended()
        print("ended", state.status, state.reason, flush=True)


if __name__ == "__main__":
    bounds.CRASH_LOOP = KILLER_LIVES  # type: ignore[misc]  # so that the test need not start fifty
    logging.getLogger("reactor").setLevel(logging.CRITICAL)
    asyncio.run(main(*sys.argv[1:]))
