"""What a run has spent, against its budget. Values in, values out: who writes the events is ``Control``."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final, NamedTuple

from reactor.definition.policy import Budget
from reactor.events.state import RunState
from reactor.events.values import json_number

WARN_AT: Final = Decimal("0.8")


class Crossing(NamedTuple):
    """A budget that is used to 80 percent, or exceeded: the event that tells of it."""

    type: str
    resource: str
    used: Decimal
    limit: Decimal

    @property
    def data(self) -> dict[str, Any]:
        percent = round(float(self.used / self.limit * 100), 1) if self.limit else 100.0
        return {
            "resource": self.resource,
            "used": json_number(self.used),
            "limit": json_number(self.limit),
            "percent": percent,
        }


class Ledger:
    """The sums of one run, its child runs included. Each resource warns once, and is exceeded once."""

    def __init__(self, budget: Budget | None) -> None:
        self.budget = budget
        self.cost = Decimal(0)
        self.tokens = 0
        self.tasks = 0
        self.spent_by: dict[str, tuple[Decimal, int]] = {}
        """Task id -> (cost, tokens), of the tasks that have spent something."""
        self.children: dict[str, dict[str, Any]] = {}
        """What of each child is in this run's log already: ``cost tokens tasks``."""
        self._told: set[tuple[str, str]] = set()

    @classmethod
    def restored(cls, budget: Budget | None, state: RunState) -> Ledger:
        """As it stood at a state; the starts of bodies come with the attempts of its tasks."""
        ledger = cls(budget)
        ledger.cost = state.cost or Decimal(0)
        ledger.tokens = state.tokens or 0
        ledger.spent_by = {
            task.id: (task.cost, task.tokens or 0) for task in state.tasks.values() if task.cost is not None
        }
        ledger.children = {child: dict(spent) for child, spent in (state.children or {}).items()}
        own = sum(task.attempt for task in state.tasks.values())
        ledger.tasks = own + sum(spent["tasks"] for spent in ledger.children.values())
        ledger._told = {("budget.warning", resource) for resource in state.warned or ()}
        ledger._told |= {("budget.exceeded", resource) for resource in state.exceeded or ()}
        return ledger

    def spend(self, cost: Decimal, tokens: int) -> None:
        self.cost += cost
        self.tokens += tokens

    def note_task(self, task_id: str, cost: Decimal, tokens: int) -> None:
        """Which task has spent it, itself or with a child run."""
        task_cost, task_tokens = self.spent_by.get(task_id, (Decimal(0), 0))
        self.spent_by[task_id] = (task_cost + cost, task_tokens + tokens)

    def note_child(self, child_run: str, cost: Decimal, tokens: int, tasks: int = 0) -> None:
        """What is being written of a child's spending."""
        noted = self.children.setdefault(child_run, {"cost": Decimal(0), "tokens": 0, "tasks": 0})
        noted["cost"] += cost
        noted["tokens"] += tokens
        noted["tasks"] += tasks

    def missing_of(self, child_run: str, child: Ledger) -> tuple[Decimal, int, int]:
        """What of a child is not in this run's log yet: (cost, tokens, tasks)."""
        noted = self.children.get(child_run, {"cost": Decimal(0), "tokens": 0, "tasks": 0})
        return (
            max(Decimal(0), child.cost - noted["cost"]),
            max(0, child.tokens - noted["tokens"]),
            max(0, child.tasks - noted["tasks"]),
        )

    def crossings(self) -> Iterator[Crossing]:
        """What has to be told now about money and tokens."""
        for resource, used in (("cost", self.cost), ("tokens", Decimal(self.tokens))):
            yield from self.crossings_of(resource, used)

    def crossings_of(self, resource: str, used: Decimal, *, is_reached: bool = False) -> Iterator[Crossing]:
        """The same of one resource; ``used`` is what counts for it. ``is_reached``: the limit itself is too much."""
        limit = self.limit_of(resource)
        if limit is None:
            return
        if used >= limit * WARN_AT:
            yield from self._once("budget.warning", resource, used, limit)
        if used > limit or is_reached:
            yield from self._once("budget.exceeded", resource, used, limit)

    def limit_of(self, resource: str) -> Decimal | None:
        """The budget of a resource; None where there is none."""
        return None if self.budget is None else self.budget.limit(resource)

    def next_task(self) -> Crossing | None:
        """What has to be told before another body starts."""
        if self.budget is None or self.budget.tasks is None or self.tasks < self.budget.tasks:
            return None
        return next(self._once("budget.exceeded", "tasks", Decimal(self.tasks + 1), Decimal(self.budget.tasks)), None)

    def _once(self, type: str, resource: str, used: Decimal, limit: Decimal) -> Iterator[Crossing]:
        if (type, resource) not in self._told:
            self._told.add((type, resource))
            yield Crossing(type, resource, used, limit)
