"""Runs that other processes execute, where several share a log: whoever follows one here sees it live.

When the run is taken over by this process, it goes on in the feed that is being read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any
from weakref import WeakValueDictionary

from reactor.bounds import LOG_PROBE_SECONDS
from reactor.clock import sleep
from reactor.errors import LogUnavailable, UnknownRun
from reactor.logger import get_logger
from reactor.ports.clock import Clock
from reactor.ports.sharing import LiveFeed
from reactor.stream.feed import Closed, Feed
from reactor.stream.relayed import Relayed
from reactor.waiting import Flights

logger = get_logger()


class Elsewhere:
    """Those of one tenant that somebody reads. ``live``: None where the log is not shared."""

    def __init__(self, live: LiveFeed | None, clock: Clock, tenant: str) -> None:
        self._live = live
        self._clock = clock
        self._tenant = tenant
        self._feeds: WeakValueDictionary[str, Feed] = WeakValueDictionary()
        self._relays: WeakValueDictionary[str, Relayed] = WeakValueDictionary()
        self._beginning: Flights[str, Feed] = Flights()
        self._jobs: set[asyncio.Task[None]] = set()
        self.is_left: Callable[[str], bool] = lambda run_id: False
        """Whether it is known here that nobody goes on with a run; from whoever recovers."""

    @property
    def is_shared(self) -> bool:
        """Whether other processes may execute runs of this log."""
        return self._live is not None

    def may_go_on(self, run_id: str) -> bool:
        """Whether more may come of a run that has not ended and is not open here."""
        return self._live is not None and not self.is_left(run_id)

    def get(self, run_id: str) -> Feed | None:
        """The feed of a run that somebody reads."""
        feed = self._feeds.get(run_id)
        return None if feed is None or feed.closed is not None else feed

    async def follow(self, run_id: str, load: Callable[[], Coroutine[Any, Any, Feed]]) -> Feed:
        """The feed that everybody reads, made by ``load`` where there is none, and live from now on."""
        return await self._beginning.join(run_id, lambda: self._follow(run_id, load))

    async def _follow(self, run_id: str, load: Callable[[], Coroutine[Any, Any, Feed]]) -> Feed:
        known = self.get(run_id)
        if known is not None:
            return known
        feed = await load()
        if feed.closed is None and self._live is not None:
            relay = Relayed(feed, self._clock)
            feed.relay = relay  # it lives as long as the feed does
            self._feeds[run_id], self._relays[run_id] = feed, relay
            await relay.begin(self._live, self._tenant)
        return feed

    def adopt(self, feed: Feed) -> None:
        """Another process may execute a run that was open here: who follows it goes on in its feed."""
        if feed.closed is None and self._live is not None:
            relay = Relayed(feed, self._clock)
            feed.relay = relay
            self._feeds[feed.run_id], self._relays[feed.run_id] = feed, relay
            job = asyncio.ensure_future(self._begin(feed, relay, self._live))
            self._jobs.add(job)
            job.add_done_callback(self._jobs.discard)

    async def _begin(self, feed: Feed, relay: Relayed, live: LiveFeed) -> None:
        while not relay.has_stopped:
            try:
                await relay.begin(live, self._tenant)
                return
            except UnknownRun:  # its first event never came into the log
                feed.close(Closed.NOT_RECOVERED)
                return
            except LogUnavailable as error:
                logger.warning("live events of a run wait for the log", run_id=feed.run_id, error=str(error))
            await sleep(self._clock, LOG_PROBE_SECONDS)

    def has(self, feed: Feed) -> bool:
        """Whether it is one that is followed here while another process executes its run."""
        return self._feeds.get(feed.run_id) is feed

    async def wake(self, feed: Feed) -> Feed:
        """The run goes on in this process: in the feed that is being read, or in this one, which is as far."""
        known, relay = self._feeds.pop(feed.run_id, None), self._relays.pop(feed.run_id, None)
        if known is None or relay is None or known.closed is not None:
            return feed
        if await relay.come_to(feed.last_seq):
            return known
        logger.error("the log has lost events that were followed here", run_id=feed.run_id, last=known.last_seq)
        known.close(Closed.LOG)
        return feed

    def close(self) -> None:
        """The engine drains."""
        for run_id, feed in list(self._feeds.items()):
            relay = self._relays.get(run_id)
            if relay is not None:
                relay.stop()
            feed.close(Closed.SHUTDOWN)
        self._feeds.clear()
        for job in self._jobs:
            job.cancel()
