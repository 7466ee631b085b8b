"""The writer of a SQLite log: one commit for all the windows that are ready, one row for each window.

A row holds the JSON of its events, as it was made, joined by line ends. So appending costs one insert however many
events a window has, and a replay reads rows and cuts them at line ends. ``position`` numbers the windows of all runs in
the order of their commits.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from reactor.errors import LogUnavailable
from reactor.events.event import Event, Window
from reactor.events.state import RUN_ENDED, RUN_STATUS, run_status
from reactor.logs.listing import ASKED, CHANGES_QUESTIONS, Questions
from reactor.logs.records import INDEXED, later_version, parent_of, settled_child
from reactor.logs.sqlite import beside, listing
from reactor.logs.sqlite.connection import ConnectionThread, with_hint
from reactor.logs.sqlite.place import Place


class _Append(NamedTuple):
    run_id: str
    tenant: str
    window: Window
    settle: Callable[[int | Exception], None]
    """Settles the future of this append with its position or an error; called on the loop."""


class _Tail(NamedTuple):
    """Where an open run ends in the file."""

    run: int
    """Its row id."""
    last: int
    """Its last seq."""
    position: int
    """The position of its last window."""
    questions: Questions
    """Its open questions, as the file has them."""


class Writer(ConnectionThread):
    """The only thread that changes the file. It batches the appends that wait, and does other jobs between batches."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        connection: sqlite3.Connection,
        path: Path,
        place: Place,
        troubled: Callable[[LogUnavailable], None],
    ) -> None:
        self._place = place
        self._troubled = troubled
        """Called on the loop where a window was refused because the file has gone."""
        self._tails: dict[tuple[str, str], _Tail] = {}
        """Of open runs, by tenant and run id. Used by the thread only."""
        self._damage: Exception | None = None
        """What the last window met, where that was a damaged page. Used by the thread only."""
        super().__init__(loop, connection, "writer", path)

    def append(self, run_id: str, window: Window, tenant: str) -> asyncio.Future[int]:
        """Commits a window; the future has its position once it is in the file."""
        future: asyncio.Future[int] = self._loop.create_future()

        def settle(outcome: int | Exception) -> None:
            if future.done():  # cancelled: nobody waits any more
                return
            if isinstance(outcome, int):
                future.set_result(outcome)
            else:
                future.set_exception(with_hint(outcome, self._path))

        self._queue.put(_Append(run_id, tenant, window, settle))
        return future

    def look(self) -> asyncio.Future[None]:
        """Fails with LogUnavailable where the file is not where it was."""
        return self.ask(self._look)

    def probe(self) -> asyncio.Future[None]:
        """Writes something that nobody reads. Fails where that fails, and after a window that met a damaged page."""
        return self.ask(self._probe)

    # --- in the thread ---

    def _probe(self, connection: sqlite3.Connection) -> None:
        if self._damage is not None:  # what is written elsewhere in the file says nothing of that page
            raise self._damage
        beside.probe(connection)

    def _look(self, connection: sqlite3.Connection) -> None:
        try:
            self._place.check()
        except LogUnavailable:
            if not self._place.is_cut:  # whoever opens a file that was moved finds no write-ahead log beside it
                with suppress(sqlite3.Error):  # of a file system that is read-only: the trouble is told anyway
                    connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
            raise

    def _work(self, connection: sqlite3.Connection) -> None:
        batch: list[_Append] = []
        while (item := self._queue.get()) is not None:
            if isinstance(item, _Append):
                batch.append(item)
            else:
                self._commit(connection, batch)
                batch = []
                item(connection)
            if batch and self._queue.empty():
                self._commit(connection, batch)
                batch = []
        self._commit(connection, batch)

    def _commit(self, connection: sqlite3.Connection, batch: list[_Append]) -> None:
        """Commits all windows in one transaction; where that fails, one by one, so that a bad run harms no other."""
        if not batch:
            return
        done = self._transaction(connection, batch)
        if isinstance(done, list):
            outcomes: list[int | Exception] = [*done]
        elif len(batch) == 1 or _is_busy(done) or isinstance(done, LogUnavailable):
            outcomes = [done] * len(batch)
            if isinstance(done, LogUnavailable):
                self.call_on_loop(lambda: self._troubled(done))
        else:
            alone = (self._transaction(connection, [append]) for append in batch)
            outcomes = [done if isinstance(done, Exception) else done[0] for done in alone]
        self.call_on_loop(lambda: [append.settle(outcome) for append, outcome in zip(batch, outcomes, strict=True)])

    def _transaction(self, connection: sqlite3.Connection, batch: Iterable[_Append]) -> list[int] | Exception:
        """Commits these windows and returns their positions, or none of them and returns the error."""
        try:
            if connection.in_transaction:  # an earlier rollback failed as well
                connection.execute("ROLLBACK")
            self._place.check_again()
            connection.execute("BEGIN IMMEDIATE")
            positions = [self._insert(connection, append) for append in batch]
            connection.execute("COMMIT")
        except Exception as error:
            self._tails.clear()  # it may hold what was not committed
            if with_hint(error, self._path) is not error:
                self._damage = error
            try:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
            except sqlite3.Error:
                pass  # for the same reason as the commit; the next BEGIN tells whether the connection works again
            return error
        self._damage = None
        return positions

    def _insert(self, connection: sqlite3.Connection, append: _Append) -> int:
        """Adds what is new of a window; returns its position."""
        run_id, tenant, window, _ = append
        tail = self._tails.get((tenant, run_id)) or _find_or_add_run(connection, run_id, tenant)
        run, last, position, questions = tail
        new = [event for event in window if event.seq > last]
        if not new:
            return position  # appends are keyed (run, seq): a repeat changes nothing
        if new[0].seq != last + 1 or new[-1].seq != last + len(new):
            raise ValueError(f"window {window[0].seq} of run {run_id} leaves a gap after {last}")
        joined = b"\n".join([event.json for event in new])
        if joined.count(b"\n") != len(new) - 1:
            raise ValueError(f"window {window[0].seq} of run {run_id} holds an event of more than one line")
        inserted = connection.execute(
            "INSERT INTO windows (run, first_seq, last_seq, events) VALUES (?, ?, ?, ?)",
            (run, new[0].seq, new[-1].seq, joined),
        )
        position = inserted.lastrowid or 0
        for event in new:
            if event.blob is not None:
                connection.execute("INSERT INTO blobs (run, seq, data) VALUES (?, ?, ?)", (run, event.seq, event.blob))
            if event.type in INDEXED:
                _update_run(connection, run, event, tenant)
            elif event.type == ASKED or (questions and event.type in CHANGES_QUESTIONS):
                listing.note_question(connection, run, event, questions)
        if new[-1].type in RUN_STATUS and RUN_STATUS[new[-1].type] in RUN_ENDED:
            self._tails.pop((tenant, run_id), None)
            if questions:
                listing.forget_questions(connection, run)
        else:
            self._tails[tenant, run_id] = _Tail(run, new[-1].seq, position, questions)
        return position


def _is_busy(error: Exception) -> bool:
    """Whether another process has the lock. No window is to blame then, and each alone would wait for it again."""
    return isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY


def _find_or_add_run(connection: sqlite3.Connection, run_id: str, tenant: str) -> _Tail:
    """Where a run ends; adds a row for a new one."""
    row = connection.execute(
        "SELECT id, (SELECT position FROM windows WHERE run = runs.id ORDER BY last_seq DESC LIMIT 1) FROM runs"
        " WHERE tenant = ? AND run_id = ?",
        (tenant, run_id),
    ).fetchone()
    if row is not None:
        run, position = row
        found = connection.execute("SELECT last_seq FROM windows WHERE position = ?", (position,)).fetchone()
        return _Tail(run, found[0] if found else 0, position or 0, listing.read_questions(connection, run))
    cursor = connection.execute("INSERT INTO runs (tenant, run_id, root) VALUES (?, ?, ?)", (tenant, run_id, run_id))
    return _Tail(int(cursor.lastrowid or 0), 0, 0, {})


def _update_run(connection: sqlite3.Connection, run: int, event: Event, tenant: str) -> None:
    """Keeps the row of a run up to date: its status, what ``run.started`` says, and when it ended.

    ``child.ended`` is noted in the row of the child.
    """
    if (child := settled_child(event)) is not None:
        connection.execute(
            "UPDATE runs SET settled = 1 WHERE tenant = ? AND run_id = ? AND parent = ?", (tenant, child, event.run_id)
        )
    if (version := later_version(event)) is not None:
        connection.execute("UPDATE runs SET version = ? WHERE id = ?", (version, run))
    status = run_status(event)
    if status is None:
        return
    connection.execute("UPDATE runs SET status = ? WHERE id = ?", (status, run))
    if event.type == "run.started":
        body = event.decode()
        connection.execute(
            "UPDATE runs SET workflow = ?, version = ?, created = ? WHERE id = ?",
            (body["data"]["workflow"], body["data"]["version"], body["time"], run),
        )
        listing.note_start(connection, run, tenant, body)
        if (parent := parent_of(body["data"])) is not None:
            connection.execute(
                "UPDATE runs SET parent = ?,"
                " root = coalesce((SELECT root FROM runs WHERE tenant = ? AND run_id = ?), ?) WHERE id = ?",
                (parent, tenant, parent, parent, run),
            )
    elif status in RUN_ENDED:
        connection.execute("UPDATE runs SET ended = ? WHERE id = ?", (event.decode()["time"], run))
