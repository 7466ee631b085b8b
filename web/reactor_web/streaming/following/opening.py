"""What a client is sent before the first event, and where its stream begins."""

from __future__ import annotations

from reactor.bounds import READ_BYTES
from reactor.stream.feed import Feed
from reactor_web.dialects import Dialect, Opens
from reactor_web.http.query import StreamOptions
from reactor_web.streaming.connection.client import Client
from reactor_web.streaming.connection.wire import Wire
from reactor_web.streaming.following.anew import gap_before_all
from reactor_web.streaming.following.follower import Follower
from reactor_web.streaming.following.snapshot import last_logs, state_frames
from reactor_web.streaming.following.view_follower import ViewFollower
from reactor_web.streaming.pipeline.channels import Channels
from reactor_web.streaming.pipeline.kept import run_started


async def open_run(feed: Feed, client: Client, wire: Wire, channels: Channels) -> Follower:
    """Writes what stands before the first event of a run that has started; returns who goes on."""
    options, dialect = client.options, client.options.find_dialect()
    follower = follower_at(await _write_opening(feed, client, dialect, wire), feed, client, wire, channels)
    if isinstance(follower, ViewFollower) and dialect.info.counted and options.after:
        follower.mind_loss(await feed.rewound())
    if isinstance(follower, ViewFollower) and isinstance(dialect, Opens) and _is_to_be_shown(feed, options):
        follower.open(dialect)
    return follower


async def open_young_run(feed: Feed, client: Client, wire: Wire, channels: Channels) -> Follower:
    """The same of a run that has started later than the stream: a cursor is not one of this run."""
    if client.options.after:
        dialect = client.options.find_dialect()
        gap = feed.gap(feed.last_seq + 1, client.options.after, "ahead")
        client.resumed("gap")
        await wire.write(dialect.notice(dialect.begin(None, "resume")[0], gap))
    return follower_at(0, feed, client, wire, channels)


def follower_at(position: int, feed: Feed, client: Client, wire: Wire, channels: Channels) -> Follower:
    """Who writes what comes behind a position."""
    is_plain = client.options.view is None and not client.options.find_dialect().info.folds
    return (Follower if is_plain else ViewFollower)(feed, client, wire, channels, position)


def _is_to_be_shown(feed: Feed, options: StreamOptions) -> bool:
    """Whether a client is shown the state of the run first: it has no cursor, or one that is not of this run."""
    return options.tail is None and (options.after is None or options.after > feed.last_seq)


async def _write_opening(feed: Feed, client: Client, dialect: Dialect, wire: Wire) -> int:
    """Writes the frames before the first event, for a resume none; returns the position the stream begins at."""
    options = client.options
    if options.after is not None:
        if dialect.info.counted:
            return 0  # its follower finds the event that so many frames end in
        gap = await gap_before_all(feed, options.after, options.epoch)
        if gap is None:
            return options.after
        client.resumed("gap")
        await wire.write(dialect.notice(dialect.begin(None, "resume")[0], gap))
        return 0
    _, opening = dialect.begin(await run_started(feed) if dialect.info.folds else None, "fresh")
    position, state = 0, b""
    if options.snapshot:
        position, state = await state_frames(feed, dialect)
    elif options.tail is not None:
        # the last event tells the end in a dialect that folds: whoever comes later than it must see it
        least = int(dialect.info.folds and feed.closed == "end")
        position = max(0, feed.last_seq - max(options.tail, least))
    # ids only grow: the log lines come before the state, which is newer
    async for lines in last_logs(feed, options.logs, position, dialect):
        opening += lines
        if len(opening) > READ_BYTES:
            await wire.write(opening)
            opening = b""
    if opening + state:
        await wire.write(opening + state)
    return position
