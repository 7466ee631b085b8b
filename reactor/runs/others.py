"""What other processes commit, where several share a log, for who waits here for windows of any run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from reactor.bounds import LOG_PROBE_SECONDS
from reactor.clock import sleep
from reactor.errors import LogUnavailable
from reactor.events.event import Window
from reactor.logger import get_logger
from reactor.ports.clock import Clock
from reactor.ports.sharing import LiveFeed, Stop

logger = get_logger()

Heard = Callable[[Window | None], None]


class Others:
    """Of one tenant. The log is asked to tell while somebody listens. ``live``: None where the log is not shared."""

    def __init__(self, live: LiveFeed | None, clock: Clock) -> None:
        self._live = live
        self._clock = clock
        self._listeners: dict[object, Heard] = {}
        self._following: asyncio.Task[None] | None = None

    def listen(self, heard: Heard) -> Callable[[], None]:
        """Calls ``heard`` with each window from soon on, and with None where some may have been missed: the log has
        them. Returns what ends it, which may be called twice."""
        key = object()
        self._listeners[key] = heard
        if self._live is not None and self._following is None:
            self._following = asyncio.ensure_future(self._follow(self._live))

        def stop() -> None:
            self._listeners.pop(key, None)
            if not self._listeners:
                self.close()

        return stop

    def close(self) -> None:
        """Nobody is told anything more."""
        self._listeners.clear()
        following, self._following = self._following, None
        if following is not None:
            following.cancel()

    async def _follow(self, live: LiveFeed) -> None:
        stop: Stop | None = None
        try:
            while stop is None:
                try:
                    stop = await live.follow_all(self._tell)
                except LogUnavailable as error:
                    logger.warning("events of other processes wait for the log", error=str(error))
                    await sleep(self._clock, LOG_PROBE_SECONDS)
            self._tell(None)  # nobody was told before
            await asyncio.Event().wait()
        finally:
            if stop is not None:
                stop()

    def _tell(self, window: Window | None) -> None:
        for heard in list(self._listeners.values()):
            heard(window)
