"""The port for reading the windows of several runs in the order in which they were committed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from reactor.events.event import Event


class Committed(NamedTuple):
    """One window of a run, as it was committed."""

    position: int
    """As ``EventLog.append`` gave it."""
    run_id: str
    first_seq: int
    """Of the window as it was committed; the first of its events may have been trimmed since."""
    events: list[Event]
    """Those that are kept, at least one."""
    before: int
    """The last seq of the run that is kept before this window; 0 if there is none."""


class PositionLost(LookupError):
    """Raised by a log that is asked for what stands behind a position whose window it has lost: see ``Rewinds``."""


@runtime_checkable
class CommitOrder(Protocol):
    """Reads the windows of a tree of runs by their positions. A log may have it; ``?children=1`` needs it."""

    async def committed(self, after: int, limit: int, *, root: str, tenant: str = "") -> list[Committed]:
        """The kept windows with ``position > after`` of the runs of a tree, in the order of their positions.

        - At most ``limit`` windows, and at most ``bounds.READ_BYTES`` after the first. Empty only if there are none.
        - ``root``: the run at the top, as ``RunRecord.root``. Once it has ended, nothing behind its last window.

        What was read up to a position never changes: a window that is committed later has a higher position.
        """
        ...


class Removed(NamedTuple):
    """A run that was deleted, in place of its last window."""

    position: int
    """Of that window."""
    run_id: str
    """Empty: of all deleted runs whose last window is at this position or before it, the log has forgotten which."""
    last_seq: int
    workflow: str
    parent: str | None


@runtime_checkable
class WholeOrder(Protocol):
    """Reads the windows of all runs by their positions. A log may have it; ``GET /events`` needs it."""

    async def whole(self, after: int, limit: int, *, tenant: str = "") -> list[Committed | Removed]:
        """The kept windows with ``position > after`` in the order of their positions, and between them what is gone.

        At most ``limit`` entries, and at most ``bounds.READ_BYTES`` of events after the first. Empty only if there are
        none. What was read up to a position changes only by deleting runs and by trimming them.

        A log remembers the last ``bounds.REMOVED_RUNS`` runs that were deleted.
        """
        ...


@runtime_checkable
class RunsOrder(Protocol):
    """Reads the windows of some runs by their positions. A log with ``WholeOrder`` may have it: without it, the events
    of all runs are read where only those of some are wanted."""

    async def of_runs(
        self, after: int, limit: int, *, runs: Sequence[str], tenant: str = ""
    ) -> list[Committed | Removed]:
        """What ``whole`` has of these runs, in the same order and within the same bounds.

        - ``runs``: at most ``bounds.RUNS_AT_ONCE`` different ids; those that the log does not know have nothing.
        - An entry for runs that the log has forgotten belongs to it, since one of these may have been among them.

        What it costs depends on these runs, not on how much the log has of others.
        """
        ...
