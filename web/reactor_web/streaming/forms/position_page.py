"""A page of the events of several runs: of a tree, or of all runs. Its cursor is a position of the log."""

from __future__ import annotations

import asyncio

from reactor.events.event import Message
from reactor.operators.select import matcher
from reactor.runs.positions import WINDOWS, PositionReader, TreeCursor, TreeEvent
from reactor.stream.feed import Closed
from reactor_web.bounds import PAGE_BYTES, PAGE_READS, RETRY_MS
from reactor_web.http.query import PageOptions
from reactor_web.streaming.forms.page import Page, wait_for_any


class PositionPageReader:
    """Reads one page. ``closing`` is set when the server shuts down."""

    def __init__(self, events: PositionReader, options: PageOptions, closing: asyncio.Event) -> None:
        self._events = events
        self._limit = options.limit
        self._closing = closing
        self._matches = matcher(options.stream.types, options.stream.tasks)
        self._messages: list[Message] = []
        self._count = 0
        """Events in the page. A gap is not counted: its cursor is before it, so an event must follow."""
        self._bytes = 0
        self._reads = 0
        self._cursor = TreeCursor(options.stream.after or 0, options.stream.part)
        self._is_full = False

    async def read(self, wait: float, gone: asyncio.Future[None] | None = None) -> Page:
        """The page. If there is nothing to put into it, waits at most ``wait`` seconds for what comes, and no longer
        than its client: ``gone``."""
        until = asyncio.get_running_loop().time() + wait
        if (ahead := await self._events.begin()) is not None:
            self._messages.append(ahead)
            self._cursor = TreeCursor()
        woken = asyncio.Event()
        stop = self._events.watch(woken.set)
        try:
            while True:
                woken.clear()  # before the read: what is published during the read sets it again
                closed = self._events.closed
                await self._fill()
                if self._is_full or self._messages or self._events.is_over or closed or self._closing.is_set():
                    break
                if not await wait_for_any(woken, self._closing, until, gone):
                    break
        finally:
            stop()
        return self._page(closed)

    def _page(self, closed: Closed | None) -> Page:
        events = self._events
        ended = not self._is_full and (events.is_over or closed == Closed.END)
        reason = "shutdown" if self._closing.is_set() else closed
        if not self._is_full and not ended and reason is not None:
            self._messages.append(events.notice("stream.closing", {"reason": reason, "retry_ms": RETRY_MS}))
        return Page(self._messages, str(self._cursor), ended, events.status)

    async def _fill(self) -> None:
        """Takes what there is, until the page is full."""
        while True:
            found = await self._events.read()
            for event in found:
                if self._has_no_room(event):
                    self._is_full = True
                    return
                self._take(event)
            if not found and not self._events.is_behind:
                self._cursor = max(self._cursor, TreeCursor(self._events.position))
                return
            if self._events.is_behind:
                self._cursor = max(self._cursor, TreeCursor(self._events.position))
                self._reads += WINDOWS
            if self._reads >= PAGE_READS:
                self._is_full = True
                return
            await asyncio.sleep(0)

    def _has_no_room(self, event: TreeEvent) -> bool:
        if self._reads >= PAGE_READS or self._count >= self._limit:
            return True
        return bool(self._messages) and self._bytes + len(event.message.json) > PAGE_BYTES

    def _take(self, event: TreeEvent) -> None:
        self._reads += 1
        self._cursor = event.cursor
        if self._matches(event.message):
            self._messages.append(event.message)
            self._count += event.message.seq is not None
            self._bytes += len(event.message.json)
