"""Logs written by hand, for what a dialect makes of single events."""

from __future__ import annotations

from typing import Any

import orjson

from reactor.events.event import Draft, Event, task_head
from reactor_web.dialects import Dialect
from reactor_web.sse.parser import Frame, Parser

RUN = "run-1"
Said = tuple[str, Any] | tuple[str, Any, str]
"""(type, data) or (type, data, task id) of an event."""

END = {
    "total_tasks": 1, "completed": 1, "failed": 0, "skipped": 0, "cancelled": 0,
    "duration_ms": 2.0, "task_time_ms": 2.0, "speedup": 1.0,
}  # fmt: skip
"""What every ``run.completed``, ``run.failed`` and ``run.cancelled`` says."""


def started(**data: Any) -> Said:
    """The first event of a run of ``letters`` with one task ``draft``."""
    tasks = [{"id": "draft", "kind": "task", "depends_on": [], "place": 0}]
    return "run.started", {
        "workflow": "letters", "version": "1", "fingerprint": "f", "total_tasks": 1, "input": {}, "tasks": tasks,
        **data,
    }  # fmt: skip


def session(**data: Any) -> Said:
    """The first event of a session."""
    return started(workflow="session", session=True, total_tasks=0, tasks=[], **data)


def log_of(*said: Said) -> list[Event]:
    """The events of a run, a microsecond apart. An event with a task is of its first attempt."""
    events: list[Event] = []
    for seq, (type, data, *task) in enumerate(said, 1):
        time = f"2026-11-21T12:00:00.{seq:06}Z".encode()
        head = task_head(task[0], task[0].partition("[")[0], None, 1) if task else b""
        events.append(Event.from_draft(seq, RUN, time, Draft(type, orjson.dumps(data), *(task or [None]), head)))
    return [Event.from_json(event.json) for event in events]


def bytes_of(dialect: Dialect, *said: Said) -> bytes:
    """What a dialect makes of these events."""
    log = log_of(*said)
    state, _ = dialect.begin(log[0] if log[0].type == "run.started" else None, "resume")
    return b"".join([dialect.step(state, event) for event in log])


def frames_of(dialect: Dialect, *said: Said) -> list[Frame]:
    """The same as frames. A frame without an id line has the id ""."""
    return Parser(sticky_id=False).feed(bytes_of(dialect, *said))
