"""Hears of windows, waits, stalls and rewinds of engines, and counts. Called for each window, so it must be quick."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from typing import Final

from reactor.bounds import WINDOW_EVENTS as MOST_IN_A_WINDOW
from reactor.events.event import Event, Window
from reactor.listeners import RunInfo, Stall
from reactor_web.metrics.ends import spent, task_seconds
from reactor_web.metrics.numbers import APPEND_SECONDS, TASK_SECONDS, WAIT_SECONDS, WINDOW_EVENTS, Histogram

MAX_WORKFLOWS: Final = 100
"""Names of workflows that have numbers of their own; those beyond it are counted together."""
MAX_ASKING: Final = 20_000
"""Runs of which it is remembered that they may have open questions."""
OTHER: Final = "other"
RUN_ENDS: Final = ("run.completed", "run.failed", "run.cancelled")
TASK_ENDS: Final = ("task.completed", "task.failed", "task.skipped", "task.cancelled")


class OfWorkflow:
    """What the runs of one workflow have done."""

    __slots__ = ("cost", "retries", "runs", "seconds", "started", "tasks", "tokens")

    def __init__(self) -> None:
        self.started = 0
        self.runs: dict[str, int] = dict.fromkeys(RUN_ENDS, 0)
        """By the type of the event, as ``tasks``."""
        self.tasks: dict[str, int] = dict.fromkeys(TASK_ENDS, 0)
        self.seconds = Histogram(TASK_SECONDS)
        self.retries = 0
        self.cost = 0.0
        self.tokens = 0


class EngineEars:
    """A listener of the engines that one page shows. ``is_registered(name)``: whether one of them knows a workflow.

    ``opened(is_open)`` is called when an engine opens or closes, on its loop.
    """

    def __init__(self, is_registered: Callable[[str], bool], opened: Callable[[bool], None]) -> None:
        self._is_registered = is_registered
        self._opened = opened
        self.windows = [0] * (MOST_IN_A_WINDOW + 1)
        """How many windows had so many events; what has more is counted with the last."""
        self._run: RunInfo | None = None
        self._found = OfWorkflow()
        """The run whose window was the last, and the numbers of its workflow: mostly the next one is of it, too."""
        self.appends = Histogram(APPEND_SECONDS)
        self.waits = Histogram(WAIT_SECONDS)
        self.stalls = {"loop": 0, "log": 0}
        self.rewound = 0
        self.by_label: dict[str, OfWorkflow] = {}
        self.may_ask: set[RunInfo] = set()
        """Open runs that have asked something, or went on after a restart: only these can have open questions.

        Who counts them takes out those that ask nothing, or are open here no longer: they may go on on another node."""

    # --- what it hears ---

    def run_window_appended(self, run: RunInfo, window: Window, seconds: float) -> None:
        size = len(window)
        self.windows[size if size < MOST_IN_A_WINDOW else MOST_IN_A_WINDOW] += 1
        appends = self.appends  # as ``observe``, which costs a call
        appends.counts[bisect_left(APPEND_SECONDS, seconds)] += 1
        appends.sum += seconds
        if run is not self._run:
            self._run, self._found = run, self.of(run)
        found, counted = self._found, _COUNTED
        for event in window:
            count = counted.get(event.type)
            if count is not None:
                count(self, run, found, event)

    def body_waited(self, run_id: str, task_id: str, seconds: float) -> None:
        self.waits.observe(seconds)

    def stalled(self, stall: Stall) -> None:
        if stall.kind in self.stalls:  # a client's is heard by who hears of streams
            self.stalls[stall.kind] += 1

    def run_rewound(self, run_id: str, kept: int, lost: int) -> None:
        self.rewound += 1

    def engine_opened(self) -> None:
        self._opened(True)

    def engine_closed(self) -> None:
        self._opened(False)

    # --- by workflow ---

    def of(self, run: RunInfo) -> OfWorkflow:
        """The numbers of a run's workflow, or of those that have no name of their own here."""
        found = self.by_label.get(run.workflow if run.kind == "workflow" else run.kind)
        return self._new_of(run) if found is None else found

    def _new_of(self, run: RunInfo) -> OfWorkflow:
        label = run.workflow if run.kind == "workflow" else run.kind
        if run.kind == "workflow" and (len(self.by_label) >= MAX_WORKFLOWS or not self._is_registered(label)):
            label = OTHER
        return self.by_label.setdefault(label, OfWorkflow())

    def know(self, workflow: str) -> None:
        """A registered workflow is shown before its first run, so that its first failure is a change."""
        self.of(RunInfo("", "", workflow))

    def forget(self, run: RunInfo) -> None:
        """It has ended."""
        if run is self._run:
            self._run = None

    def window_sizes(self) -> Histogram:
        """How many events were committed together."""
        found = Histogram(WINDOW_EVENTS)
        place = 0
        for size, count in enumerate(self.windows):
            if place < len(WINDOW_EVENTS) and size > WINDOW_EVENTS[place]:
                place += 1
            found.counts[place] += count
            found.sum += size * count
        return found


def _began(ears: EngineEars, run: RunInfo, found: OfWorkflow, event: Event) -> None:
    found.started += 1


def _run_ended(ears: EngineEars, run: RunInfo, found: OfWorkflow, event: Event) -> None:
    found.runs[event.type] += 1
    ears.may_ask.discard(run)
    ears.forget(run)


def _task_ended(ears: EngineEars, run: RunInfo, found: OfWorkflow, event: Event) -> None:
    found.tasks[event.type] += 1


def _task_ran(ears: EngineEars, run: RunInfo, found: OfWorkflow, event: Event) -> None:
    found.tasks[event.type] += 1
    seconds = task_seconds(event.json)
    if seconds is not None:
        times = found.seconds  # as ``observe``
        times.counts[bisect_left(TASK_SECONDS, seconds)] += 1
        times.sum += seconds


def _retried(ears: EngineEars, run: RunInfo, found: OfWorkflow, event: Event) -> None:
    found.retries += 1


def _spent(ears: EngineEars, run: RunInfo, found: OfWorkflow, event: Event) -> None:
    cost, tokens = spent(event.json)
    found.cost += cost
    found.tokens += tokens


def _asked(ears: EngineEars, run: RunInfo, found: OfWorkflow, event: Event) -> None:
    if len(ears.may_ask) >= MAX_ASKING:  # nobody counts them, or there are very many
        ears.may_ask.pop()
    ears.may_ask.add(run)


_COUNTED: Final[dict[str, Callable[[EngineEars, RunInfo, OfWorkflow, Event], None]]] = {
    "run.started": _began,
    "run.resumed": _asked,
    **dict.fromkeys(RUN_ENDS, _run_ended),
    "task.completed": _task_ran,
    "task.failed": _task_ran,
    "task.skipped": _task_ended,
    "task.cancelled": _task_ended,
    "task.retrying": _retried,
    "task.spent": _spent,
    "task.waiting": _asked,
}
"""What is done with an event, by its type."""
