"""A log as an engine has written it, for tests that damage copies of it."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import NamedTuple

from reactor import Context, Engine, Workflow
from reactor.testing import read_all
from tests.helpers.runs import result, wait_for_event

talk = Workflow("talk")


@talk.task
async def say(count: int, ctx: Context) -> str:
    """Each event is a window, and more of them than fit into a page."""
    for n in range(count):
        await ctx.emit("word.said", {"n": n, "text": f"{count} " * 150})
        await ctx.committed()
    return "x" * (40_000 if count % 4 == 0 else 10)  # the large ones stand beside their events


@talk.task
async def ask(say: str, ctx: Context) -> str:
    return await ctx.receive("?") if len(say) < 100 else "not asked"


parent = Workflow("parent")


@parent.task
async def begin(ctx: Context) -> object:
    return await ctx.run(talk, {"count": 4})


class Written(NamedTuple):
    closed: Path
    """After the engine has stopped."""
    open: Path
    """While it ran: the last commits are in the write-ahead log beside it."""
    events: dict[str, list[bytes]]
    """By run id: what was in the log."""
    before: dict[str, list[bytes]]
    """The same of one run that was deleted, and of one that was trimmed, as they were before."""


async def write(folder: Path) -> Written:
    """Runs that have ended, runs that wait for an answer, a child run, one that is trimmed, one that was deleted."""
    closed, beside = folder / "closed.db", folder / "open.db"
    async with Engine(f"sqlite:///{closed}", workflows=[talk, parent], grace=0.0) as engine:
        for count in range(12):
            await engine.start(talk, {"count": count}, run_id=f"r{count}")
        await result(await engine.start(parent, run_id="p"))
        for count in range(12):
            run = await engine.get(f"r{count}")
            if count % 4:
                await wait_for_event(run, "task.waiting")
            else:
                await result(run)
        before = {id: [event.json for event in await read_all(engine.log, id)] for id in ("r4", "r8")}
        await engine.delete("r4")
        await engine.log.trim("r8", 5)  # type: ignore[attr-defined]
        events = {
            run.run_id: [event.json for event in await read_all(engine.log, run.run_id, run.first_seq - 1)]
            for run in await engine.list()
        }
        shutil.copy(closed, beside)
        shutil.copy(f"{closed}-wal", f"{beside}-wal")
    return Written(closed, beside, events, before)


def write_now(folder: Path) -> Written:
    return asyncio.run(write(folder))
