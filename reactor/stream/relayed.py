"""A feed of a run that another process executes: its committed windows are published here too.

The other process tells its windows as they are committed. Where one is missing, what is missing is read from the log.
A log that has lost its end may have other events under numbers that were shown here: then the feed is closed, and who
follows the run begins anew with what the log has.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from weakref import finalize, ref

from reactor.bounds import LOG_PROBE_SECONDS, READ_EVENTS
from reactor.clock import sleep
from reactor.errors import LogUnavailable, UnknownRun
from reactor.events.event import Window
from reactor.logger import get_logger
from reactor.ports.clock import Clock
from reactor.ports.sharing import LiveFeed, Stop
from reactor.stream.feed import Closed, Feed

logger = get_logger()


def _call_on(loop: asyncio.AbstractEventLoop, action: Callable[[], None]) -> None:
    try:
        loop.call_soon_threadsafe(action)
    except RuntimeError:
        return  # the loop is closed, and nobody follows any more


class Relayed:
    """Publishes in a feed what another process commits, until the feed is closed or nobody holds it any more.

    Loop thread only. The feed is held weakly: who follows the run holds it.
    """

    def __init__(self, feed: Feed, clock: Clock) -> None:
        self._feed = ref(feed)
        self._run_id = feed.run_id
        self._clock = clock
        self._stop: Stop | None = None
        self._reading: asyncio.Task[None] | None = None
        last = feed.last_event
        self._last = None if last is None else last.json
        """Of the last event that was published here; None: not known yet."""
        self._is_behind = False
        """Something may be in the log that was not read."""
        self.has_stopped = False

    async def begin(self, live: LiveFeed, tenant: str) -> None:
        """Returns when the feed is as far as the log was at the call, and hears of what comes. Raises UnknownRun."""
        feed = self._feed()
        assert feed is not None, "whoever begins holds it"
        self._stop = await live.follow(self._run_id, self._take, tenant=tenant)
        if self.has_stopped:  # the run was taken up meanwhile
            self._stop()
            return
        loop = asyncio.get_running_loop()
        finalize(feed, _call_on, loop, self._end)  # which may be found to be gone in any thread
        await self._catch_up(feed)

    def stop(self) -> None:
        """Publishes nothing more."""
        self._end()
        if self._reading is not None:
            self._reading.cancel()

    async def come_to(self, seq: int) -> bool:
        """Publishes what the log has up to this seq, and stops: the run goes on in this process.

        False where the log has not what was published here: it has lost that, and others may have its numbers.
        """
        self.stop()
        feed = self._feed()
        if feed is None or feed.last_seq > seq:
            return False
        after = feed.last_seq
        known = await feed.log.read(self._run_id, max(after - 1, 0), 1)
        if after and not self._is_known(known, after, self._last):
            return False
        while feed.last_seq < seq:
            events = await feed.logged(feed.last_seq, seq)
            if not events:
                return False
            feed.publish(events)
        return True

    def look(self) -> None:
        """Reads what the log has: something may not have been told, or comes late."""
        feed = self._feed()
        if feed is not None and not self.has_stopped:
            self._is_behind = True
            if self._reading is None:
                self._reading = asyncio.ensure_future(self._read(feed))

    # --- inside ---

    def _end(self) -> None:
        self.has_stopped = True
        if self._stop is not None:
            self._stop()

    def _take(self, window: Window | None) -> None:
        feed = self._feed()
        if feed is None or self.has_stopped:
            return
        if self._reading is not None or window is None or window[0].seq != feed.last_seq + 1:
            self.look()
        else:
            self._publish(feed, window)

    def _publish(self, feed: Feed, window: Window) -> None:
        self._last = window[-1].json
        feed.publish(window)
        if feed.closed is not None:
            self._end()

    async def _read(self, feed: Feed) -> None:
        """Reads until nothing was told meanwhile. A log that does not answer is asked again."""
        try:
            while self._is_behind and not self.has_stopped:
                self._is_behind = False
                try:
                    await self._catch_up(feed)
                except LogUnavailable as error:
                    logger.warning("live events of a run wait for the log", run_id=self._run_id, error=str(error))
                    self._is_behind = True
                    await sleep(self._clock, LOG_PROBE_SECONDS)
        except UnknownRun:
            feed.close(Closed.NOT_RECOVERED)  # it was deleted
            self._end()
        finally:
            self._reading = None

    async def _catch_up(self, feed: Feed) -> None:
        while not self.has_stopped and feed.closed is None:
            after, last = feed.last_seq, self._last  # more may be published during the read
            # with the last one that was shown, by which it is seen whether the log still has it
            events = await feed.log.read(self._run_id, max(after - 1, 0), READ_EVENTS)
            if self.has_stopped:
                return
            if after and not self._is_known(events, after, last):
                logger.error("the log has lost events that were followed here", run_id=self._run_id, last=after)
                feed.close(Closed.LOG)
                self._end()
                return
            new = [event for event in events if event.seq > feed.last_seq]
            if not new:
                return
            self._publish(feed, new)

    def _is_known(self, events: Window, after: int, last: bytes | None) -> bool:
        """Whether the log has the last event that was shown."""
        if not events or events[0].seq > after:
            return False
        if last is None:  # the first time: the feed was made of just that
            self._last = self._last or events[0].json
            return True
        return events[0].json == last
