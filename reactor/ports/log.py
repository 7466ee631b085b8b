"""What the engine needs from the outside: small Protocols, one adapter a file in ``logs/`` and ``executors/``.

``reactor.testing`` holds the law suite each adapter must pass.
"""

from __future__ import annotations

from asyncio import Future
from typing import NamedTuple, Protocol

from reactor.events.event import Event, Window
from reactor.events.state import RunState


class RunRecord(NamedTuple):
    """A run as the log lists it."""

    run_id: str
    workflow: str
    version: str
    status: str
    created: str
    """ISO 8601."""
    first_seq: int
    """The first event still kept; above 1 after a trim."""
    last_seq: int


class EventLog(Protocol):
    """Append-only, one sequence a run. A window is keyed (run, seq): appending it again changes nothing."""

    def append(self, run_id: str, window: Window) -> Future[None]:
        """Commits a window; the future is done once it is. Never blocks the loop."""
        ...

    async def read(self, run_id: str, after: int, limit: int) -> list[Event]:
        """The kept events with ``seq > after`` in order; raises UnknownRun.

        At most ``limit``, and at most ``bounds.READ_BYTES`` beyond the first; empty only where there are none.
        """
        ...

    async def base(self, run_id: str) -> RunState:
        """The fold of what was trimmed: ``state.seq`` is the last seq that is gone (0: nothing). The caller owns it."""
        ...

    async def blob(self, run_id: str, seq: int) -> bytes | None:
        """The payload stored beside event ``seq``."""
        ...

    async def record(self, run_id: str) -> RunRecord:
        """What the log knows of a run; raises UnknownRun."""
        ...

    async def records(
        self, *, status: str | None, workflow: str | None, before: str | None, limit: int
    ) -> list[RunRecord]:
        """Newest first; ``before`` is the run id the previous page ended with."""
        ...

    async def recall(self, key: str, now: float) -> bytes | None:
        """The output that was last remembered under a key, unless its time is over; ``now`` in Unix seconds."""
        ...

    def remember(self, key: str, value: bytes, until: float) -> Future[None]:
        """Keeps an output for other runs; the oldest are forgotten beyond ``bounds.CACHED_OUTPUTS``."""
        ...

    @property
    def durable(self) -> bool:
        """Whether what was appended is there after a restart: unfinished runs are then left for it."""
        ...

    async def unfinished(self) -> list[RunRecord]:
        """Runs without a terminal event, oldest first: what an engine goes on with when it starts."""
        ...

    async def open(self) -> None:
        """Called once before anything else."""
        ...

    async def close(self) -> None:
        """Called once, after the last append is done."""
        ...
