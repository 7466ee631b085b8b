"""How a run is seen by its parent and by its child runs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable

import orjson

from reactor.events.event import Draft
from reactor.ports.tracing import RunTrace
from reactor.runs.beginning import Beginning
from reactor.runs.child_records import ChildEnd, ChildRecords, end_of
from reactor.runs.children import Children
from reactor.runs.control import Control
from reactor.runs.crew import Crew
from reactor.runs.journal import Journal
from reactor.runs.parent import ChildRun, Parent
from reactor.runs.spending import Spending
from reactor.stream.feed import Closed, Feed
from reactor.supervision.ending import Ending
from reactor.supervision.ledger import Ledger, Spent, spent_in
from reactor.trace_context import TraceContext


class Kin(ABC):
    """What ``execution.Execution`` is as a ``ParentRun`` and as a ``ChildRun``; its parts are made there."""

    run_id: str
    beginning: Beginning
    feed: Feed
    journal: Journal
    crew: Crew
    children: Children
    control: Control
    child_records: ChildRecords
    spending: Spending
    ledger: Ledger
    trace: RunTrace | None
    _terminal: Draft | None
    _is_waiting_for_children: bool
    """All tasks have ended, and child runs are still open."""

    @abstractmethod
    def _seal(self) -> None:
        """All tasks have ended: writes the terminal event, unless child runs are still open."""

    # --- as its child runs see it (``ParentRun``) ---

    @property
    def grace(self) -> float:
        return self.control.grace

    @property
    def is_paused(self) -> bool:
        return self.control.is_paused

    @property
    def is_closed(self) -> bool:
        return self.journal.is_closed

    def resumed(self) -> Awaitable[None]:
        return self.control.resumed()

    def committed(self) -> Awaitable[None]:
        return self.journal.committed()

    @property
    def parent(self) -> Parent | None:
        return self.beginning.parent

    @property
    def parent_id(self) -> str | None:
        return None if self.parent is None else self.parent.run.run_id

    def has_ended_for(self, task_id: str) -> bool:
        is_over = self.is_closed or self.is_sealed or self.ending is not None
        return is_over or self.crew.actor(task_id).has_ended

    def trace_of(self, task_id: str) -> TraceContext | None:
        return self.beginning.trace if self.trace is None else self.trace.of(task_id)

    def add_child(self, child: ChildRun, task_id: str) -> None:
        self.children.add(child, task_id)

    def remove_child(self, child: ChildRun, task_id: str) -> None:
        """A child run has ended: counts what it has spent that is not in this run's log."""
        self.children.remove(child, task_id)
        if not self.is_closed:
            self.spending.settle(task_id, child.run_id, child.spent, is_counted=True)
            if (end := child.end) is not None:
                self.child_records.end(task_id, child.run_id, end)
            if self._is_waiting_for_children and not self.children.open:
                self._seal()

    def children_ended(self) -> None:
        if not self.is_closed:
            self._seal()

    # --- as its parent sees it (``ChildRun``) ---

    @property
    def ending(self) -> Ending | None:
        return self.control.ending

    @property
    def pause_reason(self) -> str | None:
        return self.control.pause_reason

    @property
    def is_sealed(self) -> bool:
        return self.journal.is_sealed

    @property
    def spent(self) -> Spent:
        spent = spent_in(self.feed.state)
        # a body that started and was stopped at once has no event
        return spent._replace(tasks=self.ledger.tasks) if self.feed.closed == Closed.END else spent

    @property
    def end(self) -> ChildEnd | None:
        terminal = self._terminal
        if self.feed.closed != Closed.END or terminal is None:
            return None
        return end_of(self.feed.state, orjson.loads(terminal.data), terminal.blob)

    def pause(self, reason: str, *, by: str | None) -> None:
        self.control.pause(reason, by=by)

    def resume(self, reason: str, *, by: str | None) -> None:
        self.control.resume(reason, by=by)

    def cancel(self, reason: str, *, by: str | None, grace: float) -> None:
        self.control.cancel(reason, by=by, grace=grace)

    def next_commit(self) -> Awaitable[None]:
        return self.journal.commits.next()
