"""``Tenant``: the runs of one tenant of an engine. It names no other tenant anywhere, so it cannot reach one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from reactivex import Observable

from reactor import bounds
from reactor.definition.graph import Graph
from reactor.definition.policy import Budget
from reactor.definition.task import Task
from reactor.definition.workflow import Workflow
from reactor.errors import LogUnavailable, RunExists, RunNotHere, RunOpen
from reactor.events.event import Event
from reactor.events.restoring import given_digest
from reactor.events.vocabulary import RunStatus
from reactor.logs.of_tenant import stores_of_tenant
from reactor.plans.tools import Tool
from reactor.ports.log import RunRecord
from reactor.ports.stores import Idempotency
from reactor.recovery.origin import is_same_start
from reactor.recovery.recovery import Recovery
from reactor.recovery.retry import prepare_retry
from reactor.requests import (
    check_by,
    check_listing,
    check_meta,
    check_new_run_id,
    check_reason,
    check_run_id,
    make_run_id,
)
from reactor.runs.beginning import Beginning
from reactor.runs.deleting import delete_run
from reactor.runs.host import Host
from reactor.runs.open_runs import OpenRuns
from reactor.runs.queries import RunQueries
from reactor.runs.run import Run
from reactor.runs.sessions import SessionStarts
from reactor.runs.tree import TreeQueries
from reactor.stream.live import live_of_all
from reactor.tasks.past import Output
from reactor.tenants.common import Common
from reactor.trace_context import TraceContext
from reactor.waiting import methods_must_be_awaited


@methods_must_be_awaited("engine")
class Tenant(SessionStarts, TreeQueries, RunQueries):
    """What ``Engine`` does, for one tenant: ``engine.tenant("acme")``. Each method is explained at ``Engine``."""

    def __init__(self, name: str, common: Common, keep: Callable[[Tenant], None] = lambda tenant: None) -> None:
        self.name = name
        self._common = common
        self._keep = keep
        """Called when something begins here: whoever holds all tenants may have dropped this one, which was idle."""
        self._registry = common.registry
        self._stores = stores_of_tenant(common.stores, name)
        self._runs = OpenRuns(self._stores, common.clock, common.listeners, name)
        self._recovery = Recovery(common.registry, self._runs)
        self._host: Host | None = None
        if self._runs.inbox is not None:
            self._runs.inbox.take_up = self._take_up_asked

    # --- what it shares with the others ---

    @property
    def workflows(self) -> Mapping[str, Workflow]:
        return self._registry.workflows

    @property
    def tools(self) -> Mapping[str, Tool[..., Any]]:
        return self._registry.tools

    def workflow(self, name: str) -> Workflow:
        return self._registry.workflow(name)

    @property
    def digest_key(self) -> bytes:
        """Of the log, for digests of what must not stand in it."""
        return self._common.digest_key

    @property
    def answers(self) -> Idempotency:
        """What requests with a key were answered."""
        return self._stores.answers

    def _open_host(self) -> Host:
        """For a new run; raises what ``Common.check_open`` raises."""
        self._common.check_open()
        self._keep(self)
        return self.enter()

    def enter(self) -> Host:
        """What its runs are lent, from the first time on that there is any."""
        if self._host is None:
            common, workers = self._common, self._common.workers
            assert workers is not None, "the engine was entered before"
            self._host = Host(
                workers,
                self._stores.events,
                self._stores.outputs,
                common.clock,
                common.settings,
                limits=self._registry.limits,
                digest_key=common.digest_key,
                after_crash=common.after_crash,
                child_runs=self._recovery,
                tenant=self.name,
                shared=self._stores.shared_limits,
                handover=self._stores.handover,
                tracing=common.tracing,
            )
            self._recovery.open(self._host)
        return self._host

    def _trace_of(self, traceparent: str | TraceContext | None) -> TraceContext | None:
        return self._common.trace_of(traceparent)

    async def _take_up_asked(self, run_id: str) -> str | None:
        """A run that nobody holds, for who has a command for it; perhaps the first run of this tenant here."""
        self._open_host()
        return await self._recovery.take_up_asked(run_id)

    # --- runs ---

    async def start(
        self,
        workflow: Workflow | str,
        input: Mapping[str, Any] | None = None,
        *,
        run_id: str | None = None,
        meta: Mapping[str, Any] | None = None,
        budget: Budget | Mapping[str, Any] | None = None,
        by: str | None = None,
        traceparent: str | TraceContext | None = None,
    ) -> Run:
        self._common.check_open()
        graph = self._registry.graph_of(workflow)
        inputs = graph.validate_input({} if input is None else input)
        run_id = make_run_id() if run_id is None else check_new_run_id(run_id)
        return await self._start(graph, inputs, input or {}, run_id, meta, budget, by, self._trace_of(traceparent))

    async def start_scheduled(
        self, workflow: str, input: Mapping[str, Any], run_id: str, meta: Mapping[str, Any], by: str | None
    ) -> Run:
        """For schedules: the id is one that nobody else may give."""
        self._common.check_open()
        graph = self._registry.graph_of(workflow)
        inputs, trace = graph.validate_input(input), self._trace_of(None)
        return await self._start(graph, inputs, input, check_run_id(run_id), meta, None, by, trace)

    async def _start(
        self,
        graph: Graph,
        inputs: dict[str, Any],
        given: Mapping[str, Any],
        run_id: str,
        meta: Mapping[str, Any] | None,
        budget: Budget | Mapping[str, Any] | None,
        by: str | None,
        trace: TraceContext | None,
    ) -> Run:
        allowed = None if budget is None else Budget.of(budget)
        check_by(by)
        digest = given_digest(self.digest_key, given, inputs)
        beginning = Beginning(inputs, check_meta(meta or {}), allowed, by=by, given_digest=digest, trace=trace)
        return await self._begin(graph, run_id, beginning)

    async def _begin(
        self, graph: Graph, run_id: str, beginning: Beginning, *, reused: Mapping[str, Output] | None = None
    ) -> Run:
        """Starts a run whose parts are checked. ``reused``: the outputs that a retry takes over."""
        await self._runs.check_new(run_id)
        host = self._open_host()
        return await self._runs.start(host, graph, run_id, beginning, reused=reused, check_open=self._common.check_open)

    async def ensure(
        self,
        workflow: Workflow | str,
        input: Mapping[str, Any] | None = None,
        *,
        run_id: str,
        meta: Mapping[str, Any] | None = None,
        budget: Budget | Mapping[str, Any] | None = None,
        by: str | None = None,
        traceparent: str | TraceContext | None = None,
    ) -> tuple[Run, bool]:
        try:
            run = await self.start(
                workflow, input, run_id=run_id, meta=meta, budget=budget, by=by, traceparent=traceparent
            )  # fmt: skip
            return run, True
        except RunExists as exists:
            run = await self._runs.get_existing(run_id, exists)
            graph, started = self._registry.graph_of(workflow), await run.beginning()
            if not is_same_start(self._registry, started, graph, input or {}, meta, budget, self.digest_key):
                raise RunExists(f"there is a run {run_id!r} already, started differently", run_id=run_id) from None
            return run, False

    async def cancel(
        self,
        run_id: str,
        grace: float = bounds.CANCEL_GRACE_SECONDS,
        *,
        task: str | Task[..., Any] | None = None,
        reason: str = "requested",
        by: str | None = None,
    ) -> Run:
        return (await self.request_cancel(run_id, grace, task=task, reason=reason, by=by))[0]

    async def request_cancel(
        self,
        run_id: str,
        grace: float = bounds.CANCEL_GRACE_SECONDS,
        *,
        task: str | Task[..., Any] | None = None,
        reason: str = "requested",
        by: str | None = None,
    ) -> tuple[Run, int | None]:
        """``cancel``, and the seq of the event that records it; None where there was nothing to do."""
        run = await self.get(run_id)
        is_elsewhere = self._runs.elsewhere.has(run.feed)
        if task is not None or not (self._runs.is_left(run) or is_elsewhere):
            return run, await run.request_cancel(grace, task=task, reason=reason, by=by)
        check_reason(reason, by)
        if is_elsewhere and run.state.parent is None:
            try:
                return run, await run.request_cancel(grace, reason=reason, by=by)
            except RunNotHere:  # nobody holds it, and nobody here can go on with it
                return await self._end_left(run, reason, by)
        try:
            return await self._end_left(run, reason, by)
        except RunNotHere:
            if not is_elsewhere:
                raise
        return run, await run.request_cancel(grace, reason=reason, by=by)  # another process executes this child

    async def _end_left(self, run: Run, reason: str, by: str | None) -> tuple[Run, int]:
        """Ends a run that nobody goes on with: its terminal event records that."""
        ended = await self._recovery.left.end(run, reason=reason, by=by)
        return ended, ended.state.seq

    async def retry(
        self,
        run_id: str,
        *,
        new_run_id: str | None = None,
        from_task: str | None = None,
        by: str | None = None,
        traceparent: str | TraceContext | None = None,
    ) -> Run:
        trace = self._trace_of(traceparent)
        graph, beginning, reused = await prepare_retry(self._registry, self._runs, run_id, from_task)
        new_id = make_run_id() if new_run_id is None else check_new_run_id(new_run_id)
        check_by(by)
        await self._runs.check_new(new_id)
        old = await self.get(run_id)
        if self._runs.is_left(old):  # nobody goes on with it any more
            await self._recovery.left.end(old, reason="retried", by=by)
        elif not old.state.has_ended:
            raise RunOpen(f"run {run_id} goes on again; only a run that has ended is retried", run_id=run_id)
        return await self._begin(graph, new_id, beginning._replace(by=by, trace=trace), reused=reused)

    def wait_for(self, run_id: str) -> asyncio.Future[Run]:
        self._keep(self)
        return self._runs.wait_for(run_id)

    async def get(self, run_id: str) -> Run:
        return await self._runs.get(run_id)

    async def record(self, run_id: str) -> RunRecord:
        return await self._stores.index.record(run_id)

    async def list(
        self,
        *,
        status: RunStatus | None = None,
        workflow: str | None = None,
        parent: str | None = None,
        root: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        meta: Mapping[str, str] | None = None,
        question: bool | None = None,
        open: bool | None = None,
        before: str | None = None,
        limit: int = 100,
    ) -> list[RunRecord]:
        check_listing(status, limit, since=since, until=until, meta=meta)
        return await self._stores.index.records(
            status=status, workflow=workflow, parent=parent, root=root, since=since, until=until, meta=meta,
            question=question, open=open, before=before, limit=limit,
        )  # fmt: skip

    async def delete(self, run_id: str) -> None:
        self._open_host()
        await delete_run(self._runs, run_id)

    @property
    def not_recovered(self) -> Mapping[str, str]:
        return self._recovery.left.reasons

    @property
    def log_problem(self) -> LogUnavailable | None:
        return self._stores.health.problem or self._stores.probing.problem

    @property
    def open_runs(self) -> int:
        return len(self._runs.open)

    @property
    def live(self) -> Observable[Event]:
        return live_of_all(self._runs.windows, self._runs.others.listen)

    # --- for the engine ---

    @property
    def is_idle(self) -> bool:
        """Whether nothing would be missed if this object were made anew."""
        return self._runs.is_idle and self._recovery.is_idle

    @property
    def runs(self) -> OpenRuns:
        return self._runs

    @property
    def recovery(self) -> Recovery:
        return self._recovery

    def __repr__(self) -> str:
        return f"<Tenant {self.name!r}, {self.open_runs} open runs>"
