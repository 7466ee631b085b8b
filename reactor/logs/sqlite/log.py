"""The log in a SQLite file: a writer thread that commits, a reader thread that queries, and the lock on the file.

The file is in write-ahead mode with ``synchronous=NORMAL``: a process that is killed loses nothing that was published.
A power cut may lose the last commits; ``synchronous=FULL`` prevents that. One process owns a file.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from reactor.bounds import APPEND_TIMEOUT_SECONDS, LOG_LOOK_SECONDS
from reactor.clock import SystemClock
from reactor.errors import LogUnavailable
from reactor.events.event import Window
from reactor.logger import get_logger
from reactor.logs.sqlite import beside, queries, retention, some, whole
from reactor.logs.sqlite.connection import ConnectionThread, cannot_be_used, connect
from reactor.logs.sqlite.lock import FileLock
from reactor.logs.sqlite.place import Place
from reactor.logs.sqlite.reads import Reads
from reactor.logs.sqlite.retention import Retention
from reactor.logs.sqlite.writer import Writer
from reactor.ports.clock import Clock
from reactor.ports.measured import Kept
from reactor.ports.order import Committed, Removed
from reactor.ports.schedules import ScheduleRecord

logger = get_logger()


def _may_write(file: Path) -> bool:
    return os.access(file, os.W_OK, effective_ids=os.access in os.supports_effective_ids)


class SqliteLog(Reads):
    """Implements every port of a log on a file, which ``open`` creates where there is none.

    - ``synchronous``: ``"FULL"`` survives power cuts.
    - ``keep_days``, ``keep_runs``: ended runs beyond these are deleted by ``open``; None: no limit.

    ``open`` raises LogUnavailable where the file cannot be used; so does every call before ``open`` and after
    ``close``.
    """

    durable = True

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
        self._file = self.path.absolute()  # stays the same file when the process changes its directory
        self._synchronous = synchronous
        self._lock = FileLock(self.path)
        self._writer: Writer | None = None
        self._reader: ConnectionThread | None = None
        self._was_opened = False
        self._clock: Clock = SystemClock()
        self._busy_seconds = APPEND_TIMEOUT_SECONDS
        self._place: Place | None = None
        self._looking: asyncio.TimerHandle | None = None
        self._trouble: str | None = None
        self._not_looked: str | None = None
        """Why the file could not even be looked at, the last time."""
        self._told: Callable[[LogUnavailable | None], None] = lambda error: None

    # --- life ---

    def keep_time(self, clock: Clock, append_timeout: float) -> None:
        """Runs grow old by this clock. A foreign lock on the file is waited for ``append_timeout`` seconds."""
        self._clock = clock
        self._busy_seconds = append_timeout

    def when_troubled(self, told: Callable[[LogUnavailable | None], None]) -> None:
        """``told(error)`` is called when the open file is found to be moved, deleted or replaced, and ``told(None)``
        when it is back. It is looked at before each commit, and once in ``bounds.LOG_LOOK_SECONDS``."""
        self._told = told

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        if self._file.is_dir():
            raise self._unavailable("is a directory, not an event log")
        if self._file.exists() and not _may_write(self._file):  # SQLite would open it to read, and fail at an append
            raise self._unavailable("may only be read, and an event log is written")
        self._lock.acquire()
        try:
            writing = self._connect()
            reading = self._connect()
            self._place = Place(self.path, self._lock)
        except BaseException as error:
            self._lock.release()
            if isinstance(error, sqlite3.Error):
                raise self._unavailable(cannot_be_used(error, self.path)) from error
            raise
        reading.execute("PRAGMA query_only = ON")
        self._writer = Writer(loop, writing, self.path, self._place, self._on_trouble)
        self._reader = ConnectionThread(loop, reading, "reader", self.path)
        self._was_opened = True
        self._look_later()
        if self._retention.is_limited:
            await self.expire()

    def announce(self, url: str) -> None:
        """Says where this process can be asked, to who finds the file in use."""
        self._lock.announce(url)

    async def close(self) -> None:
        """Commits what was appended, then lets go of the file."""
        writer, reader = self._writer, self._reader
        if writer is None or reader is None:
            return
        self._writer = self._reader = None
        if self._looking is not None:
            self._looking.cancel()
        # one after the other: the last connection that closes moves everything into the one file, and takes the one
        # beside it away. A writer that has not begun does not count, so it first commits what waits
        await writer.ask(lambda connection: None)
        await reader.stop()
        if self._place is not None and not self._place.is_ours:
            self._lock.hold_back_sqlite()
        await writer.stop()
        self._lock.release()

    def _connect(self) -> sqlite3.Connection:
        file = self._lock.file
        return connect(file, synchronous=self._synchronous, path=self.path, busy_seconds=self._busy_seconds)

    # --- whether the file is still there ---

    def _look_later(self) -> None:
        # by the loop, and not by the clock of the engine: a file is in no virtual time
        self._looking = asyncio.get_running_loop().call_later(LOG_LOOK_SECONDS, self._look)

    def _look(self) -> None:
        if self._writer is not None:
            self._writer.look().add_done_callback(self._on_look)

    def _on_look(self, looked: asyncio.Future[None]) -> None:
        error = looked.exception() if not looked.cancelled() else None
        if error is None or isinstance(error, LogUnavailable):
            self._on_trouble(error)
            self._not_looked = None
        elif self._not_looked != (failed := str(error)):  # once, not every second
            self._not_looked = failed
            logger.warning("the file of the log could not be looked at", path=str(self.path), error=failed)
        if self._writer is not None:
            self._look_later()

    def _on_trouble(self, error: LogUnavailable | None) -> None:
        before, self._trouble = self._trouble, None if error is None else str(error)
        if self._trouble != before:
            self._told(error)

    @property
    def _writing(self) -> Writer:
        if self._writer is None:
            raise self._not_open()
        return self._writer

    @property
    def _reading(self) -> ConnectionThread:
        if self._reader is None:
            raise self._not_open()
        return self._reader

    def _not_open(self) -> LogUnavailable:
        return self._unavailable("is closed" if self._was_opened else "is not open")

    def _unavailable(self, why: str) -> LogUnavailable:
        return LogUnavailable(f"{self.path} {why}", path=str(self.path))

    # --- events ---

    def append(self, run_id: str, window: Window, *, tenant: str = "") -> asyncio.Future[int]:
        return self._writing.append(run_id, window, tenant)

    async def committed(self, after: int, limit: int, *, root: str, tenant: str = "") -> list[Committed]:
        at: int | None = after
        while at is not None:
            found, at = await self._reading.ask(queries.list_committed, at, limit, root=root, tenant=tenant)
            if found:
                return found
        return []

    async def whole(self, after: int, limit: int, *, tenant: str = "") -> list[Committed | Removed]:
        at: int | None = after
        while at is not None:
            found, at = await self._reading.ask(whole.list_whole, at, limit, tenant=tenant)
            if found:
                return found
        return []

    async def of_runs(
        self, after: int, limit: int, *, runs: Sequence[str], tenant: str = ""
    ) -> list[Committed | Removed]:
        return await self._reading.ask(some.list_of_runs, after, limit, runs=runs, tenant=tenant)

    # --- the index of runs ---

    async def delete(self, run_id: str, *, tenant: str = "") -> None:
        """Deletes a run that has ended; then the file shrinks step by step, between commits."""
        await self._writing.ask(retention.delete, run_id, tenant=tenant)
        self._give_back()

    # --- beside the events ---

    async def recall(self, key: str, now: float) -> bytes | None:
        return await self._reading.ask(beside.recall_output, key, now)

    def remember(self, key: str, value: bytes, until: float) -> asyncio.Future[None]:
        return self._writing.ask(beside.remember_output, key, value, until)

    async def checkpoint(self, run_id: str, until: int, *, tenant: str = "") -> bytes | None:
        return await self._reading.ask(beside.read_checkpoint, run_id, until, tenant=tenant)

    def keep_checkpoint(self, run_id: str, seq: int, state: bytes, *, tenant: str = "") -> asyncio.Future[None]:
        return self._writing.ask(beside.keep_checkpoint, run_id, seq, state, tenant=tenant)

    async def answer(self, key: str, *, run_id: str = "", tenant: str = "") -> bytes | None:
        return await self._reading.ask(beside.read_answer, key, run_id=run_id, tenant=tenant)

    def keep_answer(self, key: str, answer: bytes, *, run_id: str = "", tenant: str = "") -> asyncio.Future[None]:
        return self._writing.ask(beside.keep_answer, key, answer, run_id=run_id, tenant=tenant)

    async def take_stop(self) -> bool | None:
        return await self._writing.ask(beside.take_stop)

    async def mark_stop(self) -> None:
        await self._writing.ask(beside.mark_stop)

    async def digest_key(self) -> bytes:
        return await self._writing.ask(beside.digest_key)

    async def schedules(self) -> list[ScheduleRecord]:
        return await self._writing.ask(beside.schedules)

    async def replace_schedule(self, before: ScheduleRecord | None, after: ScheduleRecord | None) -> bool:
        return await self._writing.ask(beside.replace_schedule, before, after)

    async def probe(self) -> None:
        """Writes ``bounds.LOG_PROBE_BYTES`` into the file, and takes them away. Raises LogUnavailable."""
        await self._writing.probe()

    # --- in numbers ---

    @property
    def size_bytes(self) -> int | None:
        """Of the file and the two beside it, when they were last looked at; None before the log was opened."""
        return None if self._place is None else self._place.size_bytes

    @property
    def retention(self) -> Kept:
        return self._retention.kept

    # --- retention ---

    async def expire(self) -> int:
        """Deletes ended runs beyond ``keep_days`` and ``keep_runs``; returns how many. ``open`` does this too."""
        deleted = await self._writing.ask(retention.expire, self._retention, self._clock.now().decode())
        if deleted:
            self._give_back()
        return deleted

    async def trim(self, run_id: str, keep_events: int) -> int:
        """Deletes the oldest windows of an ended run while ``keep_events`` events stay; returns the last seq deleted.

        Subscribers that ask for a deleted range get a ``stream.gap``. Raises ValueError for a run that has not ended,
        UnknownRun for one that is not in the log.
        """
        return await self._writing.ask(retention.trim, run_id, keep_events)

    async def vacuum(self) -> int:
        """Expires runs, then gives free space back to the file system; returns how many runs were deleted.

        Takes as long as copying the file.
        """
        deleted = await self.expire()
        await self._writing.ask(retention.vacuum)
        return deleted

    def _give_back(self) -> None:
        """Gives free space back in small steps, one after the other, until there is none or the log is closed."""

        def go_on(step: asyncio.Future[bool]) -> None:
            if not step.cancelled() and step.exception() is None and step.result():
                self._give_back()

        if self._writer is not None:
            self._writer.ask(retention.give_back).add_done_callback(go_on)
