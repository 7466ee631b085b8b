"""Which channels of which runs are shared."""

from __future__ import annotations

from collections.abc import Iterator

from reactor.stream.feed import Feed
from reactor_web.bounds import MAX_SHARED_CHANNELS, UNSHARED_CHANNEL_BYTES
from reactor_web.http.query import StreamOptions
from reactor_web.streaming.channel import Channel
from reactor_web.streaming.direct import Place


class Channels:
    """The shared channels of all runs that have clients."""

    def __init__(self) -> None:
        self._by_feed: dict[Feed, dict[StreamOptions, Channel]] = {}

    def __iter__(self) -> Iterator[Channel]:
        for shared in self._by_feed.values():
            yield from shared.values()

    def of(self, feed: Feed, options: StreamOptions) -> Channel:
        """The channel for these options; a new one if there is none.

        Call it for a client that has read the whole log, and join the channel without an ``await`` in between.
        """
        shared = self._by_feed.setdefault(feed, {})
        channel = shared.get(options.shared)
        if channel is None:
            if len(shared) < MAX_SHARED_CHANNELS:
                channel = shared[options.shared] = Channel(feed, options)
            else:
                channel = Channel(feed, options, UNSHARED_CHANNEL_BYTES)
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
