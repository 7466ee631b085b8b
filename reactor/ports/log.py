"""The port for where events are stored: one sequence of events for each run."""

from __future__ import annotations

from asyncio import Future
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol, runtime_checkable

from reactor.events.event import Event, Window
from reactor.events.state import RunState


class EventLog(Protocol):
    """Stores one sequence of events for each run, and only appends to it.

    A run is named by its id and its tenant; the tenant is ``""`` where nobody says otherwise. The key of a window is
    its run and first seq: appending it a second time changes nothing.
    """

    def append(self, run_id: str, window: Window, *, tenant: str = "") -> Future[int]:
        """Commits a window. The future is done once it is committed, or has the error. Never blocks the loop.

        Its result is the position of the window: the windows of all runs are numbered in the order in which they were
        committed, from 1 on. A log that can lose its end (``Rewinds``) leaves numbers out, and gives none twice.
        A window that adds nothing gets the position of the run's last window.

        What the future says is final: after an error the window is not committed later. A run whose log failed goes on
        when this future is done, and reads from the log where it ends.
        """
        ...

    async def read(self, run_id: str, after: int, limit: int, *, tenant: str = "") -> list[Event]:
        """The kept events with ``seq > after``, in order; raises UnknownRun.

        At most ``limit`` events, and at most ``bounds.READ_BYTES`` after the first. Empty only if there are none.
        """
        ...

    async def base(self, run_id: str, *, tenant: str = "") -> RunState:
        """The state after the trimmed events; ``state.seq`` is the last trimmed seq, or 0. The caller may change it.

        Raises UnknownRun.
        """
        ...

    async def blob(self, run_id: str, seq: int, *, tenant: str = "") -> bytes | None:
        """The payload stored beside event ``seq``; None if there is none. Raises UnknownRun."""
        ...


class Rewound(NamedTuple):
    """A run that has lost its end."""

    kept: int
    """The last event that was left. The numbers behind it were given anew."""
    epoch: str
    """Of the numbers that it has now. Whoever has seen events of this epoch has seen nothing that is lost."""


@runtime_checkable
class Rewinds(Protocol):
    """For a log that can lose what it has acknowledged: a database that fails over to a replica."""

    async def rewound(self, run_id: str, *, tenant: str = "") -> Rewound | None:
        """What is left of a run that has lost the end that it had; of several losses, the least.

        None where nothing was lost, and again when it was long ago: whoever saw what is lost has come back since. Also
        for an unknown run.
        """
        ...

    async def has_lost(self, position: int) -> bool:
        """Whether a window of which somebody knows by its position was lost. No other window ever has this position.

        What reads by positions raises PositionLost for such a one.
        """
        ...

    def when_rewound(self, told: Callable[[str, str, int, int], None]) -> None:
        """``told(tenant, run_id, kept, lost)`` is called when this process finds that a run which it executes has
        lost the events from ``kept + 1`` to ``lost``: it ends here, and goes on from what is left."""
        ...


SESSION: Final = ("session", "")
"""Workflow and version of every session. No workflow has an empty version."""


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
    parent: str | None
    """The run whose task started this one; None for a run that was not started by another."""
    root: str
    """The run at the top of the tree this one belongs to; its own id for a run without a parent."""
    position: int
    """The position of its last window, as ``EventLog.append`` gave it."""
    tenant: str = ""

    @property
    def is_session(self) -> bool:
        """Whether it is a session: it has no tasks, and its events come from outside."""
        return (self.workflow, self.version) == SESSION
