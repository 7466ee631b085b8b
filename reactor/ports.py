"""What the engine needs from the outside: small Protocols, one adapter a file in ``logs/`` and ``executors/``.

``reactor.testing`` holds the law suite each adapter must pass.
"""

from __future__ import annotations

from asyncio import Future
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from reactor.events import Event, Window
from reactor.state import RunState


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


class Executor(Protocol):
    """Where the bodies of ``def`` tasks run."""

    def submit(self, call: Callable[[], Any], done: Callable[[Any, BaseException | None], None]) -> Job:
        """Runs ``call`` elsewhere; ``done(output, error)`` is called on the loop."""
        ...

    async def close(self) -> None:
        """Lets idle workers go; does not wait for abandoned ones."""
        ...


class Job(Protocol):
    """A body that was submitted."""

    def abandon(self) -> None:
        """Stops waiting for it: its worker is replaced and ``done`` is never called."""
        ...


class Clock(Protocol):
    """Time, injected."""

    def now(self) -> bytes:
        """Wall time as event time: ISO 8601, UTC, microseconds."""
        ...

    def monotonic(self) -> float:
        """Seconds, for durations."""
        ...
