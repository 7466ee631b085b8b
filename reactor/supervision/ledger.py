"""What a run has spent, against its budget. Values in, values out: ``runs.spending`` writes the events."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final, NamedTuple

from reactor.definition.policy import Budget
from reactor.events.state import RunState
from reactor.events.values import json_number

WARN_AT: Final = Decimal("0.8")
"""The part of a budget at which it warns."""


class Crossing(NamedTuple):
    """A budget is used to 80 percent, or exceeded: what its event says."""

    type: str
    """``budget.warning`` or ``budget.exceeded``."""
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


class Spent(NamedTuple):
    """What the log of a run says that it has spent, with its own child runs."""

    cost: Decimal
    tokens: int
    tasks: int
    """Starts of bodies."""


class Ledger:
    """The sums of one run and its child runs. Each resource gives at most one warning, and is exceeded once."""

    def __init__(self, budget: Budget | None) -> None:
        self.budget = budget
        self.cost = Decimal(0)
        self.tokens = 0
        self._expected_cost = Decimal(0)
        self._expected_tokens = 0
        """What child runs have spent and this run's log gets once theirs have it. Budgets count it at once."""
        self.tasks = 0
        self.spent_by: dict[str, tuple[Decimal, int]] = {}
        """Task id -> (cost, tokens), of the tasks that have spent something."""
        self.children: dict[str, dict[str, Any]] = {}
        """By child run: its ``cost tokens tasks`` that are in this run's log already."""
        self._crossed: set[tuple[str, str]] = set()

    @classmethod
    def restored(cls, budget: Budget | None, state: RunState) -> Ledger:
        """The ledger of a run that goes on."""
        ledger = cls(budget)
        ledger.cost = state.cost or Decimal(0)
        ledger.tokens = state.tokens or 0
        ledger.spent_by = {
            task.id: (task.cost, task.tokens or 0) for task in state.tasks.values() if task.cost is not None
        }
        ledger.children = {child: dict(spent) for child, spent in (state.children or {}).items()}
        ledger.tasks = spent_in(state).tasks
        ledger._crossed = {("budget.warning", resource) for resource in state.warned or ()}
        ledger._crossed |= {("budget.exceeded", resource) for resource in state.exceeded or ()}
        return ledger

    def spend(self, cost: Decimal, tokens: int) -> None:
        self.cost += cost
        self.tokens += tokens

    def expect(self, cost: Decimal, tokens: int) -> None:
        """A run below has spent it, or (negative) what was expected has come, or will not come."""
        self._expected_cost += cost
        self._expected_tokens += tokens

    def note_task(self, task_id: str, cost: Decimal, tokens: int) -> None:
        """Which task has spent it, itself or with a child run."""
        task_cost, task_tokens = self.spent_by.get(task_id, (Decimal(0), 0))
        self.spent_by[task_id] = (task_cost + cost, task_tokens + tokens)

    def note_child(self, child_run: str, cost: Decimal, tokens: int, tasks: int = 0) -> None:
        """Adds what is written to this run's log about a child's spending."""
        noted = self.children.setdefault(child_run, {"cost": Decimal(0), "tokens": 0, "tasks": 0})
        noted["cost"] += cost
        noted["tokens"] += tokens
        noted["tasks"] += tasks

    def missing_of(self, child_run: str, child: Spent) -> Spent:
        """What of a child's spending is not in this run's log yet."""
        noted = self.children.get(child_run, {"cost": Decimal(0), "tokens": 0, "tasks": 0})
        return Spent(
            max(Decimal(0), child.cost - noted["cost"]),
            max(0, child.tokens - noted["tokens"]),
            max(0, child.tasks - noted["tasks"]),
        )

    def crossings(self) -> Iterator[Crossing]:
        """The budgets of money and tokens that are crossed now, each reported once."""
        cost, tokens = self.cost + self._expected_cost, self.tokens + self._expected_tokens
        for resource, used in (("cost", cost), ("tokens", Decimal(tokens))):
            yield from self.crossings_of(resource, used)

    def crossings_of(self, resource: str, used: Decimal, *, is_reached: bool = False) -> Iterator[Crossing]:
        """The crossings of one resource. ``is_reached``: to use exactly the limit is to exceed it."""
        limit = self.limit_of(resource)
        if limit is None:
            return
        if used >= limit * WARN_AT:
            yield from self._once("budget.warning", resource, used, limit)
        if used > limit or is_reached:
            yield from self._once("budget.exceeded", resource, used, limit)

    def limit_of(self, resource: str) -> Decimal | None:
        """The budget of a resource; None: no limit."""
        return None if self.budget is None else self.budget.limit(resource)

    def next_task(self) -> Crossing | None:
        """The crossing that prevents the start of another body; None where it may start, or was reported before."""
        if self.budget is None or self.budget.tasks is None or self.tasks < self.budget.tasks:
            return None
        return next(self._once("budget.exceeded", "tasks", Decimal(self.tasks + 1), Decimal(self.budget.tasks)), None)

    def _once(self, type: str, resource: str, used: Decimal, limit: Decimal) -> Iterator[Crossing]:
        if (type, resource) not in self._crossed:
            self._crossed.add((type, resource))
            yield Crossing(type, resource, used, limit)


def spent_in(state: RunState) -> Spent:
    """What a run has spent by its state. The starts of its bodies are the attempts of its tasks."""
    own = sum(task.attempt for task in state.tasks.values())
    below = sum(spent["tasks"] for spent in (state.children or {}).values())
    return Spent(state.cost or Decimal(0), state.tokens or 0, own + below)
