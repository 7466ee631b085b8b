"""What a restart does with open sessions: it leaves them open, remembers their keys, and counts their silence."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reactor import (
    Budget,
    Context,
    Engine,
    Event,
    KeyReused,
    LogLost,
    RunCancelled,
    RunFailed,
    RunNotHere,
    Session,
    Workflow,
    bounds,
)
from reactor.clock import SystemClock, sleep
from reactor.events.event import Draft
from reactor.events.fold import replay
from reactor.events.state import RunState
from reactor.events.vocabulary import TERMINAL
from reactor.logs.memory import MemoryLog
from reactor.testing import FaultyLog, VirtualClock, check_event, read_all, virtual_engine
from tests.helpers.crash import RUN_ID, crashed_log
from tests.helpers.runs import PATIENCE

KINDS = pytest.mark.parametrize("kind", ["memory", "sqlite"])
BATCH: list[dict[str, Any]] = [{"type": "step", "data": {"n": n}, "task": "t"} for n in range(4)]


async def recorded(**options: Any) -> list[Event]:
    """A session with a batch under a key, an event under another one, spending and a log line; then it is closed."""
    async with Engine() as engine:
        session = await engine.session(RUN_ID, **options)
        await session.emit("first", key="one")
        await session.emit_all(BATCH, key="all")
        await session.spend(cost=0.5, task="t")
        await session.log.info("done")
        await session.close()
        return await read_all(engine.log, RUN_ID)


def check(events: Sequence[Event], state: RunState) -> None:
    for event in events:
        check_event(event)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert replay(RUN_ID, events) == state
    assert [event.type for event in events if event.type in TERMINAL] == [events[-1].type]


@KINDS
async def test_after_every_crash_the_session_goes_on(kind: str, tmp_path: Path) -> None:
    """Whatever prefix is in the log: the same call gives it, open, and its writers repeat and go on."""
    events = await recorded(meta={"a": 1}, budget=Budget(cost=2))
    for cut in range(1, len(events)):
        log = await crashed_log(kind, events[:cut], tmp_path)
        async with Engine(log, grace=0) as engine:
            session = await engine.session(RUN_ID, meta={"a": 1}, budget=Budget(cost=2))
            assert session is await engine.get(RUN_ID)
            assert session.status == "running"
            await session.emit("first", key="one")
            seqs = await session.emit_all(BATCH, key="all")
            assert await session.emit_all(BATCH, key="all") == seqs
            with pytest.raises(KeyReused):
                await session.emit_all(BATCH[:2], key="all")
            await session.emit("more")
            await session.close(outputs={"cut": cut})
            assert await session == {"cut": cut}
            after = await read_all(log, RUN_ID)
            check(after, session.state)
            assert [event.data["n"] for event in after if event.type == "step"] == [0, 1, 2, 3]
            assert [event.seq for event in after if event.type == "step"] == seqs
            assert [event.type for event in after].count("first") == 1
            assert [event.data["reason"] for event in after if event.type == "run.resumed"] == ["recovered"]


@KINDS
async def test_a_cancel_that_a_crash_cut_off_is_finished(kind: str, tmp_path: Path) -> None:
    """As of any run."""
    events = (await recorded())[:4]
    cancelling = Draft("run.cancelling", orjson.dumps({"reason": "enough", "by": None}))
    log = await crashed_log(kind, [*events, Event.from_draft(5, RUN_ID, SystemClock().now(), cancelling)], tmp_path)
    async with Engine(log, grace=0) as engine:
        session = await engine.get(RUN_ID)
        with pytest.raises(RunCancelled, match="enough"):
            await session
        check(await read_all(log, RUN_ID), session.state)


@KINDS
async def test_a_budget_that_a_crash_cut_off_still_ends_it(kind: str, tmp_path: Path) -> None:
    """``budget.exceeded`` is in the log, and the end that it leads to is not."""
    async with Engine() as engine:
        session = await engine.session(RUN_ID, budget=Budget(cost=1))
        await session.spend(cost=2)
        await session.ended()
        events = await read_all(engine.log, RUN_ID)
    cut = [event.type for event in events].index("budget.exceeded") + 1
    async with Engine(await crashed_log(kind, events[:cut], tmp_path), grace=0) as engine:
        with pytest.raises(RunFailed, match="the budget is exceeded"):
            await (await engine.get(RUN_ID))


async def test_spending_goes_on_from_what_was_spent(tmp_path: Path) -> None:
    """The sums are folded from the log."""
    events = (await recorded(budget=Budget(cost=1)))[:7]
    async with Engine(await crashed_log("sqlite", events, tmp_path), grace=0) as engine:
        session = await engine.get(RUN_ID)
        await session.spend(cost=0.4)
        await session.committed()
        assert (session.state.warned, session.state.to_dict()["cost"]) == (["cost"], 0.9)


async def test_a_session_may_be_recovered_any_number_of_times(tmp_path: Path) -> None:
    """The limit for runs that crash their process in a loop is none for it: nothing of it runs here."""
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    for _ in range(bounds.CRASH_LOOP + 5):
        async with Engine(url, grace=0) as engine:
            session = await engine.session("s1")
            await session.committed()
            assert session.status == "running"
    async with Engine(url, grace=0) as engine:
        session = await engine.session("s1")
        await session.committed()
        assert session.state.recoveries == bounds.CRASH_LOOP + 5
        await session.close()


async def test_an_engine_does_not_wait_for_sessions_that_stay_in_the_log(tmp_path: Path) -> None:
    """They do not end by themselves; its grace is for what runs here."""
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    async with virtual_engine(url, grace=1_000) as (engine, clock):
        session = await engine.session("s1")
        await session.emit("said")
    assert clock.monotonic() == 0
    with pytest.raises(RunNotHere, match="nobody in this process goes on with it"):
        session.emit("late")


async def test_what_was_said_is_in_the_log_when_the_engine_has_closed(tmp_path: Path) -> None:
    """Also of a run with tasks, and without a grace: nobody would say it again, as a body that runs again does."""
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    flow = Workflow("asks")

    @flow.task
    async def ask(ctx: Context) -> Any:
        return await ctx.receive()

    async with Engine(url, workflows=[flow], grace=0) as engine:
        session, run = await engine.session("s1"), await engine.start(flow, run_id="r1")
        for n in range(3_000):
            await session.emit("said", {"n": n})
        await session.spend(tokens=1)
        await run.emit("said")
    async with Engine(url, grace=0) as engine:
        said = [event for event in await read_all(engine.log, "s1") if event.type in ("said", "task.spent")]
        assert (len(said), said[-1].type) == (3_001, "task.spent")
        assert "said" in [event.type for event in await read_all(engine.log, "r1")]


async def test_a_log_in_memory_takes_its_sessions_with_it() -> None:
    """As its runs: after the grace, which is for whoever writes them, they are cancelled."""
    async with virtual_engine(grace=100) as (engine, clock):
        session = await engine.session("s1")
    assert clock.monotonic() == 100
    assert (session.status, session.state.reason) == ("cancelled", "shutdown")


def at(seconds: int) -> VirtualClock:
    """A clock that stands still at this many seconds after the first start of the session."""
    return VirtualClock(f"2026-01-01T00:{seconds // 60:02d}:{seconds % 60:02d}Z", jumps=False)


@pytest.mark.parametrize("restarts", [(15,), (15, 30, 45), (70,), (300,), (15, 30, 300)])
async def test_silence_is_counted_across_restarts(restarts: tuple[int, ...], tmp_path: Path) -> None:
    """From the time of the last event, the downtime too. That it was recovered was said by nobody."""
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    async with virtual_engine(url, clock=at(0), grace=0) as (engine, clock):
        session = await engine.session("s1", idle=60)
        await clock.advance(10)
        await session.emit("said")
        await session.committed()
        await clock.advance(2)
    for seconds in restarts[:-1]:
        async with virtual_engine(url, clock=at(seconds), grace=0) as (engine, clock):
            await (await engine.get("s1")).committed()
            await clock.advance(1)
            assert (await engine.get("s1")).status == "running"
    rest = max(0, 10 + 60 - restarts[-1])
    async with virtual_engine(url, clock=at(restarts[-1]), grace=0) as (engine, clock):
        session = await engine.get("s1")
        await session.committed()
        if rest:
            await clock.advance(rest - 1)
            assert session.status == "running"
        await clock.advance(1)
        await asyncio.wait_for(session.ended(), PATIENCE)
        assert (session.status, session.state.reason) == ("failed", "idle")
        check_types = [event.type for event in await read_all(engine.log, "s1")]
        assert check_types == ["run.started", "said", *["run.resumed"] * len(restarts), "run.failed"]


async def test_what_is_said_after_a_restart_begins_the_silence_anew(tmp_path: Path) -> None:
    """As before it."""
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    async with virtual_engine(url, clock=at(0), grace=0) as (engine, clock):
        await engine.session("s1", idle=60)
    async with virtual_engine(url, clock=at(50), grace=0) as (engine, clock):
        session = await engine.session("s1", idle=60)
        await session.log.info("still here")
        await session.committed()
        await clock.advance(59)
        assert session.status == "running"
        await clock.advance(1)
        await asyncio.wait_for(session.ended(), PATIENCE)
        assert session.state.reason == "idle"


async def test_wall_time_of_its_budget_leaves_the_downtime_out(tmp_path: Path) -> None:
    """As of any run."""
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    async with virtual_engine(url, clock=at(0), grace=0) as (engine, clock):
        session = await engine.session("s1", budget=Budget(seconds=60))
        await clock.advance(10)
        await session.emit("said")
        await session.committed()
    for seconds in (100, 200):
        async with virtual_engine(url, clock=at(seconds), grace=0) as (engine, clock):
            session = await engine.get("s1")
            await session.committed()
            await clock.advance(10)
            await session.emit("said")
            await session.committed()
    async with virtual_engine(url, clock=at(300), grace=0) as (engine, clock):
        session = await engine.get("s1")
        await session.committed()
        await clock.advance(20)
        await session.committed()  # the warning: time must not pass while the log, in its thread, takes it
        await clock.advance(9)
        assert session.status == "running"
        await clock.advance(1)
        await asyncio.wait_for(session.ended(), PATIENCE)
        assert session.state.exceeded == ["seconds"]


# --- a log that fails -------------------------------------------------------------------------------------------


async def test_a_session_whose_log_failed_is_taken_up_again() -> None:
    """Who said something is told that it is lost; said again with its key it is there once, and the rest goes on."""
    log = FaultyLog(MemoryLog(), fails=["s1"], after=2)
    async with virtual_engine(log, grace=0) as (engine, _):
        session = await engine.session("s1", meta={"a": 1})
        assert await session.emit_all([{"type": "said"}], key="k1") == [2]
        with pytest.raises(LogLost):
            await session.emit_all(BATCH, key="k2")
        with pytest.raises(LogLost):
            session.emit("late")
        log.fails = frozenset()
        taken_up = await _taken_up(engine, session)
        assert isinstance(taken_up, Session)
        assert await taken_up.emit_all([{"type": "said"}], key="k1") == [2]
        assert await taken_up.emit_all(BATCH, key="k2") == [4, 5, 6, 7]
        await taken_up.close()
        types = [event.type for event in await read_all(engine.log, "s1")]
        assert types == ["run.started", "said", "run.resumed", *["step"] * 4, "run.completed"]


async def _taken_up(engine: Engine, lost: object) -> object:
    for _ in range(1_000):
        found = await engine.get("s1")
        if found is not lost and found.feed.closed is None:
            return found
        await sleep(engine.clock, 1)
    raise AssertionError("the session was not taken up")


# --- keys and crashes -------------------------------------------------------------------------------------------

WRITES = st.lists(st.tuples(st.integers(0, 9), st.integers(1, 5)), min_size=1, max_size=12)
"""What is emitted: number of the key, and how many events."""


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(writes=WRITES, cuts=st.lists(st.floats(0, 1), max_size=3))
async def test_writers_who_repeat_after_crashes_are_never_doubled(
    writes: list[tuple[int, int]], cuts: list[float], tmp_path: Path
) -> None:
    """The log is cut anywhere, also in the middle of a batch; they say all of it again; all is there once, in order."""
    wanted = dict(reversed(writes))  # each key is for one thing: what it was used for first
    log = await crashed_log("memory", [], tmp_path)
    for cut in [*cuts, None]:
        async with Engine(log, grace=0) as engine:
            session = await engine.session(RUN_ID)
            for key, _ in writes:
                batch = [{"type": "said", "data": {"key": key, "n": n}} for n in range(wanted[key])]
                await session.emit_all(batch, key=f"k{key}")
            events = await read_all(log, RUN_ID)
            if cut is None:
                await session.close()
                check(await read_all(log, RUN_ID), session.state)
        if cut is not None:
            log = await crashed_log("memory", events[: 1 + int(cut * (len(events) - 1))], tmp_path)
    said: dict[int, list[int]] = {}
    for event in events:
        if event.type == "said":
            said.setdefault(event.data["key"], []).append(event.data["n"])
    assert said == {key: list(range(count)) for key, count in wanted.items()}
