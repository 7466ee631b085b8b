"""Fills what runs are listed by from their events: in a file of an older version, and in one that was recovered."""

from __future__ import annotations

import sqlite3
from typing import Any, Final

import orjson

from reactor.events.event import Event
from reactor.events.fold import evolve
from reactor.events.state import RunState
from reactor.logs.listing import began_at, questions_of
from reactor.logs.sqlite.listing import add_meta, add_questions

_BROKEN: Final = (ValueError, KeyError, TypeError, AttributeError, IndexError)
"""What is raised for events that somebody has changed: the run is found by less, its recovery says what is wrong."""


def fill_lists(connection: sqlite3.Connection) -> None:
    """For all runs of the file; inside of a transaction."""
    latest: dict[str, int] = {}
    runs = connection.execute("SELECT id, tenant, run_id, created, ended FROM runs ORDER BY id").fetchall()
    for run, tenant, run_id, created, ended in runs:
        try:
            began = began_at(created)
        except ValueError:
            began = None
        latest[tenant] = max(latest.get(tenant, 0), began or 0)
        connection.execute("UPDATE runs SET began = ?, latest = ? WHERE id = ?", (began, latest[tenant], run))
        _fill_meta(connection, run, tenant)
        if ended is None:
            _fill_questions(connection, run, run_id)


def _fill_meta(connection: sqlite3.Connection, run: int, tenant: str) -> None:
    """From ``run.started``, or from the base where that was trimmed."""
    try:
        first = connection.execute(
            "SELECT events FROM windows WHERE run = ? AND first_seq = 1 ORDER BY last_seq LIMIT 1", (run,)
        ).fetchone()
        if first is not None:
            started = orjson.loads(first[0].partition(b"\n")[0])["data"]
        else:
            started = orjson.loads(_base(connection, run) or b"{}")
        add_meta(connection, run, tenant, started)
    except _BROKEN:
        return


def _fill_questions(connection: sqlite3.Connection, run: int, run_id: str) -> None:
    try:
        base = _base(connection, run)
        state = RunState(run_id) if base is None else RunState.from_dict(orjson.loads(base))
        rows = connection.execute("SELECT first_seq, events FROM windows WHERE run = ? ORDER BY last_seq", (run,))
        for first_seq, joined in rows:
            for seq, line in enumerate(joined.split(b"\n"), first_seq):
                evolve(state, Event.from_log(seq, run_id, line))
        questions = questions_of(state)
    except _BROKEN:
        return
    add_questions(connection, run, questions)
    connection.execute("UPDATE runs SET asking = ? WHERE id = ?", (int(bool(questions)), run))


def _base(connection: sqlite3.Connection, run: int) -> Any:
    return connection.execute("SELECT base FROM runs WHERE id = ?", (run,)).fetchone()[0]
