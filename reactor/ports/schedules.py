"""The port for schedules: what starts when, and which of its times were dealt with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class ScheduleRecord:
    """A schedule, and how far it has come. Times are ISO 8601, UTC, with whole seconds: ``2026-01-31T06:00:00Z``."""

    name: str
    tenant: str
    workflow: str
    """The name of a registered workflow."""
    rule: dict[str, Any]
    """``cron`` and ``tz``, or ``every`` in seconds; ``overlap``, ``catch_up``. JSON."""
    input: dict[str, Any]
    """What its runs are started with, as JSON."""
    owner: str | None
    """Who made it."""
    is_code: bool
    """Whether ``flow.schedule`` says it: it is paused when the code says it no longer."""
    last: str
    """The last of its times that was dealt with; at first, when it was made."""
    paused: str | None = None
    """Who or what has paused it; None while it goes on."""
    pending: tuple[str, ...] = ()
    """Times up to ``last`` that are to start a run and, as far as is known, have not."""
    last_run: str | None = None
    """The id of the run that was started last by a time."""


@runtime_checkable
class ScheduleStore(Protocol):
    """Keeps schedules, by tenant and name. It outlives the runs that they start."""

    async def schedules(self) -> list[ScheduleRecord]:
        """All of all tenants, by tenant and name."""
        ...

    async def replace_schedule(self, before: ScheduleRecord | None, after: ScheduleRecord | None) -> bool:
        """Stores ``after`` in place of ``before``, if that is what is stored; of several at once one gets True.

        None: there is no schedule of this tenant and name, before or after. Survives a restart once it has returned.
        """
        ...
