"""The writer of a SQLite log: one commit for all the windows that are ready, one row for each window.

A row holds the JSON of its events, as it was made, joined by line ends. So appending costs one insert however many
events a window has, and a replay reads rows and cuts them at line ends. ``position`` numbers the windows of all runs in
the order of their commits.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from reactor.events.event import Event, Window
from reactor.events.state import RUN_ENDED, RUN_STATUS, run_status
from reactor.logs.sqlite.connection import ConnectionThread


class _Append(NamedTuple):
    run_id: str
    window: Window
    settle: Callable[[Exception | None], None]
    """Settles the future of this append; called on the loop."""


class Writer(ConnectionThread):
    """The only thread that changes the file. It batches the appends that wait, and does other jobs between batches."""

    def __init__(self, loop: asyncio.AbstractEventLoop, connection: sqlite3.Connection, path: Path) -> None:
        self._last: dict[str, tuple[int, int]] = {}
        """By the id of an open run: its row id and its last seq. Used by the thread only."""
        super().__init__(loop, connection, "writer", path)

    def append(self, run_id: str, window: Window) -> asyncio.Future[None]:
        """Commits a window; the future is done once it is in the file."""
        future: asyncio.Future[None] = self._loop.create_future()

        def settle(error: Exception | None) -> None:
            if future.done():  # cancelled: nobody waits any more
                return
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)

        self._queue.put(_Append(run_id, window, settle))
        return future

    # --- in the thread ---

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
        error = self._transaction(connection, batch)
        outcomes: list[tuple[_Append, Exception | None]] = [(append, error) for append in batch]
        if error is not None and len(batch) > 1:
            outcomes = [(append, self._transaction(connection, [append])) for append in batch]
        self.call_on_loop(lambda: [append.settle(failed) for append, failed in outcomes])

    def _transaction(self, connection: sqlite3.Connection, batch: Iterable[_Append]) -> Exception | None:
        """Commits these windows, or none of them; returns the error."""
        try:
            if connection.in_transaction:  # an earlier rollback failed as well
                connection.execute("ROLLBACK")
            connection.execute("BEGIN IMMEDIATE")
            for append in batch:
                self._insert(connection, append.run_id, append.window)
            connection.execute("COMMIT")
        except Exception as error:
            self._last.clear()  # it may hold what was not committed
            try:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
            except sqlite3.Error:
                pass  # for the same reason as the commit; the next BEGIN tells whether the connection works again
            return error
        return None

    def _insert(self, connection: sqlite3.Connection, run_id: str, window: Window) -> None:
        run, last = self._last.get(run_id) or _find_or_add_run(connection, run_id)
        new = [event for event in window if event.seq > last]
        if not new:
            return  # appends are keyed (run, seq): a repeat changes nothing
        if new[0].seq != last + 1 or new[-1].seq != last + len(new):
            raise ValueError(f"window {window[0].seq} of run {run_id} leaves a gap after {last}")
        joined = b"\n".join([event.json for event in new])
        if joined.count(b"\n") != len(new) - 1:
            raise ValueError(f"window {window[0].seq} of run {run_id} holds an event of more than one line")
        connection.execute(
            "INSERT INTO windows (run, first_seq, last_seq, events) VALUES (?, ?, ?, ?)",
            (run, new[0].seq, new[-1].seq, joined),
        )
        for event in new:
            if event.blob is not None:
                connection.execute("INSERT INTO blobs (run, seq, data) VALUES (?, ?, ?)", (run, event.seq, event.blob))
            if event.type in RUN_STATUS:
                _update_run(connection, run, event)
        self._last[run_id] = (run, new[-1].seq)
        if new[-1].type in RUN_STATUS and RUN_STATUS[new[-1].type] in RUN_ENDED:
            del self._last[run_id]


def _find_or_add_run(connection: sqlite3.Connection, run_id: str) -> tuple[int, int]:
    """The row id and the last seq of a run; adds a row for a new one."""
    row = connection.execute(
        "SELECT id, (SELECT coalesce(max(last_seq), 0) FROM windows WHERE run = id) FROM runs WHERE run_id = ?",
        (run_id,),
    ).fetchone()
    if row is not None:
        return row[0], row[1]
    cursor = connection.execute("INSERT INTO runs (run_id) VALUES (?)", (run_id,))
    return int(cursor.lastrowid or 0), 0


def _update_run(connection: sqlite3.Connection, run: int, event: Event) -> None:
    """Keeps the row of a run up to date: its status, what ``run.started`` says, and when it ended."""
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
    elif status in RUN_ENDED:
        connection.execute("UPDATE runs SET ended = ? WHERE id = ?", (event.decode()["time"], run))
