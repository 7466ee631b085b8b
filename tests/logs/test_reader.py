"""A file is read beside its owner, and who the owner is can be asked without a lock."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from reactor import Engine, Workflow
from reactor.errors import LogUnavailable
from reactor.logs.sqlite.lock import owner_of
from reactor.logs.sqlite.log import SqliteLog
from reactor.logs.sqlite.reader import SqliteReader

flow = Workflow("flow")


@flow.task
async def one() -> int:
    return 1


async def test_a_reader_sees_each_commit_and_keeps_no_owner_out(tmp_path: Path) -> None:
    """It is opened before there is an owner, and reads what the owner commits afterwards."""
    path = tmp_path / "runs.db"
    async with Engine(f"sqlite:///{path}", workflows=[flow]) as engine:
        await (await engine.start(flow, run_id="first"))
    reader = SqliteReader(path)
    await reader.open()
    async with Engine(f"sqlite:///{path}", workflows=[flow]) as engine:
        await (await engine.start(flow, run_id="second"))
        records = await reader.records(before=None, limit=10)
        assert [record.run_id for record in records] == ["second", "first"]
        assert records == await engine.list()
        logged = [event.json async for event in await engine.get("second")]
        assert [event.json for event in await reader.read("second", 0, 100)] == logged
    await reader.close()


async def test_the_owner_of_a_file_is_known_while_it_has_it(tmp_path: Path) -> None:
    """With its URL once it has said so; and to nobody who merely asks does the file belong."""
    path = tmp_path / "runs.db"
    log = SqliteLog(path)
    await log.open()
    named = owner_of(path)
    assert named is not None
    assert named.url is None
    log.announce("http://127.0.0.1:1")
    assert owner_of(path) == (named.name, "http://127.0.0.1:1")
    second = SqliteLog(path)
    with pytest.raises(LogUnavailable, match=f"in use by {named.name}"):
        await second.open()
    await log.close()
    assert owner_of(path) is None
    await second.open()
    told = owner_of(path)
    assert told == (named.name, None)  # not the URL of the one before
    await second.close()


@pytest.mark.parametrize(("version", "word"), [(1, "older"), (1_000, "newer")])
async def test_a_file_of_another_version_is_not_read(tmp_path: Path, version: int, word: str) -> None:
    """Nor is it changed: only its owner brings it forward."""
    path = tmp_path / "runs.db"
    log = SqliteLog(path)
    await log.open()
    await log.close()
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {version}")
    connection.close()
    with pytest.raises(LogUnavailable, match=f"written by an? {word} version"):
        await SqliteReader(path).open()
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (version,)
    connection.close()


async def test_a_file_in_a_folder_that_cannot_be_written_is_read(tmp_path: Path) -> None:
    """As it stands, for example from a backup."""
    folder = tmp_path / "backup"
    folder.mkdir()
    path = folder / "runs.db"
    async with Engine(f"sqlite:///{path}", workflows=[flow]) as engine:
        await (await engine.start(flow, run_id="first"))
    path.chmod(0o444)
    folder.chmod(0o555)
    try:
        reader = SqliteReader(path)
        await reader.open()
        assert (await reader.record("first")).status == "completed"
        await reader.close()
    finally:
        folder.chmod(0o755)
    assert {file.name for file in folder.iterdir()} >= {"runs.db"}
