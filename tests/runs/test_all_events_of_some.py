"""The events of some runs in the order of their commits: what a reader of all runs has of them, and no more."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Iterable
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reactor import Engine, Workflow, bounds
from reactor.clock import SystemClock
from reactor.errors import InvalidRunId
from reactor.events.event import Notice
from reactor.listeners import Listeners
from reactor.logs.memory import MemoryLog
from reactor.logs.sqlite.log import SqliteLog
from reactor.logs.stores import stores_of
from reactor.ports.stores import Log
from reactor.runs.all_events import AllEvents, Selection
from reactor.runs.open_runs import OpenRuns
from reactor.runs.positions import START, TreeCursor, TreeEvent
from reactor.testing import LogAround, read_all
from reactor.testing.log_laws import completed, event, started
from tests.helpers.runs import PATIENCE

RUNS = ("a", "b", "c", "d", "e")
FLOWS = {"a": "v", "b": "w", "c": "w", "d": "v", "e": "w"}
CHILDREN = ("c", "d")
"""Child runs of ``a``."""


class NoRunsOrder(LogAround):
    """A log of a user that has never heard of ``RunsOrder``."""

    of_runs = None  # type: ignore[assignment]


@contextlib.asynccontextmanager
async def open_log(kind: str) -> AsyncGenerator[Log]:
    with TemporaryDirectory() as folder:
        logs: dict[str, Callable[[], Any]] = {
            "memory": MemoryLog,
            "sqlite": lambda: SqliteLog(Path(folder, "runs.db")),
            "without the port": lambda: NoRunsOrder(MemoryLog()),
        }
        log = logs[kind]()
        await log.open()
        yield log
        await log.close()


# --- interleavings ------------------------------------------------------------------------------------------------


class Say(NamedTuple):
    """A run commits a window with so many events; its first one if it has none."""

    run: str
    events: int


class End(NamedTuple):
    """A run ends, if it is open."""

    run: str


class Delete(NamedTuple):
    """A run that has ended is deleted."""

    run: str


class Read(NamedTuple):
    """The client reads once; before that it comes back with its last cursor, if ``again``, having kept ``part`` of what
    the read before has brought."""

    again: bool
    part: int


STEPS = st.lists(
    st.one_of(
        st.builds(Say, st.sampled_from(RUNS), st.integers(1, 3)),
        st.builds(End, st.sampled_from(RUNS)),
        st.builds(Delete, st.sampled_from(RUNS)),
        st.builds(Read, st.booleans(), st.integers(0, 4)),
    ),
    max_size=40,
)
SELECTIONS = st.builds(
    Selection,
    workflow=st.sampled_from([None, None, "v", "w"]),
    parent=st.sampled_from([None, None, "a"]),
    meta=st.just({}),
    runs=st.lists(st.sampled_from([*RUNS, "late"]), min_size=1, max_size=6, unique=True).map(tuple),
    admits=st.sampled_from([None, None, lambda run, workflow: run != "a", lambda run, workflow: workflow == "w"]),
)


class History:
    """What was written so far, and the log it was written to."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.last: dict[str, int] = {}
        self.ended: set[str] = set()
        self.deleted: set[str] = set()

    async def write(self, step: Say | End | Delete) -> None:
        run = step.run
        if isinstance(step, Delete):
            if run in self.ended - self.deleted:
                self.deleted.add(run)
                await self.log.delete(run)
        elif run not in self.ended and (isinstance(step, Say) or run in self.last):
            first = self.last.get(run, 0) + 1
            if isinstance(step, End):
                window = [completed(first, run)]
                self.ended.add(run)
            else:
                window = [self._event(run, seq) for seq in range(first, first + step.events)]
            await self.log.append(run, window)
            self.last[run] = window[-1].seq

    def _event(self, run: str, seq: int) -> Any:
        parent = "a" if run in CHILDREN else None
        return started(run, FLOWS[run], parent=parent) if seq == 1 else event(seq, run)


class Client:
    """Reads, and comes back with the cursor of the last event that it has kept."""

    def __init__(self, log: Log, selection: Selection) -> None:
        self._runs = OpenRuns(stores_of(log), SystemClock(), Listeners(()))
        self._selection = selection
        self._fresh: list[TreeEvent] = []
        self.kept: list[TreeEvent] = []
        self._come(START)

    def _come(self, after: TreeCursor) -> None:
        self._reader = AllEvents(self._runs, after, self._selection)

    async def read(self, step: Read) -> None:
        if step.again:
            kept = self._fresh[: step.part]
            self.kept += kept
            self._fresh = []
            after = next((e.cursor for e in reversed(self.kept) if e.message.seq is not None), START)
            while self.kept and self.kept[-1].message.seq is None:
                self.kept.pop()  # a gap has no cursor: it is told again
            self._come(TreeCursor.of(str(after)))
            assert await self._reader.begin() is None
        self._fresh += await self._reader.read()

    async def read_all(self) -> list[TreeEvent]:
        """All that this client has been sent in the end."""
        while (found := await self._reader.read()) or self._reader.is_behind:
            self._fresh += found
        return [*self.kept, *self._fresh]


def is_wanted(run: str, selection: Selection) -> bool:
    return (
        run in (selection.runs or RUNS)
        and selection.workflow in (None, FLOWS[run])
        and (selection.parent is None or run in CHILDREN)
        and (selection.admits is None or selection.admits(run, FLOWS[run]))
    )


async def check(kind: str, steps: Iterable[Say | End | Delete | Read], selection: Selection) -> None:
    async with open_log(kind) as log:
        history, client = History(log), Client(log, selection)
        for step in steps:
            await (client.read(step) if isinstance(step, Read) else history.write(step))
        seen = await client.read_all()
        places = [(e.position, e.part or 10**9) for e in seen if e.message.seq is not None]
        assert places == sorted(set(places))
        wanted = {run for run in history.last if is_wanted(run, selection)}
        assert {e.message.run_id for e in seen} <= wanted
        for run in wanted:
            mine = [e.message for e in seen if e.message.run_id == run]
            seqs = [message.seq for message in mine if message.seq is not None]
            assert seqs == sorted(set(seqs)), run
            gaps = [message.data for message in mine if isinstance(message, Notice)]
            told = {seq for gap in gaps for seq in range(gap["from"], gap["to"] + 1)}
            if run in history.deleted:
                assert {*seqs} | told == set(range(1, history.last[run] + 1)), run
                assert {gap["reason"] for gap in gaps} <= {"deleted"}
            else:
                assert (mine, gaps) == (await read_all(log, run), [])


@given(STEPS, SELECTIONS)
@settings(max_examples=150, deadline=None)
def test_a_client_has_every_event_of_its_runs_once_or_is_told(
    steps: list[Say | End | Delete | Read], selection: Selection
) -> None:
    """However commits, deletions, reads and reconnects follow each other: of the runs that are wanted every event, in
    the order of their commits, or a gap where the run was deleted; of no other run anything."""
    asyncio.run(check("memory", steps, selection))


@pytest.mark.parametrize(("kind", "examples"), [("sqlite", 40), ("without the port", 60)])
def test_the_same_of_a_file_and_of_a_log_that_only_has_all(kind: str, examples: int) -> None:
    """A log without ``RunsOrder`` gives the same, from the windows of all runs."""

    @given(STEPS, SELECTIONS)
    @settings(max_examples=examples, deadline=None)
    def law(steps: list[Say | End | Delete | Read], selection: Selection) -> None:
        asyncio.run(check(kind, steps, selection))

    law()


def test_the_same_where_a_read_gives_only_a_part_of_what_it_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one read has found may be more than it gives: the next one goes on in the middle of it."""
    monkeypatch.setattr(bounds, "READ_EVENTS", 2)

    @given(STEPS, SELECTIONS)
    @settings(max_examples=60, deadline=None)
    def law(steps: list[Say | End | Delete | Read], selection: Selection) -> None:
        asyncio.run(check("memory", steps, selection))

    law()


# --- the engine ---------------------------------------------------------------------------------------------------

talk = Workflow("talk")


@talk.task
async def say() -> str:
    return "hello"


@pytest.fixture(params=["memory", "sqlite"])
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Engine]:
    url = "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/runs.db"
    async with Engine(url, workflows=[talk], grace=0) as engine:
        yield engine


async def test_only_what_these_runs_say_wakes_a_reader(engine: Engine) -> None:
    """So that a thousand other runs cost it nothing; a run that starts later wakes it."""
    calls = count()
    stop = engine.all_events(runs=["late", "later"]).watch(lambda: next(calls) and None)
    for n in range(5):
        await (await engine.start("talk", run_id=f"other-{n}"))
    before = next(calls)
    events = engine.all_events(runs=["late", "later"])
    assert await events.read() == []
    await (await engine.start("talk", run_id="late"))
    stop()
    assert before == 0
    assert next(calls) > 1
    assert [e.message for e in await events.read()] == await read_all(engine.log, "late")


async def test_others_have_their_turn_between_the_runs_of_one_read() -> None:
    """To decide whether a run is wanted its first event may have to be decoded, and one read is about a hundred runs:
    where one takes its milliseconds, the next is decided in the next turn of the loop."""

    def slow(run_id: str, workflow: str) -> bool:
        until = perf_counter() + bounds.TURN_SECONDS
        while perf_counter() < until:
            pass
        return True

    async with open_log("memory") as log:
        for n in range(20):
            await log.append(f"r{n}", [started(f"r{n}", "w")])
        loop, turns = asyncio.get_running_loop(), count()

        def count_turn() -> None:
            next(turns)
            ticking[0] = loop.call_soon(count_turn)

        ticking = [loop.call_soon(count_turn)]
        reader = AllEvents(OpenRuns(stores_of(log), SystemClock(), Listeners(())), START, Selection(admits=slow))
        found = await reader.read()
        ticking[0].cancel()
    assert len(found) == 20
    assert next(turns) >= 19


async def test_what_is_forgotten_is_told_only_if_one_of_the_runs_may_be_among_it(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not if the log has them all; of a run that it does not have nobody knows."""
    monkeypatch.setattr(bounds, "REMOVED_RUNS", 1)
    for run_id in ("x", "y", "z", "a"):
        await (await engine.start("talk", run_id=run_id))
    for run_id in ("x", "y", "z"):
        await engine.delete(run_id)

    async def gaps(*runs: str) -> list[tuple[str, str]]:
        reader = engine.all_events(runs=runs)
        async with asyncio.timeout(PATIENCE):
            found = list[TreeEvent]()
            while (more := await reader.read()) or reader.is_behind:
                found += more
        return [(e.message.run_id, e.message.data["reason"]) for e in found if isinstance(e.message, Notice)]

    assert await gaps("a") == []
    assert await gaps("a", "z") == [("", "forgotten"), ("z", "deleted")]
    assert await gaps("x") == [("", "forgotten")]


@pytest.mark.parametrize(
    ("runs", "error", "sentence"),
    [
        ("abc", TypeError, r"runs must be a list of run ids, not .*: \['abc'\]"),
        ([], ValueError, "0 runs are named, but it must be 1 to 100"),
        ([f"r{n}" for n in range(101)], ValueError, "101 runs are named, but it must be 1 to 100"),
        (["a", "b/c"], InvalidRunId, "'b/c' is not a valid run id"),
        (["a", 7], InvalidRunId, "7 is not a valid run id"),
    ],
)
async def test_runs_that_cannot_be_are_refused(
    engine: Engine, runs: Any, error: type[Exception], sentence: str
) -> None:
    """At once, with what is wrong; an id that is given twice counts once."""
    with pytest.raises(error, match=sentence):
        engine.all_events(runs=runs)
    engine.all_events(runs=[f"r{n % 100}" for n in range(200)])
