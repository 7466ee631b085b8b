"""Runs that nobody goes on with, child runs that wait for their parents, and how both end."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from typing import Any

from reactor.errors import RunNotHere, UnknownRun
from reactor.events.state import RUN_ENDED
from reactor.listeners import RunInfo
from reactor.logger import get_logger
from reactor.recovery.child_ends import end_in_log, settle
from reactor.recovery.leftover import cancel_events
from reactor.recovery.retaking import Retaking
from reactor.runs.child_records import NEVER_BEGAN, ChildEnd
from reactor.runs.open_runs import OpenRuns
from reactor.runs.parent import Parent, ParentRun
from reactor.runs.present import present_graph
from reactor.runs.run import Run
from reactor.stream.feed import Closed
from reactor.supervision.ending import EndReason

logger = get_logger()


class LeftRuns:
    """Those of one tenant of an engine."""

    def __init__(self, runs: OpenRuns, retaking: Retaking) -> None:
        self._runs = runs
        self._retaking = retaking
        self.reasons: dict[str, str] = {}
        """Run id -> why: open runs in the log that this engine does not go on with."""
        self.dormant: dict[str, str] = {}
        """Id -> the id of the parent: open child runs that wait until their parent asks for them again."""
        self.upkeep: set[asyncio.Task[None]] = set()
        """What still runs in the background; the end of the engine waits for it."""
        runs.over = self.on_run_ended
        runs.dormant.waits = self.waits_for_parent
        runs.elsewhere.is_left = self.reasons.__contains__

    def leave(self, run_id: str, why: str) -> None:
        """Nobody goes on with a run here: whoever reads it, or a run below it, is told."""
        self.reasons[run_id] = why
        self._runs.dormant.sweep()

    def end_children(self, parent: ParentRun) -> None:
        """Ends the children that wait for their parent, and writes the ends that its log does not have yet.

        Then calls ``children_ended`` of the parent.
        """
        self._spawn(self._end_children(parent))

    async def _end_children(self, parent: ParentRun) -> None:
        try:
            for task_id, child_id in list(parent.child_records.unended()):
                end = await self._end_child(child_id, {"run_id": parent.run_id, "task_id": task_id})
                if isinstance(end, Run):
                    await settle(Parent(parent, task_id), end)
                elif not parent.is_closed:
                    parent.child_records.end(task_id, child_id, end)
        except Exception as error:  # the log's: the run must end all the same
            logger.error("child runs not ended", run_id=parent.run_id, exc_info=error)
        parent.children_ended()

    async def _end_child(self, child_id: str, parent: Mapping[str, str]) -> Run | ChildEnd:
        """A child run whose parent ends, cancelled if it waits for that; ``NEVER_BEGAN`` for one that is not there."""
        try:
            child = await self._runs.get(child_id)
        except UnknownRun:
            return NEVER_BEGAN
        if child.state.parent != parent:  # somebody else's run has its id
            return NEVER_BEGAN
        self.dormant.pop(child_id, None)
        if self._runs.is_left(child) or self._runs.elsewhere.has(child.feed):
            try:
                return await self.end(child, reason=EndReason.PARENT, by=None)
            except RunNotHere:  # another process executes it; it is ended when nobody holds it any more
                return child
        return child

    async def end_orphans(self, parent_id: str | None = None) -> None:
        """Cancels the waiting children whose parent has ended or is gone; ``None``: of all parents."""
        for child_id, parent in list(self.dormant.items()):
            if parent_id in (None, parent) and await self.is_over(parent) and self.dormant.pop(child_id, None):
                await self._retaking.wait(child_id)
                with suppress(RunNotHere):  # another process goes on with it
                    await self.end_orphan(child_id)

    async def end_orphan(self, child_id: str) -> None:
        child = await self._runs.get(child_id)
        if self._runs.is_left(child) or self._runs.elsewhere.has(child.feed):
            # else it has ended, or somebody goes on with it
            await self.end(child, reason=EndReason.PARENT, by=None)

    async def is_over(self, run_id: str) -> bool:
        if run_id in self._runs.open:
            return False
        try:
            return (await self._runs.index.record(run_id)).status in RUN_ENDED
        except UnknownRun:
            return True

    def waits_for_parent(self, run_id: str) -> bool:
        """Whether somebody may still ask for this run: it is dormant, and a run above it goes on here, or will."""
        at = run_id
        while (parent := self.dormant.get(at)) is not None and at not in self.reasons:
            if parent in self._runs.open or parent in self._runs.lost:
                return True
            at = parent
        return False

    def on_run_ended(self, run_id: str) -> None:
        """Called when a run has ended: cancels its children that still wait for it."""
        if run_id in self.dormant.values():
            self._spawn(self.end_orphans(run_id))

    def _spawn(self, job: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(job)
        self.upkeep.add(task)
        task.add_done_callback(self.upkeep.discard)

    async def _end_left_child(self, child_id: str, parent: Mapping[str, str]) -> ChildEnd | None:
        end = await self._end_child(child_id, parent)
        return await end_in_log(end) if isinstance(end, Run) else end

    async def end(self, run: Run, *, reason: str, by: str | None) -> Run:
        """Cancels a run that nobody can go on with; appends its last events to the log."""
        run_id = run.id
        if not await self._runs.leases.take(run_id):
            raise RunNotHere(f"another process goes on with run {run_id}; ask it there", run_id=run_id)
        if self._runs.elsewhere.is_shared:  # before it was ours, another process may have written to it
            run = Run(await self._runs.load_feed(run_id, closed=Closed.NOT_RECOVERED), None)
            if run.state.has_ended:
                self._runs.leases.release(run_id)
                return run
        children = [
            (task := child["task_id"], id, await self._end_left_child(id, {"run_id": run_id, "task_id": task}))
            for id, child in (run.state.children or {}).items() if child.get("status") == "running"
        ]  # fmt: skip
        started = await run.beginning()
        tasks = (await present_graph(run.feed, started)).tasks if started else []
        events = cancel_events(run.state.copy(), tasks, self._runs.clock, children, reason=reason, by=by)
        began = self._runs.clock.monotonic()
        await self._runs.log.append(run_id, events)
        self._runs.listeners.appended(_info(run, started), events, self._runs.clock.monotonic() - began)
        self._runs.dormant.end(run_id, events)
        self.reasons.pop(run_id, None)
        self._runs.lost.pop(run_id, None)
        self._runs.leases.release(run_id)
        await self.end_orphans(run_id)
        return await self._runs.get(run_id)


def _info(run: Run, started: Mapping[str, Any]) -> RunInfo:
    """What listeners are told of a run that is ended from its log alone; ``started``: its ``run.started``."""
    kind = "session" if started.get("session") else "plan" if "plan" in started or "plan_ref" in started else "workflow"
    return RunInfo(run.id, run.feed.tenant, run.state.workflow or "", kind)
