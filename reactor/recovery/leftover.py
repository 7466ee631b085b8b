"""Ends a run that nobody can go on with, because its workflow is not registered or has changed: from its log alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

import orjson

from reactor.definition.names import child_task_id
from reactor.events import drafts
from reactor.events.event import Draft, Event, task_head
from reactor.events.fold import evolve
from reactor.events.progress import millionths
from reactor.events.state import ENDED, RunState, TaskState
from reactor.events.timing import milliseconds
from reactor.events.values import json_number
from reactor.ports.clock import Clock
from reactor.runs.child_records import ChildEnd
from reactor.supervision.ending import EndReason


def cancel_events(
    state: RunState,
    tasks: list[dict[str, Any]],
    clock: Clock,
    children: Iterable[tuple[str, str, ChildEnd | None]] = (),
    *,
    reason: str,
    by: str | None,
) -> list[Event]:
    """The events that end a run as cancelled; its open tasks ended with its process.

    ``tasks`` are those of its ``run.started``; ``children`` (task id, run id, end) the child runs whose end its log
    does not have. The events are folded into ``state``, which the caller owns.
    """
    events: list[Event] = []

    def write(draft: Draft) -> None:
        event = Event.from_draft(state.seq + 1, state.run_id, clock.now(), draft)
        evolve(state, event)
        events.append(event)

    if state.status != "cancelling":
        write(Draft("run.cancelling", orjson.dumps({"reason": reason, "by": by})))
    for task_id, child_id, end in children:
        if end is not None:
            data, blob = drafts.child_ended(child_id, *end)
            task = state.tasks.get(task_id) or TaskState(task_id, task_id.partition("[")[0])
            head = task_head(task_id, task.task, task.map_index, task.attempt)
            write(Draft("child.ended", data, task_id, head, blob))
    maps = {task["id"] for task in tasks if task["kind"] == "map"}
    for task in list(_unfinished(state, tasks)):
        data = _cancelled(state, task, is_mapped=task.id in maps and task.count is None)
        write(Draft("task.cancelled", data, task.id, task_head(task.id, task.task, task.map_index, task.attempt)))
    task_time_ms = sum(task.duration_ms or 0.0 for task in state.tasks.values() if task.count is None)
    duration_ms = milliseconds(state.started, clock.now().decode())
    totals = {name: getattr(state, name) for name in ("total_tasks", "completed", "failed", "skipped", "cancelled")}
    data = {"reason": state.reason, "abandoned": 0, **totals, "duration_ms": duration_ms, "task_time_ms": task_time_ms}
    if state.cost or state.tokens or state.budget is not None:
        data |= {"cost": json_number(state.cost or Decimal(0)), "tokens": state.tokens or 0}
    speedup = round(task_time_ms / duration_ms, 2) if duration_ms else 0.0
    write(Draft("run.cancelled", orjson.dumps(data | {"speedup": speedup})))
    return events


def _cancelled(state: RunState, task: TaskState, *, is_mapped: bool) -> bytes:
    """``data`` of ``task.cancelled``, with the progress of the run after it."""
    units = 0 if task.has_ended_before else state.units_of(task)
    reached = millionths(state.ended_units + units, state.graph_tasks)
    spent = None if task.cost is None else (task.cost, task.tokens or 0)
    data = drafts.cancelled(EndReason.CRASH, 0.0, stopped=True, mapped=is_mapped)
    return drafts.ended(data, max(reached, state.least_units), spent)


def _unfinished(state: RunState, tasks: list[dict[str, Any]]) -> Iterator[TaskState]:
    """The bodies that have not ended, and the mapped tasks without children; also those without any event."""
    known = {**{task["id"]: TaskState(task["id"], task["id"]) for task in tasks}, **state.tasks}
    for task in known.values():
        if task.count is not None:
            for index in range(task.count):
                id = child_task_id(task.id, index)
                if id not in known:
                    yield TaskState(id, task.task, map_index=index)
        elif task.status not in ENDED:
            yield task
