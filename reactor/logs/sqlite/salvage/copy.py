"""Copies what can be relied on of a damaged log into a new file. The old one is only read."""

from __future__ import annotations

import os
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import orjson

from reactor.errors import LogUnavailable
from reactor.logs.records import INDEXED, later_version, parent_of, settled_child
from reactor.logs.sqlite.filling import fill_lists
from reactor.logs.sqlite.lock import FileLock
from reactor.logs.sqlite.salvage.found import Found, WindowRow
from reactor.logs.sqlite.salvage.pages import MAGIC, Pages
from reactor.logs.sqlite.salvage.whole import Kept, Prefix, RecoveredRun
from reactor.logs.sqlite.schema import APPLICATION_ID, VERSION, migrate

Progress = Callable[[str, int, int], None]
"""Called now and then with what is done, how much of it, and of how much."""

_NUMBERED: Final = ("runs", "windows", "answers", "removed")
_RUNS_A_COMMIT: Final = 100


def recover(file: Path, out: Path, progress: Progress = lambda what, done, total: None) -> list[RecoveredRun]:
    """Copies a log; returns what has become of each run, oldest first.

    ``out`` is there only once it is whole. Raises LogUnavailable for a file that is owned by somebody, is no log or has
    nothing of one, and where ``out`` exists or cannot be written. While it works no engine can open ``file``.
    """
    if os.path.lexists(out):
        raise LogUnavailable(f"{out} exists already; name a file that does not", path=str(out))
    if not file.is_file():
        raise LogUnavailable(f"{file} is not a file", path=str(file))
    lock = FileLock(file, shared=True)
    lock.acquire()
    try:
        pages = Pages(lock.file)
        try:
            _check_is_log(pages, file)
            found = Found(pages, lambda done, total: progress("pages read", done, total))
            if not found.windows:
                raise LogUnavailable(f"{file} has nothing in it that can be read as an event log", path=str(file))
            return _write(pages, found, out, progress)
        finally:
            pages.close()
    finally:
        lock.release()


def _check_is_log(pages: Pages, file: Path) -> None:
    head = pages.read(pages.newest(1))
    application, version = (int.from_bytes(head[at : at + 4]) for at in (68, 60))
    if head.startswith(MAGIC) and application == APPLICATION_ID and version > VERSION:
        raise LogUnavailable(
            f"{file} was written by a newer version (schema {version}, this one knows {VERSION}); upgrade reactor-dag",
            path=str(file),
        )


def _write(pages: Pages, found: Found, out: Path, progress: Progress) -> list[RecoveredRun]:
    partial = out.with_name(out.name + ".partial")
    try:
        partial.unlink(missing_ok=True)
        connection = sqlite3.connect(partial, isolation_level=None)
        try:
            migrate(connection, out)
            connection.execute("PRAGMA synchronous = OFF")  # it is brought to the disk once, at the end
            results = list(_copy_runs(pages, found, connection, progress))
            connection.execute("BEGIN")
            fill_lists(connection)
            connection.execute("COMMIT")
            _copy_beside(found, connection, results)
        finally:
            connection.close()
        _publish(partial, out)
    except (OSError, sqlite3.Error) as error:
        raise LogUnavailable(f"{out} cannot be written: {error}", path=str(out)) from error
    finally:
        partial.unlink(missing_ok=True)
        partial.with_name(partial.name + "-journal").unlink(missing_ok=True)
    return results


def _publish(partial: Path, out: Path) -> None:
    """Gives the file its name, unless somebody has taken it meanwhile."""
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    try:
        os.link(partial, out)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        partial.rename(out)
    folder = os.open(out.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


# --- runs ---


def _copy_runs(
    pages: Pages, found: Found, connection: sqlite3.Connection, progress: Progress
) -> Iterator[RecoveredRun]:
    by_run: dict[int, list[WindowRow]] = defaultdict(list)
    for window in found.windows.values():
        by_run[window.run].append(window)
    ids = sorted(by_run.keys() | found.runs.keys() | found.listed.keys())
    owners = {(row.tenant, row.run_id): id for id in ids if (row := found.runs.get(id)) is not None}
    connection.execute("BEGIN")
    for n, id in enumerate(ids, 1):
        prefix = Prefix(pages, found, id, by_run.get(id, ()))
        name = (prefix.tenant, prefix.state.run_id)
        newest = max((window.position for window in by_run.get(id, ())), default=0)
        if owners.get(name, id) != id or 0 < newest <= found.removed_at(name):
            continue  # it was deleted: this is an old image of it, or a later run has its name
        _copy_run(prefix, id, connection)
        yield prefix.result()
        if n % _RUNS_A_COMMIT == 0:
            connection.execute("COMMIT")
            connection.execute("BEGIN")
            progress("runs copied", n, len(ids))
    connection.execute("COMMIT")


def _copy_run(prefix: Prefix, id: int, connection: sqlite3.Connection) -> None:
    is_there = False
    if prefix.base is not None and prefix.can_begin:
        _add_run(prefix, id, connection)
        is_there = True
    for kept in prefix.kept():
        if not is_there:
            _add_run(prefix, id, connection)
            is_there = True
        _copy_window(kept, id, prefix, connection)
    if is_there:
        connection.execute(
            "UPDATE runs SET status = ?, ended = ? WHERE id = ?", (prefix.state.status, prefix.ended, id)
        )


def _add_run(prefix: Prefix, id: int, connection: sqlite3.Connection) -> None:
    row, run_id = prefix.row, prefix.state.run_id
    columns = (run_id, "", "", "", None, run_id, None, 0)
    if row is not None:
        columns = (row.run_id, row.workflow, row.version, row.created, row.parent, row.root, prefix.base, row.settled)
    connection.execute(
        "INSERT INTO runs (id, tenant, run_id, workflow, version, created, parent, root, base, settled)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (id, prefix.tenant, *columns),
    )


def _copy_window(kept: Kept, id: int, prefix: Prefix, connection: sqlite3.Connection) -> None:
    position, events = kept
    connection.execute(
        "INSERT INTO windows (position, run, first_seq, last_seq, events) VALUES (?, ?, ?, ?, ?)",
        (position, id, events[0].seq, events[-1].seq, b"\n".join([event.json for event in events])),
    )
    for event in events:
        if event.blob is not None:
            connection.execute("INSERT INTO blobs (run, seq, data) VALUES (?, ?, ?)", (id, event.seq, event.blob))
        if event.type not in INDEXED:
            continue
        if (child := settled_child(event)) is not None:
            connection.execute(
                "UPDATE runs SET settled = 1 WHERE tenant = ? AND run_id = ? AND parent = ?",
                (prefix.tenant, child, event.run_id),
            )
        if (version := later_version(event)) is not None:
            connection.execute("UPDATE runs SET version = ? WHERE id = ?", (version, id))
        if event.type == "run.started":
            _say_start(event.decode(), id, prefix.tenant, connection)


def _say_start(body: dict[str, Any], id: int, tenant: str, connection: sqlite3.Connection) -> None:
    """What the list of runs says of a run, from its first event."""
    data: dict[str, Any] = body["data"]
    connection.execute(
        "UPDATE runs SET workflow = ?, version = ?, created = ? WHERE id = ?",
        (data["workflow"], data["version"], body["time"], id),
    )
    if (parent := parent_of(data)) is not None:
        connection.execute(
            "UPDATE runs SET parent = ?, root = coalesce("
            "(SELECT root FROM runs WHERE tenant = ? AND run_id = ?), ?) WHERE id = ?",
            (parent, tenant, parent, parent, id),
        )


# --- beside the runs ---


def _copy_beside(found: Found, connection: sqlite3.Connection, results: list[RecoveredRun]) -> None:
    """What a log keeps for all runs. Cached outputs and checkpoints are left out: they can be made again."""
    whole = {(run.tenant, run.run_id) for run in results if run.verdict == "whole"}
    connection.execute("BEGIN")
    for name, value in found.meta.items():
        if name != "stop":  # nobody can say that the last engine stopped as it should
            connection.execute("INSERT OR IGNORE INTO meta (name, value) VALUES (?, ?)", (name, value))
    for answer in found.answers:
        _, tenant, run_id, _, body, _ = answer
        if _is_json(body) and (not run_id or (tenant, run_id) in whole):  # else it may tell of events that are lost
            connection.execute("INSERT OR IGNORE INTO answers VALUES (?, ?, ?, ?, ?, ?)", answer)
    for removed in found.removed:
        connection.execute("INSERT OR IGNORE INTO removed VALUES (?, ?, ?, ?, ?, ?, ?)", removed)
    for table in _NUMBERED:  # numbers that somebody has seen are not used for something else
        number = found.sequences.get(table, 0)
        if table == "windows":
            number = max(number, found.newest_position, *found.windows)
        connection.execute("UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = ?", (number, table))
        connection.execute(
            "INSERT INTO sqlite_sequence (name, seq) SELECT ?, ? WHERE NOT EXISTS"
            " (SELECT 1 FROM sqlite_sequence WHERE name = ?)",
            (table, number, table),
        )
    connection.execute("COMMIT")


def _is_json(data: object) -> bool:
    try:
        orjson.loads(data if isinstance(data, bytes) else b"")
    except ValueError:
        return False
    return True
