"""The runs below a run: its child runs, theirs, and so on, as their own logs have them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

from reactor import bounds
from reactor.errors import RunNotHere, UnknownRun
from reactor.events.questions import open_questions
from reactor.events.state import RUN_ENDED
from reactor.ports.log import RunRecord
from reactor.runs.all_events import AllEvents, Selection, check_runs
from reactor.runs.open_runs import OpenRuns
from reactor.runs.positions import START, TreeCursor
from reactor.runs.run import Run
from reactor.runs.tree_events import TreeEvents

_OPEN: Final = ("pending", "running", "paused", "cancelling")


class TreeRun(NamedTuple):
    """A run below another one."""

    run_id: str
    parent: str | None
    """The run that started it."""
    task_id: str | None
    """The task that started it; None where the log no longer says so."""
    workflow: str
    status: str
    questions: list[dict[str, Any]]
    """What its tasks wait to receive: ``{task_id, key, prompt, schema}``."""

    def to_dict(self) -> dict[str, Any]:
        return self._asdict()


def no_child(run_id: str, descendant_id: str) -> UnknownRun:
    """What is told of a run that is not below another one."""
    return UnknownRun(f"run {run_id!r} has no child run {descendant_id[:100]!r}", run_id=descendant_id)


class Trees:
    """The trees of runs of one engine."""

    def __init__(self, runs: OpenRuns) -> None:
        self._runs = runs

    async def below(self, run_id: str) -> list[TreeRun]:
        """The runs below a run, parents first. Raises UnknownRun."""
        top = await self._runs.index.record(run_id)
        found = await self._records(top.root)
        if top.root != run_id:
            found = {id: record for id, record in found.items() if _is_below(record, run_id, found)}
        found.pop(run_id, None)
        chosen = sorted(found.values(), key=lambda record: record.status in RUN_ENDED)[: bounds.TREE_RUNS]
        chosen.reverse()  # the sort below keeps the order of those that started at the same time
        runs = [await self._describe(record) for record in sorted(chosen, key=lambda record: record.created)]
        return [run for run in runs if run is not None]

    async def _records(self, root: str) -> dict[str, RunRecord]:
        """The runs of a tree by id, newest first: the last that started, and the open ones."""
        found: dict[str, RunRecord] = {}
        for status in (None, *_OPEN):
            page = await self._runs.index.records(
                status=status, workflow=None, before=None, limit=bounds.TREE_RUNS + 1, root=root
            )
            found |= {record.run_id: record for record in page}
            if status is None and len(page) <= bounds.TREE_RUNS:
                break  # these are all runs of the tree
        return found

    async def _describe(self, record: RunRecord) -> TreeRun | None:
        run_id = record.run_id
        if record.status in RUN_ENDED:
            task_id = await self._task_of(run_id)
            return TreeRun(run_id, record.parent, task_id, record.workflow, record.status, [])
        try:
            state = (await self._runs.get(run_id)).state
        except UnknownRun:  # it has ended and was deleted meanwhile
            return None
        task_id = (state.parent or {}).get("task_id")
        return TreeRun(run_id, record.parent, task_id, record.workflow, state.status, open_questions(state))

    async def _task_of(self, run_id: str) -> str | None:
        """The task that started a run, from the first event of it."""
        try:
            first = await self._runs.log.read(run_id, 0, 1)
        except UnknownRun:
            return None
        parent = first[0].data.get("parent") if first and first[0].type == "run.started" else None
        return None if parent is None else parent["task_id"]

    async def is_below(self, run_id: str, top: str) -> bool:
        """Whether a run is below another one, or the same. False where a run in between is gone."""
        at: str | None = run_id
        while at is not None and at != top:
            try:
                at = (await self._runs.index.record(at)).parent
            except UnknownRun:
                return False
        return at == top

    async def descendant(self, run_id: str, descendant_id: str) -> Run:
        """A run below a run, or that run itself. Raises UnknownRun, and RunNotHere for one that nobody goes on with."""
        if descendant_id == run_id:
            return await self._runs.get(run_id)
        await self._runs.index.record(run_id)
        if not await self.is_below(descendant_id, run_id):
            raise no_child(run_id, descendant_id)
        starting = self._runs.wait_for(descendant_id)
        try:
            run = await self._runs.get(descendant_id)
            if not self._runs.is_left(run):
                return run
            async with asyncio.timeout(bounds.CHILD_WAIT_SECONDS):
                return await starting
        except TimeoutError:
            raise RunNotHere(
                f"run {descendant_id} goes on when its parent asks for it again, and that has not happened yet; "
                "resume the parent if it is paused, then send the answer again",
                run_id=descendant_id,
            ) from None
        finally:
            starting.cancel()


class TreeQueries:
    """What an engine says of its open runs, and of the trees that runs make."""

    _runs: OpenRuns

    def running(self) -> list[Run]:
        """The open runs of this engine, in the order in which they began here."""
        return list(self._runs.open.values())

    async def tree(self, run_id: str) -> list[TreeRun]:
        """The child runs of a run and all runs below them, parents first, each with its open questions.

        At most ``bounds.TREE_RUNS``, open ones before others. Raises UnknownRun.
        """
        return await Trees(self._runs).below(run_id)

    async def descendant(self, run_id: str, descendant_id: str) -> Run:
        """A run that this run, or a run below it, has started; or the run itself. To send it an answer, say.

        A child run that waits, after a restart, until its parent asks for it is awaited for a few seconds. Raises
        UnknownRun where it is not below this run, RunNotHere where its parent does not ask for it.
        """
        return await Trees(self._runs).descendant(run_id, descendant_id)

    @property
    def has_tree_events(self) -> bool:
        """Whether the log keeps the order of the commits of all runs (``CommitOrder``), so that there are any."""
        return self._runs.order is not None

    @property
    def has_all_events(self) -> bool:
        """Whether the log can read the windows of all runs (``WholeOrder``)."""
        return self._runs.whole is not None

    def all_events(
        self,
        after: TreeCursor | str | int = START,
        *,
        workflow: str | None = None,
        parent: str | None = None,
        meta: Mapping[str, str] | None = None,
        runs: Iterable[str] | None = None,
        admits: Callable[[str, str], bool] | None = None,
    ) -> AllEvents:
        """The events of all runs in the order in which they were committed, from a cursor on.

        Only of runs of this ``workflow``, only the child runs of ``parent``, only those with these members of ``meta``.
        Only of ``runs``, 1 to 100 ids: what that costs depends on these runs. They need not have started.

        ``admits``: whether a run may be seen, by its id and the name of its workflow; it comes on top of the others.

        Raises TypeError and ValueError for a bad ``after`` or bad ``runs``; LogUnavailable for a log that does not keep
        that order.
        """
        ids = None if runs is None else check_runs(runs)
        return AllEvents(self._runs, TreeCursor.of(after), Selection(workflow, parent, meta or {}, ids, admits))

    async def tree_events(self, run_id: str, after: TreeCursor | str | int = START) -> TreeEvents:
        """The events of a run and of all runs below it, in the order in which they were committed; then live.

        ``async for event in await engine.tree_events(run_id)``; ``after``: the ``cursor`` of the last one seen,
        or its text ``str(cursor)``, which can be stored and is the id of a frame of ``?children=1``.

        Raises TypeError and ValueError for anything else as ``after``; UnknownRun; LogUnavailable for a log that does
        not keep that order.
        """
        cursor = TreeCursor.of(after)
        top = await self._runs.get(run_id)
        return TreeEvents(self._runs, top, await self._runs.index.record(run_id), cursor)


def _is_below(record: RunRecord, top: str, found: dict[str, RunRecord]) -> bool:
    at: RunRecord | None = record
    while at is not None and at.parent is not None:
        if at.parent == top:
            return True
        at = found.get(at.parent)
    return False
