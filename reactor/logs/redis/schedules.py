"""The schedules that all processes share."""

from __future__ import annotations

from reactor.logs.records import pack_schedule, unpack_schedule
from reactor.logs.redis.calls import Calls
from reactor.ports.schedules import ScheduleRecord


async def read_schedules(calls: Calls) -> list[ScheduleRecord]:
    """All of all tenants, by tenant and name."""
    records = map(unpack_schedule, await calls.read("schedules"))
    return sorted(records, key=lambda record: (record.tenant, record.name))


async def replace_schedule(calls: Calls, before: ScheduleRecord | None, after: ScheduleRecord | None) -> bool:
    """Stores one in place of another, if that is what is stored.

    A call whose answer was lost is sent again, and then finds what it has stored itself: False. Whoever is told False
    looks at what is stored, so that is no harm.
    """
    record = after or before
    if record is None:
        return True
    old, new = (b"" if one is None else pack_schedule(one) for one in (before, after))
    return await calls.write("replace_schedule", f"{record.tenant}/{record.name}", old, new) == 1
