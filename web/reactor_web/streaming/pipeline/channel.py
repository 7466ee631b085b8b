"""Clients of a run that asked for the same options share one pipeline and the bytes it makes.

    run's windows ──select──throttle──encode──heartbeat──▶ ring of frames ◀── place of each client
    the whole run ──────────view─────────────heartbeat──▶

A client that keeps up is written to from here, with bytes that are made once for all clients. A client that is behind
is woken and writes the frames itself. A client that falls behind the ring reads the log again, by its cursor.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

from reactivex import Observable

from reactor.bounds import READ_BYTES
from reactor.operators.attached import Callbacks, attach
from reactor.stream.feed import Feed
from reactor_web.bounds import CHANNEL_BYTES
from reactor_web.streaming.connection.direct import Place, chunk_of
from reactor_web.streaming.pipeline.compose import NumberedFrame
from reactor_web.streaming.pipeline.ring import Progress, Ring
from reactor_web.streaming.pipeline.view import ViewPipeline


class Channel:
    """One pipeline of a run, its recent frames, and the clients that share both. Loop thread only.

    ``view``: what its frames are made by; None where they are made of the events alone, so that any part of the log
    gives the same frames. ``completed``: the pipeline has ended, and what is missing stands in the log.
    """

    def __init__(
        self,
        feed: Feed,
        frames: Observable[NumberedFrame],
        view: ViewPipeline | None = None,
        ring_bytes: int = CHANNEL_BYTES,
    ) -> None:
        self.feed = feed
        self.view = view
        self.completed = False
        self.error: Exception | None = None
        """Why the pipeline broke off, if it did."""
        self._clients: dict[Place, Callable[[], None]] = {}
        """Where each client stands, and what to call when it has to write itself, or when nothing more comes."""
        loop = asyncio.get_running_loop()
        # at the end of the turn: a window of 1,000 frames is one write
        progress: Progress = feed.state if view is None else view
        self.ring = Ring(progress, ring_bytes, lambda: loop.call_soon(self._flush))
        sink = Callbacks[NumberedFrame](self.ring.append, self._break_off, self._complete)
        self._subscription = attach(frames, sink)

    @property
    def clients(self) -> Collection[Place]:
        return self._clients.keys()

    def join(self, client: Place, wake: Callable[[], None]) -> None:
        self._clients[client] = wake

    def leave(self, client: Place) -> None:
        """Ends the pipeline when the last client leaves."""
        self._clients.pop(client, None)
        if not self._clients:
            self._subscription.dispose()

    def _flush(self) -> None:
        """Writes what this turn brought to all clients that wait for it, and wakes the others."""
        ring = self.ring
        start, frames = ring.take_new()
        size = sum([len(data) for _, data in frames or ()])
        if not frames or size > READ_BYTES:
            self._wake_all()
            return
        end = ring.end
        chunk = chunk_of(b"".join([data for _, data in frames]))
        oldest = min([seq for seq, _ in frames if seq], default=self.feed.last_seq + 1)
        behind: list[Callable[[], None]] = []
        for client, wake in self._clients.items():
            if client.is_waiting and client.offset == start and client.floor < oldest and client.write(chunk):
                client.offset, client.position = end, ring.position
            else:
                behind.append(wake)
        if behind:
            for wake in behind:
                wake()
        else:  # all clients have the frames, and a new client begins after them
            ring.clear()

    def _break_off(self, error: Exception) -> None:
        self.error = error
        self._complete()

    def _complete(self) -> None:
        self.completed = True
        self._wake_all()

    def _wake_all(self) -> None:
        for wake in tuple(self._clients.values()):
            wake()
