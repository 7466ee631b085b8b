"""Clients of a run that asked for the same share one pipeline and the bytes it makes.

    run's windows ──select──throttle──encode──heartbeat──▶ ring of frames ◀── offset of each client

A client is an offset into the frames and a cursor into the log. To one that keeps up the frames of a turn are written
from here, framed once for all; one that does not is woken and takes them itself; one that falls behind the ring reads
the log again, by its cursor.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import Final

from reactor.bounds import READ_BYTES
from reactor.operators.attached import Callbacks, attach
from reactor.stream.feed import Feed
from reactor_web.http.query import StreamOptions
from reactor_web.streaming.compose import Frame, compose
from reactor_web.streaming.direct import Direct, chunk_of

RING_FRAMES: Final = 2_000
RING_BYTES: Final = 1024 * 1024
PRIVATE_RING_BYTES: Final = 64 * 1024
"""Of a client beyond ``MAX_SHARED``: it is served from the log as soon as it does not keep up."""
MAX_SHARED: Final = 64
"""Shared pipelines a run."""


class Channel:
    """One pipeline of a feed and its recent frames. Loop thread only.

    ``wake`` of each joined client is called when there is something new, or nothing more to come.
    """

    def __init__(self, feed: Feed, options: StreamOptions, ring_bytes: int = RING_BYTES) -> None:
        self.feed = feed
        self.completed = False
        self.position = 0
        """The last seq the pipeline had seen at the last frame: to whoever has that one, the log has nothing older."""
        self._frames: deque[Frame] = deque()
        self._first = 0
        self._bytes = 0
        self._ring_bytes = ring_bytes
        self._clients: dict[Direct, Callable[[], None]] = {}
        """What to call where a client has to write itself."""
        self._flushed = 0
        """The offset up to which everybody was written to, or woken."""
        self._is_flushing = False
        self._loop = asyncio.get_running_loop()
        sink = Callbacks[Frame](self._add, lambda _: self._complete(), self._complete)
        self._subscription = attach(compose(feed.windows, options, self._loop), sink)

    @property
    def clients(self) -> int:
        return len(self._clients)

    @property
    def end(self) -> int:
        """The offset after the last frame: where a client joins that has read the log to the last published event."""
        return self._first + len(self._frames)

    def join(self, client: Direct, wake: Callable[[], None]) -> None:
        self._clients[client] = wake

    def leave(self, client: Direct) -> None:
        """The last one out ends the pipeline."""
        self._clients.pop(client, None)
        if not self._clients:
            self._subscription.dispose()

    def read(self, offset: int) -> list[Frame] | None:
        """The frames from an offset on; None where they are gone and the log must be read."""
        if offset < self._first:
            return None
        return list(islice(self._frames, offset - self._first, None))

    def _add(self, frame: Frame) -> None:
        frames = self._frames
        frames.append(frame)
        self.position = self.feed.state.seq
        self._bytes += len(frame[1])
        while (self._bytes > self._ring_bytes or len(frames) > RING_FRAMES) and len(frames) > 1:
            self._bytes -= len(frames.popleft()[1])
            self._first += 1
        if not self._is_flushing:  # at the end of the turn: a window of 1,000 frames is one write
            self._is_flushing = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        """Writes what the turn has brought to all that wait for it, and wakes the others."""
        self._is_flushing = False
        start, end = self._flushed, self.end
        self._flushed = end
        frames = self.read(start)
        size = sum([len(data) for _, data in frames or ()])
        if not frames or size > READ_BYTES:
            self._wake_all()
            return
        chunk = chunk_of(b"".join([data for _, data in frames]))
        oldest = min([seq for seq, _ in frames if seq], default=self.feed.last_seq + 1)
        behind: list[Callable[[], None]] = []
        for client, wake in self._clients.items():
            if client.is_waiting and client.offset == start and client.floor < oldest and client.write(chunk):
                client.offset, client.position = end, self.position
            else:
                behind.append(wake)
        if behind:
            for wake in behind:
                wake()
        else:  # all have them, and whoever joins begins after them
            self._frames.clear()
            self._first, self._bytes = end, 0

    def _complete(self) -> None:
        self.completed = True
        self._wake_all()

    def _wake_all(self) -> None:
        for wake in tuple(self._clients.values()):
            wake()


class Channels:
    """The shared pipelines of all runs that are being watched."""

    def __init__(self) -> None:
        self._by_feed: dict[Feed, dict[StreamOptions, Channel]] = {}

    def count_of(self, feed: Feed) -> int:
        """Shared pipelines of a run."""
        return len(self._by_feed.get(feed, {}))

    def clients_of(self, feed: Feed) -> int:
        """Clients that follow a run live through shared pipelines."""
        return sum(channel.clients for channel in self._by_feed.get(feed, {}).values())

    def of(self, feed: Feed, options: StreamOptions) -> Channel:
        """The channel for these options, made if there is none. Join it when caught up, without suspending since."""
        shared = self._by_feed.setdefault(feed, {})
        channel = shared.get(options.shared)
        if channel is None:
            if len(shared) < MAX_SHARED:
                channel = shared[options.shared] = Channel(feed, options)
            else:
                channel = Channel(feed, options, PRIVATE_RING_BYTES)
        return channel

    def leave(self, channel: Channel, options: StreamOptions, client: Direct) -> None:
        channel.leave(client)
        if channel.clients:
            return
        shared = self._by_feed.get(channel.feed, {})
        if shared.get(options.shared) is channel:
            del shared[options.shared]
        if not shared:
            self._by_feed.pop(channel.feed, None)
