"""The names of all types and statuses, and the tables from a type to its class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, NamedTuple, TypeVar

EventType = Literal[
    "run.started",
    "run.paused",
    "run.resumed",
    "run.cancelling",
    "run.upgraded",
    "run.completed",
    "run.failed",
    "run.cancelled",
    "task.started",
    "task.mapped",
    "task.progress",
    "task.chunk",
    "task.spent",
    "task.waiting",
    "task.received",
    "task.expired",
    "task.withdrawn",
    "task.retrying",
    "task.cancelling",
    "task.completed",
    "task.failed",
    "task.skipped",
    "task.cancelled",
    "child.started",
    "child.ended",
    "log.created",
    "llm.call.started",
    "llm.call.completed",
    "tool.call.started",
    "tool.call.completed",
    "budget.warning",
    "budget.exceeded",
]
"""The types that the engine writes. Any other type in the log of a run was emitted by a body."""

NoticeType = Literal["run.state", "stream.gap", "stream.end", "stream.closing"]
"""The types of messages that exist on streams only. They have no seq."""

ReservedType = Literal[
    "task.step",
    "task.sleeping",
]
"""Types that a later version writes."""

RunStatus = Literal["pending", "running", "paused", "cancelling", "completed", "failed", "cancelled"]
TaskStatus = Literal["pending", "running", "waiting", "retrying", "completed", "failed", "skipped", "cancelled"]

ENDED: Final[frozenset[str]] = frozenset({"completed", "failed", "skipped", "cancelled"})
"""The final statuses of a task."""
RUN_ENDED: Final[frozenset[str]] = frozenset({"completed", "failed", "cancelled"})
"""The final statuses of a run."""


class EventKind(NamedTuple):
    """What is known of a type: the TypedDict of its ``data``, and the status that it leads to."""

    data: type
    run_status: RunStatus | None = None
    task_status: TaskStatus | None = None


VOCABULARY: Final[dict[EventType, EventKind]] = {}
NOTICES: Final[dict[NoticeType, EventKind]] = {}
RESERVED: Final[dict[ReservedType, EventKind]] = {}

C = TypeVar("C", bound=type)


def event(type: EventType, *, run: RunStatus | None = None, task: TaskStatus | None = None) -> Callable[[C], C]:
    """Enters a class into ``VOCABULARY``. ``run``, ``task``: the status after the event, if the event sets one."""

    def enter(data: C) -> C:
        VOCABULARY[type] = EventKind(data, run, task)
        return data

    return enter


def notice(type: NoticeType) -> Callable[[C], C]:
    """Enters a class into ``NOTICES``."""

    def enter(data: C) -> C:
        NOTICES[type] = EventKind(data)
        return data

    return enter


def reserved(type: ReservedType) -> Callable[[C], C]:
    """Enters a class into ``RESERVED``."""

    def enter(data: C) -> C:
        RESERVED[type] = EventKind(data)
        return data

    return enter
