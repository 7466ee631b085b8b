"""Which channels of which runs are shared."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

from reactor.stream.feed import Feed
from reactor.stream.follow import Follow
from reactor_web.bounds import CHANNEL_BYTES, MAX_SHARED_CHANNELS, UNSHARED_CHANNEL_BYTES
from reactor_web.http.query import StreamOptions
from reactor_web.streaming.connection.direct import Place
from reactor_web.streaming.pipeline.channel import Channel
from reactor_web.streaming.pipeline.compose import compose
from reactor_web.streaming.pipeline.kept import KeptStates
from reactor_web.streaming.pipeline.replay import Replays, conflate
from reactor_web.streaming.pipeline.view import ViewPipeline, compose_view


class Channels:
    """The shared channels of all runs that have clients, and copies of the states that their dialects have folded."""

    def __init__(self, delivered: Callable[[float], None] = lambda seconds: None) -> None:
        """``delivered(seconds)``: see ``Channel``."""
        self._delivered = delivered
        self._by_feed: dict[Feed, dict[StreamOptions, Channel]] = {}
        self.kept = KeptStates()
        self.replays = Replays()

    def __iter__(self) -> Iterator[Channel]:
        for shared in self._by_feed.values():
            yield from shared.values()

    def settle(self) -> None:
        """Called now and then: lets go of what was kept for clients that might come, where nothing goes on."""
        self.replays.forget()
        for channel in self:
            channel.settle()

    def shared(self, feed: Feed, options: StreamOptions) -> Channel | None:
        """The channel that clients with these options share, if there is one."""
        return self._by_feed.get(feed, {}).get(options.shared)

    def of(self, feed: Feed, options: StreamOptions, seq: int) -> Channel:
        """The channel for these options, for a client that has all events up to ``seq``. Join it without an ``await``
        in between.

        Where there is none, it is made. It begins with what the feed still has behind ``seq``, or with what comes next:
        then the client reads the log until it finds its place, and the channel keeps what comes meanwhile.
        """
        channel = self.shared(feed, options)
        if channel is None:
            recent = feed.recent_events(seq)
            channel = self._of_events(feed, options, feed.last_seq if recent is None else seq)
            if recent:
                channel.begin_with(recent if options.throttle is None else conflate(recent))
        return channel

    def _of_events(self, feed: Feed, options: StreamOptions, after: int) -> Channel:
        dialect, loop = options.find_dialect(), asyncio.get_running_loop()
        channel = Channel(
            feed, feed.windows, lambda windows: compose(windows, options, dialect, loop), after,
            ring_bytes=self._ring_bytes(feed, options), delivered=self._delivered,
        )  # fmt: skip
        self._share(channel, options)
        return channel

    def of_view(self, feed: Feed, options: StreamOptions, view: ViewPipeline) -> Channel:
        """A channel that goes on with this view. It is shared, unless there is one already or there are too many."""
        period, loop = options.heartbeat, asyncio.get_running_loop()
        channel = Channel(
            feed, Follow(feed, view.seq), lambda windows: compose_view(windows, view, period, loop), view.seq, view,
            self._ring_bytes(feed, options), self._delivered,
        )  # fmt: skip
        if not self._share(channel, options):
            view.history.max_bytes = 0  # nobody else looks for a place in it
        return channel

    def _ring_bytes(self, feed: Feed, options: StreamOptions) -> int:
        return CHANNEL_BYTES if self._can_share(feed, options) else UNSHARED_CHANNEL_BYTES

    def _can_share(self, feed: Feed, options: StreamOptions) -> bool:
        shared = self._by_feed.get(feed, {})
        return options.shared not in shared and len(shared) < MAX_SHARED_CHANNELS

    def _share(self, channel: Channel, options: StreamOptions) -> bool:
        """Whether other clients find the channel."""
        can_share = self._can_share(channel.feed, options)
        if can_share:
            self._by_feed.setdefault(channel.feed, {})[options.shared] = channel
        return can_share

    def leave(self, channel: Channel, options: StreamOptions, client: Place) -> None:
        """Takes a client out of its channel, and forgets the channel if that was its last client."""
        channel.leave(client)
        if channel.clients:
            return
        shared = self._by_feed.get(channel.feed, {})
        if shared.get(options.shared) is channel:
            del shared[options.shared]
        if not shared:
            self._by_feed.pop(channel.feed, None)
