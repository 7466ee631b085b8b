"""With what a run begins, as ``run.started`` records it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from reactor.definition.policy import Budget

if TYPE_CHECKING:
    from reactor.runs.execution import Execution


class Parent(NamedTuple):
    """Who asked for a child run."""

    execution: Execution
    task_id: str

    @property
    def data(self) -> dict[str, str]:
        """As it stands in ``run.started``."""
        return {"run_id": self.execution.run_id, "task_id": self.task_id}


class Beginning(NamedTuple):
    """With what a run begins, as ``run.started`` records it."""

    inputs: dict[str, Any]
    meta: Mapping[str, Any]
    budget: Budget | None = None
    parent: Parent | None = None
    retry_of: str | None = None

    @property
    def origin(self) -> dict[str, Any]:
        origin: dict[str, Any] = {}
        if self.budget is not None:
            origin["budget"] = self.budget.to_dict()
        if self.parent is not None:
            origin["parent"] = self.parent.data
        if self.retry_of is not None:
            origin["retry_of"] = self.retry_of
        return origin
