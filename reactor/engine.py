"""``Engine``: owns the log and the open runs; starts, finds, and drains them."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Self

import orjson
import structlog
from reactivex import Observable
from reactivex.subject import Subject

from reactor import bounds
from reactor.clock import SystemClock
from reactor.drafts import json_object
from reactor.errors import (
    EngineClosed,
    LogUnavailable,
    RunExists,
    RunOpen,
    TooManyWaiting,
    UnknownRun,
    UnknownWorkflow,
    WorkflowChanged,
)
from reactor.events import Event, Window
from reactor.execution import Execution, Host
from reactor.executors.threads import ThreadExecutor
from reactor.feed import Feed
from reactor.follow import caught_up, report
from reactor.graph import Graph
from reactor.leftover import cancel_events
from reactor.logs import open_log
from reactor.operators.guarded import guarded
from reactor.operators.unwindow import unwindow
from reactor.past import load_past, load_reusable
from reactor.ports import Clock, EventLog, RunRecord
from reactor.recovery import NotRecoverable, beginning_of, graph_of
from reactor.requests import check_meta, check_reason, check_run_id, make_run_id
from reactor.run import Run
from reactor.values import traceback_of
from reactor.workflow import Workflow

logger = structlog.get_logger("reactor")


class Engine:
    """Runs workflows on the current event loop.

        async with Engine("memory://", workflows=[flow]) as engine:
            run = await engine.start(flow, {"root": "src"})

    - ``log``: the URL of an event log, or one of your own (``reactor.ports.EventLog``).
    - ``workflows``: those that are found by name; ``start`` registers too.
    - ``resources``: shared pools and clients, as ``ctx.resources``.
    - ``grace``: seconds open runs get at the end of ``async with``.
    - ``append_timeout``: seconds the log may take for one window before its run is lost in this process.
    - ``tracebacks``: put them into ``task.failed`` events; off, since events are shown to users.
    """

    def __init__(
        self,
        log: str | EventLog = "memory://",
        *,
        workflows: Iterable[Workflow] | Workflow = (),
        resources: Mapping[str, Any] | None = None,
        grace: float = bounds.DRAIN_GRACE_SECONDS,
        tracebacks: bool = False,
        append_timeout: float = bounds.APPEND_TIMEOUT_SECONDS,
        clock: Clock | None = None,
    ) -> None:
        self.log = open_log(log) if isinstance(log, str) else log
        self.clock: Clock = clock or SystemClock()
        self._resources = resources or {}
        self._grace = grace
        self._tracebacks = tracebacks
        self._append_timeout = append_timeout
        self.log_problem: str | None = None
        """Why the log last lost a run; None again as soon as it takes a window."""
        self._workflows: dict[str, Workflow] = {}
        self._open: dict[str, Run] = {}
        self._executions: dict[str, Execution] = {}
        self._lost: set[str] = set()
        """Runs whose log refused them in this process: the next start goes on with them."""
        self._recent: OrderedDict[str, Feed] = OrderedDict()
        self._awaited: dict[str, list[asyncio.Future[Run]]] = {}
        self._host: Host | None = None
        self._draining = False
        self.not_recovered: dict[str, str] = {}
        """Open runs of the log that nobody here goes on with: run id -> why."""
        self._windows: Subject[Window] = Subject()
        for workflow in [workflows] if isinstance(workflows, Workflow) else workflows:
            self.register(workflow)

    # --- life ---

    async def __aenter__(self) -> Self:
        if self._host is not None:
            raise EngineClosed("this engine was entered before; make a new one")
        loop = asyncio.get_running_loop()
        await self.log.open()
        self._host = Host(
            self.log,
            self.clock,
            loop,
            ThreadExecutor(loop),
            self._resources,
            tracebacks=self._tracebacks,
            append_timeout=self._append_timeout,
        )
        try:
            for record in await self.log.unfinished():
                await self._recover(self._host, record)
        except BaseException:
            await self.drain(0.0)  # lets go of the log
            raise
        return self

    async def _recover(self, host: Host, record: RunRecord) -> None:
        """Goes on with a run that a crash or a restart left open; one that cannot is left as it is, and says why."""
        try:
            graph = graph_of(self._workflows, record)
            feed = await Feed.load(record.run_id, self.log, self.clock, closed=None)
            inputs, meta = await beginning_of(feed, graph)
            last = await feed.event(feed.last_seq)
            past = await load_past(self.log, graph, feed.state, last.time if last else "")
        except LogUnavailable:
            raise
        except Exception as problem:  # of one run: a bug, or a log that somebody has changed; the others go on
            known = isinstance(problem, NotRecoverable)
            reason = str(problem) if known else f"{type(problem).__name__}: {problem}"
            self.not_recovered[record.run_id] = reason
            trace = {} if known else {"traceback": traceback_of(problem)}
            logger.warning("run not recovered", run_id=record.run_id, reason=reason, **trace)
            return
        execution = self._adopt(Execution(host, graph, feed, inputs, meta, ended=self._ended, past=past))
        execution.recover(past)

    def _adopt(self, execution: Execution) -> Execution:
        feed = execution.feed
        self._open[feed.run_id] = Run(feed, execution)
        self._executions[feed.run_id] = execution
        feed.windows.subscribe(self._published)
        for waiter in self._awaited.pop(feed.run_id, ()):
            if not waiter.done():
                waiter.set_result(self._open[feed.run_id])
        return execution

    def _published(self, window: Window) -> None:
        self.log_problem = None
        self._windows.on_next(window)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # an exception, or Ctrl-C: nobody waits for results any more
        await self.drain(self._grace if kind is None else 0.0)

    async def drain(self, grace: float | None = None) -> None:
        """Accepts no new runs and gives the open ones ``grace`` seconds.

        What is open then stays so on a durable log, to be recovered; on another it is cancelled (``shutdown``).
        """
        if self._host is None or self._draining:
            return
        self._draining = True
        grace = self._grace if grace is None else grace
        await self._wait_for_runs(grace)
        for execution in list(self._executions.values()):
            if self.log.durable:
                execution.suspend()
            else:
                execution.cancel("shutdown", by=None, grace=min(grace, bounds.DRAIN_GRACE_SECONDS))
        await self._wait_for_runs(grace + 2 * self._append_timeout)
        for execution in list(self._executions.values()):
            logger.error("run did not end in time", run_id=execution.run_id)
            execution.suspend()
        self._windows.on_completed()
        await caught_up(self.log, bounds.BEHIND_SECONDS)
        await self._host.threads.close()
        await self.log.close()

    async def _wait_for_runs(self, seconds: float | None) -> None:
        waiting = [asyncio.ensure_future(run.ended()) for run in self._open.values()]
        if not waiting:
            return
        done, pending = await asyncio.wait(waiting, timeout=seconds)
        for late in pending:
            late.cancel()
        for run in done:
            if not run.cancelled() and (error := run.exception()) is not None:
                logger.error("run could not be waited for", error=str(error))

    @property
    def is_accepting(self) -> bool:
        """True between entering and draining."""
        return self._host is not None and not self._draining

    # --- workflows ---

    def register(self, workflow: Workflow) -> Graph:
        """Validates a workflow and makes it known by its name; raises WorkflowError."""
        graph = workflow.validate()
        known = self._workflows.setdefault(workflow.name, workflow)
        if known is not workflow and known.validate().fingerprint != graph.fingerprint:
            raise ValueError(f"two different workflows are named {workflow.name!r}")
        return graph

    @property
    def workflows(self) -> Mapping[str, Workflow]:
        """The registered ones by name."""
        return self._workflows

    def workflow(self, name: str) -> Workflow:
        """Raises UnknownWorkflow."""
        workflow = self._workflows.get(name)
        if workflow is None:
            known = ", ".join(map(repr, self._workflows)) or "none"
            raise UnknownWorkflow(f"there is no workflow {name[:100]!r}; registered: {known}", workflow=name)
        return workflow

    # --- runs ---

    async def start(
        self,
        workflow: Workflow | str,
        input: Mapping[str, Any] | None = None,
        *,
        run_id: str | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> Run:
        """Starts a run; returns once its ``run.started`` is in the log.

        Raises WorkflowError, InputError, RunExists, UnknownWorkflow, EngineClosed, or ValueError for a bad ``run_id``
        or ``meta``; then nothing was started.
        """
        self._accepting()
        graph = self.register(self.workflow(workflow) if isinstance(workflow, str) else workflow)
        inputs = graph.validate_input({} if input is None else input)
        run_id = make_run_id() if run_id is None else check_run_id(run_id)
        return await self._begin(graph, inputs, run_id, check_meta(meta or {}))

    def _accepting(self) -> Host:
        if self._host is None or self._draining:
            raise EngineClosed(
                "the engine is draining" if self._draining else "enter the engine first: async with Engine(...)"
            )
        return self._host

    async def _begin(
        self, graph: Graph, inputs: dict[str, Any], run_id: str, meta: dict[str, Any], **origin: Any
    ) -> Run:
        """Starts what was checked; ``origin`` is of a retry."""
        await self._check_new(run_id)
        host = self._accepting()  # it may have begun to drain meanwhile
        feed = Feed(run_id, self.log, self.clock)
        execution = self._adopt(Execution(host, graph, feed, inputs, meta, ended=self._ended, **origin))
        run = self._open[run_id]
        try:
            execution.start()
        except BaseException:
            execution.suspend()  # a bug: nothing of it may stay open
            raise
        await execution.begun()
        return run

    async def cancel(
        self,
        run_id: str,
        grace: float = bounds.CANCEL_GRACE_SECONDS,
        *,
        reason: str = "requested",
        by: str | None = None,
    ) -> Run:
        """Asks a run to end; returns once that is in the log. One that nobody here goes on with ends at once.

        Raises UnknownRun, or RunEnded where it had ended before.
        """
        run = await self.get(run_id)
        if run.feed.closed != "not_recovered":
            await run.request_cancel(grace, reason=reason, by=by)
            return run
        check_reason(reason, by)
        started = await run.beginning()
        events = cancel_events(run.state.copy(), started.get("tasks", []), self.clock, reason=reason, by=by)
        await self.log.append(run_id, events)
        self.not_recovered.pop(run_id, None)
        return await self.get(run_id)

    async def retry(self, run_id: str, *, new_run_id: str | None = None) -> Run:
        """Starts a new run with the input of one that has ended, which takes over what completed there.

        Raises UnknownRun, RunOpen where it has not ended, WorkflowChanged where its workflow is not the same any more,
        and what ``start`` raises.
        """
        old = await self.get(run_id)
        if not old.state.has_ended:
            raise RunOpen(f"run {run_id} is {old.status}; only a run that has ended is retried", run_id=run_id)
        try:
            graph = graph_of(self._workflows, await self.log.record(run_id))
            inputs, meta = await beginning_of(old.feed, graph)
        except NotRecoverable as problem:
            raise WorkflowChanged(f"run {run_id} cannot be retried: {problem}", run_id=run_id) from None
        reused = await load_reusable(self.log, graph, old.state)
        new_id = make_run_id() if new_run_id is None else check_run_id(new_run_id)
        return await self._begin(graph, inputs, new_id, meta, retry_of=run_id, reused=reused)

    async def _check_new(self, run_id: str) -> None:
        if run_id not in self._open:
            try:
                await self.log.record(run_id)
            except UnknownRun:
                # the log may have been asked on another thread meanwhile
                if run_id not in self._open:
                    return
        raise RunExists(f"there is a run {run_id!r} already", run_id=run_id)

    def _ended(self, execution: Execution) -> None:
        if execution.lost_with is not None:
            self.log_problem = str(execution.lost_with)
            self._lost.add(execution.run_id)
        self._open.pop(execution.run_id, None)
        self._executions.pop(execution.run_id, None)
        if execution.feed.closed == "end":
            execution.feed.forget_ring()
            self._keep(execution.feed)

    def _keep(self, feed: Feed) -> None:
        self._recent[feed.run_id] = feed
        self._recent.move_to_end(feed.run_id)
        if len(self._recent) > bounds.RECENT_RUNS:
            self._recent.popitem(last=False)

    async def ensure(
        self,
        workflow: Workflow | str,
        input: Mapping[str, Any] | None = None,
        *,
        run_id: str,
        meta: Mapping[str, Any] | None = None,
    ) -> tuple[Run, bool]:
        """Starts a run under an id of the caller's, or finds the one that was started so: (run, whether it is new).

        Raises RunExists where the run of this id has another workflow, input or meta; else as ``start``.
        """
        try:
            return await self.start(workflow, input, run_id=run_id, meta=meta), True
        except RunExists:
            run = await self.get(run_id)
            name = workflow if isinstance(workflow, str) else workflow.name
            graph = self.workflow(name).validate()
            encoded = graph.encode_input(graph.validate_input(input or {}))
            wanted = {name: value.json for name, value in encoded.items()}
            started = await run.beginning()
            same = (started.get("workflow"), started.get("input"), started.get("meta", {})) == (
                name,
                orjson.loads(json_object(wanted)),
                dict(meta or {}),
            )
            if not same:
                raise RunExists(f"there is a run {run_id!r} already, started differently", run_id=run_id) from None
            return run, False

    def wait_for(self, run_id: str) -> asyncio.Future[Run]:
        """Done when a run of this id starts here; cancel it to wait no more. Raises TooManyWaiting."""
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
        run = self._open.get(run_id)
        if run is not None:
            if run.feed.last_seq == 0:  # nobody sees a run before its run.started is in the log
                await self._executions[run_id].begun()
            return run
        await self.log.record(run_id)  # raises UnknownRun, also for one that was forgotten meanwhile
        feed = self._recent.get(run_id)
        if feed is None:
            closed = "log" if run_id in self._lost else "not_recovered"
            feed = await Feed.load(run_id, self.log, self.clock, closed=closed)
        if feed.closed == "end":
            self._keep(feed)
        return Run(feed, None)

    async def list(
        self, *, status: str | None = None, workflow: str | None = None, before: str | None = None, limit: int = 100
    ) -> list[RunRecord]:
        """Runs, newest first; ``before`` is the id the previous page ended with. Raises UnknownRun for a bad one."""
        return await self.log.records(status=status, workflow=workflow, before=before, limit=limit)

    @property
    def open_runs(self) -> int:
        """Runs that have not ended."""
        return len(self._open)

    @property
    def events(self) -> Observable[Event]:
        """Hot: the events of all runs as they are committed, from now on."""
        return self._windows.pipe(unwindow(), guarded(report("*"), run_id="*"))


def run_once(workflow: Workflow, input: Mapping[str, Any]) -> dict[str, Any]:
    """``workflow.run(input)``: a loop, an engine and a memory log for one run."""

    async def main() -> dict[str, Any]:
        async with Engine(workflows=[workflow]) as engine:
            return await (await engine.start(workflow, input))

    if is_in_loop():
        raise RuntimeError(
            f"{workflow.name}.run() needs its own loop; here: await (await engine.start(workflow, input))"
        )
    return asyncio.run(main())


def is_in_loop() -> bool:
    """Whether this thread runs an event loop already."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
