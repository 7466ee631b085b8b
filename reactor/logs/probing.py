"""Whether the log takes windows again after it has failed, also where no run is open that would find out."""

from __future__ import annotations

import asyncio

from reactor.bounds import LOG_PROBE_SECONDS
from reactor.clock import sleep
from reactor.errors import LogUnavailable
from reactor.logger import get_logger
from reactor.ports.clock import Clock
from reactor.ports.stores import Probed

logger = get_logger()


class Probing:
    """Of one log, for all runs of an engine. ``probed``: the log, where it can be asked.

    Any window that the log takes says that it is well. While none does, the log is asked to write something; one that
    cannot be asked counts as well again once it has answered, whatever the answer, and a pause is over.
    """

    def __init__(self, probed: Probed | None) -> None:
        self._probed = probed
        self.problem: LogUnavailable | None = None
        """Why the log last lost a run; None again as soon as it takes a window, or what it is asked to write."""
        self._task: asyncio.Task[None] | None = None
        self._is_closed = False

    def failed(self, lost: str, answered: asyncio.Future[int], clock: Clock) -> None:
        """The log has lost a run: ``lost`` says how. ``answered``: done when it has answered the run's last append."""
        self.problem = LogUnavailable(lost, path="")
        if not self._is_closed and (self._task is None or self._task.done()):
            self._task = asyncio.ensure_future(self._heal(answered, clock))

    def works(self) -> None:
        """The log has taken a window."""
        self.problem = None

    async def close(self) -> None:
        """Asks nothing more: the log will be closed."""
        self._is_closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _heal(self, answered: asyncio.Future[int], clock: Clock) -> None:
        if not answered.done():  # a log that hangs would only have more to do
            await asyncio.wait({answered})
        while True:
            await sleep(clock, LOG_PROBE_SECONDS)
            if self.problem is None:
                return
            try:
                if self._probed is not None:
                    await self._probed.probe()
            except Exception as error:  # of any kind of log: it is asked again
                logger.debug("the log still fails", error=str(error))
            else:
                self.problem = None
                logger.info("the log can be written again")
                return
