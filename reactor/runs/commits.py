"""Callers that wait until something of a run is in the log."""

from __future__ import annotations

from asyncio import AbstractEventLoop, Future
from collections import deque
from collections.abc import Awaitable

from reactor.stream.feed import Feed
from reactor.waiting import READY


class Commits:
    """The waiting callers of one open run."""

    __slots__ = ("_feed", "_is_closed", "_loop", "_waiting")

    def __init__(self, feed: Feed, loop: AbstractEventLoop) -> None:
        self._feed = feed
        self._loop = loop
        self._is_closed = False
        self._waiting: deque[tuple[int, Future[None]]] = deque()
        """(seq, future), the lowest seq first."""

    def upto(self, seq: int) -> Awaitable[None]:
        """Done when the event ``seq`` is in the log, or when nothing more will be committed."""
        if seq <= self._feed.last_seq or self._feed.closed or self._is_closed:
            return READY
        done: Future[None] = self._loop.create_future()
        self._waiting.append((seq, done))
        return done

    def next(self) -> Future[None]:
        """Done with the next commit, or when there will be none."""
        done: Future[None] = self._loop.create_future()
        self._waiting.appendleft((self._feed.last_seq + 1, done))
        return done

    def published(self) -> None:
        """Wakes the callers whose event is in the log now."""
        waiting, last = self._waiting, self._feed.last_seq
        while waiting and waiting[0][0] <= last:
            _settle(waiting.popleft()[1])

    def close(self) -> None:
        """Wakes all callers: nothing more will be committed here."""
        self._is_closed = True
        while self._waiting:
            _settle(self._waiting.popleft()[1])


def _settle(done: Future[None]) -> None:
    if not done.done():
        done.set_result(None)
