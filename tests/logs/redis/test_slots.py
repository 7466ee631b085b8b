"""Slots that several processes share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from reactor.logs.redis.log import RedisLog
from reactor.logs.redis.slots import RedisSlots
from reactor.logs.redis.tickets import GRANTED
from reactor.logs.redis.url import open_redis
from reactor.testing import SLOT_LAWS
from reactor.testing.sharing_laws import MOST
from tests.helpers.redis import RedisServer
from tests.helpers.runs import wait_until
from tests.logs.redis.test_laws import name_of

LEASE = 1.0


@pytest.fixture
async def ends(server: RedisServer) -> AsyncIterator[tuple[RedisLog, RedisLog]]:
    url = server.url(lease=LEASE)
    logs = (open_redis(url), open_redis(url))
    for log in logs:
        await log.open()
    yield logs
    for log in logs:
        await log.close()


class Waiter:
    grants = 0

    def on_granted(self) -> None:
        self.grants += 1

    def on_waiting(self) -> None:
        """It waits all the same."""


class Named(Waiter):
    """Notes its name once it is granted."""

    def __init__(self, name: str, granted: list[str]) -> None:
        self.name = name
        self.granted = granted

    def on_granted(self) -> None:
        self.granted.append(self.name)


def parked(slots: RedisSlots, count: int) -> list[Waiter]:
    waiters = [Waiter() for _ in range(count)]
    for waiter in waiters:
        assert not slots.acquire(waiter)
    return waiters


@pytest.mark.parametrize("law", SLOT_LAWS, ids=name_of)
async def test_laws(law: object, ends: tuple[RedisLog, RedisLog]) -> None:
    """Two connections to one Redis keep them."""
    await law(*(end.slots("l", MOST) for end in ends))  # type: ignore[operator]


async def test_the_slots_of_a_process_that_is_gone_come_back(ends: tuple[RedisLog, RedisLog]) -> None:
    """Once its lease is over; those that it waited for go to others too. Of one that leaves, at once."""
    mine, theirs = ends
    held = parked(mine.slots("l", 2), 3)
    await wait_until(lambda: [waiter.grants for waiter in held] == [1, 1, 0])
    waiting = parked(theirs.slots("l", 2), 3)
    await mine.parts.tickets.close()
    await mine.parts.incarnation.abandon()  # as one that was killed
    await wait_until(lambda: [waiter.grants for waiter in waiting] == [1, 1, 0])
    assert [waiter.grants for waiter in held] == [1, 1, 0]


async def test_a_grant_that_was_told_to_nobody_is_found(server: RedisServer, ends: tuple[RedisLog, RedisLog]) -> None:
    """The connection that tells of it is broken at that moment."""
    mine, theirs = ends
    slots = mine.slots("l", 1)
    (held,) = parked(slots, 1)
    await wait_until(lambda: held.grants == 1)
    (waiting,) = parked(theirs.slots("l", 1), 1)
    await asyncio.sleep(0.1)
    server.say("CLIENT", "KILL", "TYPE", "pubsub")
    slots.release()
    await wait_until(lambda: waiting.grants == 1)


async def test_limits_of_different_names_are_different(ends: tuple[RedisLog, RedisLog]) -> None:
    """Each has its own places."""
    mine, theirs = ends
    waiters = [*parked(mine.slots("a", 1), 2), *parked(theirs.slots("b", 1), 2)]
    await wait_until(lambda: [waiter.grants for waiter in waiters] == [1, 0, 1, 0])


async def test_who_came_first_is_granted_first_whichever_connection_tells_of_it(
    ends: tuple[RedisLog, RedisLog],
) -> None:
    """A grant is told on one connection and is the answer to a question on another: here the second comes first."""
    mine, _ = ends
    slots = mine.slots("l", 2)
    held = parked(slots, 2)
    await wait_until(lambda: [waiter.grants for waiter in held] == [1, 1])
    granted: list[str] = []
    for name in ("first", "second"):
        assert not slots.acquire(Named(name, granted))
    slots.release()
    slots.release()
    slots.answered(f"{mine.parts.incarnation.id}:4", GRANTED)
    await wait_until(lambda: len(granted) == 2)
    assert granted == ["first", "second"]


async def test_who_came_in_an_earlier_lease_is_not_put_behind_who_came_in_this_one(
    ends: tuple[RedisLog, RedisLog],
) -> None:
    """All of them have the tickets of the new lease, in the order in which they came."""
    mine, theirs = ends
    others, slots, granted = theirs.slots("l", 1), mine.slots("l", 1), list[str]()
    (held,) = parked(others, 1)
    await wait_until(lambda: held.grants == 1)
    for name in ("first", "second"):
        assert not slots.acquire(Named(name, granted))
    mine.parts.incarnation._end()  # as where it could not be renewed
    assert not slots.acquire(Named("third", granted))
    slots.ask_again(mine.parts.incarnation.id)
    others.release()
    for count in (1, 2, 3):
        await wait_until(lambda count=count: len(granted) == count)
        slots.release()
    assert granted == ["first", "second", "third"]
