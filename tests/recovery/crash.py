"""Crashes for tests: a log is a prefix of what a run said, and what must hold whatever became of it."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import orjson

from reactor import Engine, Event, Workflow
from reactor.clock import SystemClock
from reactor.events import TERMINAL, Draft
from reactor.fold import replay
from reactor.logs import MemoryLog, SqliteLog
from reactor.ports import EventLog
from reactor.state import RunState
from reactor.testing import read_all

TASK_ENDS = frozenset({"task.completed", "task.failed", "task.skipped", "task.cancelled"})
RUN_ID = "crashed"


async def record(flow: Workflow, input: dict[str, object] | None = None) -> list[Event]:
    """The events of a whole run, with what is stored beside them."""
    async with Engine("memory://") as engine:
        run = await engine.start(flow, input or {}, run_id=RUN_ID)
        await run.ended()
        return await read_with_blobs(engine.log, run.id)


async def read_with_blobs(log: EventLog, run_id: str = RUN_ID) -> list[Event]:
    """All events, each with what is stored beside it."""
    events = await read_all(log, run_id)
    for event in events:
        if b"_ref" in event.json:
            event.blob = await log.blob(run_id, event.seq)
    return events


async def crashed_log(kind: str, events: Sequence[Event], folder: Path) -> EventLog:
    """A log that has these events and nothing else: what a process leaves that was killed after them."""
    log = MemoryLog() if kind == "memory" else SqliteLog(folder / f"crash-{len(list(folder.iterdir()))}.db")
    await log.open()
    if events:
        await log.append(RUN_ID, list(events))
    await log.close()
    return log if kind == "memory" else SqliteLog(log.path)  # type: ignore[attr-defined]


def said(events: Sequence[Event], type: str, **data: object) -> Event:
    """The event that would have come next."""
    return Event.numbered(len(events) + 1, RUN_ID, SystemClock().now(), Draft(type, orjson.dumps(data)))


def check_laws(events: Sequence[Event]) -> RunState:
    """What holds of every finished run, however often it was interrupted; returns its state."""
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert [event.type for event in events if event.type in TERMINAL] == [events[-1].type]
    assert events[0].type == "run.started"
    attempts: Counter[str] = Counter()
    indexes: list[int] = []
    completed: set[str] = set()
    for event in events:
        if event.type == "task.started":
            assert event.task_id is not None
            attempts[event.task_id] += 1
            assert event.attempt == attempts[event.task_id], f"attempt of {event!r}"
            indexes.append(event.data["index"])
        if event.type in TASK_ENDS and event.task_id is not None:
            assert event.task_id not in completed, f"{event!r} ended again, although its output is recoverable"
            if event.type == "task.completed" and event.data.get("recoverable", True):
                completed.add(event.task_id)
    assert indexes == list(range(len(indexes)))
    state = replay(events[0].run_id, events)
    check_totals(state, events[-1])
    return state


def check_totals(state: RunState, terminal: Event) -> None:
    """The totals of the fold, of the terminal event and of the tasks themselves are the same."""
    bodies = [task for task in state.tasks.values() if task.count is None and not is_mapped(state, task.id)]
    counted = Counter(task.status for task in bodies)
    for status in ("completed", "failed", "skipped", "cancelled"):
        assert getattr(state, status) == counted[status] == terminal.data[status], status
    assert state.total_tasks == terminal.data["total_tasks"] == len(bodies)
    assert state.running == 0
    assert not [task.id for task in state.tasks.values() if task.status in ("pending", "running")]


def is_mapped(state: RunState, task_id: str) -> bool:
    """A mapped task that never fanned out: it is among no totals."""
    task = state.tasks[task_id]
    return task_id in MAPPED and task.map_index is None


MAPPED: set[str] = set()
"""Names of mapped tasks, as a test knows them."""


def in_log(path: Path, run_id: str) -> list[Event]:
    """The events of a SQLite file, read beside everything that is under test."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        rows = connection.execute(
            "SELECT events FROM windows JOIN runs ON runs.id = windows.run WHERE run_id = ? ORDER BY position",
            (run_id,),
        ).fetchall()
    except sqlite3.OperationalError:  # before there is a table
        return []
    finally:
        connection.close()
    return [Event.from_json(line) for (joined,) in rows for line in joined.split(b"\n")]


def ended_in(events: Iterable[Event]) -> dict[str, Event]:
    """By task id, the last end of each task."""
    return {event.task_id: event for event in events if event.type in TASK_ENDS and event.task_id}
