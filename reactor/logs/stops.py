"""The mark of a clean stop: whether the engine before this one was killed."""

from __future__ import annotations

from reactor.errors import LogUnavailable
from reactor.logger import get_logger
from reactor.ports.stores import CleanStops

logger = get_logger()


async def take_stop(stops: CleanStops) -> bool | None:
    """Whether the last engine of this log stopped cleanly, and None for the first; logs where it did not.

    A log that cannot be written says so when a run starts: here it does not keep an engine from reading it.
    """
    try:
        was_clean = await stops.take_stop()
    except LogUnavailable as error:
        logger.warning("the mark of a clean stop cannot be read", error=str(error))
        return None
    if was_clean is False:
        logger.warning("the engine before this one did not stop cleanly")
    return was_clean


async def mark_stop(stops: CleanStops) -> None:
    """Leaves the mark, if the log can be written."""
    try:
        await stops.mark_stop()
    except LogUnavailable as error:
        logger.warning("the mark of a clean stop cannot be written", error=str(error))
