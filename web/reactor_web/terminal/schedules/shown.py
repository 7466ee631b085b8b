"""Schedules: a table on a terminal, lines with tabs elsewhere, JSON if asked for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, TextIO

from reactor.ports.schedules import ScheduleRecord
from reactor.schedules.deciding import as_text, next_time
from reactor_web.terminal.lines import printable
from reactor_web.terminal.runs.options import tell, write_json
from reactor_web.terminal.runs.tables import print_rows

TITLES: Final = ("SCHEDULE", "WORKFLOW", "WHEN", "NEXT", "LAST RUN", "PAUSED")
_RULE: Final = ("cron", "tz", "every", "overlap", "catch_up")


def print_schedules(records: Sequence[ScheduleRecord], json: bool) -> None:
    """One schedule a row, or a line of JSON each."""
    now = as_text(datetime.now(UTC))
    if not json:
        print_rows(TITLES, [_row(record, now) for record in records])
        return
    for record in records:
        write_json(schedule_json(record, now))


def schedule_json(record: ScheduleRecord, now: str) -> dict[str, Any]:
    """A schedule with the members that a server gives it; ``next``: null while it is paused."""
    rule = {name: record.rule[name] for name in _RULE if name in record.rule}
    return {
        "name": record.name, "workflow": record.workflow, **rule, "input": record.input, "owner": record.owner,
        "code": record.is_code, "paused": record.paused, "last": record.last, "next": next_time(record, now),
        "pending": list(record.pending), "last_run": record.last_run,
    }  # fmt: skip


def say_schedule(record: ScheduleRecord, json: bool, out: TextIO | None = None) -> int:
    """What a command has led to: JSON on stdout, or on ``out``, or a sentence on stderr."""
    now = as_text(datetime.now(UTC))
    if json:
        write_json(schedule_json(record, now), out)
    elif record.paused is not None:
        tell(f"schedule {record.name} is paused: {record.paused}")
    else:
        tell(f"schedule {record.name} goes on, next at {next_time(record, now) or 'no time any more'}")
    return 0


def _row(record: ScheduleRecord, now: str) -> list[str]:
    rule = record.rule
    when = f"every {rule['every']} s" if "every" in rule else f"{rule['cron']} {rule['tz']}"
    following = next_time(record, now) or "-"
    cells = [record.name, record.workflow, when, following, record.last_run or "-", record.paused or "-"]
    return [printable(cell) for cell in cells]
