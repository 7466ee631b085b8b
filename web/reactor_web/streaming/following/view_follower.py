"""One client that follows a view of a run, or a dialect that folds.

    join      the shared view, where it still has every frame behind the client's cursor
    replay    where it has not: a view of this client's own reads the log, from the first event or from a state that was
              kept, at the client's pace
    live      write what the channel has

A view that this client has replayed becomes the shared one if there is none, so that nobody reads the log twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from functools import partial

from reactor.bounds import PIECE_EVENTS
from reactor.events.event import Message
from reactor.ports.log import Rewound
from reactor.stream.feed import Closed, Feed
from reactor.waiting import turn_of
from reactor_web.dialects import Opens
from reactor_web.dialects.framing import after_part
from reactor_web.streaming.connection.client import Client
from reactor_web.streaming.connection.direct import Place
from reactor_web.streaming.connection.wire import Wire
from reactor_web.streaming.fan_out import fan_out_of
from reactor_web.streaming.following.follower import Follower
from reactor_web.streaming.following.places import Count, Opening, behind
from reactor_web.streaming.pipeline.channel import Channel
from reactor_web.streaming.pipeline.channels import Channels
from reactor_web.streaming.pipeline.compose import NumberedFrame
from reactor_web.streaming.pipeline.kept import FoldStart, first_state
from reactor_web.streaming.pipeline.replay import read_next
from reactor_web.streaming.pipeline.view import ViewPipeline


class ViewFollower(Follower):
    """Writes a view of a run to one client: nothing at or below its cursor, and everything behind it once."""

    __slots__ = ("_count", "_has_joined", "_opening", "_part", "_part_of", "_pending", "_start", "_view")

    def __init__(self, feed: Feed, client: Client, wire: Wire, channels: Channels, position: int) -> None:
        super().__init__(feed, client, wire, channels, position)
        options = client.options
        is_counted = self._dialect.info.counted
        self._part = options.part if options.after == position and not is_counted else 0
        """How many frames of event ``_part_of`` the client has."""
        self._part_of = position + 1
        self._count = Count(options.after or 0) if is_counted else None
        """The frames that the client has, in a counted dialect, until the event is found that they end in."""
        self._opening: Opening | None = None
        """What the client is to be shown before the first frame."""
        self._start: FoldStart | None = None
        self._view: ViewPipeline | None = None
        """The replay of this client alone."""
        self._pending: list[NumberedFrame] = []
        self._has_joined = False

    def mind_loss(self, found: Rewound | None) -> None:
        """The log has lost the end of the run: a client that has frames of that begins anew."""
        if self._count is not None and found is not None:
            self._count.kept = found.kept

    def open(self, dialect: Opens) -> None:
        """Shows where the run is now before what comes next. For a client without a cursor, before ``advance``."""
        self._opening = Opening.of(dialect, self._feed)
        self._position = self._opening.position

    async def _live(self, channel: Channel, place: Place) -> bool:
        if channel.completed and place.offset == channel.ring.end:
            self._is_over = True
            self._see(channel)
            if channel.error is not None and self._feed.closed is None:
                raise channel.error  # the log could not be read
            return False
        return await super()._live(channel, place)

    async def _catch_up(self) -> bool:
        channel = self._channels.shared(self._feed, self._options)
        if channel is not None and self._fits(channel) and await self._is_prepared(channel):
            await self._join(channel, shares=True)
        elif self._view is None and self._start is None:
            self._start = await self._first_state()  # another client may make the shared view meanwhile: look again
        elif channel is None and not (self._has_joined or self._part or self._count or self._opening):
            # the first client: whoever comes while its view reads the log shares it
            await self._join(self._channels.of_view(self._feed, self._options, self._new_view()))
        else:
            return await self._replay()
        return True

    async def _is_prepared(self, channel: Channel) -> bool:
        """Whether this client still fits into a channel once most of its opening is made, which takes a while."""
        if self._opening is None or channel.view is None:
            return True
        await self._opening.prepare(channel.view)
        return self._channels.shared(self._feed, self._options) is channel and self._fits(channel)

    async def _first_state(self) -> FoldStart:
        """Where a replay begins: as near to the client's place as a state was kept."""
        if not self._dialect.info.folds:
            return FoldStart(self._dialect.begin(None, "resume")[0])
        if self.client.options.view is None and (self._count is None or self._count.kept is None):
            seq = None if self._count else self._position
            count = self._count.frames if self._count else 0
            kept = self._channels.kept.nearest(self._feed, self.client.options, seq=seq, frames=count)
            if kept is not None:
                return kept
        return await first_state(self._feed, self._dialect)

    def _new_view(self) -> ViewPipeline:
        options, start = self.client.options, self._start
        self._start = None
        view = ViewPipeline(self._feed.run_id, options, asyncio.get_running_loop(), start)
        if self._dialect.info.folds and options.view is None:
            view.on_keep = partial(self._channels.kept.keep, self._feed, options)
        return view

    def _fits(self, channel: Channel) -> bool:
        """Whether this client can go on with a shared view: that has made, and still has, all frames it needs."""
        shared, mine = channel.view, self._view
        if shared is None or self._count or (self._part and shared.seq < self._part_of):
            return False
        if self._opening is not None and shared.seq < self._opening.seq:
            return False  # it is still reading what the client is not to be shown
        has_clock = self.client.options.view is not None or self.client.options.throttle is not None
        if has_clock and mine is not None and mine.seq == shared.seq and mine.made != shared.made:
            return False  # what one holds back for a time, the other may have sent
        return shared.history.has_after(self._position)

    async def _join(self, channel: Channel, *, shares: bool = False) -> None:
        """Goes on with a channel. ``shares``: its view has frames that this client has not."""
        self._drop_view(channel)
        self._has_joined = self._is_in = True
        self._channel = channel
        place = self._place = self.wire.place(self._position, channel.ring.end)
        channel.join(place, self.client.wake)
        data, is_opened = b"", self._opening is not None
        if channel.view is not None:
            data = self._shared_frames(channel.view, shares=shares)
            place.position = max(self._position, channel.view.seq)
            if is_opened:
                place.floor = place.position
        if data:
            writing = self.wire.write(data)
            del data
            await writing

    def _shared_frames(self, view: ViewPipeline, *, shares: bool) -> bytes:
        """What a view that this client goes on with has made behind its cursor; first the opening, if it is to come."""
        if self._opening is None and not self._part:
            return view.history.joined(self._position) if shares else b""
        opening, frames = self._show(view, (view.history.after(self._position) or []) if shares else [])
        return opening + self._bytes(frames)

    def _show(self, view: ViewPipeline, frames: list[NumberedFrame]) -> tuple[bytes, list[NumberedFrame]]:
        """The opening, once, and those of the ``frames`` that come behind it."""
        if self._opening is None:
            return b"", frames
        opening, self._opening = self._opening, None
        if not opening.has_ended:
            self._position = view.seq
        return opening.show(view), behind(self._position, frames)

    async def _replay(self) -> bool:
        """Writes the next part of the log as this client's own view shows it; False if nothing more comes."""
        view = self._view
        if view is None:
            view = self._view = self._new_view()
            view.on_entry = self._pending.append
            if self._count:
                self._count.seen = view.count
        await fan_out_of(asyncio.get_running_loop()).turn()
        messages: Sequence[Message] = () if view.is_over else await self._read(view)
        await self._push(view, messages)
        if self._opening is not None and (view.seq >= self._opening.seq or not messages):
            await self._opening.prepare(view)
        data = self._take_pending(view, is_last=not messages)
        if self._count and self._count.is_lost:
            await self._begin_anew(self._count, "rewound")
        elif data:
            writing = self.wire.write(data)
            del data, messages
            await writing
        elif messages:
            await asyncio.sleep(0)  # a view that gives nothing must not block the loop
        elif self._count and self._feed.closed not in (Closed.LOG, Closed.SHUTDOWN):
            await self._feed.catch_up()  # another node may have been the first to show these frames
            if self._feed.last_seq <= view.seq:
                await self._begin_anew(self._count, "ahead")
        elif view.is_over or (self._feed.closed and not view.has_more):
            self._is_over = True
            self._leave_view(view)
            return False
        else:
            await self._join_others(view)
        return True

    async def _push(self, view: ViewPipeline, messages: Sequence[Message]) -> None:
        """Some at a time: a dialect may take a tenth of a millisecond for each."""
        turn = turn_of(asyncio.get_running_loop())
        for start in range(0, len(messages), PIECE_EVENTS):
            await turn
            view.push(messages[start : start + PIECE_EVENTS])

    async def _read(self, view: ViewPipeline) -> Sequence[Message]:
        """The next messages for this client's own view: up to the place of its opening, if that is still to come."""
        messages = await read_next(self._feed, view.seq)
        if self._opening is None:
            return messages
        return [message for message in messages if message.seq is None or message.seq <= self._opening.seq]

    def _take_pending(self, view: ViewPipeline, *, is_last: bool) -> bytes:
        """What the view has made that the client is to be sent. ``is_last``: there is nothing more to read."""
        frames, opening = list(self._pending), b""
        self._pending.clear()
        if self._count:
            frames = self._count.behind(frames)
            if self._count.is_found:
                self._count = None
        frames = behind(self._position, frames)
        if self._opening is not None:
            if view.seq < self._opening.seq and not is_last:
                return b""
            opening, frames = self._show(view, frames)
        self._position = max(self._position, view.seq)
        return opening + self._bytes(frames)

    async def _begin_anew(self, count: Count, reason: str) -> None:
        """The client has more frames than there are, or some that are lost. It is told, and sent all of them."""
        self._count, self._position = None, 0
        self._start = await first_state(self._feed, self._dialect)
        if self._view is not None:
            self._view.dispose()
            self._view = None
        gap = self._feed.gap(count.seen + 1 if reason == "ahead" else 1, count.frames, reason)
        self.client.resumed("gap")
        if data := self._dialect.notice(self._start.state, gap):
            await self.wire.write(data)

    async def _join_others(self, view: ViewPipeline) -> None:
        """Shares the view of others, or its own with those who come."""
        self._part = 0
        channel = self._channels.shared(self._feed, self._options)
        if channel is not None and self._fits(channel):
            await self._join(channel, shares=True)
        else:
            await self._join(self._channels.of_view(self._feed, self._options, view))

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
        if view.error is not None:
            self.client.close("view")

    def leave(self) -> None:
        """Leaves the channel, if it is in one, and ends its own view."""
        if self._channel is not None and self._channel.view is not None:
            self._state = self._channel.view.state
        elif self._view is not None:
            self._state = self._view.state
            self._view.dispose()
            self._view = None
        super().leave()
