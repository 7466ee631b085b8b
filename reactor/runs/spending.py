"""What a run and its child runs spend, as events, and what its budget says to that.

The budgets of all runs above count at once. The logs do so in order: that of a run above gets what a child has spent
once the child's own log has it. So no crash, and no log that fails, leaves money above that nobody has spent below.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any, Protocol

import orjson

from reactor.events import drafts
from reactor.events.event import Draft
from reactor.events.values import json_number
from reactor.supervision.ending import Ending, EndReason
from reactor.supervision.ledger import Crossing, Ledger, Spent


class Speaker(Protocol):
    """The task that an event is about; its id is None where that is the run itself."""

    @property
    def task_id(self) -> str | None: ...
    def draft(self, type: str, data: bytes) -> Draft: ...


class Tasks(Protocol):
    """The tasks of the run."""

    def actor(self, task_id: str) -> Speaker: ...


class Journal(Protocol):
    """Where the run writes."""

    @property
    def last_written(self) -> int: ...
    def write(self, draft: Draft) -> None: ...


class Control(Protocol):
    """What a budget can do to the run."""

    @property
    def ending(self) -> Ending | None: ...
    @property
    def is_paused(self) -> bool: ...
    def stop(self, ending: Ending) -> None: ...
    def pause(self, reason: str, *, by: str | None) -> None: ...


class Spending:
    """The spending of one open run. It counts for the runs above it, too: those it is a child of.

    ``above``: the spending of the parent run, and the task that asked for this one.
    """

    def __init__(
        self,
        run_id: str,
        journal: Journal,
        tasks: Tasks,
        control: Control,
        ledger: Ledger,
        above: tuple[Spending, str] | None,
    ) -> None:
        self._run_id = run_id
        self._journal = journal
        self._tasks = tasks
        self._control = control
        self._above = above
        self.ledger = ledger
        self.spent_by = ledger.spent_by
        self._uncommitted: deque[tuple[int, Decimal, int]] = deque()
        """(seq, cost, tokens) of what the log of the run above gets once this run's log has it."""

    def spend(self, body: Speaker, cost: Decimal, tokens: int, source: str) -> None:
        """Writes ``task.spent`` here, and acts on the budgets of this run and of each run above."""
        self._write(body, cost, tokens, source, {})
        self._count(cost, tokens, body.task_id)

    def child_spent(self, task_id: str, child_run: str, spent: Spent) -> None:
        """Writes what a child run has spent, which its log has. Its bodies were counted when they started."""
        cost, tokens, tasks = spent
        self.ledger.note_child(child_run, cost, tokens, tasks)
        child = {"child_run": child_run, **({"tasks": tasks} if tasks else {})}
        self._write(self._tasks.actor(task_id), cost, tokens, "child", child)

    def committed(self, last_seq: int) -> None:
        """This run's log has its events up to ``last_seq``: now the run above may say what they have spent."""
        while self._uncommitted and self._uncommitted[0][0] <= last_seq:
            _, cost, tokens = self._uncommitted.popleft()
            if self._above is not None:
                spending, task_id = self._above
                spending.ledger.expect(-cost, -tokens)
                spending.child_spent(task_id, self._run_id, Spent(cost, tokens, 0))

    def leave(self) -> None:
        """The run is written here no more: what its log does not have was not spent, for the runs above."""
        for _, cost, tokens in self._uncommitted:
            for spending in self._runs_above():
                spending.ledger.expect(-cost, -tokens)
        self._uncommitted.clear()

    def _count(self, cost: Decimal, tokens: int, task_id: str | None) -> None:
        """Acts on the budgets from the top down; the runs above have in their logs later what they count now."""
        if self._above is not None:
            spending, above_id = self._above
            spending.ledger.expect(cost, tokens)
            spending._count(cost, tokens, above_id)
        self._act_on(self.ledger.crossings(), task_id)

    def _write(self, body: Speaker, cost: Decimal, tokens: int, source: str, child: Mapping[str, Any]) -> None:
        ledger = self.ledger
        ledger.spend(cost, tokens)
        if body.task_id is not None:
            ledger.note_task(body.task_id, cost, tokens)
        data = drafts.spent(cost, tokens, ledger.cost, ledger.tokens, source, child)
        # not through the task's observer: a child run may end after the task that asked for it
        self._journal.write(body.draft("task.spent", data))
        if self._above is not None:
            self._uncommitted.append((self._journal.last_written, cost, tokens))

    def settle(self, task_id: str, child_run: str, child: Spent, *, is_counted: bool) -> None:
        """Writes what a child has spent that this log does not have: after a crash, and the starts of its bodies.

        ``is_counted``: the starts were counted when they happened, in this process.
        """
        missing = self.ledger.missing_of(child_run, child)
        if missing.tasks and not is_counted:
            self._count_tasks(missing.tasks)
        counts_tasks = any(spending.ledger.limit_of("tasks") is not None for spending in self._line())
        if missing.cost or missing.tokens or (missing.tasks and counts_tasks):
            self.child_spent(task_id, child_run, missing)
            self._count(missing.cost, missing.tokens, task_id)

    def may_start(self, body: Speaker) -> bool:
        """Counts the start of a body here and in the runs above; False where a budget stops it."""
        if self._above is None and self.ledger.budget is None:
            self.ledger.tasks += 1
            return True
        for spending in self._line():
            crossing = spending.ledger.next_task()
            if crossing is not None:
                spending._act_on([crossing], body.task_id if spending is self else None)
        is_ending = any(spending._control.ending is not None for spending in self._line())
        if is_ending or self._control.is_paused:
            return False
        self._count_tasks(1)
        return True

    def use_seconds(self, elapsed: float, part: Decimal) -> None:
        """The run has used this part (0.8 or 1) of its budget of wall time."""
        limit = self.ledger.limit_of("seconds")
        if limit is not None:
            used = max(Decimal(repr(round(elapsed, 3))), limit * part)
            self._act_on(self.ledger.crossings_of("seconds", used, is_reached=part == 1), None)

    def _count_tasks(self, count: int) -> None:
        for spending in self._line():
            spending.ledger.tasks += count
            spending._act_on(spending.ledger.crossings_of("tasks", Decimal(spending.ledger.tasks)), None)

    def _line(self) -> Iterator[Spending]:
        """This run's, then that of each run above."""
        spending: Spending | None = self
        while spending is not None:
            yield spending
            spending = None if spending._above is None else spending._above[0]

    def _runs_above(self) -> Iterator[Spending]:
        line = self._line()
        next(line)
        return line

    def _act_on(self, crossings: Iterable[Crossing], task_id: str | None) -> None:
        """Writes that budgets are nearly used or exceeded, then does what their policy says.

        First all is written: what the policy says may end the run at once.
        """
        crossings = list(crossings)
        for crossing in crossings:
            self._journal.write(Draft(crossing.type, orjson.dumps(crossing.data)))
        for crossing in crossings:
            self._obey(crossing, task_id)

    def _obey(self, crossing: Crossing, task_id: str | None) -> None:
        budget = self.ledger.budget
        if crossing.type != "budget.exceeded" or budget is None or self._control.ending is not None:
            return
        if budget.on_exceeded == "fail":
            used = f"{json_number(crossing.used)} of {json_number(crossing.limit)} {crossing.resource}"
            error = {"type": "BudgetExceeded", "message": f"the budget is exceeded: {used}"}
            self._control.stop(Ending(EndReason.BUDGET, error, task_id))
        elif budget.on_exceeded == "pause":
            self._control.pause(EndReason.BUDGET, by=None)
