"""The port for schedules. Nothing in the engine uses it yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class ScheduleRecord:
    """A schedule, and the last of its times that was dealt with."""

    name: str
    tenant: str
    workflow: str
    rule: dict[str, Any]
    """``cron`` and ``tz``, or ``every`` in seconds; ``overlap``, ``catch_up``, ``input``. JSON."""
    owner: str
    """``code``, or who made it."""
    is_paused: bool
    last: str | None
    """ISO 8601, UTC. None before the first."""


class ScheduleStore(Protocol):
    """Keeps schedules. It outlives the runs that they start."""

    async def put(self, schedule: ScheduleRecord) -> None:
        """Stores a schedule in place of one with its name and tenant. Its ``last`` stays as it is stored."""
        ...

    async def all(self) -> list[ScheduleRecord]:
        """All of all tenants, by name."""
        ...

    async def delete(self, name: str, *, tenant: str = "") -> bool:
        """Removes a schedule; False where there is none of this name."""
        ...

    async def advance(self, name: str, before: str | None, to: str, *, tenant: str = "") -> bool:
        """Sets ``last`` to ``to`` if it still is ``before``. Of schedulers that do so at once one gets True."""
        ...
