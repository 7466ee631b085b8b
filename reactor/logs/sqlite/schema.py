"""The tables of a SQLite log, version by version. An older file is brought to this version when it is opened."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final

import orjson

from reactor.errors import LogUnavailable
from reactor.logs.records import parent_of
from reactor.logs.sqlite.filling import fill_lists

APPLICATION_ID: Final = 0x52414354
"""By this number in the header ``file runs.db`` and ``migrate`` recognise a log."""

Step = str | Callable[[sqlite3.Connection], None]
"""A statement, or a function where SQL alone cannot do it."""


def _fill_parents(connection: sqlite3.Connection) -> None:
    """Finds the parent and the root of each run in its ``run.started``, or in its base where that was trimmed."""
    roots: dict[str, str] = {}
    runs = connection.execute("SELECT id, run_id, base FROM runs ORDER BY id").fetchall()  # parents come first
    for run, run_id, base in runs:
        first = connection.execute(
            "SELECT events FROM windows WHERE run = ? AND first_seq = 1 ORDER BY last_seq LIMIT 1", (run,)
        ).fetchone()
        try:
            started = orjson.loads(first[0].partition(b"\n")[0])["data"] if first else orjson.loads(base or b"{}")
            parent = parent_of(started)
        except (ValueError, KeyError, TypeError, AttributeError):
            parent = None  # somebody has changed this run: the others go on, and its recovery says what is wrong
        roots[run_id] = run_id if parent is None else roots.get(parent, parent)
        connection.execute("UPDATE runs SET parent = ?, root = ? WHERE id = ?", (parent, roots[run_id], run))


MIGRATIONS: Final[tuple[tuple[Step, ...], ...]] = (
    (
        """CREATE TABLE runs (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            run_id TEXT NOT NULL UNIQUE,
            workflow TEXT NOT NULL DEFAULT '',
            version TEXT NOT NULL DEFAULT '',
            status TEXT NOT NULL DEFAULT 'pending',
            created TEXT NOT NULL DEFAULT '',
            ended TEXT,
            base BLOB
        )""",
        "CREATE INDEX runs_by_status ON runs (status, id)",
        """CREATE TABLE windows (
            position INTEGER PRIMARY KEY AUTOINCREMENT,
            run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
            first_seq INTEGER NOT NULL,
            last_seq INTEGER NOT NULL,
            events BLOB NOT NULL
        )""",
        "CREATE UNIQUE INDEX windows_by_seq ON windows (run, last_seq, first_seq)",
        """CREATE TABLE blobs (
            run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
            seq INTEGER NOT NULL,
            data BLOB NOT NULL,
            PRIMARY KEY (run, seq)
        ) WITHOUT ROWID""",
    ),
    (
        """CREATE TABLE outputs (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            key TEXT NOT NULL UNIQUE,
            data BLOB NOT NULL,
            until REAL NOT NULL
        )""",
        "CREATE INDEX runs_unfinished ON runs (id) WHERE ended IS NULL",
    ),
    (
        # SQLite cannot change the key of a table: a new one takes its place
        """CREATE TABLE new_runs (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            tenant TEXT NOT NULL DEFAULT '',
            run_id TEXT NOT NULL,
            workflow TEXT NOT NULL DEFAULT '',
            version TEXT NOT NULL DEFAULT '',
            status TEXT NOT NULL DEFAULT 'pending',
            created TEXT NOT NULL DEFAULT '',
            ended TEXT,
            parent TEXT,
            root TEXT NOT NULL,
            base BLOB,
            UNIQUE (tenant, run_id)
        )""",
        """INSERT INTO new_runs (id, run_id, workflow, version, status, created, ended, root, base)
            SELECT id, run_id, workflow, version, status, created, ended, run_id, base FROM runs""",
        "DROP TABLE runs",
        "ALTER TABLE new_runs RENAME TO runs",
        _fill_parents,
        "CREATE INDEX runs_by_tenant ON runs (tenant, id)",
        "CREATE INDEX runs_by_status ON runs (tenant, status, id)",
        "CREATE INDEX runs_unfinished ON runs (id) WHERE ended IS NULL",
        "CREATE INDEX runs_by_parent ON runs (tenant, parent, id) WHERE parent IS NOT NULL",
        "CREATE INDEX runs_by_root ON runs (tenant, root, id)",
        """CREATE TABLE checkpoints (
            run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
            seq INTEGER NOT NULL,
            state BLOB NOT NULL,
            PRIMARY KEY (run, seq)
        )""",
        """CREATE TABLE answers (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            tenant TEXT NOT NULL,
            run_id TEXT NOT NULL,
            key TEXT NOT NULL,
            answer BLOB NOT NULL,
            time TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP,
            UNIQUE (tenant, run_id, key)
        )""",
        "CREATE INDEX answers_of_run ON answers (tenant, run_id, id)",
        "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    ),
    (
        # whether the log of its parent has the end of a child run
        "ALTER TABLE runs ADD COLUMN settled INTEGER NOT NULL DEFAULT 0",
    ),
    (
        # what a reader of all runs is told of those that were deleted
        """CREATE TABLE removed (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            position INTEGER NOT NULL,
            tenant TEXT NOT NULL,
            run_id TEXT NOT NULL,
            last_seq INTEGER NOT NULL,
            workflow TEXT NOT NULL,
            parent TEXT
        )""",
        "CREATE INDEX removed_by_position ON removed (tenant, position)",
        # a trigger, because runs are deleted one by one and many at once
        """CREATE TRIGGER remember_removed BEFORE DELETE ON runs BEGIN
            INSERT INTO removed (position, tenant, run_id, last_seq, workflow, parent)
                SELECT position, OLD.tenant, OLD.run_id, last_seq, OLD.workflow, OLD.parent
                FROM windows WHERE run = OLD.id ORDER BY last_seq DESC LIMIT 1;
        END""",
    ),
    (
        # what runs are found by: times as microseconds, see ``reactor.logs.listing``
        "ALTER TABLE runs ADD COLUMN began INTEGER",
        "ALTER TABLE runs ADD COLUMN latest INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE runs ADD COLUMN asking INTEGER NOT NULL DEFAULT 0",
        """CREATE TABLE run_meta (
            tenant TEXT NOT NULL,
            name TEXT NOT NULL,
            text TEXT NOT NULL,
            run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
            PRIMARY KEY (tenant, name, text, run)
        ) WITHOUT ROWID""",
        "CREATE INDEX meta_of_run ON run_meta (run)",
        """CREATE TABLE questions (
            run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
            task_id TEXT NOT NULL,
            key TEXT NOT NULL,
            PRIMARY KEY (run, task_id, key)
        ) WITHOUT ROWID""",
        "CREATE INDEX runs_by_workflow ON runs (tenant, workflow, id)",
        "CREATE INDEX runs_by_workflow_and_status ON runs (tenant, workflow, status, id)",
        "CREATE INDEX runs_asking ON runs (tenant, id) WHERE asking = 1",
        "CREATE INDEX runs_open ON runs (tenant, id) WHERE ended IS NULL",
        fill_lists,
        "CREATE INDEX runs_by_time ON runs (tenant, latest, id)",
        "CREATE INDEX runs_late ON runs (tenant, latest - began) WHERE latest > began",
    ),
)
"""Entry i holds the steps that lead from version i to i + 1. A released entry never changes: add the next."""

VERSION: Final = len(MIGRATIONS)


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Brings the file to this version; raises LogUnavailable for a newer file, and for one that is not an event log."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if application != APPLICATION_ID and tables:
        raise LogUnavailable(f"{path} is a SQLite file of something else, not an event log", path=str(path))
    if version > VERSION:
        raise LogUnavailable(
            f"{path} was written by a newer version (schema {version}, this one knows {VERSION}); upgrade reactor-dag",
            path=str(path),
        )
    if version == VERSION:
        return
    if not tables:  # only a file without tables takes it: so deleted runs give their space back in small steps
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("BEGIN IMMEDIATE")
    try:
        for steps in MIGRATIONS[version:]:
            for step in steps:
                if isinstance(step, str):
                    connection.execute(step)
                else:
                    step(connection)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
