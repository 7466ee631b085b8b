"""Some events of a run, by their seqs: those that stand close to each other are read from the log together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from typing import Final

from reactor.bounds import READ_EVENTS
from reactor.events.event import Event

Read = Callable[[int, int], Awaitable[list[Event]]]
"""``read(after, limit)``: the next events of the run, as ``EventLog.read`` has them."""
_NEAR: Final = 64
"""Events that are read although nobody asked for them: to read them costs less than to ask once more."""


async def pick(read: Read, seqs: Iterable[int]) -> AsyncIterator[Event]:
    """The events with these seqs, in their order in the log; without those that it does not have any more.

    The outputs of a map of 50,000 are so a hundred reads, not 50,000. Others get the loop between two reads.
    """
    for wanted in _near(sorted(set(seqs))):
        left = set(wanted)
        after, last = wanted[0] - 1, wanted[-1]
        while after < last:
            events = await read(after, last - after)
            await asyncio.sleep(0)  # a log in memory answers at once
            if not events:
                break
            for event in events:
                if event.seq in left:
                    yield event
            after = events[-1].seq


def _near(seqs: list[int]) -> Iterator[list[int]]:
    """The seqs in groups, each of which is read together."""
    group: list[int] = []
    for seq in seqs:
        if group and (seq - group[-1] > _NEAR or seq - group[0] >= READ_EVENTS):
            yield group
            group = []
        group.append(seq)
    if group:
        yield group
