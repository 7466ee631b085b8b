"""Which channels of which runs are shared."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from reactivex import Observable

from reactor.stream.feed import Feed
from reactor.stream.follow import Follow
from reactor_web.bounds import MAX_SHARED_CHANNELS, UNSHARED_CHANNEL_BYTES
from reactor_web.http.query import StreamOptions
from reactor_web.streaming.connection.direct import Place
from reactor_web.streaming.pipeline.channel import Channel
from reactor_web.streaming.pipeline.compose import NumberedFrame, compose
from reactor_web.streaming.pipeline.kept import KeptStates
from reactor_web.streaming.pipeline.view import ViewPipeline, compose_view


class Channels:
    """The shared channels of all runs that have clients, and copies of the states that their dialects have folded."""

    def __init__(self) -> None:
        self._by_feed: dict[Feed, dict[StreamOptions, Channel]] = {}
        self.kept = KeptStates()

    def __iter__(self) -> Iterator[Channel]:
        for shared in self._by_feed.values():
            yield from shared.values()

    def shared(self, feed: Feed, options: StreamOptions) -> Channel | None:
        """The channel that clients with these options share, if there is one."""
        return self._by_feed.get(feed, {}).get(options.shared)

    def of(self, feed: Feed, options: StreamOptions) -> Channel:
        """The channel for these options; a new one if there is none.

        Call it for a client that has read the whole log, and join the channel without an ``await`` in between.
        """
        shared = self._by_feed.setdefault(feed, {})
        channel = shared.get(options.shared)
        if channel is None:
            frames = compose(feed.windows, options, options.find_dialect(), asyncio.get_running_loop())
            channel = self._new(feed, options, frames)
        return channel

    def of_view(self, feed: Feed, options: StreamOptions, view: ViewPipeline) -> Channel:
        """A channel that goes on with this view. It is shared, unless there is one already or there are too many."""
        loop = asyncio.get_running_loop()
        return self._new(feed, options, compose_view(Follow(feed, view.seq), view, options.heartbeat, loop), view)

    def _new(
        self, feed: Feed, options: StreamOptions, frames: Observable[NumberedFrame], view: ViewPipeline | None = None
    ) -> Channel:
        shared = self._by_feed.setdefault(feed, {})
        if options.shared in shared or len(shared) >= MAX_SHARED_CHANNELS:
            if view is not None:
                view.history.max_bytes = 0  # nobody else looks for a place in it
            return Channel(feed, frames, view, UNSHARED_CHANNEL_BYTES)
        channel = shared[options.shared] = Channel(feed, frames, view)
        return channel

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
