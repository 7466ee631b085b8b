"""One client that follows a view of a run.

    join      the shared view, where it still has every frame behind the client's cursor
    replay    where it has not: a view of this client's own reads the log from the first event on, at the client's pace
    live      write what the channel has

A view that this client has replayed becomes the shared one if there is none, so that nobody reads the log twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from reactor.stream.feed import Feed
from reactor_web.dialects.framing import after_part
from reactor_web.streaming.channel import Channel
from reactor_web.streaming.channels import Channels
from reactor_web.streaming.client import Client
from reactor_web.streaming.compose import NumberedFrame
from reactor_web.streaming.direct import Place
from reactor_web.streaming.follower import Follower, read_next
from reactor_web.streaming.view import ViewPipeline
from reactor_web.streaming.wire import Wire


class ViewFollower(Follower):
    """Writes a view of a run to one client: nothing at or below its cursor, and everything behind it once."""

    __slots__ = ("_has_joined", "_part", "_part_of", "_pending", "_view")

    def __init__(self, feed: Feed, client: Client, wire: Wire, channels: Channels, position: int) -> None:
        super().__init__(feed, client, wire, channels, position)
        options = client.options
        self._part = options.part if options.after == position else 0
        """How many frames of event ``_part_of`` the client has."""
        self._part_of = position + 1
        self._view: ViewPipeline | None = None
        """The replay of this client alone."""
        self._pending: list[NumberedFrame] = []
        self._has_joined = False

    async def _live(self, channel: Channel, place: Place) -> bool:
        if channel.completed and channel.ring.read(place.offset) == []:
            self._is_over = True
            self._see(channel)
            if channel.error is not None and self._feed.closed is None:
                raise channel.error  # the log could not be read
            return False
        return await super()._live(channel, place)

    async def _catch_up(self) -> bool:
        channel = self._channels.shared(self._feed, self.client.options)
        if channel is not None and (frames := self._missing(channel)) is not None:
            await self._join(channel, frames)
        elif channel is None and not self._has_joined and not self._part:
            # the first client: whoever comes while its view reads the log shares it
            view = ViewPipeline(self._feed.run_id, self.client.options, asyncio.get_running_loop())
            await self._join(self._channels.of_view(self._feed, self.client.options, view), [])
        else:
            return await self._replay()
        return True

    def _missing(self, channel: Channel) -> list[NumberedFrame] | None:
        """What the shared view has made behind the cursor; None if this client cannot go on with it."""
        shared, mine = channel.view, self._view
        if shared is None or (self._part and shared.seq < self._part_of):
            return None
        if mine is not None and mine.seq == shared.seq and mine.made != shared.made:
            return None  # its operators have clocks: what one holds back, the other may have sent
        return shared.history.after(self._position)

    async def _join(self, channel: Channel, frames: list[NumberedFrame]) -> None:
        self._drop_view(channel)
        self._has_joined = True
        self._channel = channel
        place = self._place = Place(self.wire.transport, self._position, channel.ring.end)
        channel.join(place, self.client.wake)
        if channel.view is not None:
            place.position = max(self._position, channel.view.seq)
        if data := self._bytes(frames):
            await self.wire.write(data)

    async def _replay(self) -> bool:
        """Writes the next part of the log as this client's own view shows it; False if nothing more comes."""
        view = self._view
        if view is None:
            view = self._view = ViewPipeline(self._feed.run_id, self.client.options, asyncio.get_running_loop())
            view.on_entry = self._pending.append
        messages = [] if view.is_over else await read_next(self._feed, view.seq)
        view.push(messages)
        frames = [frame for frame in self._pending if not 0 < frame[0] <= self._position]
        self._pending.clear()
        self._position = max(self._position, view.seq)
        if data := self._bytes(frames):
            await self.wire.write(data)
        elif messages:
            await asyncio.sleep(0)  # a view that gives nothing must not block the loop
        elif view.is_over or (self._feed.closed and not view.has_more):
            self._is_over = True
            self._leave_view(view)
            return False
        else:
            self._part = 0
            channel = self._channels.shared(self._feed, self.client.options)
            frames = None if channel is None else self._missing(channel)
            if channel is None or frames is None:
                channel, frames = self._channels.of_view(self._feed, self.client.options, view), []
            await self._join(channel, frames)
        return True

    def _bytes(self, frames: Iterable[NumberedFrame]) -> bytes:
        seq, part = self._part_of, self._part
        return b"".join([after_part(data, seq, part) if part and of == seq else data for of, data in frames])

    def _drop_view(self, channel: Channel) -> None:
        view, self._view = self._view, None
        if view is not None and view is not channel.view:
            view.dispose()

    def _see(self, channel: Channel) -> None:
        """Keeps what the last frame needs of the view."""
        if channel.view is not None:
            self._leave_view(channel.view)

    def _leave_view(self, view: ViewPipeline) -> None:
        self._state = view.state
        if view.error is not None:
            self.client.close("view")

    def leave(self) -> None:
        """Leaves the channel, if it is in one, and ends its own view."""
        if self._view is not None and self._channel is None:
            self._view.dispose()
            self._view = None
        super().leave()
