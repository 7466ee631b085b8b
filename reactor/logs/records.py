"""What logs of every kind read from events for their list of runs, and say about it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson

from reactor.errors import RunOpen
from reactor.events.event import Event
from reactor.events.state import RUN_STATUS
from reactor.events.vocabulary.child import is_of_engine
from reactor.ports.schedules import ScheduleRecord


def parent_of(started: Mapping[str, Any]) -> str | None:
    """The run that started this one, from the data of its ``run.started`` or from its state."""
    parent = started.get("parent")
    return None if parent is None else parent["run_id"]


INDEXED: Final[frozenset[str]] = frozenset({*RUN_STATUS, "child.ended", "run.upgraded"})
"""The types of events that the list of runs is kept up to date with."""


def later_version(event: Event) -> str | None:
    """The version of its workflow that a run has from this event on; None where it stays what it was."""
    return event.decode()["data"]["version"] if event.type == "run.upgraded" else None


def settled_child(event: Event) -> str | None:
    """The child run whose end a ``child.ended`` of the engine says; None for an event of any other kind.

    From then on the child run is not needed any more: a body that runs again gets its end from the log of its parent.
    None also where that does not say how to restore the outputs from their JSON.
    """
    if event.type != "child.ended":
        return None
    data = event.decode()["data"]
    is_whole = data.get("typed_outputs", {}) is not None
    return str(data["child_run"]) if is_whole and is_of_engine(data) else None


def still_open(run_id: str, status: str) -> RunOpen:
    """What ``delete`` raises for a run that has not ended."""
    return RunOpen(f"run {run_id} is {status}; only a run that has ended is deleted", run_id=run_id)


def days_before(now: str, days: float) -> datetime:
    """That time; where the calendar has none so long ago, its beginning."""
    try:
        return datetime.fromisoformat(now) - timedelta(days=days)
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC)


def pack_schedule(record: ScheduleRecord) -> bytes:
    """As it is stored: the same bytes for the same schedule, so that stored ones can be compared."""
    return orjson.dumps(record, option=orjson.OPT_SORT_KEYS)


def unpack_schedule(packed: bytes | str) -> ScheduleRecord:
    fields: dict[str, Any] = orjson.loads(packed)
    fields["pending"] = tuple(fields["pending"])
    return ScheduleRecord(**fields)
