"""Publish: the committed events of one run, for everybody who follows it.

A feed has the folded state, a ring of recent windows and the hot subject of windows. It does not know how far its
subscribers are: each has a cursor of its own, and reads what it lacks from the ring or from the log.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections import deque
from collections.abc import AsyncIterator, Iterable
from enum import StrEnum
from typing import Final, Protocol

from reactivex.subject import Subject

from reactor.bounds import READ_EVENTS, RING_BYTES, RING_EVENTS
from reactor.errors import LogUnavailable, UnknownRun
from reactor.events.event import Event, Message, Notice, Window
from reactor.events.fold import evolve
from reactor.events.state import RunState
from reactor.events.vocabulary import TERMINAL
from reactor.operators.attached import HotSubject
from reactor.ports.clock import Clock
from reactor.ports.log import EventLog, Rewinds, Rewound
from reactor.ports.stores import Checkpoints
from reactor.stream.checkpoints import load_state
from reactor.stream.picked import pick
from reactor.waiting import Flights, Shared


class Closed(StrEnum):
    """Why a feed publishes nothing more."""

    END = "end"
    """The run has ended: its terminal event is published."""
    LOG = "log"
    """The log refused a window, or did not answer. The run goes on in a new feed, when the log answers."""
    SHUTDOWN = "shutdown"
    """The engine has closed; the run goes on when the next one starts."""
    NOT_RECOVERED = "not_recovered"
    """The run has not ended, and no engine in this process goes on with it."""


_END: Final = Closed.END
CATCH_UP_SECONDS: Final = 5.0
"""How long somebody waits until what the log has is published here."""


class Looks(Protocol):
    """Publishes in a feed what another process commits."""

    def look(self) -> None:
        """Reads the log, for what it was not told."""
        ...


class Feed:
    """The published side of one run."""

    def __init__(
        self, run_id: str, log: EventLog, clock: Clock, checkpoints: Checkpoints | None = None, *, tenant: str = ""
    ) -> None:
        self.run_id = run_id
        self.tenant = tenant
        self.state = RunState(run_id)
        self.closed: Closed | None = None
        """None while more events may come."""
        self._windows: HotSubject[Window] | None = None
        self.log = log
        self._checkpoints = checkpoints
        """Where the states of long runs are kept; None: nowhere."""
        self._clock = clock
        self._closing: asyncio.Future[None] | None = None
        self.relay: Looks | None = None
        """What publishes here, where another process executes the run: it is to live as long as this."""
        self.is_deleted = False
        """The run was removed: whoever still reads it must not get the events of a new run of this id."""
        self._is_expecting = False
        """Whether somebody will follow in a moment: the ring is kept for them."""
        self._ring: deque[Window] = deque()
        self._ring_events = 0
        self._ring_bytes = 0
        self._states: Flights[int, RunState] | None = None
        """States at a seq that are being folded; made when one is asked for."""

    @classmethod
    async def load(
        cls,
        run_id: str,
        log: EventLog,
        clock: Clock,
        checkpoints: Checkpoints | None = None,
        *,
        closed: Closed | None,
        tenant: str = "",
    ) -> Feed:
        """The feed of a run that is in the log; raises UnknownRun.

        ``closed``: a value of ``Closed``, why nothing more comes of a run that has not ended; None where it will go on.
        """
        feed = cls(run_id, log, clock, checkpoints, tenant=tenant)
        state = feed.state = await load_state(log, checkpoints, run_id)
        feed.closed = _END if state.has_ended else closed
        return feed

    @property
    def windows(self) -> Subject[Window]:
        """Hot Observable of windows as they are committed; completes when the feed closes."""
        if self._windows is None:  # made when it is asked for: most runs have no follower most of the time
            self._windows = HotSubject()
            if self.closed is not None:
                self._windows.on_completed()
        return self._windows

    @property
    def last_seq(self) -> int:
        """The seq of the last published event; the events of the open window do not count."""
        return self.state.seq

    @property
    def last_event(self) -> Event | None:
        """The last event that was published here; None where none was, or where it is kept no more."""
        return self._ring[-1][-1] if self._ring else None

    def publish(self, window: Window) -> None:
        """Publishes a committed window: first it is folded, so that subscribers find the state up to date."""
        state = self.state
        size = 0
        for event in window:
            evolve(state, event)
            size += len(event.json)
        is_followed = self._windows is not None and self._windows.has_observers
        if is_followed:
            self._is_expecting = False
        elif not self._is_expecting:  # one window is enough then: later ones read the log
            self.forget_ring()
        self._ring.append(window)
        self._ring_events += len(window)
        self._ring_bytes += size
        while len(self._ring) > 1 and (self._ring_events > RING_EVENTS or self._ring_bytes > RING_BYTES):
            oldest = self._ring.popleft()
            self._ring_events -= len(oldest)
            self._ring_bytes -= sum(len(event.json) for event in oldest)
        if window[-1].type in TERMINAL:
            self.closed = _END  # set before the last window goes out, so that its subscribers know
        if is_followed and self._windows is not None:
            self._windows.on_next(window)
        if self.closed:
            self._complete()

    def expect_readers(self) -> None:
        """Streams wait for this run, and follow it as soon as they have their turn: what comes is kept for them."""
        self._is_expecting = True

    def forget_ring(self) -> None:
        """Empties the ring: what was published is read from the log."""
        self._ring.clear()
        self._ring_events = self._ring_bytes = 0

    def close(self, reason: Closed) -> None:
        """Ends the feed of a run that has not ended. ``reason``: a value of ``Closed``."""
        if self.closed is None:
            self.closed = reason
            self._complete()

    def _complete(self) -> None:
        if self._windows is not None:
            self._windows.on_completed()
        if self._closing is not None and not self._closing.done():
            self._closing.set_result(None)

    async def wait_closed(self) -> None:
        """Waits until the feed is closed; then ``closed`` says why."""
        if self.closed is None:
            if self._closing is None:
                self._closing = asyncio.get_running_loop().create_future()
            await Shared(self._closing)

    def recent(self, after: int) -> Window | None:
        """The next events after a cursor, at most one window; () when caught up, None when only the log has them."""
        if after >= self.last_seq:
            return ()
        if not self._ring or after + 1 < self._ring[0][0].seq:
            return None
        at = bisect_right(self._ring, after, key=_first_seq) - 1
        window = self._ring[max(at, 0)]
        if after >= window[-1].seq:  # the cursor is the end of this window
            window = self._ring[at + 1]
        skip = after + 1 - window[0].seq
        return window[skip:] if skip > 0 else window

    def recent_events(self, after: int) -> list[Event] | None:
        """All events after a cursor; [] when caught up, None where some of them are only in the log."""
        events: list[Event] = []
        while recent := self.recent(after):
            events += recent
            after = recent[-1].seq
        return None if recent is None else events

    async def read(self, after: int) -> list[Message]:
        """The next published messages after a cursor; a ``stream.gap`` first where the log was trimmed.

        It is empty when the cursor has caught up. That answer comes from the ring, without suspending, so no window can
        be published between it and the caller's next step.
        """
        recent = self.recent(after)
        if recent is not None:
            return list(recent)
        events = await self._read_log(after, READ_EVENTS)
        if events and events[0].seq <= self.last_seq < events[-1].seq:
            # the others are committed, but not published yet: the state does not have them
            events = [event for event in events if event.seq <= self.last_seq]
        if events and events[0].seq > after + 1:
            return [self.gap(after + 1, events[0].seq - 1, "trimmed"), *events]
        return list(events)

    async def catch_up(self) -> int:
        """The last seq that the log has now, once it is published here.

        Where several processes share the log, a client may have seen an event elsewhere before it is published here.
        Raises LogUnavailable where that takes too long; of a feed that closes meanwhile it need not be published.
        """
        last = self.last_seq
        while events := await self._read_log(last, READ_EVENTS):
            last = events[-1].seq
        if self.last_seq < last and self.closed is None:
            if self.relay is not None:
                self.relay.look()
            await self._publish_up_to(last)
        return max(last, self.last_seq)

    async def _publish_up_to(self, seq: int) -> None:
        more = asyncio.Event()
        following = self.windows.subscribe(lambda _: more.set(), on_completed=more.set)
        try:
            async with asyncio.timeout(CATCH_UP_SECONDS):
                while self.last_seq < seq and self.closed is None:
                    more.clear()
                    await more.wait()
        except TimeoutError:
            sentence = f"run {self.run_id} is shown up to {self.last_seq} here, and its log has {seq} events"
            raise LogUnavailable(sentence, run_id=self.run_id) from None
        finally:
            following.dispose()

    async def blob(self, seq: int) -> bytes | None:
        """The payload stored beside event ``seq``."""
        blob = await self.log.blob(self.run_id, seq)
        self._check_kept()
        return blob

    async def event(self, seq: int) -> Event | None:
        """One event by its seq; None where the log does not have it, or not any more."""
        events = await self._read_log(seq - 1, 1)
        return events[0] if events and events[0].seq == seq else None

    def events_at(self, seqs: Iterable[int]) -> AsyncIterator[Event]:
        """The events with these seqs, in their order, without those that the log does not have any more."""
        return pick(self._read_log, seqs)

    async def logged(self, after: int, until: int) -> list[Event]:
        """The events in the log with ``after < seq <= until``; at most ``READ_EVENTS`` of them."""
        events = await self._read_log(after, min(READ_EVENTS, until - after))
        return [event for event in events if event.seq <= until]

    async def _read_log(self, after: int, limit: int) -> list[Event]:
        self._check_kept()
        events = await self.log.read(self.run_id, after, limit)
        self._check_kept()  # it may have been deleted meanwhile, and its id used again
        return events

    def _check_kept(self) -> None:
        if self.is_deleted:
            raise UnknownRun.of(self.run_id)

    async def state_at(self, seq: int) -> RunState:
        """The state after event ``seq``, folded from the log, for all who ask for it now. Do not change it."""
        if self._states is None:
            self._states = Flights()
        return await self._states.join(seq, lambda: load_state(self.log, self._checkpoints, self.run_id, seq))

    async def rewound(self) -> Rewound | None:
        """What was left of the run where the log had lost its end; None where it has lost nothing, or long ago."""
        return await self.log.rewound(self.run_id) if isinstance(self.log, Rewinds) else None

    async def rewound_gap(self, cursor: int, epoch: str = "") -> Notice | None:
        """``stream.gap`` where the event with this seq may be another one than a client has seen: the log had lost it.

        ``epoch``: of the numbers that the client knows, as such a notice has said.
        """
        found = await self.rewound()
        if found is None or cursor <= found.kept or epoch == found.epoch:
            return None
        return self.notice("stream.gap", {"from": 1, "to": cursor, "reason": "rewound", "epoch": found.epoch})

    def gap(self, start: int, end: int, reason: str) -> Notice:
        """``stream.gap``: in place of events that cannot be had, or (``ahead``) for a cursor beyond the last event."""
        return self.notice("stream.gap", {"from": start, "to": end, "reason": reason})

    def notice(self, type: str, data: dict[str, object]) -> Notice:
        """A message of the stream itself: it has no seq and is not in the log."""
        return Notice(type, self.run_id, self._clock.now().decode(), data)


def _first_seq(window: Window) -> int:
    return window[0].seq
