"""The runs an engine knows: those that are open, the last that ended, and those that callers wait for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Final

from reactivex.subject import Subject

from reactor import bounds
from reactor.clock import sleep
from reactor.definition.graph import Graph
from reactor.errors import LogLost, RunExists, UnknownRun
from reactor.events.event import Window
from reactor.listeners import Listeners
from reactor.logger import get_logger
from reactor.logs.stores import Stores
from reactor.ports.clock import Clock
from reactor.requests import check_run_id
from reactor.runs.awaited import AwaitedRuns
from reactor.runs.beginning import Beginning
from reactor.runs.claims import ChildName, Claims
from reactor.runs.dormant import Dormant
from reactor.runs.elsewhere import Elsewhere
from reactor.runs.ended_graphs import EndedGraphs
from reactor.runs.execution import Execution
from reactor.runs.feeds import Feeds
from reactor.runs.host import Host
from reactor.runs.inbox import Inbox
from reactor.runs.leases import Leases
from reactor.runs.lost import LostRun
from reactor.runs.others import Others
from reactor.runs.run import RestoreOutputs, Run
from reactor.runs.session import Session
from reactor.runs.summary import log_end
from reactor.runs.tree_watchers import TreeWatchers
from reactor.stream.feed import Closed, Feed
from reactor.tasks.past import Output, Past
from reactor.waiting import Flights

logger = get_logger()

_AT_ONCE: Final = 1_000
"""Tasks of a graph whose actors are made at once: in some milliseconds."""
STARTING_SECONDS: Final = 0.01
"""How often it is looked whether a run is in the log that another process is starting."""


class OpenRuns:
    """Those of one tenant of an engine. ``stores``: as the tenant has them."""

    def __init__(self, stores: Stores, clock: Clock, listeners: Listeners, tenant: str = "") -> None:
        self.tenant = tenant
        self.log = stores.events
        self.index = stores.index
        self.checkpoints = stores.checkpoints
        self.order, self.whole = stores.order, stores.whole
        self.of_runs = stores.of_runs
        self.health = stores.health
        self.handover = stores.handover
        self.leases = Leases(stores, tenant, check_unknown=self.check_unknown, lost=self._on_lease_lost)
        self.clock = clock
        self.listeners = listeners
        self.windows: Subject[Window] = Subject()
        """The committed windows of all runs. Hot."""
        self.probing = stores.probing
        self.watchers = TreeWatchers()
        self.claims = Claims()
        self.dormant = Dormant()
        self.others = Others(stores.live, clock)
        self.elsewhere = Elsewhere(stores.live, clock, tenant)
        self.open: dict[str, Run] = {}
        self.executions: dict[str, Execution] = {}
        self.inbox = None if stores.inboxes is None else Inbox(stores.inboxes, self.index, self.open, self.executions)
        """Commands from node to node; None where the log is not shared."""
        self.over: Callable[[str], None] = lambda run_id: None
        """Called with the id of a run that has written its terminal event."""
        self.lost: dict[str, LostRun] = {}
        """By id: runs whose log failed, and that nobody goes on with yet."""
        self.was_lost: Callable[[Execution], None] = lambda execution: None
        """Called with a run whose log failed, or that a bug has ended."""
        self.restore: RestoreOutputs | None = None
        """Reads the outputs of a run that has ended; from whoever knows its graph."""
        self._feeds = Feeds()
        self._loading: Flights[tuple[str, Closed | None], Feed] = Flights()
        """Whose log is being folded: many may ask for a run at once."""
        self.graphs = EndedGraphs()
        self.awaited = AwaitedRuns(self.others, self.get)

    async def start(
        self,
        host: Host,
        graph: Graph,
        run_id: str,
        beginning: Beginning,
        *,
        reused: Mapping[str, Output] | None = None,
        check_open: Callable[[], object] | None = None,
    ) -> Run:
        """Starts a new run. Returns once its ``run.started`` is in the log. Raises RunExists, Unanswered.

        ``check_open`` raises where the engine has closed: with it a large graph is made in turns, while others go on.
        """
        if self.tenant:
            beginning = beginning._replace(tenant=self.tenant)
        in_turns = check_open is not None and len(graph.nodes) > _AT_ONCE
        execution = Execution(
            host, graph, self._new_feed(run_id), beginning,
            published=self._published, ended=self._ended, reused=reused, in_turns=in_turns,
        )  # fmt: skip
        if in_turns and check_open is not None:
            await execution.assemble()
            await self.check_unknown(run_id)  # others had the loop meanwhile
            check_open()
        async with self.leases.reserve(run_id):
            if beginning.parent is None:
                self.claims.check_free(run_id)  # a parent may have claimed it since ``check_new``
            self._adopt(execution)
        run = self.open[run_id]
        if logger.isEnabledFor(logging.INFO):  # to ask costs less than to make a line; and before it can have ended
            logger.info("run started", run_id=run_id, workflow=graph.name, parent=execution.parent_id)
        try:
            execution.start()
        except BaseException:
            execution.journal.suspend()  # a bug in the engine: nothing of the run may stay open
            raise
        await execution.journal.started()
        return run

    def _new_feed(self, run_id: str) -> Feed:
        return Feed(run_id, self.log, self.clock, self.checkpoints, tenant=self.tenant)

    async def load_feed(self, run_id: str, *, closed: Closed | None) -> Feed:
        """The feed of a run that is in the log; ``closed`` as in ``Feed.load``. Raises UnknownRun."""
        return await Feed.load(run_id, self.log, self.clock, self.checkpoints, closed=closed, tenant=self.tenant)

    def take_up(self, host: Host, graph: Graph, feed: Feed, beginning: Beginning, past: Past) -> None:
        """Goes on with a run that a crash or a restart has left open."""
        feed = self.dormant.wake(feed)
        try:
            execution = Execution(host, graph, feed, beginning, published=self._published, ended=self._ended, past=past)
        except BaseException:
            feed.close(Closed.NOT_RECOVERED)  # a bug in the engine; whoever reads it must not wait for ever
            raise
        self._adopt(execution)
        execution.write_resumed(past)
        self._go_on(execution, past)

    def _go_on(self, execution: Execution, past: Past) -> None:
        if execution.parent is not None:  # before the child starts anything
            parent = execution.parent
            parent.run.spending.settle(parent.task_id, execution.run_id, execution.spent, is_counted=False)
        workflow = execution.graph.name
        logger.info("run recovered", run_id=execution.run_id, workflow=workflow, parent=execution.parent_id)
        try:
            execution.recover(past)
        except BaseException:
            execution.journal.suspend()  # a bug in the engine: this run stays as it is, and the others go on
            raise

    async def take_up_lost(self, host: Host, lost: LostRun, feed: Feed, past: Past) -> None:
        """Goes on with a run whose log failed, once its ``run.resumed`` is in the log. Else the run is lost again."""
        execution = Execution(
            host, lost.graph, feed, lost.beginning,
            published=self._published, ended=self._ended, past=past, reused=lost.reused,
        )  # fmt: skip
        try:
            execution.write_resumed(past)
            await execution.journal.committed()
        except BaseException:
            execution.journal.suspend()  # the engine drains, or who asked for the child has gone
            self.lost[lost.run_id] = LostRun.of(
                execution.journal, lost.graph, lost.beginning, lost.reused, execution.trace
            )
            raise
        if not execution.is_closed and not self.leases.holds(feed.run_id):
            execution.journal.suspend()  # it was lost meanwhile: another process goes on with it
        if execution.is_closed:
            return
        self.lost.pop(feed.run_id, None)
        self._adopt(execution)
        self._go_on(execution, past)

    def _adopt(self, execution: Execution) -> Execution:
        feed = execution.feed
        self.open[feed.run_id] = self._handle(feed, execution, is_session=execution.beginning.session)
        self.executions[feed.run_id] = execution
        self._feeds.add(feed)
        names = execution.child_records.names()  # of a run that goes on: its children may not have begun
        self.claims.take_all((id, ChildName(feed.run_id, task_id, key)) for task_id, key, id in names)
        if execution.parent is not None:
            self.claims.drop(feed.run_id)
            execution.parent.run.add_child(execution, execution.parent.task_id)
        self.awaited.tell(self.open[feed.run_id])
        return execution

    def _handle(self, feed: Feed, execution: Execution | None, *, is_session: bool) -> Run:
        if self.inbox is None and execution is not None:  # it never goes on elsewhere
            return Session(feed, execution) if is_session else Run(feed, execution)
        find = None if is_session and self.inbox is None else self.executions.get
        kind, restore = (Session, None) if is_session else (Run, self.restore)
        return kind(feed, execution, restore=restore, find=find, ask=self.inbox)

    def _on_lease_lost(self, run_id: str) -> None:
        """Another process may execute the run now: it ends here, and whoever follows it goes on all the same."""
        self.lost.pop(run_id, None)
        if (execution := self.executions.get(run_id)) is not None:
            for child_id in list(execution.children.open):  # they wait there until their parent asks for them again
                self._on_lease_lost(child_id)
            logger.warning("another process goes on with a run", run_id=run_id)
            if not self.elsewhere.is_shared:
                execution.journal.suspend()  # nothing tells what the other process writes
                return
            execution.journal.hand_over()
            self.graphs.keep(run_id, execution.graph)  # it may come back
            self.elsewhere.adopt(execution.feed)

    def _published(self, window: Window) -> None:
        self.probing.works()
        if self.windows.observers:
            self.windows.on_next(window)
        if self.watchers:
            self.watchers.wake(self.executions.get(window[0].run_id))

    def _ended(self, execution: Execution) -> None:
        self.open.pop(execution.run_id, None)
        self.executions.pop(execution.run_id, None)
        self.claims.drop_all(execution.run_id)
        if isinstance(execution.journal.lost_with, LogLost):
            self._lose(execution)  # its lease stays ours: it is taken up again here
        else:
            self.leases.release(execution.run_id)
        if execution.parent is not None:
            execution.parent.run.remove_child(execution, execution.parent.task_id)
        if execution.feed.closed == Closed.END:
            log_end(execution.feed.state)
            execution.feed.forget_ring()
            self._feeds.keep(execution.feed)
            self.graphs.keep(execution.run_id, execution.graph)
            self.over(execution.run_id)
        if execution.journal.lost_with is not None:
            self.was_lost(execution)

    def _lose(self, execution: Execution) -> None:
        """The log of a run failed. Its child runs wait for it, as after a crash."""
        answered = execution.journal.answered()
        self.probing.failed(str(execution.journal.lost_with), answered, self.clock)
        self.lost[execution.run_id] = LostRun.of(
            execution.journal, execution.graph, execution.beginning, execution.reused, execution.trace
        )
        for child_id in list(execution.children.open):
            if child_id in self.executions:
                error = LogLost(
                    f"child run {child_id} waits for run {execution.run_id}, which is lost", run_id=child_id
                )
                self.executions[child_id].journal.lose(error)

    def found_ended(self, feed: Feed) -> None:
        """A lost run has ended: its last window came into the log after all."""
        self.lost.pop(feed.run_id, None)
        self._feeds.keep(feed)
        self.over(feed.run_id)

    @property
    def is_idle(self) -> bool:
        """Whether nothing would be missed if this object were made anew: no run is open, and nobody reads or waits."""
        is_watched = bool(self.windows.observers) or bool(self.watchers) or bool(self.awaited)
        return not (self.open or self.lost or self._feeds.are_read or is_watched)

    async def check_new(self, run_id: str) -> None:
        """As ``check_unknown``; raises RunExists also for an id that a run has for a child run."""
        self.claims.check_free(run_id)
        await self.check_unknown(run_id)

    async def check_unknown(self, run_id: str) -> None:
        """Raises RunExists where there is a run of this id, and LogLost where that is not known yet."""
        lost = self.lost.get(run_id)
        if lost is not None and not lost.answered.done():
            raise lost.error
        if run_id not in self.open:
            try:
                await self.index.record(run_id)
            except UnknownRun:
                # the log may have been asked on another thread meanwhile
                if run_id not in self.open:
                    self.lost.pop(run_id, None)  # its start did not come into the log, and that is final
                    return
        raise RunExists(f"there is a run {run_id!r} already; give another run_id", run_id=run_id)

    def deleting(self, run_id: str) -> AbstractContextManager[None]:
        """Around the deletion of a run: who reads it is told."""
        return self._feeds.deleting(run_id)

    def wait_for(self, run_id: str) -> asyncio.Future[Run]:
        """Done when a run of this id starts here. Cancel the future to stop waiting. Raises TooManyWaiting."""
        check_run_id(run_id)
        return self.awaited.wait(run_id)

    async def get_existing(self, run_id: str, exists: RunExists) -> Run:
        """The run that kept another from starting; raises ``exists`` where it has not begun: a claimed child."""
        until = self.clock.monotonic() + bounds.COMMAND_SECONDS
        while True:
            try:
                return await self.get(run_id)
            except UnknownRun:
                is_starting = self.elsewhere.is_shared and run_id not in self.claims  # by another process
                if not is_starting or self.clock.monotonic() > until:
                    raise exists from None
            await sleep(self.clock, STARTING_SECONDS)

    async def get(self, run_id: str) -> Run:
        """The run of this id, open or ended; raises UnknownRun."""
        await self.leases.settled(run_id)
        run = self.open.get(run_id)
        if run is not None:
            if run.feed.last_seq == 0:  # nobody sees a run before its run.started is in the log
                await self.executions[run_id].journal.started()
            return run
        lost = self.lost.get(run_id)
        try:
            await self.index.record(run_id)  # raises UnknownRun, also for a run that retention has removed
        except UnknownRun:
            if lost is not None:  # its start may still come into the log
                raise lost.error from None
            raise
        feed = self._feeds.of_ended(run_id) or self.dormant.get(run_id)
        waits = lost is None and self.dormant.waits(run_id)
        if feed is None and lost is None and not waits and self.elsewhere.may_go_on(run_id):
            feed = await self.elsewhere.follow(run_id, lambda: self.load_feed(run_id, closed=None))
        if feed is None:
            closed = None if waits else Closed.NOT_RECOVERED if lost is None else Closed.LOG
            feed = await self._loading.join((run_id, closed), lambda: self.load_feed(run_id, closed=closed))
            if feed.closed is None and (feed := self.dormant.keep(feed)) is None:
                return await self.get(run_id)  # it goes on meanwhile, or has ended
        if run_id in self.open:  # since the look above: what was read may be closed
            return await self.get(run_id)
        self._feeds.add(feed)
        if feed.closed == Closed.END:
            self._feeds.keep(feed)
        return self._handle(feed, None, is_session=bool(feed.state.session))

    def is_left(self, run: Run) -> bool:
        """Whether a run that has not ended is one that nobody goes on with now."""
        closed = run.feed.closed
        if closed is None:
            return run.id not in self.open and not self.elsewhere.has(run.feed)
        return closed == Closed.NOT_RECOVERED
