"""Goes on with the open runs that an engine finds in its log; with child runs when their parent asks for them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Mapping
from typing import Any

from reactor.definition.graph import Graph
from reactor.errors import LogLost, LogUnavailable, RunNotHere, UnknownRun
from reactor.events.event import DAMAGED
from reactor.events.state import RUN_ENDED
from reactor.logger import get_logger
from reactor.ports.log import RunRecord
from reactor.recovery.child_runs import ChildOpening, end_in_log
from reactor.recovery.leftover import cancel_events
from reactor.recovery.origin import NotRecoverable, beginning_of, budget_of, graph_of, input_of
from reactor.recovery.reading import load_outputs, load_past
from reactor.registry import Registry
from reactor.runs.beginning import Beginning
from reactor.runs.child_records import NEVER_BEGAN, ChildEnd
from reactor.runs.execution import Execution
from reactor.runs.host import Host
from reactor.runs.open_runs import OpenRuns
from reactor.runs.parent import Parent, ParentRun
from reactor.runs.run import Run
from reactor.stream.feed import Feed
from reactor.supervision.ending import EndReason
from reactor.tasks.past import Past

logger = get_logger()


class Recovery(ChildOpening):
    """Recovers the runs of one tenant of an engine, and ends those that nobody can go on with."""

    def __init__(self, registry: Registry, runs: OpenRuns) -> None:
        super().__init__(registry, runs)
        self.not_recovered: dict[str, str] = {}
        """Run id -> why: open runs in the log that this engine does not go on with."""
        self._dormant: dict[str, str] = {}
        """Id -> the id of the parent: open child runs that wait until their parent asks for them again."""
        runs.was_lost = self._on_run_lost
        runs.over = self.on_run_ended
        runs.restore = self._restore
        runs.dormant.waits = self._waits_for_parent
        self.upkeep: set[asyncio.Task[None]] = set()
        """What still runs in the background; the end of the engine waits for it."""

    def open(self, host: Host) -> None:
        """From now on runs are executed, on this host."""
        self._host = host
        self.retaking.open(host)

    @property
    def is_idle(self) -> bool:
        """Whether it knows of no run that somebody may ask about."""
        return not (self.not_recovered or self._dormant or self.upkeep)

    async def recover(self, records: Iterable[RunRecord]) -> None:
        """Goes on with the open runs of the tenant; called at the start of an engine, before it accepts new runs."""
        for record in records:
            await self._recover(record)
        await self._end_orphans()

    async def _recover(self, record: RunRecord, parent: Parent | None = None, own: Graph | None = None) -> None:
        """Goes on with an open run. One that cannot go on stays as it is; ``not_recovered`` says why.

        A child run waits until its parent asks for it, with the graph that is then its ``own``.
        """
        try:
            feed = await self._runs.load_feed(record.run_id, closed=None)
            data = await beginning_of(feed)
            if parent is None and "parent" in data:
                self._dormant[record.run_id] = data["parent"]["run_id"]
                return
            if parent is not None and data.get("parent") != parent.data:
                return  # it is not the child of who asks
            graph = graph_of(self._registry, record, data, own)
            past = await self._past_of(feed, graph)
            session, idle = data.get("session", False), data.get("idle")
            meta = data.get("meta", {})
            beginning = Beginning(input_of(data, graph), meta, budget_of(data), parent, session=session, idle=idle)
        except Exception as problem:  # in one run, from a bug or a changed log: the others go on
            is_damaged = isinstance(problem, LogUnavailable) and problem.reason == DAMAGED
            if isinstance(problem, LogUnavailable) and not is_damaged:
                raise
            bug = None if is_damaged or isinstance(problem, NotRecoverable) else problem
            reason = str(problem) if bug is None else f"{type(problem).__name__}: {problem}"
            self._leave(record.run_id, reason)
            logger.warning("run not recovered", run_id=record.run_id, reason=reason, exc_info=bug)
            return
        if not await self._runs.leases.take(record.run_id):
            self._leave(record.run_id, "another process goes on with it")
            return
        if record.run_id in self._runs.open:
            return  # its parent has asked for it twice at the same time
        self._dormant.pop(record.run_id, None)
        lost = self._runs.lost.get(record.run_id)
        try:
            if lost is None:
                self._runs.take_up(self._host, graph, feed, beginning, past)
            else:
                await self._runs.take_up_lost(self._host, lost._replace(beginning=beginning), feed, past)
        except Exception as bug:
            self._leave(record.run_id, f"{type(bug).__name__}: {bug}")
            logger.critical("run not recovered", run_id=record.run_id, exc_info=bug)

    async def _past_of(self, feed: Feed, graph: Graph) -> Past:
        last = await feed.event(feed.last_seq)
        crashed = self._host.after_crash and feed.run_id not in self._runs.lost  # else this process lost it
        now = self._runs.clock.now().decode()
        return await load_past(self._log, graph, feed.state, last, now, crashed=crashed)

    def _leave(self, run_id: str, why: str) -> None:
        """Nobody goes on with a run here: whoever reads it, or a run below it, is told."""
        self.not_recovered[run_id] = why
        self._runs.dormant.sweep()

    async def _restore(self, run: Run) -> dict[str, Any]:
        """The outputs of a completed run, as ``await run`` gave them where it ran."""
        try:
            record, own = await self._index.record(run.id), self._runs.graphs.get(run.id)
            graph = graph_of(self._registry, record, await beginning_of(run.feed), own)
        except (NotRecoverable, UnknownRun) as problem:
            logger.info("outputs are given as they were shown", run_id=run.id, reason=str(problem))
            return await run.shown_outputs()
        return await load_outputs(self._log, graph, run)

    # --- child runs ---

    def _on_run_lost(self, execution: Execution) -> None:
        """A run ended here without a terminal event: its log failed, or there is a bug in the engine."""
        run_id, problem = execution.run_id, execution.journal.lost_with
        if not isinstance(problem, LogLost):
            self._leave(run_id, f"a bug in the engine ended it: {type(problem).__name__}: {problem}")
        elif execution.parent is not None:
            self._dormant[run_id] = execution.parent.run.run_id  # as after a crash: its parent asks for it
        else:
            self.retaking.begin(run_id)

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
                    await self._settle(Parent(parent, task_id), end)
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
        self._dormant.pop(child_id, None)
        if self._runs.is_left(child):
            return await self.end_left(child, reason=EndReason.PARENT, by=None)
        return child

    async def _end_orphans(self, parent_id: str | None = None) -> None:
        """Cancels the waiting children whose parent has ended or is gone; ``None``: of all parents."""
        for child_id, parent in list(self._dormant.items()):
            if parent_id in (None, parent) and await self._is_over(parent) and self._dormant.pop(child_id, None):
                await self.retaking.wait(child_id)
                child = await self._runs.get(child_id)
                if self._runs.is_left(child):  # else it has ended, or somebody goes on with it
                    await self.end_left(child, reason=EndReason.PARENT, by=None)

    async def _is_over(self, run_id: str) -> bool:
        if run_id in self._runs.open:
            return False
        try:
            return (await self._index.record(run_id)).status in RUN_ENDED
        except UnknownRun:
            return True

    def _waits_for_parent(self, run_id: str) -> bool:
        """Whether somebody may still ask for this run: it is dormant, and a run above it goes on here, or will."""
        at = run_id
        while (parent := self._dormant.get(at)) is not None and at not in self.not_recovered:
            if parent in self._runs.open or parent in self._runs.lost:
                return True
            at = parent
        return False

    def on_run_ended(self, run_id: str) -> None:
        """Called when a run has ended: cancels its children that still wait for it."""
        if run_id in self._dormant.values():
            self._spawn(self._end_orphans(run_id))

    def _spawn(self, job: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(job)
        self.upkeep.add(task)
        task.add_done_callback(self.upkeep.discard)

    # --- runs that nobody goes on with ---

    async def _end_left_child(self, child_id: str, parent: Mapping[str, str]) -> ChildEnd | None:
        end = await self._end_child(child_id, parent)
        return await end_in_log(end) if isinstance(end, Run) else end

    async def end_left(self, run: Run, *, reason: str, by: str | None) -> Run:
        """Cancels a run that nobody can go on with; appends its last events to the log."""
        run_id = run.id
        if not await self._runs.leases.take(run_id):
            raise RunNotHere(f"another process goes on with run {run_id}; ask it there", run_id=run_id)
        children = [
            (
                child["task_id"],
                child_id,
                await self._end_left_child(child_id, {"run_id": run_id, "task_id": child["task_id"]}),
            )
            for child_id, child in (run.state.children or {}).items()
            if child.get("status") == "running"
        ]
        started = await run.beginning()
        events = cancel_events(
            run.state.copy(), started.get("tasks", []), self._runs.clock, children, reason=reason, by=by
        )
        await self._log.append(run_id, events)
        self._runs.dormant.end(run_id, events)
        self.not_recovered.pop(run_id, None)
        self._runs.lost.pop(run_id, None)
        self._runs.leases.release(run_id)
        await self._end_orphans(run_id)
        return await self._runs.get(run_id)
