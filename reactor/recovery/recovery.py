"""Goes on with the open runs that an engine finds in its log; with child runs when their parent asks for them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

from reactor.definition.graph import Graph
from reactor.errors import ContextClosed, LogLost, LogUnavailable, RunExists, RunNotHere, UnknownRun, UnknownWorkflow
from reactor.events.state import RUN_ENDED
from reactor.logger import get_logger
from reactor.ports.log import RunRecord
from reactor.recovery.leftover import cancel_events
from reactor.recovery.origin import NotRecoverable, beginning_of, budget_of, graph_of, input_of, is_same_input
from reactor.recovery.reading import load_outputs, load_past
from reactor.recovery.retaking import Retaking
from reactor.registry import Registry
from reactor.runs.beginning import Beginning
from reactor.runs.child_records import NEVER_BEGAN, ChildEnd, end_of
from reactor.runs.children import ChildRequest
from reactor.runs.execution import Execution
from reactor.runs.host import Host
from reactor.runs.open_runs import OpenRuns
from reactor.runs.parent import Parent, ParentRun
from reactor.runs.run import Run
from reactor.stream.feed import Closed
from reactor.supervision.ending import EndReason
from reactor.supervision.ledger import Ledger

logger = get_logger()


class Recovery:
    """Recovers the runs of one tenant of an engine, and ends those that nobody can go on with."""

    def __init__(self, registry: Registry, runs: OpenRuns) -> None:
        self._registry = registry
        self._runs = runs
        self._log = runs.log
        self._index = runs.index
        self._host: Host
        """From ``open`` on."""
        self.not_recovered: dict[str, str] = {}
        """Run id -> why: open runs in the log that this engine does not go on with."""
        self._dormant: dict[str, str] = {}
        """Id -> the id of the parent: open child runs that wait until their parent asks for them again."""
        self.retaking = Retaking(runs)
        self._child_locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        """Of lost child runs."""
        runs.was_lost = self._on_run_lost
        runs.over = self.on_run_ended
        runs.restore = self._restore
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
            graph = graph_of(self._registry, record, data, own)
            last = await feed.event(feed.last_seq)
            past = await load_past(self._log, graph, feed.state, last, self._runs.clock.now().decode())
            session, idle = data.get("session", False), data.get("idle")
            meta = data.get("meta", {})
            beginning = Beginning(input_of(data, graph), meta, budget_of(data), parent, session=session, idle=idle)
        except LogUnavailable:
            raise
        except Exception as problem:  # in one run, from a bug or a changed log: the others go on
            known = isinstance(problem, NotRecoverable)
            reason = str(problem) if known else f"{type(problem).__name__}: {problem}"
            self.not_recovered[record.run_id] = reason
            trace = None if known else problem
            logger.warning("run not recovered", run_id=record.run_id, reason=reason, exc_info=trace)
            return
        if not await self._runs.leases.take(record.run_id):
            self.not_recovered[record.run_id] = "another process goes on with it"
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
            self.not_recovered[record.run_id] = f"{type(bug).__name__}: {bug}"
            logger.critical("run not recovered", run_id=record.run_id, exc_info=bug)

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

    async def open_child(
        self,
        parent: ParentRun,
        request: ChildRequest,
    ) -> Run | None:
        """Starts a child run, or goes on with the one that was started before a crash or a retry.

        The recorded child counts, even if a body that runs again gives another input. Raises RunExists where the
        recorded run is another one. None for a child that has ended and was deleted: the parent's log has its end.
        """
        graph, child_id = self._registry.graph_of(request.workflow), request.child_id
        link = Parent(parent, request.task_id)
        if child_id in self._runs.lost:
            lock = self._child_locks.setdefault(child_id, asyncio.Lock())
            async with lock:  # the body may ask twice at the same time
                await self._take_up_lost_child(link, request, graph)
        if child_id not in self._runs.open:
            try:
                record = await self._index.record(child_id)
            except UnknownRun:
                if parent.child_records.has_ended(child_id):
                    return None
                if (started := await self._start_child(graph, link, request)) is not None:
                    return started
            else:
                _check_open(link)
                if record.workflow == graph.name:
                    await self._take_up(record, link, request, graph)
        run = await self._runs.get(child_id)
        if run.state.parent != link.data:
            problem = "which is no child of this task"
        elif run.state.workflow != graph.name:
            problem = f"of workflow {run.state.workflow!r}: {graph.name!r} needs a key of its own"
        elif request.again and not is_same_input(await run.beginning(), graph, request.input, self._host.digest_key):
            problem = "with another input: each needs a key of its own"
        elif run.state.status == "completed" and child_id not in self._runs.open:
            return Run(run.feed, None, restore=partial(load_outputs, self._log, graph))
        else:
            return run
        raise RunExists(f"there is a run {child_id!r} already, {problem}", run_id=child_id)

    def waits_for_log(self, child_id: str) -> bool:
        """Whether the log of a child run has failed, and nobody goes on with the child yet."""
        return child_id in self._runs.lost

    async def restore_outputs(self, request: ChildRequest) -> dict[str, Any] | None:
        """The outputs of a completed child run, typed; None where it was deleted or its workflow is unknown."""
        try:
            graph, record = self._registry.graph_of(request.workflow), await self._index.record(request.child_id)
        except (UnknownWorkflow, UnknownRun):
            return None
        if record.workflow != graph.name:
            return None
        return await load_outputs(self._log, graph, await self._runs.get(request.child_id))

    async def _take_up_lost_child(self, link: Parent, request: ChildRequest, own: Graph) -> None:
        """Goes on with a child whose log failed, once that answers. One that never came into the log is forgotten."""
        child_id = request.child_id
        await self.retaking.wait(child_id)
        if child_id not in self._runs.lost:
            return  # it was taken up meanwhile
        _check_open(link)
        try:
            record = await self._index.record(child_id)
        except UnknownRun:
            self._runs.lost.pop(child_id, None)
        else:
            await self._take_up(record, link, request, own)

    def _on_run_lost(self, execution: Execution) -> None:
        """A run ended here without a terminal event: its log failed, or there is a bug in the engine."""
        run_id, problem = execution.run_id, execution.journal.lost_with
        if not isinstance(problem, LogLost):
            self.not_recovered[run_id] = f"a bug in the engine ended it: {type(problem).__name__}: {problem}"
        elif execution.parent is not None:
            self._dormant[run_id] = execution.parent.run.run_id  # as after a crash: its parent asks for it
        else:
            self.retaking.begin(run_id)

    async def _start_child(self, graph: Graph, link: Parent, request: ChildRequest) -> Run | None:
        """Starts a child run that is in no log; None where it is open by now."""
        beginning = Beginning(graph.validate_input(request.input), {}, request.budget, link)
        _check_open(link)
        await link.run.child_records.begin(link.task_id, request.child_id, graph.name, request.name)
        _check_open(link)
        if request.child_id in self._runs.open:  # the body has asked twice at the same time
            return None
        return await self._runs.start(self._host, graph, request.child_id, beginning)

    async def _take_up(self, record: RunRecord, link: Parent, request: ChildRequest, own: Graph) -> None:
        """Goes on with a child that is in the log, and writes what its parent's log does not have of it."""
        if record.status not in RUN_ENDED:
            await self._recover(record, link, own)
        run, child = await self._runs.get(record.run_id), self._runs.executions.get(record.run_id)
        if run.state.parent == link.data:
            # a version before 0.2 wrote none
            await link.run.child_records.begin(link.task_id, record.run_id, record.workflow, request.name)
            if child is None:
                await self._settle(link, run)
        was_paused_with_it = child is not None and child.is_paused and child.control.pause_reason == EndReason.PARENT
        if child is not None and was_paused_with_it and not link.run.is_paused:
            child.control.resume(EndReason.PARENT, by=None)

    async def _settle(self, link: Parent, run: Run) -> None:
        """Writes what the log of a parent does not have of a child that nobody goes on with: spending, and its end."""
        link.run.spending.settle(link.task_id, run.id, Ledger.restored(None, run.state), is_counted=False)
        end = await _end_of(run)
        if end is not None and not link.run.is_closed:
            link.run.child_records.end(link.task_id, run.id, end)

    def end_children(self, parent: ParentRun) -> None:
        """Ends the children that wait for their parent, and writes the ends that its log does not have yet.

        Then calls ``children_ended`` of the parent.
        """
        self._spawn(self._end_children(parent))

    async def _end_children(self, parent: ParentRun) -> None:
        try:
            for task_id, child_id in list(parent.child_records.unended()):
                end = await self._end_child(child_id)
                if isinstance(end, Run):
                    await self._settle(Parent(parent, task_id), end)
                elif not parent.is_closed:
                    parent.child_records.end(task_id, child_id, end)
        except Exception as error:  # the log's: the run must end all the same
            logger.error("child runs not ended", run_id=parent.run_id, exc_info=error)
        parent.children_ended()

    async def _end_child(self, child_id: str) -> Run | ChildEnd:
        """A child run whose parent ends, cancelled if it waits for that; ``NEVER_BEGAN`` for one that is not there."""
        try:
            child = await self._runs.get(child_id)
        except UnknownRun:
            return NEVER_BEGAN
        self._dormant.pop(child_id, None)
        if child.feed.closed == Closed.NOT_RECOVERED:
            return await self.end_left(child, reason=EndReason.PARENT, by=None)
        return child

    async def _end_orphans(self, parent_id: str | None = None) -> None:
        """Cancels the waiting children whose parent has ended or is gone; ``None``: of all parents."""
        for child_id, parent in list(self._dormant.items()):
            if parent_id in (None, parent) and await self._is_over(parent) and self._dormant.pop(child_id, None):
                await self.retaking.wait(child_id)
                child = await self._runs.get(child_id)
                if child.feed.closed not in (None, Closed.END):  # else it has ended, or somebody goes on with it
                    await self.end_left(child, reason=EndReason.PARENT, by=None)

    async def _is_over(self, run_id: str) -> bool:
        if run_id in self._runs.open:
            return False
        try:
            return (await self._index.record(run_id)).status in RUN_ENDED
        except UnknownRun:
            return True

    def on_run_ended(self, run_id: str) -> None:
        """Called when a run has ended: cancels its children that still wait for it."""
        if run_id in self._dormant.values():
            self._spawn(self._end_orphans(run_id))

    def _spawn(self, job: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(job)
        self.upkeep.add(task)
        task.add_done_callback(self.upkeep.discard)

    # --- runs that nobody goes on with ---

    async def _end_left_child(self, child_id: str) -> ChildEnd | None:
        end = await self._end_child(child_id)
        return await _end_of(end) if isinstance(end, Run) else end

    async def end_left(self, run: Run, *, reason: str, by: str | None) -> Run:
        """Cancels a run that nobody can go on with; appends its last events to the log."""
        run_id = run.id
        if not await self._runs.leases.take(run_id):
            raise RunNotHere(f"another process goes on with run {run_id}; ask it there", run_id=run_id)
        children = [
            (child["task_id"], child_id, await self._end_left_child(child_id))
            for child_id, child in (run.state.children or {}).items()
            if child.get("status") == "running"
        ]
        started = await run.beginning()
        events = cancel_events(
            run.state.copy(), started.get("tasks", []), self._runs.clock, children, reason=reason, by=by
        )
        await self._log.append(run_id, events)
        self.not_recovered.pop(run_id, None)
        self._runs.lost.pop(run_id, None)
        self._runs.leases.release(run_id)
        await self._end_orphans(run_id)
        return await self._runs.get(run_id)


async def _end_of(run: Run) -> ChildEnd | None:
    """How a run has ended, from its log; None where it has not."""
    last = await run.feed.event(run.feed.last_seq) if run.state.has_ended else None
    if last is None:
        return None
    return end_of(run.state, last.data, await run.feed.blob(last.seq) if "outputs_ref" in last.data else None)


def _check_open(link: Parent) -> None:
    """Raises ContextClosed where the task that asked for a child run has ended while the log was being read."""
    parent, task_id = link
    if parent.has_ended_for(task_id):
        raise ContextClosed(
            f"task {task_id} of run {parent.run_id}: it has ended, so its child run is not started",
            run_id=parent.run_id,
            task_id=task_id,
        )
