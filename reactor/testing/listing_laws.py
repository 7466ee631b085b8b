"""The laws of the filters of a ``RunIndex``: what a list has under them is what looking at every run would find.

They are in INDEX_LAWS. ``Told``, ``expected`` and ``pages`` are for tests that make logs of their own.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any, Final, Unpack

import orjson

from reactor.events.event import Draft, Event, task_head
from reactor.events.fold import evolve
from reactor.events.questions import open_questions
from reactor.events.state import RunState
from reactor.ports.index import RunFilter, fits
from reactor.ports.stores import Log

START: Final = datetime(2026, 11, 21, 2, 51, tzinfo=UTC)


class Told:
    """What a run of a test was told, window by window, and its state."""

    def __init__(self, run_id: str, parent: Told | None = None) -> None:
        self.run_id = run_id
        self.parent = parent
        self.root: str = run_id if parent is None else parent.root
        self.state = RunState(run_id)

    async def start(self, log: Log, at: float, workflow: str, meta: dict[str, Any] | None = None) -> None:
        """``at``: seconds after ``START``."""
        tasks = [{"id": id, "kind": "task", "depends_on": list[str]()} for id in ("t", "u")]
        data: dict[str, Any] = {"workflow": workflow, "version": "1", "total_tasks": 2, "tasks": tasks}
        if meta is not None:
            data["meta"] = meta
        if self.parent is not None:
            data["parent"] = {"run_id": self.parent.run_id, "task_id": "t"}
        await self.say(log, ("run.started", None, data), at=at)

    async def say(self, log: Log, *said: tuple[str, str | None, dict[str, Any]], at: float = 0.0) -> None:
        """One window of (type, task id or None, data)."""
        time = (START + timedelta(seconds=at)).strftime("%Y-%m-%dT%H:%M:%S.%fZ").encode()
        window: list[Event] = []
        for seq, (type, task, data) in enumerate(said, self.state.seq + 1):
            head = b"" if task is None else task_head(task, task, None, 1)
            draft = Draft(type, orjson.dumps(data)) if task is None else Draft(type, orjson.dumps(data), task, head)
            window.append(Event.from_draft(seq, self.run_id, time, draft))
        await log.append(self.run_id, window)
        for event in window:
            evolve(self.state, event)

    async def ask(self, log: Log, task: str, key: str) -> None:
        await self.say(log, ("task.waiting", task, {"prompt": None, "schema": {}, "key": key}))

    async def close(self, log: Log, task: str, key: str, how: str = "received") -> None:
        """``how``: ``received``, ``expired`` or ``withdrawn``."""
        await self.say(log, (f"task.{how}", task, {"key": key, "value": 1} if how == "received" else {"key": key}))

    async def end(self, log: Log, status: str) -> None:
        data: dict[str, Any] = {"outputs": {}, "duration_ms": 1.0, "error": None, "reason": "asked"}
        await self.say(log, (f"run.{status}", None, data))

    def fits(self, **wanted: Unpack[RunFilter]) -> bool:
        """Whether all that is wanted is true of the run."""
        return fits(self.state, self.root, wanted)


def expected(runs: Sequence[Told], **wanted: Unpack[RunFilter]) -> list[str]:
    """The ids of the runs that are wanted, newest first. ``runs``: in the order in which they began."""
    return [run.run_id for run in reversed(runs) if run.fits(**wanted)]


async def pages(log: Log, limit: int, **wanted: Unpack[RunFilter]) -> list[str]:
    """The ids of a list that is read page by page."""
    found: list[str] = []
    while page := await log.records(before=found[-1] if found else None, limit=limit, **wanted):
        assert len(page) <= limit
        found += [record.run_id for record in page]
    return found


async def law_a_list_has_what_all_its_filters_say(log: Log) -> None:
    """Every filter alone, and all of them in every combination, list what looking at every run finds; page by page."""
    runs = await _some_runs(log)
    for values in product(*_VALUES.values()):
        wanted: Any = {name: value for name, value in zip(_VALUES, values, strict=True) if value is not None}
        found = [record.run_id for record in await log.records(before=None, limit=100, **wanted)]
        assert found == expected(runs, **wanted), wanted
    for name, choices in _VALUES.items():
        for value in choices:
            one: Any = {name: value}
            for limit in (1, 3):
                assert await pages(log, limit, **one) == expected(runs, **one), one


async def law_a_list_by_time_is_right_where_a_clock_was_set_back(log: Log) -> None:
    """``since`` and ``until`` go by the times that the runs have, also where these are not in the order of the list."""
    runs: list[Told] = []
    for n, at in enumerate((10, 20, 5, 30, 30, 0, 25, 40)):
        runs.append(Told(f"r{n}"))
        await runs[-1].start(log, at, "w")
    for since, until in product((None, 0, 5, 21, 30, 41), (None, 0, 6, 20, 30, 50)):
        wanted: Any = {"since": _time(since), "until": _time(until)}
        assert await pages(log, 2, **wanted) == expected(runs, **wanted), (since, until)


async def law_a_run_is_listed_with_its_open_questions(log: Log) -> None:
    """As long as one of them is open: a task that starts anew, is tried again or ends has none any more."""
    run = Told("r")
    await run.start(log, 0, "w")
    seen: list[bool] = []

    async def look() -> None:
        assert await pages(log, 9, question=True) == expected([run], question=True)
        seen.append(bool(open_questions(run.state)))

    await look()
    await run.ask(log, "t", "a")
    await look()
    await run.ask(log, "t", "b")
    await run.close(log, "t", "a")
    await look()
    for how in ("withdrawn", "expired", "received"):
        await run.close(log, "t", "b", how)
        await look()
        await run.ask(log, "t", "b")
    began = ("task.started", "t", {"executor": "loop", "index": 0, "total": 2})
    for ends in (began, ("task.retrying", "t", {"delay_ms": 1.0}), ("task.completed", "t", {"recoverable": False})):
        await run.say(log, ends)
        await look()
        await run.ask(log, "t", "b")
        await look()
    await run.ask(log, "u", "c")
    await run.end(log, "failed")
    await look()
    assert seen == [False, True, True, False, False, False, False, True, False, True, False, True, False]


async def law_what_is_deleted_is_in_no_list(log: Log) -> None:
    """Nor is what it was found by: a new run of the same id is found by its own only."""
    old = Told("r")
    await old.start(log, 0, "w", {"c": "1"})
    await old.ask(log, "t", "a")
    await old.end(log, "cancelled")
    await log.delete("r")
    both: list[RunFilter] = [
        {"meta": {"c": "1"}},
        {"question": True},
        {"open": True},
        {"since": START},
        {"workflow": "w"},
    ]
    for wanted in both:
        assert await pages(log, 5, **wanted) == []
    new = Told("r")
    await new.start(log, 1, "x", {"c": "2"})
    own: RunFilter = {"meta": {"c": "2"}}
    for wanted in (*both, own):
        assert await pages(log, 5, **wanted) == expected([new], **wanted)


def _time(seconds: float | None) -> datetime | None:
    return None if seconds is None else START + timedelta(seconds=seconds)


_VALUES: Final[dict[str, tuple[Any, ...]]] = {
    "status": (None, "running", "completed"),
    "workflow": (None, "w0"),
    "parent": (None, "r2"),
    "root": (None, "r0"),
    "since": (None, _time(9)),
    "until": (None, _time(21)),
    "meta": (None, {"customer": "c1"}, {"customer": "c1", "size": "2"}),
    "question": (None, True),
    "open": (None, True),
}


async def _some_runs(log: Log) -> list[Told]:
    """Thirty runs that differ in everything that there is a filter for; the same ones each time."""
    chance = random.Random(19)
    runs: list[Told] = []
    for n in range(30):
        parent = runs[chance.choice([0, 2, min(n - 1, 5)])] if n > 2 and chance.random() < 0.7 else None
        run = Told(f"r{n}", runs[0] if n == 2 else parent)
        meta = {"customer": chance.choice(["c1", "c1", "c2"]), "size": chance.choice([2, "2", 2.5, None])}
        await run.start(log, n + chance.choice([0, 0, -3]), f"w{chance.randrange(2)}", meta)
        if chance.random() < 0.6:
            await run.ask(log, "t", "k")
        if chance.random() < 0.3:
            await run.end(log, chance.choice(["completed", "failed"]))
        runs.append(run)
    return runs


Law = Callable[[Log], Awaitable[None]]

LAWS: Final[tuple[Law, ...]] = (
    law_a_list_has_what_all_its_filters_say,
    law_a_list_by_time_is_right_where_a_clock_was_set_back,
    law_a_run_is_listed_with_its_open_questions,
    law_what_is_deleted_is_in_no_list,
)
