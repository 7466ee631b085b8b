"""A log in which everything takes its own time: what is kept, what is answered and what is read, turn by turn."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import cycle

from hypothesis import strategies as st

from reactor.events.event import Event, Window
from reactor.ports.log import EventLog
from reactor.testing import LogAround

JITTERS = st.lists(st.tuples(*(st.integers(0, 4) for _ in range(4))), min_size=1, max_size=6)
"""Turns of the loop: before a window can be read, before that is answered, before a read looks, before it answers."""


class JitteredLog(LogAround):
    """Around a log that answers at once. Windows of one run are appended one after the other, as the engine does it."""

    def __init__(self, inner: EventLog, jitters: Sequence[tuple[int, ...]]) -> None:
        super().__init__(inner)
        self._jitters = cycle(jitters)
        self._appends: set[asyncio.Task[None]] = set()

    def append(self, run_id: str, window: Window, *, tenant: str = "") -> asyncio.Future[int]:
        appending = asyncio.ensure_future(self._append(run_id, window, *next(self._jitters)[:2]))
        self._appends.add(appending)
        appending.add_done_callback(self._appends.discard)
        return appending

    async def _append(self, run_id: str, window: Window, before: int, after: int) -> None:
        await turns(before)
        await self.inner.append(run_id, window)
        await turns(after)

    async def read(self, run_id: str, after: int, limit: int) -> list[Event]:
        *_, before, late = next(self._jitters)
        await turns(before)
        events = await self.inner.read(run_id, after, limit)
        await turns(late)
        return events


async def turns(count: int) -> None:
    """Lets the loop go round."""
    for _ in range(count):
        await asyncio.sleep(0)
