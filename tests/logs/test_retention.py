"""What a SQLite log lets go of, and what who asks for it is told."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from reactor import Context, Engine, Workflow
from reactor.errors import UnknownRun
from reactor.events.event import Event, Notice
from reactor.events.fold import replay
from reactor.logs.schemes import open_log
from reactor.logs.sqlite.log import SqliteLog
from reactor.testing import read_all
from reactor.testing.log_laws import completed, event, started
from tests.helpers.runs import PATIENCE

flow = Workflow("kept")


@flow.task
async def talk(ctx: Context, lines: int = 1) -> int:
    for number in range(lines):
        await ctx.emit("line.said", {"number": number})
        if number % 100 == 0:
            await ctx.committed()  # many windows
    return lines


async def test_the_last_runs_are_kept_and_the_older_ones_are_gone(tmp_path: Path) -> None:
    """keep_runs counts ended runs; keep_days by when they ended; what is gone is unknown, what is kept is whole."""
    path = tmp_path / "runs.db"
    async with Engine(SqliteLog(path), workflows=[flow]) as engine:
        for number in range(6):
            await (await engine.start(flow, run_id=f"r{number}"))
    async with Engine(f"sqlite:///{path}?keep_runs=2", workflows=[flow]) as engine:
        assert [record.run_id for record in await engine.list()] == ["r5", "r4"]
        with pytest.raises(UnknownRun):
            await engine.get("r3")
        assert (await engine.get("r4")).status == "completed"
    async with Engine(f"sqlite:///{path}?keep_days=1", workflows=[flow]) as engine:
        assert len(await engine.list()) == 2
    log = SqliteLog(path, keep_days=0)
    await log.open()
    assert await log.vacuum() == 0  # opening has deleted them
    assert await log.records(status=None, workflow=None, before=None, limit=9) == []
    await log.close()


async def test_a_trimmed_run_says_so_and_keeps_its_state(tmp_path: Path) -> None:
    """stream.gap {from, to}, then the rest; base + events = state; an unfinished run is refused."""
    log = SqliteLog(tmp_path / "runs.db")
    async with Engine(log, workflows=[flow]) as engine:
        run = await engine.start(flow, {"lines": 1_000}, run_id="long")
        with pytest.raises(ValueError, match="has not ended"):
            await log.trim("long", 10)
        await run
        everything = await read_all(log, "long")
        cut = await log.trim("long", 150)
        assert 0 < cut <= len(everything) - 150
        assert (await log.base("long")) == replay("long", everything[:cut])
    async with Engine(SqliteLog(tmp_path / "runs.db"), workflows=[flow]) as engine:
        again = await engine.get("long")
        assert again.state == replay("long", everything)
        gap, *rest = [message async for message in again]
        assert isinstance(gap, Notice)
        assert gap.data == {"from": 1, "to": cut, "reason": "trimmed"}
        assert rest == everything[cut:]
        assert all(isinstance(event, Event) for event in rest)


@pytest.mark.parametrize("query", ["keep_days=x", "keep_runs=-1", "keep_runs=1.5", "keep=1", "synchronous=OFF"])
def test_a_bad_option_of_the_url_is_refused(query: str) -> None:
    """A bad option is refused by its name before anything is opened."""
    with pytest.raises(ValueError, match=query.partition("=")[0]):
        open_log(f"sqlite:///x.db?{query}")


async def test_a_deleted_run_gives_its_space_back_while_the_log_is_open(tmp_path: Path) -> None:
    """A new file shrinks in small steps; an older one after ``vacuum``, which makes it like a new one."""
    path = tmp_path / "runs.db"
    log = SqliteLog(path)
    await log.open()
    for run_id in ("large", "larger"):
        await log.append(run_id, [started(run_id), event(2, run_id, blob=bytes(8_000_000)), completed(3, run_id)])
    pages = _pages(path)
    await log.delete("large")
    await _until(lambda: _free(path) == 0)
    assert _pages(path) < 0.6 * pages
    await log.close()
    assert path.stat().st_size < 9_000_000


async def test_a_file_without_incremental_vacuum_is_compacted_once(tmp_path: Path) -> None:
    """Deleting leaves its free pages inside the file; ``vacuum`` gives them back, and later deletes by themselves."""
    path = tmp_path / "runs.db"
    old = sqlite3.connect(path)
    old.execute("CREATE TABLE t (x)")  # so the file has no auto_vacuum
    old.execute("DROP TABLE t")
    old.close()
    log = SqliteLog(path)
    await log.open()
    for run_id in ("a", "b"):
        await log.append(run_id, [started(run_id), event(2, run_id, blob=bytes(4_000_000)), completed(3, run_id)])
    await log.delete("a")
    await log.append("c", [started("c")])
    assert _free(path) > 900
    await log.vacuum()
    assert _free(path) == 0
    await log.delete("b")
    await _until(lambda: _free(path) == 0)
    await log.close()
    assert path.stat().st_size < 200_000


def _ask(path: Path, query: str) -> int:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(query).fetchone()[0]
    finally:
        connection.close()


def _free(path: Path) -> int:
    return _ask(path, "PRAGMA freelist_count")


def _pages(path: Path) -> int:
    return _ask(path, "PRAGMA page_count")


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not holds():
            await asyncio.sleep(0)


async def test_what_an_open_parent_may_ask_for_again_is_kept(tmp_path: Path) -> None:
    """Its ended children stay, however few runs are kept: after a crash it would start them once more."""
    path = tmp_path / "runs.db"
    log = SqliteLog(path)
    await log.open()
    await log.append("top", [started("top")])
    await log.append("top.t.1", [started("top.t.1", parent="top"), completed(2, "top.t.1")])
    await log.append("other", [started("other"), completed(2, "other")])
    await log.close()
    log = SqliteLog(path, keep_runs=0)
    await log.open()
    kept = [record.run_id for record in await log.records(status=None, workflow=None, before=None, limit=9)]
    assert kept == ["top.t.1", "top"]
    await log.append("top", [completed(2, "top")])
    assert await log.expire() == 2
    await log.close()


async def test_the_answers_of_a_run_go_with_it(tmp_path: Path) -> None:
    """A later run of the same id must not be answered with what was said to this one."""
    log = SqliteLog(tmp_path / "runs.db", keep_runs=0)
    await log.open()
    await log.append("r", [started(), completed(2)])
    await log.keep_answer("key", b"{}", run_id="r")
    await log.keep_answer("key", b"{}")
    assert await log.expire() == 1
    assert (await log.answer("key", run_id="r"), await log.answer("key")) == (None, b"{}")
    await log.close()
