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
from reactor.ports.log import RunRecord

logger = get_logger()


class MemoryLog:
    """Implements ``EventLog`` for one process.

    It keeps at most ``max_events`` events and ``max_bytes`` bytes of each run, and the last ``max_ended`` ended runs.
    """

    def __init__(
        self,
        *,
        max_events: int = bounds.MEMORY_LOG_EVENTS,
        max_bytes: int = bounds.MEMORY_LOG_BYTES,
        max_ended: int = bounds.MEMORY_LOG_ENDED_RUNS,
    ) -> None:
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._max_ended = max_ended
        self._runs: OrderedDict[str, _Run] = OrderedDict()
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._outputs: OrderedDict[str, tuple[bytes, float]] = OrderedDict()
        self._output_bytes = 0
        self._answered: asyncio.Future[None] | None = None

    durable = False

    async def unfinished(self) -> list[RunRecord]:
        return [run.record() for run in self._runs.values() if run.status not in RUN_ENDED]

    async def open(self) -> None:
        """Does nothing: there is nothing to open."""

    async def close(self) -> None:
        """Keeps everything: the runs stay readable after their engine has closed."""

    def append(self, run_id: str, window: Window) -> asyncio.Future[None]:
        run = self._runs.get(run_id) or _Run(run_id)
        run.append(window)  # before it is kept: it raises for a gap
        self._runs[run_id] = run
        if run.count > self._max_events or run.bytes > self._max_bytes:
            run.trim(self._max_events, self._max_bytes)
        if run.status in RUN_ENDED:
            self._forget_oldest(run_id)
        return self._done()

    async def read(self, run_id: str, after: int, limit: int) -> list[Event]:
        return self._run(run_id).read(after, limit)

    async def base(self, run_id: str) -> RunState:
        return self._run(run_id).copy_base()

    async def blob(self, run_id: str, seq: int) -> bytes | None:
        return self._run(run_id).blobs.get(seq)

    async def record(self, run_id: str) -> RunRecord:
        return self._run(run_id).record()

    async def records(
        self, *, status: str | None, workflow: str | None, before: str | None, limit: int
    ) -> list[RunRecord]:
        newest_first = iter(reversed(self._runs.values()))
        if before is not None:
            self._run(before)
            for run in newest_first:
                if run.run_id == before:
                    break
        found = (
            run.record() for run in newest_first if status in (None, run.status) and workflow in (None, run.workflow)
        )
        return list(islice(found, limit))

    async def recall(self, key: str, now: float) -> bytes | None:
        value, until = self._outputs.get(key, (None, 0.0))
        return value if now < until else None

    def remember(self, key: str, value: bytes, until: float) -> asyncio.Future[None]:
        self._forget_output(key)
        self._outputs[key] = (value, until)
        self._output_bytes += len(value)
        while len(self._outputs) > bounds.CACHED_OUTPUTS or self._output_bytes > bounds.CACHED_BYTES:
            self._forget_output(next(iter(self._outputs)))
        return self._done()

    def _done(self) -> asyncio.Future[None]:
        """A future that is done. All appends share one: nothing here has to be waited for."""
        loop = asyncio.get_running_loop()
        if self._answered is None or self._answered.get_loop() is not loop:
            self._answered = loop.create_future()
            self._answered.set_result(None)
        return self._answered

    def _forget_output(self, key: str) -> None:
        value, _ = self._outputs.pop(key, (b"", 0.0))
        self._output_bytes -= len(value)

    def _run(self, run_id: str) -> _Run:
        run = self._runs.get(run_id)
        if run is None:
            raise UnknownRun.of(run_id)
        return run

    def _forget_oldest(self, run_id: str) -> None:
        self._ended[run_id] = None
        while len(self._ended) > self._max_ended:
            oldest, _ = self._ended.popitem(last=False)
            del self._runs[oldest]


class _Run:
    """The events of one run, as parallel lists: they take a third of the memory of a list of Events."""

    __slots__ = (
        "base",
        "blobs",
        "bytes",
        "created",
        "first",
        "json",
        "run_id",
        "status",
        "task_ids",
        "types",
        "version",
        "workflow",
    )

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
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

    def append(self, window: Window) -> None:
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

    def _update(self, event: Event) -> None:
        self.status = run_status(event) or self.status
        if event.type == "run.started":
            body = event.decode()
            self.workflow = body["data"]["workflow"]
            self.version = body["data"]["version"]
            self.created = body["time"]

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
        return RunRecord(self.run_id, self.workflow, self.version, self.status, self.created, self.first, self.last)


def open_memory(url: str) -> MemoryLog:
    """The log of ``memory://``; raises ValueError where the URL says more than that."""
    parts = urlsplit(url)
    if parts.netloc or parts.path or parts.query:
        raise ValueError(f"{url!r} is not an event log URL: write memory://")
    return MemoryLog()
