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
from reactor.logs.memory import MemoryLog
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
    for days in (1, 1_000_000, 999_999_999):  # some before there were calendars
        async with Engine(f"sqlite:///{path}?keep_days={days}", workflows=[flow]) as engine:
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


# --- trees of runs ------------------------------------------------------------------------------------------------


def child_ended(seq: int, parent: str, child: str, **data: object) -> Event:
    """As the engine writes it; without ``engine`` it is a body's own, of an earlier version."""
    said = {"engine": True, "child_run": child, "status": "completed", "outputs": {}, "cost": 0.0, "tokens": 0}
    return event(seq, parent, "child.ended", **(said | data))


async def ids_of(log: SqliteLog | MemoryLog) -> list[str]:
    return [record.run_id for record in await log.records(status=None, workflow=None, before=None, limit=99)][::-1]


@pytest.mark.parametrize("engine", [True, False])
async def test_an_ended_child_whose_end_is_in_the_log_of_its_open_parent_may_go(engine: bool, tmp_path: Path) -> None:
    """By age; one whose end is not there stays, also where a body of old has said something like it."""
    log = SqliteLog(tmp_path / "runs.db", keep_days=0)
    await log.open()
    await log.append("top", [started("top")])
    for child in ("a", "b"):
        await log.append(child, [started(child, parent="top"), completed(2, child)])
        await log.append(f"{child}.x", [started(f"{child}.x", parent=child), completed(2, f"{child}.x")])
    await log.append("top", [child_ended(2, "top", "a", **({} if engine else {"engine": None}))])
    await log.append("other", [started("other"), child_ended(2, "other", "b")])  # is not b's parent
    await log.expire()
    # what is below a child that has ended is not needed: nobody asks for it again
    assert await ids_of(log) == (["top", "b", "other"] if engine else ["top", "a", "b", "other"])
    await log.append("top", [completed(3, "top")])
    await log.expire()
    assert await ids_of(log) == ["other"]
    await log.close()


async def test_a_run_is_kept_while_a_run_below_it_is_open(tmp_path: Path) -> None:
    """The child of a run that ended in a crash waits to be cancelled."""
    log = SqliteLog(tmp_path / "runs.db", keep_days=0, keep_runs=0)
    await log.open()
    await log.append("top", [started("top"), completed(2, "top")])
    await log.append("a", [started("a", parent="top")])
    assert await log.expire() == 0
    await log.append("a", [completed(2, "a")])
    assert await log.expire() == 2
    await log.close()


async def test_the_number_of_kept_runs_counts_those_that_no_other_has_started(tmp_path: Path) -> None:
    """With all that is below them: the child runs of one large tree push no other run out."""
    log = SqliteLog(tmp_path / "runs.db", keep_runs=2)
    await log.open()
    for root in ("r1", "r2", "r3"):
        await log.append(root, [started(root)])
        for n in range(5):
            await log.append(f"{root}.{n}", [started(f"{root}.{n}", parent=root), completed(2, f"{root}.{n}")])
        await log.append(root, [completed(2, root)])
    await log.append("open", [started("open")])
    await log.append("open.1", [started("open.1", parent="open"), completed(2, "open.1")])
    assert await log.expire() == 6
    kept = [run for root in ("r2", "r3") for run in (root, *(f"{root}.{n}" for n in range(5)))]
    assert await ids_of(log) == [*kept, "open", "open.1"]
    await log.close()


async def test_a_log_in_memory_keeps_what_an_open_parent_may_ask_for_again() -> None:
    """Within its bound of ended runs: one for runs that nobody has started, one for child runs that may go."""
    log = MemoryLog(max_ended=2)
    await log.append("top", [started("top")])
    for n in range(5):
        await log.append(f"top.{n}", [started(f"top.{n}", parent="top"), completed(2, f"top.{n}")])
    for n in range(4):
        await log.append(f"o{n}", [started(f"o{n}"), completed(2, f"o{n}")])
    assert await ids_of(log) == ["top", *(f"top.{n}" for n in range(5)), "o2", "o3"]
    for n in (0, 2, 4):
        seq = (await log.record("top")).last_seq + 1
        await log.append("top", [child_ended(seq, "top", f"top.{n}")])
    assert await ids_of(log) == ["top", "top.1", "top.2", "top.3", "top.4", "o2", "o3"]
    seq = (await log.record("top")).last_seq + 1
    await log.append("top", [completed(seq, "top")])  # now none of them is needed
    assert await ids_of(log) == ["top", "top.1", "top.3", "o3"]
    await log.delete("top")
    await log.append("o4", [started("o4"), completed(2, "o4")])
    assert set(await ids_of(log)) >= {"o3", "o4"}


async def test_a_tree_in_memory_goes_with_its_root() -> None:
    """The child runs of a run that is forgotten are forgotten too, and count no more."""
    log = MemoryLog(max_ended=1)
    for root in ("a", "b"):
        await log.append(root, [started(root)])
        await log.append(f"{root}.1", [started(f"{root}.1", parent=root), completed(2, f"{root}.1")])
        await log.append(root, [child_ended(2, root, f"{root}.1"), completed(3, root)])
    assert await ids_of(log) == ["b", "b.1"]
