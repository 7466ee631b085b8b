"""``reactor recover``: whatever page of a log is bad, what is copied is true, and no more is missing than must be."""

from __future__ import annotations

import asyncio
import random
import shutil
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from reactor import Engine, Event
from reactor.errors import LogUnavailable
from reactor.events.fold import evolve
from reactor.events.state import RunState
from reactor.logs.sqlite import schema
from reactor.logs.sqlite.lock import FileLock
from reactor.logs.sqlite.log import SqliteLog
from reactor.logs.sqlite.salvage import copy
from reactor.logs.sqlite.salvage.cells import Cell, payload
from reactor.logs.sqlite.salvage.copy import recover
from reactor.logs.sqlite.salvage.found import Found
from reactor.logs.sqlite.salvage.pages import Image, Pages
from reactor.logs.sqlite.salvage.whole import RecoveredRun
from tests.helpers.command import reactor
from tests.helpers.crash import in_log
from tests.helpers.damaged import Written, parent, talk, write_now
from tests.helpers.paths import ROOT
from tests.helpers.runs import PATIENCE, full_log

PAGE = 4096


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return write_now(tmp_path_factory.mktemp("written"))


class Copy:
    """What was recovered from a damaged copy of a log."""

    def __init__(self, out: Path, results: list[RecoveredRun]) -> None:
        self.out = out
        self.results = {run.run_id: run for run in results if run.run_id or run.verdict != "lost"}
        self.events: dict[str, list[bytes]] = defaultdict(list)
        self.bases: dict[str, bytes | None] = {}
        connection = sqlite3.connect(out)
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        rows = connection.execute(
            "SELECT run_id, base, events FROM runs LEFT JOIN windows ON runs.id = run ORDER BY position"
        )
        for run_id, base, joined in rows:
            self.bases[run_id] = base
            self.events[run_id] += joined.split(b"\n") if joined else []
        connection.close()

    def check(self, written: Written, *, as_before: bool = False) -> None:
        """Each run is a prefix of its true log, folds, and is what the results say of it."""
        assert self.events.keys() == {id for id, run in self.results.items() if run.verdict != "lost"}
        untrimmed = {id: events for id, events in written.before.items() if self.bases.get(id) is None}
        true_events = written.events | (untrimmed if as_before else {})
        assert self.events.keys() <= true_events.keys(), "a run has come back that was deleted"
        for run_id, lines in self.events.items():
            true, run = true_events[run_id], self.results[run_id]
            assert lines == true[: len(lines)], run
            base = self.bases[run_id]
            state = RunState(run_id) if base is None else RunState.from_dict(orjson.loads(base))
            for line in lines:
                event = Event.from_json(line)
                assert event.seq == state.seq + 1, run
                evolve(state, event)
            assert state.seq == run.last_seq, run
            assert state.has_ended == run.has_ended
            assert run.verdict != "whole" or lines == true or as_before, run


def recovered(file: Path) -> Copy:
    out = file.with_name("out.db")
    out.unlink(missing_ok=True)
    return Copy(out, recover(file, out))


def pages_of_runs(file: Path) -> dict[str, set[int]]:
    """By run id: the pages of an undamaged log that have its events, and what stands beside them."""
    pages = Pages(file)
    found = Found(pages, lambda done, total: None)
    assert not found.is_damaged
    of: dict[str, set[int]] = defaultdict(set)
    cells = [(row.run, row.cell) for row in found.windows.values()]
    cells += [(run, cell) for (run, _), cell in found.blobs.items()]
    for run, cell in cells:
        of[found.runs[run].run_id] |= set(_pages_of(pages, cell))
    pages.close()
    return of


def _pages_of(pages: Pages, cell: Cell) -> Iterator[int]:
    yield cell.image.offset // PAGE + 1
    number, left = cell.overflow, len(payload(pages, cell)) - cell.local
    while left > 0:
        yield number
        data = pages.read(Image(False, (number - 1) * PAGE))
        number, left = int.from_bytes(data[:4]), left - pages.usable + 4


def zeroed(data: bytearray, at: int, chance: random.Random) -> None:
    data[at : at + PAGE] = bytes(PAGE)


def flipped(data: bytearray, at: int, chance: random.Random) -> None:
    for _ in range(12):
        data[at + chance.randrange(PAGE)] ^= 0x80


def swapped(data: bytearray, at: int, chance: random.Random) -> None:
    other = chance.randrange(len(data) // PAGE) * PAGE
    data[at : at + PAGE] = data[other : other + PAGE]


@pytest.mark.parametrize("damage", [zeroed, flipped, swapped])
def test_each_page_of_a_log_may_be_bad(damage: object, written: Written, tmp_path: Path) -> None:
    """What is copied is true, and the runs that have nothing in that page are all there, whole."""
    assert callable(damage)
    data, of = written.closed.read_bytes(), pages_of_runs(written.closed)
    count, file, chance = len(data) // PAGE, tmp_path / "bad.db", random.Random(16)
    kinds = [zeroed, flipped, swapped]
    cut = 0
    for page in range(1, count + 1):
        if (page + kinds.index(damage)) % 3 and page > 2:  # type: ignore[arg-type]  # each page in one of three ways
            continue
        bad = bytearray(data)
        damage(bad, (page - 1) * PAGE, chance)
        file.write_bytes(bad)
        copied = recovered(file)
        copied.check(written)
        untouched = {run_id for run_id in written.events if page not in of[run_id]}
        if "r8" not in copied.events:  # what was trimmed of it stands in the list of runs only
            untouched.discard("r8")
        assert [run_id for run_id in untouched if copied.events[run_id] != written.events[run_id]] == [], page
        cut += len(untouched) < len(written.events)
    assert cut > 3, "no page was one of a run"


def test_a_log_that_nothing_is_wrong_with_is_copied_whole(written: Written, tmp_path: Path) -> None:
    """Closed, and as it stands while an engine writes to it, with its write-ahead log."""
    for file in (written.closed, written.open):
        shutil.copy(file, tmp_path / "log.db")
        if Path(f"{file}-wal").exists():
            shutil.copy(f"{file}-wal", tmp_path / "log.db-wal")
        copied = recovered(tmp_path / "log.db")
        copied.check(written)
        assert copied.events == written.events
        assert {run.verdict for run in copied.results.values()} == {"whole"}


def test_the_list_of_runs_is_what_it_was(written: Written, tmp_path: Path) -> None:
    """Statuses, parents, roots and positions, by which readers of several runs go on; also where page 1 is gone."""
    query = (
        "SELECT runs.id, tenant, run_id, workflow, version, status, created, ended, parent, root, base, settled,"
        " position, first_seq, last_seq FROM runs JOIN windows ON run = runs.id ORDER BY position"
    )

    def rows(file: Path) -> list[tuple[object, ...]]:
        connection = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
        try:
            return [
                *connection.execute(query),
                *connection.execute("SELECT run_id, last_seq FROM removed"),
                *connection.execute("SELECT value FROM meta WHERE name = 'digest_key'"),
                *connection.execute("SELECT seq FROM sqlite_sequence WHERE name IN ('runs', 'windows') ORDER BY name"),
            ]
        finally:
            connection.close()

    bad = tmp_path / "bad.db"
    bad.write_bytes(bytes(PAGE) + written.closed.read_bytes()[PAGE:])
    for file in (written.closed, bad):
        assert rows(recovered(file).out) == rows(written.closed)
        Path(file.parent, "out.db").unlink()


@pytest.mark.parametrize("share", [0.0, 0.6, 0.7, 0.8, 0.999])
def test_a_log_that_was_cut_short(share: float, written: Written, tmp_path: Path) -> None:
    """The rest is copied; of less than a page nothing is, and a sentence says so."""
    file, data = tmp_path / "bad.db", written.closed.read_bytes()
    file.write_bytes(data[: int(len(data) * share)])
    if share:
        recovered(file).check(written)
    else:
        with pytest.raises(LogUnavailable, match="has nothing in it"):
            recovered(file)


def test_each_frame_of_the_write_ahead_log_may_be_bad(written: Written, tmp_path: Path) -> None:
    """A bad frame costs what stands in it: SQLite would leave out all that follow it, and the runs with them.

    A deletion may stand in it: then that run is as it was before. When a page was split, two runs or three may.
    """
    file, wal = tmp_path / "bad.db", Path(f"{written.open}-wal").read_bytes()
    shutil.copy(written.open, file)
    frame = 24 + PAGE
    count = (len(wal) - 32) // frame
    assert count > 50
    kept: list[int] = []
    for n in [-1, *range(0, count, count // 6)]:
        bad = bytearray(wal)
        at = 0 if n < 0 else 32 + n * frame
        for i in range(at + 8, at + 24 + (0 if n < 0 else 400)):
            bad[i] ^= 0xFF
        file.with_name("bad.db-wal").write_bytes(bad)
        copied = recovered(file)
        copied.check(written, as_before=n >= 0)
        kept.append(sum(map(len, copied.events.values())))
    total = sum(map(len, written.events.values()))
    # of 1,740 frames of four logs, whose windows fell otherwise each time, the worst kept 0.74
    assert min(kept) > total * 0.6, (kept, total)


def test_a_write_ahead_log_that_is_cut_or_gone(written: Written, tmp_path: Path) -> None:
    """What is in the file and in the rest of it is copied."""
    file, wal = tmp_path / "bad.db", Path(f"{written.open}-wal").read_bytes()
    shutil.copy(written.open, file)
    for share in (0.9, 0.5):
        file.with_name("bad.db-wal").write_bytes(wal[: int(len(wal) * share)])
        copied = recovered(file)
        copied.check(written, as_before=True)
        assert copied.events
    file.with_name("bad.db-wal").unlink()
    with pytest.raises(LogUnavailable, match="has nothing in it"):  # nothing was moved into the file yet
        recovered(file)


async def test_an_engine_goes_on_with_what_was_copied(written: Written, tmp_path: Path) -> None:
    """A run that is cut goes on from there, and ends; what was whole and open goes on as after any restart."""
    data, of = bytearray(written.closed.read_bytes()), pages_of_runs(written.closed)
    # both have ended: p, cut, would wait for its child, and the child, cut, is cancelled, as its parent is over
    page = max(of["r7"] - of["p"] - of["p.begin.1"])
    zeroed(data, (page - 1) * PAGE, random.Random(1))
    (tmp_path / "bad.db").write_bytes(data)
    copied = await asyncio.to_thread(recovered, tmp_path / "bad.db")
    cut = [run for run in copied.results.values() if run.verdict == "cut"]
    assert cut
    async with Engine(f"sqlite:///{copied.out}", workflows=[talk, parent]) as engine:
        assert engine.not_recovered.keys() <= {"r8"}  # was trimmed: it cannot begin again, wherever it was cut
        for run_id in copied.events.keys() - {"r8"}:
            run = await engine.get(run_id)
            if not run.state.has_ended:
                await run.send("ask", "yes")
            await asyncio.wait_for(run.ended(), PATIENCE)
            assert run.status == "completed"
            events = await full_log(engine, run)
            assert [event.json for event in events][: len(copied.events[run_id])] == copied.events[run_id]


@pytest.mark.parametrize("keeps_head", [False, True])
async def test_a_damaged_event_fails_its_run_only_and_says_what_to_do(
    keeps_head: bool, written: Written, tmp_path: Path
) -> None:
    """SQLite reads the page, but the bytes of one event are not what was written: no bug, and the others go on."""
    file = tmp_path / "bad.db"
    shutil.copy(written.closed, file)
    with sqlite3.connect(file) as connection:
        ((position, line),) = connection.execute(
            "SELECT position, events FROM windows WHERE run = (SELECT id FROM runs WHERE run_id = 'r7')"
            " ORDER BY last_seq DESC LIMIT 1"
        ).fetchall()
        broken = (line[:-20] if keeps_head else b"") + b"\xff" * 20
        connection.execute("UPDATE windows SET events = ? WHERE position = ?", (broken, position))
    connection.close()
    async with Engine(f"sqlite:///{file}", workflows=[talk, parent]) as engine:
        with pytest.raises(LogUnavailable, match=r"event \d+ of run r7 is damaged in the log; `reactor recover`"):
            await engine.get("r7")
        assert (await engine.get("r1")).id == "r1"


# --- what it refuses, and leaves alone ---------------------------------------------------------------------------


async def test_a_log_that_is_in_use_is_not_recovered(tmp_path: Path) -> None:
    """Its owner is named; and while a log is being read, no engine may open it."""
    file = tmp_path / "runs.db"
    log = SqliteLog(file)
    await log.open()
    try:
        with pytest.raises(LogUnavailable, match="in use by process"):
            recover(file, tmp_path / "out.db")
    finally:
        await log.close()
    reading = FileLock(file, shared=True)
    reading.acquire()
    try:
        with pytest.raises(LogUnavailable, match="in use"):
            await SqliteLog(file).open()
    finally:
        reading.release()
    assert not (tmp_path / "out.db").exists()


def test_the_damaged_file_is_only_read(written: Written, tmp_path: Path) -> None:
    """Not a byte of it changes, nothing is made beside it, and it need not be writable."""
    file = tmp_path / "old" / "bad.db"
    file.parent.mkdir()
    data = bytearray(written.closed.read_bytes())
    zeroed(data, 4 * PAGE, random.Random(1))
    file.write_bytes(data)
    file.chmod(0o400)
    before = file.stat()
    recover(file, tmp_path / "out.db")
    assert file.read_bytes() == data
    assert file.stat().st_mtime_ns == before.st_mtime_ns
    assert [entry.name for entry in file.parent.iterdir()] == ["bad.db"]


def test_an_out_that_exists_is_left_alone(written: Written, tmp_path: Path) -> None:
    """A sentence says so."""
    (tmp_path / "out.db").write_text("mine")
    with pytest.raises(LogUnavailable, match="exists already"):
        recover(written.closed, tmp_path / "out.db")
    assert (tmp_path / "out.db").read_text() == "mine"


def test_half_an_out_is_never_there(written: Written, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever interrupts it in the middle finds nothing."""
    monkeypatch.setattr(copy, "_RUNS_A_COMMIT", 1)
    seen: list[list[str]] = []

    def interrupt(what: str, done: int, total: int) -> None:
        seen.append([entry.name for entry in tmp_path.iterdir()])
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        recover(written.closed, tmp_path / "out.db", interrupt)
    assert any("out.db.partial" in names for names in seen)
    assert not any("out.db" in names for names in seen)
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_log_is_refused(tmp_path: Path) -> None:
    """And so is a log of a newer version."""
    text, newer = tmp_path / "diary.txt", tmp_path / "newer.db"
    text.write_text("dear diary\n" * 1000)
    connection = sqlite3.connect(newer)
    connection.execute("CREATE TABLE later (id INTEGER)")
    connection.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    connection.close()
    for file, why in ((text, "nothing in it"), (newer, "newer version"), (tmp_path / "none.db", "is not a file")):
        with pytest.raises(LogUnavailable, match=why):
            recover(file, tmp_path / "out.db")


# --- the command -------------------------------------------------------------------------------------------------


def test_serve_says_which_file_is_bad_and_the_command_mends_it(written: Written, tmp_path: Path) -> None:
    """One sentence, exit code 2; then what is whole, cut and lost, and exit code 1; then the new file is served."""
    file = tmp_path / "runs.db"
    data = bytearray(written.closed.read_bytes())
    of = pages_of_runs(written.closed)
    for page in (max(of["r7"]), *range(3, 8)):  # the first ones have the roots of the tables
        zeroed(data, (page - 1) * PAGE, random.Random(1))
    file.write_bytes(data)
    refused = reactor("serve", ROOT / "tests/helpers/damaged.py", "--store", f"sqlite:///{file}", "--port", 0)
    assert refused.returncode == 2
    assert refused.stderr.startswith(f"reactor: --store: {file} ")
    assert f"`reactor recover {file}` copies what can be read" in refused.stderr
    assert refused.stderr.count("\n") == 1
    done = reactor("recover", file)
    assert done.returncode == 1, done.stderr
    assert "run r7 is cut: it has its events up to" in done.stdout
    assert f"wrote {tmp_path / 'runs.recovered.db'}: of " in done.stderr
    assert in_log(tmp_path / "runs.recovered.db", "r0")
    whole = reactor("recover", written.closed, tmp_path / "all.db", "--json")
    assert whole.returncode == 0, whole.stderr
    lines = [orjson.loads(line) for line in whole.stdout.splitlines()]
    assert {line["run_id"]: line["is"] for line in lines} == dict.fromkeys(written.events, "whole")
