"""Subscribers that are still reading. The end of an engine waits for them, so that they see every event."""

from __future__ import annotations

import asyncio
from weakref import WeakKeyDictionary

from reactor.clock import wait_at_most
from reactor.logger import get_logger
from reactor.ports.clock import Clock
from reactor.ports.log import EventLog

logger = get_logger()

_reading: WeakKeyDictionary[EventLog, set[asyncio.Future[None]]] = WeakKeyDictionary()
"""By log: one future for each subscriber that still reads it. Also the strong reference that a task needs."""


def track(log: EventLog, reading: asyncio.Future[None]) -> None:
    """Counts a subscriber as behind until ``reading`` is done."""
    futures = _reading.setdefault(log, set())
    futures.add(reading)
    reading.add_done_callback(futures.discard)


async def wait_for_readers(log: EventLog, seconds: float, clock: Clock) -> None:
    """Waits until no subscriber of this log is behind; after ``seconds`` it logs how many still are."""
    futures = _reading.get(log)
    if futures:
        _, late = await wait_at_most(clock, futures, seconds)
        if late:
            logger.warning("subscribers left behind", subscribers=len(late), seconds=seconds)
