"""A log that fails for a while: its runs are lost, and taken up again in the same process once it answers."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp.test_utils import TestServer

import reactor_web
from reactor import Context, Engine, Event, LogLost, Retry, Run, Workflow
from reactor.bounds import RETAKE_FIRST_SECONDS, RETAKE_MOST_SECONDS
from reactor.errors import RunEnded
from reactor.logs.memory import MemoryLog
from reactor.logs.sqlite.log import SqliteLog
from reactor.ports.stores import Log
from reactor.testing import FaultyLog, LogAround, VirtualClock, read_all, virtual_engine
from reactor_web.client.follow import follow_url
from tests.helpers.crash import check_laws
from tests.helpers.events import data_of, of_type, only, story
from tests.helpers.log_lines import log_lines
from tests.helpers.paths import ROOT
from tests.helpers.runs import PATIENCE, open_run, result, wait_for_event, wait_until

HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
connection.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.readline()
connection.execute("COMMIT")
"""


@contextmanager
def held_by_another(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process has the exclusive lock on a file, until a line is written to it."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        yield holder
    finally:
        holder.communicate("\n", timeout=PATIENCE)


class Steps:
    """``first`` -> ``second`` -> ``last``; second waits for ``go`` after its first words. Notes which bodies ran."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.go = asyncio.Event()
        self.flow = flow = Workflow("steps")

        @flow.task
        async def first() -> int:
            self.ran.append("first")
            return 1

        @flow.task
        async def second(first: int, ctx: Context) -> int:
            self.ran.append("second")
            await ctx.emit("word.said", {"attempt": ctx.attempt})
            await self.go.wait()
            await ctx.emit("word.said", {"attempt": ctx.attempt})
            return first + 1

        @flow.task
        async def last(second: int) -> int:
            self.ran.append("last")
            return second + 1


async def goes_on(engine: Engine, run_id: str) -> Run:
    """The run once it has been taken up."""
    return await open_run(engine, run_id)


async def log_of(engine: Engine, run_id: str) -> list[Event]:
    events = await read_all(engine.log, run_id)
    check_laws(events)
    return events


# --- a lock of another process -------------------------------------------------------------------------------------


async def test_sqlite_waits_for_a_foreign_lock_as_long_as_the_engine_for_an_append(tmp_path: Path) -> None:
    """It gave up after 5 seconds, whatever append_timeout was: a lock of 7 seconds lost the run."""
    log = SqliteLog(tmp_path / "runs.db")
    async with Engine(log, append_timeout=7.5):
        for thread in (log._writing, log._reading):
            (milliseconds,) = (
                await thread.ask(lambda connection: connection.execute("PRAGMA busy_timeout"))
            ).fetchone()
            assert milliseconds == 7_500


async def test_a_lock_that_is_shorter_than_append_timeout_loses_nothing(tmp_path: Path) -> None:
    """The window waits for the lock of another process, and the run goes on."""
    path, steps = tmp_path / "runs.db", Steps()
    async with Engine(f"sqlite:///{path}", workflows=[steps.flow]) as engine:
        run = await engine.start(steps.flow, run_id="r")
        await wait_for_event(run, "word.said")
        with held_by_another(path):
            steps.go.set()
            await asyncio.sleep(0.3)
            assert run.state.seq == only(await read_all(engine.log, "r"), "word.said").seq
        assert await result(run) == {"last": 3}
        events = await log_of(engine, "r")
    assert of_type(events, "run.resumed") == []
    assert steps.ran == ["first", "second", "last"]


async def test_a_run_that_was_lost_to_a_lock_ends_once_the_lock_is_gone(tmp_path: Path) -> None:
    """Another process holds the file longer than append_timeout: LogLost, then this process goes on."""
    path, steps = tmp_path / "runs.db", Steps()
    async with Engine(f"sqlite:///{path}", workflows=[steps.flow], append_timeout=1.0) as engine:
        run = await engine.start(steps.flow, run_id="r")
        await wait_for_event(run, "word.said")
        with held_by_another(path):
            steps.go.set()
            with pytest.raises(LogLost, match="run r was lost"):
                await result(run)
            assert engine.log_problem is not None
            with pytest.raises(LogLost, match=r"goes on as soon as the log answers"):
                await run.cancel()
            lost = await engine.get("r")
            assert lost.status == "running"
            with pytest.raises(LogLost):
                await lost.pause()
            with pytest.raises(LogLost, match="was lost"):
                await engine.cancel("r")
            await asyncio.sleep(2)  # SQLite has given up too: the window is not in the file
        again = await goes_on(engine, "r")
        assert await result(again) == {"last": 3}
        events = await log_of(engine, "r")
        assert engine.log_problem is None
    assert of_type(events, "run.resumed")  # twice, where the disk needs a second to answer again
    # the body of last began before the end of second was in the log, and that end is lost
    assert steps.ran == ["first", "second", "last", "second", "last"]
    assert story(events, "task.completed") == [
        ("task.completed", "first", 1), ("task.completed", "second", 2), ("task.completed", "last", 1)
    ]  # fmt: skip


@pytest.mark.slow
async def test_the_defaults_bear_a_lock_of_seven_seconds(tmp_path: Path) -> None:
    """The finding as it was reported: 7 s of a foreign lock, and the run simply goes on."""
    path, steps = tmp_path / "runs.db", Steps()
    async with Engine(f"sqlite:///{path}", workflows=[steps.flow]) as engine:
        run = await engine.start(steps.flow, run_id="r")
        await wait_for_event(run, "word.said")
        with held_by_another(path):
            steps.go.set()
            await asyncio.sleep(7)
        assert await result(run) == {"last": 3}


# --- over HTTP -----------------------------------------------------------------------------------------------------


async def test_over_http_commands_are_503_and_a_client_follows_on_without_gap_or_double(tmp_path: Path) -> None:
    """stream.closing {log}, Retry-After for commands; the client that comes back gets each event once, to the end."""
    steps = Steps()
    log = FaultyLog(SqliteLog(tmp_path / "runs.db"))
    engine = Engine(log, workflows=[steps.flow], append_timeout=0.1)
    server = TestServer(reactor_web.create_app(engine), host="127.0.0.1")
    seqs: list[int] = []
    sentences: list[str] = []
    async with server, aiohttp.ClientSession() as session, asyncio.timeout(PATIENCE):
        run = await engine.start(steps.flow, run_id="r")
        url = f"http://127.0.0.1:{server.port}/api/v1/runs/r"

        async def read() -> str:
            async with aclosing(follow_url(f"{url}/events", session=session, on_connection=sentences.append)) as frames:
                async for frame in frames:
                    if frame.event == "stream.end":
                        return str(orjson.loads(frame.data)["data"]["status"])
                    seqs.append(orjson.loads(frame.data)["seq"])
            raise AssertionError("no end")

        reading = asyncio.create_task(read())
        await wait_for_event(run, "word.said")
        log.hangs.add("r")
        steps.go.set()
        with pytest.raises(LogLost):
            await run
        headers = {"Content-Type": "application/json"}
        for command in ("cancel", "pause", "resume", "input"):
            body = b'{"task": "second", "value": 1}' if command == "input" else b"{}"
            async with session.post(f"{url}/{command}", data=body, headers=headers) as response:
                assert response.status == 503, await response.text()
                assert response.headers["Retry-After"] == "1"
                assert "as soon as the log answers" in (await response.json())["detail"]
        async with session.get(url) as response:
            assert (await response.json())["status"] == "running"
        await wait_until(lambda: any("the server closes: log" in sentence for sentence in sentences))
        log.release()
        assert await reading == "completed"
        events = await log_of(engine, "r")
    assert seqs == [event.seq for event in events]
    assert len(of_type(events, "run.resumed")) == 1


# --- a log that hangs ----------------------------------------------------------------------------------------------


async def test_a_run_waits_for_the_answer_to_its_last_append_however_late_it_is() -> None:
    """What hung may still be written: a run that went on before would number other events with the same seqs."""
    steps, log = Steps(), FaultyLog(MemoryLog())
    async with virtual_engine(log, workflows=[steps.flow]) as (engine, clock):  # its windows are the same at each run
        run = await engine.start(steps.flow, run_id="r")
        await wait_for_event(run, "word.said")
        log.hangs.add("r")
        steps.go.set()
        with pytest.raises(LogLost, match="run r was lost"):
            await result(run)
        await clock.advance(3_600)
        assert (await engine.get("r")).feed.closed == "log"
        assert log.held == 1, "it was tried again, although nobody knows where it ends in the log"
        log.release()
        again = await goes_on(engine, "r")
        assert await result(again) == {"last": 3}
        events = await log_of(engine, "r")
    resumed = only(events, "run.resumed").seq
    hung = [event for event in events if run.state.seq < event.seq < resumed]
    assert [event.type for event in hung] == ["word.said", "task.completed", "task.started"]  # they are in the log
    assert steps.ran == ["first", "second", "last", "last"]  # second's end is in the log, so it does not run again


async def test_a_run_whose_last_window_came_into_the_log_after_all_has_ended() -> None:
    """The terminal event was what hung: nothing runs again, and the run is found as it ended."""
    steps, clock = Steps(), VirtualClock()
    log = FaultyLog(MemoryLog(), hangs={"r"}, after=5)
    steps.go.set()
    async with Engine(log, workflows=[steps.flow], clock=clock) as engine:
        run = await engine.start(steps.flow, run_id="r")
        with pytest.raises(LogLost):
            await result(run)
        log.release()
        await clock.advance(60)
        again = await engine.get("r")
        if again.status != "completed":  # the end was in the window after the one that hung
            assert await result(again) == {"last": 3}
        with pytest.raises(RunEnded):
            await again.cancel()
        await log_of(engine, "r")
    assert steps.ran.count("first") == 1


class Counting(LogAround):
    """Refuses all windows while it is told to, and notes when each was tried."""

    def __init__(self, inner: Log, clock: VirtualClock) -> None:
        super().__init__(inner)
        self.clock = clock
        self.refuses = False
        self.tried: list[float] = []

    def append(self, run_id: str, window: Any, *, tenant: str = "") -> asyncio.Future[int]:
        if not self.refuses:
            return super().append(run_id, window, tenant=tenant)
        self.tried.append(self.clock.monotonic())
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        done.set_exception(OSError("no space left"))
        return done


async def test_the_pauses_grow_up_to_a_bound_and_no_body_runs_before_the_log_answers() -> None:
    """By the engine's clock: half a second, then twice as long each time, at most 30; one window is tried each time."""
    steps, clock = Steps(), VirtualClock()
    log = Counting(MemoryLog(), clock)
    async with Engine(log, workflows=[steps.flow], clock=clock) as engine:
        run = await engine.start(steps.flow, run_id="r")
        await wait_for_event(run, "word.said")
        log.refuses = True
        steps.go.set()
        with pytest.raises(LogLost):
            await result(run)
        ran = list(steps.ran)
        await clock.advance(200)
        assert len(log.tried) >= 10
        assert steps.ran == ran
        log.refuses = False
        again = await goes_on(engine, "r")
        assert await result(again) == {"last": 3}
        events = await log_of(engine, "r")
    pauses = [later - earlier for earlier, later in zip(log.tried, log.tried[1:], strict=False)]
    assert pauses[:6] == pytest.approx([RETAKE_FIRST_SECONDS * 2**k for k in range(6)])
    assert max(pauses) == RETAKE_MOST_SECONDS
    assert len(of_type(events, "run.resumed")) == 1
    assert steps.ran == [*ran, "second", "last"]


async def test_one_run_that_is_refused_for_ever_holds_up_no_other() -> None:
    """Each lost run waits for itself: the one whose windows go through again goes on at once."""
    good, bad, clock = Steps(), Steps(), VirtualClock()
    log = FaultyLog(MemoryLog(), fails={"good", "bad"}, after=4)
    async with Engine(log, clock=clock, grace=0) as engine:
        runs = [await engine.start(steps.flow, run_id=id) for steps, id in ((good, "good"), (bad, "bad"))]
        good.go.set()
        bad.go.set()
        for run in runs:
            with pytest.raises(LogLost):
                await result(run)
        log.fails = frozenset({"bad"})
        assert await result(await goes_on(engine, "good")) == {"last": 3}
        assert (await engine.get("bad")).feed.closed == "log"


async def test_a_run_that_never_came_into_the_log_is_forgotten_and_its_id_is_free() -> None:
    """Until it is known whether its start is in the log, its id is neither a run nor free."""
    steps, clock = Steps(), VirtualClock()
    steps.go.set()
    log = FaultyLog(MemoryLog(), fails={"r"}, hangs={"h"})
    async with Engine(log, workflows=[steps.flow], clock=clock) as engine:
        for id in ("r", "h"):
            with pytest.raises(LogLost, match="did not take events 1 to"):
                await engine.start(steps.flow, run_id=id)
        with pytest.raises(LogLost, match="waits for its log"):
            await engine.start(steps.flow, run_id="h")
        with pytest.raises(LogLost, match="waits for its log"):
            await engine.get("h")
        await clock.advance(60)
        log.fails = frozenset()
        assert await result(await engine.start(steps.flow, run_id="r")) == {"last": 3}
        log.release()
        assert await result(await goes_on(engine, "h")) == {"last": 3}
        for id in ("r", "h"):
            await log_of(engine, id)


async def test_an_engine_that_closes_leaves_its_lost_runs_to_the_next_one(tmp_path: Path) -> None:
    """A pause of half a minute does not hold up the end, and nothing is tried after it."""
    steps = Steps()
    path = tmp_path / "runs.db"
    log = FaultyLog(SqliteLog(path), hangs={"r"}, after=4)
    async with Engine(log, workflows=[steps.flow], append_timeout=0.05, grace=0) as engine:
        run = await engine.start(steps.flow, run_id="r")
        steps.go.set()
        with pytest.raises(LogLost):
            await result(run)
    async with Engine(f"sqlite:///{path}", workflows=[steps.flow]) as engine:
        assert await result(await engine.get("r")) == {"last": 3}
        await log_of(engine, "r")


async def test_a_bug_in_the_engine_is_not_taken_for_a_failing_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such a run would fail again for ever: it is left, and says why."""
    steps = Steps()

    def broken(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("of the engine")

    monkeypatch.setattr("reactor.runs.execution.terminal_draft", broken)
    steps.go.set()
    with log_lines():
        async with Engine(workflows=[steps.flow], grace=0) as engine:
            run = await engine.start(steps.flow, run_id="r")
            with pytest.raises(LogLost):
                await result(run)
            assert engine.not_recovered == {"r": "a bug in the engine ended it: ZeroDivisionError: of the engine"}
            assert (await engine.get("r")).feed.closed == "not_recovered"


# --- what a run was about ------------------------------------------------------------------------------------------


async def test_a_lost_run_takes_up_its_answers_its_pause_and_the_rest_of_a_delay() -> None:
    """Nobody is asked twice, a paused run stays paused, a retry waits the rest of its delay."""
    flow, clock = Workflow("long"), VirtualClock()
    failures: list[float] = []

    @flow.task
    async def asks(ctx: Context) -> list[Any]:
        return [await ctx.receive("one?"), await ctx.receive("two?")]

    @flow.task(retry=Retry(attempts=2, delay=600, jitter=0, max_delay=3600))
    async def flaky(ctx: Context) -> int:
        failures.append(clock.monotonic())
        if len(failures) == 1:
            raise ValueError("again")
        return ctx.attempt

    log = FaultyLog(MemoryLog())
    clock = VirtualClock(jumps=False)
    async with Engine(log, workflows=[flow], clock=clock) as engine:
        run = await engine.start(flow, run_id="r")
        await wait_for_event(run, "task.retrying")
        await run.send("asks", 1)
        await wait_for_event(run, "task.waiting", count=2)
        await run.pause(reason="lunch")
        log.fails = frozenset({"r"})
        with pytest.raises(LogLost):
            await run.send("asks", 2)
        log.fails = frozenset()
        started = asyncio.create_task(goes_on(engine, "r"))
        await clock.advance(1)
        again = await started
        assert again.status == "paused"
        await again.resume()
        await again.send("asks", 2)
        await clock.advance(598)
        assert len(failures) == 1
        await clock.advance(5)
        assert await result(again) == {"asks": [1, 2], "flaky": 2}
        events = await log_of(engine, "r")
    assert failures[1] - failures[0] == pytest.approx(600, abs=2)
    assert [data["value"] for data in data_of(events, "task.received")] == [1, 2]


async def test_a_cancel_that_was_under_way_is_finished() -> None:
    """The log fails after run.cancelling: taken up again, the run is cancelled and starts nothing."""
    steps, clock = Steps(), VirtualClock()
    log = FaultyLog(MemoryLog())
    async with Engine(log, workflows=[steps.flow], clock=clock) as engine:
        run = await engine.start(steps.flow, run_id="r")
        cancelling = (await wait_for_event(run, "word.said")).seq + 1
        log.fails, log.after = frozenset({"r"}), cancelling
        with pytest.raises(LogLost):
            await run.cancel()
        log.fails = frozenset()
        again = await goes_on(engine, "r")
        assert (await asyncio.wait_for(again.ended(), PATIENCE)).status == "cancelled"
        await log_of(engine, "r")
    assert steps.ran == ["first", "second"]


def family(steps: Steps) -> Workflow:
    flow = Workflow("family")

    @flow.task
    async def parent(ctx: Context) -> Any:
        return await ctx.run(steps.flow, {})

    return flow


CHILD = "r.parent.1"


@pytest.mark.parametrize("who", [{"r"}, {CHILD}, {"r", CHILD}], ids=["parent", "child", "both"])
async def test_parent_and_child_find_each_other_again(who: set[str]) -> None:
    """Whichever of them is lost: the child is one run, asked for again by its parent, and both end."""
    steps, clock = Steps(), VirtualClock()
    flow = family(steps)
    log = FaultyLog(MemoryLog())
    async with Engine(log, workflows=[flow, steps.flow], clock=clock) as engine:
        run = await engine.start(flow, run_id="r")
        child = await open_run(engine, CHILD)
        await wait_for_event(child, "word.said")
        log.fails = frozenset(who)
        if "r" in who:
            with pytest.raises(LogLost):
                await run.pause()
        steps.go.set()
        if CHILD in who:
            with pytest.raises(LogLost):
                await result(child)
        log.fails = frozenset()
        top = await goes_on(engine, "r") if "r" in who else run
        assert await result(top) == {"parent": {"last": 3}}
        await log_of(engine, "r")
        events = await log_of(engine, CHILD)
        assert [record.run_id for record in await engine.list(parent="r")] == [CHILD]
    assert steps.ran.count("first") == 1
    assert len(of_type(events, "run.resumed")) == (1 if CHILD in who or "r" in who else 0)


# --- a process that stands still -----------------------------------------------------------------------------------

STOPPED = """
import asyncio, sys
from pathlib import Path
from reactor import Context, Engine, Workflow
from reactor.logs.sqlite.log import SqliteLog
from reactor.testing import SlowLog

flow = Workflow("talk")

@flow.task
async def talk(ctx: Context) -> int:
    for number in range(12):
        await ctx.emit("number.said", {"number": number})
        await ctx.committed()
    return 12

async def main() -> None:
    log = SlowLog(SqliteLog(Path(sys.argv[1])), 0.3)  # nearly always an append is under way
    async with Engine(log, append_timeout=1.2) as engine:
        run = await engine.start(flow)
        print("begun", flush=True)
        print(await run, flush=True)

asyncio.run(main())
"""


@pytest.mark.slow
def test_a_process_that_was_stopped_does_not_blame_its_log(tmp_path: Path) -> None:
    """SIGSTOP for longer than append_timeout, twice, SIGCONT: the run completes, for the log was never slow."""
    process = subprocess.Popen(
        [sys.executable, "-c", STOPPED, str(tmp_path / "runs.db")],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "begun\n"
        for _ in range(2):
            process.send_signal(signal.SIGSTOP)
            subprocess.run(["sleep", "1.7"], check=True)
            process.send_signal(signal.SIGCONT)
            subprocess.run(["sleep", "0.5"], check=True)
        out, err = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    assert out == "{'talk': 12}\n", err
    connection = sqlite3.connect(tmp_path / "runs.db")
    assert connection.execute("SELECT status FROM runs").fetchall() == [("completed",)]
    connection.close()
