"""What is read from a SQLite log: one function a query, each with the connection first."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import Any, Final

import orjson

from reactor import bounds
from reactor.errors import UnknownRun
from reactor.events.event import Event
from reactor.events.state import RunState
from reactor.ports.log import RunRecord
from reactor.ports.order import Committed

RECORDS: Final = (
    "SELECT runs.run_id, workflow, version, status, created,"
    " coalesce((SELECT first_seq FROM windows WHERE run = runs.id ORDER BY last_seq LIMIT 1), 1),"
    " coalesce((SELECT last_seq FROM windows WHERE run = runs.id ORDER BY last_seq DESC LIMIT 1), 0),"
    " parent, root,"
    " coalesce((SELECT position FROM windows WHERE run = runs.id ORDER BY last_seq DESC LIMIT 1), 0),"
    " runs.tenant"
)
"""The columns of a ``RunRecord``."""


@contextmanager
def one_moment(connection: sqlite3.Connection) -> Generator[None]:
    """All that is read inside is of one moment. Else a reader could be told of a later position first."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")


def run_row(connection: sqlite3.Connection, run_id: str, tenant: str) -> int:
    """The row id of a run; raises UnknownRun."""
    row = connection.execute("SELECT id FROM runs WHERE tenant = ? AND run_id = ?", (tenant, run_id)).fetchone()
    if row is None:
        raise UnknownRun.of(run_id)
    return row[0]


def read_events(
    connection: sqlite3.Connection, run_id: str, after: int, limit: int, *, tenant: str = ""
) -> list[Event]:
    """The kept events with ``seq > after``: at most ``limit``, and at most ``bounds.READ_BYTES`` beyond the first."""
    rows = connection.execute(
        "SELECT first_seq, events FROM windows WHERE run = ? AND last_seq > ? ORDER BY last_seq",
        (run_row(connection, run_id, tenant), after),
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


def read_base(connection: sqlite3.Connection, run_id: str, *, tenant: str = "") -> RunState:
    """The fold of the events that were trimmed."""
    run = run_row(connection, run_id, tenant)
    row = connection.execute("SELECT base FROM runs WHERE id = ?", (run,)).fetchone()
    return RunState(run_id) if row[0] is None else RunState.from_dict(orjson.loads(row[0]))


def read_blob(connection: sqlite3.Connection, run_id: str, seq: int, *, tenant: str = "") -> bytes | None:
    """The payload beside event ``seq``."""
    run = run_row(connection, run_id, tenant)
    row = connection.execute("SELECT data FROM blobs WHERE run = ? AND seq = ?", (run, seq)).fetchone()
    return None if row is None else row[0]


ROWS: Final = """
    SELECT position, runs.run_id, first_seq, events, coalesce((
        SELECT last_seq FROM windows AS earlier WHERE earlier.run = windows.run AND earlier.last_seq < windows.last_seq
        ORDER BY last_seq DESC LIMIT 1), 0)
    FROM windows CROSS JOIN runs ON runs.id = windows.run
"""
"""What ``windows_of`` reads."""
WINDOWS: Final = f"{ROWS} WHERE position > ? AND position <= ? AND tenant = ?"
"""CROSS JOIN keeps SQLite from reading all windows of a tree and sorting them, for each page of them."""


def list_committed(
    connection: sqlite3.Connection, after: int, limit: int, *, root: str, tenant: str = ""
) -> tuple[list[Committed], int | None]:
    """The windows of a tree with ``position > after``, not behind the last window of a root that has ended.

    Of the windows of all runs it looks at ``SCAN`` of them, so that other readers have their turn. Where none of them
    is of the tree, the second value is where to look on; None: nowhere.
    """
    row = connection.execute(
        "SELECT ended, (SELECT position FROM windows WHERE run = runs.id ORDER BY last_seq LIMIT 1),"
        " (SELECT position FROM windows WHERE run = runs.id ORDER BY last_seq DESC LIMIT 1)"
        " FROM runs WHERE tenant = ? AND run_id = ?",
        (tenant, root),
    ).fetchone()
    ended, first, last = row or (None, None, None)
    until = _NO_END if ended is None or last is None else last
    # nothing of a tree is older than its root, and a log may hold years before that
    start = max(after, first - 1) if first is not None else after
    (newest,) = connection.execute("SELECT coalesce(max(position), 0) FROM windows").fetchone()
    until = min(until, newest)
    end = min(start + SCAN, until)
    rows = connection.execute(f"{WINDOWS} AND root = ? ORDER BY position LIMIT ?", (start, end, tenant, root, limit))
    found, _ = windows_of(rows)
    return found, None if found or end >= until else end


def windows_of(rows: Iterable[Any]) -> tuple[list[Committed], bool]:
    """The windows of rows of ``WINDOWS``, as many as one read may give; whether there are more."""
    found: list[Committed] = []
    size = 0
    for position, run_id, first_seq, joined, before in rows:
        size += len(joined)
        if size > bounds.READ_BYTES and found:
            return found, True
        events = [Event.from_log(seq, run_id, line) for seq, line in enumerate(joined.split(b"\n"), first_seq)]
        found.append(Committed(position, run_id, first_seq, events, before))
    return found, False


_NO_END: Final = 2**63 - 1
SCAN: Final = 10_000
"""Windows that one read looks at."""


# --- the index of runs ---


def read_record(connection: sqlite3.Connection, run_id: str, *, tenant: str = "") -> RunRecord:
    """What is known of a run; raises UnknownRun."""
    row = connection.execute(f"{RECORDS} FROM runs WHERE tenant = ? AND run_id = ?", (tenant, run_id)).fetchone()
    if row is None:
        raise UnknownRun.of(run_id)
    return RunRecord(*row)


def list_unfinished(connection: sqlite3.Connection) -> list[RunRecord]:
    """Runs without a terminal event, oldest first."""
    rows = connection.execute(f"{RECORDS} FROM runs WHERE ended IS NULL ORDER BY id")
    return [RunRecord(*row) for row in rows]
