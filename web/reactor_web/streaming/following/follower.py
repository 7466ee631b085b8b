"""One client that follows one run: a position in the log, and a place in a shared channel once it has caught up.

catch up    read the log from the position, write it in large pieces
join        a shared channel, at the moment when nothing is left to read
live        write what the channel has; back to the log when the channel no longer has it
end         ``stream.end`` after the terminal event; ``stream.closing`` when the server closes for another reason
"""

from __future__ import annotations

import asyncio
from typing import Any

from reactor.bounds import READ_BYTES
from reactor.errors import UnknownRun
from reactor.events.event import Message, Notice
from reactor.stream.feed import Feed
from reactor.stream.follow import cursor_after
from reactor_web.bounds import RETRY_MS
from reactor_web.dialects import Dialect, End
from reactor_web.streaming.connection.client import GONE, Client
from reactor_web.streaming.connection.direct import Place
from reactor_web.streaming.connection.wire import Wire
from reactor_web.streaming.following.replay import encode_replay
from reactor_web.streaming.following.snapshot import encode_state
from reactor_web.streaming.pipeline.channel import Channel
from reactor_web.streaming.pipeline.channels import Channels
from reactor_web.streaming.pipeline.compose import NumberedFrame
from reactor_web.streaming.pipeline.ring import Ring


class Follower:
    """Writes the stream of one client: ``advance`` until it gives False, then ``finish``.

    Whenever ``advance`` gives True, the caller waits until the client is woken.
    """

    __slots__ = (
        "_channel", "_channels", "_dialect", "_feed", "_is_over", "_place", "_position", "_state", "client", "wire",
    )  # fmt: skip

    def __init__(self, feed: Feed, client: Client, wire: Wire, channels: Channels, position: int) -> None:
        self.client = client
        self.wire = wire
        self._feed = feed
        self._channels = channels
        self._position = position
        self._channel: Channel | None = None
        self._place: Place | None = None
        self._dialect = client.options.find_dialect()
        self._state: Any = None
        """What the dialect remembers of the run, if it folds."""
        self._is_over = False
        """Whether nothing more comes, although the log may go on."""

    async def advance(self) -> bool:
        """Writes what there is. True when nothing more is there for now; False when the stream is over."""
        try:
            while self.client.closing is None and not self._is_over:
                if self._channel is not None and self._place is not None:
                    if await self._live(self._channel, self._place):
                        return True
                elif not await self._catch_up():
                    break
        except UnknownRun:  # retention deleted the run while it was read
            self.client.close("not_found")
        self.leave()
        return False

    async def _live(self, channel: Channel, place: Place) -> bool:
        """Writes what the shared channel has; True if it has nothing more for now."""
        place.is_waiting = False
        frames = channel.ring.read(place.offset)
        if frames:
            if data := _take_frames(channel.ring, place, frames):
                writing = self.wire.write(data)
                del data, frames
                await writing
            return False
        if frames is None or channel.completed:  # the ring has moved on, or nothing more comes: read the log
            self.leave()
            return False
        place.is_waiting = self.wire.can_wait
        return True

    async def _catch_up(self) -> bool:
        """Writes the next part of the log, or joins a channel; False if the run has ended."""
        feed = self._feed
        messages = await read_next(feed, self._position)
        if messages:
            data = encode_replay(messages, self.client.options, self._dialect)
            if isinstance(messages[0], Notice):
                data = await _with_state(feed, messages[0], data, self._dialect)
            self._position = cursor_after(messages, self._position)
            if data:
                writing = self.wire.write(data)
                del data, messages
                await writing
            else:
                await asyncio.sleep(0)  # a filter that nothing passes must not block the loop
            return True
        if feed.closed:
            return False
        # nothing is left to read, and nothing has suspended since: a client must join now
        channel = self._channel = self._channels.of(feed, self.client.options)
        place = self._place = Place(self.wire.transport, self._position, channel.ring.end)
        channel.join(place, self.client.wake)
        return True

    def leave(self) -> None:
        """Leaves the channel, if it is in one; the client then goes on from the log."""
        channel, place = self._channel, self._place
        self._channel = self._place = None
        if channel is not None and place is not None:
            self._position = place.position
            self.wire.direct_bytes += place.written
            self._channels.leave(channel, self.client.options, place)

    async def finish(self) -> None:
        """Writes why nothing more comes, unless the client has gone."""
        if self.client.closing == GONE:
            return
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
        if end:
            await self.wire.write(end)

    def _end(self) -> End:
        feed = self._feed
        if self.client.has_ended:
            id = feed.last_seq if feed.closed == "end" else None
            return End(feed.notice("stream.end", {"status": feed.state.status}), id)
        return End(feed.notice("stream.closing", {"reason": self.client.closing, "retry_ms": RETRY_MS}))


async def read_next(feed: Feed, position: int) -> list[Message]:
    """The messages after a position, as many as one write takes: many small windows, or a part of a large one."""
    messages: list[Message] = []
    size = 0
    while more := await feed.read(position):
        for message in more:
            size += len(message.json)
            if size > READ_BYTES and messages:
                return messages
            messages.append(message)
        position = cursor_after(more, position)
        if size > READ_BYTES // 2:
            break  # most of another page of the log would be read in vain
    return messages


async def _with_state(feed: Feed, gap: Notice, data: bytes, dialect: Dialect) -> bytes:
    """``data``, which begins with the frame of a gap, with the state as of the end of the gap behind that frame."""
    frame = dialect.notice(None, gap)
    state = await feed.state_at(gap.data["to"])
    return frame + await encode_state(feed, state, dialect) + data[len(frame) :]


def _take_frames(ring: Ring, place: Place, frames: list[NumberedFrame]) -> bytes:
    """What a client that is behind writes next; moves its place."""
    frames = _fitting(READ_BYTES, frames)
    place.offset += len(frames)
    # in the middle of a window the position is not yet the window's end
    place.position = ring.position if place.offset == ring.end else max(place.position, frames[-1][0])
    # a throttle held some of the frames when this client joined: it has read their events from the log
    return b"".join([data for seq, data in frames if not 0 < seq <= place.floor])


def _fitting(size: int, frames: list[NumberedFrame]) -> list[NumberedFrame]:
    """The first frames that have at most ``size`` bytes together, but at least one frame."""
    total = 0
    for count, (_, data) in enumerate(frames):
        total += len(data)
        if total > size and count:
            return frames[:count]
    return frames
