"""The events about child runs, in the log of the run that started them.

Before these types were reserved, a body could emit ``child.x`` events of its own. Only events with ``engine`` are the
engine's, and only those are folded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from reactor.events.vocabulary.run import ErrorData
from reactor.events.vocabulary.tables import event


@event("child.started")
class ChildStarted(TypedDict):
    """A task starts a child run. It is in the log before the child's first event is. Since 0.2."""

    engine: Literal[True]
    """The event is the engine's; bodies of earlier versions could emit this type."""
    child_run: str
    """The id of the child run, which has a stream of its own."""
    workflow: str
    key: str
    """The ``key=`` that the body gave, or which child run of the task it is, from 1."""


@event("child.ended")
class ChildEnded(TypedDict):
    """A child run has ended. A body that runs again is given this, also if the child run is gone. Since 0.2."""

    engine: Literal[True]
    child_run: str
    status: Literal["completed", "failed", "cancelled"]
    outputs: NotRequired[dict[str, Any]]
    """Of a child that completed, up to 32 KiB together."""
    outputs_ref: NotRequired[str]
    """In place of larger outputs: ``GET /runs/{id}`` of the child has them."""
    size: NotRequired[int]
    """The size of larger outputs, in bytes."""
    typed_outputs: NotRequired[dict[str, Any] | None]
    """As in the child's ``run.completed``. If it is null, the child run is kept until its parent has ended."""
    error: NotRequired[ErrorData]
    """Of a child that failed."""
    errors: NotRequired[dict[str, ErrorData]]
    """The errors of all its tasks that failed, by task id, if that is more than ``error`` says."""
    errors_ref: NotRequired[str]
    """In place of errors above 16 KiB: ``GET /runs/{id}`` of the child has them."""
    reason: NotRequired[str | None]
    """Why a child was cancelled, or stopped by a limit."""
    last_seq: int
    """The seq of its last event; 0 if it never began."""
    cost: float
    """What the child has spent, with its own child runs."""
    tokens: int


def is_of_engine(data: Mapping[str, Any]) -> bool:
    """Whether the ``data`` of a ``child.started`` or ``child.ended`` is the engine's, and not a body's own of old."""
    return data.get("engine") is True
