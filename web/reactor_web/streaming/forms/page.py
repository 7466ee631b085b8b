"""A page of a run's events, for a client that asks again and again instead of following: the same cursor, no stream.

read    from the cursor, until the page is full or nothing more is there
wait    where nothing came: until something does, the run ends, or the time of the client is over
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import orjson

from reactor.events.event import Event, Message, Notice
from reactor.events.one_line import one_line
from reactor.operators.select import matcher
from reactor.stream.feed import Closed, Feed
from reactor_web.bounds import PAGE_BYTES, PAGE_READS, RETRY_MS
from reactor_web.dialects.cloudevents import BATCH_MEDIA_TYPE, CLOUDEVENTS
from reactor_web.http.query import StreamOptions
from reactor_web.streaming.following.anew import gap_before_all
from reactor_web.streaming.following.snapshot import snapshot_notices, state_notices
from reactor_web.streaming.pipeline.replay import conflate


@dataclass(frozen=True, slots=True)
class Page:
    """Some messages of a run, in order."""

    messages: list[Message]
    cursor: int | str
    """What ``after=`` takes next: a seq, or a position where the page is of several runs. Events that a filter has not
    passed are behind it, too. Of a run that has lost its end: the seq with the epoch of its numbers."""
    ended: bool
    """Whether the run has ended, and nothing more comes behind the cursor."""
    status: str | None
    """Of the run, as it is now; None for a page of all runs."""


PageBody = Callable[[Page], bytes]
"""How a page is written. ``PAGES`` has one for each media type."""


def events_body(page: Page) -> bytes:
    """``{events, cursor, ended, status}``; the events are the bytes that are in the log."""
    events = b",".join([one_line(message.json) for message in page.messages])
    rest = orjson.dumps({"cursor": page.cursor, "ended": page.ended, "status": page.status})
    return b'{"events":[%b],%b' % (events, rest[1:])


def batch_body(page: Page) -> bytes:
    """A batch of CloudEvents. It has nothing beside them: ``Link`` has the cursor, and is not there after the end."""
    return CLOUDEVENTS.batch_body(page.messages)


PAGES: Final[dict[str, PageBody]] = {"application/json": events_body, BATCH_MEDIA_TYPE: batch_body}
"""Media type -> how its pages are written."""


class PageReader:
    """Reads one page of a feed. ``closing`` is set when the server shuts down."""

    def __init__(self, feed: Feed, options: StreamOptions, limit: int, closing: asyncio.Event) -> None:
        self._feed = feed
        self._options = options
        self._limit = limit
        self._closing = closing
        self._matches = matcher(options.types, options.tasks)
        self._messages: list[Message] = []
        self._bytes = 0
        self._reads = 0
        self._position = 0

    async def _begin(self) -> int:
        """The position to read from; what stands before the first event goes into the page."""
        feed, options = self._feed, self._options
        if options.after is not None:
            gap = await gap_before_all(feed, options.after, options.epoch)
            if gap is None:
                return options.after
            self._messages.append(gap)
        elif options.snapshot:
            position, notices = await snapshot_notices(feed)
            self._messages += notices
            return position
        elif options.tail is not None:
            return max(0, feed.last_seq - options.tail)
        return 0

    async def read(self, wait: float, gone: asyncio.Future[None] | None = None) -> Page:
        """The page. If there is nothing to put into it, waits at most ``wait`` seconds for what comes, and no longer
        than its client: ``gone``."""
        until = asyncio.get_running_loop().time() + wait
        self._position = await self._begin()
        while not await self._fill():
            if self._messages or self._feed.closed or self._closing.is_set():
                break
            if not await self._wait_until(until, gone):
                break
        feed = self._feed
        ended = feed.closed == Closed.END and self._position >= feed.last_seq
        if not ended and self._position >= feed.last_seq and (reason := self._closing_reason()) is not None:
            data: dict[str, object] = {"reason": reason, "retry_ms": RETRY_MS}
            self._messages.append(feed.notice("stream.closing", data))
        messages = self._messages if self._options.throttle is None else conflate(self._messages)
        return Page(messages, await self._cursor(), ended, feed.state.status)

    async def _cursor(self) -> int | str:
        """Whoever goes on from it has seen nothing that the log had lost."""
        found = await self._feed.rewound()
        return self._position if found is None or self._position <= found.kept else f"{self._position}~{found.epoch}"

    async def _fill(self) -> bool:
        """Takes what there is. True if the page is full, or enough was read for it; False if nothing more is there."""
        while more := await self._feed.read(self._position):
            for message in more:
                if self._is_full(message):
                    return True
                await self._take(message)
            await asyncio.sleep(0)  # what the ring has does not suspend: a filter that nothing passes must not block
        return False

    def _is_full(self, message: Message) -> bool:
        if self._reads >= PAGE_READS or len(self._messages) >= self._limit:
            return True
        return bool(self._messages) and self._bytes + len(message.json) > PAGE_BYTES

    async def _take(self, message: Message) -> None:
        self._reads += 1
        if isinstance(message, Event):
            self._position = message.seq
        if not self._matches(message):
            return
        self._messages.append(message)
        self._bytes += len(message.json)
        if isinstance(message, Notice):  # trimmed: the state as of its end stands in for what is gone
            self._position = message.data["to"]
            self._messages += await state_notices(self._feed, await self._feed.state_at(self._position))

    def _closing_reason(self) -> str | None:
        return "shutdown" if self._closing.is_set() else self._feed.closed

    async def _wait_until(self, until: float, gone: asyncio.Future[None] | None) -> bool:
        """Waits for a window, the end of the feed or of the server; False if the time is over before."""
        woken = asyncio.Event()
        windows = self._feed.windows.subscribe(on_next=lambda _: woken.set(), on_completed=woken.set)
        try:
            return await wait_for_any(woken, self._closing, until, gone)
        finally:
            windows.dispose()


async def wait_for_any(
    one: asyncio.Event, other: asyncio.Event, until: float, gone: asyncio.Future[None] | None
) -> bool:
    """Waits until one of two is set; False if before that the loop's time ``until`` is over, or ``gone`` is done."""
    waiting = {asyncio.ensure_future(one.wait()), asyncio.ensure_future(other.wait())}
    left = max(0.0, until - asyncio.get_running_loop().time())
    leaves = set[asyncio.Future[Any]]() if gone is None else {gone}
    try:
        done, _ = await asyncio.wait({*waiting, *leaves}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        return bool(done - leaves)
    finally:
        for task in waiting:
            task.cancel()
