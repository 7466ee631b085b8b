"""One run of the log in memory: its events, and what the list of runs says of it."""

from __future__ import annotations

import asyncio
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Final

from reactor import bounds
from reactor.events.event import Event, Window
from reactor.events.fold import evolve
from reactor.events.state import RunState, TaskState, run_status
from reactor.logger import get_logger
from reactor.logs.listing import ASKED, CHANGES_QUESTIONS, Questions, began_at, change_of, members_of, note
from reactor.logs.records import INDEXED, later_version, parent_of, settled_child
from reactor.ports.log import RunRecord
from reactor.ports.order import Committed
from reactor.waiting import turn_of

logger = get_logger()

_AT_ONCE: Final = 500
"""Tasks of a base that are copied before others may run: 4 us each."""


class StoredRun:
    """The events of one run, as parallel lists: they take a third of the memory of a list of Events."""

    __slots__ = (
        "base",
        "began",
        "blobs",
        "bytes",
        "copies",
        "created",
        "first",
        "is_changed",
        "json",
        "listed",
        "meta",
        "number",
        "parent",
        "position",
        "positions",
        "questions",
        "root",
        "run_id",
        "seqs",
        "settled",
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
        self.number = 0
        """Of the run in its log: which one it was to begin."""
        self.position = 0
        self.positions = array("q")
        """Of each window that is kept, at least in part."""
        self.seqs = array("q")
        """The first seq of each of these windows."""
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
        self.began: int | None = None
        """The time of ``created`` in microseconds; None until it has started."""
        self.meta: list[tuple[str, str]] = []
        """The members of its meta as they are found by."""
        self.questions: Questions = {}
        self.listed: frozenset[tuple[str, ...]] = frozenset()
        """The lists that it stands in."""
        self.is_changed = False
        """Whether the last window has changed what it is found by."""
        self.settled: list[str] = []
        """Child runs whose end came with the last window."""
        self.base: RunState | None = None
        """The state before the first event that is kept; None until something is trimmed."""
        self.copies = 0
        """Of the base, that are being made."""

    @property
    def count(self) -> int:
        return len(self.json)

    @property
    def last(self) -> int:
        return self.first + len(self.json) - 1

    def append(self, window: Window, position: int) -> bool:
        """Adds what is new of a window, at this position; returns whether anything was. Raises ValueError for a gap."""
        last = self.last
        self.is_changed = False
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
            if event.type in INDEXED:
                self._update(event)
            elif event.type == ASKED or (self.questions and event.type in CHANGES_QUESTIONS):
                self.is_changed |= note(self.questions, change_of(event))
        if window[-1].seq <= last:
            return False
        self.position = position
        self.positions.append(position)
        self.seqs.append(last + 1)
        return True

    def committed(self, after: int, until: int) -> Iterator[Committed]:
        """The windows with a position above ``after``, up to ``until``."""
        for i in range(bisect_right(self.positions, after), bisect_right(self.positions, until)):
            yield self.window(i)

    def positioned(self, after: int) -> Iterator[tuple[int, StoredRun, int]]:
        """(position, this run, index) of each window with a position above ``after``; the window is not made yet."""
        for i in range(bisect_right(self.positions, after), len(self.positions)):
            yield self.positions[i], self, i

    def window(self, index: int) -> Committed:
        """One of the windows that are kept."""
        first = max(self.seqs[index], self.first)
        end = self.seqs[index + 1] if index + 1 < len(self.seqs) else self.last + 1
        events = [self.event(seq - self.first) for seq in range(first, end)]
        before = self.seqs[index] - 1 if self.seqs[index] > self.first else 0
        return Committed(self.positions[index], self.run_id, self.seqs[index], events, before)

    def take_settled(self) -> list[str]:
        """The child runs whose end came with the last window."""
        settled, self.settled = self.settled, []
        return settled

    def _update(self, event: Event) -> None:
        if (child := settled_child(event)) is not None:
            self.settled.append(child)
        self.is_changed = True
        self.status = run_status(event) or self.status
        self.version = later_version(event) or self.version
        if event.type == "run.started":
            body = event.decode()
            self.workflow = body["data"]["workflow"]
            self.version = body["data"]["version"]
            self.created = body["time"]
            self.began = began_at(self.created)
            self.parent = parent_of(body["data"])
            self.meta = members_of(body["data"])

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
        """Folds the oldest events into the base until a tenth of the bounds is free, so that trims are rare.

        While somebody copies the base it stays as it is, up to twice the bounds.
        """
        if self.copies and self.count <= 2 * max_events and self.bytes <= 2 * max_bytes:
            return
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
        gone = bisect_right(self.seqs, self.first) - 1  # the window before has its last event kept, or is the first
        del self.positions[:gone], self.seqs[:gone]
        self.bytes = kept_bytes
        logger.warning("memory log trimmed", run_id=self.run_id, events=cut, first_kept=self.first)

    async def copy_base(self) -> RunState:
        """A copy of the base, which the caller owns. It may have 50,000 tasks: others run meanwhile."""
        base, first = self.base, self.first
        if base is None:
            return RunState(self.run_id)
        turn = turn_of(asyncio.get_running_loop())
        tasks = dict[str, TaskState]()
        left = iter(base.tasks.items())
        self.copies += 1
        try:
            while self.first == first and (some := list(islice(left, _AT_ONCE))):
                tasks |= {id: task.copy() for id, task in some}
                await turn
        finally:
            self.copies -= 1
        if self.first != first:
            return base.copy()  # so much was written meanwhile that it had to be trimmed
        copied = replace(base, tasks={}).copy()
        copied.tasks = tasks
        return copied

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
