"""The runs an engine knows: those that are open, the last that ended, and those that callers wait for."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from weakref import WeakSet

from reactivex.subject import Subject

from reactor import bounds
from reactor.definition.graph import Graph
from reactor.errors import RunExists, RunOpen, TooManyWaiting, UnknownRun
from reactor.events.event import Window
from reactor.events.state import RUN_ENDED
from reactor.logger import get_logger
from reactor.logs.stores import Stores
from reactor.ports.clock import Clock
from reactor.ports.executor import Work
from reactor.requests import check_run_id
from reactor.runs.beginning import Beginning
from reactor.runs.execution import Execution
from reactor.runs.host import Host
from reactor.runs.run import Run
from reactor.stream.feed import Closed, Feed
from reactor.tasks.past import Output, Past

logger = get_logger()


class OpenRuns:
    """Those of one engine."""

    def __init__(self, stores: Stores, clock: Clock) -> None:
        self.log = stores.events
        self.index = stores.index
        self.checkpoints = stores.checkpoints
        self.clock = clock
        self.windows: Subject[Window] = Subject()
        """The committed windows of all runs. Hot."""
        self.log_problem: str | None = None
        """Why the log last lost a run; None again as soon as it takes a window."""
        self.open: dict[str, Run] = {}
        self.executions: dict[str, Execution] = {}
        self.over: Callable[[str], None] = lambda run_id: None
        """Called with the id of a run that has written its terminal event."""
        self._lost: set[str] = set()
        """Runs whose log did not take a window: the next start of an engine goes on with them."""
        self._recent: OrderedDict[str, Feed] = OrderedDict()
        self._feeds: WeakSet[Feed] = WeakSet()
        """All that somebody still reads: they are told when their run is deleted."""
        self._awaited: dict[str, list[asyncio.Future[Run]]] = {}

    async def start(
        self,
        host: Host,
        graph: Graph,
        run_id: str,
        beginning: Beginning,
        *,
        reused: Mapping[str, Output] | None = None,
    ) -> Run:
        """Starts a new run. Returns once its ``run.started`` is in the log."""
        feed = Feed(run_id, self.log, self.clock, self.checkpoints)
        execution = self._adopt(
            Execution(host, graph, feed, beginning, published=self._published, ended=self._ended, reused=reused)
        )
        run = self.open[run_id]
        try:
            execution.start()
        except BaseException:
            execution.journal.suspend()  # a bug in the engine: nothing of the run may stay open
            raise
        await execution.journal.started()
        return run

    def take_up(self, host: Host, graph: Graph, feed: Feed, beginning: Beginning, past: Past) -> None:
        """Goes on with a run that a crash or a restart has left open."""
        execution = self._adopt(
            Execution(host, graph, feed, beginning, published=self._published, ended=self._ended, past=past)
        )
        if execution.parent is not None:  # before the child starts anything
            parent = execution.parent
            parent.run.spending.settle(parent.task_id, feed.run_id, execution.ledger, is_counted=False)
        try:
            execution.recover(past)
        except BaseException:
            execution.journal.suspend()  # a bug in the engine: this run stays as it is, and the others go on
            raise

    def _adopt(self, execution: Execution) -> Execution:
        feed = execution.feed
        self.open[feed.run_id] = Run(feed, execution)
        self.executions[feed.run_id] = execution
        self._feeds.add(feed)
        if execution.parent is not None:
            execution.parent.run.add_child(execution)
        for waiter in self._awaited.pop(feed.run_id, ()):
            if not waiter.done():
                waiter.set_result(self.open[feed.run_id])
        return execution

    def _published(self, window: Window) -> None:
        self.log_problem = None
        if self.windows.observers:
            self.windows.on_next(window)

    def _ended(self, execution: Execution) -> None:
        if execution.journal.lost_with is not None:
            self.log_problem = str(execution.journal.lost_with)
            self._lost.add(execution.run_id)
        self.open.pop(execution.run_id, None)
        self.executions.pop(execution.run_id, None)
        if execution.parent is not None:
            execution.parent.run.remove_child(execution, execution.parent.task_id)
        if execution.feed.closed == Closed.END:
            execution.feed.forget_ring()
            self._keep(execution.feed)
            self.over(execution.run_id)

    def _keep(self, feed: Feed) -> None:
        self._recent[feed.run_id] = feed
        self._recent.move_to_end(feed.run_id)
        if len(self._recent) > bounds.RECENT_RUNS:
            self._recent.popitem(last=False)

    def warn_blocked(self, work: Work, seconds: float) -> None:
        """A body held the loop: its author should know where."""
        execution = self.executions.get(work.run_id)
        held_ms = round(seconds * 1000, 1)
        logger.warning("a body held the event loop", run_id=work.run_id, task_id=work.task_id, held_ms=held_ms)
        if execution is not None and not execution.feed.closed:
            execution.warn(work.task_id, "the body held the event loop; use a def body, or await", held_ms=held_ms)

    async def check_new(self, run_id: str) -> None:
        """Raises RunExists where there is a run of this id."""
        if run_id not in self.open:
            try:
                await self.index.record(run_id)
            except UnknownRun:
                # the log may have been asked on another thread meanwhile
                if run_id not in self.open:
                    return
        raise RunExists(f"there is a run {run_id!r} already; give another run_id", run_id=run_id)

    async def delete(self, run_id: str) -> None:
        """Removes a run that has ended. Raises UnknownRun, and RunOpen where it or the run it is a child of is open."""
        record = await self.index.record(run_id)
        if run_id in self.open:
            raise RunOpen(f"run {run_id} is open; only a run that has ended is deleted", run_id=run_id)
        if record.parent is not None and await self._is_open(record.parent):
            raise RunOpen(
                f"run {run_id} is a child of run {record.parent}, which is open: after a crash it would start again",
                run_id=run_id,
            )
        feeds = [feed for feed in self._feeds if feed.run_id == run_id]
        for feed in feeds:  # first: as soon as it is gone a new run may have its id
            feed.is_deleted = True
        try:
            await self.index.delete(run_id)
        except BaseException:
            for feed in feeds:
                feed.is_deleted = False
            raise
        self._recent.pop(run_id, None)

    async def _is_open(self, run_id: str) -> bool:
        try:
            return (await self.index.record(run_id)).status not in RUN_ENDED
        except UnknownRun:
            return False

    def wait_for(self, run_id: str) -> asyncio.Future[Run]:
        """Done when a run of this id starts here. Cancel the future to stop waiting. Raises TooManyWaiting."""
        check_run_id(run_id)
        self._awaited = {
            id: left for id, waiters in self._awaited.items() if (left := [w for w in waiters if not w.done()])
        }
        if sum(map(len, self._awaited.values())) >= bounds.AWAITED_RUNS:
            raise TooManyWaiting(f"{bounds.AWAITED_RUNS} streams wait for runs that have not started", run_id=run_id)
        future: asyncio.Future[Run] = asyncio.get_running_loop().create_future()
        self._awaited.setdefault(run_id, []).append(future)
        return future

    async def get(self, run_id: str) -> Run:
        """The run of this id, open or ended; raises UnknownRun."""
        run = self.open.get(run_id)
        if run is not None:
            if run.feed.last_seq == 0:  # nobody sees a run before its run.started is in the log
                await self.executions[run_id].journal.started()
            return run
        await self.index.record(run_id)  # raises UnknownRun, also for a run that retention has removed
        feed = self._recent.get(run_id)
        if feed is None:
            closed = Closed.LOG if run_id in self._lost else Closed.NOT_RECOVERED
            feed = await Feed.load(run_id, self.log, self.clock, self.checkpoints, closed=closed)
        self._feeds.add(feed)
        if feed.closed == Closed.END:
            self._keep(feed)
        return Run(feed, None)
