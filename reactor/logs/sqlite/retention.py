"""What a SQLite log deletes: whole runs by age and number, and the oldest events of a run. For the writer's thread."""

from __future__ import annotations

import sqlite3
from typing import Final, NamedTuple

import orjson

from reactor.events.event import Event
from reactor.events.fold import evolve
from reactor.logs.records import days_before, still_open
from reactor.logs.sqlite.queries import read_base, run_row
from reactor.logs.sqlite.whole import forget_removed
from reactor.ports.measured import Kept

_INCREMENTAL: Final = 2
"""As ``PRAGMA auto_vacuum`` answers."""
_STEP_PAGES: Final = 256
"""One megabyte."""


class Retention(NamedTuple):
    """Which ended runs are kept: those of the last ``keep_days``, and the last ``keep_runs`` with their child runs.

    None: no limit. ``keep_runs`` counts runs that no other has started.
    """

    keep_days: float | None = None
    keep_runs: int | None = None

    @property
    def is_limited(self) -> bool:
        return self.keep_days is not None or self.keep_runs is not None

    @property
    def kept(self) -> Kept:
        """The same as the port has it."""
        return Kept(None if self.keep_days is None else self.keep_days * 86_400, self.keep_runs)


_TREE_HAS_ENDED: Final = "(tenant, root) NOT IN (SELECT tenant, root FROM runs WHERE ended IS NULL)"

_IS_NOT_NEEDED: Final = """
    (tenant, run_id) NOT IN (SELECT tenant, parent FROM runs WHERE ended IS NULL AND parent IS NOT NULL)
    AND (settled OR parent IS NULL OR (tenant, parent) NOT IN (SELECT tenant, run_id FROM runs WHERE ended IS NULL))
"""
"""An open parent that is recovered asks for its children. One that is gone would start again, unless the log of the
parent has its end."""

_DELETE_ANSWERS_OF_NO_RUN: Final = (
    "DELETE FROM answers WHERE run_id != '' AND NOT EXISTS"
    " (SELECT 1 FROM runs WHERE runs.tenant = answers.tenant AND runs.run_id = answers.run_id)"
)
"""A later run of the same id must not be answered with what was said to this one."""


def expire(connection: sqlite3.Connection, retention: Retention, now: str) -> int:
    """Deletes ended runs beyond the limits, with their events; returns how many. Open runs are never touched."""
    deleted = 0
    connection.execute("BEGIN IMMEDIATE")
    try:
        if retention.keep_days is not None:
            before = days_before(now, retention.keep_days)
            deleted += connection.execute(
                f"DELETE FROM runs WHERE ended < ? AND {_IS_NOT_NEEDED}", (before.isoformat(),)
            ).rowcount
        if retention.keep_runs is not None:
            newest = (
                "SELECT tenant, run_id FROM runs WHERE ended IS NOT NULL AND root = run_id ORDER BY id DESC LIMIT ?"
            )
            deleted += connection.execute(
                f"DELETE FROM runs WHERE ended IS NOT NULL AND (tenant, root) NOT IN ({newest}) AND {_TREE_HAS_ENDED}",
                (retention.keep_runs,),
            ).rowcount
        if deleted:
            connection.execute(_DELETE_ANSWERS_OF_NO_RUN)
            forget_removed(connection)
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    return deleted


def trim(connection: sqlite3.Connection, run_id: str, keep_events: int) -> int:
    """Deletes the oldest windows of an ended run while ``keep_events`` events stay; returns the last seq deleted.

    Their fold becomes the run's base, so its state stays the same. Raises ValueError for a run that has not ended.
    """
    run = run_row(connection, run_id, "")
    (ended,) = connection.execute("SELECT ended FROM runs WHERE id = ?", (run,)).fetchone()
    if ended is None:
        raise ValueError(f"run {run_id} has not ended")
    base = read_base(connection, run_id)
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


def delete(connection: sqlite3.Connection, run_id: str, *, tenant: str = "") -> None:
    """Deletes a run that has ended, with all that is kept of it. Raises UnknownRun and RunOpen."""
    run = run_row(connection, run_id, tenant)
    status, ended = connection.execute("SELECT status, ended FROM runs WHERE id = ?", (run,)).fetchone()
    if ended is None:
        raise still_open(run_id, status)
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute("DELETE FROM answers WHERE tenant = ? AND run_id = ?", (tenant, run_id))
        connection.execute("DELETE FROM runs WHERE id = ?", (run,))
        forget_removed(connection)
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def give_back(connection: sqlite3.Connection) -> bool:
    """Gives a few free pages back to the file system; returns whether there are more.

    In small steps, because commits wait meanwhile. A file that was made before ``auto_vacuum`` gives nothing back
    before it is compacted by ``vacuum``.
    """
    (mode,) = connection.execute("PRAGMA auto_vacuum").fetchone()
    if mode != _INCREMENTAL:
        return False
    connection.execute(f"PRAGMA incremental_vacuum({_STEP_PAGES})").fetchall()  # it works while its rows are fetched
    (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    return free > 0


def vacuum(connection: sqlite3.Connection) -> None:
    """Gives free space back to the file system. From now on the file gives it back in small steps."""
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("VACUUM")
