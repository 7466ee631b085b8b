"""One client that follows one run: a position in the log, and a place in a shared channel once it has caught up.

join        a shared channel that still has what the client does not, or begins with what the feed still has
catch up    where they do not: read the log from the position, write it in large pieces
live        the channel writes; back to the log when the channel no longer has what is next
end         ``stream.end`` after the terminal event; ``stream.closing`` when the server closes for another reason
"""

from __future__ import annotations

from typing import Any, Protocol

from reactor.errors import UnknownRun
from reactor.events.event import Notice
from reactor.stream.feed import Feed
from reactor_web.bounds import CHANNEL_FRAMES, RETRY_MS
from reactor_web.dialects import Dialect, End
from reactor_web.streaming.connection.client import GONE, Client
from reactor_web.streaming.connection.direct import Place
from reactor_web.streaming.connection.wire import Wire
from reactor_web.streaming.following.snapshot import encode_state
from reactor_web.streaming.pipeline.channel import Channel
from reactor_web.streaming.pipeline.channels import Channels


class Following(Protocol):
    """Whoever writes to one client: the handler of the request goes on with it, or the connection alone."""

    client: Client
    wire: Wire

    async def advance(self) -> bool: ...
    async def finish(self) -> None: ...
    def last_frames(self) -> bytes: ...
    def leave(self) -> None: ...


class Follower:
    """Writes the stream of one client: ``advance`` until it gives False, then ``finish``.

    Whenever ``advance`` gives True, the caller waits until the client is woken.
    """

    __slots__ = (
        "_channel", "_channels", "_dialect", "_feed", "_is_in", "_is_over", "_options", "_place", "_position", "_state",
        "client", "wire",
    )  # fmt: skip

    def __init__(self, feed: Feed, client: Client, wire: Wire, channels: Channels, position: int) -> None:
        self.client = client
        self.wire = wire
        self._feed = feed
        self._channels = channels
        self._position = position
        self._channel: Channel | None = None
        self._place: Place | None = None
        self._is_in = False
        """Whether the place is in the channel, and not before it."""
        self._options = client.options.shared
        """What it shares with other clients."""
        self._dialect = client.options.find_dialect()
        self._state: Any = None
        """What the dialect remembers of the run, if it folds."""
        self._is_over = False
        """Whether nothing more comes, although the log may go on."""

    async def advance(self) -> bool:
        """Writes what there is. True when nothing more is there for now; False when the stream is over."""
        try:
            while self.client.closing is None and not self._is_over:
                if self._is_in and self._channel is not None and self._place is not None:
                    if await self._live(self._channel, self._place):
                        return True
                elif not await self._catch_up():
                    break
        except UnknownRun:  # retention deleted the run while it was read
            self.client.close("not_found")
        self.leave()
        return False

    async def _live(self, channel: Channel, place: Place) -> bool:
        """Has the channel write what it has, or writes it; True if there is nothing more to do for now."""
        place.is_waiting = False
        place.begin = None if self.wire.can_wait else self.wire.began
        piece = channel.piece(place)
        if piece is None or (channel.completed and piece.end == place.offset):
            if channel.error is not None and self._feed.closed is None:
                raise channel.error  # who reads the log and joins again would find it so again
            self.leave()  # the ring has moved on, or nothing more comes: read the log
            return False
        if piece.end == place.offset or (place.takes(piece) and not channel.completed):
            self._wait(channel, place)
            return True
        channel.move(place, piece)
        data, is_all = piece.data, place.offset == channel.ring.end
        del piece
        if data:
            writing = self.wire.write(data)
            del data
            await writing
        if not is_all or channel.completed or self._channel is not channel or self.client.closing is not None:
            return False
        self._wait(channel, place)  # what has come meanwhile is written together, in its turn
        return True

    def _wait(self, channel: Channel, place: Place) -> None:
        place.is_waiting = True
        if place.offset != channel.ring.end:
            channel.ask()

    async def _catch_up(self) -> bool:
        """Joins a channel, or writes the next part of the log; False if the run has ended."""
        feed = self._feed
        if feed.closed is not None and self._position >= feed.last_seq:
            return False
        if self._find_place():
            return True
        part = await self._channels.replays.read(feed, self._options, self._position)
        self._position = part.position
        data = part.data
        if part.gap is not None:
            self.client.resumed("gap")
            data = await _with_state(feed, part.gap, data, self._dialect)
        del part
        if data:
            writing = self.wire.write(data)
            del data
            await writing
        return True

    def _find_place(self) -> bool:
        """Goes into a channel, or comes nearer to it: what comes while the log is read is kept there."""
        channel, place = self._channel, self._place
        if channel is None or place is None:
            channel = self._find_channel()
            if channel is None:
                return False
            self._channel, place = channel, self.wire.place(self._position, -1)
            self._place = place
            channel.join(place, self.client.wake)
        place.position = place.floor = self._position
        offset = channel.offset_after(self._position)
        if offset is None or (channel.completed and offset == channel.ring.end):
            return False  # what is missing stands in the log
        place.offset = offset
        self._is_in = True
        return True

    def _find_channel(self) -> Channel | None:
        """The one that has what is next, or will have it. Of a run that has ended others may still have theirs."""
        feed, options = self._feed, self._options
        if feed.closed is not None:
            channel = self._channels.shared(feed, options)
            return channel if channel is not None and channel.offset_after(self._position) is not None else None
        if feed.last_seq - self._position > CHANNEL_FRAMES:
            return None  # it would keep in vain what comes first
        return self._channels.of(feed, options, self._position)

    def leave(self) -> None:
        """Leaves the channel, if it is in one; the client then goes on from the log."""
        channel, place, was_in = self._channel, self._place, self._is_in
        self._channel = self._place = None
        self._is_in = False
        if channel is not None and place is not None:
            if was_in:
                self._position = place.position
            self.wire.direct_bytes += place.written
            self._channels.leave(channel, self._options, place)

    async def finish(self) -> None:
        """Writes why nothing more comes, unless the client has gone."""
        if end := self.last_frames():
            await self.wire.write(end)

    def last_frames(self) -> bytes:
        """Why nothing more comes. Empty where the client has gone, or where its dialect says nothing."""
        if self.client.closing == GONE:
            return b""
        feed = self._feed
        self.client.has_ended = self.client.closing is None and (feed.closed == "end" or self._is_over)
        if not self.client.has_ended and feed.closed is not None:
            self.client.close(feed.closed)
        state = self._dialect.begin(None, "resume")[0] if self._state is None else self._state
        why = self._end()
        end = self._dialect.end(state, why)
        if not end and self.client.has_ended and not self.wire.can_wait:
            # nothing was written: without the last seq as id this client would come back for ever
            end = self._dialect.notice(state, why.notice, why.id)
        return end

    def _end(self) -> End:
        feed = self._feed
        if self.client.has_ended:
            id = feed.last_seq if feed.closed == "end" else None
            return End(feed.notice("stream.end", {"status": feed.state.status}), id)
        return End(feed.notice("stream.closing", {"reason": self.client.closing, "retry_ms": RETRY_MS}))


async def _with_state(feed: Feed, gap: Notice, data: bytes, dialect: Dialect) -> bytes:
    """``data``, which begins with the frame of a gap, with the state as of the end of the gap behind that frame."""
    frame = dialect.notice(None, gap)
    state = await feed.state_at(gap.data["to"])
    return frame + await encode_state(feed, state, dialect) + data[len(frame) :]
