"""Where a fold over a run begins: with ``run.started``, or with a copy of a state that was kept on the way.

A client that comes back to a long run would otherwise wait until its dialect has read the run from the first event on.
Copies are made every 1,000 events, or less often where a state is large, and shared by all clients of a dialect. Of a
run whose state has grown above a quarter of a megabyte none is made any more: the events since the last one are folded.
"""

from __future__ import annotations

import asyncio
import pickle
from collections import deque
from contextlib import aclosing, suppress
from typing import Any, Final, NamedTuple, TypeAlias
from weakref import WeakKeyDictionary, ref

import orjson

from reactor.errors import LogLost
from reactor.events.event import Event
from reactor.stream.feed import Feed
from reactor.stream.follow import cursor_after, iterate
from reactor.waiting import Flights
from reactor_web.bounds import KEPT_STATE_BYTES, KEPT_STATE_EVENTS, LARGEST_KEPT_STATE
from reactor_web.dialects import Dialect, Shows
from reactor_web.http.body import json_in_turns
from reactor_web.http.own_options import OwnOptions
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


FoldKey: TypeAlias = tuple[str, OwnOptions]
"""What a state depends on besides the run: the dialect and its own options. Filters only decide which frames leave."""


class _Copy(NamedTuple):
    start: FoldStart
    """Without its state."""
    state: bytes
    options: StreamOptions
    """Those of the pipeline whose entries ``made`` counts."""


class KeptStates:
    """Copies of the states of all runs, the newest; at most ``KEPT_STATE_BYTES`` of them."""

    def __init__(self, max_bytes: int = KEPT_STATE_BYTES) -> None:
        self._max_bytes = max_bytes
        self._copies: WeakKeyDictionary[Feed, dict[FoldKey, list[_Copy]]] = WeakKeyDictionary()
        self._order: deque[tuple[ref[Feed], FoldKey, int]] = deque()
        """(run, key, size) of each copy, the oldest first; also of those that have gone with their run."""
        self._bytes = 0
        self._latest: WeakKeyDictionary[Feed, dict[FoldKey, FoldStart]] = WeakKeyDictionary()
        """Of runs whose state was asked for: the state then, to go on from."""
        self._folding: WeakKeyDictionary[Feed, Flights[FoldKey, FoldStart]] = WeakKeyDictionary()
        self._showing: WeakKeyDictionary[Feed, Flights[FoldKey, bytes]] = WeakKeyDictionary()

    def keep(self, feed: Feed, options: StreamOptions, start: FoldStart) -> int | None:
        """Keeps a copy of a state; returns after how many more events to keep the next one, None for never."""
        state = pickle.dumps(start.state, pickle.HIGHEST_PROTOCOL)
        key = _key(options)
        copies = self._copies.setdefault(feed, {}).setdefault(key, [])
        if not copies or copies[-1].start.seq < start.seq:  # else another client's fold was here before
            copies.append(_Copy(start._replace(state=None), state, options.shared))
            self._order.append((ref(feed), key, len(state)))
            self._bytes += len(state)
            while self._bytes > self._max_bytes:
                self._drop_oldest()
        return max(KEPT_STATE_EVENTS, len(state) // _BYTES_AN_EVENT) if len(state) <= LARGEST_KEPT_STATE else None

    def _drop_oldest(self) -> None:
        of, key, size = self._order.popleft()
        self._bytes -= size
        feed = of()
        if feed is not None:
            self._copies[feed][key].pop(0)

    def nearest(self, feed: Feed, options: StreamOptions, *, seq: int | None, frames: int = 0) -> FoldStart | None:
        """The last copy at or below a seq or, where ``seq`` is None, a number of frames."""
        for start, state, of in reversed(self._copies.get(feed, {}).get(_key(options), [])):
            if (start.frames <= frames) if seq is None else (start.seq <= seq):
                made = start.made if of == options.shared else _OF_OTHERS
                return start._replace(state=pickle.loads(state), made=made)
        return None

    async def now(self, feed: Feed, options: StreamOptions) -> FoldStart:
        """The state of a run after its last event, for whoever asks without following. Do not change it.

        Those who ask at the same time wait for one fold.
        """
        folding = self._folding.setdefault(feed, Flights())
        return await folding.join(_key(options), lambda: self._fold(feed, options))

    async def shown(self, feed: Feed, options: StreamOptions, dialect: Shows, run_id: str) -> bytes:
        """What a dialect shows of the state of a run after its last event, as JSON; once for all who ask at a time."""

        async def write() -> bytes:
            now = await self.now(feed, options)
            latest = self._latest.setdefault(feed, {})
            latest.pop(_key(options), None)  # nobody goes on with it while it is written
            body = await json_in_turns(dialect.shown(now.state, run_id))
            latest.setdefault(_key(options), now)
            return body

        return await self._showing.setdefault(feed, Flights()).join(_key(options), write)

    async def _fold(self, feed: Feed, options: StreamOptions) -> FoldStart:
        dialect, latest = options.find_dialect(), self._latest.setdefault(feed, {})
        # taken out while it is folded on: where that fails it may be folded in part
        start = latest.pop(_key(options), None) or self.nearest(feed, options, seq=feed.last_seq)
        state, seq, _, frames = start or await first_state(feed, dialect)
        while messages := await feed.read(seq):
            for message in messages:
                if isinstance(message, Event):
                    frames += dialect.step(state, message).count(b"\n\n")
            seq = cursor_after(messages, seq)
            await asyncio.sleep(0)  # a long log must not hold the loop
        now = latest[_key(options)] = FoldStart(state, seq, _OF_OTHERS, frames)
        return now


_OF_OTHERS: Final = (-1, 0)
"""In place of ``made``: what other options have made says nothing of these."""


def _key(options: StreamOptions) -> FoldKey:
    return options.dialect, options.own


async def first_state(feed: Feed, dialect: Dialect) -> FoldStart:
    """The state of a run before its first event."""
    return FoldStart(dialect.begin(await run_started(feed), "resume")[0])


async def run_started(feed: Feed) -> Event | None:
    """``run.started`` with what is stored beside it; None where the log does not have it, or not any more.

    Of a run that is being started: once it is in the log.
    """
    with suppress(LogLost):
        if feed.last_seq == 0:
            async with aclosing(iterate(feed)) as windows:
                await anext(windows, None)
    started = await feed.event(1) if feed.last_seq else None
    if started is None:
        return None
    references = [name for name in started.data if name.endswith("_ref")]
    beside = await feed.blob(1) if references else None
    if beside is None:
        return started
    body = started.decode()
    data = {name: value for name, value in body["data"].items() if name not in references}
    return Event.from_json(orjson.dumps({**body, "data": data | orjson.loads(beside)}))
