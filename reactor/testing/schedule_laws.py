"""The laws of a ``ScheduleStore``: each takes a fresh, opened store of yours and asserts one law.

@pytest.mark.parametrize("law", SCHEDULE_LAWS)
async def test_the_store_of_schedules_keeps_the_law(law):
    await law(MyStore())
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

from reactor.ports.schedules import ScheduleRecord, ScheduleStore


def record(name: str = "nightly", tenant: str = "") -> ScheduleRecord:
    """A schedule to store."""
    rule = {"cron": "0 7 * * *", "tz": "Europe/Berlin", "overlap": "skip", "catch_up": "one"}
    given = {"root": "/\u00e4", "deep": {"list": [1, 2.5, None]}}
    return ScheduleRecord(name, tenant, "census", rule, given, "ada", False, "2026-01-01T00:00:00Z")


async def law_a_schedule_is_given_back_as_it_was_stored(store: ScheduleStore) -> None:
    """All of it, and sorted by tenant and name."""
    first = replace(record(), pending=("2026-01-01T06:00:00Z",), last_run="nightly~20260101T060000Z", paused="bo")
    stored = [first, record("x"), record("a", "acme")]
    assert [await store.replace_schedule(None, one) for one in reversed(stored)] == [True] * 3
    assert await store.schedules() == stored


async def law_only_what_is_stored_is_replaced(store: ScheduleStore) -> None:
    """Where something else is stored, or nothing, or something already, nothing happens."""
    old, new = record(), replace(record(), last="2026-01-02T06:00:00Z")
    assert not await store.replace_schedule(old, new)
    assert await store.replace_schedule(None, old)
    assert not await store.replace_schedule(None, new)
    assert not await store.replace_schedule(new, old)
    assert await store.schedules() == [old]
    assert await store.replace_schedule(old, new)
    assert await store.schedules() == [new]


async def law_of_several_at_once_one_replaces(store: ScheduleStore) -> None:
    """Those who have seen the same."""
    old = record()
    assert await store.replace_schedule(None, old)
    news = [replace(old, last=f"2026-01-02T06:00:{i:02}Z") for i in range(10)]
    done = await asyncio.gather(*(store.replace_schedule(old, new) for new in news))
    assert done.count(True) == 1
    assert await store.schedules() == [news[done.index(True)]]


async def law_a_schedule_is_removed_as_it_is_replaced(store: ScheduleStore) -> None:
    """With None for what comes after; the one of another tenant stays."""
    old, other = record(), record(tenant="acme")
    for one in (old, other):
        assert await store.replace_schedule(None, one)
    assert not await store.replace_schedule(replace(old, paused="bo"), None)
    assert await store.replace_schedule(old, None)
    assert not await store.replace_schedule(old, None)
    assert await store.schedules() == [other]


ScheduleLaw = Callable[[ScheduleStore], Awaitable[None]]

SCHEDULE_LAWS: Final[tuple[ScheduleLaw, ...]] = (
    law_a_schedule_is_given_back_as_it_was_stored,
    law_only_what_is_stored_is_replaced,
    law_of_several_at_once_one_replaces,
    law_a_schedule_is_removed_as_it_is_replaced,
)
