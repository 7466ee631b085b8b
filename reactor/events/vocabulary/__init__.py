"""The types of the events that the engine itself writes: one class a type, with the keys of its ``data``.

tables      the names of all types and statuses, and the tables that the classes are entered into
run         ``run.started`` to the end of a run
task        what happens to one task
child       what happens to the child runs of a task
calls       log lines, calls of models and tools, budgets
notices     messages that exist on streams only
later       types whose keys are fixed, but which this version does not write

``docs/events.md`` is made from these classes. They are for readers and type checkers: nothing looks at them while a run
goes on. A key that is NotRequired and whose text says "since" is missing in logs of earlier versions.
"""

from typing import Final

from reactor.events.vocabulary import calls, child, later, notices, run, task
from reactor.events.vocabulary.tables import (
    ENDED,
    NOTICES,
    RESERVED,
    RUN_ENDED,
    VOCABULARY,
    EventKind,
    EventType,
    NoticeType,
    ReservedType,
    RunStatus,
    TaskStatus,
)

TERMINAL: Final[frozenset[str]] = frozenset(type for type, kind in VOCABULARY.items() if kind.run_status in RUN_ENDED)
"""The types of the last event of a run; every run ends with exactly one of them."""

TASK_ENDS: Final[frozenset[str]] = frozenset(type for type, kind in VOCABULARY.items() if kind.task_status in ENDED)
"""The types of the last event of a task."""

PROGRESS_LIKE: Final[frozenset[str]] = frozenset({"task.progress"})
"""Types of which only the latest of each task matters, so that a stream may hold back and replace the others."""

__all__ = [
    "ENDED",
    "NOTICES",
    "PROGRESS_LIKE",
    "RESERVED",
    "RUN_ENDED",
    "TASK_ENDS",
    "TERMINAL",
    "VOCABULARY",
    "EventKind",
    "EventType",
    "NoticeType",
    "ReservedType",
    "RunStatus",
    "TaskStatus",
    "calls",
    "child",
    "later",
    "notices",
    "run",
    "task",
]
