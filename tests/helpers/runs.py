"""Starting runs, waiting for what happens in them, and reading their logs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from reactor import Engine, Event, Run, UnknownRun, Workflow
from reactor.testing import read_all
from tests.helpers.crash import check_laws

PATIENCE = 60.0
"""Seconds to wait for what comes soon: only a test that hangs takes them, also on a machine that is busy."""


async def full_log(engine: Engine, run: Run) -> list[Event]:
    """Waits for the end of a run and returns its events, which keep the laws of every run."""
    await asyncio.wait_for(run.ended(), PATIENCE)
    events = await read_all(engine.log, run.id)
    check_laws(events)
    return events


async def run_to_end(flow: Workflow, input: dict[str, Any] | None = None, **options: Any) -> list[Event]:
    """The events of one run, on an engine of its own with these ``options``."""
    async with Engine(workflows=[flow], **options) as engine:
        return await full_log(engine, await engine.start(flow, input))


async def result(run: Run) -> dict[str, Any]:
    """The outputs of a run; raises what awaiting it raises."""
    return await asyncio.wait_for(run, PATIENCE)


async def open_run(engine: Engine, run_id: str) -> Run:
    """The run of this id, as soon as it goes on in this engine: a child run, or one that is recovered.

    Right after a restart a child run waits until its parent asks for it: till then it is in the log, and not open.
    """
    started = engine.wait_for(run_id)
    with suppress(UnknownRun):
        run = await engine.get(run_id)
        if run_id in {running.id for running in engine.running()}:
            started.cancel()
            return run
    await asyncio.wait_for(started, PATIENCE)
    return await engine.get(run_id)


async def open_runs(engine: Engine) -> list[Run]:
    """The runs that go on in this engine, newest first."""
    runs = [await engine.get(record.run_id) for record in await engine.list(limit=1_000)]
    return [run for run in runs if not run.feed.closed]


async def wait_for_event(run: Run, type: str, task: str | None = None, count: int = 1) -> Event:
    """The ``count``-th event of this type, of this task if one is given; fails if the run ends before."""

    async def look() -> Event:
        left = count
        async for event in run:
            left -= event.type == type and task in (None, event.task_id)
            if not left:
                assert isinstance(event, Event)
                return event
        raise AssertionError(f"the run ended without {type} of {task}, {left} missing")

    return await asyncio.wait_for(look(), PATIENCE)


async def wait_until(condition: Callable[[], Any]) -> None:
    """Polls for what no event tells of."""

    async def poll() -> None:
        while not condition():
            await asyncio.sleep(0.002)

    await asyncio.wait_for(poll(), PATIENCE)


async def turns(count: int = 50) -> None:
    """Lets the loop go round so often: enough for whatever needs no time and nobody from outside."""
    for _ in range(count):
        await asyncio.sleep(0)
