"""Connections to a log file, and the threads that work on them."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Concatenate, ParamSpec, TypeVar

from reactor.errors import LogUnavailable
from reactor.logs.sqlite.schema import migrate

P = ParamSpec("P")
T = TypeVar("T")

Job = Callable[[sqlite3.Connection], None]


def connect(file: Path, *, synchronous: str, path: Path, busy_seconds: float) -> sqlite3.Connection:
    """A connection to a log of this version. ``path``: what errors call the file.

    ``busy_seconds``: how long another program that has the file open (``sqlite3 runs.db``) may hold up a statement.

    Raises LogUnavailable for a file that is not a log of ours, and sqlite3.Error for what SQLite refuses.
    """
    connection = sqlite3.connect(
        file, timeout=busy_seconds, isolation_level=None, check_same_thread=False, cached_statements=64
    )
    try:
        migrate(connection, path)  # before the pragmas, which would change a file that is not ours
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        connection.execute("PRAGMA foreign_keys = ON")
    except BaseException:
        connection.close()
        raise
    return connection


class ConnectionThread:
    """A thread that owns one connection: it takes jobs from a queue, and answers them on the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, connection: sqlite3.Connection, role: str, path: Path) -> None:
        self._loop = loop
        self._connection = connection
        self._path = path
        self._queue: SimpleQueue[Any] = SimpleQueue()
        """Jobs in their order; None ends the thread."""
        self._ended: asyncio.Future[None] = loop.create_future()
        threading.Thread(target=self._run, name=f"log {role} {path.name}", daemon=True).start()

    def ask(
        self, query: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> asyncio.Future[T]:
        """Calls ``query(connection, ...)`` in the thread; the future has what it returns or raises."""
        future: asyncio.Future[T] = self._loop.create_future()

        def settle(result: T | None, error: Exception | None) -> None:
            if future.done():  # cancelled: nobody waits any more
                return
            if error is None:
                future.set_result(result)  # pyright: ignore[reportArgumentType]  # of type T where there is no error
            else:
                future.set_exception(error)

        def job(connection: sqlite3.Connection) -> None:
            try:
                result = query(connection, *args, **kwargs)
            except Exception as error:
                failed = self._unavailable(error) if isinstance(error, sqlite3.Error) else error
                self.call_on_loop(lambda: settle(None, failed))
            else:
                self.call_on_loop(lambda: settle(result, None))

        self._queue.put(job)
        return future

    async def stop(self) -> None:
        """Finishes the jobs in the queue, then closes the connection."""
        self._queue.put(None)
        await self._ended

    def call_on_loop(self, action: Callable[[], Any]) -> None:
        """Calls ``action`` on the loop; does nothing where the loop is closed, because nobody waits there."""
        try:
            self._loop.call_soon_threadsafe(action)
        except RuntimeError:
            return

    def _run(self) -> None:
        try:
            self._work(self._connection)
        finally:
            self._connection.close()
            self.call_on_loop(lambda: self._ended.done() or self._ended.set_result(None))

    def _work(self, connection: sqlite3.Connection) -> None:
        """Does the jobs of the queue until it holds None."""
        while (job := self._queue.get()) is not None:
            job(connection)

    def _unavailable(self, error: sqlite3.Error) -> LogUnavailable:
        hint = recover_hint(error, self._path)
        return LogUnavailable(f"{self._path} cannot be read: {error}{hint}", path=str(self._path))


def cannot_be_used(error: sqlite3.Error, path: Path) -> str:
    """Why a file cannot be opened, and what to do."""
    return f"cannot be used as an event log: {error}{recover_hint(error, path)}"


def recover_hint(error: sqlite3.Error, path: Path) -> str:
    """What to do about a file that is damaged; nothing for another error."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code not in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return ""
    return f"; `reactor recover {path}` copies what can be read of it into a new file"


def with_hint(error: Exception, path: Path) -> Exception:
    """An error of an append; where the file is damaged it names the file, and says what to do."""
    if not isinstance(error, sqlite3.Error) or not (hint := recover_hint(error, path)):
        return error
    told = sqlite3.DatabaseError(f"{path}: {error}{hint}")
    told.__cause__ = error
    return told
