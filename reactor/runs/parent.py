"""How a run and its child runs see each other."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import NamedTuple, Protocol

from reactor.runs.child_records import ChildEnd, ChildRecords
from reactor.runs.spending import Spending
from reactor.supervision.ending import Ending
from reactor.supervision.ledger import Spent
from reactor.trace_context import TraceContext


class ParentRun(Protocol):
    """The open run that asks for a child run."""

    @property
    def run_id(self) -> str: ...
    @property
    def parent(self) -> Parent | None: ...
    @property
    def spending(self) -> Spending: ...
    @property
    def grace(self) -> float:
        """Seconds that bodies get to stop."""
        ...

    @property
    def is_paused(self) -> bool: ...
    @property
    def is_closed(self) -> bool:
        """Nothing of it is written here any more."""
        ...

    def resumed(self) -> Awaitable[None]: ...
    def committed(self) -> Awaitable[None]: ...
    def has_ended_for(self, task_id: str) -> bool:
        """Whether this task, or the whole run, is over: what it asks for now comes too late."""
        ...

    @property
    def child_records(self) -> ChildRecords:
        """What its log says of its child runs."""
        ...

    def trace_of(self, task_id: str) -> TraceContext | None:
        """The place in a trace of what the task's attempt starts."""
        ...

    def add_child(self, child: ChildRun, task_id: str) -> None: ...
    def remove_child(self, child: ChildRun, task_id: str) -> None: ...
    def children_ended(self) -> None:
        """The log has the end of each of its child runs."""
        ...


class Parent(NamedTuple):
    """The run and the task that asked for a child run."""

    run: ParentRun
    task_id: str

    @property
    def data(self) -> dict[str, str]:
        """As ``run.started`` shows it."""
        return {"run_id": self.run.run_id, "task_id": self.task_id}


class ChildRun(Protocol):
    """A child run that is open."""

    @property
    def run_id(self) -> str: ...
    @property
    def parent(self) -> Parent | None: ...
    @property
    def spent(self) -> Spent:
        """What its log says that it has spent."""
        ...

    @property
    def ending(self) -> Ending | None: ...
    @property
    def pause_reason(self) -> str | None: ...
    @property
    def is_sealed(self) -> bool: ...
    @property
    def is_closed(self) -> bool: ...
    @property
    def end(self) -> ChildEnd | None:
        """How it has ended, once its last event is in the log."""
        ...

    def pause(self, reason: str, *, by: str | None) -> None: ...
    def resume(self, reason: str, *, by: str | None) -> None: ...
    def cancel(self, reason: str, *, by: str | None, grace: float) -> None: ...
    def next_commit(self) -> Awaitable[None]: ...
