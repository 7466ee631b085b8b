"""The state of a run after one of its events: ``RunState`` with a ``TaskState`` for each task, and all statuses.

Only ``fold`` changes a state.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from operator import attrgetter
from typing import Any, Final, cast

from reactor.events.event import Event
from reactor.events.keyed import Remembered
from reactor.events.progress import WHOLE_TASK, child_units, fraction
from reactor.events.vocabulary import ENDED, RUN_ENDED, VOCABULARY, RunStatus, TaskStatus

RUN_STATUS: Final[dict[str, RunStatus]] = {
    type: kind.run_status for type, kind in VOCABULARY.items() if kind.run_status is not None
}
"""Event type -> status of the run after it (but see ``run_status``). Before the first event it is ``pending``."""

TASK_STATUS: Final[dict[str, TaskStatus]] = {
    type: kind.task_status for type, kind in VOCABULARY.items() if kind.task_status is not None
}
"""Event type -> status of the task after it. Before the first event it is ``pending``."""


UNNAMED: Final = ""
"""The key, in ``TaskState.asked``, of questions without a key in logs of versions before 0.2."""
EXPIRED: Final = "expired"
WITHDRAWN: Final = "withdrawn"
"""What became of a question that has no answer."""


def run_status(event: Event) -> RunStatus | None:
    """The status of a run after an event; None if the event does not change it."""
    status = RUN_STATUS.get(event.type)
    if event.type == "run.resumed" and event.decode()["data"]["reason"] == "recovered":
        return None  # after a crash, a run is what it was before: running, paused or cancelling
    return status


@dataclass(slots=True)
class TaskState:
    """The state of one task, or of one child ``name[i]`` of a mapped task.

    Times are ISO 8601 strings, durations are milliseconds.
    """

    id: str
    task: str
    status: TaskStatus = "pending"
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
    """The seq of the event that set the status. The output is stored under it."""
    recoverable: bool | None = None
    """False for a completed task whose output cannot be restored after a restart."""
    count: int | None = None
    """The number of children of a mapped task; None for any other task."""
    tally: dict[str, int] | None = None
    """How many children of a mapped task ended in which way (``outcome_of``)."""
    failures: int | None = None
    """How many attempts failed and were followed by another one."""
    retry: dict[str, Any] | None = None
    """While the status is ``retrying``: ``{since, delay_ms}``."""
    waiting: list[dict[str, Any]] | None = None
    """Its open questions, in the order they were asked: a list of ``{prompt, schema, key, expires?}``."""
    received: list[list[Any]] | None = None
    """``[seq, key]`` of each value that was sent to it."""
    asked: dict[str, list[Any]] | None = None
    """All questions of a task that may still run: key -> ``[seq of its task.waiting, what became of it]``, that is the
    seq of its answer, ``expired``, ``withdrawn``, or None while it is open."""
    cancelling: str | None = None
    """The reason, if this task alone was asked to stop."""
    cost: Decimal | None = None
    tokens: int | None = None

    @property
    def has_ended(self) -> bool:
        return self.status in ENDED

    @property
    def has_ended_before(self) -> bool:
        """Whether it has ended at least once. It may run again after a restart, because its output is lost."""
        return self.has_ended or self.recoverable is False

    def to_dict(self) -> dict[str, Any]:
        """The fields that are not None, as JSON."""
        return {name: _plain(value) for name in TASK_FIELDS if (value := getattr(self, name)) is not None}

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> TaskState:
        """The state that ``to_dict`` described."""
        return cls(**{name: _from_plain(name, fields[name]) for name in TASK_FIELDS if name in fields})

    def copy(self) -> TaskState:
        """An independent copy, which can be folded further."""
        copied = TaskState(*_fields_of(self))
        for name in _CHANGEABLE:  # nearly always all of them are None
            value = getattr(copied, name)
            if value is not None:
                setattr(copied, name, own_copy(value))
        return copied


@dataclass(slots=True)
class RunState:
    """The state of a run after event ``seq``.

    ``total_tasks`` counts bodies: tasks that are not mapped, and the children known so far.
    """

    run_id: str
    seq: int = 0
    status: RunStatus = "pending"
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
    """How many times it was recovered; in a log whose events do not count them: since a task has completed."""
    recoveries_in_a_row: int | None = None
    """How many times it was recovered since a task has completed; None where ``recoveries`` says that."""
    crashes: dict[str, int] | None = None
    """Task id -> how often in a row the process was killed while its body ran, since the body last said something. Not
    shown."""
    parent: dict[str, Any] | None = None
    """For a child run: ``{run_id, task_id}`` of the task that started it."""
    budget: dict[str, Any] | None = None
    cost: Decimal | None = None
    """The money spent so far, with child runs; None if none was."""
    tokens: int | None = None
    warned: list[str] | None = None
    """The resources of the budget that had a ``budget.warning``."""
    exceeded: list[str] | None = None
    """The resources of the budget that had a ``budget.exceeded``."""
    children: dict[str, dict[str, Any]] | None = None
    """Run id of a child run -> what this run's log says of it: ``{cost, tokens, tasks}``, what it has spent; since 0.2
    ``{task_id, workflow, key, status}``, and ``seq`` of its ``child.ended``. The status is ``running`` until then."""
    paused_at: str | None = None
    """When the present pause began."""
    paused_ms: float | None = None
    """The length of all earlier pauses together."""
    downtime_ms: float | None = None
    """The time between crashes and restarts, without pauses."""
    maps: int | None = None
    """The number of mapped tasks in the graph, if there are any. Unknown in logs of versions before 0.2."""
    graph_tasks: int = 0
    """The number of tasks in the graph."""
    ended_units: int = 0
    """What has ended, in units of ``progress``."""
    upgraded: int | None = None
    """The seq of its last ``run.upgraded``, if it goes on in another graph than it began with."""
    least_progress: float | None = None
    """What was shown before that; it does not fall because the graph has more tasks."""
    session: bool | None = None
    """True for a session: a run without tasks, whose events come from outside."""
    idle: float | None = None
    """Seconds without an event after which a session is closed, if it is."""
    remembered: dict[str, Remembered] | None = None
    """The keys of emitted events, the last ``bounds.RUN_ANSWERS``. Not shown."""
    tasks: dict[str, TaskState] = field(default_factory=dict[str, TaskState])

    @property
    def has_ended(self) -> bool:
        """True after the terminal event."""
        return self.status in RUN_ENDED

    @property
    def progress(self) -> float:
        """How much of the run has ended, 0 to 1: the mean over the tasks of the graph. It never falls."""
        if self.has_ended:
            return 1.0
        reached = fraction(self.ended_units, self.graph_tasks)
        return reached if self.least_progress is None else max(reached, self.least_progress)

    @property
    def least_units(self) -> int:
        """``least_progress`` in millionths."""
        return round((self.least_progress or 0.0) * WHOLE_TASK)

    def count_progress(self) -> None:
        """Makes ``graph_tasks`` and ``ended_units`` from the other fields."""
        tasks = self.tasks.values()
        listed = sum(task.depends_on is not None for task in tasks)  # 0 where run.started had no room for the tasks
        bodies = self.total_tasks - sum(task.count or 0 for task in tasks)
        counted = bodies + (self.maps or 0)
        self.graph_tasks = counted if self.upgraded else listed or counted
        self.ended_units = sum(self.units_of(task) for task in tasks if task.has_ended_before)

    def task_of(self, body: dict[str, Any]) -> TaskState:
        """The task that an event is about; a new one where the state does not have it yet."""
        task_id: str = body["task_id"]
        task = self.tasks.get(task_id)
        if task is None:
            name = task_id if body["task"] == task_id else body["task"]  # one string for both: a run may have 50,000
            task = self.tasks[task_id] = TaskState(task_id, name, map_index=body.get("map_index"))
        return task

    def units_of(self, task: TaskState) -> int:
        """What the end of a task adds to ``ended_units``. A mapped task adds nothing, its children do."""
        if task.count is not None:
            return 0 if task.count else WHOLE_TASK
        if task.map_index is None:
            return WHOLE_TASK
        mapped = self.tasks.get(task.task)  # None only in a state that is not folded from the first event on
        return 0 if mapped is None or mapped.count is None else child_units(task.map_index, mapped.count)

    @property
    def fruitless_recoveries(self) -> int:
        """How many times in a row it was recovered without a task completing in between."""
        return self.recoveries if self.recoveries_in_a_row is None else self.recoveries_in_a_row

    @property
    def idle_ms(self) -> float:
        """Milliseconds so far that do not count for time limits: pauses and downtime."""
        return (self.paused_ms or 0.0) + (self.downtime_ms or 0.0)

    def copy(self) -> RunState:
        """An independent copy, which can be folded further."""
        copied = RunState(*[own_copy(getattr(self, name)) for name in RUN_FIELDS])
        copied.tasks = {id: task.copy() for id, task in self.tasks.items()}
        return copied

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> RunState:
        """The state that ``to_dict`` described; unknown fields, from a later version, are ignored."""
        state = cls(**{name: _from_plain(name, fields[name]) for name in _SHOWN if name in fields})
        state.tasks = {id: TaskState.from_dict(task) for id, task in fields.get("tasks", {}).items()}
        state.count_progress()
        return state

    def to_dict(self) -> dict[str, Any]:
        """The state as JSON, with ``progress``; without the outputs of tasks."""
        fields = {name: _plain(value) for name in _SHOWN if (value := getattr(self, name)) is not None}
        fields["progress"] = self.progress
        fields["tasks"] = {id: task.to_dict() for id, task in self.tasks.items()}
        return fields


TASK_FIELDS: Final[tuple[str, ...]] = tuple(TaskState.__slots__)
_fields_of: Final = attrgetter(*TASK_FIELDS)
_CHANGEABLE: Final = ("error", "tally", "retry", "waiting", "received", "asked")
"""Fields of a task that are lists and dicts."""
RUN_FIELDS: Final[tuple[str, ...]] = tuple(RunState.__slots__)
_HIDDEN: Final = frozenset({"tasks", "graph_tasks", "ended_units", "remembered", "crashes"})
_SHOWN: Final = tuple(name for name in RUN_FIELDS if name not in _HIDDEN)


def _plain(value: Any) -> Any:
    """A field as JSON. A cost fits into a float (``policy.PLACES``)."""
    if isinstance(value, dict):
        return {name: _plain(member) for name, member in cast("dict[str, Any]", value).items()}
    if isinstance(value, (tuple, list)):
        return [_plain(member) for member in cast("tuple[Any, ...]", value)]
    return float(value) if isinstance(value, Decimal) else value


def own_copy(value: Any) -> Any:
    """A copy of lists and dicts, because a fold changes them in place."""
    if isinstance(value, dict):
        return {name: own_copy(member) for name, member in cast("dict[str, Any]", value).items()}
    return [own_copy(item) for item in cast("list[Any]", value)] if isinstance(value, list) else value


def _from_plain(name: str, value: Any) -> Any:
    """A field from its JSON."""
    if name == "children":
        # without a cost where the rest of it is in the next part of a ``run.state``
        return {
            child: {**spent, "cost": decimal_of(spent["cost"])} if "cost" in spent else spent
            for child, spent in value.items()
        }
    if name == "depends_on":
        return tuple(value)
    return decimal_of(value) if name == "cost" else own_copy(value)


def decimal_of(number: float) -> Decimal:
    """A number from an event as the decimal that its JSON text says."""
    return Decimal(repr(number))


_OUTCOMES: Final[tuple[tuple[str, TaskStatus], ...]] = (
    ("failed", "failed"),
    ("cancelled", "cancelled"),
    ("blocked", "skipped"),
)


def mapped_status(tally: dict[str, int]) -> TaskStatus:
    """The final status of a mapped task. ``tally``: outcome of children (``outcome_of``) -> how many."""
    for outcome, status in _OUTCOMES:
        if tally.get(outcome):
            return status
    return "completed"


def outcome_of(status: str, reason: str | None) -> str:
    """How a child ended: its status, or ``blocked`` if it was skipped because of an upstream.

    A child that its own condition skipped is only left out of the list that dependents receive.
    """
    return "blocked" if status == "skipped" and reason != "condition" else status
