"""``Engine``: has the log and the open runs; starts runs, finds them, and drains them at its end."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable, Mapping
from importlib import import_module
from types import TracebackType
from typing import Any, Final, Self

from reactor import bounds
from reactor.clock import SystemClock, check_clock
from reactor.definition.address import importing
from reactor.definition.graph import Graph
from reactor.definition.names import names_its_options
from reactor.definition.options import check_engine_options
from reactor.definition.policy import Limit
from reactor.definition.workflow import Workflow
from reactor.errors import EngineClosed
from reactor.listeners import Listener, Listeners
from reactor.logs.schemes import open_log
from reactor.logs.stops import mark_stop
from reactor.logs.stores import open_timed, stores_of, take_over
from reactor.plans.tools import Tool
from reactor.ports.clock import Clock
from reactor.ports.log import Rewinds
from reactor.ports.stores import Log, TellsTrouble
from reactor.ports.tracing import TracerProvider
from reactor.registry import Registry
from reactor.runs.host import HostSettings, Workers
from reactor.schedules.methods import ScheduleMethods
from reactor.schedules.scheduler import Scheduler
from reactor.services import Service, Services
from reactor.tenants.cluster import Cluster
from reactor.tenants.common import Common
from reactor.tenants.methods import EngineMethods
from reactor.tenants.tenants import Tenants
from reactor.tracing.finding import check_tracing, find_tracing
from reactor.waiting import methods_must_be_awaited

_OF_QUESTIONS: Final = "reactor.context.schemas"
"""Imports jsonschema, which takes a quarter of a second: the first body that asks must not hold the loop for it."""


@names_its_options()
@methods_must_be_awaited("engine")
class Engine(EngineMethods, ScheduleMethods):
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
    - ``tracing``: spans of OpenTelemetry: True: if the process has set up its SDK when the engine is entered; False:
      none; or a TracerProvider of the SDK.
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
        tracing: bool | TracerProvider = True,
    ) -> None:
        self.log = open_log(log)
        self.clock: Clock = SystemClock() if clock is None else check_clock(clock)
        check_engine_options(concurrency, grace, append_timeout, window, resources)
        self._grace, self._append_timeout = grace, append_timeout
        self._tracing = check_tracing(tracing)
        self._services = Services(services)
        self.listeners = Listeners(listeners)
        settings = HostSettings(resources or {}, concurrency, tracebacks, append_timeout, window, self.listeners)
        self._registry = Registry(limits, tools)
        self._stores = stores_of(self.log)
        self._common = Common(self.log, self._registry, self._stores, self.clock, self.listeners, settings)
        self._tenants = Tenants(self._common)
        self._scheduler = Scheduler(self._common, self._tenants)
        self._cluster: Cluster | None = None
        """None where no other engine shares the log."""
        self._registry.register_all(workflows)

    # --- life ---

    async def __aenter__(self) -> Self:
        if self._common.workers is not None:
            raise EngineClosed("this engine was entered before; make a new one")
        if importing.now:
            raise EngineClosed(
                "an engine is entered while its module is being imported for a body in a process; "
                'put what starts it under if __name__ == "__main__":'
            )
        if isinstance(self.log, TellsTrouble):
            self.log.when_troubled(self._tenants.change_health)
        if isinstance(self.log, Rewinds):
            self.log.when_rewound(self._tenants.rewound)
        await open_timed(self.log, self.clock, self._append_timeout)
        try:
            self._common.digest_key, self._common.after_crash = await take_over(self.log, self._stores)
            self._common.tracing = find_tracing(self._tracing, self._common.digest_key, self.clock)
            if self._registry.asks and _OF_QUESTIONS not in sys.modules:
                await asyncio.to_thread(import_module, _OF_QUESTIONS)
            self._common.workers = self._make_workers(asyncio.get_running_loop())
            await self._recover()
            await self._services.start(self)
            self.listeners.engine_opened()
            await self._open_schedules()  # last: what their runs need has started
        except BaseException:
            await (self.log.close() if self._common.workers is None else self.drain(0.0))
            raise
        return self

    async def _recover(self) -> None:
        """Goes on with the open runs of the log; of one that others share, with those that nobody holds."""
        handover, inboxes = self._stores.handover, self._stores.inboxes
        if handover is None or inboxes is None:
            await self._tenants.recover(await self._stores.index.unfinished())
            return
        assert self._common.workers is not None, "they are made before"
        handover.when_renewed(self._common.workers.keep_until)
        self._cluster = Cluster(handover, inboxes, self._tenants)
        await self._cluster.open()

    def _make_workers(self, loop: asyncio.AbstractEventLoop) -> Workers:
        return Workers(loop, self._common.settings.concurrency, self._tenants.warn_blocked)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # after an exception or Ctrl-C nobody waits for the results
        await self.drain(self._grace if kind is None else 0.0)

    async def drain(self, grace: float | None = None) -> None:
        """Closes the engine: accepts no new runs, and gives the open ones ``grace`` seconds to end.

        Runs that are still open then stay so in a durable log; in another they are cancelled (reason ``shutdown``).
        """
        workers = self._common.workers
        if workers is None or self._common.is_draining:
            return
        self._common.is_draining, in_time = True, False
        grace = self._grace if grace is None else grace
        self.listeners.engine_closed()
        try:
            await self._scheduler.close()
            await self._services.stop()
            if self._cluster is not None:
                await self._cluster.close()
            await self._tenants.stop_retaking()
            in_time = await self._tenants.drain(grace)
        finally:  # whatever went wrong, or was cancelled: the log is let go of
            self._tenants.suspend()
            try:
                await workers.close()
                if in_time:
                    await mark_stop(self._stores.stops)
            finally:
                await self.log.close()

    @property
    def is_accepting(self) -> bool:
        """True between entering and draining."""
        return self._common.workers is not None and not self._common.is_draining

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
