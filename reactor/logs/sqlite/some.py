"""Reads the windows of some runs in the order of their commits, and which of these runs were deleted.

Nothing is read of other runs: of each run the place of the reader is found by halving in ``windows_by_seq``, where
positions grow with the seqs, and only the windows of one page are read.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from heapq import merge
from itertools import islice
from typing import Final

from reactor.logs.sqlite.queries import ROWS, one_moment, windows_of
from reactor.logs.sqlite.whole import by_position, forgotten_position
from reactor.ports.order import Committed, Removed

_ROW: Final = "SELECT id FROM runs WHERE tenant = ? AND run_id = ?"
_WINDOW: Final = f"{ROWS} WHERE position = ?"
_FIRST_FROM: Final = "SELECT position, last_seq FROM windows WHERE run = ? AND last_seq >= ? ORDER BY last_seq LIMIT 1"
_LAST: Final = "SELECT position, last_seq FROM windows WHERE run = ? ORDER BY last_seq DESC LIMIT 1"
_POSITIONS: Final = "SELECT position FROM windows WHERE run = ? AND last_seq >= ? ORDER BY last_seq LIMIT ?"
_NO_END: Final = 2**63 - 1


def list_of_runs(
    connection: sqlite3.Connection, after: int, limit: int, *, runs: Sequence[str], tenant: str = ""
) -> list[Committed | Removed]:
    """What stands of these runs behind a position, within the bounds of one read."""
    with one_moment(connection):
        return _list(connection, after, limit, tuple(dict.fromkeys(runs)), tenant)


def _list(
    connection: sqlite3.Connection, after: int, limit: int, ids: tuple[str, ...], tenant: str
) -> list[Committed | Removed]:
    rows = [row for id in ids for row in connection.execute(_ROW, (tenant, id))]
    each = [_positions(connection, row, after, limit) for (row,) in rows]
    page = list(islice(merge(*each), limit))
    windows, is_cut = windows_of(connection.execute(_WINDOW, (position,)).fetchone() for position in page)
    # there may be more windows behind the last one of a page that is full
    end = windows[-1].position if is_cut or len(page) == limit else _NO_END
    removed = _removed(connection, ids, tenant, (after, end), limit)
    return list(merge(windows, removed, key=by_position))[:limit]


def _positions(connection: sqlite3.Connection, run: int, after: int, limit: int) -> Iterator[int]:
    """Of the windows of one run behind a position, at most ``limit``."""
    first = _first_seq(connection, run, after)
    if first is not None:
        for (position,) in connection.execute(_POSITIONS, (run, first, limit)):
            yield position


def _first_seq(connection: sqlite3.Connection, run: int, after: int) -> int | None:
    """A seq from which on the windows of a run are those behind a position; None: there are none."""
    position, high = connection.execute(_LAST, (run,)).fetchone() or (0, 0)
    if position <= after:
        return None
    low = 0
    middle = 0  # a reader often begins at the beginning
    while low < high:
        position, last_seq = connection.execute(_FIRST_FROM, (run, middle)).fetchone()
        if position > after:
            high = middle
        else:
            low = last_seq + 1
        middle = (low + high) // 2
    return low


def _removed(
    connection: sqlite3.Connection, ids: tuple[str, ...], tenant: str, between: tuple[int, int], limit: int
) -> list[Removed]:
    """Those that were deleted; a log remembers few enough to look at all of them behind a position."""
    query = (
        "SELECT position, run_id, last_seq, workflow, parent FROM removed"
        f" WHERE tenant = ? AND position > ? AND position <= ? AND run_id IN ({', '.join('?' * len(ids))})"
        " ORDER BY position LIMIT ?"
    )
    removed = [Removed(*row) for row in connection.execute(query, (tenant, *between, *ids, limit))]
    forgotten = forgotten_position(connection)
    after, end = between
    if after < forgotten <= end:
        removed = sorted([*removed, Removed(forgotten, "", 0, "", None)], key=by_position)
    return removed
