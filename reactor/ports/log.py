"""The port for where events are stored. ``reactor.testing`` has the law suite that every event log must pass."""

from __future__ import annotations

from asyncio import Future
from typing import NamedTuple, Protocol

from reactor.events.event import Event, Window
from reactor.events.state import RunState


class RunRecord(NamedTuple):
    """A run in the listing of a log."""

    run_id: str
    workflow: str
    version: str
    status: str
    created: str
    """When the run started: ISO 8601."""
    first_seq: int
    """The first event that is still kept; above 1 if the log was trimmed."""
    last_seq: int


class EventLog(Protocol):
    """Stores one sequence of events for each run, and only appends to it.

    The key of a window is its run and first seq: appending it a second time changes nothing.
    """

    def append(self, run_id: str, window: Window) -> Future[None]:
        """Commits a window. The future is done once it is committed, or has the error. Never blocks the loop."""
        ...

    async def read(self, run_id: str, after: int, limit: int) -> list[Event]:
        """The kept events with ``seq > after``, in order; raises UnknownRun.

        At most ``limit`` events, and at most ``bounds.READ_BYTES`` after the first. Empty only if there are none.
        """
        ...

    async def base(self, run_id: str) -> RunState:
        """The state after the trimmed events; ``state.seq`` is the last trimmed seq, or 0. The caller may change it."""
        ...

    async def blob(self, run_id: str, seq: int) -> bytes | None:
        """The payload stored beside event ``seq``; None if there is none."""
        ...

    async def record(self, run_id: str) -> RunRecord:
        """The run as ``records`` lists it; raises UnknownRun."""
        ...

    async def records(
        self, *, status: str | None, workflow: str | None, before: str | None, limit: int
    ) -> list[RunRecord]:
        """A page of runs, newest first, filtered if not None. ``before``: the last run id of the previous page."""
        ...

    async def recall(self, key: str, now: float) -> bytes | None:
        """The output last stored under ``key``, if its time (``until``) is not over. ``now`` is in Unix seconds."""
        ...

    def remember(self, key: str, value: bytes, until: float) -> Future[None]:
        """Stores an output for other runs; ``until`` in Unix seconds. Drops the oldest beyond ``CACHED_OUTPUTS``."""
        ...

    @property
    def durable(self) -> bool:
        """Whether events survive a restart. If so, an engine that closes leaves unfinished runs to the next one."""
        ...

    async def unfinished(self) -> list[RunRecord]:
        """The runs without a terminal event, oldest first. An engine goes on with them when it starts."""
        ...

    async def open(self) -> None:
        """Called once, before any other method."""
        ...

    async def close(self) -> None:
        """Called once, after the last append is done."""
        ...
