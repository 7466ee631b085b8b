"""What a run is at one of its events, as values: ``RunState``, its ``TaskState``s, and the table of statuses.

``fold`` makes a state from events; nothing else does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, cast

from reactor.events.event import Event

RUN_STATUS: Final = {
    "run.started": "running",
    "run.paused": "paused",
    "run.resumed": "running",
    "run.cancelling": "cancelling",
    "run.completed": "completed",
    "run.failed": "failed",
    "run.cancelled": "cancelled",
}
"""Event type -> status of the run after it (``run_status``). ``pending`` is before the first."""

TASK_STATUS: Final = {
    "task.started": "running",
    "task.mapped": "running",
    "task.waiting": "waiting",
    "task.retrying": "retrying",
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


def run_status(event: Event) -> str | None:
    """The status of a run after an event; None where the event leaves it as it was."""
    status = RUN_STATUS.get(event.type)
    if event.type == "run.resumed" and event.decode()["data"]["reason"] == "recovered":
        return None  # what a crash interrupted goes on as it was: running, paused or cancelling
    return status


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
    depends_on: tuple[str, ...] | None = None
    seq: int = 0
    """Of the event that set the status: where the output is found."""
    recoverable: bool | None = None
    """False for a completed task whose output a restart cannot hand on."""
    count: int | None = None
    """Children of a mapped task; None for any other."""
    tally: dict[str, int] | None = None
    """Children of a mapped task by how they ended."""
    failures: int | None = None
    """Attempts that failed and were followed by another."""
    retry: dict[str, Any] | None = None
    """While it is ``retrying``: ``since`` (ISO 8601) and ``delay_ms``."""
    waiting: list[dict[str, Any]] | None = None
    """What it waits to receive: ``prompt``, ``schema``, ``key`` of each."""
    received: list[list[Any]] | None = None
    """``[seq, key]`` of each value it was sent."""
    cancelling: str | None = None
    """Why it was asked to stop, by itself."""
    cost: Decimal | None = None
    tokens: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """The fields that say something."""
        return {name: _plain(value) for name in self.__slots__ if (value := getattr(self, name)) is not None}

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> TaskState:
        """The state of a ``to_dict``."""
        return cls(**{name: _owned(name, fields[name]) for name in cls.__slots__ if name in fields})

    def copy(self) -> TaskState:
        """A state of its own, to be folded further."""
        return TaskState(*[_own_copy(getattr(self, name)) for name in self.__slots__])


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
    parent: dict[str, Any] | None = None
    """Of a child run: ``run_id`` and ``task_id`` of who asked for it."""
    budget: dict[str, Any] | None = None
    cost: Decimal | None = None
    """Money spent so far, child runs included; None where nothing was."""
    tokens: int | None = None
    warned: list[str] | None = None
    """Resources of the budget that ``budget.warning`` has told of."""
    exceeded: list[str] | None = None
    children: dict[str, dict[str, Any]] | None = None
    """What each child run has spent, as counted here: ``cost tokens tasks``."""
    paused_at: str | None = None
    paused_ms: float | None = None
    """How long it was paused before."""
    downtime_ms: float | None = None
    """How long nobody went on with it, between crashes and restarts; pauses left out."""
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

    @property
    def idle_ms(self) -> float:
        """Milliseconds of its past that count for no time limit."""
        return (self.paused_ms or 0.0) + (self.downtime_ms or 0.0)

    def copy(self) -> RunState:
        """A state of its own, to be folded further."""
        copied = RunState(*[_own_copy(getattr(self, name)) for name in self.__slots__])
        copied.tasks = {id: task.copy() for id, task in self.tasks.items()}
        return copied

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> RunState:
        """The state of a ``to_dict``; fields of a later version are left out."""
        known = {name: _owned(name, fields[name]) for name in cls.__slots__ if name in fields and name != "tasks"}
        state = cls(**known)
        state.tasks = {id: TaskState.from_dict(task) for id, task in fields.get("tasks", {}).items()}
        return state

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; carries no outputs."""
        fields = {name: getattr(self, name) for name in self.__slots__ if name != "tasks"}
        fields = {name: _plain(value) for name, value in fields.items() if value is not None}
        fields["progress"] = round(self.progress, 6)
        fields["tasks"] = {id: task.to_dict() for id, task in self.tasks.items()}
        return fields


def _plain(value: Any) -> Any:
    """As JSON has it; a cost has at most the digits a float can carry (``policy.PLACES``)."""
    if isinstance(value, dict):
        return {name: _plain(member) for name, member in cast("dict[str, Any]", value).items()}
    if isinstance(value, tuple):
        return list(cast("tuple[Any, ...]", value))
    return float(value) if isinstance(value, Decimal) else value


def _own_copy(value: Any) -> Any:
    """What is folded in place is never somebody else's."""
    if isinstance(value, dict):
        return {name: _own_copy(member) for name, member in cast("dict[str, Any]", value).items()}
    return [_own_copy(item) for item in cast("list[Any]", value)] if isinstance(value, list) else value


def _owned(name: str, value: Any) -> Any:
    if name == "children":
        return {child: {**spent, "cost": decimal_of(spent["cost"])} for child, spent in value.items()}
    if name == "depends_on":
        return tuple(value)
    return decimal_of(value) if name == "cost" else _own_copy(value)


def decimal_of(number: float) -> Decimal:
    """A number of an event as the decimal its JSON text says."""
    return Decimal(repr(number))


def mapped_status(tally: dict[str, int]) -> str:
    """How a mapped task ended, from how its children did (``blocked``: skipped because of an upstream)."""
    for outcome, status in (("failed", "failed"), ("cancelled", "cancelled"), ("blocked", "skipped")):
        if tally.get(outcome):
            return status
    return "completed"


def outcome_of(status: str, reason: str | None) -> str:
    """The tally a child's end counts for. One skipped by a condition is left out of the list, which blocks nobody."""
    return "blocked" if status == "skipped" and reason != "condition" else status
