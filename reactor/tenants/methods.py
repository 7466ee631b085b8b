"""The methods of ``Engine`` that are about runs. Each takes a tenant, and asks what that tenant has.

``engine.tenant("acme")`` has the same methods without it, for code that is to see one tenant and no other.
"""

from __future__ import annotations

import warnings
from collections.abc import Coroutine, Iterable, Mapping
from typing import Any, TypeAlias

from reactivex import Observable

from reactor import bounds
from reactor.definition.names import names_options
from reactor.definition.policy import Budget
from reactor.definition.task import Task
from reactor.definition.workflow import Workflow
from reactor.errors import LogUnavailable
from reactor.events.event import Event
from reactor.listeners import RunInfo
from reactor.ports.stores import Idempotency
from reactor.runs.all_events import AllEvents
from reactor.runs.positions import START, TreeCursor
from reactor.runs.run import Run
from reactor.runs.session import Session
from reactor.runs.tree_events import TreeEvents
from reactor.tenants.figures import Figures
from reactor.tenants.finding import FindingMethods
from reactor.tenants.tenant import Tenant
from reactor.trace_context import TraceContext

Input: TypeAlias = Mapping[str, Any] | None
Meta: TypeAlias = Mapping[str, Any] | None
Allowed: TypeAlias = Budget | Mapping[str, Any] | None
"""A budget, or its members."""
Traceparent: TypeAlias = str | TraceContext | None


class EngineMethods(FindingMethods):
    """What an engine does with runs. ``tenant``: whose runs; ``""`` is the tenant of all who name none."""

    def tenant(self, name: str) -> Tenant:
        """The runs of one tenant, with the methods of the engine. Raises ValueError for what cannot be a tenant."""
        return self._tenants.of(name)

    # --- starting ---

    @names_options("engine.start")
    def start(
        self,
        workflow: Workflow | str,
        input: Input = None,
        *,
        run_id: str | None = None,
        meta: Meta = None,
        budget: Allowed = None,
        by: str | None = None,
        traceparent: Traceparent = None,
        tenant: str = "",
    ) -> Coroutine[Any, Any, Run]:
        """Starts a run; returns once its ``run.started`` is in the log. ``by``: who starts it, for the log.

        ``traceparent``: the trace it belongs to, as the W3C header says it; one that is not valid is as none. Where the
        engine makes spans and none is given, it belongs to the current span.

        A workflow that is given, and not registered, is known only as long as its runs are open, whatever its name.
        Raises WorkflowError, InputError, RunExists, UnknownWorkflow, EngineClosed, or ValueError for a ``run_id``,
        ``meta``, ``budget`` or ``tenant`` that is not valid. After an error nothing has been started.
        """
        of = self._tenants.of(tenant)
        return of.start(
            workflow, input, run_id=run_id, meta=meta, budget=budget, by=by, traceparent=traceparent
        )  # fmt: skip

    @names_options("engine.ensure")
    def ensure(
        self,
        workflow: Workflow | str,
        input: Input = None,
        *,
        run_id: str,
        meta: Meta = None,
        budget: Allowed = None,
        by: str | None = None,
        traceparent: Traceparent = None,
        tenant: str = "",
    ) -> Coroutine[Any, Any, tuple[Run, bool]]:
        """Starts a run with this id, or returns the one that was started before: (run, whether it is new).

        Raises RunExists where the existing run was started with anything else, and what ``start`` raises.
        """
        of = self._tenants.of(tenant)
        return of.ensure(
            workflow, input, run_id=run_id, meta=meta, budget=budget, by=by, traceparent=traceparent
        )  # fmt: skip

    def retry(
        self,
        run_id: str,
        *,
        new_run_id: str | None = None,
        from_task: str | None = None,
        by: str | None = None,
        traceparent: Traceparent = None,
        tenant: str = "",
    ) -> Coroutine[Any, Any, Run]:
        """Starts a new run with the input of one that has ended, and reuses the outputs of its completed tasks.

        ``from_task``: this task, and what depends on it, runs again though it has completed; UnknownTask for no task.
        Where its graph is not known any more, it has the last one of its workflow, and reuses what is the same in both.
        A run that is left (``not_recovered``) is cancelled first. Raises UnknownRun; RunOpen where that run has not
        ended; WorkflowChanged where its workflow is not registered or its input does not fit; what ``start`` raises.
        """
        of = self._tenants.of(tenant)
        return of.retry(run_id, new_run_id=new_run_id, from_task=from_task, by=by, traceparent=traceparent)

    @names_options("engine.session")
    def session(
        self,
        run_id: str,
        *,
        meta: Meta = None,
        budget: Allowed = None,
        idle: float | None = None,
        by: str | None = None,
        traceparent: Traceparent = None,
        tenant: str = "",
    ) -> Coroutine[Any, Any, Session]:
        """A run without tasks, whose events come from outside; the same call again gives the same session.

        ``idle``: it is closed as failed when nothing was said in it for so many seconds. Returns once its
        ``run.started`` is in the log. Raises RunExists where there is a run of this id that was started in another way;
        EngineClosed; ValueError for an id, meta, a budget or an ``idle`` that is not valid, and for a budget that
        pauses, since a session cannot be paused.
        """
        of = self._tenants.of(tenant)
        return of.session(run_id, meta=meta, budget=budget, idle=idle, by=by, traceparent=traceparent)

    @names_options("engine.ensure_session")
    def ensure_session(
        self,
        run_id: str,
        *,
        meta: Meta = None,
        budget: Allowed = None,
        idle: float | None = None,
        by: str | None = None,
        traceparent: Traceparent = None,
        tenant: str = "",
    ) -> Coroutine[Any, Any, tuple[Session, bool]]:
        """The same, and whether the session is new."""
        of = self._tenants.of(tenant)
        return of.ensure_session(run_id, meta=meta, budget=budget, idle=idle, by=by, traceparent=traceparent)

    # --- ending ---

    def cancel(
        self,
        run_id: str,
        grace: float = bounds.CANCEL_GRACE_SECONDS,
        *,
        task: str | Task[..., Any] | None = None,
        reason: str = "requested",
        by: str | None = None,
        tenant: str = "",
    ) -> Coroutine[Any, Any, Run]:
        """Asks a run, or one ``task`` of it, to end; returns once the request is in the log.

        A run that was not recovered ends at once. Raises UnknownRun, RunEnded, and for the task UnknownTask, TaskEnded.
        """
        return self._tenants.of(tenant).cancel(run_id, grace, task=task, reason=reason, by=by)

    def delete(self, run_id: str, *, tenant: str = "") -> Coroutine[Any, Any, None]:
        """Removes an ended run and all that is stored of it. Raises UnknownRun; RunOpen while it may be needed."""
        return self._tenants.of(tenant).delete(run_id)

    # --- following ---

    @property
    def live(self) -> Observable[Event]:
        """The hot Observable of the events of all runs of the default tenant, as they are committed, from now on."""
        return self._tenants.default.live

    @property
    def events(self) -> Observable[Event]:
        """The old name of ``live``. Gone in 0.3."""
        warnings.warn("engine.events is engine.live now", DeprecationWarning, stacklevel=2)
        return self.live

    @property
    def has_tree_events(self) -> bool:
        """Whether the log keeps the order of the commits of all runs (``CommitOrder``), so that there are any."""
        return self._tenants.default.has_tree_events

    @property
    def has_all_events(self) -> bool:
        """Whether the log can read the windows of all runs (``WholeOrder``)."""
        return self._tenants.default.has_all_events

    def all_events(
        self,
        after: TreeCursor | str | int = START,
        *,
        workflow: str | None = None,
        parent: str | None = None,
        meta: Mapping[str, str] | None = None,
        runs: Iterable[str] | None = None,
        tenant: str = "",
    ) -> AllEvents:
        """The events of all runs in the order in which they were committed, from a cursor on.

        Only of runs of this ``workflow``, only the child runs of ``parent``, only those with these members of ``meta``.
        Only of ``runs``, 1 to 100 ids: what that costs depends on these runs. They need not have started.

        Raises TypeError and ValueError for a bad ``after`` or bad ``runs``; LogUnavailable for a log that does not keep
        that order.
        """
        return self._tenants.of(tenant).all_events(after, workflow=workflow, parent=parent, meta=meta, runs=runs)

    def tree_events(
        self, run_id: str, after: TreeCursor | str | int = START, *, tenant: str = ""
    ) -> Coroutine[Any, Any, TreeEvents]:
        """The events of a run and of all runs below it, in the order in which they were committed; then live.

        ``async for event in await engine.tree_events(run_id)``; ``after``: the ``cursor`` of the last one seen,
        or its text ``str(cursor)``, which can be stored and is the id of a frame of ``?children=1``.

        Raises TypeError and ValueError for anything else as ``after``; UnknownRun; LogUnavailable for a log that does
        not keep that order.
        """
        return self._tenants.of(tenant).tree_events(run_id, after)

    # --- how it is doing ---

    @property
    def open_runs(self) -> int:
        """How many runs of all tenants are open."""
        return sum(tenant.open_runs for tenant in self._tenants)

    @property
    def not_recovered(self) -> Mapping[str, str]:
        """Run id -> why: open runs in the log that this engine does not go on with; those of the default tenant."""
        return self._tenants.default.not_recovered

    @property
    def log_problem(self) -> LogUnavailable | None:
        """Why the log cannot be used, or has lost a run; None once it takes windows again.

        With a ``reason`` the log says so of itself, because its file was moved, say: then no run is started.
        """
        return self._tenants.default.log_problem

    @property
    def figures(self) -> Figures:
        """What goes on now in numbers, of all tenants: for metrics."""
        return self._tenants.figures()

    def count_questions(self, runs: Iterable[RunInfo]) -> dict[RunInfo, int]:
        """Of those of these runs that are open here, how many questions nobody has answered yet."""
        return self._tenants.count_questions(runs)

    @property
    def answers(self) -> Idempotency:
        """What requests with a key were answered, of the default tenant."""
        return self._tenants.default.answers

    @property
    def digest_key(self) -> bytes:
        """Of the log, for digests of what must not stand in it."""
        return self._tenants.default.digest_key
