"""The log in a SQLite file: one commit per window, shared by all runs that have one ready.

A window is one row: its events' JSON, as it was made, joined by line ends. Appending costs one insert however many
events it has, and replay is reading rows and cutting them at line ends. ``position`` numbers the windows of all runs in
commit order.

Write-ahead log with ``synchronous=NORMAL``: a killed process loses nothing that was published; after a power cut the
last commits may be missing, unless ``synchronous=FULL``. One process owns a file.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final, Literal, NamedTuple, TypeVar

import orjson

from reactor.bounds import CACHED_OUTPUTS, READ_BYTES
from reactor.errors import LogUnavailable, UnknownRun
from reactor.events.event import Event, Window
from reactor.events.state import RUN_ENDED, RUN_STATUS, RunState, run_status
from reactor.logs.sqlite.lock import FileLock
from reactor.logs.sqlite.retention import Retention, expire, trim
from reactor.logs.sqlite.schema import migrate
from reactor.ports.log import RunRecord

T = TypeVar("T")

BUSY_SECONDS: Final = 5.0
"""How long a read-only visitor (``sqlite3 runs.db``) may hold us up."""


_Job = Callable[[sqlite3.Connection], None]


class _Append(NamedTuple):
    run_id: str
    window: Window
    done: Callable[[Exception | None], None]


class SqliteLog:
    """Implements ``EventLog`` on a file; made by the first ``open``. Raises LogUnavailable there, in one sentence."""

    def __init__(
        self,
        path: str | Path,
        *,
        synchronous: Literal["NORMAL", "FULL"] = "NORMAL",
        keep_days: float | None = None,
        keep_runs: int | None = None,
    ) -> None:
        self._retention = Retention(keep_days, keep_runs)
        self.path = Path(path)
        self._file = self.path.absolute()  # a path means what it meant here, wherever the process goes
        self._synchronous = synchronous
        self._lock = FileLock(self.path)
        self._is_open = False
        self._appends: SimpleQueue[_Append | _Job | None] = SimpleQueue()
        self._reads: SimpleQueue[_Job | None] = SimpleQueue()
        self._ended: list[asyncio.Future[None]] = []
        self._last: dict[str, tuple[int, int]] = {}
        """Of each open run: (row id, last seq). The writer thread's own."""

    durable = True

    # --- life ---

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        if self._file.is_dir():
            raise self._unavailable("is a directory, not an event log")
        self._lock.acquire()
        try:
            writer = self._connect()
            reader = self._connect()
        except BaseException as error:
            self._lock.release()
            if isinstance(error, sqlite3.Error):
                raise self._unavailable(f"cannot be used as an event log: {error}") from error
            raise
        reader.execute("PRAGMA query_only = ON")
        self._loop = loop
        self._is_open = True
        self._ended = [self._start(self._write, writer, "writer"), self._start(self._read, reader, "reader")]
        if self._retention.is_limited:
            await self.expire()

    async def close(self) -> None:
        """Commits what was appended, then lets go of the file."""
        if not self._is_open:
            return
        self._is_open = False
        writer, reader = self._ended
        # one after the other: the last connection that closes moves everything into the one file
        self._reads.put(None)
        await reader
        self._appends.put(None)
        await writer
        self._lock.release()

    def _start(
        self, work: Callable[[sqlite3.Connection], None], connection: sqlite3.Connection, role: str
    ) -> asyncio.Future[None]:
        """A thread that works on its connection until it is told to end; the future is done when it has."""
        ended: asyncio.Future[None] = self._loop.create_future()

        def run() -> None:
            try:
                work(connection)
            finally:
                connection.close()
                self._tell(lambda: ended.done() or ended.set_result(None))

        threading.Thread(target=run, name=f"log {role} {self.path.name}", daemon=True).start()
        return ended

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._file, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=64
        )
        try:
            migrate(connection, self.path)  # before anything is changed: the file may be somebody else's
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA synchronous = {self._synchronous}")
            connection.execute("PRAGMA foreign_keys = ON")
        except BaseException:
            connection.close()
            raise
        return connection

    def _check_open(self) -> None:
        """Nobody answers before ``open``, nor after ``close``."""
        if not self._is_open:
            raise self._unavailable("is closed" if self._ended else "is not open")

    def _unavailable(self, why: str) -> LogUnavailable:
        return LogUnavailable(f"{self.path} {why}", path=str(self.path))

    # --- writing ---

    def append(self, run_id: str, window: Window) -> asyncio.Future[None]:
        self._check_open()
        future: asyncio.Future[None] = self._loop.create_future()

        def settle(error: Exception | None) -> None:
            if future.done():  # nobody waits any more
                return
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)

        self._appends.put(_Append(run_id, window, settle))
        return future

    def _write(self, connection: sqlite3.Connection) -> None:
        """Takes whatever is there: appends as one batch, and between batches the upkeep somebody asked for."""
        batch: list[_Append] = []
        while (item := self._appends.get()) is not None:
            if isinstance(item, _Append):
                batch.append(item)
            else:
                self._commit(connection, batch)
                batch = []
                item(connection)
            if batch and self._appends.empty():
                self._commit(connection, batch)
                batch = []
        self._commit(connection, batch)

    def _commit(self, connection: sqlite3.Connection, batch: list[_Append]) -> None:
        """All windows in one transaction; run by run where that fails, so that one bad run harms no other."""
        if not batch:
            return
        error = self._transaction(connection, batch)
        outcomes: list[tuple[_Append, Exception | None]] = [(append, error) for append in batch]
        if error is not None and len(batch) > 1:
            outcomes = [(append, self._transaction(connection, [append])) for append in batch]
        self._tell(lambda: [append.done(failed) for append, failed in outcomes])

    def _transaction(self, connection: sqlite3.Connection, batch: Iterable[_Append]) -> Exception | None:
        try:
            if connection.in_transaction:  # a rollback failed as well
                connection.execute("ROLLBACK")
            connection.execute("BEGIN IMMEDIATE")
            for append in batch:
                self._insert(connection, append.run_id, append.window)
            connection.execute("COMMIT")
        except Exception as error:
            self._last.clear()  # what was not committed is not there
            try:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
            except sqlite3.Error:
                pass  # what made the commit fail; BEGIN says whether the connection is of use again
            return error
        return None

    def _insert(self, connection: sqlite3.Connection, run_id: str, window: Window) -> None:
        run, last = self._last.get(run_id) or self._run_row(connection, run_id)
        new = [event for event in window if event.seq > last]
        if not new:
            return  # keyed (run, seq): a repeat is harmless
        if new[0].seq != last + 1 or new[-1].seq != last + len(new):
            raise ValueError(f"window {window[0].seq} of run {run_id} leaves a gap after {last}")
        joined = b"\n".join([event.json for event in new])
        if joined.count(b"\n") != len(new) - 1:
            raise ValueError(f"window {window[0].seq} of run {run_id} holds an event of more than one line")
        connection.execute(
            "INSERT INTO windows (run, first_seq, last_seq, events) VALUES (?, ?, ?, ?)",
            (run, new[0].seq, new[-1].seq, joined),
        )
        for event in new:
            if event.blob is not None:
                connection.execute("INSERT INTO blobs (run, seq, data) VALUES (?, ?, ?)", (run, event.seq, event.blob))
            if event.type in RUN_STATUS:
                self._run_event(connection, run, event)
        self._last[run_id] = (run, new[-1].seq)
        if new[-1].type in RUN_STATUS and RUN_STATUS[new[-1].type] in RUN_ENDED:
            del self._last[run_id]

    def _run_row(self, connection: sqlite3.Connection, run_id: str) -> tuple[int, int]:
        row = connection.execute(
            "SELECT id, (SELECT coalesce(max(last_seq), 0) FROM windows WHERE run = id) FROM runs WHERE run_id = ?",
            (run_id,),
        ).fetchone()
        if row is not None:
            return row[0], row[1]
        cursor = connection.execute("INSERT INTO runs (run_id) VALUES (?)", (run_id,))
        return int(cursor.lastrowid or 0), 0

    def _run_event(self, connection: sqlite3.Connection, run: int, event: Event) -> None:
        status = run_status(event)
        if status is None:
            return
        connection.execute("UPDATE runs SET status = ? WHERE id = ?", (status, run))
        if event.type == "run.started":
            body = event.decode()
            connection.execute(
                "UPDATE runs SET workflow = ?, version = ?, created = ? WHERE id = ?",
                (body["data"]["workflow"], body["data"]["version"], body["time"], run),
            )
        elif status in RUN_ENDED:
            connection.execute("UPDATE runs SET ended = ? WHERE id = ?", (event.decode()["time"], run))

    # --- retention ---

    async def expire(self) -> int:
        """Deletes ended runs beyond ``keep_days`` and ``keep_runs``; how many. Done at every ``open``."""
        return await self._ask(self._appends.put, lambda connection: expire(connection, self._retention))

    async def trim(self, run_id: str, keep_events: int) -> int:
        """Deletes the beginning of an ended run, window by window, as long as ``keep_events`` stay; the last seq gone.

        Who asks for that range is told (``stream.gap``). An unfinished run is never trimmed: ValueError.
        """

        def job(connection: sqlite3.Connection) -> int:
            run = _run(connection, run_id)
            (ended,) = connection.execute("SELECT ended FROM runs WHERE id = ?", (run,)).fetchone()
            if ended is None:
                raise ValueError(f"run {run_id} has not ended")
            return trim(connection, run, run_id, keep_events)

        return await self._ask(self._appends.put, job)

    async def vacuum(self) -> int:
        """Deletes what ``expire`` does and gives the space back to the file system; takes the time to copy the file."""
        deleted = await self.expire()
        await self._ask(self._appends.put, lambda connection: connection.execute("VACUUM") and None)
        return deleted

    # --- outputs kept for ``cache=`` ---

    async def recall(self, key: str, now: float) -> bytes | None:
        def query(connection: sqlite3.Connection) -> bytes | None:
            row = connection.execute("SELECT data FROM outputs WHERE key = ? AND until > ?", (key, now)).fetchone()
            return None if row is None else row[0]

        return await self._query(query)

    def remember(self, key: str, value: bytes, until: float) -> asyncio.Future[None]:
        def job(connection: sqlite3.Connection) -> None:
            connection.execute("REPLACE INTO outputs (key, data, until) VALUES (?, ?, ?)", (key, value, until))
            connection.execute("DELETE FROM outputs WHERE id <= last_insert_rowid() - ?", (CACHED_OUTPUTS,))

        return self._ask(self._appends.put, job)

    # --- reading ---

    async def read(self, run_id: str, after: int, limit: int) -> list[Event]:
        return await self._query(lambda connection: _read_events(connection, run_id, after, limit))

    async def base(self, run_id: str) -> RunState:
        def query(connection: sqlite3.Connection) -> RunState:
            row = connection.execute("SELECT base FROM runs WHERE id = ?", (_run(connection, run_id),)).fetchone()
            return RunState(run_id) if row[0] is None else RunState.from_dict(orjson.loads(row[0]))

        return await self._query(query)

    async def blob(self, run_id: str, seq: int) -> bytes | None:
        def query(connection: sqlite3.Connection) -> bytes | None:
            run = _run(connection, run_id)
            row = connection.execute("SELECT data FROM blobs WHERE run = ? AND seq = ?", (run, seq)).fetchone()
            return None if row is None else row[0]

        return await self._query(query)

    async def record(self, run_id: str) -> RunRecord:
        def query(connection: sqlite3.Connection) -> RunRecord:
            row = connection.execute(f"{_RECORDS} WHERE run_id = ?", (run_id,)).fetchone()
            if row is None:
                raise _unknown(run_id)
            return RunRecord(*row)

        return await self._query(query)

    async def records(
        self, *, status: str | None, workflow: str | None, before: str | None, limit: int
    ) -> list[RunRecord]:
        def query(connection: sqlite3.Connection) -> list[RunRecord]:
            below = None if before is None else _run(connection, before)
            wanted = {"status = ?": status, "workflow = ?": workflow, "id < ?": below}
            wanted = {condition: value for condition, value in wanted.items() if value is not None}
            where = " AND ".join(wanted) or "TRUE"  # only what is asked for, so that an index can be used
            rows = connection.execute(f"{_RECORDS} WHERE {where} ORDER BY id DESC LIMIT ?", (*wanted.values(), limit))
            return [RunRecord(*row) for row in rows]

        return await self._query(query)

    async def unfinished(self) -> list[RunRecord]:
        def query(connection: sqlite3.Connection) -> list[RunRecord]:
            rows = connection.execute(f"{_RECORDS} WHERE ended IS NULL ORDER BY id")
            return [RunRecord(*row) for row in rows]

        return await self._query(query)

    async def _query(self, query: Callable[[sqlite3.Connection], T]) -> T:
        return await self._ask(self._reads.put, query)

    def _ask(self, put: Callable[[_Job], None], query: Callable[[sqlite3.Connection], T]) -> asyncio.Future[T]:
        """The answer of a thread that works on its connection."""
        self._check_open()
        future: asyncio.Future[T] = self._loop.create_future()

        def settle(result: T | None, error: Exception | None) -> None:
            if future.done():
                return
            if error is None:
                future.set_result(result)  # pyright: ignore[reportArgumentType]  # of type T where there is no error
            else:
                future.set_exception(error)

        def job(connection: sqlite3.Connection) -> None:
            try:
                result = query(connection)
            except Exception as error:
                failed = self._unavailable(f"cannot be read: {error}") if isinstance(error, sqlite3.Error) else error
                self._tell(lambda: settle(None, failed))
            else:
                self._tell(lambda: settle(result, None))

        put(job)
        return future

    def _read(self, connection: sqlite3.Connection) -> None:
        while (job := self._reads.get()) is not None:
            job(connection)

    def _tell(self, action: Callable[[], Any]) -> None:
        try:
            self._loop.call_soon_threadsafe(action)
        except RuntimeError:
            return  # the loop closed first: nobody is left to tell


_RECORDS: Final = (
    "SELECT run_id, workflow, version, status, created,"
    " (SELECT coalesce(min(first_seq), 1) FROM windows WHERE run = runs.id),"
    " (SELECT coalesce(max(last_seq), 0) FROM windows WHERE run = runs.id) FROM runs"
)


def _read_events(connection: sqlite3.Connection, run_id: str, after: int, limit: int) -> list[Event]:
    rows = connection.execute(
        "SELECT first_seq, events FROM windows WHERE run = ? AND last_seq > ? ORDER BY last_seq",
        (_run(connection, run_id), after),
    )
    events: list[Event] = []
    size = 0
    for first_seq, joined in rows:
        lines: list[bytes] = joined.split(b"\n")
        skip = max(after + 1 - first_seq, 0)
        for seq, line in enumerate(lines[skip:], first_seq + skip):
            size += len(line)
            if len(events) == limit or (size > READ_BYTES and events):
                return events
            events.append(Event.from_log(seq, run_id, line))
    return events


def _run(connection: sqlite3.Connection, run_id: str) -> int:
    row = connection.execute("SELECT id FROM runs WHERE run_id = ?", (run_id,)).fetchone()
    if row is None:
        raise _unknown(run_id)
    return row[0]


def _unknown(run_id: str) -> UnknownRun:
    return UnknownRun(f"there is no run {run_id!r}", run_id=run_id)
