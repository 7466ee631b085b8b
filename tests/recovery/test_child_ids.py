"""A child run whose id somebody has taken between the crash of its parent and the parent's next start."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from reactor import Context, Engine, RunExists, Workflow
from tests.helpers.crash import RUN_ID, check_laws, crashed_log, read_with_blobs
from tests.helpers.events import of_type, only
from tests.helpers.runs import PATIENCE, wait_for_event

CHILD_ID = f"{RUN_ID}.ask.1"


def parent(waits: bool = False, may_begin: asyncio.Event | None = None) -> Workflow:
    """``waits``: the child never ends. ``may_begin``: what the child waits for before it begins."""
    child, flow = Workflow("child"), Workflow("parent")

    @child.task
    async def answer(ctx: Context) -> int:
        if waits:
            await ctx.emit("body.waits", {})
            await asyncio.Event().wait()
        return 42

    @flow.task
    async def ask(ctx: Context) -> Any:
        if may_begin is not None:
            await may_begin.wait()
        return await ctx.run(child)

    return flow


async def begun_log(folder: Path) -> Any:
    """The log of a parent that was killed between its ``child.started`` and the child's first event."""
    async with Engine() as engine:
        await asyncio.wait_for(await engine.start(parent(), run_id=RUN_ID), PATIENCE)
        events = await read_with_blobs(engine.log)
    return await crashed_log("sqlite", events[: only(events, "child.started").seq], folder)


ENDS: dict[str, list[str]] = {"goes on": ["completed"], "is cancelled": ["cancelled"], "is cancelled elsewhere": []}
"""What becomes of the parent -> the ends of its own child."""


@pytest.mark.parametrize("end", ENDS)
async def test_whoever_took_it_keeps_it_and_the_child_gets_another_id(end: str, tmp_path: Path) -> None:
    """The parent ends as ever, with the outputs of its own child, and nothing is done to the other run."""
    log = await begun_log(tmp_path)
    async with Engine(log) as engine:  # knows no parent: nobody claims the id
        session = await engine.session(CHILD_ID)
        if end == "is cancelled elsewhere":
            await engine.cancel(RUN_ID)
    async with Engine(log, workflows=[parent(waits=end == "is cancelled")]) as engine:
        run = await engine.get(RUN_ID)
        if end == "goes on":
            assert await asyncio.wait_for(run, PATIENCE) == {"ask": {"answer": 42}}
        elif end == "is cancelled":
            await wait_for_event(run, "child.started", count=2)
            await asyncio.wait_for(run.cancel(), PATIENCE)
        events = await read_with_blobs(engine.log)
        check_laws(events)
        assert (await engine.get(CHILD_ID)).state.status == "running" == session.status
        ended = {event.data["child_run"]: event.data["status"] for event in of_type(events, "child.ended")}
        begun = [event.data["child_run"] for event in of_type(events, "child.started")]
    assert ended[CHILD_ID] == "cancelled"
    assert sorted(ended) == sorted(begun)
    assert [status for id, status in ended.items() if id != CHILD_ID] == ENDS[end]


async def test_a_recovered_parent_claims_the_ids_of_the_children_it_has_begun(tmp_path: Path) -> None:
    """While it is open nobody gets one, though no run of that id is in the log."""
    log, may_begin = await begun_log(tmp_path), asyncio.Event()
    async with Engine(log, workflows=[parent(may_begin=may_begin)]) as engine:
        run = await engine.get(RUN_ID)
        with pytest.raises(RunExists, match=f"run id '{CHILD_ID}' is that of a child run which run {RUN_ID} starts"):
            await engine.session(CHILD_ID)
        may_begin.set()
        assert await asyncio.wait_for(run, PATIENCE) == {"ask": {"answer": 42}}
