"""Logs made by hand or by random runs, and what a dialect tells of a log."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, NamedTuple

import orjson
from hypothesis import strategies as st

from reactor import Engine, RunEnded, Workflow
from reactor.events.event import Draft, Event, Notice, task_head
from reactor_web.dialects import Dialect, End
from reactor_web.sse.parser import Frame, Parser
from tests.helpers.dags import Spec, controlled_dags


class Told(NamedTuple):
    """One frame: its id ("" for none), its event name (``message`` for none), its data."""

    id: str
    event: str
    data: Any


def frames_of(data: bytes) -> list[Told]:
    """What a client reads in these bytes."""
    return [_told(frame) for frame in Parser(sticky_id=False).feed(data)]


def _told(frame: Frame) -> Told:
    return Told(frame.id, frame.event, orjson.loads(frame.data))


def told(dialect: Dialect, log: Sequence[Event]) -> list[Told]:
    """The frames of the events of a log that is read from its beginning."""
    state, opening = dialect.begin(log[0], "fresh")
    return frames_of(opening + b"".join([dialect.step(state, event) for event in log]))


def told_at_end(dialect: Dialect, log: Sequence[Event]) -> list[Told]:
    """The frames behind the last event of a run that has ended."""
    state, _ = dialect.begin(log[0], "resume")
    for event in log:
        dialect.step(state, event)
    notice = Notice("stream.end", log[0].run_id, log[-1].time, {"status": log[-1].type.removeprefix("run.")})
    return frames_of(dialect.end(state, End(notice, log[-1].seq)))


def told_when_closing(dialect: Dialect, reason: str, log: Sequence[Event] = (), run_id: str = "run-1") -> list[Told]:
    """The frames of a stream that closes after these events, of a run that has not ended."""
    state, _ = dialect.begin(log[0] if log else None, "resume")
    for event in log:
        dialect.step(state, event)
    time = log[-1].time if log else "2026-11-30T12:00:00.000000Z"
    return frames_of(dialect.end(state, End(Notice("stream.closing", run_id, time, {"reason": reason, "retry_ms": 1}))))


def log_of(*said: tuple[str, dict[str, Any]] | tuple[str, dict[str, Any], str], run_id: str = "run-1") -> list[Event]:
    """Events from (type, data, task id), a millisecond apart. ``data["attempt"]`` stands in the envelope."""
    log: list[Event] = []
    for seq, (type, data, *task) in enumerate(said, 1):
        data = dict(data)
        attempt = data.pop("attempt", 1)
        id = task[0] if task else None
        index = int(id.rpartition("[")[2][:-1]) if id is not None and id.endswith("]") else None
        head = b"" if id is None else task_head(id, id.partition("[")[0], index, attempt)
        time = b"2026-11-30T12:00:00.%06dZ" % (seq * 1_000)
        log.append(Event.from_draft(seq, run_id, time, Draft(type, orjson.dumps(data), id, head)))
    return log


def started(*tasks: str | dict[str, Any], **data: Any) -> tuple[str, dict[str, Any]]:
    """``run.started`` of a workflow ``flow`` with these tasks, each with what its entry says besides its id."""
    entries = [{"id": task} if isinstance(task, str) else task for task in tasks]
    listed: list[dict[str, Any]] = [
        {"kind": "task", "depends_on": [], "place": place, **entry} for place, entry in enumerate(entries)
    ]
    return "run.started", {"workflow": "flow", "version": "1", "total_tasks": len(listed), "tasks": listed, **data}


def session() -> tuple[str, dict[str, Any]]:
    """``run.started`` of a session."""
    return started(session=True)


def ended(how: str = "completed", **data: Any) -> tuple[str, dict[str, Any]]:
    """The terminal event of a run."""
    totals = dict.fromkeys(("total_tasks", "completed", "failed", "skipped", "cancelled"), 0)
    return f"run.{how}", {**totals, "duration_ms": 12.5, "task_time_ms": 25.0, "speedup": 2.0, **data}


# --- random runs ------------------------------------------------------------------------------------------------


def _asking_nobody(spec: Spec) -> Spec:
    return tuple(replace(task, receives=0) for task in spec)


GRAPHS = controlled_dags(max_tasks=8).map(_asking_nobody)
"""Graphs with failures, retries, conditions, maps and child runs, which end by themselves."""
CANCELS = st.none() | st.integers(0, 12)
"""After how many turns of the loop a run is cancelled; None: it is not."""


async def recorded(flow: Workflow, cancel_after: int | None = None) -> list[Event]:
    """The events of a run, on an engine of its own."""
    async with Engine() as engine:
        run = await engine.start(flow)
        if cancel_after is not None:
            for _ in range(cancel_after):
                await asyncio.sleep(0)
            with suppress(RunEnded):
                await run.request_cancel(reason="asked")
        await run.ended()
        return [event async for event in run]
