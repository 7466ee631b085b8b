"""Reads a log file beside its owner, or one that nobody owns: it takes none of our locks and writes no event."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Final
from urllib.parse import quote

from reactor.errors import LogUnavailable
from reactor.logs.sqlite import beside
from reactor.logs.sqlite.connection import ConnectionThread, cannot_be_used
from reactor.logs.sqlite.reads import Reads
from reactor.logs.sqlite.schema import APPLICATION_ID, VERSION
from reactor.ports.schedules import ScheduleRecord

_BUSY_SECONDS: Final = 10.0
"""How long another program may hold up a query: the owner never does, in write-ahead mode."""


class SqliteReader(Reads):
    """The events and the list of runs of a file, as committed at the moment of each call.

    The owner is not held up: in write-ahead mode readers and the writer do not wait for each other. ``open`` raises
    LogUnavailable for what is no log of this version: an older file is brought forward by an engine that opens it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._thread: ConnectionThread | None = None

    async def open(self) -> None:
        if not self.path.is_file():
            raise self._unavailable("is not there" if not self.path.exists() else "is not a file")
        try:
            connection = _connect(self.path)
        except sqlite3.Error as error:
            raise self._unavailable(cannot_be_used(error, self.path)) from error
        try:
            self._check(connection)
        except BaseException:
            connection.close()
            raise
        self._thread = ConnectionThread(asyncio.get_running_loop(), connection, "beside", self.path)

    async def close(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            await thread.stop()

    def _check(self, connection: sqlite3.Connection) -> None:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        if application != APPLICATION_ID:
            raise self._unavailable("is not an event log")
        if version > VERSION:
            raise self._unavailable(f"was written by a newer version (schema {version}, this one knows {VERSION})")
        if version < VERSION:
            raise self._unavailable(
                f"was written by an older version (schema {version}, this one reads {VERSION}): `reactor serve` with "
                "this version brings it forward, `reactor recover` makes a copy of this version"
            )

    def _unavailable(self, why: str) -> LogUnavailable:
        return LogUnavailable(f"{self.path} {why}", path=str(self.path))

    @property
    def _reading(self) -> ConnectionThread:
        if self._thread is None:
            raise self._unavailable("is not open")
        return self._thread

    async def schedules(self) -> list[ScheduleRecord]:
        return await self._reading.ask(beside.schedules)


def _connect(path: Path) -> sqlite3.Connection:
    """Raises sqlite3.Error. A file in a folder that cannot be written is read as it stands, if nobody writes to it."""
    name = quote(str(path.absolute()))
    try:
        return _opened(f"file:{name}?mode=ro")
    except sqlite3.OperationalError:
        if path.with_name(path.name + "-wal").exists():
            raise
        return _opened(f"file:{name}?immutable=1")


def _opened(uri: str) -> sqlite3.Connection:
    connection = sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA query_only = ON")
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()  # only now it is opened
    except BaseException:
        connection.close()
        raise
    return connection
