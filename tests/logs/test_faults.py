"""What a full disk, a bad window or a log that hangs does to runs: only what is in the log is ever seen."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import aiohttp
import orjson
import pytest
from aiohttp.test_utils import TestServer

import reactor_web
from reactor import Context, Engine, LogLost, Workflow
from reactor.events.event import Event
from reactor.logs.memory import MemoryLog
from reactor.logs.sqlite.log import SqliteLog
from reactor.testing import FaultyLog, VirtualClock
from reactor_web.sse.parser import Parser
from tests.helpers.connections import on_connect
from tests.helpers.runs import PATIENCE, wait_for_event

WORDS = 20


class Disk(NamedTuple):
    """A folder with room for about four megabytes, until ``grow``."""

    folder: Path
    grow: Callable[[], None]


@pytest.fixture(params=["tmpfs", "page limit"])
def disk(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    """A real small file system where mounting is allowed; and SQLite's own limit, which fails the same way."""
    if request.param == "page limit":

        def limit(connection: sqlite3.Connection) -> sqlite3.Connection:
            connection.execute("PRAGMA max_page_count = 1000")
            return connection

        on_connect(monkeypatch, limit)
        yield Disk(tmp_path, monkeypatch.undo)
        return
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a tmpfs is not permitted")
    try:
        yield Disk(folder, lambda: _run("mount", "-o", "remount,size=64m", str(folder)))
    finally:
        _run("umount", "-l", str(folder))


def _run(*command: str) -> None:
    subprocess.run(command, check=True)


class Workflows(NamedTuple):
    """greedy says ``WORDS``; once ``full`` it has an output that no small disk takes. modest says a word once ``go``.

    So what is left of the disk is room enough for modest, however the events of greedy came into windows.
    """

    greedy: Workflow
    modest: Workflow
    full: asyncio.Event
    enough: asyncio.Event
    """From now on the output of greedy is small."""
    go: asyncio.Event


def workflows() -> Workflows:
    greedy, modest = Workflow("greedy"), Workflow("modest")
    full, enough, go = asyncio.Event(), asyncio.Event(), asyncio.Event()

    @greedy.task
    async def first() -> int:
        return 1

    @greedy.task
    async def fill(first: int, ctx: Context) -> str:
        for _ in range(WORDS):
            await ctx.emit("bytes.made", {"text": "x" * 40_000})
        await full.wait()
        return "full" if enough.is_set() else "x" * 8_000_000

    @modest.task
    async def word() -> str:
        await go.wait()
        return "here"

    return Workflows(greedy, modest, full, enough, go)


async def everything(log: SqliteLog, run_id: str) -> list[Event]:
    events: list[Event] = []
    while page := await log.read(run_id, len(events), 1_000):
        events += page
    return events


async def test_a_full_disk_ends_the_run_here_and_the_next_start_goes_on(disk: Disk) -> None:
    """LogLost, stream.closing {log}, the committed prefix readable, small runs done; with space, recovery completes."""
    flows = workflows()
    path = disk.folder / "runs.db"
    still = VirtualClock(jumps=False)  # else the lost run is taken up again, and fills the disk anew
    engine = Engine(f"sqlite:///{path}", workflows=[flows.greedy, flows.modest], grace=0.0, clock=still)
    server = TestServer(reactor_web.create_app(engine), host="127.0.0.1")
    async with server, aiohttp.ClientSession() as session, asyncio.timeout(PATIENCE):
        modest = await engine.start(flows.modest, run_id="modest")
        greedy = await engine.start(flows.greedy, run_id="greedy")
        async with session.get(f"http://127.0.0.1:{server.port}/api/v1/runs/greedy/events") as response:
            await wait_for_event(greedy, "bytes.made", count=WORDS)
            flows.full.set()
            with pytest.raises(LogLost, match="greedy"):
                await greedy
            frames = Parser(sticky_id=False).feed(await response.read())
        flows.go.set()
        assert await modest == {"word": "here"}
        assert isinstance(engine.log, SqliteLog)
        committed = await everything(engine.log, "greedy")

    assert frames[-1].event == "stream.closing"
    assert orjson.loads(frames[-1].data)["data"]["reason"] == "log"
    assert [frame.data.encode() for frame in frames[:-1]] == [event.json for event in committed]
    assert [event.seq for event in committed] == list(range(1, len(committed) + 1))
    assert [event.type for event in committed].count("bytes.made") == WORDS
    assert committed[-1].type == "bytes.made"

    disk.grow()
    flows.enough.set()
    async with Engine(f"sqlite:///{path}", workflows=[flows.greedy, flows.modest]) as engine, asyncio.timeout(PATIENCE):
        assert await (await engine.get("greedy")) == {"fill": "full"}
        assert isinstance(engine.log, SqliteLog)
        events = await everything(engine.log, "greedy")
        assert events[: len(committed)] == committed
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        assert [event.type for event in events].count("run.resumed") == 1
        assert [event.task_id for event in events if event.type == "task.started"] == ["first", "fill", "fill"]
        assert (await engine.get("modest")).status == "completed"


@pytest.mark.parametrize("kind", ["ABORT", "ROLLBACK"])
async def test_a_run_whose_window_fails_takes_no_other_run_of_the_commit_with_it(kind: str, tmp_path: Path) -> None:
    """Ten runs end in one group commit and the window of one is refused: nine complete, one raises LogLost."""
    flows = workflows()
    path = tmp_path / "runs.db"
    async with Engine(f"sqlite:///{path}") as engine, asyncio.timeout(PATIENCE):
        runs = [await engine.start(flows.modest, run_id=f"r{i}") for i in range(10)]
        while any(run.state.seq < 2 for run in runs):
            await asyncio.sleep(0.01)
        visitor = sqlite3.connect(path, isolation_level=None)
        visitor.execute(
            "CREATE TRIGGER refuse BEFORE INSERT ON windows"
            " WHEN (SELECT run_id FROM runs WHERE id = NEW.run) = 'r5'"
            f" BEGIN SELECT RAISE({kind}, 'no place for r5'); END"
        )
        visitor.execute("BEGIN IMMEDIATE")  # until it ends, windows wait: they will be one transaction
        flows.go.set()
        while any(run.state.seq < 2 for run in runs):
            await asyncio.sleep(0)
        visitor.execute("COMMIT")
        outcomes = await asyncio.gather(*(run.ended() for run in runs), return_exceptions=True)
        lost = [run.id for run, outcome in zip(runs, outcomes, strict=True) if isinstance(outcome, LogLost)]
        assert lost == ["r5"]
        assert {run.status for run in runs if run.id != "r5"} == {"completed"}
        assert [record.run_id for record in await engine.log.unfinished()] == ["r5"]
        visitor.execute("DROP TRIGGER refuse")
        visitor.close()
    async with Engine(f"sqlite:///{path}", workflows=[flows.modest]) as engine, asyncio.timeout(PATIENCE):
        assert await (await engine.get("r5")) == {"word": "here"}


async def test_while_the_log_hangs_nothing_is_published(tmp_path: Path) -> None:
    """What waits for the log is seen by nobody; once it answers, everything arrives in order."""
    flows = workflows()
    log = FaultyLog(SqliteLog(tmp_path / "runs.db"))
    async with Engine(log) as engine, asyncio.timeout(PATIENCE):
        run = await engine.start(flows.modest, run_id="r")
        other = await engine.start(flows.modest, run_id="other")
        while run.state.seq < 2:
            await asyncio.sleep(0)
        seen: list[int | None] = []
        run.events.subscribe(lambda message: seen.append(message.seq))
        log.hangs.add("r")
        flows.go.set()
        assert await other == {"word": "here"}
        for _ in range(100):
            await asyncio.sleep(0)
        assert run.state.seq == 2
        assert seen == [1, 2]
        assert run.status == "running"
        log.release()
        assert await run == {"word": "here"}
        await asyncio.sleep(0)
        assert seen == [1, 2, 3, 4]


async def test_a_log_that_does_not_answer_in_time_loses_the_run_and_its_late_answer_is_not_published() -> None:
    """After append_timeout the run ends in this process; what the log takes later is for the next start."""
    flows = workflows()
    log = FaultyLog(MemoryLog())
    async with Engine(log, append_timeout=0.05) as engine, asyncio.timeout(PATIENCE):
        run = await engine.start(flows.modest, run_id="r")
        while run.state.seq < 2:
            await asyncio.sleep(0)
        log.hangs.add("r")
        flows.go.set()
        with pytest.raises(LogLost, match="run r"):
            await run
        log.release()
        for _ in range(10):
            await asyncio.sleep(0)
        assert run.state.seq == 2
        assert [event.seq for event in await log.read("r", 0, 10)] == [1, 2, 3, 4]
