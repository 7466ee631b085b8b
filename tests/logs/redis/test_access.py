"""Who may ask the servers of a cluster: keys, tickets, caps and revocations in a real Redis."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from reactor.logs.redis.log import RedisLog
from reactor.logs.redis.url import open_redis
from reactor.logs.schemes import open_keys
from reactor.testing import CAP_LAWS, KEY_LAWS, REVOCATION_LAWS, TICKET_LAWS, access_laws
from reactor.testing.access_laws import CapLaw, RevocationLaw, TicketLaw, a_ticket
from reactor.testing.key_laws import KeyLaw
from reactor.testing.key_laws import key as a_key
from tests.helpers.redis import RedisServer, redis_server
from tests.helpers.runs import PATIENCE, wait_until

Ends = tuple[RedisLog, RedisLog]


def name_of(law: Any) -> str:
    return law.__name__


@pytest.mark.parametrize("law", KEY_LAWS, ids=name_of)
async def test_keys_in_redis_keep_the_law(law: KeyLaw, ends: Ends) -> None:
    mine, theirs = ends
    await law(mine.access.keys, theirs.access.keys)


@pytest.mark.parametrize("law", TICKET_LAWS, ids=name_of)
async def test_tickets_in_redis_keep_the_law(law: TicketLaw, ends: Ends) -> None:
    mine, theirs = ends
    await law(mine.access.tickets, theirs.access.tickets, time.time)


@pytest.mark.parametrize("law", CAP_LAWS, ids=name_of)
async def test_caps_in_redis_keep_the_law(law: CapLaw, ends: Ends) -> None:
    mine, theirs = ends
    assert mine.access.caps.scope == "global"
    await law(mine.access.caps, theirs.access.caps, asyncio.sleep)


@pytest.mark.parametrize("law", REVOCATION_LAWS, ids=name_of)
async def test_revocations_in_redis_keep_the_law(law: RevocationLaw, ends: Ends) -> None:
    mine, theirs = ends
    await law(mine.access.revocations, theirs.access.revocations)


# --- nodes that die, and nodes that only seem to ---

LEASE = 1.0
MINE = ("streams", "")


@pytest.fixture
async def short(server: RedisServer) -> AsyncIterator[Ends]:
    """Two nodes with a short lease."""
    url = server.url(lease=LEASE)
    logs = (open_redis(url), open_redis(url))
    for log in logs:
        await log.open()
    yield logs
    for log in logs:
        await log.close()


async def until_taken(log: RedisLog, most: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await log.access.caps.take(*MINE, most):
            await asyncio.sleep(0.02)


async def test_what_a_dead_node_held_is_free_when_its_lease_is_over(short: Ends) -> None:
    """Caps count it no more, and the tickets of its streams open the next one: with a cursor, as after any stream."""
    mine, theirs = short
    ticket = a_ticket(time.time())
    await mine.access.tickets.issue(ticket)
    assert await mine.access.tickets.redeem(ticket.digest, "s1", time.time(), again=False) == ticket
    for _ in range(3):
        assert await mine.access.caps.take(*MINE, 3)
    await mine.parts.incarnation.abandon()  # as one that was killed
    assert not await theirs.access.caps.take(*MINE, 3)
    assert await theirs.access.tickets.redeem(ticket.digest, "s2", time.time(), again=True) is None
    await until_taken(theirs, 3)
    assert await theirs.access.tickets.held_by(ticket.digest) is None
    assert await theirs.access.tickets.redeem(ticket.digest, "s2", time.time(), again=True) == ticket
    for _ in range(2):
        assert await theirs.access.caps.take(*MINE, 3)
    assert not await theirs.access.caps.take(*MINE, 3)


async def test_what_a_node_that_leaves_held_is_free_at_once(server: RedisServer) -> None:
    """Nobody waits for the end of its lease."""
    url = server.url(lease=60)
    mine, theirs = open_redis(url), open_redis(url)
    for log in (mine, theirs):
        await log.open()
    assert await mine.access.caps.take(*MINE, 1)
    assert not await theirs.access.caps.take(*MINE, 1)
    await mine.close()
    assert await theirs.access.caps.take(*MINE, 1)
    await theirs.close()


async def test_a_node_that_was_taken_for_dead_says_what_it_holds(short: Ends) -> None:
    """Its streams were open all the time: once it renews its lease they count again, and their tickets are in use."""
    mine, theirs = short
    ticket = a_ticket(time.time())
    await mine.access.tickets.issue(ticket)
    assert await mine.access.tickets.redeem(ticket.digest, "s1", time.time(), again=False) == ticket
    for _ in range(2):
        assert await mine.access.caps.take(*MINE, 3)
    await mine.parts.incarnation.abandon()
    await until_taken(theirs, 1)
    await theirs.access.caps.give_back(*MINE)
    await mine.parts.incarnation.open()
    assert await theirs.access.tickets.held_by(ticket.digest) == "s1"
    assert await theirs.access.caps.take(*MINE, 3)
    assert not await theirs.access.caps.take(*MINE, 3)
    await mine.access.caps.give_back(*MINE)
    assert await theirs.access.caps.take(*MINE, 3)


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as server:
        yield server


async def test_what_is_given_back_while_redis_is_away_is_given_back(alone: RedisServer) -> None:
    """Redis has lost all of it meanwhile, and is told how much is held by then."""
    url = alone.url(lease=60)
    mine, theirs = open_redis(url), open_redis(url)
    for log in (mine, theirs):
        log.keep_time(None, 0.3)  # type: ignore[arg-type]
        await log.open()
    for _ in range(3):
        assert await mine.access.caps.take(*MINE, 3)
    await asyncio.to_thread(alone.kill)
    given_back = asyncio.ensure_future(mine.access.caps.give_back(*MINE))
    await asyncio.sleep(0.02)
    await asyncio.to_thread(alone.start)
    await asyncio.wait_for(given_back, PATIENCE)
    await wait_until(lambda: mine.calls.is_connected and theirs.calls.is_connected)
    assert await mine.access.caps.take("another", "", 1), "what was called before has been answered"
    assert await theirs.access.caps.take(*MINE, 3)
    assert not await theirs.access.caps.take(*MINE, 3)
    for log in (mine, theirs):
        await log.close()


async def test_who_goes_away_while_redis_answers_holds_nothing(alone: RedisServer) -> None:
    """A request that is cancelled before it is let in: its ticket, and what it took of caps, are free again."""
    log = open_redis(alone.url())
    await log.open()
    ticket = a_ticket(time.time())
    await log.access.tickets.issue(ticket)
    alone.send(signal.SIGSTOP)
    asked = [
        asyncio.ensure_future(log.access.caps.take(*MINE, 1)),
        asyncio.ensure_future(log.access.tickets.redeem(ticket.digest, "gone", time.time(), again=False)),
    ]
    await asyncio.sleep(0.05)
    for one in asked:
        one.cancel()
    await asyncio.wait(asked)
    alone.send(signal.SIGCONT)
    await until_taken(log, 1)
    async with asyncio.timeout(PATIENCE):
        while await log.access.tickets.redeem(ticket.digest, "s", time.time(), again=False) is None:
            await asyncio.sleep(0.01)
    await log.close()


async def test_keys_can_be_read_and_revoked_where_a_log_is_not_open(server: RedisServer) -> None:
    """What the terminal does: it is no node, and what it does is seen by all of them at once."""
    url = server.url()
    log, keys = open_redis(url), open_keys(url)
    await log.open()
    await keys.open()
    nodes = await log.calls.read("nodes")
    await keys.add(a_key("a"))
    assert await log.access.keys.all() == [a_key("a")]
    assert await keys.revoke("a")
    found = await log.access.keys.find("a")
    assert found is not None
    assert found.revoked
    assert len(await log.calls.read("nodes")) == len(nodes) == 1
    await keys.close()
    await log.close()


# --- each law of revocations has a store that breaks it ---


class Told:
    """A store of revocations in one process."""

    def __init__(self, kept: int = 10_000) -> None:
        self.kept = kept
        self.told: list[str] = []

    async def revoke(self, principal: str) -> None:
        self.told.append(principal)

    async def revoked(self, since: str) -> tuple[str, list[str]]:
        first = max(int(since or len(self.told)), len(self.told) - self.kept)
        return str(len(self.told)), self.told[first:]


class FromTheStart(Told):
    async def revoked(self, since: str) -> tuple[str, list[str]]:
        return await super().revoked(since or "0")


@pytest.mark.parametrize("law", REVOCATION_LAWS, ids=name_of)
async def test_a_store_in_one_process_keeps_the_law(law: RevocationLaw) -> None:
    store = Told()
    await law(store, store)


@pytest.mark.parametrize(
    ("law", "ends"),
    [
        (access_laws.law_each_end_is_told_once, (Told(), Told())),
        (access_laws.law_who_comes_later_is_not_told_what_was, (broken := FromTheStart(), broken)),
        (access_laws.law_a_thousand_are_kept, (short_one := Told(kept=100), short_one)),
    ],
    ids=["deaf", "from the start", "forgetful"],
)
async def test_a_law_catches_a_store_that_breaks_it(law: RevocationLaw, ends: tuple[Told, Told]) -> None:
    with pytest.raises(AssertionError):
        await law(*ends)
