"""The log in memory. Above its bounds the oldest events of a run are trimmed: only their fold is kept."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from itertools import islice
from urllib.parse import urlsplit

from reactor import bounds
from reactor.errors import UnknownRun
from reactor.events.event import Event, Window
from reactor.events.fold import evolve
from reactor.events.state import RUN_ENDED, RUN_STATUS, RunState, run_status
from reactor.logger import get_logger
from reactor.logs.embedded import MemoryAnswers, MemoryCheckpoints, MemoryDigestKey, MemoryOutputs, MemoryStops, settled
from reactor.logs.records import parent_of, still_open
from reactor.ports.log import RunRecord

logger = get_logger()


class MemoryLog(MemoryOutputs, MemoryCheckpoints, MemoryAnswers, MemoryStops, MemoryDigestKey):
    """Implements every port of a log for one process.

    It keeps at most ``max_events`` events and ``max_bytes`` bytes of each run, and the last ``max_ended`` ended runs.
    """

    def __init__(
        self,
        *,
        max_events: int = bounds.MEMORY_LOG_EVENTS,
        max_bytes: int = bounds.MEMORY_LOG_BYTES,
        max_ended: int = bounds.MEMORY_LOG_ENDED_RUNS,
    ) -> None:
        for part in (MemoryOutputs, MemoryCheckpoints, MemoryAnswers, MemoryStops, MemoryDigestKey):
            part.__init__(self)
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._max_ended = max_ended
        self._runs: OrderedDict[tuple[str, str], _Run] = OrderedDict()
        """By tenant and run id."""
        self._ended: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._position = 0
        """Of the last window of all runs."""

    durable = False

    async def open(self) -> None:
        """Does nothing: there is nothing to open."""

    async def close(self) -> None:
        """Keeps everything: the runs stay readable after their engine has closed."""

    # --- events ---

    def append(self, run_id: str, window: Window, *, tenant: str = "") -> asyncio.Future[int]:
        key = (tenant, run_id)
        run = self._runs.get(key) or _Run(run_id, tenant)
        if run.append(window):  # before it is kept: it raises for a gap
            self._position += 1
            run.position = self._position
        if key not in self._runs:
            self._add(run)
        if run.count > self._max_events or run.bytes > self._max_bytes:
            run.trim(self._max_events, self._max_bytes)
        if run.status in RUN_ENDED:
            self._forget_oldest(key)
        return settled(run.position)

    async def read(self, run_id: str, after: int, limit: int, *, tenant: str = "") -> list[Event]:
        return self._run(run_id, tenant).read(after, limit)

    async def base(self, run_id: str, *, tenant: str = "") -> RunState:
        return self._run(run_id, tenant).copy_base()

    async def blob(self, run_id: str, seq: int, *, tenant: str = "") -> bytes | None:
        return self._run(run_id, tenant).blobs.get(seq)

    # --- the list of runs ---

    async def record(self, run_id: str, *, tenant: str = "") -> RunRecord:
        return self._run(run_id, tenant).record()

    async def records(
        self,
        *,
        status: str | None,
        workflow: str | None,
        before: str | None,
        limit: int,
        parent: str | None = None,
        root: str | None = None,
        tenant: str = "",
    ) -> list[RunRecord]:
        newest_first = (run for run in reversed(self._runs.values()) if run.tenant == tenant)
        if before is not None:
            self._run(before, tenant)
            for run in newest_first:
                if run.run_id == before:
                    break
        found = (
            run.record()
            for run in newest_first
            if status in (None, run.status)
            and workflow in (None, run.workflow)
            and parent in (None, run.parent)
            and root in (None, run.root)
        )
        return list(islice(found, limit))

    async def unfinished(self) -> list[RunRecord]:
        return [run.record() for run in self._runs.values() if run.status not in RUN_ENDED]

    async def delete(self, run_id: str, *, tenant: str = "") -> None:
        run = self._run(run_id, tenant)
        if run.status not in RUN_ENDED:
            raise still_open(run_id, run.status)
        self._forget((tenant, run_id))

    # --- inside ---

    def _run(self, run_id: str, tenant: str) -> _Run:
        run = self._runs.get((tenant, run_id))
        if run is None:
            raise UnknownRun.of(run_id)
        return run

    def _add(self, run: _Run) -> None:
        if run.parent is not None:
            parent = self._runs.get((run.tenant, run.parent))
            run.root = run.parent if parent is None else parent.root
        self._runs[run.tenant, run.run_id] = run

    def _forget_oldest(self, key: tuple[str, str]) -> None:
        self._ended[key] = None
        while len(self._ended) > self._max_ended:
            self._forget(next(iter(self._ended)))

    def _forget(self, key: tuple[str, str]) -> None:
        tenant, run_id = key
        del self._ended[key], self._runs[key]
        self.forget_checkpoints(run_id, tenant=tenant)
        self.forget_answers(run_id, tenant=tenant)


class _Run:
    """The events of one run, as parallel lists: they take a third of the memory of a list of Events."""

    __slots__ = (
        "base",
        "blobs",
        "bytes",
        "created",
        "first",
        "json",
        "parent",
        "position",
        "root",
        "run_id",
        "status",
        "task_ids",
        "tenant",
        "types",
        "version",
        "workflow",
    )

    def __init__(self, run_id: str, tenant: str) -> None:
        self.run_id = run_id
        self.tenant = tenant
        self.parent: str | None = None
        self.root = run_id
        self.position = 0
        self.workflow = ""
        self.version = ""
        self.status = "pending"
        self.created = ""
        self.first = 1
        self.bytes = 0
        self.json: list[bytes] = []
        self.types: list[str] = []
        self.task_ids: list[str | None] = []
        self.blobs: dict[int, bytes] = {}
        self.base: RunState | None = None
        """The state before the first event that is kept; None until something is trimmed."""

    @property
    def count(self) -> int:
        return len(self.json)

    @property
    def last(self) -> int:
        return self.first + len(self.json) - 1

    def append(self, window: Window) -> bool:
        """Adds what is new of a window; returns whether anything was. Raises ValueError for a gap."""
        last = self.last
        if window[0].seq > last + 1:
            raise ValueError(f"window {window[0].seq} of run {self.run_id} leaves a gap after {last}")
        for event in window:
            if event.seq <= last:
                continue  # appends are keyed (run, seq): a repeat changes nothing
            self.json.append(event.json)
            self.types.append(event.type)
            self.task_ids.append(event.task_id)
            self.bytes += len(event.json)
            if event.blob is not None:
                self.blobs[event.seq] = event.blob
                self.bytes += len(event.blob)
            if event.type in RUN_STATUS:
                self._update(event)
        return self.last > last

    def _update(self, event: Event) -> None:
        self.status = run_status(event) or self.status
        if event.type == "run.started":
            body = event.decode()
            self.workflow = body["data"]["workflow"]
            self.version = body["data"]["version"]
            self.created = body["time"]
            self.parent = parent_of(body["data"])

    def read(self, after: int, limit: int) -> list[Event]:
        start = max(after + 1 - self.first, 0)
        events: list[Event] = []
        size = 0
        for i in range(start, min(start + limit, len(self.json))):
            size += len(self.json[i])
            if size > bounds.READ_BYTES and events:
                break
            events.append(self.event(i))
        return events

    def event(self, index: int) -> Event:
        return Event(self.first + index, self.run_id, self.types[index], self.task_ids[index], self.json[index])

    def trim(self, max_events: int, max_bytes: int) -> None:
        """Folds the oldest events into the base until a tenth of the bounds is free, so that trims are rare."""
        base = self.base = self.base or RunState(self.run_id)
        cut = 0
        kept_bytes = self.bytes
        while cut < self.count - 1 and (self.count - cut > max_events * 0.9 or kept_bytes > max_bytes * 0.9):
            event = self.event(cut)
            evolve(base, event)
            kept_bytes -= len(event.json) + len(self.blobs.pop(event.seq, b""))
            cut += 1
        del self.json[:cut], self.types[:cut], self.task_ids[:cut]
        self.first += cut
        self.bytes = kept_bytes
        logger.warning("memory log trimmed", run_id=self.run_id, events=cut, first_kept=self.first)

    def copy_base(self) -> RunState:
        return RunState(self.run_id) if self.base is None else self.base.copy()

    def record(self) -> RunRecord:
        return RunRecord(
            self.run_id,
            self.workflow,
            self.version,
            self.status,
            self.created,
            self.first,
            self.last,
            self.parent,
            self.root,
            self.position,
            self.tenant,
        )


def open_memory(url: str) -> MemoryLog:
    """The log of ``memory://``; raises ValueError where the URL says more than that."""
    parts = urlsplit(url)
    if parts.netloc or parts.path or parts.query:
        raise ValueError(f"{url!r} is not an event log URL: write memory://")
    return MemoryLog()
