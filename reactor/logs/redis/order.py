"""The windows of several runs in the order of their commits."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import merge
from typing import Any

from reactor import bounds
from reactor.logs.redis.calls import Calls
from reactor.logs.redis.index import SCAN
from reactor.logs.redis.windows import events_of
from reactor.ports.order import Committed, PositionLost, Removed


def _committed(values: list[bytes]) -> Committed:
    position, run, first, lines, before = values
    run_id = run.decode()
    return Committed(int(position), run_id, int(first), events_of(run_id, int(first), lines), int(before))


def _removed(values: list[bytes]) -> Removed:
    position, run, last, workflow, parent = values
    return Removed(int(position), run.decode(), int(last), workflow.decode(), parent.decode() or None)


async def read_tree(calls: Calls, after: int, limit: int, root: str, tenant: str) -> list[Committed]:
    """Those of a tree behind a position."""
    at: Any = after
    while at != b"":
        at, *found = await calls.read("tree", tenant, at, limit, bounds.READ_BYTES, SCAN, root)
        _check_kept(at, after)
        if found:
            return [_committed(values) for values in found]
    return []


async def read_whole(calls: Calls, after: int, limit: int, tenant: str) -> list[Committed | Removed]:
    """Those of all runs of a tenant behind a position, and which runs were deleted between them."""
    at: Any = after
    while at != b"":
        at, windows, removed = await calls.read("whole", tenant, at, limit, bounds.READ_BYTES, SCAN)
        _check_kept(at, after)
        if windows or removed:
            return _page(windows, removed, limit)
    return []


async def read_of_runs(
    calls: Calls, after: int, limit: int, runs: Sequence[str], tenant: str
) -> list[Committed | Removed]:
    """The same of some runs."""
    ids = dict.fromkeys(runs)
    at, windows, removed = await calls.read("of_runs", tenant, after, limit, bounds.READ_BYTES, *ids)
    _check_kept(at, after)
    return _page(windows, removed, limit)


def _check_kept(answer: bytes, after: int) -> None:
    if answer == b"LOST":
        raise PositionLost(after)


def _page(windows: list[list[bytes]], removed: list[list[bytes]], limit: int) -> list[Committed | Removed]:
    gone = sorted(map(_removed, removed), key=_position)
    found: list[Committed | Removed] = list(merge(map(_committed, windows), gone, key=_position))
    return found[:limit]


def _position(entry: Committed | Removed) -> int:
    return entry.position
