"""``SchedulePlace``: where schedules are, as a command sees it. A server, a log file and a shared log are places."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Protocol

from reactor.logs.sqlite.log import SqliteLog
from reactor.logs.sqlite.reader import SqliteReader
from reactor.ports.schedules import ScheduleRecord, ScheduleStore
from reactor.schedules import keeping
from reactor.schedules.deciding import resumed
from reactor_web.client.client import Client
from reactor_web.terminal.places.file import check_no_owner
from reactor_web.terminal.places.finding import Where, client_at, log_at
from reactor_web.terminal.places.place import CannotDo
from reactor_web.terminal.places.writing import BY


class SchedulePlace(Protocol):
    """The schedules of one tenant: on a server that of the key, in a log the one of all who name none."""

    async def all(self) -> list[ScheduleRecord]:
        """By name."""
        ...

    async def pause(self, name: str) -> ScheduleRecord:
        """Raises UnknownSchedule; CannotDo where a process owns the log: its name, and where to ask it."""
        ...

    async def resume(self, name: str) -> ScheduleRecord:
        """The same; CannotDo also for a log, where nobody says that the workflow is there."""
        ...

    async def trigger(self, name: str) -> str:
        """The id of the run that was started. Raises what ``resume`` raises, and why none could be started."""
        ...


@asynccontextmanager
async def opened_schedules(at: Where) -> AsyncGenerator[SchedulePlace]:
    """The place, open. Raises CannotDo and LogUnavailable."""
    if at.store is None:
        async with client_at(at.url) as client:
            yield _OfServer(client)
        return
    log = log_at(at.store)
    if not isinstance(log, SqliteLog):
        async with opened_store(at.store) as store:
            yield _OfLog(at.store, store.schedules)
        return
    reader = SqliteReader(log.path)
    await reader.open()
    try:
        yield _OfLog(at.store, reader.schedules, reader.close)
    finally:
        await reader.close()


@asynccontextmanager
async def opened_store(store: str) -> AsyncGenerator[ScheduleStore]:
    """The schedules of a log, to be changed. Raises LogUnavailable, and CannotDo where somebody owns the file."""
    log = log_at(store)
    if isinstance(log, SqliteLog):
        check_no_owner(log.path)
        log = SqliteLog(log.path)  # without the options of the URL: this is no time to delete runs
    if not isinstance(log, ScheduleStore):
        raise CannotDo("this log keeps no schedules: give the --url of the server that has them")
    await log.open()
    try:
        yield log
    finally:
        await log.close()


async def pause(store: ScheduleStore, name: str) -> ScheduleRecord:
    """Raises UnknownSchedule."""
    return await keeping.change(store, name, "", lambda one: replace(one, paused=one.paused or BY))


async def resume(store: ScheduleStore, name: str) -> ScheduleRecord:
    """Raises UnknownSchedule."""
    return await keeping.change(store, name, "", partial(resumed, now=datetime.now(UTC)))


class _OfServer:
    def __init__(self, client: Client) -> None:
        self._client = client

    async def all(self) -> list[ScheduleRecord]:
        return await self._client.schedules()

    async def pause(self, name: str) -> ScheduleRecord:
        return await self._client.pause_schedule(name)

    async def resume(self, name: str) -> ScheduleRecord:
        return await self._client.resume_schedule(name)

    async def trigger(self, name: str) -> str:
        return (await self._client.trigger_schedule(name)).id


class _OfLog:
    def __init__(
        self,
        store: str,
        read: Callable[[], Awaitable[list[ScheduleRecord]]],
        end_reading: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._store = store
        self._read = read
        self._end_reading = end_reading
        """The last connection that closes puts everything into the one file, if it may write."""

    async def all(self) -> list[ScheduleRecord]:
        return [record for record in await self._read() if record.tenant == ""]

    async def pause(self, name: str) -> ScheduleRecord:
        self._check_no_owner()
        if self._end_reading is not None:
            await self._end_reading()
        async with opened_store(self._store) as store:
            return await pause(store, name)

    async def resume(self, name: str) -> ScheduleRecord:
        raise self._needs_file("resume")

    async def trigger(self, name: str) -> str:
        raise self._needs_file("trigger")

    def _check_no_owner(self) -> None:
        log = log_at(self._store)
        if isinstance(log, SqliteLog):
            check_no_owner(log.path)

    def _needs_file(self, command: str) -> CannotDo:
        self._check_no_owner()
        return CannotDo(
            f"a log does not have the workflow: name its file, `reactor schedule {command} NAME FILE`, or give the"
            " --url of a server that has it"
        )
