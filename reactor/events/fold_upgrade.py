"""What ``fold`` makes of ``run.upgraded``: the run goes on in another graph; and of the time that nobody had it."""

from __future__ import annotations

from typing import Any

from reactor.events.state import RunState, TaskState
from reactor.events.timing import whole_microseconds


def run_upgraded(state: RunState, body: dict[str, Any]) -> None:
    """Tasks leave and come; the progress stays at least what it was.

    A state that did not list its tasks, because they are many, does not list the new ones either.
    """
    add_downtime(state, body["data"])
    data, tasks, shown = body["data"], state.tasks, state.progress
    is_listed = any(task.depends_on is not None for task in tasks.values())
    for task_id in data.get("removed", ()):
        tasks.pop(task_id, None)
    for entry in data.get("tasks", ()) if is_listed else ():
        upstreams = tuple([tasks[name].id if name in tasks else name for name in entry["depends_on"]])
        task = tasks.setdefault(entry["id"], TaskState(entry["id"], entry["id"]))
        task.depends_on = upstreams
    state.version = data["version"]
    state.maps = data["maps"]
    state.total_tasks = data["total_tasks"] + sum(task.count or 0 for task in tasks.values())
    state.upgraded = body["seq"]
    state.count_progress()
    state.least_progress = shown or None


def add_downtime(state: RunState, data: dict[str, Any]) -> None:
    """Adds the time since the event before, in which no process had the run. A pause counts it already."""
    if state.paused_at is None and "downtime_ms" in data:
        downtime = whole_microseconds(data["downtime_ms"])
        state.downtime_ms = (whole_microseconds(state.downtime_ms) + downtime) / 1000
