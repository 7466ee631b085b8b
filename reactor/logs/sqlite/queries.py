"""What is read from a SQLite log, and the cached outputs: one function a query, each with the connection first."""

from __future__ import annotations

import sqlite3
from typing import Final

import orjson

from reactor import bounds
from reactor.errors import UnknownRun
from reactor.events.event import Event
from reactor.events.state import RunState
from reactor.ports.log import RunRecord

_RECORDS: Final = (
    "SELECT run_id, workflow, version, status, created,"
    " (SELECT coalesce(min(first_seq), 1) FROM windows WHERE run = runs.id),"
    " (SELECT coalesce(max(last_seq), 0) FROM windows WHERE run = runs.id) FROM runs"
)


def run_row(connection: sqlite3.Connection, run_id: str) -> int:
    """The row id of a run; raises UnknownRun."""
    row = connection.execute("SELECT id FROM runs WHERE run_id = ?", (run_id,)).fetchone()
    if row is None:
        raise _unknown(run_id)
    return row[0]


def read_events(connection: sqlite3.Connection, run_id: str, after: int, limit: int) -> list[Event]:
    """The kept events with ``seq > after``: at most ``limit``, and at most ``bounds.READ_BYTES`` beyond the first."""
    rows = connection.execute(
        "SELECT first_seq, events FROM windows WHERE run = ? AND last_seq > ? ORDER BY last_seq",
        (run_row(connection, run_id), after),
    )
    events: list[Event] = []
    size = 0
    for first_seq, joined in rows:
        lines: list[bytes] = joined.split(b"\n")
        skip = max(after + 1 - first_seq, 0)
        for seq, line in enumerate(lines[skip:], first_seq + skip):
            size += len(line)
            if len(events) == limit or (size > bounds.READ_BYTES and events):
                return events
            events.append(Event.from_log(seq, run_id, line))
    return events


def read_base(connection: sqlite3.Connection, run_id: str) -> RunState:
    """The fold of the events that were trimmed."""
    row = connection.execute("SELECT base FROM runs WHERE id = ?", (run_row(connection, run_id),)).fetchone()
    return RunState(run_id) if row[0] is None else RunState.from_dict(orjson.loads(row[0]))


def read_blob(connection: sqlite3.Connection, run_id: str, seq: int) -> bytes | None:
    """The payload beside event ``seq``."""
    run = run_row(connection, run_id)
    row = connection.execute("SELECT data FROM blobs WHERE run = ? AND seq = ?", (run, seq)).fetchone()
    return None if row is None else row[0]


# --- the index of runs ---


def read_record(connection: sqlite3.Connection, run_id: str) -> RunRecord:
    """What is known of a run; raises UnknownRun."""
    row = connection.execute(f"{_RECORDS} WHERE run_id = ?", (run_id,)).fetchone()
    if row is None:
        raise _unknown(run_id)
    return RunRecord(*row)


def list_records(
    connection: sqlite3.Connection, *, status: str | None, workflow: str | None, before: str | None, limit: int
) -> list[RunRecord]:
    """Runs, newest first. ``before``: the run id the previous page ended with; raises UnknownRun for a bad one."""
    below = None if before is None else run_row(connection, before)
    given = {"status = ?": status, "workflow = ?": workflow, "id < ?": below}
    given = {condition: value for condition, value in given.items() if value is not None}
    where = " AND ".join(given) or "TRUE"  # only the conditions that are given, so that an index can be used
    rows = connection.execute(f"{_RECORDS} WHERE {where} ORDER BY id DESC LIMIT ?", (*given.values(), limit))
    return [RunRecord(*row) for row in rows]


def list_unfinished(connection: sqlite3.Connection) -> list[RunRecord]:
    """Runs without a terminal event, oldest first."""
    rows = connection.execute(f"{_RECORDS} WHERE ended IS NULL ORDER BY id")
    return [RunRecord(*row) for row in rows]


# --- outputs kept for ``cache=`` ---


def recall_output(connection: sqlite3.Connection, key: str, now: float) -> bytes | None:
    """The output under a key, unless it has expired."""
    row = connection.execute("SELECT data FROM outputs WHERE key = ? AND until > ?", (key, now)).fetchone()
    return None if row is None else row[0]


def remember_output(connection: sqlite3.Connection, key: str, value: bytes, until: float) -> None:
    """Keeps an output; beyond ``bounds.CACHED_OUTPUTS`` the oldest are deleted. For the writer."""
    connection.execute("REPLACE INTO outputs (key, data, until) VALUES (?, ?, ?)", (key, value, until))
    connection.execute("DELETE FROM outputs WHERE id <= last_insert_rowid() - ?", (bounds.CACHED_OUTPUTS,))


def _unknown(run_id: str) -> UnknownRun:
    return UnknownRun.of(run_id)
