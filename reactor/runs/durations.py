"""How long the last completed runs of a workflow have taken, and each of their tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Final, NamedTuple

from reactor.errors import UnknownRun
from reactor.events.state import TaskState
from reactor.events.timing import milliseconds
from reactor.ports.log import RunRecord
from reactor.requests import whole_number_problem
from reactor.runs.asked import Admits
from reactor.runs.open_runs import OpenRuns
from reactor.stream.checkpoints import load_state

MOST_RUNS: Final = 200
LOOKED_AT: Final = 10_000
"""Runs that are looked at for somebody who sees only some of them."""
_PAGE: Final = 200
_AT_ONCE: Final = 4
"""Runs that are folded together: all of the states are in memory then."""
_KEPT_NUMBERS: Final = 500_000
"""Of all runs that are kept, one for each task: 4 MB beside the names, which runs of one graph share."""


@dataclass(frozen=True, slots=True)
class Durations:
    """Of a number of runs, in seconds. A percentile is the smallest value that so many of them do not exceed."""

    count: int
    p50: float
    p90: float
    max: float

    @classmethod
    def of(cls, seconds: Iterable[float]) -> Durations:
        """Of at least one value."""
        values = sorted(seconds)
        return cls(len(values), _percentile(values, 50), _percentile(values, 90), values[-1])


class RunDuration(NamedTuple):
    """Of one run."""

    run_id: str
    created: str
    """When it started: ISO 8601."""
    seconds: float


class WorkflowDurations(NamedTuple):
    """Of the last completed runs of a workflow."""

    workflow: str
    runs: list[RunDuration]
    """The newest first."""
    run: Durations | None
    """Of whole runs; None where none has completed."""
    tasks: dict[str, Durations]
    """By id, of those that have completed in any of these runs: a mapped task as a whole."""


class _Taken(NamedTuple):
    """What one run has taken."""

    seconds: float
    tasks: Mapping[str, float]


class KeptDurations:
    """What ended runs have taken, which does not change any more. By id and beginning."""

    def __init__(self) -> None:
        self._runs: dict[tuple[str, str], _Taken] = {}
        self._numbers = 0

    def get(self, record: RunRecord) -> _Taken | None:
        return self._runs.get((record.run_id, record.created))

    def keep(self, record: RunRecord, taken: _Taken) -> None:
        if (record.run_id, record.created) in self._runs:
            return
        self._runs[record.run_id, record.created] = taken
        self._numbers += 1 + len(taken.tasks)
        while self._numbers > _KEPT_NUMBERS:  # the oldest go first
            self._numbers -= 1 + len(self._runs.pop(next(iter(self._runs))).tasks)


async def durations_of(
    runs: OpenRuns, kept: KeptDurations, workflow: str, most: int, admits: Admits | None
) -> WorkflowDurations:
    """Of the last ``most`` completed runs. Raises ValueError for a number that is not 1 to ``MOST_RUNS``."""
    if (problem := whole_number_problem(most, 1)) is not None or most > MOST_RUNS:
        raise ValueError(f"runs= of durations must be 1 to {MOST_RUNS}" + (f": it {problem}" if problem else ""))
    found: list[RunDuration] = []
    tasks: dict[str, list[float]] = {}
    records = await _completed(runs, workflow, most, admits)
    for first in range(0, len(records), _AT_ONCE):
        some = records[first : first + _AT_ONCE]
        for record, taken in zip(some, await asyncio.gather(*(_taken(runs, kept, one) for one in some)), strict=True):
            if taken is None:
                continue
            found.append(RunDuration(record.run_id, record.created, taken.seconds))
            for id, seconds in taken.tasks.items():
                tasks.setdefault(id, []).append(seconds)
        await asyncio.sleep(0)
    whole = Durations.of(one.seconds for one in found) if found else None
    return WorkflowDurations(workflow, found, whole, {id: Durations.of(seconds) for id, seconds in tasks.items()})


async def _completed(runs: OpenRuns, workflow: str, most: int, admits: Admits | None) -> list[RunRecord]:
    """The last runs that have completed, the newest first."""
    found: list[RunRecord] = []
    before: str | None = None
    for _ in range(LOOKED_AT // _PAGE):
        page = await runs.index.records(status="completed", workflow=workflow, before=before, limit=_PAGE)
        found += [one for one in page if admits is None or admits(one.run_id, one.workflow)]
        if len(found) >= most or len(page) < _PAGE:
            break
        before = page[-1].run_id
    return found[:most]


async def _taken(runs: OpenRuns, kept: KeptDurations, record: RunRecord) -> _Taken | None:
    """None of a run that was deleted meanwhile, or that the log does not have in full."""
    known = kept.get(record)
    if known is not None:
        return known
    try:
        state = await load_state(runs.log, runs.checkpoints, record.run_id)
    except UnknownRun:
        return None
    if state.duration_ms is None:
        return None
    tasks = {
        id: seconds
        for id, task in state.tasks.items()
        if task.map_index is None and task.status == "completed" and (seconds := _seconds(task)) is not None
    }
    taken = _Taken(state.duration_ms / 1000, tasks)
    kept.keep(record, taken)
    return taken


def _seconds(task: TaskState) -> float | None:
    """Of a mapped task from its first child on to the end of the last; its own event has no duration."""
    if task.duration_ms is None and task.count is not None and task.ended is not None:
        return milliseconds(task.started, task.ended) / 1000
    return None if task.duration_ms is None else task.duration_ms / 1000


def _percentile(values: Sequence[float], percent: int) -> float:
    """Nearest rank, of values in order."""
    return values[ceil(len(values) * percent / 100) - 1]
