"""Which runs a log in memory has deleted, for readers of all runs."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Collection, Iterator

from reactor import bounds
from reactor.ports.order import Removed


class RemovedRuns:
    """The last ``bounds.REMOVED_RUNS`` of them, by the position of their last window."""

    def __init__(self) -> None:
        self._entries: list[tuple[int, str, Removed]] = []
        """(position, tenant, run), sorted. No two runs have the same position."""
        self._forgotten = 0
        """The highest position of those that are not here any more."""

    def add(self, removed: Removed, tenant: str) -> None:
        """A run was deleted."""
        insort(self._entries, (removed.position, tenant, removed))
        if len(self._entries) > bounds.REMOVED_RUNS:
            self._forgotten = self._entries.pop(0)[0]

    def after(
        self, position: int, tenant: str, of_runs: Collection[str] | None = None
    ) -> Iterator[tuple[int, Removed]]:
        """(position, run) of those behind a position, in order. ``of_runs``: only those with one of these ids."""
        if position < self._forgotten:
            yield self._forgotten, Removed(self._forgotten, "", 0, "", None)
        for at, of, removed in self._entries[bisect_right(self._entries, position, key=_position) :]:
            if of == tenant and (of_runs is None or removed.run_id in of_runs):
                yield at, removed


def _position(entry: tuple[int, str, Removed]) -> int:
    return entry[0]
