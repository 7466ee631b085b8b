"""Goes on with the open runs that an engine finds in its log; with child runs when their parent asks for them."""

from __future__ import annotations

import asyncio
from collections.abc import Container, Iterable
from typing import Any

from reactor.definition.graph import Graph
from reactor.errors import LogLost, LogUnavailable, RunNotHere, UnknownRun
from reactor.events.event import DAMAGED
from reactor.events.state import RUN_ENDED
from reactor.logger import get_logger
from reactor.ports.log import RunRecord
from reactor.recovery.child_runs import ChildOpening
from reactor.recovery.left import LeftRuns
from reactor.recovery.origin import NotRecoverable, beginning_of, budget_of, input_of, known_graph
from reactor.recovery.reading import load_outputs, load_past
from reactor.recovery.upgrading import LeftToOthers, Upgrading
from reactor.registry import Registry
from reactor.runs.beginning import Beginning
from reactor.runs.execution import Execution
from reactor.runs.host import Host
from reactor.runs.open_runs import OpenRuns
from reactor.runs.parent import Parent, ParentRun
from reactor.runs.run import Run
from reactor.stream.feed import Feed
from reactor.tasks.past import Past
from reactor.trace_context import trace_of_started
from reactor.tracing.history import read_history
from reactor.waiting import Flights

logger = get_logger()


class Recovery(ChildOpening):
    """Recovers the runs of one tenant of an engine, and ends those that nobody can go on with."""

    def __init__(self, registry: Registry, runs: OpenRuns) -> None:
        super().__init__(registry, runs)
        self.left = LeftRuns(runs, self.retaking)
        runs.was_lost = self._on_run_lost
        runs.restore = self._restore
        self._upgrading = Upgrading(registry, runs)
        self._taking: Flights[str, None] = Flights()
        """Runs that are taken up just now, where several processes share the log."""

    def open(self, host: Host) -> None:
        """From now on runs are executed, on this host."""
        self._host = host
        self.retaking.open(host)

    @property
    def is_idle(self) -> bool:
        """Whether it knows of no run that somebody may ask about."""
        return not (self.left.reasons or self.left.dormant or self.left.upkeep) and self._upgrading.is_idle

    async def recover(self, records: Iterable[RunRecord]) -> None:
        """Goes on with the open runs of the tenant; called at the start of an engine, before it accepts new runs."""
        for record in records:
            await self._recover(record)
        await self.left.end_orphans()

    async def _recover(self, record: RunRecord, parent: Parent | None = None, own: Graph | None = None) -> None:
        """Goes on with an open run. One that cannot go on stays as it is; ``not_recovered`` says why.

        A child run waits until its parent asks for it, with the graph that is then its ``own``.
        """
        if not self._runs.elsewhere.is_shared:
            await self._go_on(record, parent, own)
        elif record.run_id not in self._runs.open:  # several may ask for it here at once
            await self._taking.join(record.run_id, lambda: self._go_on_or_release(record, parent, own))

    async def _go_on_or_release(self, record: RunRecord, parent: Parent | None, own: Graph | None) -> None:
        """Nobody waits for it any more where it is cancelled: then the run is for others."""
        try:
            await self._go_on(record, parent, own)
        except asyncio.CancelledError:
            if record.run_id not in self._runs.open:
                self._runs.leases.release(record.run_id)
            raise

    async def _go_on(self, record: RunRecord, parent: Parent | None, own: Graph | None) -> None:
        try:
            found = await self._read(record, parent, own)
        except Exception as problem:  # in one run, from a bug or a changed log: the others go on
            if record.run_id not in self._runs.open:
                self._runs.leases.release(record.run_id)
            if isinstance(problem, LeftToOthers):
                logger.debug("run left to other nodes", run_id=record.run_id, reason=str(problem))
                return
            is_damaged = isinstance(problem, LogUnavailable) and problem.reason == DAMAGED
            if isinstance(problem, LogUnavailable) and not is_damaged:
                raise
            bug = None if is_damaged or isinstance(problem, NotRecoverable) else problem
            reason = str(problem) if bug is None else f"{type(problem).__name__}: {problem}"
            self.left.leave(record.run_id, reason)
            logger.warning("run not recovered", run_id=record.run_id, reason=reason, exc_info=bug)
            return
        if found is None or record.run_id in self._runs.open:
            return  # its parent may have asked for it twice at the same time
        if not self._runs.leases.holds(record.run_id):
            return  # it was lost while it was read: what was read may be less than what others have written
        feed, graph, beginning, past = found
        self.left.dormant.pop(record.run_id, None)
        lost = self._runs.lost.get(record.run_id)
        try:
            if lost is None:
                feed = await self._runs.elsewhere.wake(feed)
                if not self._runs.leases.holds(record.run_id):  # it is lost now
                    self._runs.elsewhere.adopt(feed)
                    return
                self._runs.take_up(self._host, graph, feed, beginning, past)
            else:
                known = lost.graph if lost.graph.identity == graph.identity else graph
                await self._runs.take_up_lost(self._host, lost._replace(beginning=beginning, graph=known), feed, past)
        except Exception as bug:
            self._runs.leases.release(record.run_id)
            self.left.leave(record.run_id, f"{type(bug).__name__}: {bug}")
            logger.critical("run not recovered", run_id=record.run_id, exc_info=bug)
        if self._runs.inbox is not None:  # what was asked for while nobody held it
            self._runs.inbox.drain(record.run_id)

    # --- where several processes share the log ---

    async def take_up(self, run_id: str) -> None:
        """Goes on with an open run that nobody holds. A child run waits for its parent, or ends where that has ended.

        Does nothing where another process was first.
        """
        try:
            record = await self._index.record(run_id)
            if record.status in RUN_ENDED or run_id in self._runs.open or run_id in self._runs.lost:
                return
            if record.parent is None:
                await self._recover(record)
            elif await self.left.is_over(record.parent):
                await self.left.end_orphan(run_id)
        except (UnknownRun, RunNotHere):
            return

    async def take_up_asked(self, run_id: str) -> str | None:
        """The same, for who has a command for it; returns why it cannot go on here."""
        self.left.reasons.pop(run_id, None)  # whoever registered its workflow meanwhile need not wait
        await self.take_up(run_id)
        return self.left.reasons.get(run_id, self._upgrading.why_not_yet(run_id))

    def leaves(self, run_id: str) -> bool:
        """Whether a run is one that this process does not take up, or not yet."""
        return run_id in self.left.reasons or self._upgrading.why_not_yet(run_id) is not None

    def forget_left(self, free: Container[str]) -> None:
        """``free``: all runs that nobody holds. Of the others somebody takes care."""
        for run_id in [run_id for run_id in self.left.reasons if run_id not in free]:
            del self.left.reasons[run_id]
        self._upgrading.forget(free)

    async def _read(
        self, record: RunRecord, parent: Parent | None, own: Graph | None
    ) -> tuple[Feed, Graph, Beginning, Past] | None:
        """What is needed to go on with an open run, once its lease is ours; None where nobody is to go on with it now.

        Raises NotRecoverable.
        """
        is_shared = self._runs.elsewhere.is_shared
        if parent is None and record.parent is not None:
            if not is_shared:  # else whoever looks for runs that nobody holds finds it
                self.left.dormant[record.run_id] = record.parent
            return None
        if parent is not None and not await self._is_child(record.run_id, parent):
            return None
        if not await self._take(record.run_id):  # before it is read: until then another process may write to it
            return None
        feed = await self._runs.load_feed(record.run_id, closed=None)
        if feed.closed is not None:  # it has ended meanwhile
            self._runs.leases.release(record.run_id)
            return None
        data = await beginning_of(feed)
        graph = await self._upgrading.graph_for(feed, data, own)
        past = await self._past_of(feed, graph)
        session, idle = data.get("session", False), data.get("idle")
        meta = data.get("meta", {})
        beginning = Beginning(
            input_of(data, graph), meta, budget_of(data), parent, session=session, idle=idle,
            trace=trace_of_started(data),
        )  # fmt: skip
        return feed, graph, beginning, past

    async def _is_child(self, run_id: str, parent: Parent) -> bool:
        """Whether the run is the child of who asks for it."""
        unread = Feed(run_id, self._log, self._runs.clock)  # of its events only the first one is needed
        return (await beginning_of(unread)).get("parent") == parent.data

    async def _take(self, run_id: str) -> bool:
        """Whether this process may go on with an open run."""
        is_ours = await self._runs.leases.take(run_id)
        if not is_ours and not self._runs.elsewhere.is_shared:
            self.left.leave(run_id, "another process goes on with it")
        return is_ours

    async def _past_of(self, feed: Feed, graph: Graph) -> Past:
        last = await feed.event(feed.last_seq)
        handover = self._runs.handover
        if handover is not None:
            crashed = handover.was_crash(feed.run_id, tenant=self._runs.tenant)
        else:
            crashed = self._host.after_crash and feed.run_id not in self._runs.lost  # else this process lost it
        now = self._runs.clock.now().decode()
        past = await load_past(self._log, graph, feed.state, last, now, crashed=crashed)
        if self._host.tracing is None:
            return past
        return past._replace(trace=await read_history(self._log, feed.run_id, feed.last_seq, None))

    async def _restore(self, run: Run) -> dict[str, Any]:
        """The outputs of a completed run, as ``await run`` gave them where it ran."""
        try:
            own = self._runs.graphs.get(run.id)
            graph = await known_graph(self._registry, run.feed, await beginning_of(run.feed), own)
        except (NotRecoverable, UnknownRun) as problem:
            logger.info("outputs are given as they were shown", run_id=run.id, reason=str(problem))
            return await run.shown_outputs()
        return await load_outputs(self._log, graph, run)

    def _on_run_lost(self, execution: Execution) -> None:
        """A run ended here without a terminal event: its log failed, or there is a bug in the engine."""
        run_id, problem = execution.run_id, execution.journal.lost_with
        if not isinstance(problem, LogLost):
            self.left.leave(run_id, f"a bug in the engine ended it: {type(problem).__name__}: {problem}")
        elif execution.parent is not None:
            self.left.dormant[run_id] = execution.parent.run.run_id  # as after a crash: its parent asks for it
        else:
            self.retaking.begin(run_id)

    def end_children(self, parent: ParentRun) -> None:
        """Sees to it that the parent's log has the end of each child run; calls ``children_ended`` of the parent."""
        self.left.end_children(parent)
