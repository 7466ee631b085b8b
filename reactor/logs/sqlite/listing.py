"""Finds runs in a SQLite log by what they are listed by, and keeps that up to date."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, Unpack

from reactor.events.event import Event
from reactor.logs.listing import Questions, began_at, change_of, members_of, micros, note
from reactor.logs.sqlite.queries import RECORDS, run_row
from reactor.ports.index import RunFilter
from reactor.ports.log import RunRecord

_NO_END: Final = 2**63 - 1
_COUNTED: Final = 2_000
"""How far a list is counted to see whether it is the shortest."""
_INDEXES: Final = {
    "status": "runs_by_status",
    "workflow": "runs_by_workflow",
    "parent": "runs_by_parent",
    "root": "runs_by_root",
}
_HAS_MEMBER: Final = (
    "EXISTS (SELECT 1 FROM run_meta AS other WHERE other.tenant = ? AND other.name = ? AND other.text = ?"
    " AND other.run = runs.id)"
)


class _Way(NamedTuple):
    """An index that has all runs that are wanted, in the order in which they are listed."""

    source: str
    id: str
    """Its last column."""
    where: str
    values: tuple[Any, ...]


def list_records(
    connection: sqlite3.Connection, *, before: str | None, limit: int, tenant: str, **wanted: Unpack[RunFilter]
) -> list[RunRecord]:
    """The runs that are wanted, newest first.

    ``before``: the run id the previous page ended with; raises UnknownRun for a bad one.
    """
    below = _NO_END if before is None else run_row(connection, before, tenant)
    low, high = _span(connection, tenant, wanted)
    ways = _ways(tenant, wanted)
    way = ways[0] if len(ways) == 1 else min(ways, key=lambda way: _count(connection, way))
    conditions, values = _conditions(tenant, wanted)
    where = " AND ".join([way.where, f"{way.id} < ?", f"{way.id} >= ?", *conditions])
    rows = connection.execute(
        f"{RECORDS} FROM {way.source} WHERE {where} ORDER BY {way.id} DESC LIMIT ?",
        (*way.values, min(below, high), low, *values, limit),
    )
    return [RunRecord(*row) for row in rows]


def _ways(tenant: str, wanted: RunFilter) -> list[_Way]:
    """Those that there are to what is wanted. Of those that are equally short the first is taken."""
    given: dict[str, Any] = {**wanted}
    ways = [
        _Way(
            "run_meta CROSS JOIN runs ON runs.id = run_meta.run", "run_meta.run",
            "run_meta.tenant = ? AND run_meta.name = ? AND run_meta.text = ?", (tenant, *member),
        )
        for member in (wanted.get("meta") or {}).items()
    ]  # fmt: skip
    if given.get("question"):
        ways.append(_of_runs("runs_asking", "runs.asking = 1", tenant))
    if given.get("open"):
        ways.append(_of_runs("runs_open", "runs.ended IS NULL", tenant))
    status, workflow = given.get("status"), given.get("workflow")
    if status is not None and workflow is not None:
        both = "runs.workflow = ? AND runs.status = ?"
        ways.append(_of_runs("runs_by_workflow_and_status", both, tenant, workflow, status))
    ways += [
        _of_runs(index, f"runs.{column} = ?", tenant, given[column])
        for column, index in _INDEXES.items()
        if given.get(column) is not None
    ]
    return ways or [_Way("runs INDEXED BY runs_by_tenant", "runs.id", "runs.tenant = ?", (tenant,))]


def _of_runs(index: str, condition: str, tenant: str, *values: str) -> _Way:
    return _Way(f"runs INDEXED BY {index}", "runs.id", f"runs.tenant = ? AND {condition}", (tenant, *values))


def _count(connection: sqlite3.Connection, way: _Way) -> int:
    source = "run_meta" if way.id == "run_meta.run" else way.source
    query = f"SELECT count(*) FROM (SELECT 1 FROM {source} WHERE {way.where} LIMIT {_COUNTED})"
    return connection.execute(query, way.values).fetchone()[0]


def _conditions(tenant: str, wanted: RunFilter) -> tuple[list[str], list[Any]]:
    """All that is wanted, as conditions on a row of ``runs`` and their values."""
    given: dict[str, Any] = {**wanted}
    found: list[tuple[str, tuple[Any, ...]]] = [
        (f"runs.{column} = ?", (given[column],)) for column in _INDEXES if given.get(column) is not None
    ]
    if given.get("question"):
        found.append(("runs.asking = 1", ()))
    if given.get("open"):
        found.append(("runs.ended IS NULL", ()))
    if (since := given.get("since")) is not None:
        found.append(("runs.began >= ?", (micros(since),)))
    if (until := given.get("until")) is not None:
        found.append(("runs.began < ?", (micros(until),)))
    found += [(_HAS_MEMBER, (tenant, *member)) for member in (wanted.get("meta") or {}).items()]
    return [condition for condition, _ in found], [value for _, values in found for value in values]


def _span(connection: sqlite3.Connection, tenant: str, wanted: RunFilter) -> tuple[int, int]:
    """Which rows runs may have that have begun in the span of time that is wanted: from the first, below the second.

    See ``reactor.logs.listing``.
    """
    since, until = wanted.get("since"), wanted.get("until")
    low, high = 0, _NO_END
    if since is not None:
        low = _first_later(connection, tenant, micros(since))
    if until is not None:
        row = connection.execute(
            "SELECT latest - began FROM runs INDEXED BY runs_late WHERE tenant = ? AND latest > began"
            " ORDER BY latest - began DESC LIMIT 1",
            (tenant,),
        ).fetchone()
        high = _first_later(connection, tenant, micros(until) + (0 if row is None else row[0]))
    return low, high


def _first_later(connection: sqlite3.Connection, tenant: str, time: int) -> int:
    row = connection.execute(
        "SELECT id FROM runs INDEXED BY runs_by_time WHERE tenant = ? AND latest >= ? ORDER BY latest, id LIMIT 1",
        (tenant, time),
    ).fetchone()
    return _NO_END if row is None else row[0]


# --- keeping it up to date: for the writer's thread ---


def note_start(connection: sqlite3.Connection, run: int, tenant: str, started: Mapping[str, Any]) -> None:
    """What a run is found by from its ``run.started`` on, the whole event."""
    began = began_at(started["time"])
    connection.execute(
        "UPDATE runs SET began = ?, latest = max(?, coalesce("
        "(SELECT latest FROM runs AS earlier WHERE tenant = ? AND id < ? ORDER BY id DESC LIMIT 1), 0)) WHERE id = ?",
        (began, began, tenant, run, run),
    )
    add_meta(connection, run, tenant, started["data"])


def add_meta(connection: sqlite3.Connection, run: int, tenant: str, started: Mapping[str, Any]) -> None:
    """Lists a run under the members of its meta. ``started``: the data of its ``run.started``, or its state."""
    if members := members_of(started):
        connection.executemany(
            "INSERT OR IGNORE INTO run_meta (tenant, name, text, run) VALUES (?, ?, ?, ?)",
            [(tenant, name, text, run) for name, text in members],
        )


def read_questions(connection: sqlite3.Connection, run: int) -> Questions:
    """The open questions of a run."""
    questions: Questions = {}
    for task_id, key in connection.execute("SELECT task_id, key FROM questions WHERE run = ?", (run,)):
        questions.setdefault(task_id, set()).add(key)
    return questions


def note_question(connection: sqlite3.Connection, run: int, event: Event, questions: Questions) -> None:
    """Folds an event into the open questions of its run, here and in the file."""
    had_any = bool(questions)
    change = change_of(event)
    task_id = change.task_id
    before = set(questions.get(task_id, ()))
    if not note(questions, change):
        return
    now = questions.get(task_id, set[str]())
    gone = [(run, task_id, key) for key in before - now]
    connection.executemany("DELETE FROM questions WHERE run = ? AND task_id = ? AND key = ?", gone)
    add_questions(connection, run, {task_id: now - before})
    if bool(questions) != had_any:
        connection.execute("UPDATE runs SET asking = ? WHERE id = ?", (int(not had_any), run))


def add_questions(connection: sqlite3.Connection, run: int, questions: Questions) -> None:
    """Notes that these questions are open."""
    rows = [(run, task_id, key) for task_id, keys in questions.items() for key in keys]
    connection.executemany("INSERT OR IGNORE INTO questions (run, task_id, key) VALUES (?, ?, ?)", rows)


def forget_questions(connection: sqlite3.Connection, run: int) -> None:
    """The run has ended: nobody waits for an answer."""
    connection.execute("DELETE FROM questions WHERE run = ?", (run,))
    connection.execute("UPDATE runs SET asking = 0 WHERE id = ?", (run,))
