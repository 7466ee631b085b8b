"""The events of a run and of all runs below it, in the order in which they were committed.

The cursor is a position of the log, so it is the same before and after a restart. Nothing is merged here: what comes
next is read from the log by its position, and a publish of any run of the tree only says that there is something to
read. So a child run that starts between two reads is in the next one, and no event can come twice or too late.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Final, NamedTuple

from reactor.errors import LogUnavailable, UnknownRun
from reactor.events.event import Event, Message, Notice
from reactor.events.state import RUN_STATUS
from reactor.events.vocabulary import TERMINAL
from reactor.logs.records import settled_child
from reactor.ports.log import RunRecord
from reactor.ports.order import CommitOrder, Committed
from reactor.runs.open_runs import OpenRuns
from reactor.runs.run import Run
from reactor.stream.feed import Closed
from reactor.stream.follow import closing_error

_WINDOWS: Final = 100
"""Windows in one read."""


class TreeCursor(NamedTuple):
    """Where a reader is: after the first ``part`` events of the window behind ``position``; 0: exactly at it."""

    position: int = 0
    part: int = 0


START: Final = TreeCursor()


class TreeEvent(NamedTuple):
    """One message of a tree."""

    message: Message
    position: int
    """Of the window that it is in."""
    part: int
    """Which event of its window it is, from 1; 0 for the last one, and for a ``stream.gap``."""

    @property
    def cursor(self) -> TreeCursor:
        """To go on after it."""
        return TreeCursor(self.position) if self.part == 0 else TreeCursor(self.position - 1, self.part)


class TreeEvents:
    """Reads the events of one run and of the runs below it from a cursor on. Loop thread only."""

    def __init__(self, runs: OpenRuns, top: Run, record: RunRecord, after: TreeCursor) -> None:
        if runs.order is None:
            raise LogUnavailable("this log does not keep the order of commits of several runs", path="")
        self._runs = runs
        self._order: CommitOrder = runs.order
        self.top = top
        self._root = record.root
        self._after = after
        self._members = {top.id: True}
        """Run -> whether it is the top, or below it."""
        self._begun: set[str] = set()
        """Runs of which something was read from the log."""
        self.is_over = False
        """The last event of the top was read."""
        self._last: Event | None = None

    def __aiter__(self) -> AsyncIterator[TreeEvent]:
        """What comes until the last event of the top; raises LogLost where the top is lost."""
        return iterate_tree(self)

    @property
    def position(self) -> int:
        """Everything up to this position was read."""
        return self._after.position

    def watch(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Calls ``wake`` whenever there may be something to read, or nothing more comes; returns what ends that."""
        stop = self._runs.watch_tree(self._root, wake)
        closing = self.top.feed.windows.subscribe(on_completed=wake)

        def end() -> None:
            stop()
            closing.dispose()

        return end

    async def is_ahead(self) -> bool:
        """Whether the cursor is no place in this log: above all positions of the tree."""
        at, part = self._after
        return at + part > 0 and not await self._order.committed(max(0, at - (part == 0)), 1, root=self._root)

    async def last_position(self) -> int:
        """Of the last window of the top."""
        return (await self._runs.index.record(self.top.id)).position

    def begin_anew(self) -> None:
        """Reads everything from the first event of the tree on."""
        self._after = START

    @property
    def status(self) -> str:
        """Of the top. Its last event may be read a moment before it is published."""
        return self.top.status if self._last is None else RUN_STATUS[self._last.type]

    async def has_seen_all(self) -> bool:
        """Whether the top has ended, and the cursor is at its last event."""
        if self.top.feed.closed != Closed.END:
            return False
        try:
            return self._after == (await self.last_position(), 0)
        except UnknownRun:
            return False

    async def read(self) -> list[TreeEvent]:
        """What comes next; empty where there is nothing more yet, and after the last event of the top."""
        while not self.is_over:
            found = await self._order.committed(self._after.position, _WINDOWS, root=self._root)
            if not found:
                break
            events: list[TreeEvent] = []
            for window in found:
                if await self._is_member(window.run_id):
                    events += [event async for event in self._events_of(window)]
                self._after = TreeCursor(window.position)
                if window.run_id == self.top.id and window.events[-1].type in TERMINAL:
                    self.is_over, self._last = True, window.events[-1]
                    break
            if events:
                return events
        return []

    async def _events_of(self, window: Committed) -> AsyncGenerator[TreeEvent, None]:
        """The events of a window behind the cursor; a ``stream.gap`` in place of those that were trimmed before it."""
        position, events = window.position, window.events
        is_first = position == self._after.position + 1 and self._after.part > 0
        skip = self._after.part if is_first else 0
        if events[0].seq > window.before + 1 and not skip:
            yield self._gap(window.run_id, window.before + 1, events[0].seq - 1, position)
        last = events[-1].seq
        for event in events:
            part = event.seq - window.first_seq + 1
            if part <= skip:
                continue
            child = settled_child(event)
            if child is not None and event.data["last_seq"] and await self._is_gone(child):
                yield self._gap(child, 1, event.data["last_seq"], position)
            yield TreeEvent(event, position, 0 if event.seq == last else part)
        self._begun.add(window.run_id)

    def _gap(self, run_id: str, start: int, end: int, position: int) -> TreeEvent:
        now = self._runs.clock.now().decode()
        data: dict[str, object] = {"from": start, "to": end, "reason": "trimmed"}
        return TreeEvent(Notice("stream.gap", run_id, now, data), position, 0)

    async def _is_gone(self, run_id: str) -> bool:
        """Whether a run that has ended was deleted, and nothing of it was read before."""
        if run_id in self._begun:
            self._begun.remove(run_id)  # nothing of it follows
            return False
        try:
            await self._runs.index.record(run_id)
        except UnknownRun:
            return True
        return False

    async def _is_member(self, run_id: str) -> bool:
        if self._root == self.top.id:
            return True
        known = self._members.get(run_id)
        if known is None:
            parent = await self._parent_of(run_id)
            known = self._members[run_id] = parent is not None and await self._is_member(parent)
        return known

    async def _parent_of(self, run_id: str) -> str | None:
        try:
            return (await self._runs.index.record(run_id)).parent
        except UnknownRun:
            return None


async def iterate_tree(events: TreeEvents) -> AsyncGenerator[TreeEvent, None]:
    """The events of a tree until the last event of its top; raises LogLost where the top is lost."""
    wake = asyncio.Event()
    stop = events.watch(wake.set)
    try:
        while True:
            wake.clear()  # before the read: what is published during the read sets it again
            closed = events.top.feed.closed
            while found := await events.read():
                for event in found:
                    yield event
                await asyncio.sleep(0)  # lets others use the loop during a long replay
            if events.is_over:
                return
            if closed:
                if (error := closing_error(events.top.feed)) is not None:
                    raise error
                return
            await wake.wait()
    finally:
        stop()
