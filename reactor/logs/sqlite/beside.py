"""What a SQLite log keeps beside the events: cached outputs, checkpoints, answers, the mark of a clean stop, its key,
schedules.

One function a query, each with the connection first. Those that write are for the writer's connection.
"""

from __future__ import annotations

import secrets
import sqlite3
from typing import Final

from reactor import bounds
from reactor.logs.embedded import DIGEST_KEY_BYTES
from reactor.logs.records import pack_schedule, unpack_schedule
from reactor.logs.sqlite.queries import run_row
from reactor.ports.schedules import ScheduleRecord

# --- outputs that ``cache=`` keeps ---


def recall_output(connection: sqlite3.Connection, key: str, now: float) -> bytes | None:
    """The output under a key, unless it has expired."""
    row = connection.execute("SELECT data FROM outputs WHERE key = ? AND until > ?", (key, now)).fetchone()
    return None if row is None else row[0]


def remember_output(connection: sqlite3.Connection, key: str, value: bytes, until: float) -> None:
    """Keeps an output; beyond ``bounds.CACHED_OUTPUTS`` the oldest are deleted."""
    connection.execute("REPLACE INTO outputs (key, data, until) VALUES (?, ?, ?)", (key, value, until))
    connection.execute("DELETE FROM outputs WHERE id <= last_insert_rowid() - ?", (bounds.CACHED_OUTPUTS,))


# --- checkpoints ---


def read_checkpoint(connection: sqlite3.Connection, run_id: str, until: int, *, tenant: str = "") -> bytes | None:
    """The kept state with the highest ``seq <= until``."""
    row = connection.execute(
        "SELECT state FROM checkpoints JOIN runs ON run = runs.id"
        " WHERE tenant = ? AND run_id = ? AND seq <= ? ORDER BY seq DESC LIMIT 1",
        (tenant, run_id, until),
    ).fetchone()
    return None if row is None else row[0]


def keep_checkpoint(connection: sqlite3.Connection, run_id: str, seq: int, state: bytes, *, tenant: str = "") -> None:
    """Keeps a state; the last ``bounds.CHECKPOINTS`` of the run stay. Raises UnknownRun."""
    run = run_row(connection, run_id, tenant)
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute("REPLACE INTO checkpoints (run, seq, state) VALUES (?, ?, ?)", (run, seq, state))
        kept = "SELECT seq FROM checkpoints WHERE run = ? ORDER BY seq DESC LIMIT ?"
        connection.execute(
            f"DELETE FROM checkpoints WHERE run = ? AND seq NOT IN ({kept})", (run, run, bounds.CHECKPOINTS)
        )
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


# --- idempotency keys ---


def read_answer(connection: sqlite3.Connection, key: str, *, run_id: str = "", tenant: str = "") -> bytes | None:
    """The answer kept under a key."""
    row = connection.execute(
        "SELECT answer FROM answers WHERE tenant = ? AND run_id = ? AND key = ?", (tenant, run_id, key)
    ).fetchone()
    return None if row is None else row[0]


def keep_answer(connection: sqlite3.Connection, key: str, answer: bytes, *, run_id: str = "", tenant: str = "") -> None:
    """Keeps an answer; beyond ``bounds.RUN_ANSWERS`` of a run and ``bounds.ANSWERS`` of all the oldest are deleted."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute(
            "INSERT INTO answers (tenant, run_id, key, answer) VALUES (?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET answer = excluded.answer",  # and no new id: a key grows old from its first use
            (tenant, run_id, key, answer),
        )
        if run_id:
            oldest = "SELECT id FROM answers WHERE tenant = ? AND run_id = ? ORDER BY id DESC LIMIT -1 OFFSET ?"
            connection.execute(f"DELETE FROM answers WHERE id IN ({oldest})", (tenant, run_id, bounds.RUN_ANSWERS))
        connection.execute("DELETE FROM answers WHERE id <= (SELECT max(id) FROM answers) - ?", (bounds.ANSWERS,))
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


# --- the mark of a clean stop ---

_STOP: Final = "stop"
_OPEN, _CLEAN = "open", "clean"


def take_stop(connection: sqlite3.Connection) -> bool | None:
    """Whether the last engine stopped cleanly; None for a file that no engine has used. Takes the mark away."""
    row = connection.execute("SELECT value FROM meta WHERE name = ?", (_STOP,)).fetchone()
    connection.execute("REPLACE INTO meta (name, value) VALUES (?, ?)", (_STOP, _OPEN))
    return None if row is None else row[0] == _CLEAN


def mark_stop(connection: sqlite3.Connection) -> None:
    """Leaves the mark."""
    connection.execute("REPLACE INTO meta (name, value) VALUES (?, ?)", (_STOP, _CLEAN))


# --- the key of its digests ---

_DIGEST_KEY: Final = "digest_key"


def digest_key(connection: sqlite3.Connection) -> bytes:
    """The key of this file, made when it is first asked for."""
    new = secrets.token_bytes(DIGEST_KEY_BYTES).hex()
    connection.execute("INSERT OR IGNORE INTO meta (name, value) VALUES (?, ?)", (_DIGEST_KEY, new))
    (kept,) = connection.execute("SELECT value FROM meta WHERE name = ?", (_DIGEST_KEY,)).fetchone()
    return bytes.fromhex(kept)


# --- schedules: few, and written seldom, so they need no table of their own ---

_SCHEDULES: Final = ("schedule/", "schedule0")
"""Names of schedules are from the first to the second: 0 comes after the slash, which no tenant has in its name."""


def schedules(connection: sqlite3.Connection) -> list[ScheduleRecord]:
    """All of all tenants, by tenant and name."""
    rows = connection.execute("SELECT value FROM meta WHERE name >= ? AND name < ?", _SCHEDULES).fetchall()
    return sorted((unpack_schedule(packed) for (packed,) in rows), key=lambda record: (record.tenant, record.name))


def replace_schedule(
    connection: sqlite3.Connection, before: ScheduleRecord | None, after: ScheduleRecord | None
) -> bool:
    """Stores one in place of another, in one statement, if that is what is stored."""
    record = after or before
    if record is None:
        return True
    name = f"{_SCHEDULES[0]}{record.tenant}/{record.name}"
    old = None if before is None else pack_schedule(before).decode()
    new = None if after is None else pack_schedule(after).decode()
    if old is None:
        done = connection.execute("INSERT OR IGNORE INTO meta (name, value) VALUES (?, ?)", (name, new))
    elif new is None:
        done = connection.execute("DELETE FROM meta WHERE name = ? AND value = ?", (name, old))
    else:
        done = connection.execute("UPDATE meta SET value = ? WHERE name = ? AND value = ?", (new, name, old))
    return done.rowcount == 1


# --- whether it can be written ---

_PROBE: Final = "probe"


def probe(connection: sqlite3.Connection) -> None:
    """Writes as much as a window may have. A full disk often has room for a row."""
    connection.execute("REPLACE INTO meta (name, value) VALUES (?, zeroblob(?))", (_PROBE, bounds.LOG_PROBE_BYTES))
    connection.execute("DELETE FROM meta WHERE name = ?", (_PROBE,))
