"""A file that version 0.1 wrote: it is opened, brought forward, read, followed and recovered, for ever."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Unpack

import orjson
import pytest

from reactor import Engine, Workflow
from reactor.events.event import Draft, Event
from reactor.events.fold import replay
from reactor.logs.sqlite import schema
from reactor.logs.sqlite.log import SqliteLog
from reactor.ports import RunFilter
from reactor.testing import log_laws, read_all
from tests.events.golden.record import FOLDER, read

VERSION_2 = """
CREATE TABLE runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT, run_id TEXT NOT NULL UNIQUE, workflow TEXT NOT NULL DEFAULT '',
    version TEXT NOT NULL DEFAULT '', status TEXT NOT NULL DEFAULT 'pending', created TEXT NOT NULL DEFAULT '',
    ended TEXT, base BLOB
);
CREATE INDEX runs_by_status ON runs (status, id);
CREATE TABLE windows (
    position INTEGER PRIMARY KEY AUTOINCREMENT, run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    first_seq INTEGER NOT NULL, last_seq INTEGER NOT NULL, events BLOB NOT NULL
);
CREATE UNIQUE INDEX windows_by_seq ON windows (run, last_seq, first_seq);
CREATE TABLE blobs (
    run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE, seq INTEGER NOT NULL, data BLOB NOT NULL,
    PRIMARY KEY (run, seq)
) WITHOUT ROWID;
CREATE TABLE outputs (
    id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, data BLOB NOT NULL, until REAL NOT NULL
);
CREATE INDEX runs_unfinished ON runs (id) WHERE ended IS NULL;
PRAGMA application_id = 1380008788;
PRAGMA user_version = 2;
"""

GOLDEN = sorted(path.stem for path in FOLDER.glob("*.jsonl") if not path.stem.endswith("_2"))
"""The runs that version 0.1 recorded."""

patient = Workflow("patient")


@patient.task
async def quick() -> int:
    raise AssertionError("what is in the log is not run again")


@patient.task
async def slow(quick: int) -> int:
    return quick + 1


@patient.task
async def last(slow: int) -> int:
    return slow + 1


def write_old(path: Path, *runs: Sequence[Event]) -> None:
    """Writes the runs as version 2 did: rows of at most three events, and what the first and last event say."""
    connection = sqlite3.connect(path)
    connection.executescript(VERSION_2)
    for events in runs:
        data = events[0].data
        status = {"run.completed": "completed", "run.failed": "failed", "run.cancelled": "cancelled"}.get(
            events[-1].type, "running"
        )
        run = connection.execute(
            "INSERT INTO runs (run_id, workflow, version, status, created, ended) VALUES (?, ?, ?, ?, ?, ?)",
            (
                events[0].run_id,
                data["workflow"],
                data["version"],
                status,
                events[0].time,
                None if status == "running" else events[-1].time,
            ),
        ).lastrowid
        for begin in range(0, len(events), 3):
            window = events[begin : begin + 3]
            joined = b"\n".join(event.json for event in window)
            connection.execute(
                "INSERT INTO windows (run, first_seq, last_seq, events) VALUES (?, ?, ?, ?)",
                (run, window[0].seq, window[-1].seq, joined),
            )
    connection.execute("INSERT INTO outputs (key, data, until) VALUES ('k', x'31', 9e99)")
    connection.commit()
    connection.close()


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def test_the_version_went_up() -> None:
    """So the version before refuses a file of this one with its sentence: it compares these numbers."""
    assert schema.VERSION > 2


async def test_an_old_file_reads_and_follows_as_before(tmp_path: Path) -> None:
    """Every recorded run has its events byte for byte, its state, its record and its stream; nothing else is lost."""
    path = tmp_path / "runs.db"
    recorded = [read(name)[0] for name in GOLDEN]
    write_old(path, *recorded)
    async with Engine(f"sqlite:///{path}") as engine:
        for events in recorded:
            run = await engine.get(events[0].run_id)
            assert [event.json async for event in run if isinstance(event, Event)] == [event.json for event in events]
            assert run.state == replay(run.id, events)
        assert [record.run_id for record in await engine.list()] == [events[0].run_id for events in recorded[::-1]]
        assert all(record.root == record.run_id and record.tenant == "" for record in await engine.list())
        log = engine.log
        assert isinstance(log, SqliteLog)
        assert await log.recall("k", 0.0) == b"1"
        positions = [record.position for record in (await engine.list())[::-1]]
        assert positions == sorted(positions)
        assert await log.append("next", [log_laws.started("next")]) > positions[-1]
    assert rows(path, "PRAGMA user_version") == [(schema.VERSION,)]
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]
    assert rows(path, "PRAGMA foreign_key_check") == []
    references = rows(path, "SELECT sql FROM sqlite_schema WHERE name IN ('windows', 'blobs')")
    assert all("REFERENCES runs " in str(sql) for (sql,) in references)


async def test_an_unfinished_run_of_an_old_file_is_recovered(tmp_path: Path) -> None:
    """It goes on where the log ends: what completed is taken over."""
    path = tmp_path / "runs.db"
    events, _ = read("recovered")
    write_old(path, events[:3])
    async with Engine(f"sqlite:///{path}", workflows=[patient]) as engine:
        assert engine.not_recovered == {}
        run = await engine.get("patient")
        await run
        logged = await read_all(engine.log, "patient")
    assert logged[:3] == events[:3]
    assert logged[-1].type == "run.completed"
    assert {event.task_id for event in logged[3:] if event.type == "task.started"} == {"slow", "last"}


@pytest.mark.parametrize("is_trimmed", [False, True])
async def test_parents_and_roots_of_an_old_file_are_found(tmp_path: Path, is_trimmed: bool) -> None:
    """In ``run.started``, or in the base where it was trimmed; a parent that is gone is the root."""
    path = tmp_path / "runs.db"
    family = [("top", None), ("middle", "top"), ("low", "middle"), ("lost", "gone")]
    runs = [[log_laws.started(id, parent=parent), log_laws.completed(2, id)] for id, parent in family]
    write_old(path, *runs)
    if is_trimmed:
        connection = sqlite3.connect(path)
        for number, events in enumerate(runs, 1):
            base = orjson.dumps(replay(events[0].run_id, events).to_dict())
            connection.execute("UPDATE runs SET base = ? WHERE id = ?", (base, number))
        connection.execute("DELETE FROM windows")
        connection.commit()
        connection.close()
    log = SqliteLog(path)
    await log.open()
    records = [await log.record(id) for id, _ in family]
    await log.close()
    assert [record.parent for record in records] == [None, "top", "middle", "gone"]
    assert [record.root for record in records] == ["top", "top", "top", "gone"]


async def test_runs_of_an_old_file_are_found_by_what_is_true_of_them(tmp_path: Path) -> None:
    """Their times, their meta and their open questions are found in their events; of a trimmed run in its base."""
    path = tmp_path / "runs.db"
    times = ["2026-11-21T02:51:00.000001Z", "2026-11-21T02:50:00.000000Z", "2026-11-21T02:52:00.000000Z"]
    runs: list[list[Event]] = []
    for number, time in enumerate(times):
        said = log_laws.started(f"r{number}").data
        draft = Draft("run.started", orjson.dumps({**said, "meta": {"customer": f"c{number}", "size": 2}}))
        runs.append([Event.from_draft(1, f"r{number}", time.encode(), draft)])
    runs[1].append(log_laws.task_event(2, "r1", "task.waiting", prompt="?", schema={}, key="k"))
    runs[2].append(log_laws.task_event(2, "r2", "task.waiting", prompt="?", schema={}, key="k"))
    runs[2].append(log_laws.completed(3, "r2"))
    write_old(path, *runs)
    connection = sqlite3.connect(path)
    base = orjson.dumps(replay("r2", runs[2]).to_dict())
    connection.execute("UPDATE runs SET base = ? WHERE run_id = 'r2'", (base,))
    connection.execute("DELETE FROM windows WHERE run = 3")
    connection.commit()
    connection.close()
    log = SqliteLog(path)
    await log.open()
    middle = datetime.fromisoformat(times[0])

    async def found(**wanted: Unpack[RunFilter]) -> list[str]:
        return [record.run_id for record in await log.records(before=None, limit=9, **wanted)]

    assert await found(since=middle) == ["r2", "r0"]
    assert await found(until=middle) == ["r1"]
    assert await found(meta={"size": "2"}) == ["r2", "r1", "r0"]
    assert await found(meta={"size": "2", "customer": "c2"}) == ["r2"]
    assert await found(question=True) == ["r1"]
    await log.append("r1", [log_laws.task_event(3, "r1", "task.received", value=1, key="k")])
    assert await found(question=True) == []
    await log.close()
