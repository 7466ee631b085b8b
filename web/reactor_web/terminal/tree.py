"""Draws the state of a run as text: header, bar, tree of tasks. Pure: a state in, a rich renderable out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from heapq import nsmallest
from typing import Final

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from reactor.events.state import RUN_ENDED, RunState, TaskState
from reactor_web.terminal.family import ChildLine, Family
from reactor_web.terminal.lines import LOOKS, duration, error_text, printable, question_text

CHILD_LINES: Final = 8
"""How many children of one mapped task are shown at most."""
BAR_WIDTH: Final = 20
_OPEN: Final = frozenset({"running", "waiting", "retrying"})
"""Statuses of the tasks of a child run that get a line."""
_RANK: Final = {"running": 0, "waiting": 0, "retrying": 0, "failed": 1, "cancelled": 2, "completed": 2, "skipped": 2}
"""Which tasks get a line first if there are more tasks than lines."""
_LAST_RANK: Final = 3
"""For tasks that have not begun."""


def render_run(state: RunState, *, now: float, height: int, family: Family | None = None) -> RenderableType:
    """A run as at most ``height`` lines: header, bar, tasks. ``now`` is in Unix seconds; nothing else is read.

    Tasks are in the order of their definition. If there are more tasks than lines, those that run come first, then
    those that failed, then those that ended last; the rest is counted. Mapped children are shown if they run or failed.
    ``family``: the runs below it, each under its task, with what its tasks do and ask.
    """
    ended = state.completed + state.failed + state.skipped + state.cancelled
    symbol, style = LOOKS.get(state.status, LOOKS["pending"])
    header = Text(no_wrap=True, overflow="ellipsis")
    header.append(f"{symbol} ", style)
    header.append(printable(state.workflow or "run"), "bold")
    elapsed = _elapsed(state.started, state.duration_ms, now)
    counted = f"{state.seq} events" if state.session else f"{ended}/{state.total_tasks}"
    header.append(printable(f" {state.run_id} {state.status} {elapsed} {counted}"))
    parts: list[RenderableType] = [header]
    if not state.session:  # which has nothing that could be done in part
        bar = ProgressBar(total=1.0, completed=state.progress, width=3 * BAR_WIDTH)
        parts.append(Padding(bar, 0))  # rich does not end the line of a bar alone
    if error := error_text(state.error):
        parts.append(_line(error, "red"))
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(no_wrap=True, overflow="ellipsis", max_width=40)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, justify="right")
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    # one line for the count of the rest, and one for the cursor below it
    room = max(0, height - len(parts) - 2)
    tasks, hidden = _visible(state, room)
    below = Below(family, room - len(tasks), now)
    for task in tasks:
        table.add_row(*_cells(task, now))
        for row in below.rows(state, task, 1):
            table.add_row(*row)
    if tasks:
        parts.append(table)
    if hidden:
        parts.append(_line(f"… {', '.join(f'{count} more {status}' for status, count in hidden.items())}", "dim"))
    return Group(*parts)


class Below:
    """The lines of child runs, as many as there is room for: those that are open first, each with its open tasks."""

    def __init__(self, family: Family | None, room: int, now: float) -> None:
        self._family = family
        self._room = room
        self._now = now
        self._children: dict[str, Mapping[str, list[ChildLine]]] = {}
        """By run, for one drawing."""

    def rows(self, state: RunState, task: TaskState, depth: int) -> Iterator[tuple[RenderableType, ...]]:
        """The child runs of a task, and what is below them."""
        if self._family is None or not state.children:
            return
        if state.run_id not in self._children:
            self._children[state.run_id] = self._family.children_of(state)
        children = self._children[state.run_id].get(task.id, [])
        for child in nsmallest(min(CHILD_LINES, self._room), children, key=_run_urgency):
            if self._room > 0:
                self._room -= 1
                yield _run_cells(child, depth, self._now)
                yield from self._tasks(child.state, depth + 1)

    def _tasks(self, state: RunState | None, depth: int) -> Iterator[tuple[RenderableType, ...]]:
        tasks = [] if state is None else [t for t in state.tasks.values() if t.status in _OPEN and t.count is None]
        for task in nsmallest(min(CHILD_LINES, self._room), tasks, key=_urgency):
            if state is not None and self._room > 0:
                self._room -= 1
                yield _cells(task, self._now, depth)
                yield from self.rows(state, task, depth + 1)


def _run_urgency(child: ChildLine) -> bool:
    return child.status in RUN_ENDED


def _run_cells(child: ChildLine, depth: int, now: float) -> tuple[RenderableType, ...]:
    symbol, style = LOOKS.get(child.status, LOOKS["pending"])
    name = Text(f"{'  ' * depth}{symbol} ", style)
    name.append(printable(child.workflow), "bold")
    state = child.state
    spent = "" if state is None else _elapsed(state.started, state.duration_ms, now)
    is_open = state is not None and not state.has_ended
    bar = ProgressBar(total=1.0, completed=state.progress, width=BAR_WIDTH) if state is not None and is_open else ""
    error = "" if state is None else error_text(state.error)
    return name, Text(printable(child.status), style), Text(spent), bar, _line(error or child.run_id)


def _line(text: str, style: str = "") -> Text:
    return Text(printable(text), style, no_wrap=True, overflow="ellipsis")


def _visible(state: RunState, room: int) -> tuple[list[TaskState], Counter[str]]:
    """The tasks that get a line, each followed by its children that get one; the number of other tasks by status."""
    tasks: list[TaskState] = []
    children: dict[str, list[TaskState]] = {}
    for task in state.tasks.values():
        if task.map_index is None:
            tasks.append(task)
        elif _RANK.get(task.status, _LAST_RANK) < _RANK["completed"]:
            children.setdefault(task.task, []).append(task)
    chosen = tasks if len(tasks) <= room else nsmallest(room, tasks, key=_urgency)
    hidden = Counter(task.status for task in tasks)
    hidden.subtract(task.status for task in chosen)
    spare = room - len(chosen)
    lines: list[TaskState] = []
    for task in chosen:
        below = nsmallest(min(CHILD_LINES, spare), children.get(task.id, ()), key=_urgency)
        spare -= len(below)
        lines += [task, *below]
    return lines, +hidden


def _urgency(task: TaskState) -> tuple[int, int]:
    """Sorts running tasks by their start, and ended tasks by their end, the last one first."""
    rank = _RANK.get(task.status, _LAST_RANK)
    return rank, -task.seq if rank in (1, 2) else task.seq


def _cells(task: TaskState, now: float, depth: int = 0) -> tuple[RenderableType, ...]:
    symbol, style = LOOKS.get(task.status, LOOKS["pending"])
    name = Text("  " * (depth + (task.map_index is not None and not depth)) + symbol + " ", style)
    name.append(printable(task.id), "default")
    status = task.status + (f", attempt {task.attempt}" if task.attempt > 1 else "")
    spent = "" if task.status == "pending" else _elapsed(task.started, task.duration_ms, now, task.ended)
    return name, Text(printable(status), style), Text(spent), _bar(task), _line(_remark(task))


def _bar(task: TaskState) -> RenderableType:
    if task.count is not None:
        return ProgressBar(total=max(task.count, 1), completed=_done(task) if task.count else 1, width=BAR_WIDTH)
    if task.status == "running" and task.progress is not None:
        return ProgressBar(total=1.0, completed=task.progress, width=BAR_WIDTH)
    return ""


def _done(task: TaskState) -> int:
    return sum((task.tally or {}).values())


def _remark(task: TaskState) -> str:
    if task.count is not None:
        others = [f", {n} {outcome}" for outcome, n in sorted((task.tally or {}).items()) if outcome != "completed"]
        return f"{_done(task)}/{task.count}{''.join(others)}"
    if task.waiting:
        return " · ".join(question_text(question) for question in task.waiting)
    if task.retry is not None:
        return f"again in {duration(task.retry['delay_ms'])}"
    if task.status == "skipped":
        return f"{task.reason or ''}{f', because of {task.because}' if task.because else ''}"
    return error_text(task.error) or (task.reason if task.status == "cancelled" else task.message) or ""


def _elapsed(started: str | None, duration_ms: float | None, now: float, ended: str | None = None) -> str:
    if duration_ms is not None or started is None:
        return duration(duration_ms)
    until = datetime.fromisoformat(ended).timestamp() if ended else now
    return duration(max(0.0, until - datetime.fromisoformat(started).timestamp()) * 1000)
