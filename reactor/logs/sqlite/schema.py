"""The tables of a SQLite log, version by version. An older file is brought to this version when it is opened."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from reactor.errors import LogUnavailable

APPLICATION_ID: Final = 0x52414354
"""By this number in the header ``file runs.db`` and ``migrate`` recognise a log."""

MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
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
)
"""Entry i holds the statements that lead from version i to i + 1. A released entry never changes: add the next."""

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
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statements in MIGRATIONS[version:]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
