"""A log that has failed and is well again: ``/readyz`` says so by itself, whether a run is open or not."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from reactor import Context, Engine, LogLost, Workflow
from reactor.bounds import LOG_PROBE_SECONDS
from reactor.logs.memory import MemoryLog
from reactor.logs.sqlite.log import SqliteLog
from reactor.testing import FaultyLog, LogAround, VirtualClock
from tests.helpers.log_lines import log_lines
from tests.helpers.runs import PATIENCE, wait_until
from tests.helpers.server import Server, serving

PROBE_SECONDS = 0.1


@pytest.fixture
def probed_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reactor.logs.probing.LOG_PROBE_SECONDS", PROBE_SECONDS)


def talking() -> Workflow:
    """Says much, 600 KB of it, before it asks for the second time whether to stop."""
    flow = Workflow("talking")

    @flow.task
    async def talk(ctx: Context) -> str:
        while not await ctx.receive("stop?", schema={"type": "boolean"}):
            for _ in range(30):
                await ctx.emit("thing.said", {"text": "x" * 20_000})
        return "stopped"

    return flow


async def is_ready(server: Server) -> bool:
    before = server.engine.log_problem is None
    status, body = await server.get("/readyz")
    assert status in (200, 503)
    assert (status == 200) in (before, server.engine.log_problem is None), body  # it may change meanwhile
    return status == 200


async def becomes(server: Server, ready: bool) -> None:
    async with asyncio.timeout(PATIENCE):
        while await is_ready(server) != ready:
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("has_run", [True, False], ids=["a run is open", "no run is open"])
@pytest.mark.usefixtures("probed_often")
async def test_a_server_is_ready_again_once_the_lock_on_its_file_is_gone(has_run: bool, tmp_path: Path) -> None:
    """Another process held it longer than ``append_timeout``. Nobody starts a run, and nobody says anything."""
    path = tmp_path / "runs.db"
    async with serving(Engine(f"sqlite:///{path}", append_timeout=0.2, grace=0), talking()) as server:
        engine, other = server.engine, sqlite3.connect(path, isolation_level=None)
        run = await engine.start("talking", run_id="r") if has_run else None
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LogLost):
            await (engine.start("talking") if run is None else run.send("talk", False))
        assert not await is_ready(server)
        await asyncio.sleep(3 * PROBE_SECONDS)
        assert not await is_ready(server)
        other.execute("ROLLBACK")
        other.close()
        await becomes(server, True)
        if run is not None:
            await wait_until(lambda: engine.open_runs == 1)
            again = await engine.get("r")
            await again.send("talk", True)
            assert await asyncio.wait_for(again, PATIENCE) == {"talk": "stopped"}


async def _limit(log: SqliteLog, pages: int) -> None:
    """Gives the file room for so many pages more: SQLite fails then as on a full disk."""

    def limit(connection: sqlite3.Connection) -> None:
        (now,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {now + pages}")

    await log._writing.ask(limit)


@pytest.mark.parametrize("has_run", [True, False], ids=["a run is open", "no run is open"])
@pytest.mark.usefixtures("probed_often")
async def test_a_server_is_ready_again_once_its_disk_has_room(has_run: bool, tmp_path: Path) -> None:
    """As long as it has room for a row but for no window it is not ready."""
    async with serving(Engine(f"sqlite:///{tmp_path / 'runs.db'}", grace=0), talking()) as server:
        engine = server.engine
        assert isinstance(engine.log, SqliteLog)
        run = await engine.start("talking", run_id="r")
        await _limit(engine.log, 20)
        await run.send("talk", False)
        with pytest.raises(LogLost):
            await asyncio.wait_for(run, PATIENCE)
        if not has_run:
            await engine._tenants.default.recovery.retaking.close()  # nobody goes on with it
        assert not await is_ready(server)
        await asyncio.sleep(3 * PROBE_SECONDS)
        assert not await is_ready(server)
        await _limit(engine.log, 1_000_000)
        await becomes(server, True)


class Down(FaultyLog):
    """Fails everything while it is down."""

    is_down = False
    probes = 0

    async def probe(self) -> None:
        self.probes += 1
        if self.is_down:
            raise OSError("no space left")


async def test_it_is_asked_once_in_a_while_and_not_any_more_once_it_is_well() -> None:
    """In virtual time: a probe each ``LOG_PROBE_SECONDS`` while it fails; one line when it is well."""
    log, clock = Down(MemoryLog(), fails=["r"]), VirtualClock(jumps=False)
    async with Engine(log, clock=clock, workflows=[talking()], grace=0) as engine:
        with log_lines() as lines:
            log.is_down = True
            with pytest.raises(LogLost):
                await engine.start("talking", run_id="r")
            await clock.advance(10 * LOG_PROBE_SECONDS)
            assert (log.probes, engine.log_problem is None) == (10, False)
            log.is_down = False
            await clock.advance(LOG_PROBE_SECONDS)
            assert (log.probes, engine.log_problem) == (11, None)
            await clock.advance(100.0)
            assert log.probes == 11
        assert [line for line in lines if "can be written again" in str(line)]


async def test_a_log_that_cannot_be_asked_counts_as_well_after_it_has_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not before: an append that hangs is no answer."""
    log, clock = FaultyLog(MemoryLog(), hangs=["r"]), VirtualClock(jumps=False)
    monkeypatch.delattr(LogAround, "probe")
    async with Engine(log, clock=clock, workflows=[talking()], grace=0, append_timeout=2) as engine:
        starting = asyncio.ensure_future(engine.start("talking", run_id="r"))
        await clock.advance(3.0)
        with pytest.raises(LogLost):
            await starting
        await clock.advance(10.0)
        assert engine.log_problem is not None
        log.release()
        await clock.advance(LOG_PROBE_SECONDS)
        assert engine.log_problem is None


@pytest.mark.usefixtures("probed_often")
async def test_a_file_with_a_damaged_page_is_not_well_because_another_page_can_be_written(tmp_path: Path) -> None:
    """Each start meets the page; what is written beside it in between says nothing of it."""
    path = tmp_path / "runs.db"
    async with Engine(f"sqlite:///{path}", workflows=[talking()], grace=0):
        pass
    with closing(sqlite3.connect(path)) as connection:
        (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'runs_by_tenant'").fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * 8)
    async with serving(Engine(f"sqlite:///{path}", grace=0), talking()) as server:
        with pytest.raises(LogLost, match="reactor recover"):
            await server.engine.start("talking")
        await asyncio.sleep(5 * PROBE_SECONDS)
        assert not await is_ready(server)
