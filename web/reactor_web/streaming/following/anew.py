"""Whether a client can go on from its cursor, or is told the run from its first event on."""

from __future__ import annotations

from reactor.events.event import Notice
from reactor.stream.feed import Feed


async def gap_before_all(feed: Feed, cursor: int, epoch: str = "") -> Notice | None:
    """``stream.gap`` for a cursor that is no place in this run, after which all events follow; None for one that is.

    ``rewound``: the log has lost the event that the client saw last, and another may have its number. ``epoch``: of the
    numbers that the client knows.
    """
    if (gap := await feed.rewound_gap(cursor, epoch)) is not None:
        return gap
    if cursor <= feed.last_seq or cursor <= await feed.catch_up():  # another node may have been the first to show it
        return None
    return feed.gap(feed.last_seq + 1, cursor, "ahead")
