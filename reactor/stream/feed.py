"""Publish: what has been committed of one run, as everybody may see it.

A feed keeps the folded state, a ring of recent windows and the hot subject of windows. It knows no subscriber's
position: each has its own cursor and reads what it lacks, from the ring or from the log.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections import deque

from reactivex.subject import Subject

from reactor.bounds import READ_EVENTS, RING_BYTES, RING_EVENTS
from reactor.events.event import Control, Event, Message, Window
from reactor.events.fold import evolve
from reactor.events.state import RunState
from reactor.events.vocabulary import TERMINAL
from reactor.ports.clock import Clock
from reactor.ports.log import EventLog
from reactor.waiting import Shared


class Feed:
    """The published side of one run.

    - ``closed``: None while events may come; then ``"end"`` after the terminal event, or why else (``log``).
    """

    def __init__(self, run_id: str, log: EventLog, clock: Clock) -> None:
        self.run_id = run_id
        self.state = RunState(run_id)
        self.closed: str | None = None
        self._windows: Subject[Window] | None = None
        self.log = log
        self._clock = clock
        self._closing: asyncio.Future[None] | None = None
        self._ring: deque[Window] = deque()
        self._ring_events = 0
        self._ring_bytes = 0

    @classmethod
    async def load(cls, run_id: str, log: EventLog, clock: Clock, *, closed: str | None) -> Feed:
        """The feed of a run as the log has it; raises UnknownRun.

        ``closed``: why there will be no more of one that has not ended; None where somebody is about to go on with it.
        """
        feed = cls(run_id, log, clock)
        state = await log.base(run_id)
        while events := await log.read(run_id, state.seq, READ_EVENTS):
            for event in events:
                evolve(state, event)
            await asyncio.sleep(0)  # a long log leaves the loop to others between reads
        feed.state = state
        feed.closed = "end" if state.has_ended else closed
        return feed

    @property
    def windows(self) -> Subject[Window]:
        """Hot Observable of windows as they are committed; completes when the feed closes."""
        if self._windows is None:  # most runs are followed by nobody most of the time
            self._windows = Subject()
            if self.closed is not None:
                self._windows.on_completed()
        return self._windows

    @property
    def last_seq(self) -> int:
        """The last published event; what is in the open window does not count."""
        return self.state.seq

    def publish(self, window: Window) -> None:
        """Shows a committed window to everybody: state first, so that whoever is told finds it up to date."""
        state = self.state
        size = 0
        for event in window:
            evolve(state, event)
            size += len(event.json)
        self._ring.append(window)
        self._ring_events += len(window)
        self._ring_bytes += size
        is_followed = self._windows is not None and bool(self._windows.observers)
        most = RING_EVENTS if is_followed else 0  # whoever comes later reads the log, but for the last window
        while len(self._ring) > 1 and (self._ring_events > most or self._ring_bytes > RING_BYTES):
            oldest = self._ring.popleft()
            self._ring_events -= len(oldest)
            self._ring_bytes -= sum(len(event.json) for event in oldest)
        if window[-1].type in TERMINAL:
            self.closed = "end"  # known to a subscriber while it handles the last window
        if is_followed and self._windows is not None:
            self._windows.on_next(window)
        if self.closed:
            self._complete()

    def forget_ring(self) -> None:
        """Of a run that has ended: who reads it now reads the log."""
        self._ring.clear()
        self._ring_events = self._ring_bytes = 0

    def close(self, reason: str) -> None:
        """Nothing more will be published here, although the run has not ended."""
        if self.closed is None:
            self.closed = reason
            self._complete()

    def _complete(self) -> None:
        if self._windows is not None:
            self._windows.on_completed()
        if self._closing is not None and not self._closing.done():
            self._closing.set_result(None)

    async def wait_closed(self) -> None:
        """Waits until there will be nothing more; ``closed`` says why."""
        if self.closed is None:
            if self._closing is None:
                self._closing = asyncio.get_running_loop().create_future()
            await Shared(self._closing)

    def recent(self, after: int) -> Window | None:
        """What the ring has after a cursor: at most one window, empty when caught up, None when only the log has it."""
        if after >= self.last_seq:
            return ()
        if not self._ring or after + 1 < self._ring[0][0].seq:
            return None
        at = bisect_right(self._ring, after, key=_first_seq) - 1
        window = self._ring[max(at, 0)]
        if after >= window[-1].seq:  # exactly at a seam
            window = self._ring[at + 1]
        skip = after + 1 - window[0].seq
        return window[skip:] if skip > 0 else window

    async def read(self, after: int) -> list[Message]:
        """The next published messages after a cursor, empty when caught up; a ``stream.gap`` where the log was trimmed.

        Does not suspend when the answer is in the ring, so "caught up" and what the caller does next are one step.
        """
        recent = self.recent(after)
        if recent is not None:
            return list(recent)
        events = await self.log.read(self.run_id, after, READ_EVENTS)
        if events and events[0].seq <= self.last_seq < events[-1].seq:
            # the rest is committed, but not published yet: the state does not know of it
            events = [event for event in events if event.seq <= self.last_seq]
        if events and events[0].seq > after + 1:
            return [self.gap(after + 1, events[0].seq - 1, "trimmed"), *events]
        return list(events)

    async def blob(self, seq: int) -> bytes | None:
        """The payload stored beside event ``seq``."""
        return await self.log.blob(self.run_id, seq)

    async def event(self, seq: int) -> Event | None:
        """One event by its number; None where it is not, or no longer, in the log."""
        events = await self.log.read(self.run_id, seq - 1, 1)
        return events[0] if events and events[0].seq == seq else None

    async def logged(self, after: int, until: int) -> list[Event]:
        """The kept events with ``after < seq <= until``, from the log; at most ``READ_EVENTS`` of them."""
        events = await self.log.read(self.run_id, after, min(READ_EVENTS, until - after))
        return [event for event in events if event.seq <= until]

    async def state_at(self, seq: int) -> RunState:
        """The state as of event ``seq``, folded anew from the log's base; the caller owns it."""
        state = await self.log.base(self.run_id)
        while state.seq < seq:
            events = await self.log.read(self.run_id, state.seq, min(READ_EVENTS, seq - state.seq))
            if not events:
                break
            for event in events:
                evolve(state, event)
        return state

    def gap(self, start: int, end: int, reason: str) -> Control:
        """What a subscriber is told instead of events it cannot have, or (``ahead``) of a cursor that is none."""
        return self.control("stream.gap", {"from": start, "to": end, "reason": reason})

    def control(self, type: str, data: dict[str, object]) -> Control:
        """A message of the stream itself."""
        return Control(type, self.run_id, self._clock.now().decode(), data)


def _first_seq(window: Window) -> int:
    return window[0].seq
