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
    WorkflowChanged,
)
from reactor.events import Event, Window
from reactor.execution import Beginning, Execution, Parent
from reactor.executors.address import importing
from reactor.feed import Feed
from reactor.follow import caught_up, report
from reactor.graph import Graph
from reactor.host import Host
from reactor.ledger import Ledger
from reactor.leftover import cancel_events
from reactor.logs import open_log
from reactor.operators.guarded import guarded
from reactor.operators.unwindow import unwindow
from reactor.options import count_problem
from reactor.past import Output, load_past, load_reusable
from reactor.policy import Budget, Limit
from reactor.ports import Clock, EventLog, RunRecord, Work
from reactor.recovery import NotRecoverable, beginning_of, graph_of, input_of
from reactor.registry import Registry
from reactor.requests import check_meta, check_reason, check_run_id, make_run_id
from reactor.run import Run
from reactor.state import RUN_ENDED
from reactor.tools import Tool
from reactor.values import traceback_of
from reactor.workflow import Workflow

logger = structlog.get_logger("reactor")


class Engine:
    """Runs workflows on the current event loop.

        async with Engine("memory://", workflows=[flow]) as engine:
            run = await engine.start(flow, {"root": "src"})

    - ``log``: the URL of an event log, or one of your own (``reactor.ports.EventLog``).
    - ``workflows``: those that are found by name; ``start`` registers too.
    - ``concurrency``: bodies that run at once in all runs together; None: no limit.
    - ``limits``: named ``Limit``s, which tasks share by ``limits="name"``.
    - ``tools``: what a DAG that is data may use; None: every ``@tool`` of this process.
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
        concurrency: int | None = None,
        limits: Iterable[Limit] = (),
        tools: Iterable[Tool[..., Any]] | None = None,
        resources: Mapping[str, Any] | None = None,
        grace: float = bounds.DRAIN_GRACE_SECONDS,
        tracebacks: bool = False,
        append_timeout: float = bounds.APPEND_TIMEOUT_SECONDS,
        clock: Clock | None = None,
    ) -> None:
        self.log = open_log(log) if isinstance(log, str) else log
        self.clock: Clock = clock or SystemClock()
        if (problem := count_problem("concurrency", concurrency)) is not None:
            raise ValueError(f"the engine's {problem}")
        self._concurrency = concurrency
        self._resources = resources or {}
        self._grace = grace
        self._tracebacks = tracebacks
        self._append_timeout = append_timeout
        self.log_problem: str | None = None
        """Why the log last lost a run; None again as soon as it takes a window."""
        self._registry = Registry(limits, tools)
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
        self._dormant: dict[str, str] = {}
        """Open child runs that their parent has not asked for since the start: id -> the parent's."""
        self._upkeep: set[asyncio.Task[None]] = set()
        self._windows: Subject[Window] = Subject()
        for workflow in [workflows] if isinstance(workflows, Workflow) else workflows:
            self.register(workflow)

    # --- life ---

    async def __aenter__(self) -> Self:
        if self._host is not None:
            raise EngineClosed("this engine was entered before; make a new one")
        if importing.now:
            raise EngineClosed(
                "an engine is entered while its module is being imported for a body in a process; "
                'put what starts it under if __name__ == "__main__":'
            )
        loop = asyncio.get_running_loop()
        await self.log.open()
        self._host = Host(
            self.log,
            self.clock,
            loop,
            resources=self._resources,
            limits=self._registry.limits.values(),
            concurrency=self._concurrency,
            tracebacks=self._tracebacks,
            append_timeout=self._append_timeout,
            blocked=self._blocked,
            open_child=self._open_child,
        )
        try:
            for record in await self.log.unfinished():
                await self._recover(self._host, record)
            await self._end_orphans()
        except BaseException:
            await self.drain(0.0)  # lets go of the log
            raise
        return self

    async def _recover(self, host: Host, record: RunRecord, parent: Parent | None = None) -> None:
        """Goes on with a run that a crash or a restart left open; one that cannot is left as it is, and says why.

        A child run waits until its parent asks for it.
        """
        try:
            feed = await Feed.load(record.run_id, self.log, self.clock, closed=None)
            data = await beginning_of(feed)
            if parent is None and "parent" in data:
                self._dormant[record.run_id] = data["parent"]["run_id"]
                return
            graph = graph_of(self._registry, record, data)
            last = await feed.event(feed.last_seq)
            past = await load_past(self.log, graph, feed.state, last.time if last else "", self.clock.now().decode())
            budget = None if "budget" not in data else Budget.of(data["budget"])
            beginning = Beginning(input_of(data, graph), data.get("meta", {}), budget, parent)
        except LogUnavailable:
            raise
        except Exception as problem:  # of one run: a bug, or a log that somebody has changed; the others go on
            known = isinstance(problem, NotRecoverable)
            reason = str(problem) if known else f"{type(problem).__name__}: {problem}"
            self.not_recovered[record.run_id] = reason
            trace = {} if known else {"traceback": traceback_of(problem)}
            logger.warning("run not recovered", run_id=record.run_id, reason=reason, **trace)
            return
        if record.run_id in self._open:
            return  # its parent has asked for it twice at once
        self._dormant.pop(record.run_id, None)
        execution = self._adopt(Execution(host, graph, feed, beginning, ended=self._ended, past=past))
        if parent is not None:  # before it starts anything
            parent.execution.spending.settle(parent.task_id, record.run_id, execution.ledger, is_counted=False)
        execution.recover(past)

    # --- child runs ---

    async def _open_child(
        self,
        parent: Execution,
        task_id: str,
        child_id: str,
        workflow: Workflow | str,
        input: Mapping[str, Any],
        budget: Budget | None,
    ) -> Run:
        """Starts a child run, or takes up the one that was started before a crash or a retry."""
        graph = self.register(self.workflow(workflow) if isinstance(workflow, str) else workflow)
        link = Parent(parent, task_id)
        if child_id not in self._open:
            try:
                record = await self.log.record(child_id)
            except UnknownRun:
                if child_id not in self._open:  # the same body may have asked twice at once
                    beginning = Beginning(graph.validate_input(input), {}, budget, link)
                    return await self._start(parent.host, graph, child_id, beginning)
            else:
                await self._take_up(record, link)
        run = await self.get(child_id)
        if run.state.parent != link.data:
            raise RunExists(f"there is a run {child_id!r} already, which is no child of this task", run_id=child_id)
        return run

    async def _take_up(self, record: RunRecord, link: Parent) -> None:
        """A child that is in the log: goes on with it, and counts what its parent's log does not have of it."""
        if record.status not in RUN_ENDED:
            await self._recover(link.execution.host, record, link)
        run, child = await self.get(record.run_id), self._executions.get(record.run_id)
        if child is None and run.state.parent == link.data:
            ledger = Ledger.restored(None, run.state)
            link.execution.spending.settle(link.task_id, record.run_id, ledger, is_counted=False)
        was_paused_with_it = child is not None and child.is_paused and child.control.pause_reason == "parent"
        if child is not None and was_paused_with_it and not link.execution.is_paused:
            child.control.resume("parent", by=None)

    async def _end_orphans(self, parent_id: str | None = None) -> None:
        """Cancels dormant children whose parent has ended or is gone; they would wait for ever."""
        for child_id, parent in list(self._dormant.items()):
            if parent_id in (None, parent) and await self._is_over(parent) and self._dormant.pop(child_id, None):
                child = await self.get(child_id)
                if child.feed.closed == "not_recovered":  # else somebody has ended it, or goes on with it
                    await self._end_left(child, reason="parent", by=None)

    async def _is_over(self, run_id: str) -> bool:
        if run_id in self._open:
            return False
        try:
            return (await self.log.record(run_id)).status in RUN_ENDED
        except UnknownRun:
            return True

    def _blocked(self, work: Work, seconds: float) -> None:
        """A body held the loop: its author should know where."""
        execution = self._executions.get(work.run_id)
        held_ms = round(seconds * 1000, 1)
        logger.warning("a body held the event loop", run_id=work.run_id, task_id=work.task_id, held_ms=held_ms)
        if execution is not None and not execution.feed.closed:
            execution.warn(work.task_id, "the body held the event loop; use a def body, or await", held_ms=held_ms)

    def _adopt(self, execution: Execution) -> Execution:
        feed = execution.feed
        self._open[feed.run_id] = Run(feed, execution)
        self._executions[feed.run_id] = execution
        if execution.parent is not None:
            execution.parent.execution.children[feed.run_id] = execution
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
                execution.control.cancel("shutdown", by=None, grace=min(grace, bounds.DRAIN_GRACE_SECONDS))
        await self._wait_for_runs(grace + 2 * self._append_timeout)
        for execution in list(self._executions.values()):
            logger.error("run did not end in time", run_id=execution.run_id)
            execution.suspend()
        self._windows.on_completed()
        await caught_up(self.log, bounds.BEHIND_SECONDS)
        await asyncio.gather(*self._upkeep, return_exceptions=True)
        await self._host.close()
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
        graph = self._registry.register(workflow)
        if self._host is not None:
            for name in graph.limits:
                self._host.add_limit(self._registry.limits[name])
        return graph

    @property
    def workflows(self) -> Mapping[str, Workflow]:
        """The registered ones by name."""
        return self._registry.workflows

    @property
    def tools(self) -> Mapping[str, Tool[..., Any]]:
        """What a DAG that is data may use, by name."""
        return self._registry.tools

    def workflow(self, name: str) -> Workflow:
        """Raises UnknownWorkflow."""
        return self._registry.workflow(name)

    # --- runs ---

    async def start(
        self,
        workflow: Workflow | str,
        input: Mapping[str, Any] | None = None,
        *,
        run_id: str | None = None,
        meta: Mapping[str, Any] | None = None,
        budget: Budget | Mapping[str, Any] | None = None,
    ) -> Run:
        """Starts a run; returns once its ``run.started`` is in the log.

        Raises WorkflowError, InputError, RunExists, UnknownWorkflow, EngineClosed, or ValueError for a bad ``run_id``,
        ``meta`` or ``budget``; then nothing was started.
        """
        self._accepting()
        graph = self.register(self.workflow(workflow) if isinstance(workflow, str) else workflow)
        inputs = graph.validate_input({} if input is None else input)
        run_id = make_run_id() if run_id is None else check_run_id(run_id)
        allowed = None if budget is None else Budget.of(budget)
        return await self._begin(graph, run_id, Beginning(inputs, check_meta(meta or {}), allowed))

    def _accepting(self) -> Host:
        if self._host is None or self._draining:
            raise EngineClosed(
                "the engine is draining" if self._draining else "enter the engine first: async with Engine(...)"
            )
        return self._host

    async def _begin(
        self, graph: Graph, run_id: str, beginning: Beginning, *, reused: Mapping[str, Output] | None = None
    ) -> Run:
        """Starts what was checked; ``reused`` is of a retry."""
        await self._check_new(run_id)
        return await self._start(self._accepting(), graph, run_id, beginning, reused=reused)

    async def _start(
        self,
        host: Host,
        graph: Graph,
        run_id: str,
        beginning: Beginning,
        *,
        reused: Mapping[str, Output] | None = None,
    ) -> Run:
        feed = Feed(run_id, self.log, self.clock)
        execution = self._adopt(Execution(host, graph, feed, beginning, ended=self._ended, reused=reused))
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
        task: str | None = None,
        reason: str = "requested",
        by: str | None = None,
    ) -> Run:
        """Asks a run, or one ``task`` of it, to end; returns once that is in the log.

        A run that nobody here goes on with ends at once. Raises UnknownRun, RunEnded where it had ended before, and for
        the task UnknownTask or TaskEnded.
        """
        run = await self.get(run_id)
        if run.feed.closed != "not_recovered" or task is not None:
            await run.request_cancel(grace, task=task, reason=reason, by=by)
            return run
        check_reason(reason, by)
        return await self._end_left(run, reason=reason, by=by)

    async def _end_left(self, run: Run, *, reason: str, by: str | None) -> Run:
        """Ends a run that nobody goes on with, from its log alone."""
        run_id = run.id
        started = await run.beginning()
        events = cancel_events(run.state.copy(), started.get("tasks", []), self.clock, reason=reason, by=by)
        await self.log.append(run_id, events)
        self.not_recovered.pop(run_id, None)
        await self._end_orphans(run_id)
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
            data = await beginning_of(old.feed)
            graph = graph_of(self._registry, await self.log.record(run_id), data)
            budget = None if "budget" not in data else Budget.of(data["budget"])
            beginning = Beginning(input_of(data, graph), data.get("meta", {}), budget, retry_of=run_id)
        except NotRecoverable as problem:
            raise WorkflowChanged(f"run {run_id} cannot be retried: {problem}", run_id=run_id) from None
        reused = await load_reusable(self.log, graph, old.state)
        new_id = make_run_id() if new_run_id is None else check_run_id(new_run_id)
        return await self._begin(graph, new_id, beginning, reused=reused)

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
        if execution.parent is not None:
            execution.parent.execution.child_ended(execution, execution.parent.task_id)
        if execution.feed.closed == "end" and execution.run_id in self._dormant.values():
            orphans = asyncio.ensure_future(self._end_orphans(execution.run_id))
            self._upkeep.add(orphans)
            orphans.add_done_callback(self._upkeep.discard)
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
        budget: Budget | Mapping[str, Any] | None = None,
    ) -> tuple[Run, bool]:
        """Starts a run under an id of the caller's, or finds the one that was started so: (run, whether it is new).

        Raises RunExists where the run of this id has another workflow, input, meta or budget; else as ``start``.
        """
        try:
            return await self.start(workflow, input, run_id=run_id, meta=meta, budget=budget), True
        except RunExists:
            run = await self.get(run_id)
            flow = self.workflow(workflow) if isinstance(workflow, str) else workflow
            graph = flow.validate()
            encoded = graph.encode_input(graph.validate_input(input or {}))
            wanted = {name: value.json for name, value in encoded.items()}
            started = await run.beginning()
            asked = {
                "workflow": graph.name,
                "plan": graph.plan,
                "input": orjson.loads(json_object(wanted)),
                "meta": dict(meta or {}) or None,
                "budget": None if budget is None else Budget.of(budget).to_dict(),
            }
            if asked != {name: started.get(name) for name in asked}:
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
