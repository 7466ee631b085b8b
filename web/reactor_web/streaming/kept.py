"""Where a fold over a run begins: with ``run.started``, or with a copy of a state that was kept on the way.

A client that comes back to a long run would otherwise wait until its dialect has read the run from the first event on.
Copies are made every 1,000 events, or less often where a state is large, and shared by all clients of a dialect.
"""

from __future__ import annotations

import asyncio
import pickle
from collections import deque
from typing import Any, Final, NamedTuple
from weakref import WeakKeyDictionary, ref

import orjson

from reactor.events.event import Event
from reactor.stream.feed import Feed
from reactor.stream.follow import cursor_after
from reactor_web.bounds import KEPT_STATE_BYTES, KEPT_STATE_EVENTS
from reactor_web.dialects import Dialect
from reactor_web.http.query import StreamOptions

_BYTES_AN_EVENT: Final = 64
"""A state is copied so seldom that it costs no more than this for each event."""


class FoldStart(NamedTuple):
    """A state, and what led to it."""

    state: Any
    seq: int = 0
    """The last event in it."""
    made: tuple[int, int] = (0, 0)
    """How many entries there were, and how many frames that came by a clock."""
    frames: int = 0
    """How many frames there were, in a dialect that counts them."""


class _Copy(NamedTuple):
    start: FoldStart
    """Without its state."""
    state: bytes


class KeptStates:
    """Copies of the states of all runs, the newest; at most ``KEPT_STATE_BYTES`` of them."""

    def __init__(self, max_bytes: int = KEPT_STATE_BYTES) -> None:
        self._max_bytes = max_bytes
        self._copies: WeakKeyDictionary[Feed, dict[StreamOptions, list[_Copy]]] = WeakKeyDictionary()
        self._order: deque[tuple[ref[Feed], StreamOptions, int]] = deque()
        """(run, options, size) of each copy, the oldest first; also of those that have gone with their run."""
        self._bytes = 0

    def keep(self, feed: Feed, options: StreamOptions, start: FoldStart) -> int:
        """Keeps a copy of a state; returns after how many more events to keep the next one."""
        state = pickle.dumps(start.state, pickle.HIGHEST_PROTOCOL)
        copies = self._copies.setdefault(feed, {}).setdefault(options, [])
        if not copies or copies[-1].start.seq < start.seq:  # else another client's fold was here before
            copies.append(_Copy(start._replace(state=None), state))
            self._order.append((ref(feed), options, len(state)))
            self._bytes += len(state)
            while self._bytes > self._max_bytes:
                self._drop_oldest()
        return max(KEPT_STATE_EVENTS, len(state) // _BYTES_AN_EVENT)

    def _drop_oldest(self) -> None:
        of, options, size = self._order.popleft()
        self._bytes -= size
        feed = of()
        if feed is not None:
            self._copies[feed][options].pop(0)

    def nearest(self, feed: Feed, options: StreamOptions, *, seq: int | None, count: int = 0) -> FoldStart | None:
        """The last copy at or below a seq or, where ``seq`` is None, a number of frames."""
        copies = self._copies.get(feed, {}).get(options, [])
        for start, state in reversed(copies):
            if (start.frames <= count) if seq is None else (start.seq <= seq):
                return start._replace(state=pickle.loads(state))
        return None


async def first_state(feed: Feed, dialect: Dialect) -> FoldStart:
    """The state of a run before its first event."""
    return FoldStart(dialect.begin(await run_started(feed), "resume")[0])


async def count_frames(feed: Feed, options: StreamOptions, kept: KeptStates) -> int:
    """How many frames the events of a run have so far, in a counted dialect."""
    dialect = options.find_dialect()
    start = kept.nearest(feed, options.shared, seq=feed.last_seq) or await first_state(feed, dialect)
    state, position, count = start.state, start.seq, start.frames
    while messages := await feed.read(position):
        for message in messages:
            if isinstance(message, Event):
                count += dialect.step(state, message).count(b"\n\n")
        position = cursor_after(messages, position)
        await asyncio.sleep(0)  # a long log must not hold the loop
    return count


async def run_started(feed: Feed) -> Event | None:
    """``run.started`` with what is stored beside it; None where the log does not have it any more."""
    started = await feed.event(1)
    if started is None:
        return None
    references = [name for name in started.data if name.endswith("_ref")]
    beside = await feed.blob(1) if references else None
    if beside is None:
        return started
    body = started.decode()
    data = {name: value for name, value in body["data"].items() if name not in references}
    return Event.from_json(orjson.dumps({**body, "data": data | orjson.loads(beside)}))
