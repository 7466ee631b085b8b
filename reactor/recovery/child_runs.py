"""Opens child runs for their parents: starts them, or goes on with those that are in the log."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from functools import partial
from typing import Any, Final
from weakref import WeakValueDictionary

from reactor.clock import sleep
from reactor.definition.graph import Graph
from reactor.errors import ContextClosed, RunExists, UnknownRun, UnknownWorkflow
from reactor.events.restoring import given_digest
from reactor.events.state import RUN_ENDED
from reactor.ports.index import RunIndex
from reactor.ports.log import EventLog, RunRecord
from reactor.recovery.child_ends import settle
from reactor.recovery.child_ids import ChildIds
from reactor.recovery.origin import is_same_input
from reactor.recovery.reading import load_outputs
from reactor.recovery.recorded import recorded_outputs
from reactor.recovery.retaking import Retaking
from reactor.registry import Registry
from reactor.runs.beginning import Beginning
from reactor.runs.child_records import NEVER_BEGAN, RecordedEnd
from reactor.runs.children import ChildRequest
from reactor.runs.host import Host
from reactor.runs.open_runs import OpenRuns
from reactor.runs.parent import Parent, ParentRun
from reactor.runs.run import Run
from reactor.supervision.ending import EndReason

CHILD_PAUSE_SECONDS: Final = 0.1
"""Between two attempts to take up a child run that another process holds."""


class ChildOpening:
    """What the recovery of a tenant does for runs that ask for a child run."""

    _host: Host
    """From the start of the engine on."""

    def __init__(self, registry: Registry, runs: OpenRuns) -> None:
        self._registry = registry
        self._runs = runs
        self._log: EventLog = runs.log
        self._index: RunIndex = runs.index
        self.retaking = Retaking(runs)
        self._child_ids = ChildIds(runs)
        self._child_locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        """Of lost child runs."""

    @abstractmethod
    async def _recover(self, record: RunRecord, parent: Parent | None = None, own: Graph | None = None) -> None:
        """Goes on with an open run."""

    async def open_child(
        self,
        parent: ParentRun,
        request: ChildRequest,
    ) -> Run | None:
        """Starts a child run, or goes on with the one that was started before a crash or a retry.

        The recorded child counts, even if a body that runs again gives another input. Raises RunExists where the
        recorded run is another one. None for a child that has ended and was deleted: the parent's log has its end.
        """
        graph, link = self._registry.graph_of(request.workflow), Parent(parent, request.task_id)
        child_id, is_free = await self._child_ids.of(link, request, self._host.digest_key)
        return await self._open_child(graph, link, request, child_id, is_free=is_free)

    async def _open_child(
        self, graph: Graph, link: Parent, request: ChildRequest, child_id: str, *, is_free: bool = False
    ) -> Run | None:
        """``is_free``: there is no run of this id."""
        records = link.run.child_records
        if child_id in self._runs.lost:
            lock = self._child_locks.setdefault(child_id, asyncio.Lock())
            async with lock:  # the body may ask twice at the same time
                await self._take_up_lost_child(child_id, link, request, graph)
        if child_id not in self._runs.open:
            record = None if is_free else await self._record(child_id)
            if record is None:
                if records.has_ended(child_id):
                    return None
                if (started := await self._start_child(child_id, graph, link, request)) is not None:
                    return started
            else:
                _check_open(link)
                if record.workflow == graph.name and record.parent == link.run.run_id:
                    await self._take_up(record, link, request, graph)
        run = await self._runs.get(child_id)
        if run.state.parent != link.data:
            if records.has_ended(child_id):
                return None  # it was deleted, and another run has its id now
            return await self._open_elsewhere(graph, link, request, child_id)
        if run.state.workflow != graph.name:
            problem = f"of workflow {run.state.workflow!r}: {graph.name!r} needs a key of its own"
        elif request.again and not is_same_input(await run.beginning(), graph, request.input, self._host.digest_key):
            problem = "with another input: each needs a key of its own"
        elif run.state.status == "completed" and child_id not in self._runs.open:
            return Run(run.feed, None, restore=partial(load_outputs, self._log, graph))
        else:
            return run
        raise RunExists(f"there is a run {child_id!r} already, {problem}", run_id=child_id)

    async def _open_elsewhere(self, graph: Graph, link: Parent, request: ChildRequest, taken: str) -> Run | None:
        """Starts a child under another id: somebody has started a run under that which the parent's log names."""
        child_id, is_free = await self._child_ids.another(link, request, self._host.digest_key, taken)
        if child_id == taken:
            raise RunExists(f"there is a run {taken!r} already, which is no child of this task", run_id=taken)
        run = await self._open_child(graph, link, request, child_id, is_free=is_free)
        records = link.run.child_records
        if records.has_begun(taken) and not link.run.is_closed:  # the log names the new one by now
            records.end(link.task_id, taken, NEVER_BEGAN)
        return run

    async def _record(self, run_id: str) -> RunRecord | None:
        try:
            return await self._index.record(run_id)
        except UnknownRun:
            return None

    def waits_for_log(self, child_id: str) -> bool:
        """Whether the log of a child run has failed, and nobody goes on with the child yet."""
        return child_id in self._runs.lost

    async def restore_outputs(
        self, parent: ParentRun, request: ChildRequest, recorded: RecordedEnd
    ) -> dict[str, Any] | None:
        """Reads them from the log of the child, or from that of its parent where the child is gone."""
        child_id = parent.child_records.id_of(request.task_id, request.name) or ""
        try:
            graph = self._registry.graph_of(request.workflow)
        except UnknownWorkflow:  # then only plain JSON can be given back
            return recorded.outputs() if recorded.is_whole and not recorded.typed else None
        record = await self._record(child_id)
        if record is None or record.parent != parent.run_id:  # another run may have its id now
            return recorded_outputs(graph, recorded) if recorded.is_whole else None
        if record.workflow != graph.name:
            return None
        return await load_outputs(self._log, graph, await self._runs.get(child_id))

    async def _take_up_lost_child(self, child_id: str, link: Parent, request: ChildRequest, own: Graph) -> None:
        """Goes on with a child whose log failed, once that answers. One that never came into the log is forgotten."""
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

    async def _start_child(self, child_id: str, graph: Graph, link: Parent, request: ChildRequest) -> Run | None:
        """Starts a child run that is in no log; None where it is open by now."""
        inputs = graph.validate_input(request.input)
        digest = given_digest(self._host.digest_key, request.input, inputs)
        beginning = Beginning(
            inputs, {}, request.budget, link, given_digest=digest, trace=link.run.trace_of(link.task_id)
        )  # fmt: skip
        _check_open(link)
        await link.run.child_records.begin(link.task_id, child_id, graph.name, request.name)
        _check_open(link)
        if child_id in self._runs.open:  # the body has asked twice at the same time
            return None
        return await self._runs.start(self._host, graph, child_id, beginning)

    async def _take_up(self, record: RunRecord, link: Parent, request: ChildRequest, own: Graph) -> None:
        """Goes on with a child that is in the log, and writes what its parent's log does not have of it."""
        if record.status not in RUN_ENDED:
            await self._recover(record, link, own)
            if self._runs.elsewhere.is_shared:
                await self._until_ours(record, link, own)
        run, child = await self._runs.get(record.run_id), self._runs.executions.get(record.run_id)
        if run.state.parent == link.data:
            # a version before 0.2 wrote none
            await link.run.child_records.begin(link.task_id, record.run_id, record.workflow, request.name)
            if child is None:
                await settle(link, run)
        was_paused_with_it = child is not None and child.is_paused and child.control.pause_reason == EndReason.PARENT
        if child is not None and was_paused_with_it and not link.run.is_paused:
            child.control.resume(EndReason.PARENT, by=None)

    async def _until_ours(self, record: RunRecord, link: Parent, own: Graph) -> None:
        """The process that had the parent may still hold the child: it lets go of it soon, or is late."""
        while record.run_id not in self._runs.open and record.run_id not in self._runs.lost:
            run = await self._runs.get(record.run_id)
            if run.state.has_ended or run.state.parent != link.data or not self._runs.elsewhere.has(run.feed):
                return
            await sleep(self._runs.clock, CHILD_PAUSE_SECONDS)
            _check_open(link)
            await self._recover(record, link, own)


def _check_open(link: Parent) -> None:
    """Raises ContextClosed where the task that asked for a child run has ended while the log was being read."""
    parent, task_id = link
    if parent.has_ended_for(task_id):
        raise ContextClosed(
            f"task {task_id} of run {parent.run_id}: it has ended, so its child run is not started",
            run_id=parent.run_id,
            task_id=task_id,
        )
