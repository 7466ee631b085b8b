"""The log in a SQLite file: what only a file can do or suffer. The laws of every log are in ``test_laws.py``."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import pwd
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactor import Engine
from reactor.bounds import EVENT_TYPE, RUN_ID, TASK_NAME
from reactor.clock import SystemClock
from reactor.errors import LogUnavailable, UnknownRun
from reactor.events.event import Draft, Event, task_head
from reactor.logs.schemes import open_log
from reactor.logs.sqlite import queries, schema
from reactor.logs.sqlite.log import SqliteLog
from reactor.testing import ORDER_LAWS
from reactor.testing.store_laws import OrderLaw
from tests.helpers.connections import on_connect
from tests.helpers.runs import PATIENCE

TIME = b"2026-11-21T02:51:00.123456Z"


def event(seq: int, run_id: str = "r", type: str = "step.made", *, blob: bytes | None = None, **data: Any) -> Event:
    return Event.from_draft(seq, run_id, TIME, Draft(type, orjson.dumps(data), blob=blob))


def started(run_id: str = "r", workflow: str = "flow", version: str = "1") -> Event:
    return event(1, run_id, "run.started", workflow=workflow, version=version, total_tasks=0)


def ended(seq: int, run_id: str = "r", type: str = "run.completed") -> Event:
    return event(seq, run_id, type, duration_ms=1.0, outputs={})


@asynccontextmanager
async def opened(path: Path, **options: Any) -> AsyncIterator[SqliteLog]:
    log = SqliteLog(path, **options)
    await log.open()
    try:
        yield log
    finally:
        await log.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


def rows(path: Path, query: str) -> list[tuple[Any, ...]]:
    """Asks the file, beside whoever owns it."""
    connection = sqlite3.connect(path)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


# --- committing -------------------------------------------------------------------------------------------------


def traced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements of each connection that is opened from now on, as SQLite runs them."""
    statements: list[str] = []

    def trace(connection: sqlite3.Connection) -> sqlite3.Connection:
        connection.set_trace_callback(statements.append)
        return connection

    on_connect(monkeypatch, trace)
    return statements


async def test_runs_that_append_together_share_a_commit(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """200 windows of 200 runs handed over in one turn of the loop make few transactions, not 200."""
    log = SqliteLog(path)
    statements = traced(monkeypatch)
    await log.open()
    before = statements.count("COMMIT")
    await asyncio.gather(*(log.append(f"r{i}", [started(f"r{i}")]) for i in range(200)))
    commits = statements.count("COMMIT") - before
    await log.close()
    assert 1 <= commits <= 100
    assert rows(path, "SELECT count(*) FROM windows") == [(200,)]


async def test_windows_that_wait_for_a_commit_share_the_next_one(path: Path) -> None:
    """What is appended while the writer is held up by somebody else is one transaction: positions in append order."""
    async with opened(path) as log:
        await log.append("r0", [started("r0")])
        visitor = sqlite3.connect(path, isolation_level=None)
        visitor.execute("BEGIN IMMEDIATE")  # as a person with a sqlite3 shell may
        waiting = [log.append(f"r{i}", [started(f"r{i}")]) for i in range(1, 50)]
        visitor.execute("COMMIT")
        visitor.close()
        await asyncio.gather(*waiting)
    order = rows(path, "SELECT run_id FROM windows JOIN runs ON run = runs.id ORDER BY position")
    assert order == [(f"r{i}",) for i in range(50)]


async def test_a_window_that_begins_before_the_last_event_adds_what_is_new(path: Path) -> None:
    """A window is keyed (run, seq): a repeat adds nothing, an overlap what follows, also in a new process."""
    events = [started(), *(event(seq, n=seq) for seq in range(2, 9))]
    async with opened(path) as log:
        await log.append("r", events[:3])
        await log.append("r", events[:3])
        await log.append("r", events[1:5])
    async with opened(path) as log:
        await log.append("r", events[2:5])
        await log.append("r", events[3:])
        await log.append("r", [])
        assert await log.read("r", 0, 100) == events
    assert rows(path, "SELECT first_seq, last_seq FROM windows ORDER BY position") == [(1, 3), (4, 5), (6, 8)]


async def test_a_gap_is_refused_and_changes_nothing(path: Path) -> None:
    """A window that does not follow, or has a hole, fails; the next one that does follow is taken."""
    async with opened(path) as log:
        await log.append("r", [started(), event(2)])
        for window in ([event(4)], [event(3), event(5)], [event(3), event(3)]):
            with pytest.raises(ValueError, match="run r"):
                await log.append("r", window)
        await log.append("r", [event(3)])
        assert [e.seq for e in await log.read("r", 0, 100)] == [1, 2, 3]


async def test_an_event_of_more_than_one_line_is_refused(path: Path) -> None:
    """Windows are cut at line ends; JSON that has one would come back as two events, so it is not taken."""
    async with opened(path) as log:
        with pytest.raises(ValueError, match="one line"):
            await log.append("r", [Event(1, "r", "step.made", None, b'{"seq":1,\n"run_id":"r"}')])
        await log.append("r", [started()])
        assert (await log.record("r")).last_seq == 1


async def test_one_bad_window_harms_no_other_run(path: Path) -> None:
    """Where a group commit fails it is tried run by run: the others of the group are committed."""
    async with opened(path) as log:
        windows = {f"r{i}": [event(7, f"r{i}")] if i == 5 else [started(f"r{i}")] for i in range(10)}
        appended = [log.append(run_id, window) for run_id, window in windows.items()]
        outcomes = await asyncio.gather(*appended, return_exceptions=True)
        assert [type(outcome).__name__ for outcome in outcomes] == ["int"] * 5 + ["ValueError"] + ["int"] * 4
        assert len(await log.records(status=None, workflow=None, before=None, limit=100)) == 9


async def test_windows_that_meet_a_foreign_lock_wait_for_it_once_and_not_each(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No window is to blame for a lock: tried one by one, a hundred of them would hold the writer a hundred times."""
    begun: list[str] = []
    on_connect(monkeypatch, lambda connection: connection.set_trace_callback(begun.append) or connection)
    log = SqliteLog(path)
    log.keep_time(SystemClock(), 0.1)
    await log.open()
    visitor = sqlite3.connect(path, isolation_level=None)
    try:
        visitor.execute("BEGIN IMMEDIATE")
        begun.clear()
        appends = [log.append(f"r{number}", [started(f"r{number}")]) for number in range(20)]
        refused = await asyncio.wait_for(asyncio.gather(*appends, return_exceptions=True), PATIENCE)
        assert {str(error) for error in refused} == {"database is locked"}
        assert begun.count("BEGIN IMMEDIATE") <= 3  # what was there at once, and what came meanwhile
        visitor.execute("COMMIT")
        assert await log.append("r0", [started("r0")]) > 0
    finally:
        visitor.close()
        await log.close()


async def test_a_rollback_that_fails_does_not_end_the_writer(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the disk does to a commit, its append is answered and later ones are tried."""

    class Sick:
        """A connection whose next commit fails, and whose rollback does too."""

        def __init__(self, connection: sqlite3.Connection) -> None:
            self.connection = connection
            self.sick = False

        def execute(self, statement: str, *parameters: Any) -> Any:
            if self.sick and statement == "COMMIT":
                raise sqlite3.OperationalError("disk I/O error")
            if self.sick and statement == "ROLLBACK":
                self.sick = False
                raise sqlite3.OperationalError("disk I/O error")
            return self.connection.execute(statement, *parameters)

        def __getattr__(self, name: str) -> Any:
            return getattr(self.connection, name)

    made: list[Sick] = []
    on_connect(monkeypatch, lambda connection: made.append(Sick(connection)) or made[-1])
    log = SqliteLog(path)
    await log.open()
    await log.append("r", [started()])
    made[0].sick = True
    with pytest.raises(sqlite3.OperationalError):
        await log.append("r", [event(2)])
    await log.append("r", [event(2)])
    assert [e.seq for e in await log.read("r", 0, 9)] == [1, 2]
    await log.close()


async def test_what_is_appended_and_not_waited_for_is_committed_by_close(path: Path) -> None:
    """close() commits everything that was handed over before."""
    async with opened(path) as log:
        for seq in range(1, 101):
            log.append("r", [started() if seq == 1 else event(seq)])
    async with opened(path) as log:
        assert (await log.record("r")).last_seq == 100


async def test_a_closed_log_is_one_file(path: Path) -> None:
    """After close() everything is in the file itself: it can be copied, nothing is left in a write-ahead log."""
    for seq in range(1, 21):
        async with opened(path) as log:
            await log.append("r", [started() if seq == 1 else event(seq)])
        assert sorted(entry.name for entry in path.parent.iterdir()) == ["runs.db", "runs.db.lock"]


async def test_a_closed_log_says_so(path: Path) -> None:
    """After close() a question or an append is answered with LogUnavailable; it does not wait for ever."""
    async with opened(path) as log:
        await log.append("r", [started()])
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(LogUnavailable, match="closed"):
            await log.read("r", 0, 10)
        with pytest.raises(LogUnavailable, match="closed"):
            await log.append("r", [event(2)])
        await log.close()


async def test_a_log_that_was_never_opened_says_so(path: Path) -> None:
    """Before open() a question is answered with LogUnavailable, and close() has nothing to do."""
    log = SqliteLog(path)
    with pytest.raises(LogUnavailable, match="not open"):
        await log.read("r", 0, 10)
    await log.close()
    assert not path.exists()


# --- reading back -----------------------------------------------------------------------------------------------


async def test_reopening_reads_everything_byte_for_byte(path: Path) -> None:
    """What was committed comes back as it was: JSON, types, tasks, payloads, records."""
    events = [started(), *(event(seq, text='"\n\r\u2028\x00ü\U0001f600', n=seq) for seq in range(2, 2_500))]
    events[7].blob = bytes(range(256)) * 400
    async with opened(path) as log:
        for at in range(0, len(events), 333):
            await log.append("r", events[at : at + 333])
        record = await log.record("r")
    async with opened(path) as log:
        read: list[Event] = []
        while page := await log.read("r", len(read), 1_000):
            read += page
        assert [e.json for e in read] == [e.json for e in events]
        assert [(e.seq, e.run_id, e.type, e.task_id) for e in read] == [
            (e.seq, e.run_id, e.type, e.task_id) for e in events
        ]
        assert await log.blob("r", 8) == bytes(range(256)) * 400
        assert await log.blob("r", 7) is None
        assert await log.record("r") == record


async def test_pages_list_every_run_once_under_every_filter(path: Path) -> None:
    """Pages by status and workflow follow each other by ``before``, newest first, and agree with the whole list."""
    async with opened(path) as log:
        for i in range(30):
            run_id, workflow = f"r{i}", f"w{i % 3}"
            await log.append(run_id, [started(run_id, workflow)])
            if i % 2:
                await log.append(run_id, [ended(2, run_id, "run.failed" if i % 5 else "run.completed")])
        everything = await log.records(status=None, workflow=None, before=None, limit=100)
        assert [record.run_id for record in everything] == [f"r{i}" for i in reversed(range(30))]
        for status in (None, "running", "failed", "completed", "cancelled"):
            for workflow in (None, "w0", "w2", "nothing"):
                expected = [r for r in everything if status in (None, r.status) and workflow in (None, r.workflow)]
                found, before = [], None
                while page := await log.records(status=status, workflow=workflow, before=before, limit=4):
                    found += page
                    before = page[-1].run_id
                assert found == expected
        open_runs = [record.run_id for record in await log.unfinished()]
        assert open_runs == [f"r{i}" for i in range(0, 30, 2)]
        with pytest.raises(UnknownRun):
            await log.records(status=None, workflow=None, before="nobody", limit=4)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"status": "failed"},
        {"workflow": "w"},
        {"workflow": "w", "status": "x"},
        {"parent": "r"},
        {"root": "r"},
        {"root": "r", "status": "x"},
        {"question": True},
        {"meta": {"a": "1"}},
        {"meta": {"a": "1", "b": "2"}, "status": "x", "question": True},
        {"since": datetime(2026, 1, 1, tzinfo=UTC), "until": datetime(2027, 1, 1, tzinfo=UTC)},
    ],
)
@pytest.mark.parametrize("before", [None, "r"])
async def test_a_page_is_read_in_the_order_of_an_index(
    path: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], before: str | None
) -> None:
    """Nothing is sorted and no table is read through, so a page costs the same in a file of a million runs."""
    statements = traced(monkeypatch)
    async with opened(path) as log:
        await log.append("r", [started()])
        arguments: dict[str, Any] = {"status": None, "workflow": None, "before": before, "limit": 5, **given}
        await log.records(**arguments)
        query = next(statement for statement in reversed(statements) if "windows" in statement)
    plan = [row[3] for row in rows(path, f"EXPLAIN QUERY PLAN {query}")]
    assert not [step for step in plan if "SCAN" in step.split() or "TEMP" in step], plan
    windows = [step for step in plan if " windows " in step]
    assert len(windows) == 3
    assert all("COVERING INDEX windows_by_seq (run=?)" in step for step in windows)


async def test_many_reads_at_once_are_each_answered(path: Path) -> None:
    """Questions asked together, one of them cancelled, one of an unknown run, get their own answers."""
    async with opened(path) as log:
        await log.append("r", [started(), *(event(seq) for seq in range(2, 101))])
        asked = [asyncio.ensure_future(log.read("r", after, 5)) for after in range(90)]
        asked[3].cancel()
        unknown = asyncio.ensure_future(log.read("nobody", 0, 5))
        answers = await asyncio.gather(*asked, unknown, return_exceptions=True)
        assert isinstance(answers.pop(), UnknownRun)
        assert isinstance(answers.pop(3), asyncio.CancelledError)
        assert [e[0].seq for e in answers] == [seq for seq in range(1, 91) if seq != 4]


TASK_IDS = st.builds(
    lambda name, index: name if index is None else f"{name}[{index}]",
    st.from_regex(TASK_NAME, fullmatch=True),
    st.none() | st.integers(0, 10**6),
)
HOSTILE = st.sampled_from(
    [
        '"type":"',
        '"task_id":"x"',
        '","time":"2026-11-21T02:51:00.123456Z","task_id":"evil"',
        '\\"type\\":\\"',
        "}",
        "\n",
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text() | HOSTILE,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text() | HOSTILE, inner, max_size=4),
    max_leaves=10,
)


@given(
    seq=st.integers(1, 10**12),
    run_id=st.from_regex(RUN_ID, fullmatch=True),
    type=st.from_regex(EVENT_TYPE, fullmatch=True),
    task_id=st.none() | TASK_IDS,
    attempt=st.integers(0, 99),
    data=st.dictionaries(st.text() | HOSTILE, JSON, max_size=5),
)
def test_an_event_found_in_its_json_is_the_event_decoded_from_it(
    seq: int, run_id: str, type: str, task_id: str | None, attempt: int, data: dict[str, Any]
) -> None:
    """from_log finds the type and task that from_json decodes, whatever users wrote into ids, types and data."""
    head = b""
    if task_id is not None:
        name, bracket, index = task_id.rstrip("]").partition("[")
        head = task_head(task_id, name, int(index) if bracket else None, attempt)
    made = Event.from_draft(seq, run_id, TIME, Draft(type, orjson.dumps(data), task_id, head))
    read, decoded = Event.from_log(seq, run_id, made.json), Event.from_json(made.json)
    for field in ("seq", "run_id", "type", "task_id", "json", "task", "map_index", "attempt", "time"):
        assert getattr(read, field) == getattr(decoded, field) == getattr(made, field)
    assert read.body == decoded.body


# --- files that are no log --------------------------------------------------------------------------------------


def assert_one_sentence(error: LogUnavailable, path: Path) -> None:
    sentence = str(error)
    assert str(path) in sentence
    assert "\n" not in sentence
    assert "Traceback" not in sentence
    assert error.path == str(path)


async def refused(path: Path) -> str:
    """Why the file cannot be opened; twice, since nothing may be left locked by the first time."""
    for _ in range(2):
        with pytest.raises(LogUnavailable) as caught:
            await SqliteLog(path).open()
        assert_one_sentence(caught.value, path)
        assert "in use" not in str(caught.value)
    return str(caught.value)


async def test_a_file_of_a_newer_version_is_refused_and_left_as_it_is(path: Path) -> None:
    """The sentence names both versions and what to do; no byte of the file changes."""
    async with opened(path) as log:
        await log.append("r", [started()])
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    connection.execute("PRAGMA journal_mode = DELETE")
    connection.close()
    before = path.read_bytes()
    assert "newer version" in await refused(path)
    assert path.read_bytes() == before


async def test_somebody_elses_sqlite_file_is_refused_and_left_as_it_is(path: Path) -> None:
    """A SQLite file without our application id is not touched: not migrated, not even turned to write-ahead."""
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE accounts (id INTEGER)")
    connection.commit()
    connection.close()
    before = path.read_bytes()
    assert "something else" in await refused(path)
    assert path.read_bytes() == before


async def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(path: Path) -> None:
    """A text file is refused in a sentence."""
    path.write_text("dear diary\n" * 100)
    before = path.read_bytes()
    await refused(path)
    assert path.read_bytes() == before


async def test_a_directory_is_refused(tmp_path: Path) -> None:
    """A directory is refused in a sentence, and nothing is put beside it."""
    folder = tmp_path / "folder"
    folder.mkdir()
    await refused(folder)
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder"]


async def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    """A folder that is not there is not made."""
    assert "No such file or directory" in await refused(tmp_path / "missing" / "runs.db")
    assert not (tmp_path / "missing").exists()


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc, where nobody can write, root included")
async def test_a_folder_that_cannot_be_written_is_refused() -> None:
    """Where no file can be made the log is refused in a sentence."""
    await refused(Path("/proc/runs.db"))


@contextmanager
def as_one_who_may_not_write_everywhere() -> Iterator[None]:
    """Of a test that runs as root, the block is nobody's."""
    if os.geteuid():
        yield
        return
    os.seteuid(pwd.getpwnam("nobody").pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)


async def test_a_read_only_file_is_refused() -> None:
    """A file that may only be read is refused in a sentence."""
    with TemporaryDirectory() as name:  # where everybody may go, and make the files beside
        path = Path(name, "runs.db")
        async with opened(path):
            pass
        Path(name).chmod(0o777)
        Path(name, "runs.db.lock").unlink()
        path.chmod(0o444)
        with as_one_who_may_not_write_everywhere():
            assert "may only be read" in await refused(path)


async def filled(path: Path) -> None:
    async with opened(path) as log:
        for i in range(20):
            await log.append(
                f"r{i}", [started(f"r{i}"), *(event(seq, f"r{i}", text="x" * 900) for seq in range(2, 30))]
            )


async def test_a_truncated_file_is_refused(path: Path) -> None:
    """A file that lost its end is refused when it is opened."""
    await filled(path)
    os.truncate(path, path.stat().st_size // 2)
    await refused(path)


async def test_a_file_with_a_spoilt_head_is_refused(path: Path) -> None:
    """A file whose first pages are overwritten is refused when it is opened."""
    await filled(path)
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xaa" * 8_000)
    await refused(path)


async def test_a_page_that_is_spoilt_later_is_met_with_a_sentence(path: Path) -> None:
    """Corruption deep in the file shows when it is read: LogUnavailable naming the file, and other runs go on."""
    await filled(path)
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size // 4096 // 2 * 4096)
        file.write(b"\xaa" * (size // 4))
    async with opened(path) as log:
        errors = []
        for i in range(20):
            try:
                assert len(await log.read(f"r{i}", 0, 100)) == 29
            except LogUnavailable as error:
                errors.append(error)
        assert 0 < len(errors) < 20
        for error in errors:
            assert_one_sentence(error, path)


async def test_an_engine_says_why_its_log_cannot_be_opened(path: Path) -> None:
    """async with Engine on a bad file raises LogUnavailable, nothing else."""
    path.write_text("dear diary\n" * 100)
    with pytest.raises(LogUnavailable):
        async with Engine(f"sqlite:///{path}"):
            pass


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="looks into /proc")
async def test_a_failed_open_leaves_no_connection_and_no_lock(path: Path) -> None:
    """After a refused open the process holds neither the file nor its lock."""
    path.write_text("dear diary\n" * 100)
    with pytest.raises(LogUnavailable):
        await SqliteLog(path).open()
    descriptors = Path("/proc/self/fd").iterdir()
    held = [str(descriptor.readlink()) for descriptor in descriptors if descriptor.is_symlink()]
    assert [name for name in held if str(path) in name] == []


# --- one owner --------------------------------------------------------------------------------------------------

OWNER = """
import asyncio, sys
from reactor.logs.sqlite.log import SqliteLog
from reactor.events.event import Event

async def main():
    log = SqliteLog(sys.argv[1])
    await log.open()
    await log.append("r", [Event.from_json(sys.argv[2].encode())])
    print("open", flush=True)
    await asyncio.sleep(3600)

asyncio.run(main())
"""


def owner(path: Path) -> subprocess.Popen[str]:
    """Another process that has the log open, and one event of run r committed."""
    json = started().json.decode()
    process = subprocess.Popen([sys.executable, "-c", OWNER, str(path), json], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n"
    return process


async def test_a_second_process_is_refused_by_the_name_of_the_owner(path: Path) -> None:
    """The sentence names the process that has the log."""
    process = owner(path)
    try:
        with pytest.raises(LogUnavailable, match=f"process {process.pid};") as caught:
            await SqliteLog(path).open()
        assert_one_sentence(caught.value, path)
        assert rows(path, "SELECT run_id FROM runs") == [("r",)]  # reading beside it is allowed
    finally:
        process.kill()
        process.communicate()


async def test_a_killed_owner_frees_the_log_with_all_it_committed(path: Path) -> None:
    """After kill -9 the file can be opened at once, and what was committed is there."""
    process = owner(path)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    async with opened(path) as log:
        assert await log.read("r", 0, 10) == [started()]


async def not_opened(path: Path) -> str:
    """Why a second owner is refused."""
    with pytest.raises(LogUnavailable) as caught:
        await SqliteLog(path).open()
    assert_one_sentence(caught.value, path)
    return str(caught.value)


async def test_a_file_with_two_names_is_refused(path: Path) -> None:
    """Each name of a hard link has a write-ahead log of its own: two owners would spoil the file, and one after the
    other would miss commits."""
    other = path.with_name("other.db")
    async with opened(path) as log:
        await log.append("r", [started()])
        other.hardlink_to(path)
        assert "in use by process" in await not_opened(other)
    for name in (path, other):
        assert "2 names" in await not_opened(name)
    other.unlink()
    async with opened(path) as log:
        assert await log.read("r", 0, 10) == [started()]


@pytest.mark.parametrize("how", ["deleted", "replaced"])
async def test_a_log_without_its_lock_file_is_not_opened_twice(path: Path, how: str) -> None:
    """The log itself is locked, too: for other processes, and within one."""
    process = owner(path)
    beside = path.with_name(path.name + ".lock")
    try:
        beside.unlink()
        if how == "replaced":
            beside.touch()
        assert "in use by another process" in await not_opened(path)
    finally:
        process.kill()
        process.communicate()
    async with opened(path):
        beside.unlink()
        assert f"in use by process {os.getpid()};" in await not_opened(path)
        assert rows(path, "SELECT run_id FROM runs") == [("r",)]


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="mounts as Linux does")
async def test_a_log_at_two_mount_points_is_not_opened_twice(path: Path, tmp_path: Path) -> None:
    """A file that is mounted by itself, as containers do it, has another folder, and so another lock file."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "log.db").touch()
    process = owner(path)
    mount = ["mount", "--bind", path, elsewhere / "log.db"]
    is_mounted = (await asyncio.to_thread(subprocess.run, mount, stderr=subprocess.DEVNULL)).returncode == 0
    try:
        if not is_mounted:
            pytest.skip("needs to mount a file")
        assert "in use by another process" in await not_opened(elsewhere / "log.db")
    finally:
        process.kill()
        process.communicate()
        if is_mounted:
            await asyncio.to_thread(subprocess.run, ["umount", elsewhere / "log.db"], check=True)


VISIT = "import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute('SELECT run_id FROM runs').fetchall())"


async def test_a_refused_second_log_leaves_the_locks_of_sqlite(path: Path) -> None:
    """POSIX locks go when any descriptor of a file is closed in their process. Without its lock SQLite would let a
    visitor delete the write-ahead log that it writes to."""
    async with opened(path) as log:
        await log.append("r", [started()])
        path.with_name(path.name + ".lock").unlink()
        await not_opened(path)
        visit = [sys.executable, "-c", VISIT, path]
        visited = await asyncio.to_thread(subprocess.run, visit, capture_output=True, check=True)
        assert visited.stdout == b"[('r',)]\n"
        assert path.with_name(path.name + "-wal").exists()
        await log.append("r", [event(2)])
        assert rows(path, "SELECT max(last_seq) FROM windows") == [(2,)]


async def test_a_copy_made_beside_its_owner_is_a_log_of_its_own(path: Path) -> None:
    """As ``VACUUM INTO`` and ``.backup`` make it, which are told what stands in the write-ahead log."""
    copy = path.with_name("copy.db")
    async with opened(path) as log:
        await log.append("r", [started()])
        rows(path, f"VACUUM INTO '{copy}'")
        async with opened(copy) as second:
            assert await second.read("r", 0, 10) == [started()]
            await log.append("r", [event(2)])
            assert (await second.record("r")).last_seq == 1


async def test_a_second_log_in_the_same_process_is_refused(path: Path) -> None:
    """One owner means one: also within a process, and under another name of the same file."""
    alias = path.with_name("alias.db")
    alias.symlink_to(path)
    async with opened(path):
        for name in (path, alias):
            with pytest.raises(LogUnavailable, match=f"in use by process {os.getpid()};"):
                await SqliteLog(name).open()
    async with opened(alias):
        pass


async def test_a_child_does_not_inherit_the_lock(path: Path) -> None:
    """A process started while the log was open does not keep it: the file can be reopened while it lives."""
    async with opened(path):
        child = subprocess.Popen(["sleep", "60"], close_fds=False)  # noqa: ASYNC220
    try:
        async with opened(path):
            pass
        assert child.poll() is None
    finally:
        child.kill()
        child.wait()


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # 3.12: fork with threads, which is the point
async def test_a_forked_child_does_not_keep_the_lock(path: Path) -> None:
    """Nor does one that was forked without exec, as multiprocessing does on older Pythons."""
    context = multiprocessing.get_context("fork")
    never = context.Event()
    async with opened(path):
        child = context.Process(target=never.wait, args=(60,), daemon=True)
        child.start()
    try:
        async with opened(path):
            pass
        assert child.is_alive()
    finally:
        child.kill()
        child.join()


async def test_a_log_is_found_again_after_the_working_directory_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative path means what it meant when the log was made."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    log = SqliteLog("runs.db")
    monkeypatch.chdir(tmp_path / "elsewhere")
    await log.open()
    await log.close()
    assert (tmp_path / "runs.db").exists()


# --- the file itself --------------------------------------------------------------------------------------------

VERSION_1 = """
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
INSERT INTO runs (run_id, workflow, version, status, created)
VALUES ('old', 'flow', '1', 'running', '2026-11-21T02:51:00.123456Z');
INSERT INTO windows (run, first_seq, last_seq, events) VALUES (1, 1, 2, CAST(
    '{"seq":1,"run_id":"old","type":"run.started","time":"2026-11-21T02:51:00.123456Z","data":{}}' || char(10) ||
    '{"seq":2,"run_id":"old","type":"task.completed","time":"2026-11-21T02:51:00.123456Z","task_id":"a","task":"a","attempt":1,"data":{"output":1}}'
    AS BLOB));
INSERT INTO blobs VALUES (1, 2, x'00ff');
PRAGMA application_id = 1380008788;
PRAGMA user_version = 1;
"""  # one event is one line


async def test_a_file_of_version_1_is_brought_forward_and_goes_on(path: Path) -> None:
    """A file as the first version wrote it is opened, read and appended to, for ever."""
    connection = sqlite3.connect(path)
    connection.executescript(VERSION_1)
    connection.close()
    for last in (2, 3):
        async with opened(path) as log:
            events = await log.read("old", 0, 10)
            assert [(e.seq, e.type, e.task_id) for e in events[:2]] == [
                (1, "run.started", None),
                (2, "task.completed", "a"),
            ]
            assert await log.blob("old", 2) == b"\x00\xff"
            assert [record.last_seq for record in await log.unfinished()] == [last]
            await log.append("old", [event(last + 1, "old")])
    assert rows(path, "PRAGMA user_version") == [(schema.VERSION,)]
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]


async def test_a_migration_that_fails_leaves_the_file_as_it_was(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All statements of a migration, and its version, are one transaction."""
    async with opened(path) as log:
        await log.append("r", [started()])
    bad = (*schema.MIGRATIONS, ("CREATE TABLE more (id INTEGER)", "CREATE TABLE runs (id INTEGER)"))
    monkeypatch.setattr(schema, "MIGRATIONS", bad)
    monkeypatch.setattr(schema, "VERSION", len(bad))
    await refused(path)
    monkeypatch.undo()
    async with opened(path) as log:
        assert await log.read("r", 0, 10) == [started()]
    assert rows(path, "SELECT count(*) FROM sqlite_schema WHERE name = 'more'") == [(0,)]


async def test_the_first_open_that_is_killed_half_way_is_repeated(path: Path) -> None:
    """A file that exists and has nothing in it becomes a log."""
    path.touch()
    async with opened(path) as log:
        await log.append("r", [started()])
        assert await log.read("r", 0, 10) == [started()]


@pytest.mark.parametrize(("query", "level"), [("", 1), ("?synchronous=NORMAL", 1), ("?synchronous=full", 2)])
async def test_synchronous_is_what_the_url_says(
    query: str, level: int, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``?synchronous=FULL`` reaches the connection that writes; NORMAL is the default; both are write-ahead."""
    log = open_log(f"sqlite:///{path}{query}")
    assert isinstance(log, SqliteLog)
    connections: list[sqlite3.Connection] = []
    on_connect(monkeypatch, lambda connection: connections.append(connection) or connection)
    await log.open()
    assert connections
    for connection in connections:
        assert connection.execute("PRAGMA synchronous").fetchone() == (level,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    await log.close()


def test_a_url_names_a_relative_or_an_absolute_file() -> None:
    """Three slashes are relative, four absolute, and %20 is a space."""
    assert open_log("sqlite:///runs.db").path == Path("runs.db")
    assert open_log("sqlite:////var/lib/my%20runs.db").path == Path("/var/lib/my runs.db")


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///runs.db?synchronous=OFF",
        "sqlite:///runs.db?synchronous=",
        "sqlite:///runs.db?sync=FULL",
        "sqlite:///runs.db#1",
        "sqlite:///:memory:",
        "sqlite://runs.db",
        "sqlite:///",
        "memory://here",
        "memory://?max_events=5",
        "postgres://db",
        "",
    ],
)
def test_a_url_that_would_not_be_done_as_it_says_is_refused(url: str) -> None:
    """A misspelt option is not passed over in silence."""
    with pytest.raises(ValueError):
        open_log(url)


@pytest.mark.parametrize("law", ORDER_LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("scan", [1, 2, 3])
async def test_a_tree_is_read_in_steps_between_other_readers(
    law: OrderLaw, scan: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However few windows of all runs one step looks at: those of the tree are found behind those of others."""
    monkeypatch.setattr(queries, "SCAN", scan)
    log = SqliteLog(tmp_path / "runs.db")
    await log.open()
    for n in range(7):
        await log.append(f"before-{n}", [started(f"before-{n}")])
    await law(log)
    await log.close()
