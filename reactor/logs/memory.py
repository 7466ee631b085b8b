"""The log in memory. Above its bounds the oldest events of a run are trimmed: only their fold is kept."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from heapq import merge
from itertools import islice
from typing import TypeAlias, Unpack
from urllib.parse import urlsplit

from reactor import bounds
from reactor.errors import UnknownRun
from reactor.events.event import Event, Window
from reactor.events.state import RUN_ENDED, RunState
from reactor.logs.embedded import (
    MemoryAnswers,
    MemoryCheckpoints,
    MemoryDigestKey,
    MemoryOutputs,
    MemorySchedules,
    MemoryStops,
    settled,
)
from reactor.logs.lists import Lists
from reactor.logs.records import still_open
from reactor.logs.removed_runs import RemovedRuns
from reactor.logs.stored_run import StoredRun
from reactor.ports.index import RunFilter
from reactor.ports.log import RunRecord
from reactor.ports.measured import Kept
from reactor.ports.order import Committed, Removed

_Key: TypeAlias = tuple[str, str]
"""Tenant and run id."""


class MemoryLog(MemoryOutputs, MemoryCheckpoints, MemoryAnswers, MemoryStops, MemoryDigestKey, MemorySchedules):
    """Implements every port of a log for one process.

    It keeps at most ``max_events`` events and ``max_bytes`` bytes of each run. Of ended runs it keeps the last
    ``max_ended`` that no other run has started, and the last ``max_ended`` child runs of theirs; also those that an
    open parent may ask for again.
    """

    def __init__(
        self,
        *,
        max_events: int = bounds.MEMORY_LOG_EVENTS,
        max_bytes: int = bounds.MEMORY_LOG_BYTES,
        max_ended: int = bounds.MEMORY_LOG_ENDED_RUNS,
    ) -> None:
        for part in (MemoryOutputs, MemoryCheckpoints, MemoryAnswers, MemoryStops, MemoryDigestKey, MemorySchedules):
            part.__init__(self)
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._max_ended = max_ended
        self._runs: OrderedDict[_Key, StoredRun] = OrderedDict()
        """By tenant and run id."""
        self._lists = Lists()
        self._ended: OrderedDict[_Key, None] = OrderedDict()
        """Ended runs without a parent, the oldest first."""
        self._ended_children: OrderedDict[_Key, None] = OrderedDict()
        """Ended child runs that nobody needs any more: their parent has ended, or its log has their end."""
        self._needed: dict[_Key, dict[_Key, None]] = {}
        """By the key of an open parent: its child runs whose end its log does not have."""
        self._trees: dict[_Key, set[_Key]] = {}
        """By tenant and root: the child runs of a tree."""
        self._position = 0
        """Of the last window of all runs."""
        self._removed = RemovedRuns()

    durable = False

    @property
    def size_bytes(self) -> int:
        """The JSON of all events that are kept, and what is stored beside them."""
        return sum(run.bytes for run in list(self._runs.values()))

    @property
    def retention(self) -> Kept:
        return Kept(None, self._max_ended)

    async def open(self) -> None:
        """Does nothing: there is nothing to open."""

    async def close(self) -> None:
        """Keeps everything: the runs stay readable after their engine has closed."""

    # --- events ---

    def append(self, run_id: str, window: Window, *, tenant: str = "") -> asyncio.Future[int]:
        key = (tenant, run_id)
        run = self._runs.get(key) or StoredRun(run_id, tenant)
        if run.append(window, self._position + 1):  # before it is kept: it raises for a gap
            self._position += 1
        if key not in self._runs:
            self._add(run)
        elif run.is_changed:
            self._lists.update(run)
        if run.count > self._max_events or run.bytes > self._max_bytes:
            run.trim(self._max_events, self._max_bytes)
        if run.settled:
            for child in run.take_settled():
                self._release(key, (tenant, child))
        if run.status in RUN_ENDED:
            self._note_end(run, key)
        return settled(run.position)

    async def read(self, run_id: str, after: int, limit: int, *, tenant: str = "") -> list[Event]:
        return self._run(run_id, tenant).read(after, limit)

    async def base(self, run_id: str, *, tenant: str = "") -> RunState:
        return await self._run(run_id, tenant).copy_base()

    async def blob(self, run_id: str, seq: int, *, tenant: str = "") -> bytes | None:
        return self._run(run_id, tenant).blobs.get(seq)

    async def committed(self, after: int, limit: int, *, root: str, tenant: str = "") -> list[Committed]:
        top = self._runs.get((tenant, root))
        if top is not None and top.root != root:
            return []
        until = top.position if top is not None and top.status in RUN_ENDED else self._position
        runs = [self._runs[key] for key in self._trees.get((tenant, root), ()) if key in self._runs]
        windows = merge(*(run.committed(after, until) for run in (*runs, *([] if top is None else [top]))))
        found: list[Committed] = []
        size = 0
        for window in islice(windows, limit):
            size += sum(len(event.json) for event in window.events)
            if size > bounds.READ_BYTES and found:
                break
            found.append(window)
        return found

    async def whole(self, after: int, limit: int, *, tenant: str = "") -> list[Committed | Removed]:
        # only those that have something behind the position: few, for a reader that keeps up
        runs = [run for run in self._runs.values() if run.position > after and run.tenant == tenant]
        return _page(runs, self._removed.after(after, tenant), after, limit)

    async def of_runs(
        self, after: int, limit: int, *, runs: Sequence[str], tenant: str = ""
    ) -> list[Committed | Removed]:
        found = [self._runs[key] for run_id in dict.fromkeys(runs) if (key := (tenant, run_id)) in self._runs]
        removed = self._removed.after(after, tenant, frozenset(runs))
        return _page(found, removed, after, limit)

    # --- the list of runs ---

    async def record(self, run_id: str, *, tenant: str = "") -> RunRecord:
        return self._run(run_id, tenant).record()

    async def records(
        self, *, before: str | None, limit: int, tenant: str = "", **wanted: Unpack[RunFilter]
    ) -> list[RunRecord]:
        below = None if before is None else self._run(before, tenant).number
        return [run.record() for run in islice(self._lists.find(tenant, below, **wanted), limit)]

    async def probe(self) -> None:
        """Nothing to try: it is memory."""

    async def unfinished(self) -> list[RunRecord]:
        return [run.record() for run in self._runs.values() if run.status not in RUN_ENDED]

    async def delete(self, run_id: str, *, tenant: str = "") -> None:
        run = self._run(run_id, tenant)
        if run.status not in RUN_ENDED:
            raise still_open(run_id, run.status)
        self._forget((tenant, run_id))

    # --- inside ---

    def _run(self, run_id: str, tenant: str) -> StoredRun:
        run = self._runs.get((tenant, run_id))
        if run is None:
            raise UnknownRun.of(run_id)
        return run

    def _add(self, run: StoredRun) -> None:
        if run.parent is not None:
            parent = self._runs.get((run.tenant, run.parent))
            run.root = run.parent if parent is None else parent.root
            if parent is not None and parent.status not in RUN_ENDED:
                self._needed.setdefault((run.tenant, run.parent), {})[run.tenant, run.run_id] = None
            self._trees.setdefault((run.tenant, run.root), set()).add((run.tenant, run.run_id))
        self._runs[run.tenant, run.run_id] = run
        self._lists.add(run)

    def _release(self, parent: _Key, child: _Key) -> None:
        """The log of an open parent has the end of a child run: it may go."""
        self._needed.get(parent, {}).pop(child, None)
        run = self._runs.get(child)
        if run is not None and run.parent == parent[1] and run.status in RUN_ENDED:
            self._note_end(run, child)

    def _note_end(self, run: StoredRun, key: _Key) -> None:
        """A run has ended: forgets the oldest ones beyond the bound."""
        for child in self._needed.pop(key, ()):
            if self._runs[child].status in RUN_ENDED:
                self._ended_children.setdefault(child)
        if run.parent is None:
            self._ended.setdefault(key)
        elif key not in self._needed.get((run.tenant, run.parent), ()):
            self._ended_children.setdefault(key)
        while len(self._ended) > self._max_ended:
            self._forget_tree(next(iter(self._ended)))
        while len(self._ended_children) > self._max_ended:
            self._forget(next(iter(self._ended_children)))

    def _forget_tree(self, root: _Key) -> None:
        for child in self._trees.get(root, set()).intersection(self._ended_children):
            self._forget(child)
        self._forget(root)

    def _forget(self, key: _Key) -> None:
        tenant, run_id = key
        run = self._runs.pop(key)
        self._lists.remove(run)
        self._removed.add(Removed(run.position, run_id, run.last, run.workflow, run.parent), tenant)
        self._ended.pop(key, None)
        self._ended_children.pop(key, None)
        if run.parent is not None:
            self._needed.get((tenant, run.parent), {}).pop(key, None)
            tree = self._trees[tenant, run.root]
            tree.discard(key)
            if not tree:
                del self._trees[tenant, run.root]
        self.forget_checkpoints(run_id, tenant=tenant)
        self.forget_answers(run_id, tenant=tenant)


def _page(
    runs: Iterable[StoredRun], removed: Iterable[tuple[int, Removed]], after: int, limit: int
) -> list[Committed | Removed]:
    """The windows of some runs behind a position, and between them those that were deleted: one page of them."""
    windows = islice(merge(*(run.positioned(after) for run in runs)), limit)
    entries = merge(((position, run.window(i)) for position, run, i in windows), removed, key=_first)
    found: list[Committed | Removed] = []
    size = 0
    for _, entry in islice(entries, limit):
        if isinstance(entry, Committed):
            size += sum(len(event.json) for event in entry.events)
            if size > bounds.READ_BYTES and found:
                break
        found.append(entry)
    return found


def _first(pair: tuple[int, Committed | Removed]) -> int:
    return pair[0]


def open_memory(url: str) -> MemoryLog:
    """The log of ``memory://``; raises ValueError where the URL says more than that."""
    parts = urlsplit(url)
    if parts.netloc or parts.path or parts.query:
        raise ValueError(f"{url!r} is not an event log URL: write memory://")
    return MemoryLog()
