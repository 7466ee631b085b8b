"""A log that several processes share: each of them reads all of it, and carries out commands for the others."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

from reactor.engine import Engine
from reactor.logs.schemes import open_log
from reactor.ports.handover import Handover
from reactor.ports.log import RunRecord
from reactor.ports.stores import Log
from reactor_web.terminal.places.of_log import IsLeft, LogPlace
from reactor_web.terminal.places.place import CannotDo, Commands
from reactor_web.terminal.places.writing import EngineCommands

_FREE_RUNS: Final = 1_000
"""Runs that nobody holds, which are asked for at once."""


@asynccontextmanager
async def opened_log(log: Log, url: str) -> AsyncGenerator[LogPlace]:
    """Raises LogUnavailable. ``url``: of the same log, which is opened once more for commands."""
    await log.open()
    try:
        yield LogPlace(log, lambda: _commands(url), lambda: _left(log))
    finally:
        await log.close()


def _commands(url: str) -> AbstractAsyncContextManager[Commands]:
    if not isinstance(open_log(url), Handover):
        raise CannotDo("this log can only be read from outside: give the --url of the server that has it")
    return _opened_commands(url)


@asynccontextmanager
async def _opened_commands(url: str) -> AsyncGenerator[EngineCommands]:
    async with Engine(url) as engine:
        yield EngineCommands(engine)


async def _left(log: Log) -> IsLeft:
    """Those that no process holds."""
    if not isinstance(log, Handover):
        raise CannotDo("who goes on with the runs of this log only its server knows: give its --url")
    free: set[str] = set()
    while found := await log.free_runs(len(free), _FREE_RUNS):
        before = len(free)
        free |= {run_id for tenant, run_id in found if tenant == ""}
        if len(found) < _FREE_RUNS or len(free) == before:
            break

    def is_left(run: RunRecord) -> bool:
        return run.run_id in free

    return is_left
