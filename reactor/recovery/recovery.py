"""Goes on with the open runs that an engine finds in its log; with child runs when their parent asks for them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from reactor.definition.policy import Budget
from reactor.definition.workflow import Workflow
from reactor.errors import ContextClosed, LogUnavailable, RunExists, UnknownRun
from reactor.events.state import RUN_ENDED
from reactor.events.values import traceback_of
from reactor.logger import get_logger
from reactor.ports.log import RunRecord
from reactor.recovery.leftover import cancel_events
from reactor.recovery.origin import NotRecoverable, beginning_of, budget_of, graph_of, input_of, is_same_input
from reactor.recovery.reading import load_outputs, load_past
from reactor.registry import Registry
from reactor.runs.beginning import Beginning
from reactor.runs.host import Host
from reactor.runs.open_runs import OpenRuns
from reactor.runs.parent import Parent, ParentRun
from reactor.runs.run import Run
from reactor.stream.feed import Closed, Feed
from reactor.supervision.ending import EndReason
from reactor.supervision.ledger import Ledger

logger = get_logger()


class Recovery:
    """Recovers the runs of one engine, and ends those that nobody can go on with."""

    def __init__(self, registry: Registry, runs: OpenRuns) -> None:
        self._registry = registry
        self._runs = runs
        self._log = runs.log
        self._index = runs.index
        self._host: Host
        """Of the engine, from ``recover_all`` on."""
        self.not_recovered: dict[str, str] = {}
        """Run id -> why: open runs in the log that this engine does not go on with."""
        self._dormant: dict[str, str] = {}
        """Id -> the id of the parent: open child runs that wait until their parent asks for them again."""
        self.upkeep: set[asyncio.Task[None]] = set()
        """What still runs in the background; the end of the engine waits for it."""

    async def recover_all(self, host: Host) -> None:
        """Goes on with all open runs; called at the start of an engine, before it accepts new runs."""
        self._host = host
        for record in await self._index.unfinished():
            if record.tenant == "":  # an engine runs and finds no others
                await self._recover(record)
        await self._end_orphans()

    async def _recover(self, record: RunRecord, parent: Parent | None = None) -> None:
        """Goes on with an open run. One that cannot go on stays as it is; ``not_recovered`` says why.

        A child run waits until its parent asks for it.
        """
        try:
            feed = await Feed.load(record.run_id, self._log, self._runs.clock, self._runs.checkpoints, closed=None)
            data = await beginning_of(feed)
            if parent is None and "parent" in data:
                self._dormant[record.run_id] = data["parent"]["run_id"]
                return
            graph = graph_of(self._registry, record, data)
            last = await feed.event(feed.last_seq)
            past = await load_past(self._log, graph, feed.state, last, self._runs.clock.now().decode())
            beginning = Beginning(input_of(data, graph), data.get("meta", {}), budget_of(data), parent)
        except LogUnavailable:
            raise
        except Exception as problem:  # in one run, from a bug or a changed log: the others go on
            known = isinstance(problem, NotRecoverable)
            reason = str(problem) if known else f"{type(problem).__name__}: {problem}"
            self.not_recovered[record.run_id] = reason
            trace = {} if known else {"traceback": traceback_of(problem)}
            logger.warning("run not recovered", run_id=record.run_id, reason=reason, **trace)
            return
        if record.run_id in self._runs.open:
            return  # its parent has asked for it twice at the same time
        self._dormant.pop(record.run_id, None)
        try:
            self._runs.take_up(self._host, graph, feed, beginning, past)
        except Exception as bug:
            self.not_recovered[record.run_id] = f"{type(bug).__name__}: {bug}"
            logger.critical("run not recovered", run_id=record.run_id, traceback=traceback_of(bug))

    # --- child runs ---

    async def open_child(
        self,
        parent: ParentRun,
        task_id: str,
        child_id: str,
        workflow: Workflow | str,
        input: Mapping[str, Any],
        budget: Budget | None,
        again: bool,
    ) -> Run:
        """Starts a child run, or goes on with the one that was started before a crash or a retry.

        The recorded child counts, even if a body that runs again gives another input. ``again``: this attempt has asked
        for it before, so another input can only be a mistake. Raises RunExists where the recorded run is another one.
        """
        graph = self._registry.register(self._registry.workflow(workflow) if isinstance(workflow, str) else workflow)
        link = Parent(parent, task_id)
        if child_id not in self._runs.open:
            try:
                record = await self._index.record(child_id)
            except UnknownRun:
                _check_open(parent, task_id)
                if child_id not in self._runs.open:  # the body may have asked twice at the same time
                    beginning = Beginning(graph.validate_input(input), {}, budget, link)
                    return await self._runs.start(self._host, graph, child_id, beginning)
            else:
                _check_open(parent, task_id)
                if record.workflow == graph.name:
                    await self._take_up(record, link)
        run = await self._runs.get(child_id)
        if run.state.parent != link.data:
            problem = "which is no child of this task"
        elif run.state.workflow != graph.name:
            problem = f"of workflow {run.state.workflow!r}: {graph.name!r} needs a key of its own"
        elif again and not is_same_input(await run.beginning(), graph, input, self._host.digest_key):
            problem = "with another input: each needs a key of its own"
        elif run.state.status == "completed" and child_id not in self._runs.open:
            return Run(run.feed, None, outputs=await load_outputs(self._log, graph, run))
        else:
            return run
        raise RunExists(f"there is a run {child_id!r} already, {problem}", run_id=child_id)

    async def _take_up(self, record: RunRecord, link: Parent) -> None:
        """Goes on with a child that is in the log, and counts the spending that its parent's log does not have."""
        if record.status not in RUN_ENDED:
            await self._recover(record, link)
        run, child = await self._runs.get(record.run_id), self._runs.executions.get(record.run_id)
        if child is None and run.state.parent == link.data:
            ledger = Ledger.restored(None, run.state)
            link.run.spending.settle(link.task_id, record.run_id, ledger, is_counted=False)
        was_paused_with_it = child is not None and child.is_paused and child.control.pause_reason == EndReason.PARENT
        if child is not None and was_paused_with_it and not link.run.is_paused:
            child.control.resume(EndReason.PARENT, by=None)

    async def _end_orphans(self, parent_id: str | None = None) -> None:
        """Cancels the waiting children whose parent has ended or is gone; ``None``: of all parents."""
        for child_id, parent in list(self._dormant.items()):
            if parent_id in (None, parent) and await self._is_over(parent) and self._dormant.pop(child_id, None):
                child = await self._runs.get(child_id)
                if child.feed.closed == Closed.NOT_RECOVERED:  # else it has ended, or somebody goes on with it
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
            orphans = asyncio.ensure_future(self._end_orphans(run_id))
            self.upkeep.add(orphans)
            orphans.add_done_callback(self.upkeep.discard)

    # --- runs that nobody goes on with ---

    async def end_left(self, run: Run, *, reason: str, by: str | None) -> Run:
        """Cancels a run that nobody can go on with; appends its last events to the log."""
        run_id = run.id
        started = await run.beginning()
        events = cancel_events(run.state.copy(), started.get("tasks", []), self._runs.clock, reason=reason, by=by)
        await self._log.append(run_id, events)
        self.not_recovered.pop(run_id, None)
        await self._end_orphans(run_id)
        return await self._runs.get(run_id)


def _check_open(parent: ParentRun, task_id: str) -> None:
    """Raises ContextClosed where the task that asked for a child run has ended while the log was being read."""
    if parent.has_ended_for(task_id):
        raise ContextClosed(
            f"task {task_id} of run {parent.run_id}: it has ended, so its child run is not started",
            run_id=parent.run_id,
            task_id=task_id,
        )
