"""The state of a run is a fold over its events: ``state = evolve(state, event)``, and nothing else.

The snapshot on a stream, the answer of ``GET /runs/{id}``, the command line and recovery all use this one function.
It reads no clock and no setting: event time is data. It folds in place into a state its caller owns, because copying
a map of 50,000 tasks would cost 500 us an event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Final

from reactor.events import Event

RUN_STATUS: Final = {
    "run.started": "running",
    "run.cancelling": "cancelling",
    "run.completed": "completed",
    "run.failed": "failed",
    "run.cancelled": "cancelled",
}
"""Event type -> status of the run after it. ``pending`` is before the first."""

TASK_STATUS: Final = {
    "task.started": "running",
    "task.mapped": "running",
    "task.completed": "completed",
    "task.failed": "failed",
    "task.skipped": "skipped",
    "task.cancelled": "cancelled",
}
"""Event type -> status of the task after it. ``pending`` is before the first."""

ENDED: Final = frozenset({"completed", "failed", "skipped", "cancelled"})
"""Statuses a task does not leave."""
RUN_ENDED: Final = frozenset({"completed", "failed", "cancelled"})
"""Statuses a run does not leave."""


@dataclass(slots=True)
class TaskState:
    """One task, or one child ``name[i]`` of a mapped task. Times are ISO 8601 strings, durations milliseconds."""

    id: str
    task: str
    status: str = "pending"
    map_index: int | None = None
    attempt: int = 0
    started: str | None = None
    ended: str | None = None
    duration_ms: float | None = None
    progress: float | None = None
    message: str | None = None
    error: dict[str, Any] | None = None
    reason: str | None = None
    because: str | None = None
    depends_on: list[str] | None = None
    seq: int = 0
    """Of the event that set the status: where the output is found."""
    recoverable: bool | None = None
    """False for a completed task whose output a restart cannot hand on."""
    count: int | None = None
    """Children of a mapped task; None for any other."""
    tally: dict[str, int] | None = None
    """Children of a mapped task by how they ended."""

    def to_dict(self) -> dict[str, Any]:
        """The fields that say something."""
        return {name: value for name in self.__slots__ if (value := getattr(self, name)) is not None}


@dataclass(slots=True)
class RunState:
    """A run as of event ``seq``. ``total_tasks`` counts bodies: unmapped tasks, and children known so far."""

    run_id: str
    seq: int = 0
    status: str = "pending"
    workflow: str | None = None
    version: str | None = None
    started: str | None = None
    ended: str | None = None
    duration_ms: float | None = None
    total_tasks: int = 0
    running: int = 0
    completed: int = 0
    failed: int = 0
    skipped: int = 0
    cancelled: int = 0
    reason: str | None = None
    error: dict[str, Any] | None = None
    meta: dict[str, Any] | None = None
    recoveries: int = 0
    """Times in a row it was recovered without a task completing in between."""
    tasks: dict[str, TaskState] = field(default_factory=dict[str, TaskState])

    @property
    def has_ended(self) -> bool:
        """True after the terminal event."""
        return self.status in RUN_ENDED

    @property
    def progress(self) -> float:
        """Ended bodies over known bodies, 0 to 1."""
        done = self.completed + self.failed + self.skipped + self.cancelled
        if self.has_ended:
            return 1.0
        return done / self.total_tasks if self.total_tasks else 0.0

    def copy(self) -> RunState:
        """A state of its own, to be folded further."""
        tasks = {
            id: replace(task, tally=dict(task.tally) if task.tally else task.tally) for id, task in self.tasks.items()
        }
        return replace(self, tasks=tasks)

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> RunState:
        """The state of a ``to_dict``; fields of a later version are left out."""
        state = cls(**{name: value for name, value in fields.items() if name in cls.__slots__ and name != "tasks"})
        for id, task in fields.get("tasks", {}).items():
            known = {name: task[name] for name in TaskState.__slots__ if name in task}
            if "tally" in known:
                known["tally"] = dict(known["tally"])  # folded in place, so never the caller's
            state.tasks[id] = TaskState(**known)
        return state

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; carries no outputs."""
        fields = {name: getattr(self, name) for name in self.__slots__ if name != "tasks"}
        fields = {name: value for name, value in fields.items() if value is not None}
        fields["progress"] = round(self.progress, 6)
        fields["tasks"] = {id: task.to_dict() for id, task in self.tasks.items()}
        return fields


def evolve(state: RunState, event: Event) -> RunState:
    """``state`` after ``event``, folded in place. Types it does not know only move ``seq``."""
    state.seq = event.seq
    fold = _FOLDS.get(event.type)
    if fold is not None:
        fold(state, event.decode())
    return state


def replay(run_id: str, events: Iterable[Event]) -> RunState:
    """The state after all of ``events``."""
    state = RunState(run_id)
    for event in events:
        evolve(state, event)
    return state


def mapped_status(tally: dict[str, int]) -> str:
    """How a mapped task ended, from how its children did (``blocked``: skipped because of an upstream)."""
    for outcome, status in (("failed", "failed"), ("cancelled", "cancelled"), ("blocked", "skipped")):
        if tally.get(outcome):
            return status
    return "completed"


def outcome_of(status: str, reason: str | None) -> str:
    """The tally a child's end counts for. One skipped by a condition is left out of the list, which blocks nobody."""
    return "blocked" if status == "skipped" and reason != "condition" else status


def _run_started(state: RunState, body: dict[str, Any]) -> None:
    data = body["data"]
    state.status = "running"
    state.workflow = data["workflow"]
    state.version = data["version"]
    state.started = body["time"]
    state.total_tasks = data["total_tasks"]
    state.meta = data.get("meta")
    for task in data.get("tasks", ()):
        state.tasks[task["id"]] = TaskState(task["id"], task["id"], depends_on=task["depends_on"])


def _run_changed(state: RunState, body: dict[str, Any]) -> None:
    state.status = RUN_STATUS[body["type"]]
    state.reason = body["data"].get("reason", state.reason)


def _run_ended(state: RunState, body: dict[str, Any]) -> None:
    _run_changed(state, body)
    state.ended = body["time"]
    state.duration_ms = body["data"]["duration_ms"]
    state.error = body["data"].get("error")
    state.running = 0


def _run_resumed(state: RunState, body: dict[str, Any]) -> None:
    if body["data"]["reason"] != "recovered":
        return
    state.recoveries += 1
    state.running = 0
    for task in state.tasks.values():
        if task.status == "running" and task.count is None:
            task.status = "pending"  # its body died with the process that ran it


def _task(state: RunState, body: dict[str, Any]) -> TaskState:
    task_id: str = body["task_id"]
    task = state.tasks.get(task_id)
    if task is None:
        task = state.tasks[task_id] = TaskState(task_id, body["task"], map_index=body.get("map_index"))
    return task


def _task_started(state: RunState, body: dict[str, Any]) -> None:
    task = _task(state, body)
    if task.status in ENDED:
        _reopen(state, task)
    task.status = "running"
    task.attempt = body["attempt"]
    task.started = body["time"]
    task.seq = body["seq"]
    state.running += 1


def _reopen(state: RunState, task: TaskState) -> None:
    """A completed body runs again, or will not, because its output could not be recovered."""
    _count(state, task.status, -1)
    mapped = state.tasks.get(task.task) if task.map_index is not None else None
    if mapped is not None and mapped.tally is not None:
        mapped.tally[outcome_of(task.status, task.reason)] -= 1
        mapped.status, mapped.ended = "running", None
    task.ended = task.duration_ms = None
    task.recoverable = False  # also while it runs: it has completed before


def _task_mapped(state: RunState, body: dict[str, Any]) -> None:
    task = _task(state, body)
    task.count = body["data"]["count"]
    task.tally = {}
    task.started = body["time"]
    task.status = "running"
    task.seq = body["seq"]
    state.total_tasks += body["data"]["count"]
    if task.count == 0:
        _mapped_ended(task, body)


def _task_progress(state: RunState, body: dict[str, Any]) -> None:
    task = _task(state, body)
    task.progress = body["data"]["fraction"]
    task.message = body["data"].get("message")


def _task_ended(state: RunState, body: dict[str, Any]) -> None:
    task = _task(state, body)
    data = body["data"]
    if task.status == "running":
        state.running -= 1
    elif task.status in ENDED:
        _reopen(state, task)
    is_repeated = task.recoverable is False
    task.status = TASK_STATUS[body["type"]]
    task.ended = body["time"]
    task.seq = body["seq"]
    task.duration_ms = data.get("duration_ms")
    task.error = data.get("error")
    task.reason = data.get("reason")
    task.because = data.get("because")
    task.recoverable = data.get("recoverable")
    if task.status == "completed" and not is_repeated:
        state.recoveries = 0
    if data.get("mapped"):
        return  # a mapped task that never fanned out runs no body and is in no total
    _count(state, task.status, 1)
    if task.map_index is not None:
        _child_ended(state.tasks[task.task], task, body)


def _count(state: RunState, status: str, by: int) -> None:
    if status == "completed":
        state.completed += by
    elif status == "failed":
        state.failed += by
    elif status == "skipped":
        state.skipped += by
    else:
        state.cancelled += by


def _child_ended(mapped: TaskState, child: TaskState, body: dict[str, Any]) -> None:
    tally = mapped.tally
    if tally is None:
        return  # a log trimmed in the middle of a map starts from a base that has the tally; nothing to add to
    outcome = outcome_of(child.status, child.reason)
    tally[outcome] = tally.get(outcome, 0) + 1
    if sum(tally.values()) == mapped.count:
        _mapped_ended(mapped, body)


def _mapped_ended(mapped: TaskState, body: dict[str, Any]) -> None:
    mapped.status = mapped_status(mapped.tally or {})
    mapped.ended = body["time"]
    mapped.seq = body["seq"]


_FOLDS: Final[dict[str, Callable[[RunState, dict[str, Any]], None]]] = {
    "run.started": _run_started,
    "run.resumed": _run_resumed,
    "run.cancelling": _run_changed,
    "run.completed": _run_ended,
    "run.failed": _run_ended,
    "run.cancelled": _run_ended,
    "task.started": _task_started,
    "task.mapped": _task_mapped,
    "task.progress": _task_progress,
    "task.completed": _task_ended,
    "task.failed": _task_ended,
    "task.skipped": _task_ended,
    "task.cancelled": _task_ended,
}
