"""What the list of runs is found by, in logs of every kind: times as numbers, members of meta, and open questions.

A log lists runs in the order in which they began in it. Where nobody's clock was ever set back that is the order of
their times too, so runs of a span of time stand together; ``latest`` of a run, the newest time of all runs up to it,
grows in any case. A run that has started at a time or later is not before the first one whose ``latest`` is that late;
one that has started before a time is before the first one whose ``latest`` is later by as much as any run is late.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, Final, NamedTuple, TypeAlias

import orjson

from reactor.events.event import Event
from reactor.events.questions import open_questions
from reactor.events.state import ENDED, TASK_STATUS, UNNAMED, RunState
from reactor.requests import meta_text

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def micros(time: datetime) -> int:
    """Microseconds since 1970, of a time with a time zone."""
    return (time - _EPOCH) // timedelta(microseconds=1)


def began_at(created: str) -> int:
    """The same of a time in an event. Raises ValueError."""
    time = datetime.fromisoformat(created)
    return micros(time if time.tzinfo is not None else time.replace(tzinfo=UTC))


def member_digest(name: str, text: str) -> str:
    """32 hexadecimal digits for a member of meta, where a name of any length would be too long."""
    return sha256(orjson.dumps([name, text])).hexdigest()[:32]


def members_of(started: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Name and text of each member of a run's meta, from the data of its ``run.started`` or from its state."""
    meta: Mapping[str, Any] = started.get("meta") or {}
    return [(name, meta_text(value)) for name, value in meta.items()]


# --- questions ---

ASKED: Final = "task.waiting"
_CLOSED: Final = frozenset({"task.received", "task.expired", "task.withdrawn"})
_ENDED: Final = frozenset(type for type, status in TASK_STATUS.items() if status in ENDED)
CHANGES_QUESTIONS: Final = frozenset({ASKED, *_CLOSED, "task.started", "task.retrying", *_ENDED})
"""The types of events after which a task may have other open questions than before.

A run without any has none to lose, so there only ``ASKED`` is looked at.
"""

Questions: TypeAlias = dict[str, set[str]]
"""The open questions of a run: task id -> keys; ``UNNAMED`` for one without a key. No task has an empty set."""


class Change(NamedTuple):
    """What an event says of the open questions of its task."""

    task_id: str
    key: str | None
    """Of the one question that it is about; None: none of them is open any more."""
    is_open: bool


def change_of(event: Event) -> Change:
    """What an event of ``CHANGES_QUESTIONS`` says."""
    task_id = event.task_id or ""
    if event.type != ASKED and event.type not in _CLOSED:
        return Change(task_id, None, False)
    data = event.decode()["data"]
    return Change(task_id, data.get("key") or UNNAMED, event.type == ASKED and data.get("answered") is None)


def note(open: Questions, change: Change) -> bool:
    """Folds a change into the open questions of a run; returns whether they are others now."""
    task_id, key, is_open = change
    if key is None:
        return open.pop(task_id, None) is not None
    keys = open.get(task_id, set[str]())
    if (key in keys) == is_open:
        return False
    if is_open:
        keys.add(key)
        open[task_id] = keys
    else:
        keys.discard(key)
        if not keys:
            del open[task_id]
    return True


def questions_of(state: RunState) -> Questions:
    """The open questions of a run, from its state."""
    questions: Questions = {}
    for asked in open_questions(state):
        questions.setdefault(asked["task_id"], set()).add(asked["key"] or UNNAMED)
    return questions
