"""What a SQLite log lets go of: whole runs by age and number, and the beginning of a run."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import orjson

from reactor.events.event import Event
from reactor.events.fold import evolve
from reactor.events.state import RunState


class Retention(NamedTuple):
    """Of ended runs, the last ``keep_runs`` and those of the last ``keep_days`` are kept; None: no limit."""

    keep_days: float | None = None
    keep_runs: int | None = None

    @property
    def is_limited(self) -> bool:
        return self.keep_days is not None or self.keep_runs is not None


def expire(connection: sqlite3.Connection, retention: Retention) -> int:
    """Deletes ended runs beyond the limits, with all that belongs to them; how many. Open runs are never touched."""
    deleted = 0
    connection.execute("BEGIN IMMEDIATE")
    try:
        if retention.keep_days is not None:
            before = datetime.now(UTC) - timedelta(days=retention.keep_days)
            deleted += connection.execute("DELETE FROM runs WHERE ended < ?", (before.isoformat(),)).rowcount
        if retention.keep_runs is not None:
            newest = "SELECT id FROM runs WHERE ended IS NOT NULL ORDER BY id DESC LIMIT ?"
            deleted += connection.execute(
                f"DELETE FROM runs WHERE ended IS NOT NULL AND id NOT IN ({newest})", (retention.keep_runs,)
            ).rowcount
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    return deleted


def trim(connection: sqlite3.Connection, run: int, run_id: str, keep_events: int) -> int:
    """Deletes the oldest windows of a run as long as ``keep_events`` events stay; the seq up to which they are gone.

    Their fold becomes the run's base, so its state is what it was.
    """
    row = connection.execute("SELECT base FROM runs WHERE id = ?", (run,)).fetchone()
    base = RunState(run_id) if row[0] is None else RunState.from_dict(orjson.loads(row[0]))
    (last,) = connection.execute("SELECT coalesce(max(last_seq), 0) FROM windows WHERE run = ?", (run,)).fetchone()
    cut = base.seq
    connection.execute("BEGIN IMMEDIATE")
    try:
        rows = connection.execute(
            "SELECT first_seq, last_seq, events FROM windows WHERE run = ? AND last_seq <= ? ORDER BY last_seq",
            (run, last - keep_events),
        )
        for first_seq, last_seq, joined in rows:
            for seq, line in enumerate(joined.split(b"\n"), first_seq):
                evolve(base, Event.from_log(seq, run_id, line))
            cut = last_seq
        connection.execute("DELETE FROM windows WHERE run = ? AND last_seq <= ?", (run, cut))
        connection.execute("DELETE FROM blobs WHERE run = ? AND seq <= ?", (run, cut))
        connection.execute("UPDATE runs SET base = ? WHERE id = ?", (orjson.dumps(base.to_dict()), run))
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    return cut
