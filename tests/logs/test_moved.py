"""A log whose file is moved, deleted, replaced or cut while it is open: it is noticed, told once, and nothing is lost.

"Nothing" is what was published: after the file is back, the log has it all, and its runs go on.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from reactor import Context, Engine, Event, LogLost, Run, Workflow
from reactor.errors import LogUnavailable
from reactor.logs.sqlite import log
from reactor.logs.sqlite.place import Place
from reactor.testing import read_all
from tests.helpers.crash import check_laws, in_log
from tests.helpers.log_lines import log_lines
from tests.helpers.runs import PATIENCE, result, wait_for_event, wait_until


class Talk:
    """A run that waits for ``go``, and one that only waits for an answer and writes nothing."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.flow = Workflow("talk")
        self.quiet = Workflow("quiet")

        @self.flow.task
        async def talk(ctx: Context) -> str:
            await ctx.emit("word.said", {"attempt": ctx.attempt})
            await ctx.committed()
            await self.go.wait()
            for n in range(3):
                await ctx.emit("word.more", {"n": n})
            return "said"

        @self.quiet.task
        async def ask(ctx: Context) -> str:
            return await ctx.receive("?")


@asynccontextmanager
async def talking(path: Path) -> AsyncIterator[tuple[Engine, Talk, Run]]:
    talk = Talk()
    async with Engine(f"sqlite:///{path}", workflows=[talk.flow, talk.quiet], grace=0.0) as engine:
        run = await engine.start(talk.flow, run_id="r")
        await engine.start(talk.quiet, run_id="q")
        await wait_for_event(run, "word.said")
        yield engine, talk, run


async def is_noticed(engine: Engine) -> LogUnavailable:
    await wait_until(lambda: engine.log_problem is not None and engine.log_problem.reason is not None)
    assert engine.log_problem is not None
    return engine.log_problem


def move(path: Path) -> None:
    path.rename(path.with_name("moved.db"))


def move_folder(path: Path) -> None:
    path.parent.rename(path.parent.with_name("moved"))


def replace(path: Path) -> None:
    shutil.copy(path, path.with_name("copy.db"))
    path.with_name("copy.db").replace(path)


def cut(path: Path) -> None:
    os.truncate(path, 0)


def delete_beside(suffix: str) -> Callable[[Path], None]:
    def delete(path: Path) -> None:
        path.with_name(path.name + suffix).unlink()

    return delete


WAYS: dict[str, tuple[Callable[[Path], object], str]] = {
    "moved": (move, "moved"),
    "deleted": (Path.unlink, "moved"),
    "replaced": (replace, "replaced"),
    "cut": (cut, "cut"),
    "folder moved": (move_folder, "moved"),
    "wal deleted": (delete_beside("-wal"), "incomplete"),
    "shm deleted": (delete_beside("-shm"), "incomplete"),
}


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a test need not wait for a second, several times."""
    monkeypatch.setattr(log, "LOG_LOOK_SECONDS", 0.05)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data" / "runs.db"


@pytest.mark.parametrize("way", WAYS)
async def test_a_log_whose_file_goes_is_noticed_and_takes_no_runs(path: Path, way: str) -> None:
    """Though nothing is appended: the open runs are lost here, none is started, and one line says so."""
    spoil, reason = WAYS[way]
    async with talking(path) as (engine, _, run):
        if way == "cut":  # what is in the write-ahead log only cannot be cut
            with sqlite3.connect(path) as beside:
                beside.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            beside.close()
            await asyncio.sleep(0.2)  # it looks at the size once
        with log_lines() as lines:
            spoil(path)
            error = await is_noticed(engine)
        assert error.reason == reason
        assert str(path) in str(error)
        assert error is engine.log_problem
        with pytest.raises(LogLost):
            await result(run)
        assert engine.open_runs == 0
        with pytest.raises(LogUnavailable, match=error.args[0][:20]):
            await engine.start("talk", run_id="another")
        (line,) = [line for line in lines if line["log_level"] == "error"]
        assert line["event"] == "the log cannot be used"
        assert line["lost_runs"] == 2


async def test_a_look_that_fails_by_itself_is_told_once_and_changes_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the file is there is not known then: the log goes on, and the next look that succeeds counts."""
    looks: list[Place] = []
    check = Place.check

    def fails(place: Place) -> None:
        looks.append(place)
        raise OSError(5, "Input/output error")

    async with talking(path) as (engine, talk, run):
        with log_lines() as lines:
            monkeypatch.setattr(Place, "check", fails)
            await wait_until(lambda: len(looks) > 3)
            monkeypatch.setattr(Place, "check", check)
            assert engine.log_problem is None
            talk.go.set()
            await result(run)
            move(path)
            assert (await is_noticed(engine)).reason == "moved"
        told = [line["error"] for line in lines if line["event"] == "the file of the log could not be looked at"]
        assert told == ["[Errno 5] Input/output error"]


async def test_a_log_that_is_moved_back_goes_on_where_it_was(path: Path) -> None:
    """Nothing that was published is missing, the runs go on in this process, and new ones are taken."""
    async with talking(path) as (engine, talk, run):
        published = await read_all(engine.log, "r")
        move(path)
        await is_noticed(engine)
        path.with_name("moved.db").rename(path)
        await wait_until(lambda: engine.log_problem is None and engine.open_runs == 2)
        talk.go.set()
        again = await engine.get("r")
        assert await result(again) == {"talk": "said"}
        events = await read_all(engine.log, "r")
        assert events[: len(published)] == published
        check_laws(events)
        await (await engine.get("q")).send("ask", "yes")
        assert await result(await engine.get("q")) == {"ask": "yes"}
        await result(await engine.start("talk", run_id="another"))
        assert engine.log_problem is None
    assert in_log(path, "r") == events
    assert run.status == "running", "the handle of what was lost stays as it was"


async def test_nothing_is_published_once_the_file_is_gone(path: Path) -> None:
    """What a follower has seen is what whoever opens the moved file finds there, without what stood beside it."""
    async with talking(path) as (_, talk, run):
        seen: list[Event] = []
        run.events.subscribe(seen.append, on_error=lambda error: None)
        move(path)
        await asyncio.sleep(0.02)  # so long the writer relies on what it has seen
        talk.go.set()
        with pytest.raises(LogLost):
            await result(run)
        await asyncio.sleep(0.2)
        copy = path.with_name("as-after-a-kill.db")
        shutil.copy(path.with_name("moved.db"), copy)
    assert seen == in_log(copy, "r") == in_log(path.with_name("moved.db"), "r")
    assert [event.type for event in seen if event.type == "word.more"] == []


async def test_commits_whose_write_ahead_log_was_deleted_are_saved(path: Path) -> None:
    """They are moved into the file at once: a process that is killed afterwards has lost none of them."""
    async with talking(path) as (engine, _, _):
        published = await read_all(engine.log, "r")
        delete_beside("-wal")(path)
        await is_noticed(engine)
        copy = path.with_name("as-after-a-kill.db")
        shutil.copy(path, copy)
        assert in_log(copy, "r") == published


async def test_a_file_that_has_taken_the_name_is_left_alone(path: Path) -> None:
    """SQLite deletes a write-ahead log by its name: at its end it must not delete that of the other file."""
    async with talking(path):
        move(path)
        for suffix in ("-wal", "-shm"):
            beside = path.with_name(path.name + suffix)
            beside.rename(path.with_name("moved.db" + suffix))
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("PRAGMA journal_mode = WAL")
        other.execute("CREATE TABLE theirs (id INTEGER)")
    wal = path.with_name(path.name + "-wal")
    assert wal.stat().st_size > 0
    other.execute("INSERT INTO theirs VALUES (1)")
    late = sqlite3.connect(path)
    assert late.execute("SELECT id FROM theirs").fetchall() == [(1,)]
    late.close()
    other.close()


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of its own."""
    folder.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", folder]).returncode:
        pytest.skip("needs to mount a file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.skipif(sys.platform != "linux", reason="mounts as Linux does")
async def test_a_disk_that_is_full_loses_the_run_and_nothing_that_was_published(tmp_path: Path) -> None:
    """Once there is room the run goes on."""
    with small_disk(tmp_path / "disk") as disk:
        async with talking(disk / "runs.db") as (engine, talk, run):
            filler = disk / "filler"
            with filler.open("wb", buffering=0) as file:
                try:
                    while file.write(b"x" * 4096):
                        pass
                except OSError:
                    pass
            published = await read_all(engine.log, "r")
            talk.go.set()
            with pytest.raises(LogLost):
                await result(run)
            assert engine.log_problem is not None
            filler.unlink()

            async def taken_up() -> Run:  # it may have ended before anybody looks
                while (again := await engine.get("r")).feed.closed == "log":
                    await asyncio.sleep(0.01)
                return again

            await result(await asyncio.wait_for(taken_up(), PATIENCE))
            events = await read_all(engine.log, "r")
            assert events[: len(published)] == published
            check_laws(events)
