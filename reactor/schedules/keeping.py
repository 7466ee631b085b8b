"""Makes, changes and finds the schedules that are stored."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from reactor.bounds import SCHEDULES, TENANT_SCHEDULES
from reactor.definition.workflow import Workflow
from reactor.errors import UnknownSchedule
from reactor.ports.schedules import ScheduleRecord, ScheduleStore
from reactor.schedules.deciding import GONE


async def find(store: ScheduleStore, name: str, tenant: str) -> ScheduleRecord | None:
    """The schedule of this tenant and name; None where there is none."""
    found = (one for one in await store.schedules() if (one.tenant, one.name) == (tenant, name))
    return next(found, None)


def unknown_schedule(name: str) -> UnknownSchedule:
    """With its sentence."""
    return UnknownSchedule(f"there is no schedule {name[:100]!r}", schedule=name)


async def get(store: ScheduleStore, name: str, tenant: str) -> ScheduleRecord:
    """The same; raises UnknownSchedule."""
    record = await find(store, name, tenant)
    if record is None:
        raise unknown_schedule(name)
    return record


async def change(
    store: ScheduleStore, name: str, tenant: str, changed: Callable[[ScheduleRecord], ScheduleRecord]
) -> ScheduleRecord:
    """Stores what ``changed`` makes of it, also while others change it. Raises UnknownSchedule."""
    while True:
        record = await get(store, name, tenant)
        after = changed(record)
        if after == record or await store.replace_schedule(record, after):
            return after


async def put(
    store: ScheduleStore, new: ScheduleRecord, changed: Callable[[ScheduleRecord, ScheduleRecord], ScheduleRecord]
) -> ScheduleRecord:
    """Stores a new schedule, or what ``changed`` makes of the stored one and the new one.

    Raises ValueError where there are too many already.
    """
    while True:
        records = await store.schedules()
        before = next((one for one in records if (one.tenant, one.name) == (new.tenant, new.name)), None)
        if before is None:
            _check_room(records, new.tenant)
        after = new if before is None else changed(before, new)
        if after == before or await store.replace_schedule(before, after):
            return after


def _check_room(records: list[ScheduleRecord], tenant: str) -> None:
    """Raises ValueError where there is no room for one more."""
    own = sum(one.tenant == tenant for one in records)
    if tenant and own >= TENANT_SCHEDULES:
        raise ValueError(f"the tenant has {TENANT_SCHEDULES:,} schedules, and can have no more: remove some")
    if len(records) >= SCHEDULES:
        raise ValueError(f"there are {SCHEDULES:,} schedules, and there can be no more: remove some")


async def remove(store: ScheduleStore, name: str, tenant: str) -> None:
    """Removes a schedule, also while others change it. Raises UnknownSchedule."""
    record: ScheduleRecord | None = await get(store, name, tenant)
    while record is not None and not await store.replace_schedule(record, None):
        record = await find(store, name, tenant)


async def pause_gone(store: ScheduleStore, workflows: Iterable[Workflow]) -> None:
    """Pauses the schedules that the code of these workflows has said, and says no longer."""
    said = {workflow.name: workflow.schedules for workflow in workflows}
    for record in await store.schedules():
        if record.is_code and record.paused is None and record.name not in said.get(record.workflow, {record.name}):
            await change(store, record.name, record.tenant, lambda one: replace(one, paused=one.paused or GONE))
