"""The events of a run and of all runs below it, in the order in which they were committed.

The cursor is a position of the log, so it is the same before and after a restart. Nothing is merged here: what comes
next is read from the log by its position, and a publish of any run of the tree only says that there is something to
read. So a child run that starts between two reads is in the next one, and no event can come twice or too late.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable

from reactor.errors import LogUnavailable, UnknownRun
from reactor.events.event import Event, Notice
from reactor.events.state import RUN_STATUS
from reactor.events.vocabulary import TERMINAL
from reactor.logs.records import settled_child
from reactor.ports.log import RunRecord
from reactor.ports.order import CommitOrder, Committed, PositionLost
from reactor.runs.open_runs import OpenRuns
from reactor.runs.positions import START, WINDOWS, Place, TreeCursor, TreeEvent, is_lost, part_of, placed
from reactor.runs.run import Run
from reactor.stream.feed import Closed
from reactor.stream.follow import closing_error


class TreeEvents:
    """Reads the events of one run and of the runs below it from a cursor on. Loop thread only."""

    def __init__(self, runs: OpenRuns, top: Run, record: RunRecord, after: TreeCursor) -> None:
        if runs.order is None:
            raise LogUnavailable("this log does not keep the order of commits of several runs", path="")
        self._runs = runs
        self._order: CommitOrder = runs.order
        self.top = top
        self._root = record.root
        self._place = Place(after, runs.clock)
        self._members = {top.id: True}
        """Run -> whether it is the top, or below it."""
        self.is_behind = False
        """It passes over no events that it could be behind."""
        self.is_over = False
        """The last event of the top was read."""
        self._last: Event | None = None

    def __aiter__(self) -> AsyncIterator[TreeEvent]:
        """What comes until the last event of the top; raises LogLost where the top is lost."""
        return iterate_tree(self)

    @property
    def position(self) -> int:
        """Everything up to this position was read."""
        return self._place.after.position

    @property
    def closed(self) -> Closed | None:
        """Why nothing more comes of the top; None while something may."""
        return self.top.feed.closed

    def notice(self, type: str, data: dict[str, object]) -> Notice:
        """A message of the stream itself, with the id of the top."""
        return self.top.feed.notice(type, data)

    def watch(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Calls ``wake`` whenever there may be something to read, or nothing more comes; returns what ends that."""
        stop = self._runs.watchers.watch(self._root, wake)
        closing = self.top.feed.windows.subscribe(on_completed=wake)
        others = self._runs.others.listen(lambda window: wake())  # of any run: which are of the tree, the log knows

        def end() -> None:
            stop()
            others()
            closing.dispose()

        return end

    async def begin(self) -> Notice | None:
        """To be called before the first ``read``. A cursor above all positions of the tree is no place in this log, nor
        is one whose window it has lost: everything is read from the first event of the tree on, and this
        ``stream.gap`` says so."""
        if await is_lost(self._runs.log, self._place.after):
            return self._place.begin_anew(self.top.id, "rewound")
        if not await self.is_ahead():
            return None
        at, part = self._place.after
        gap = self.top.feed.gap(await self.last_position() + 1, at + (part > 0), "ahead")
        self._place.after = START
        return gap

    async def is_ahead(self) -> bool:
        """Whether the cursor is no place in this log: above all positions of the tree."""
        at, part = self._place.after
        return at + part > 0 and not await self._order.committed(max(0, at - (part == 0)), 1, root=self._root)

    async def last_position(self) -> int:
        """Of the last window of the top."""
        return (await self._runs.index.record(self.top.id)).position

    @property
    def status(self) -> str:
        """Of the top. Its last event may be read a moment before it is published."""
        return self.top.status if self._last is None else RUN_STATUS[self._last.type]

    async def has_seen_all(self) -> bool:
        """Whether the top has ended, and the cursor is at its last event."""
        if self.top.feed.closed != Closed.END:
            return False
        try:
            return self._place.after == (await self.last_position(), 0)
        except UnknownRun:
            return False

    async def is_deleted(self) -> bool:
        """Whether the top was deleted, so that nothing more of it can be read."""
        return await self._is_gone(self.top.id)

    async def read(self) -> list[TreeEvent]:
        """What comes next; empty where there is nothing more yet, and after the last event of the top."""
        while not self.is_over:
            try:
                found = await self._order.committed(self.position, WINDOWS, root=self._root)
            except PositionLost:
                return [TreeEvent(self._place.begin_anew(self.top.id, "rewound"), *START)]
            if not found:
                break
            events: list[TreeEvent] = []
            for window in found:
                self._place.come_to(window.position)
                if await self._is_member(window.run_id):
                    events += [event async for event in self._events_of(window)]
                self._place.after = TreeCursor(window.position)
                if window.run_id == self.top.id and window.events[-1].type in TERMINAL:
                    self.is_over, self._last = True, window.events[-1]
                    break
            if events:
                return events
        return []

    async def _events_of(self, window: Committed) -> AsyncGenerator[TreeEvent, None]:
        """The events of a window behind the cursor; a ``stream.gap`` in place of those that are gone before them."""
        events, gap = self._place.unseen(window)
        if gap is not None:
            yield gap
        for event in events:
            child = settled_child(event)
            if child is not None and (gone := await self._gone_of(child, event.data["last_seq"])):
                yield self._place.gap(child, gone, window.position, part_of(event, window) - 1)
            yield placed(event, window)

    async def _gone_of(self, child: str, last_seq: int) -> range:
        """The seqs of a child run that has ended which the reader has not seen, and never will.

        Of a child run that began before the reader's cursor and is gone nobody knows how much was seen: then all of
        them, unless no position is missing since that cursor.
        """
        seen = self._place.seen_of(child, last_seq)
        gone = range(seen + 1, last_seq + 1)
        return gone if gone and await self._is_gone(child) else range(0)

    async def _is_gone(self, run_id: str) -> bool:
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
    """The events of a tree until the last event of its top.

    Raises LogLost where the top is lost, UnknownRun where it was deleted before its last event was read.
    """
    wake = asyncio.Event()
    stop = events.watch(wake.set)
    try:
        if (ahead := await events.begin()) is not None:
            yield TreeEvent(ahead, *START)
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
                if closed == Closed.END and await events.is_deleted():
                    raise UnknownRun.of(events.top.id)
                return
            await wake.wait()
    finally:
        stop()
