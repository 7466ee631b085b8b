"""``Engine``: has the log and the open runs; starts runs, finds them, and drains them at its end."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Self

from reactivex import Observable

from reactor import bounds
from reactor.clock import SystemClock, check_clock
from reactor.definition.address import importing
from reactor.definition.graph import Graph
from reactor.definition.names import names_its_options
from reactor.definition.options import check_engine_options
from reactor.definition.policy import Budget, Limit
from reactor.definition.task import Task
from reactor.definition.workflow import Workflow
from reactor.errors import EngineClosed, RunExists
from reactor.events.event import Event
from reactor.events.vocabulary import RunStatus
from reactor.listeners import Listener, Listeners
from reactor.logger import get_logger
from reactor.logs.schemes import open_log
from reactor.logs.stops import mark_stop
from reactor.logs.stores import open_timed, stores_of, take_over
from reactor.plans.tools import Tool
from reactor.ports.clock import Clock
from reactor.ports.log import RunRecord
from reactor.ports.stores import Log
from reactor.recovery.origin import is_same_start
from reactor.recovery.recovery import Recovery
from reactor.recovery.retry import prepare_retry
from reactor.registry import Registry
from reactor.requests import check_listing, check_meta, check_reason, check_run_id, make_run_id
from reactor.runs.beginning import Beginning
from reactor.runs.draining import drain_runs, suspend_all
from reactor.runs.host import Host, HostSettings
from reactor.runs.open_runs import OpenRuns
from reactor.runs.run import Run
from reactor.runs.sessions import SessionStarts
from reactor.runs.tree import TreeQueries
from reactor.services import Service, Services
from reactor.stream.feed import Closed
from reactor.stream.live import live_of_all
from reactor.tasks.past import Output
from reactor.waiting import methods_must_be_awaited

logger = get_logger()


@names_its_options(start="engine.start", ensure="engine.ensure")
@methods_must_be_awaited("engine")
class Engine(SessionStarts, TreeQueries):
    """Runs workflows on the current event loop.

        async with Engine("memory://", workflows=[flow]) as engine:
            run = await engine.start(flow, {"root": "src"})

    - ``log``: the URL of an event log, or one of your own (``reactor.ports.Log``).
    - ``workflows``: those that are found by name, and whose open runs go on after a restart.
    - ``concurrency``: how many bodies of all runs run at once; None: no limit.
    - ``limits``: named ``Limit``s, which tasks share by ``limits="name"``.
    - ``tools``: the tools that a plan may use; None: every ``@tool`` of this process.
    - ``resources``: shared pools and clients, which bodies find in ``ctx.resources``.
    - ``grace``: seconds that open runs get at the end of ``async with``.
    - ``append_timeout``: seconds that the log may take for one window; after that its run is lost in this process.
    - ``window``: how many events of a run wait for its log before ``emit`` waits too and no task starts; 1 to 10,000.
    - ``listeners``: what is told of windows, waits, stalls and streams (``reactor.listeners``).
    - ``services``: what starts and ends with the engine (``reactor.services.Service``).
    - ``clock``: what it reads and waits by (``reactor.ports.Clock``); None: the time of the machine.
    - ``tracebacks``: whether ``task.failed`` events have a traceback; off, because users see events.
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
        window: int = bounds.WINDOW_EVENTS,
        services: Iterable[Service] = (),
        listeners: Iterable[Listener] = (),
        clock: Clock | None = None,
    ) -> None:
        self.log = open_log(log)
        self._stores = stores_of(self.log)
        self.answers = self._stores.answers
        self.clock: Clock = SystemClock() if clock is None else check_clock(clock)
        check_engine_options(concurrency, grace, append_timeout, window, resources)
        self._grace, self._append_timeout = grace, append_timeout
        self._services = Services(services)
        self.listeners = Listeners(listeners)
        self._settings = HostSettings(resources or {}, concurrency, tracebacks, append_timeout, window, self.listeners)
        self._registry = Registry(limits, tools)
        self._runs = OpenRuns(self._stores, self.clock, self.listeners)
        self._recovery = Recovery(self._registry, self._runs)
        self.digest_key = b""  # of the log, for digests of what must not stand in it
        self._host: Host | None = None
        self._draining = False
        self._registry.register_all(workflows)

    # --- life ---

    async def __aenter__(self) -> Self:
        if self._host is not None:
            raise EngineClosed("this engine was entered before; make a new one")
        if importing.now:
            raise EngineClosed(
                "an engine is entered while its module is being imported for a body in a process; "
                'put what starts it under if __name__ == "__main__":'
            )
        await open_timed(self.log, self.clock, self._append_timeout)
        try:
            self.digest_key = await take_over(self.log, self._stores)
            self._host = self._make_host(asyncio.get_running_loop())
            await self._recovery.recover_all(self._host)
            await self._services.start(self)
        except BaseException:
            await (self.log.close() if self._host is None else self.drain(0.0))
            raise
        return self

    def _make_host(self, loop: asyncio.AbstractEventLoop) -> Host:
        return Host(
            self._stores.events,
            self._stores.outputs,
            self.clock,
            loop,
            self._settings,
            limits=self._registry.limits,
            digest_key=self.digest_key,
            blocked=self._runs.warn_blocked,
            child_runs=self._recovery,
        )

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # after an exception or Ctrl-C nobody waits for the results
        await self.drain(self._grace if kind is None else 0.0)

    async def drain(self, grace: float | None = None) -> None:
        """Closes the engine: accepts no new runs, and gives the open ones ``grace`` seconds to end.

        Runs that are still open then stay so in a durable log; in another they are cancelled (reason ``shutdown``).
        """
        if self._host is None or self._draining:
            return
        self._draining, in_time = True, False
        grace = self._grace if grace is None else grace
        try:
            await self._services.stop()
            await self._recovery.retaking.close()
            in_time = await drain_runs(self._runs, self.log.durable, grace, self._append_timeout)
            await asyncio.gather(*self._recovery.upkeep, return_exceptions=True)
        finally:  # whatever went wrong, or was cancelled: the log is let go of
            suspend_all(self._runs)
            try:
                await self._host.close()
                if in_time:
                    await mark_stop(self._stores.stops)
            finally:
                await self.log.close()

    @property
    def is_accepting(self) -> bool:
        """True between entering and draining."""
        return self._host is not None and not self._draining

    # --- workflows ---

    def register(self, workflow: Workflow) -> Graph:
        """Validates a workflow and registers it; from now on its name means this one. Raises WorkflowError.

        Runs of those that had the name before go on, each in its own graph, also after a restart that registers them.
        """
        return self._registry.register(workflow)

    @property
    def workflows(self) -> Mapping[str, Workflow]:
        """The registered workflows by name, each the last that was registered under it."""
        return self._registry.workflows

    @property
    def tools(self) -> Mapping[str, Tool[..., Any]]:
        """The tools that a plan may use, by name."""
        return self._registry.tools

    def workflow(self, name: str) -> Workflow:
        """The registered workflow of this name; raises UnknownWorkflow."""
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

        A workflow that is given, and not registered, is known only as long as its runs are open, whatever its name.
        Raises WorkflowError, InputError, RunExists, UnknownWorkflow, EngineClosed, or ValueError for a ``run_id``,
        ``meta`` or ``budget`` that is not valid. After an error nothing has been started.
        """
        self._open_host()
        graph = self._registry.graph_of(workflow)
        inputs = graph.validate_input({} if input is None else input)
        run_id = make_run_id() if run_id is None else check_run_id(run_id)
        allowed = None if budget is None else Budget.of(budget)
        return await self._begin(graph, run_id, Beginning(inputs, check_meta(meta or {}), allowed))

    def _open_host(self) -> Host:
        """For a new run; raises EngineClosed before the engine is entered, and once it drains."""
        if self._host is None:
            raise EngineClosed("enter the engine first: async with Engine(...)")
        if self._draining:
            raise EngineClosed("the engine is closed, or closing; make a new one: async with Engine(...)")
        return self._host

    async def _begin(
        self, graph: Graph, run_id: str, beginning: Beginning, *, reused: Mapping[str, Output] | None = None
    ) -> Run:
        """Starts a run whose parts are checked. ``reused``: the outputs that a retry takes over."""
        await self._runs.check_new(run_id)
        return await self._runs.start(self._open_host(), graph, run_id, beginning, reused=reused)

    async def cancel(
        self,
        run_id: str,
        grace: float = bounds.CANCEL_GRACE_SECONDS,
        *,
        task: str | Task[..., Any] | None = None,
        reason: str = "requested",
        by: str | None = None,
    ) -> Run:
        """Asks a run, or one ``task`` of it, to end; returns once the request is in the log.

        A run that was not recovered ends at once. Raises UnknownRun, RunEnded, and for the task UnknownTask, TaskEnded.
        """
        run = await self.get(run_id)
        if run.feed.closed != Closed.NOT_RECOVERED or task is not None:
            await run.request_cancel(grace, task=task, reason=reason, by=by)
            return run
        check_reason(reason, by)
        return await self._recovery.end_left(run, reason=reason, by=by)

    async def retry(self, run_id: str, *, new_run_id: str | None = None) -> Run:
        """Starts a new run with the input of one that has ended, and reuses the outputs of its completed tasks.

        Raises UnknownRun, RunOpen where that run has not ended, WorkflowChanged where its graph is not known here, and
        what ``start`` raises.
        """
        graph, beginning, reused = await prepare_retry(self._registry, self._runs, run_id)
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
        """Starts a run with this id, or returns the one that was started before: (run, whether it is new).

        Raises RunExists where the existing run was started with anything else, and what ``start`` raises.
        """
        try:
            return await self.start(workflow, input, run_id=run_id, meta=meta, budget=budget), True
        except RunExists:
            run = await self.get(run_id)
            graph, started = self._registry.graph_of(workflow), await run.beginning()
            if not is_same_start(self._registry, started, graph, input or {}, meta, budget, self.digest_key):
                raise RunExists(f"there is a run {run_id!r} already, started differently", run_id=run_id) from None
            return run, False

    def wait_for(self, run_id: str) -> asyncio.Future[Run]:
        """A future that is done when a run with this id starts; cancel it to stop waiting. Raises TooManyWaiting."""
        return self._runs.wait_for(run_id)

    async def get(self, run_id: str) -> Run:
        """The run of this id, open or ended; raises UnknownRun."""
        return await self._runs.get(run_id)

    async def list(
        self,
        *,
        status: RunStatus | None = None,
        workflow: str | None = None,
        parent: str | None = None,
        root: str | None = None,
        before: str | None = None,
        limit: int = 100,
    ) -> list[RunRecord]:
        """Runs, newest first. ``before``: the id that the previous page ended with; raises UnknownRun.

        ``parent``: the child runs of this run. ``root``: this run and all runs below it.
        """
        check_listing(status, limit)
        return await self._stores.index.records(
            status=status, workflow=workflow, parent=parent, root=root, before=before, limit=limit
        )

    async def delete(self, run_id: str) -> None:
        """Removes an ended run and all that is stored of it. Raises UnknownRun; RunOpen while it may be needed."""
        self._open_host()
        await self._runs.delete(run_id)

    @property
    def not_recovered(self) -> Mapping[str, str]:
        """Run id -> why: open runs in the log that this engine does not go on with."""
        return self._recovery.not_recovered

    @property
    def log_problem(self) -> str | None:
        """Why the log last lost a run; None after it has taken a window again."""
        return self._runs.log_problem

    @property
    def open_runs(self) -> int:
        """How many runs are open."""
        return len(self._runs.open)

    @property
    def live(self) -> Observable[Event]:
        """The hot Observable of the events of all runs, as they are committed, from now on."""
        return live_of_all(self._runs.windows)

    @property
    def events(self) -> Observable[Event]:
        """The old name of ``live``. Gone in 0.3."""
        warnings.warn("engine.events is engine.live now", DeprecationWarning, stacklevel=2)
        return self.live
