"""Clients of a run that asked for the same options share one pipeline and the bytes it makes.

    run's windows ──held──select──throttle──encode──heartbeat──▶ ring of frames ◀── place of each client
    the whole run ──held──────────view─────────────heartbeat──▶

Windows are held until the next pass over the clients, so a fast run pays for some passes, not for each event. A pass
writes to all clients that keep up what is new for them, with bytes that are made once for all who stand in the same
place. Clients with a connection of another kind, or whose connection is full, are woken and write themselves. A client
that falls behind the ring reads the log again, by its cursor.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from math import inf
from time import perf_counter
from typing import Final

from reactivex import Observable

from reactor.bounds import PIECE_EVENTS, WINDOW_EVENTS
from reactor.events.event import Message
from reactor.events.vocabulary import TERMINAL
from reactor.operators.attached import Callbacks, Inlet, attach
from reactor.stream.feed import Feed
from reactor_web.bounds import CHANNEL_BYTES
from reactor_web.streaming.connection.direct import Place
from reactor_web.streaming.fan_out import fan_out_of
from reactor_web.streaming.pipeline.compose import NumberedFrame
from reactor_web.streaming.pipeline.piece import Piece
from reactor_web.streaming.pipeline.ring import Ring
from reactor_web.streaming.pipeline.view import ViewPipeline

URGENT: Final = TERMINAL | {"task.waiting"}
"""Events that somebody waits for: nothing is gained by having them wait for more."""
AT_ONCE: Final = 16
"""Clients that are written to before the time is looked at."""

Pipeline = Callable[[Observable[Sequence[Message]]], Observable[Sequence[NumberedFrame]]]


class Channel:
    """One pipeline of a run, its recent frames, and the clients that share both. Loop thread only.

    ``after``: the event that the windows of ``source`` follow. ``view``: what its frames are made by; None where they
    are made of the events alone, so that any part of the log gives the same frames. ``completed``: the pipeline has
    ended, and what is missing stands in the log. ``delivered(seconds)`` is called behind a pass that has brought
    something: so long the oldest of it was on its way from the log.
    """

    def __init__(
        self,
        feed: Feed,
        source: Observable[Sequence[Message]],
        pipeline: Pipeline,
        after: int,
        view: ViewPipeline | None = None,
        ring_bytes: int = CHANNEL_BYTES,
        delivered: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        self._delivered = delivered
        self._oldest = self._delivering = 0.0
        """When the oldest window came that is not in the pipeline yet, and that of the pass that is under way, by
        ``perf_counter``; 0 where there is none."""
        self.feed = feed
        self.view = view
        self.seq = after
        """The last event that the pipeline was given, where it has no view."""
        self.completed = False
        self.error: Exception | None = None
        """Why the pipeline broke off, if it did."""
        self._fan_out = fan_out_of(asyncio.get_running_loop())
        self._clients: dict[Place, Callable[[], None]] = {}
        """Where each client stands, and what to call when it has to write itself, or when nothing more comes."""
        self._held: deque[Sequence[Message]] = deque()
        self._held_events = 0
        self._is_due = self._has_news = False
        """Whether a pass was asked for or is under way, and whether something came since it began."""
        self._pass: Iterator[tuple[Place, Callable[[], None]]] | None = None
        self._ending: list[Callable[[], None]] = []
        """Who has everything, and is to be told that nothing more comes."""
        self._pieces: dict[int, Piece] = {}
        """By offset: what a client is sent next that stands there, until a frame is added."""
        self._quiet_end = -1
        self._piece_bytes = 0
        self.ring = Ring(self if view is None else view, ring_bytes, self._on_frames)
        self._inlet = Inlet[Sequence[Message]]()
        self._pipeline = attach(pipeline(self._inlet), Callbacks(self.ring.extend, self._break_off, self._complete))
        self._source = attach(source, Callbacks(self._hold, self._break_off, self._complete_source))

    @property
    def clients(self) -> Collection[Place]:
        return self._clients.keys()

    # --- clients come and go ---

    def begin_with(self, messages: Sequence[Message]) -> None:
        """Gives the pipeline what had been published before it was made."""
        if messages:
            self._hold(messages)

    def offset_after(self, seq: int) -> int | None:
        """Where a client goes on that has all events up to ``seq``; None if it must read the log first."""
        self._push()
        return self.ring.offset_after(seq)

    def join(self, client: Place, wake: Callable[[], None]) -> None:
        self._clients[client] = wake

    def leave(self, client: Place) -> None:
        """Ends the pipeline when the last client leaves, and keeps nothing: channel and ring know each other, so the
        garbage collector finds them much later."""
        self._clients.pop(client, None)
        if not self._clients:
            self._source.dispose()
            self._pipeline.dispose()
            self._drop_held()
            self.ring.clear()
            self._clear_pieces()

    def piece(self, client: Place) -> Piece | None:
        """What a client is sent next; None where the ring does not have it any more."""
        piece = self._pieces.get(client.offset)
        if piece is None:
            frames = self.ring.read(client.offset)
            if frames is None:
                return None
            piece = Piece(client.offset, frames)
            self._piece_bytes += 2 * len(piece.data)
            if self._piece_bytes > 4 * CHANNEL_BYTES:
                self._clear_pieces()
            self._pieces[client.offset] = piece
        if 0 < piece.oldest <= client.floor:  # a throttle held frames whose events the client has read from the log
            frames = self.ring.read(client.offset) or []
            mine = [frame for frame in frames[: piece.end - client.offset] if not 0 < frame[0] <= client.floor]
            piece, end = Piece(client.offset, mine), piece.end
            piece.end = end
        return piece

    def move(self, client: Place, piece: Piece) -> None:
        """The client has this piece. In the middle of a window its position is not yet the window's end.

        It is never taken back: a view may still be reading events that a client with a cursor has long had.
        """
        client.offset = piece.end
        reached = self.ring.position if piece.end == self.ring.end else piece.last
        client.position = max(client.position, reached)

    def ask(self) -> None:
        """A client that stands somewhere in the ring waits for the next pass."""
        self._has_news = True
        self._schedule()

    def settle(self) -> None:
        """Called now and then: drops what all clients have, where nothing has come since the last time."""
        end = self.ring.end
        if end == self._quiet_end and all(client.offset == end for client in self._clients):
            self.ring.clear()
        if end == self._quiet_end:
            self._clear_pieces()
        self._quiet_end = end

    # --- from the run to the ring ---

    def _hold(self, window: Sequence[Message]) -> None:
        if not self._oldest:
            self._oldest = perf_counter()
        self._held.append(window)
        self._held_events += len(window)
        is_urgent = False
        for message in window:
            if message.type in URGENT:
                is_urgent = True
        while self._held and self._held_events >= WINDOW_EVENTS:
            self._push(0.0)  # a piece, and not all: a thousand events of a slow dialect take 50 ms
        self._has_news = True
        self._schedule(urgent=is_urgent)

    def _push(self, until: float = inf) -> None:
        """Gives the pipeline what was held, or what there is time for: it may take a tenth of a millisecond each."""
        while self._held:
            piece = self._take_held()
            self._held_events -= len(piece)
            if (seq := piece[-1].seq) is not None:
                self.seq = seq
            try:
                self._inlet.on_next(piece)
            except Exception as error:  # a pass that raised would never come again
                self._drop_held()
                self._break_off(error)
            if perf_counter() > until:
                break

    def _drop_held(self) -> None:
        self._held.clear()
        self._held_events = 0

    def _take_held(self) -> Sequence[Message]:
        """The next messages that were held, of several windows or of a part of one."""
        piece = self._held.popleft()
        if len(piece) > PIECE_EVENTS:
            self._held.appendleft(piece[PIECE_EVENTS:])
            return piece[:PIECE_EVENTS]
        if self._held:
            piece = list(piece)
            while self._held and len(piece) + len(self._held[0]) <= PIECE_EVENTS:
                piece += self._held.popleft()
        return piece

    def _on_frames(self) -> None:
        self._clear_pieces()
        self._has_news = True
        self._schedule()

    def _clear_pieces(self) -> None:
        if self._pieces:
            self._pieces.clear()
            self._piece_bytes = 0

    def _complete_source(self) -> None:
        self._push()
        self._inlet.on_completed()

    def _break_off(self, error: Exception) -> None:
        self.error = error
        self._complete()

    def _complete(self) -> None:
        self.completed = True
        self._has_news = True
        self._schedule(urgent=True)

    # --- from the ring to the clients ---

    def _schedule(self, *, urgent: bool = False) -> None:
        if not self._is_due:
            self._is_due = True
            self._fan_out.add(self._serve, urgent=urgent)
        elif urgent:
            self._fan_out.hurry()

    def _serve(self, until: float) -> bool:
        """Goes on with the pass over all clients. True when all of them have what there is."""
        self._push(until)
        if self._pass is None:
            self._has_news = bool(self._held)
            if not self._held:
                self._delivering, self._oldest = self._oldest, 0.0
            self._pass = iter(tuple(self._clients.items()))
        for count, (client, wake) in enumerate(self._pass):
            if client in self._clients:
                self._serve_one(client, wake)
            if count % AT_ONCE == AT_ONCE - 1 and perf_counter() > until:
                return False
        self._pass = None
        for wake in self._ending:  # behind what all are sent
            self._fan_out.enter(wake)
        self._ending.clear()
        if self._delivering:
            self._delivered(perf_counter() - self._delivering)
            self._delivering = 0.0
        self._is_due = self._has_news and bool(self._clients)
        return not self._is_due

    def _serve_one(self, client: Place, wake: Callable[[], None]) -> None:
        if not client.is_waiting:
            return  # it writes itself, and looks for more when it is done
        if client.offset != self.ring.end:
            piece = self.piece(client)
            if piece is None or not client.write(piece):
                client.is_waiting = False
                self._fan_out.enter(wake)
                return
            self.move(client, piece)
            if client.offset != self.ring.end:
                self._has_news = True
                return
        if self.completed:
            client.is_waiting = False
            self._ending.append(wake)
