"""The methods of ``Engine`` that find runs, and what runs ask and take. Each takes a tenant."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from datetime import datetime
from typing import Any

from reactor.events.vocabulary import RunStatus
from reactor.ports.log import RunRecord
from reactor.runs.asked import QuestionPage
from reactor.runs.durations import WorkflowDurations
from reactor.runs.run import Run
from reactor.runs.tree import TreeRun
from reactor.tenants.tenants import Tenants


class FindingMethods:
    """What an engine finds. ``tenant``: whose runs; ``""`` is the tenant of all who name none."""

    _tenants: Tenants

    def get(self, run_id: str, *, tenant: str = "") -> Coroutine[Any, Any, Run]:
        """The run of this id, open or ended; raises UnknownRun."""
        return self._tenants.of(tenant).get(run_id)

    def wait_for(self, run_id: str, *, tenant: str = "") -> asyncio.Future[Run]:
        """A future that is done when a run with this id starts; cancel it to stop waiting. Raises TooManyWaiting."""
        return self._tenants.of(tenant).wait_for(run_id)

    def list(
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
        tenant: str = "",
    ) -> Coroutine[Any, Any, list[RunRecord]]:
        """Runs, newest first. ``before``: the id that the previous page ended with; raises UnknownRun.

        ``parent``: the child runs of this run. ``root``: this run and all runs below it. ``since``, ``until``: those
        that have started then or later, and before; with a time zone. ``meta``: those with these members of meta, each
        with its text, or with the JSON of a value that is no text. ``question=True``: those that wait for an answer.
        ``open=True``: those that have not ended.
        Raises ValueError for a ``status`` that no run has, a time without a zone, a ``meta`` that is no text.
        """
        return self._tenants.of(tenant).list(
            status=status, workflow=workflow, parent=parent, root=root, since=since, until=until, meta=meta,
            question=question, open=open, before=before, limit=limit,
        )  # fmt: skip

    def questions(
        self,
        *,
        workflow: str | None = None,
        meta: Mapping[str, str] | None = None,
        before: str | None = None,
        limit: int = 100,
        tenant: str = "",
    ) -> Coroutine[Any, Any, QuestionPage]:
        """What nobody has answered yet in all runs: the newest run first, and of a run what was asked last.

        ``workflow``, ``meta``: only of runs that ``list`` would give for them. ``before``: the ``cursor`` of the page
        before. Raises ValueError for one that is none and for a ``limit`` below 1, UnknownRun where its run is gone.
        """
        return self._tenants.of(tenant).questions(workflow=workflow, meta=meta, before=before, limit=limit)

    def durations(self, workflow: str, *, runs: int = 50, tenant: str = "") -> Coroutine[Any, Any, WorkflowDurations]:
        """How long the last ``runs`` completed runs of a workflow have taken, and each of their tasks, in seconds.

        Raises ValueError for ``runs`` that is not 1 to 200. What a run has taken is kept: it does not change.
        """
        return self._tenants.of(tenant).durations(workflow, runs=runs)

    def running(self, *, tenant: str = "") -> list[Run]:
        """The open runs, in the order in which they began here."""
        return self._tenants.of(tenant).running()

    def tree(self, run_id: str, *, tenant: str = "") -> Coroutine[Any, Any, list[TreeRun]]:
        """The child runs of a run and all runs below them, parents first, each with its open questions.

        At most ``bounds.TREE_RUNS``, open ones before others. Raises UnknownRun.
        """
        return self._tenants.of(tenant).tree(run_id)

    def descendant(self, run_id: str, descendant_id: str, *, tenant: str = "") -> Coroutine[Any, Any, Run]:
        """A run that this run, or a run below it, has started; or the run itself. To send it an answer, say.

        A child run that waits, after a restart, until its parent asks for it is awaited for a few seconds. Raises
        UnknownRun where it is not below this run, RunNotHere where its parent does not ask for it.
        """
        return self._tenants.of(tenant).descendant(run_id, descendant_id)
