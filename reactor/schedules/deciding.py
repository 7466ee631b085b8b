"""What becomes of the times that have come. Pure: it is given what is stored and the time, and says what to store."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from reactor.bounds import SCHEDULE_LATE_SECONDS, SCHEDULE_PENDING
from reactor.definition.schedules import ScheduleRule
from reactor.ports.schedules import ScheduleRecord

GONE: Final = "gone from the code"
"""What has paused a schedule that ``flow.schedule`` says no longer."""


def as_text(time: datetime) -> str:
    """As records have it: ``2026-01-31T06:00:00Z``."""
    return f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def as_time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def advanced(record: ScheduleRecord, now: datetime, *, is_busy: bool) -> ScheduleRecord:
    """The schedule with all times up to ``now`` dealt with: those that are to start a run are pending.

    ``is_busy``: a run that an earlier time has started is open.
    """
    rule = ScheduleRule.from_json(record.rule)
    due = rule.last_times(as_time(record.last), now, SCHEDULE_PENDING)
    if not due:
        return record
    waits = is_busy or bool(record.pending)
    chosen = () if rule.overlap == "skip" and waits else tuple(map(as_text, _chosen(rule, due, now)))
    pending = (*record.pending, *chosen)[:SCHEDULE_PENDING]
    return replace(record, last=as_text(due[-1]), pending=pending)


def _chosen(rule: ScheduleRule, due: list[datetime], now: datetime) -> list[datetime]:
    """Of the times that are due, those that start a run. More than one is due where nobody looked in time."""
    if rule.catch_up == "all":
        return due
    in_time = now - due[-1] <= timedelta(seconds=SCHEDULE_LATE_SECONDS)
    return due[-1:] if in_time or rule.catch_up == "one" else []


def settled(record: ScheduleRecord, time: str, run_id: str | None) -> ScheduleRecord:
    """The schedule without a pending time, which has started this run; None: it could not start any."""
    pending = tuple(other for other in record.pending if other != time)
    return replace(record, pending=pending, last_run=run_id or record.last_run)


def changed(record: ScheduleRecord, new: ScheduleRecord, now: datetime) -> ScheduleRecord:
    """A stored schedule that is said anew. What it has come to stays, but times of another rule count from now on."""
    comes_back = record.paused == GONE
    is_same = record.rule == new.rule and not comes_back
    return replace(
        new,
        last=record.last if is_same else max(record.last, as_text(now)),
        paused=None if comes_back else record.paused,
        pending=record.pending,
        last_run=record.last_run,
    )


def resumed(record: ScheduleRecord, now: datetime) -> ScheduleRecord:
    """A schedule that goes on: times that came during the pause were not missed."""
    if record.paused is None:
        return record
    return replace(record, paused=None, last=max(record.last, as_text(now)))


def next_time(record: ScheduleRecord, now: str) -> str | None:
    """The next of its times after ``now``; None while it is paused, and where there is none any more."""
    following = None if record.paused else ScheduleRule.from_json(record.rule).next_after(as_time(now))
    return None if following is None else as_text(following)
