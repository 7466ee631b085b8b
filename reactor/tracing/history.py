"""The spans of a run that goes on, from the part of its log that is there already."""

from __future__ import annotations

from typing import Final, NamedTuple

from reactor.ports.log import EventLog
from reactor.tracing.spans import SpanFold, SpanValue

_READ_EVENTS: Final = 1_000


class History(NamedTuple):
    """What is left to do for the spans of a run that goes on."""

    fold: SpanFold
    """With all events that are in the log."""
    unsent: tuple[SpanValue, ...]
    """Spans that have ended, and that were not made where the run was before."""


async def read_history(log: EventLog, run_id: str, last_seq: int, sent: int | None) -> History:
    """Reads the log of a run up to ``last_seq``.

    ``sent``: spans that ended up to this event were made; None: all, by the process that had the run before.
    """
    fold, unsent = SpanFold(run_id), list[SpanValue]()
    while fold.seq < last_seq:
        events = await log.read(run_id, fold.seq, min(_READ_EVENTS, last_seq - fold.seq))
        if not events:
            break
        for event in events:
            ended = list(fold.add(event))
            if sent is not None and event.seq > sent:
                unsent += ended
    return History(fold, tuple(unsent))
