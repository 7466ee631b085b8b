"""Crashes for tests: a log is a prefix of what a run said, and what must hold whatever became of it."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from decimal import Decimal
from pathlib import Path

import orjson

from reactor import Engine, Event, Workflow
from reactor.clock import SystemClock
from reactor.events.event import Draft
from reactor.events.fold import evolve, replay
from reactor.events.state import ENDED, RunState
from reactor.events.values import json_number
from reactor.events.vocabulary import TASK_ENDS, TERMINAL
from reactor.logs.memory import MemoryLog
from reactor.logs.sqlite.log import SqliteLog
from reactor.ports.log import EventLog
from reactor.testing import check_event, read_all

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


async def crashed_log(kind: str, events: Sequence[Event], folder: Path, *others: Sequence[Event]) -> EventLog:
    """A log that has these events and nothing else: what a process leaves that was killed after them.

    ``others``: the events of other runs, its child runs say.
    """
    log = MemoryLog() if kind == "memory" else SqliteLog(folder / f"crash-{len(list(folder.iterdir()))}.db")
    await log.open()
    for logged in (events, *others):
        if logged:
            await log.append(logged[0].run_id, list(logged))
    await log.close()
    return log if kind == "memory" else SqliteLog(log.path)  # type: ignore[attr-defined]


def said(events: Sequence[Event], type: str, **data: object) -> Event:
    """The event that would have come next."""
    return Event.from_draft(len(events) + 1, RUN_ID, SystemClock().now(), Draft(type, orjson.dumps(data)))


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
    check_totals(state, events[-1], maps_of(events[(state.upgraded or 1) - 1]))
    check_order(events)
    check_spending(events, state)
    for event in events:
        check_event(event)
    check_ends(events)
    return state


def check_ends(events: Sequence[Event]) -> None:
    """The end of a task carries the progress of the run, which never falls, and what the task has spent."""
    state, before = RunState(events[0].run_id), 0.0
    for event in events:
        evolve(state, event)
        assert state.progress >= before, f"the progress falls at {event!r}"
        before = state.progress
        if event.type in TASK_ENDS or (event.type == "task.mapped" and event.data["count"] == 0):
            assert event.task_id is not None
            task = state.tasks[event.task_id]
            assert event.data["progress"] == before, f"the progress of {event!r}"
            said = (event.data.get("cost"), event.data.get("tokens"))
            assert said == (float(task.cost or 0) or None, task.tokens or None), f"the spending of {event!r}"


def maps_of(started: Event) -> set[str]:
    """The names of the mapped tasks, as ``run.started`` has them, or what is stored beside it; or ``run.upgraded``."""
    beside = orjson.loads(started.blob or b"{}")
    tasks = beside["graph"] if "graph" in beside else started.data.get("tasks") or beside.get("tasks", ())
    return {task["id"] for task in tasks if task["kind"] == "map"}


def check_totals(state: RunState, terminal: Event, maps: Collection[str] = ()) -> None:
    """The totals of the fold, of the terminal event and of the tasks themselves are the same.

    A mapped task (``maps``) that never fanned out is among no totals.
    """
    bodies = [task for task in state.tasks.values() if task.count is None and task.id not in maps]
    counted = Counter(task.status for task in bodies)
    for status in ("completed", "failed", "skipped", "cancelled"):
        assert getattr(state, status) == counted[status] == terminal.data[status], status
    assert state.total_tasks == terminal.data["total_tasks"] == len(bodies)
    assert state.running == 0
    assert not [task.id for task in state.tasks.values() if task.status not in ENDED]


def check_spending(events: Sequence[Event], state: RunState) -> None:
    """Each ``task.spent`` has the sums so far, of decimals; a budget is told of once a resource, whatever happened."""
    cost, tokens = Decimal(0), 0
    for event in events:
        if event.type == "task.spent":
            cost, tokens = cost + Decimal(repr(event.data["cost"])), tokens + event.data["tokens"]
            assert (event.data["total_cost"], event.data["total_tokens"]) == (json_number(cost), tokens)
    assert (state.cost or 0, state.tokens or 0) == (cost, tokens)
    if cost or tokens:
        assert (events[-1].data["cost"], events[-1].data["tokens"]) == (json_number(cost), tokens)
    told = Counter((e.type, e.data["resource"]) for e in events if e.type in ("budget.warning", "budget.exceeded"))
    assert all(times == 1 for times in told.values()), told


RUN_STEPS = {
    "pending": {"running"},
    "running": {"paused", "cancelling", "completed", "failed"},
    "paused": {"running", "cancelling", "completed", "failed"},
    "cancelling": {"cancelled", "failed"},
    "completed": set[str](),
    "failed": set[str](),
    "cancelled": set[str](),
}
"""From each status of a run, those that may come next."""

TASK_STEPS = {
    "pending": {"running", "completed", "failed", "skipped", "cancelled"},  # completed: of a cache, an earlier run
    "running": {"waiting", "retrying", "completed", "failed", "skipped", "cancelled", "pending"},  # skipped: a map
    "waiting": {"running", "retrying", "completed", "failed", "cancelled", "pending"},
    "retrying": {"running", "failed", "skipped", "cancelled"},
    "completed": set[str](),
    "failed": set[str](),
    "skipped": set[str](),
    "cancelled": set[str](),
}
"""The same of a task; back to ``pending``, and out of ``completed`` where the output is lost, only by a recovery."""


def check_order(events: Sequence[Event]) -> None:
    """Statuses move as they may, and nothing starts that was told not to: see the tables above."""
    state = RunState(events[0].run_id)
    stopped: set[str] = set()
    for event in events:
        run_before, before = state.status, {id: task.status for id, task in state.tasks.items()}
        lost = {id for id, task in state.tasks.items() if task.recoverable is False or task.count is not None}
        evolve(state, event)
        assert state.status == run_before or state.status in RUN_STEPS[run_before], f"{run_before} -> {event!r}"
        for id, task in state.tasks.items():
            was = before.get(id, "pending")
            if task.status != was and not (was in ENDED and id in lost):
                assert task.status in TASK_STEPS[was], f"{id}: {was} -> {event!r}"
                assert task.status != "pending" or event.type == "run.resumed"
        if event.type == "task.cancelling":
            stopped.add(event.task_id or "")
        if event.type in ("task.started", "task.mapped"):
            assert run_before == "running", f"{event!r} although the run is {run_before}"
            assert not {event.task_id, event.task} & stopped, f"{event!r} although it was told to stop"
    if events[-1].type == "run.cancelled":
        assert "run.cancelling" in [event.type for event in events]


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
