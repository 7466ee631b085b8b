"""What it costs to read the windows of some runs, and that a read is of one moment."""

from __future__ import annotations

import gc
import sqlite3
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from reactor.logs.memory import MemoryLog
from reactor.logs.sqlite.connection import connect
from reactor.logs.sqlite.log import SqliteLog
from reactor.logs.sqlite.some import list_of_runs
from reactor.logs.sqlite.whole import list_whole
from reactor.ports.order import Committed, Removed
from reactor.testing.log_laws import completed, event, started

OTHERS = 200_000
"""Events of other runs, each in a window of its own."""


def connected(path: Path) -> sqlite3.Connection:
    return connect(path, synchronous="NORMAL", path=path, busy_seconds=5)


def fill(path: Path, run_id: str, count: int) -> None:
    """Adds a run with so many windows of one event, faster than a log could."""
    connection = connected(path)
    row = connection.execute("INSERT INTO runs (run_id, root) VALUES (?, ?)", (run_id, run_id)).lastrowid
    connection.execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
        " INSERT INTO windows (run, first_seq, last_seq, events) SELECT ?, i, i, ? FROM n",
        (count, row, event(1, run_id).json),
    )
    connection.close()


async def write(path: Path, windows: Sequence[tuple[str, int]]) -> None:
    """Adds windows of one event: (run, seq)."""
    log = SqliteLog(path)
    await log.open()
    for run_id, seq in windows:
        await log.append(run_id, [started(run_id) if seq == 1 else event(seq, run_id)])
    await log.close()


def steps_of(connection: sqlite3.Connection, read: Callable[[], Any]) -> int:
    """How many instructions SQLite carries out for a read."""
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    connection.set_progress_handler(count, 1)
    read()
    connection.set_progress_handler(None, 1)
    return steps


async def small_runs_costs(path: Path, others: int) -> list[int]:
    """What it costs to read two runs whose windows lie before, between and behind those of others: from the beginning,
    from the middle, from the end, and of a run that is not there."""
    await write(path, [("a", 1), ("b", 1), ("a", 2)])
    if others:
        fill(path, "other", others // 2)
    await write(path, [("b", 2), ("a", 3)])
    if others:
        fill(path, "another", others // 2)
    await write(path, [("a", 4), ("b", 3)])
    connection = connected(path)
    try:
        found = list_of_runs(connection, 0, 100, runs=["a", "b"])
        assert [entry.run_id for entry in found] == ["a", "b", "a", "b", "a", "a", "b"]
        return [
            steps_of(connection, lambda after=after, runs=runs: list_of_runs(connection, after, 100, runs=runs))
            for after, runs in (
                (0, ["a", "b"]), (found[2].position, ["a", "b"]), (found[-1].position, ["b", "a"]), (0, ["late"]),
            )
        ]  # fmt: skip
    finally:
        connection.close()


async def test_two_small_runs_cost_the_same_however_much_there_is_of_others(tmp_path: Path) -> None:
    """SQLite does as many steps with 200,000 events of other runs as with none, but for one step to the next page."""
    alone = await small_runs_costs(tmp_path / "alone.db", 0)
    among_others = await small_runs_costs(tmp_path / "among_others.db", OTHERS)
    assert [abs(one - other) <= 2 for one, other in zip(among_others, alone, strict=True)] == [True] * 4
    assert max(alone) < 1_000


async def test_the_middle_of_a_long_run_is_found_by_halving(tmp_path: Path) -> None:
    """A page from the middle of a run costs what its windows cost, not what the run has before them."""
    path = tmp_path / "runs.db"
    fill(path, "long", 50_000)
    connection = connected(path)
    costs: list[int] = []
    for after in (0, 1, 25_000, 33_333, 49_990, 49_999, 50_000):
        found = list_of_runs(connection, after, 10, runs=["long"])
        assert [entry.position for entry in found] == list(range(after + 1, min(after + 10, 50_000) + 1))
        costs.append(steps_of(connection, lambda after=after: list_of_runs(connection, after, 10, runs=["long"])))
    connection.close()
    assert max(costs) < 2_000


async def test_a_log_in_memory_looks_at_these_runs_only() -> None:
    """As many calls of functions with a thousand other runs as with none."""

    async def calls(others: int) -> int:
        log = MemoryLog()
        for n in range(others):
            await log.append(f"other-{n}", [started(f"other-{n}"), event(2, f"other-{n}")])
        for run_id in ("a", "b"):
            await log.append(run_id, [started(run_id)])
        count = 0

        def on_call(frame: FrameType, *_: object) -> None:
            nonlocal count
            count += "reactor" in frame.f_code.co_filename

        gc.disable()  # a collection calls what other tests have left
        sys.setprofile(on_call)
        try:
            found = await log.of_runs(0, 100, runs=["a", "b"])
        finally:
            sys.setprofile(None)
            gc.enable()
        assert [entry.run_id for entry in found] == ["a", "b"]
        return count

    assert await calls(1_000) == await calls(0)


def add_window(writer: sqlite3.Connection, run_id: str, seq: int) -> None:
    """One more window of a run, which has one event."""
    writer.execute(
        "INSERT INTO windows (run, first_seq, last_seq, events) SELECT id, ?, ?, ? FROM runs WHERE run_id = ?",
        (seq, seq, event(seq, run_id).json, run_id),
    )


@contextmanager
def committed_before(
    connection: sqlite3.Connection, statement: str, path: Path, write: Callable[[sqlite3.Connection], None]
) -> Iterator[None]:
    """Lets another connection commit something in the middle of a read: before the statement with this text."""
    done: list[str] = []

    def traced(text: str) -> None:
        if statement in text and not done:
            done.append(text)
            writer = connected(path)
            write(writer)
            writer.close()

    connection.set_trace_callback(traced)
    yield
    connection.set_trace_callback(None)
    assert done, "the read has no such statement"


Read = Callable[[sqlite3.Connection, int], list[Committed | Removed]]
READS: dict[str, Read] = {
    "of_runs": lambda connection, after: list_of_runs(connection, after, 100, runs=["a", "b"]),
    "whole": lambda connection, after: list_whole(connection, after, 100)[0],
}


@pytest.mark.parametrize("read", READS.values(), ids=list(READS))
async def test_a_read_is_of_one_moment(read: Read, tmp_path: Path) -> None:
    """While it goes on a window is committed, and behind that one a run is deleted: the window is not passed over."""
    path = tmp_path / "runs.db"
    log = SqliteLog(path)
    await log.open()
    await log.append("a", [started("a")])
    await log.append("b", [started("b"), completed(2, "b")])
    await log.close()
    connection = connected(path)

    def write(writer: sqlite3.Connection) -> None:
        add_window(writer, "a", 2)
        add_window(writer, "b", 3)
        writer.execute("DELETE FROM runs WHERE run_id = 'b'")

    with committed_before(connection, "FROM removed", path, write):
        first = read(connection, 0)
    rest = read(connection, first[-1].position)
    connection.close()
    assert [(entry.run_id, type(entry)) for entry in first] == [("a", Committed), ("b", Committed)]
    assert [(entry.run_id, type(entry)) for entry in rest] == [("a", Committed), ("b", Removed)]


async def test_a_window_that_comes_between_two_runs_is_not_passed_over(tmp_path: Path) -> None:
    """The windows of ``a`` are found, then ``a`` and ``b`` have more: neither of them is in this read."""
    path = tmp_path / "runs.db"
    await write(path, [("a", 1), ("b", 1)])
    (row,) = [row for (row,) in sqlite3.connect(path).execute("SELECT id FROM runs WHERE run_id = 'b'")]
    connection = connected(path)

    def write_more(writer: sqlite3.Connection) -> None:
        add_window(writer, "a", 2)
        add_window(writer, "b", 2)

    with committed_before(connection, f"FROM windows WHERE run = {row} ", path, write_more):
        first = READS["of_runs"](connection, 0)
    rest = READS["of_runs"](connection, first[-1].position)
    connection.close()
    assert [(entry.run_id, entry.position) for entry in (*first, *rest)] == [("a", 1), ("b", 2), ("a", 3), ("b", 4)]
