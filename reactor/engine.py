"""``Engine``: owns the log and the open runs; starts, finds, and drains them."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Self

import structlog
from reactivex import Observable

from reactor import bounds
from reactor.clock import SystemClock, is_in_loop
from reactor.definition.address import importing
from reactor.definition.graph import Graph
from reactor.definition.options import count_problem
from reactor.definition.policy import Budget, Limit
from reactor.definition.workflow import Workflow, provide_run_once
from reactor.errors import EngineClosed, RunExists, RunOpen
from reactor.events.event import Message
from reactor.logs.schemes import open_log
from reactor.logs.stops import mark_stop, take_stop
from reactor.logs.stores import stores_of
from reactor.plans.tools import Tool
from reactor.ports.clock import Clock
from reactor.ports.log import RunRecord
from reactor.ports.stores import Log
from reactor.recovery.origin import is_same_start, retry_of
from reactor.recovery.reading import load_reusable
from reactor.recovery.recovery import Recovery
from reactor.registry import Registry
from reactor.requests import check_meta, check_reason, check_run_id, make_run_id
from reactor.runs.beginning import Beginning
from reactor.runs.draining import drain_runs
from reactor.runs.host import Host
from reactor.runs.open_runs import OpenRuns
from reactor.runs.run import Run
from reactor.stream.feed import Closed
from reactor.stream.live import live_of_all
from reactor.tasks.past import Output

logger = structlog.get_logger("reactor")


class Engine:
    """Runs workflows on the current event loop.

        async with Engine("memory://", workflows=[flow]) as engine:
            run = await engine.start(flow, {"root": "src"})

    - ``log``: the URL of an event log, or one of your own (``reactor.ports.Log``).
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
        log: str | Log = "memory://",
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
        self._stores = stores_of(self.log)
        self.answers = self._stores.answers
        self.clock: Clock = clock or SystemClock()
        if (problem := count_problem("concurrency", concurrency)) is not None:
            raise ValueError(f"the engine's {problem}")
        self._concurrency = concurrency
        self._resources = resources or {}
        self._grace = grace
        self._tracebacks = tracebacks
        self._append_timeout = append_timeout
        self._registry = Registry(limits, tools)
        self._runs = OpenRuns(self._stores, self.clock)
        self._recovery = Recovery(self._registry, self._runs)
        self._runs.over = self._recovery.over
        self._host: Host | None = None
        self._draining = False
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
        await take_stop(self._stores.stops)
        if self.log.durable and self._stores.embedded:
            logger.warning("the log does not keep everything; it is kept in memory", what=self._stores.embedded)
        self._host = Host(
            self._stores.events,
            self._stores.outputs,
            self.clock,
            loop,
            resources=self._resources,
            limits=self._registry.limits.values(),
            concurrency=self._concurrency,
            tracebacks=self._tracebacks,
            append_timeout=self._append_timeout,
            blocked=self._runs.warn_blocked,
            open_child=self._recovery.open_child,
        )
        try:
            await self._recovery.recover_all(self._host)
        except BaseException:
            await self.drain(0.0)  # lets go of the log
            raise
        return self

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
        in_time = await drain_runs(self._runs, self.log.durable, grace, self._append_timeout)
        await asyncio.gather(*self._recovery.upkeep, return_exceptions=True)
        await self._host.close()
        if in_time:
            await mark_stop(self._stores.stops)
        await self.log.close()

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
        await self._runs.check_new(run_id)
        return await self._runs.start(self._accepting(), graph, run_id, beginning, reused=reused)

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
        if run.feed.closed != Closed.NOT_RECOVERED or task is not None:
            await run.request_cancel(grace, task=task, reason=reason, by=by)
            return run
        check_reason(reason, by)
        return await self._recovery.end_left(run, reason=reason, by=by)

    async def retry(self, run_id: str, *, new_run_id: str | None = None) -> Run:
        """Starts a new run with the input of one that has ended, which takes over what completed there.

        Raises UnknownRun, RunOpen where it has not ended, WorkflowChanged where its workflow is not the same any more,
        and what ``start`` raises.
        """
        old = await self.get(run_id)
        if not old.state.has_ended:
            raise RunOpen(f"run {run_id} is {old.status}; only a run that has ended is retried", run_id=run_id)
        graph, beginning = await retry_of(self._registry, await self._stores.index.record(run_id), old.feed)
        reused = await load_reusable(self._stores.events, graph, old.state)
        new_id = make_run_id() if new_run_id is None else check_run_id(new_run_id)
        return await self._begin(graph, new_id, beginning, reused=reused)

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
            if not is_same_start(await run.beginning(), flow.validate(), input or {}, meta or {}, budget):
                raise RunExists(f"there is a run {run_id!r} already, started differently", run_id=run_id) from None
            return run, False

    def wait_for(self, run_id: str) -> asyncio.Future[Run]:
        """Done when a run of this id starts here; cancel it to wait no more. Raises TooManyWaiting."""
        return self._runs.wait_for(run_id)

    async def get(self, run_id: str) -> Run:
        """The run of this id, open or ended; raises UnknownRun."""
        return await self._runs.get(run_id)

    async def list(
        self,
        *,
        status: str | None = None,
        workflow: str | None = None,
        parent: str | None = None,
        root: str | None = None,
        before: str | None = None,
        limit: int = 100,
    ) -> list[RunRecord]:
        """Runs, newest first; ``before`` is the id the previous page ended with. Raises UnknownRun for a bad one.

        ``parent``: the child runs of this run. ``root``: this run and all runs below it.
        """
        return await self._stores.index.records(
            status=status, workflow=workflow, parent=parent, root=root, before=before, limit=limit
        )

    async def delete(self, run_id: str) -> None:
        """Removes an ended run and all that is stored of it. Raises UnknownRun; RunOpen if it or its parent is open."""
        self._accepting()
        await self._runs.delete(run_id)

    @property
    def not_recovered(self) -> Mapping[str, str]:
        """Open runs of the log that nobody here goes on with: run id -> why."""
        return self._recovery.not_recovered

    @property
    def log_problem(self) -> str | None:
        """Why the log last lost a run; None again as soon as it takes a window."""
        return self._runs.log_problem

    @property
    def open_runs(self) -> int:
        """Runs that have not ended."""
        return len(self._runs.open)

    @property
    def live(self) -> Observable[Message]:
        """The hot Observable of the events of all runs, as they are committed, from now on."""
        return live_of_all(self._runs.windows)

    @property
    def events(self) -> Observable[Message]:
        """The old name of ``live``. Gone in 0.3."""
        warnings.warn("engine.events is engine.live now", DeprecationWarning, stacklevel=2)
        return self.live


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


provide_run_once(run_once)
