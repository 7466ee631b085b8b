"""`reactor schedule trigger` and `resume` in a log, with the file of the workflow."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from reactor.definition.workflow import Workflow
from reactor.engine import Engine
from reactor.logs.sqlite.log import SqliteLog
from reactor.ports.schedules import ScheduleRecord
from reactor.schedules import keeping
from reactor.schedules.inputs import check_input
from reactor_web.terminal.places.file import check_no_owner
from reactor_web.terminal.places.finding import Where, log_at
from reactor_web.terminal.places.place import CannotDo
from reactor_web.terminal.places.writing import FileOfOneRun
from reactor_web.terminal.schedules.place import opened_store, resume


class _FileOfOneSchedule(FileOfOneRun):
    """A log file for one trigger: its engine sees this schedule alone, and as paused, so that no time of it starts."""

    def __init__(self, path: Path, name: str) -> None:
        super().__init__(path)
        self._name = name

    async def schedules(self) -> list[ScheduleRecord]:
        stored = await SqliteLog.schedules(self)
        return [replace(one, paused="triggered") for one in stored if (one.tenant, one.name) == ("", self._name)]


def log_of(at: Where) -> str:
    """Its URL. Raises CannotDo for a server."""
    if at.store is None:
        raise CannotDo("a server has its workflows itself: leave out FILE, or give --store")
    return at.store


async def resume_here(store: str, name: str, workflows: Sequence[Workflow]) -> ScheduleRecord:
    """A schedule goes on if its workflow is among these and takes its input.

    Raises UnknownSchedule, CannotDo, LogUnavailable, and InputError for an input that does not fit any more.
    """
    async with opened_store(store) as schedules:
        record = await keeping.get(schedules, name, "")
        found = next((workflow for workflow in workflows if workflow.name == record.workflow), None)
        if found is None:
            raise CannotDo(f"schedule {name} starts workflow {record.workflow!r}, which is not in this file")
        check_input(found.validate(), record.input)
        return await resume(schedules, name)


@asynccontextmanager
async def engine_of(store: str, name: str, workflows: Sequence[Workflow]) -> AsyncGenerator[Engine]:
    """An engine that triggers a schedule. On a file it does nothing else; on a shared log it is one more node."""
    log = log_at(store)
    if isinstance(log, SqliteLog):
        check_no_owner(log.path)
        log = _FileOfOneSchedule(log.path, name)
    async with Engine(log, workflows=workflows) as engine:
        yield engine
