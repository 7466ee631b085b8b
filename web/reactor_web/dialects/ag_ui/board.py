"""The shared state of an AG-UI client: how the run is under ``reactor``, and what is the application's own beside it.

    {"reactor": {"run": {"id", "workflow", "status", "progress", "tasks", "completed", …},
                 "tasks": {"measure[3]": {"status", "attempt", "progress", "message", "questions", "error", "output"}}},
     …what the client has sent as ``state``, and what bodies have made of it}

A client shows what it has been told, so the board remembers just that, and every patch fits it. All tasks are listed
as long as they have room. Where they have none, those that have ended make room for those that begin.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

import orjson

from reactor.bounds import KIB
from reactor.events.state import RunState, TaskState
from reactor_web.bounds import AGENT_STATE_BYTES, AGENT_TASKS_BYTES
from reactor_web.dialects.ag_ui.patch import PatchError, apply, pointer

NAME: Final = "reactor"
"""The member of the shared state that is ours."""
_PENDING_BYTES: Final = AGENT_TASKS_BYTES // 2
"""Room for the tasks that have not begun: all of them are listed, or none."""
_ENTRY_BYTES: Final = 1 * KIB
_TEXT_CHARS: Final = 200
_QUESTIONS: Final = 10

Operations = list[dict[str, Any]]


@dataclass(slots=True)
class Board:
    """What clients have been told, and what makes it up to date."""

    run: dict[str, Any] = field(default_factory=dict[str, Any])
    tasks: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    application: dict[str, Any] = field(default_factory=dict[str, Any])
    sizes: dict[str, int] = field(default_factory=dict[str, int])
    """Of each listed task, in bytes."""
    used: int = 0
    """All of them together."""
    ended: dict[str, None] = field(default_factory=dict[str, None])
    """The listed tasks that have ended, in this order."""

    def begin(self, run: RunState, application: Any) -> None:
        """The tasks of the graph, and the state that the client has sent."""
        if sum(map(len, run.tasks)) <= _PENDING_BYTES:
            pending = {task.id: {"status": task.status} for task in run.tasks.values()}
            sizes = {id: _size(id, entry) for id, entry in pending.items()}
            if (used := sum(sizes.values())) <= _PENDING_BYTES:
                self.tasks, self.sizes, self.used = pending, sizes, used
        if isinstance(application, dict) and len(orjson.dumps(application)) <= AGENT_STATE_BYTES:
            own = cast("dict[str, Any]", application)
            self.application = {name: value for name, value in own.items() if name != NAME}

    def snapshot(self, run: RunState) -> dict[str, Any]:
        """All of it."""
        self.run = _run_of(run)
        return {**self.application, NAME: {"run": self.run, "tasks": self.tasks}}

    def update(self, run: RunState, task_ids: Sequence[str], output: Any = None) -> Operations:
        """What has changed of the run and of these tasks. ``output``: of the first of them, if it has just ended."""
        operations: Operations = []
        for place, task_id in enumerate(task_ids):
            if (task := run.tasks.get(task_id)) is not None:
                operations += self._list(task, None if place else output)
        now = _run_of(run)
        for name, value in now.items():
            if self.run.get(name) != value:
                operations.append({"op": "add", "path": pointer(NAME, "run", name), "value": value})
        self.run = now
        return operations

    def remove(self, task_ids: Iterable[str]) -> Operations:
        """The graph does not have these any more, and nothing was said of them."""
        listed = [task_id for task_id in task_ids if self.tasks.pop(task_id, None) is not None]
        self.used -= sum(self.sizes.pop(task_id) for task_id in listed)
        return [{"op": "remove", "path": pointer(NAME, "tasks", task_id)} for task_id in listed]

    def update_all(self, run: RunState) -> None:
        """After an event that has changed many tasks: the next snapshot shows it."""
        for task_id in list(self.tasks):
            if (task := run.tasks.get(task_id)) is not None:
                self._list(task, None)

    def _list(self, task: TaskState, output: Any) -> Operations:
        entry = _entry_of(task, output)
        before = self.tasks.get(task.id)
        if entry == before:
            return []
        size = _size(task.id, entry)
        more = size - self.sizes.get(task.id, 0)
        operations = self._make_room(more, task.id)
        if operations is None:
            return []
        self.tasks[task.id], self.sizes[task.id] = entry, size
        self.used += more
        self.ended.pop(task.id, None)
        if task.has_ended:
            self.ended[task.id] = None
        return [*operations, {"op": "add", "path": pointer(NAME, "tasks", task.id), "value": entry}]

    def _make_room(self, needed: int, task_id: str) -> Operations | None:
        """Takes ended tasks from the list until there is room; None if there is none for this one."""
        used = self.used
        if used + needed <= AGENT_TASKS_BYTES:
            return []
        leaving: list[str] = []
        for ended in self.ended:
            if ended != task_id:
                leaving.append(ended)
                used -= self.sizes[ended]
            if used + needed <= AGENT_TASKS_BYTES:
                break
        else:
            return None
        for ended in leaving:
            del self.tasks[ended], self.sizes[ended], self.ended[ended]
        self.used = used
        return [{"op": "remove", "path": pointer(NAME, "tasks", ended)} for ended in leaving]

    # --- the application's part ---

    def replace(self, state: Any) -> bool:
        """The application's part is now this; False if it cannot be: it is no object, too large, or has our name."""
        if not isinstance(state, dict) or NAME in state or len(orjson.dumps(state)) > AGENT_STATE_BYTES:
            return False
        self.application = cast("dict[str, Any]", state)
        return True

    def patch(self, operations: Sequence[Any]) -> bool:
        """Changes the application's part; False if the patch does not fit it."""
        try:
            return self.replace(apply(self.application, operations))
        except PatchError:
            return False


def _run_of(run: RunState) -> dict[str, Any]:
    shown: Mapping[str, Any] = {
        "id": run.run_id,
        "workflow": run.workflow,
        "status": run.status,
        "progress": round(run.progress, 4),
        "tasks": run.total_tasks,
        "completed": run.completed,
        "failed": run.failed,
        "skipped": run.skipped,
        "cancelled": run.cancelled,
        "cost": None if run.cost is None else float(run.cost),
        "tokens": run.tokens,
    }
    return {name: value for name, value in shown.items() if value is not None}


def _entry_of(task: TaskState, output: Any) -> dict[str, Any]:
    entry: dict[str, Any] = {"status": task.status}
    if task.count is not None:
        entry["count"] = task.count
    if task.attempt:
        entry["attempt"] = task.attempt
    if task.progress is not None and not task.has_ended:
        entry["progress"] = task.progress
    if task.message is not None and not task.has_ended:
        entry["message"] = task.message[:_TEXT_CHARS]
    if task.waiting:
        asked = task.waiting[:_QUESTIONS]
        entry["questions"] = {one["key"] or "": (one["prompt"] or "")[:_TEXT_CHARS] for one in asked}
    if task.error is not None:
        entry["error"] = task.error["message"][:_TEXT_CHARS]
    elif task.reason is not None:
        entry["reason"] = task.reason[:_TEXT_CHARS]
    if len(orjson.dumps(entry)) > _ENTRY_BYTES:
        entry = {name: entry[name] for name in ("status", "count", "attempt", "progress") if name in entry}
    if output is not None and len(orjson.dumps(output)) <= _ENTRY_BYTES:
        entry["output"] = output
    return entry


def _size(task_id: str, entry: Mapping[str, Any]) -> int:
    """Of a listed task in a snapshot, in bytes."""
    return len(task_id) + len(orjson.dumps(entry)) + 4
