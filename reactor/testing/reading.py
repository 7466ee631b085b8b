"""Reading a whole log, for tests that compare it with what somebody saw."""

from __future__ import annotations

from reactor.bounds import READ_EVENTS
from reactor.events.event import Event
from reactor.ports.log import EventLog


async def read_all(log: EventLog, run_id: str, after: int = 0) -> list[Event]:
    """Every kept event of a run after a cursor; one ``read`` brings only so many. Raises UnknownRun."""
    events: list[Event] = []
    while more := await log.read(run_id, events[-1].seq if events else after, READ_EVENTS):
        events += more
    return events
