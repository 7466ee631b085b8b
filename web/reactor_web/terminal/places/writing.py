"""What is done to runs by an engine of our own: on a file that nobody owns, or as one more node of a shared log."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from reactor.definition.workflow import Workflow
from reactor.engine import Engine
from reactor.errors import UnknownRun
from reactor.events.event import Event
from reactor.events.fold import evolve
from reactor.logs.sqlite.log import SqliteLog
from reactor.logs.sqlite.retention import Retention as Limits
from reactor.ports.log import RunRecord
from reactor.ports.schedules import ScheduleRecord
from reactor.recovery.unattended import letter_event, paused_event
from reactor.runs.present import present_graph
from reactor.runs.run import Run
from reactor_web.terminal.places.place import CannotDo, Done, Retention

BY: Final = "command line"
"""Who it was, for the log."""


class FileOfOneRun(SqliteLog):
    """A log file for one command: its engine goes on with no other run than that of ``root`` and those below it.

    The mark of a clean stop stays as it was: the next engine must be told of a crash before this command.
    """

    def __init__(self, path: Path, root: str | None = None) -> None:
        super().__init__(path)
        self._root = root
        self._was_clean: bool | None = None

    async def take_stop(self) -> bool | None:
        self._was_clean = await super().take_stop()
        return self._was_clean

    async def mark_stop(self) -> None:
        if self._was_clean is not False:
            await super().mark_stop()

    async def unfinished(self) -> list[RunRecord]:
        return [] if self._root is None else [run for run in await super().unfinished() if run.root == self._root]

    async def schedules(self) -> list[ScheduleRecord]:
        """None that this engine would start runs of."""
        return []

    async def replace_schedule(self, before: ScheduleRecord | None, after: ScheduleRecord | None) -> bool:
        """What the code says of schedules is for the next engine: nothing is stored."""
        return True

    async def prune(self, retention: Retention) -> int:
        """Deletes ended runs beyond the limits, and gives their space back; returns how many."""
        self._retention = Limits(*retention)  # only now: ``open`` would not say how many it has deleted
        return await self.vacuum()


@asynccontextmanager
async def engine_on_file(
    path: Path, *, root: str | None = None, workflows: Iterable[Workflow] = ()
) -> AsyncGenerator[Engine]:
    """An engine on a file that nobody owns. Raises LogUnavailable where somebody does."""
    async with Engine(FileOfOneRun(path, root), workflows=workflows) as engine:
        yield engine


class EngineCommands:
    """The commands of a shared log: whichever node executes a run carries them out."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def cancel(self, run_id: str, *, task: str | None, reason: str, grace: float) -> Done:
        return _done(await self._engine.cancel(run_id, grace, task=task, reason=reason, by=BY))

    async def pause(self, run_id: str, *, reason: str) -> Done:
        run = await self._engine.get(run_id)
        await run.pause(reason=reason, by=BY)
        return _done(run)

    async def resume(self, run_id: str, *, reason: str) -> Done:
        run = await self._engine.get(run_id)
        await run.resume(reason=reason, by=BY)
        return _done(run)

    async def send(self, run_id: str, task: str, value: Any, *, key: str | None, below: str | None) -> Done:
        run = await self._engine.descendant(run_id, below or run_id)
        await run.send(task, value, key=key, by=BY)
        return _done(run)

    async def retry(self, run_id: str, *, new_run_id: str | None, from_task: str | None) -> Done:
        raise needs_file("retry")

    async def delete(self, run_id: str) -> None:
        await self._engine.delete(run_id)

    async def prune(self, retention: Retention) -> int:
        raise CannotDo("a shared log is pruned by its servers: write ?keep_days= or ?keep_runs= in their --store")


class FileCommands(EngineCommands):
    """The commands of a file that nobody owns: what is said to an open run waits in the log for who goes on with it."""

    def __init__(self, engine: Engine, log: FileOfOneRun) -> None:
        super().__init__(engine)
        self._log = log

    async def cancel(self, run_id: str, *, task: str | None, reason: str, grace: float) -> Done:
        if task is not None:
            await self._engine.get(run_id)
            raise CannotDo(
                f"nobody executes run {run_id} now, so no single task of it can be cancelled: leave out --task"
            )
        return await super().cancel(run_id, task=None, reason=reason, grace=grace)

    async def pause(self, run_id: str, *, reason: str) -> Done:
        run = await self._engine.get(run_id)
        return await self._append(run, paused_event(run.state, self._engine.clock, reason=reason, by=BY))

    async def resume(self, run_id: str, *, reason: str) -> Done:
        await self._engine.get(run_id)
        raise needs_file("resume")

    async def send(self, run_id: str, task: str, value: Any, *, key: str | None, below: str | None) -> Done:
        run = await self._engine.get(run_id)
        if below is not None and below != run_id:
            run = await self._below(run, below)
        started = await run.beginning()
        entries = (await present_graph(run.feed, started)).tasks if started else []
        kinds = {entry["id"]: entry.get("kind", "") for entry in entries}
        clock = self._engine.clock
        return await self._append(
            run, await letter_event(run.feed.log, run.state, kinds, clock, task, value, key, by=BY)
        )

    async def _below(self, run: Run, below: str) -> Run:
        at: str | None = below
        while at is not None and at != run.id:
            at = (await self._log.record(at)).parent
        if at is None:
            raise UnknownRun(f"run {below} is not below run {run.id}", run_id=below)
        return await self._engine.get(below)

    async def _append(self, run: Run, event: Event | None) -> Done:
        state = run.state.copy()
        if event is not None:
            await self._log.append(run.id, [event])
            evolve(state, event)
        return Done(run.id, state.status, state.seq)

    async def prune(self, retention: Retention) -> int:
        return await self._log.prune(retention)


def needs_file(command: str) -> CannotDo:
    """For what needs the workflow, where no server has it."""
    return CannotDo(
        f"nobody executes the runs of this log: name the file of the workflow, `reactor {command} RUN FILE`, to execute"
        " the run here, or start a server and give its --url"
    )


def _done(run: Run) -> Done:
    return Done(run.id, run.status, run.state.seq)
