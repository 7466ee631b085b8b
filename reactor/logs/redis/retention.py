"""Takes ended runs away: those that ended long ago, and those beyond a number."""

from __future__ import annotations

from typing import Final, NamedTuple

from reactor import bounds
from reactor.logs.records import days_before
from reactor.logs.redis.calls import Calls
from reactor.logs.redis.index import SCAN, sweep
from reactor.ports.measured import Kept

STEP: Final = 100
"""Runs that one call deletes at most, with all that is stored of them."""


class Retention(NamedTuple):
    """Which ended runs are kept: those of the last ``keep_days``, and the last ``keep_runs`` with their child runs.

    None: no limit. ``keep_runs`` counts runs that no other has started.
    """

    keep_days: float | None = None
    keep_runs: int | None = None

    @property
    def is_limited(self) -> bool:
        """Whether anything is ever deleted."""
        return self.keep_days is not None or self.keep_runs is not None

    @property
    def kept(self) -> Kept:
        """The same as the port has it."""
        return Kept(None if self.keep_days is None else self.keep_days * 86_400, self.keep_runs)


async def expire(calls: Calls, retention: Retention, now: str) -> int:
    """Deletes ended runs beyond the limits; returns how many. Open runs are never touched, nor what they need."""
    deleted = 0
    if retention.keep_days is not None:
        before = days_before(now, retention.keep_days)
        deleted += await _expire_old(calls, before.timestamp())
    if retention.keep_runs is not None:
        deleted += await _expire_many(calls, retention.keep_runs)
    if deleted:
        await sweep(calls)
    return deleted


async def _expire_old(calls: Calls, before: float) -> int:
    deleted = offset = 0
    while True:
        gone, left = await calls.write("expire_old", repr(before), offset, STEP, bounds.REMOVED_RUNS)
        deleted += gone
        offset += left
        if gone + left < STEP:
            return deleted


async def _expire_many(calls: Calls, keep: int) -> int:
    roots: list[bytes] = []
    offset, seen = 0, SCAN
    while seen == SCAN:
        seen, *found = await calls.read("ended_roots", offset, SCAN)
        offset += seen
        roots += found
    deleted = 0
    for name in roots[keep:]:
        tenant, _, root = name.decode().rpartition(":")
        deleted += await calls.write("delete_tree", tenant, root, bounds.REMOVED_RUNS)
    return deleted
