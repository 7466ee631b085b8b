"""What a run and its children spend, as events, and what its budget says to that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import orjson

from reactor.events import drafts
from reactor.events.event import Draft
from reactor.events.values import json_number
from reactor.supervision.ending import Ending
from reactor.supervision.ledger import Crossing, Ledger
from reactor.tasks.actor import Actor

if TYPE_CHECKING:
    from reactor.runs.execution import Execution


class Spending:
    """Of one open run. What it spends counts for the runs it is a child of, too."""

    def __init__(self, execution: Execution, ledger: Ledger) -> None:
        self._execution = execution
        self.ledger = ledger

    def spend(self, actor: Actor, cost: Decimal, tokens: int, source: str) -> None:
        """Writes ``task.spent`` here and in each ancestor's log, and acts on the budgets."""
        self._add(actor, cost, tokens, source, {})

    def child_spent(self, task_id: str, child_run: str, cost: Decimal, tokens: int, tasks: int = 0) -> None:
        """The same for a child run that a task has asked for; ``tasks``: starts that were counted as they happened."""
        self.ledger.note_child(child_run, cost, tokens, tasks)
        child = {"child_run": child_run, **({"tasks": tasks} if tasks else {})}
        self._add(self._execution.body(task_id), cost, tokens, "child", child)

    def _add(self, actor: Actor, cost: Decimal, tokens: int, source: str, child: Mapping[str, Any]) -> None:
        ledger = self.ledger
        ledger.spend(cost, tokens)
        data = drafts.spent(cost, tokens, ledger.cost, ledger.tokens, source, child)
        self._execution.write(actor.draft("task.spent", data))  # a child run may end after the task that asked for it
        parent = self._execution.parent
        if parent is not None:
            parent.execution.spending.child_spent(parent.task_id, self._execution.run_id, cost, tokens)
        for crossing in ledger.crossings():
            self.tell(crossing, actor.task_id)

    def settle(self, task_id: str, child_run: str, child: Ledger, *, is_counted: bool) -> None:
        """What a child has spent that this log does not have: of a crash in between, and the starts of its bodies.

        ``is_counted``: those were counted as they happened, in this process.
        """
        cost, tokens, tasks = self.ledger.missing_of(child_run, child)
        if tasks and not is_counted:
            self._count_tasks(tasks)
        counts_tasks = any(spending.ledger.limit_of("tasks") is not None for spending in self._line())
        if cost or tokens or (tasks and counts_tasks):
            self.child_spent(task_id, child_run, cost, tokens, tasks)

    def may_start(self, actor: Actor) -> bool:
        """Counts the start of a body here and in the ancestors; False where a budget stops it."""
        for spending in self._line():
            crossing = spending.ledger.next_task()
            if crossing is not None:
                spending.tell(crossing, actor.task_id if spending is self else None)
        is_ending = any(spending._execution.ending is not None for spending in self._line())
        if is_ending or self._execution.is_paused:
            return False
        self._count_tasks(1)
        return True

    def _count_tasks(self, count: int) -> None:
        for spending in self._line():
            spending.ledger.tasks += count
            for crossing in spending.ledger.crossings_of("tasks", Decimal(spending.ledger.tasks)):
                spending.tell(crossing, None)

    def _line(self) -> Iterator[Spending]:
        """This run's, and its ancestors'."""
        execution: Execution | None = self._execution
        while execution is not None:
            yield execution.spending
            execution = None if execution.parent is None else execution.parent.execution

    def tell(self, crossing: Crossing, task_id: str | None) -> None:
        """Writes that a budget is nearly used or exceeded, and does what its policy says."""
        execution = self._execution
        execution.write(Draft(crossing.type, orjson.dumps(crossing.data)))
        budget = self.ledger.budget
        if crossing.type != "budget.exceeded" or budget is None or execution.ending is not None:
            return
        if budget.on_exceeded == "fail":
            used = f"{json_number(crossing.used)} of {json_number(crossing.limit)} {crossing.resource}"
            error = {"type": "BudgetExceeded", "message": f"the budget is exceeded: {used}"}
            execution.control.stop(Ending("budget", error, task_id))
        elif budget.on_exceeded == "pause":
            execution.control.pause("budget", by=None)
