"""One client that follows one run: a position in the log, and a place in a shared channel once it has caught up.

catch up    read the log from the position, write it in large pieces
join        a shared channel, at the moment nothing is left to read
live        write what the channel has; back to the log when it has moved on
end         ``stream.end`` after the terminal event; ``stream.closing`` when the server closes for a reason of its own
"""

from __future__ import annotations

import asyncio

from reactor.bounds import READ_BYTES
from reactor.errors import UnknownRun
from reactor.events.event import Control, Message
from reactor.stream.feed import Feed
from reactor.stream.follow import cursor_after
from reactor_web.sse import frames as sse
from reactor_web.streaming.channel import Channel, Channels
from reactor_web.streaming.compose import Frame
from reactor_web.streaming.direct import Direct
from reactor_web.streaming.replay import encode_replay
from reactor_web.streaming.snapshot import encode_state
from reactor_web.streaming.streams import Client
from reactor_web.streaming.wire import RETRY_MS, Wire


class Follower:
    """``advance`` until it says that the stream is over, then ``finish``; in between somebody waits for the client."""

    __slots__ = ("_channel", "_channels", "_feed", "_place", "_position", "client", "wire")

    def __init__(self, feed: Feed, client: Client, wire: Wire, channels: Channels, position: int) -> None:
        self.client = client
        self.wire = wire
        self._feed = feed
        self._channels = channels
        self._position = position
        self._channel: Channel | None = None
        self._place: Direct | None = None

    async def advance(self) -> bool:
        """Writes whatever there is. True when nothing is left for now, and others may write; False when it is over."""
        try:
            while self.client.closing is None:
                if self._channel is not None and self._place is not None:
                    if await self._live(self._channel, self._place):
                        return True
                elif not await self._catch_up():
                    break
        except UnknownRun:  # retention took it while it was read
            self.client.close("not_found")
        self.leave()
        return False

    async def _live(self, channel: Channel, place: Direct) -> bool:
        """Writes what the shared channel has; True where it has nothing more for now."""
        place.is_waiting = False
        frames = channel.read(place.offset)
        if frames:
            if data := _taken(channel, place, frames):
                await self.wire.write(data)
            return False
        if frames is None or channel.completed:  # the ring has moved on, or nothing comes any more: the log knows
            self.leave()
            return False
        place.is_waiting = self.wire.can_wait
        return True

    async def _catch_up(self) -> bool:
        """Writes the next part of the log, or joins a channel; False where the run has ended."""
        feed = self._feed
        messages = await _next(feed, self._position)
        if messages:
            data = encode_replay(messages, self.client.options)
            if isinstance(messages[0], Control):
                data = await _gap(feed, messages[0], data)
            self._position = cursor_after(messages, self._position)
            if data:
                await self.wire.write(data)
            else:
                await asyncio.sleep(0)  # a filter that nothing passes must not hold the loop
            return True
        if feed.closed:
            return False
        # nothing to read, and nothing has suspended since: this is the moment to join
        channel = self._channel = self._channels.of(feed, self.client.options)
        place = self._place = Direct(self.wire.transport, self._position, channel.end)
        channel.join(place, self.client.wake)
        return True

    def leave(self) -> None:
        """Back to the log, if it is in a channel."""
        channel, place = self._channel, self._place
        self._channel = self._place = None
        if channel is not None and place is not None:
            self._position = place.position
            self._channels.leave(channel, self.client.options, place)

    async def finish(self) -> None:
        """Says why nothing more comes."""
        if last_words := _last_words(self._feed, self.client):
            await self.wire.write(last_words)


async def _next(feed: Feed, position: int) -> list[Message]:
    """What follows a position, as far as one write takes it: many small windows, or a part of a large one."""
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
            break  # another page of the log would be read for nothing
    return messages


async def _gap(feed: Feed, gap: Control, following: bytes) -> bytes:
    """The gap, the state as of its end, and what ``following`` holds after the gap's own frame."""
    frame = sse.control_frame(gap)
    state = await feed.state_at(gap.data["to"])
    return frame + encode_state(feed, state) + following[len(frame) :]


def _taken(channel: Channel, place: Direct, frames: list[Frame]) -> bytes:
    """What a client that is behind writes next; its place moves on."""
    frames = _at_most(READ_BYTES, frames)
    place.offset += len(frames)
    # in the middle of a window the position is not yet the window's end
    # in the middle of a window the position is not yet the window's end
    place.position = channel.position if place.offset == channel.end else max(place.position, frames[-1][0])
    # what was held when this client joined, it has read from the log
    return b"".join([data for seq, data in frames if not 0 < seq <= place.floor])


def _at_most(size: int, frames: list[Frame]) -> list[Frame]:
    """As many of the frames as fit, and at least one."""
    total = 0
    for count, (_, data) in enumerate(frames):
        total += len(data)
        if total > size and count:
            return frames[:count]
    return frames


def _last_words(feed: Feed, client: Client) -> bytes:
    if client.closing == "gone":
        return b""
    if client.closing is None and feed.closed == "end":
        return sse.control_frame(feed.control("stream.end", {"status": feed.state.status}), feed.last_seq)
    reason = client.closing or feed.closed
    return sse.control_frame(feed.control("stream.closing", {"reason": reason, "retry_ms": RETRY_MS}))
