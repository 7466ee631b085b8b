"""A log file. Beside its owner it is read; without one it is written too, by an engine of our own."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from reactor.engine import Engine
from reactor.errors import LogUnavailable
from reactor.logs.sqlite.lock import Owner, owner_of
from reactor.logs.sqlite.log import SqliteLog
from reactor.logs.sqlite.reader import SqliteReader
from reactor_web.terminal.places.of_log import IsLeft, LogPlace
from reactor_web.terminal.places.place import CannotDo, Commands
from reactor_web.terminal.places.writing import FileCommands, FileOfOneRun


@asynccontextmanager
async def opened_file(log: SqliteLog) -> AsyncGenerator[LogPlace]:
    """Raises LogUnavailable."""
    path = log.path
    reader = SqliteReader(path)
    await reader.open()
    try:
        yield LogPlace(reader, lambda: _commands(reader), lambda: _left(path))
    finally:
        await reader.close()


async def root_of(path: Path, run_id: str) -> str:
    """The run at the top of the tree of a run. Raises UnknownRun and LogUnavailable."""
    reader = SqliteReader(path)
    await reader.open()
    try:
        return (await reader.record(run_id)).root
    finally:
        await reader.close()


def check_no_owner(path: Path) -> None:
    """Raises CannotDo, which names the owner and where to ask it, where there is one; LogUnavailable."""
    owner = _owner(path)
    if owner is not None:
        where = f"which serves {owner.url}: give --url {owner.url}" if owner.url else "which alone may write to it"
        raise CannotDo(f"{path} is in use by {owner.name}, {where}")


def _owner(path: Path) -> Owner | None:
    try:
        return owner_of(path)
    except OSError as error:
        raise LogUnavailable(f"{path} cannot be read: {error.strerror}", path=str(path)) from error


async def _left(path: Path) -> IsLeft:
    """Nobody executes anything where the file has no owner; with one, only that one knows."""
    check_no_owner(path)
    return lambda run: True


def _commands(reader: SqliteReader) -> AbstractAsyncContextManager[Commands]:
    check_no_owner(reader.path)
    return _opened_commands(reader)


@asynccontextmanager
async def _opened_commands(reader: SqliteReader) -> AsyncGenerator[FileCommands]:
    await reader.close()  # the last connection that closes puts everything into the one file, if it may write
    log = FileOfOneRun(reader.path)
    async with Engine(log) as engine:
        yield FileCommands(engine, log)
