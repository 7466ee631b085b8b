"""Reads the windows of all runs in the order of their commits, and which runs were deleted between them."""

from __future__ import annotations

import sqlite3
from heapq import merge
from typing import Final

from reactor import bounds
from reactor.logs.sqlite.queries import SCAN, WINDOWS, one_moment, windows_of
from reactor.ports.order import Committed, Removed

_REMOVED: Final = """
    SELECT position, run_id, last_seq, workflow, parent FROM removed
    WHERE tenant = ? AND position > ? AND position <= ? ORDER BY position LIMIT ?
"""
_FORGOTTEN: Final = "forgotten_removed"
"""In ``meta``: the highest position of the deleted runs that are not remembered any more."""


def list_whole(
    connection: sqlite3.Connection, after: int, limit: int, *, tenant: str = ""
) -> tuple[list[Committed | Removed], int | None]:
    """What stands behind a position. It looks at ``SCAN`` windows, so that other readers have their turn.

    Where they are all of another tenant, the second value is where to look on; None: nowhere.
    """
    with one_moment(connection):
        return _list(connection, after, limit, tenant)


def _list(
    connection: sqlite3.Connection, after: int, limit: int, tenant: str
) -> tuple[list[Committed | Removed], int | None]:
    (newest,) = connection.execute("SELECT coalesce(max(position), 0) FROM windows").fetchone()
    end = after + SCAN
    rows = connection.execute(f"{WINDOWS} ORDER BY position LIMIT ?", (after, end, tenant, limit))
    windows, is_cut = windows_of(rows)
    if is_cut or len(windows) == limit:
        end = windows[-1].position  # there may be more windows before the end
    removed = [Removed(*row) for row in connection.execute(_REMOVED, (tenant, after, end, limit))]
    forgotten = forgotten_position(connection)
    if after < forgotten <= end:
        removed = sorted([*removed, Removed(forgotten, "", 0, "", None)], key=by_position)
    found: list[Committed | Removed] = list(merge(windows, removed, key=by_position))[:limit]
    return found, None if found or end >= max(newest, _newest_removed(connection), forgotten) else end


def by_position(entry: Committed | Removed) -> int:
    return entry.position


def _newest_removed(connection: sqlite3.Connection) -> int:
    (position,) = connection.execute("SELECT coalesce(max(position), 0) FROM removed").fetchone()
    return position


def forgotten_position(connection: sqlite3.Connection) -> int:
    """Up to where deleted runs may be forgotten; 0: none is."""
    row = connection.execute("SELECT value FROM meta WHERE name = ?", (_FORGOTTEN,)).fetchone()
    return 0 if row is None else int(row[0])


def forget_removed(connection: sqlite3.Connection) -> None:
    """Keeps the last ``bounds.REMOVED_RUNS`` deleted runs. In the transaction that has deleted runs."""
    (newest,) = connection.execute("SELECT coalesce(max(id), 0) FROM removed").fetchone()
    oldest = newest - bounds.REMOVED_RUNS
    (position,) = connection.execute("SELECT max(position) FROM removed WHERE id <= ?", (oldest,)).fetchone()
    if position is None:
        return
    connection.execute("DELETE FROM removed WHERE id <= ?", (oldest,))
    connection.execute(
        "INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (_FORGOTTEN, str(max(position, forgotten_position(connection)))),
    )
