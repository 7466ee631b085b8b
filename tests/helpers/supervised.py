"""What the tests of supervision, limits, caches and processes ask of a run, by its events alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from reactor import Engine, Event, Run, Workflow
from reactor.testing import read_all
from tests.helpers.crash import check_laws

PATIENCE = 60.0
"""Seconds for what comes soon: only a hanging test takes them."""


async def told(engine: Engine, run: Run) -> list[Event]:
    """The events of a run once it has ended; they keep the laws of every run."""
    await asyncio.wait_for(run.ended(), PATIENCE)
    events = await read_all(engine.log, run.id)
    check_laws(events)
    return events


async def tell(flow: Workflow, input: dict[str, Any] | None = None, **options: Any) -> list[Event]:
    """The same of one run on an engine of its own."""
    async with Engine(workflows=[flow], **options) as engine:
        return await told(engine, await engine.start(flow, input))


async def until(run: Run, type: str, task: str | None = None, count: int = 1) -> Event:
    """The ``count``-th event of this type, of this task if one is given; fails where the run ends before."""

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
    """Polls what no event tells of."""

    async def poll() -> None:
        while not condition():
            await asyncio.sleep(0.002)

    await asyncio.wait_for(poll(), PATIENCE)


def story(events: Sequence[Event], *only: str) -> list[tuple[str, str | None, int | None]]:
    """(type, task id, attempt) of what happened to tasks, ``only`` of these types."""
    return [
        (event.type, event.task_id, event.attempt) for event in events if event.task_id and event.type in (only or TASK)
    ]


def of(events: Sequence[Event], type: str, task: str | None = None) -> list[Event]:
    """The events of a type, of a task if one is given."""
    return [event for event in events if event.type == type and task in (None, event.task_id)]


def only(events: Sequence[Event], type: str, task: str | None = None) -> Event:
    """The one event of a type."""
    found = of(events, type, task)
    assert len(found) == 1, f"{len(found)} of {type} {task}: {found}"
    return found[0]


def most_at_once(events: Sequence[Event], *tasks: str) -> int:
    """How many bodies ran at once at most, by the log; of these tasks only, if any are given."""
    running: set[str] = set()
    most = 0
    for event in events:
        if event.task_id is None or (tasks and event.task_id.partition("[")[0] not in tasks):
            continue
        if event.type == "task.started":
            running.add(event.task_id)
        elif event.type in ENDS:
            running.discard(event.task_id)
        most = max(most, len(running))
    return most


TASK = ("task.started", "task.retrying", "task.completed", "task.failed", "task.skipped", "task.cancelled")
ENDS = frozenset({"task.retrying", "task.completed", "task.failed", "task.skipped", "task.cancelled"})
"""Of an attempt, or of a task that has none."""
