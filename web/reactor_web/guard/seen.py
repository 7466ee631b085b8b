"""``Seen``: an engine as one principal sees it. Handlers have nothing else, so what it hides they cannot show."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Final, TypeVar, Unpack

from aiohttp import web

from reactor.bounds import AWAITED_RUNS, CANCEL_GRACE_SECONDS
from reactor.definition.policy import Budget
from reactor.definition.task import Task
from reactor.definition.workflow import Workflow
from reactor.errors import TooManyWaiting, UnknownRun
from reactor.ports.index import RunFilter
from reactor.ports.stores import Idempotency
from reactor.runs.all_events import AllEvents
from reactor.runs.asked import QuestionPage
from reactor.runs.durations import WorkflowDurations
from reactor.runs.positions import START, TreeCursor
from reactor.runs.run import Run
from reactor.runs.session import Session
from reactor.runs.tree import TreeRun, no_child
from reactor.runs.tree_events import TreeEvents
from reactor.trace_context import TraceContext
from reactor_web.guard.caps import Limited, Take
from reactor_web.guard.cursors import MARK, unseal
from reactor_web.guard.looking import RunPage, read_page, read_questions, workflow_of
from reactor_web.guard.visible import Visible
from reactor_web.http.problems import Problem

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Seen(Visible):
    """The runs of the principal's tenant, without those that are not among its patterns. The methods are those of
    ``Engine``.

    A run id outside of the patterns is Problem 403, whether there is such a run or not. A run of a workflow outside of
    them is as if it were not there.
    """

    by: str | None
    """Who is written to the log as the author of what is done."""
    starting: Callable[[], AbstractAsyncContextManager[None]]
    """``async with starting():`` a run is started. Raises Limited where no more runs may be started now."""
    allow_emit: Callable[[int], Awaitable[None]]
    """Raises Problem where so many more events may not be said now."""
    trace: TraceContext | None
    """The trace that the request belongs to, and so what it starts."""

    # --- starting ---

    async def start(
        self,
        workflow: Workflow | str,
        input: Mapping[str, Any] | None = None,
        *,
        run_id: str | None = None,
        meta: Mapping[str, Any] | None = None,
        budget: Budget | Mapping[str, Any] | None = None,
    ) -> Run:
        self.check_new(run_id, workflow)
        async with self.starting():
            return await self.tenant.start(
                workflow, input, run_id=run_id, meta=meta, budget=budget, by=self.by, traceparent=self.trace
            )  # fmt: skip

    async def ensure(
        self,
        workflow: Workflow | str,
        input: Mapping[str, Any] | None = None,
        *,
        run_id: str,
        meta: Mapping[str, Any] | None = None,
        budget: Budget | Mapping[str, Any] | None = None,
    ) -> tuple[Run, bool]:
        self.check_new(run_id, workflow)

        async def ensure() -> tuple[Run, bool]:
            return await self.tenant.ensure(
                workflow, input, run_id=run_id, meta=meta, budget=budget, by=self.by, traceparent=self.trace
            )  # fmt: skip

        run, is_new = await self._new_or_found(run_id, ensure)
        return self.check_shown(run), is_new

    async def ensure_session(
        self,
        run_id: str,
        *,
        meta: Mapping[str, Any] | None = None,
        budget: Budget | Mapping[str, Any] | None = None,
        idle: float | None = None,
    ) -> tuple[Session, bool]:
        self.check_workflow("session")
        self.check_new(run_id)

        async def ensure() -> tuple[Session, bool]:
            return await self.tenant.ensure_session(
                run_id, meta=meta, budget=budget, idle=idle, by=self.by, traceparent=self.trace
            )  # fmt: skip

        return await self._new_or_found(run_id, ensure)

    async def _new_or_found(self, run_id: str, ensure: Callable[[], Awaitable[T]]) -> T:
        """What ``ensure`` returns. A run that is there already is found also where no more may be started."""
        try:
            async with self.starting():
                return await ensure()
        except Limited:
            try:
                await self.tenant.get(run_id)
            except UnknownRun:
                pass
            else:
                return await ensure()
            raise

    async def retry(self, run_id: str, *, new_run_id: str | None = None, from_task: str | None = None) -> Run:
        await self.get(run_id)
        self.check_new(new_run_id)
        async with self.starting():
            return await self.tenant.retry(
                run_id, new_run_id=new_run_id, from_task=from_task, by=self.by, traceparent=self.trace
            )

    # --- finding ---

    async def get(self, run_id: str) -> Run:
        self.check_run(run_id)
        if self.principal.workflows is not None:
            await self._look_up(run_id)
        return self.check_shown(await self.tenant.get(run_id))

    async def _look_up(self, run_id: str) -> None:
        """Raises UnknownRun for a run of a hidden workflow, after the one read that an unknown id takes, too."""
        if not self.principal.sees_workflow((await self.tenant.record(run_id)).workflow):
            raise UnknownRun.of(run_id)

    def wait_for(self, run_id: str) -> asyncio.Future[Run]:
        """Done when a run of this id starts that is seen. Cancel it to stop waiting."""
        try:
            awaited = self.tenant.wait_for(self.check_run(run_id))
        except TooManyWaiting:  # the engine has a bound of its own
            raise Limited(Take("too-many-waiting", "", AWAITED_RUNS, retry_seconds=5)) from None
        if self.principal.workflows is None:
            return awaited
        seen = asyncio.ensure_future(self._wait(run_id, awaited))
        seen.add_done_callback(lambda done: done.cancelled() or done.exception())  # who waits may have gone
        return seen

    async def _wait(self, run_id: str, awaited: asyncio.Future[Run]) -> Run:
        try:
            while not self.principal.sees_workflow(await workflow_of(run := await awaited)):
                awaited = self.tenant.wait_for(run_id)  # as if that one had not started
            return run
        finally:
            awaited.cancel()

    async def page(
        self,
        *,
        before: str | None = None,
        limit: int = 100,
        only_left: bool = False,
        **wanted: Unpack[RunFilter],
    ) -> RunPage:
        """Runs that are seen, newest first. ``before``: of the page before. ``only_left``: those that nobody here goes
        on with."""
        before, left = await self._place(before), self.not_recovered
        if only_left and not left:
            return RunPage([], None)

        def sees(run_id: str, workflow: str) -> bool:
            return self._sees(run_id, workflow) and (not only_left or run_id in left)

        asked: RunFilter = {**wanted, "open": True} if only_left else wanted
        return await read_page(self.tenant, sees, before, limit, asked)

    async def _place(self, cursor: str | None) -> str | None:
        """The run at which a page begins. Raises Problem 403 and UnknownRun for one that is not seen."""
        if cursor is None:
            return None
        if cursor.startswith(MARK):
            return unseal(cursor, self.digest_key, self.tenant.name)
        self.check_run(cursor)
        if self.principal.workflows is not None:
            await self._look_up(cursor)
        return cursor

    async def newest_position(self) -> int:
        """The position of the newest run of the tenant, or 0."""
        newest = await self.tenant.list(limit=1)
        return newest[0].position if newest else 0

    def _sees(self, run_id: str, workflow: str) -> bool:
        return self.principal.sees_run(run_id) and self.principal.sees_workflow(workflow)

    async def questions(
        self, *, workflow: str | None = None, meta: Mapping[str, str] | None = None, before: str | None = None,
        limit: int = 100,
    ) -> QuestionPage:  # fmt: skip
        sees = self._sees if self.principal.is_narrowed else None
        return await read_questions(self.tenant, sees, before, limit, workflow=workflow, meta=meta)

    async def durations(self, workflow: str, *, runs: int = 50) -> WorkflowDurations:
        self.check_workflow(workflow)
        return await self.tenant.durations(
            workflow, runs=runs, admits=self._sees if self.principal.is_narrowed else None
        )

    def running(self) -> list[Run]:
        return [run for run in self.tenant.running() if self._sees(run.id, run.state.workflow or "")]

    async def tree(self, run_id: str) -> list[TreeRun]:
        await self.get(run_id)
        return [below for below in await self.tenant.tree(run_id) if self._sees(below.run_id, below.workflow)]

    async def descendant(self, run_id: str, descendant_id: str) -> Run:
        self.check_run(descendant_id)
        await self.get(run_id)
        run = await self.tenant.descendant(run_id, descendant_id)
        if not self.principal.sees_workflow(run.state.workflow or ""):
            raise no_child(run_id, descendant_id)
        return run

    # --- ending ---

    async def request_cancel(
        self,
        run_id: str,
        grace: float = CANCEL_GRACE_SECONDS,
        *,
        task: str | Task[..., Any] | None = None,
        reason: str = "requested",
    ) -> tuple[Run, int | None]:
        await self.get(run_id)
        return await self.tenant.request_cancel(run_id, grace, task=task, reason=reason, by=self.by)

    async def delete(self, run_id: str) -> None:
        await self.get(run_id)
        await self.tenant.delete(run_id)

    # --- following ---

    @property
    def has_tree_events(self) -> bool:
        return self.tenant.has_tree_events

    @property
    def has_all_events(self) -> bool:
        return self.tenant.has_all_events

    def all_events(
        self,
        after: TreeCursor | str | int = START,
        *,
        workflow: str | None = None,
        parent: str | None = None,
        meta: Mapping[str, str] | None = None,
        runs: Iterable[str] | None = None,
    ) -> AllEvents:
        given = None if runs is None else tuple(runs)
        for run_id in given or ():
            self.check_run(run_id)
        if workflow is not None:
            self.check_workflow(workflow)
        return self.tenant.all_events(
            after,
            workflow=workflow,
            parent=parent,
            meta=meta,
            runs=given,
            admits=self._sees if self.principal.is_narrowed else None,
        )

    async def tree_events(self, run_id: str, after: TreeCursor | str | int = START) -> TreeEvents:
        await self.get(run_id)
        self.check_tree()
        return await self.tenant.tree_events(run_id, after)

    def check_tree(self) -> None:
        """Raises Problem 403 for who may not see all runs below a run."""
        if self.principal.is_narrowed:
            raise Problem(
                403, "this credential is for some runs only, and children=1 shows all below a run", code="forbidden-run"
            )

    # --- the rest ---

    @property
    def not_recovered(self) -> Mapping[str, str]:
        return self.tenant.not_recovered

    @property
    def answers(self) -> Idempotency:
        return self.tenant.answers

    @property
    def digest_key(self) -> bytes:
        return self.tenant.digest_key


SEEN: Final[Any] = web.RequestKey("reactor_seen", Seen) if hasattr(web, "RequestKey") else "reactor_seen"
"""The member of a request that has what its principal sees."""


def engine_of(request: web.Request) -> Seen:
    """The engine, as who asks sees it."""
    seen: Seen = request[SEEN]
    return seen
