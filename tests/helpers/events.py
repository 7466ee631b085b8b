"""What a log says: which events of a run it has, and in which order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from reactor import Event

ENDS = frozenset({"task.retrying", "task.completed", "task.failed", "task.skipped", "task.cancelled"})
"""The end of an attempt, or of a task that has none."""
STEPS = ENDS | {"task.started"}


def story(events: Sequence[Event], *types: str) -> list[tuple[str, str | None, int | None]]:
    """(type, task id, attempt) of the starts and ends of tasks; of these ``types`` only, if any are given."""
    return [
        (event.type, event.task_id, event.attempt)
        for event in events
        if event.task_id and event.type in (types or STEPS)
    ]


def of_type(events: Sequence[Event], type: str, task: str | None = None) -> list[Event]:
    """The events of a type, of a task if one is given."""
    return [event for event in events if event.type == type and task in (None, event.task_id)]


def data_of(events: Sequence[Event], type: str, task: str | None = None) -> list[dict[str, Any]]:
    """The data of the events of a type, of a task if one is given."""
    return [event.data for event in of_type(events, type, task)]


def only(events: Sequence[Event], type: str, task: str | None = None) -> Event:
    """The one event of a type; fails where there is another number of them."""
    found = of_type(events, type, task)
    assert len(found) == 1, f"{len(found)} of {type} {task}: {found}"
    return found[0]


def most_at_once(events: Sequence[Event], *tasks: str) -> int:
    """How many bodies ran at the same time at most, by the log; of these tasks only, if any are given."""
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
