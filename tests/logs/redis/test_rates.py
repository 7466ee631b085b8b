"""Rates that several processes share, alone and together with slots."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from reactor.clock import SystemClock
from reactor.logs.redis.log import RedisLog
from reactor.logs.redis.url import open_redis
from reactor.ports.sharing import NamedRate, Slots, Starts
from reactor.supervision.slots import Claim
from reactor.testing import START_LAWS
from reactor.testing.sharing_laws import RATE, StartLaw
from tests.helpers.redis import SURE, RedisServer, redis_server
from tests.helpers.runs import wait_until
from tests.logs.redis.test_laws import name_of

LEASE = 1.0
LONG = NamedRate("long", 1, 3600.0)
"""Whose second start no test waits for."""
QUICK = NamedRate("quick", 1, 0.01)


@pytest.mark.parametrize("law", START_LAWS, ids=name_of)
async def test_laws(law: StartLaw, ends: tuple[RedisLog, RedisLog]) -> None:
    """Two connections to one Redis keep them."""
    mine, theirs = (end.starts([RATE]) for end in ends)
    await law(mine, theirs)


class Body:
    """Claims what it needs as a task does, runs for some turns of the loop, and gives it back.

    ``takes``: else it does not come back for what it is promised.
    """

    def __init__(self, slots: Sequence[Slots], starts: Sequence[Starts], turns: int = 0, *, takes: bool = True) -> None:
        self.claim = Claim(slots, starts, self.again)
        self.turns = turns
        self.takes = takes
        self.began: float | None = None
        self.has_ended = False
        self.go()

    def again(self) -> None:
        if self.takes:
            asyncio.get_running_loop().call_soon(self.go)

    def go(self) -> None:
        if not self.claim.is_waiting and self.claim.take():
            self.began = time.monotonic()
            self.pass_turn()

    def pass_turn(self) -> None:
        self.turns -= 1
        if self.turns > 0:
            asyncio.get_running_loop().call_soon(self.pass_turn)
        else:
            self.end()

    def end(self) -> None:
        self.has_ended = True
        self.claim.release()


async def ended(*bodies: Body) -> None:
    await wait_until(lambda: all(body.has_ended for body in bodies))


RATES = (NamedRate("a", 3, 0.05), NamedRate("b", 2, 0.03))
SLOTS = (("one", 1), ("two", 2))


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_claims_on_shared_slots_and_rates_wait_for_each_other_not_for_ever(
    seed: int, ends: tuple[RedisLog, RedisLog]
) -> None:
    """Bodies of two processes, each with some of two slots and two rates: all run, and no window has too many."""
    chance = random.Random(seed)
    wanted = [tuple(rate for rate in RATES if chance.random() < 0.7) for _ in range(60)]
    starts = {(end, rates): end.starts(rates) for end in ends for rates in wanted if rates}
    slots = {(end, name): end.slots(name, limit) for end in ends for name, limit in SLOTS}
    bodies: list[Body] = []
    for rates in wanted:
        end = chance.choice(ends)
        own = [slots[end, name] for name, _ in SLOTS if chance.random() < 0.6]
        bodies.append(Body(own, [starts[end, rates]] if rates else [], chance.randrange(20)))
    await ended(*bodies)
    for rate in RATES:
        began = sorted(body.began or 0.0 for body, rates in zip(bodies, wanted, strict=True) if rate in rates)
        assert len(began) > rate.amount
        for first, last in zip(began, began[rate.amount :], strict=False):
            assert last - first > rate.per - 0.001, "clocks differ by less"


async def test_a_claim_keeps_no_slot_while_it_waits_for_a_rate(ends: tuple[RedisLog, RedisLog]) -> None:
    """A body of another process, which needs no start, has the slot meanwhile."""
    mine, theirs = ends
    await ended(Body([mine.slots("s", 1)], [mine.starts([LONG])]))
    waiting = Body([theirs.slots("s", 1)], [theirs.starts([LONG])])
    await ended(Body([mine.slots("s", 1)], []))
    assert not waiting.has_ended


async def test_one_rate_is_not_held_by_who_waits_for_another(ends: tuple[RedisLog, RedisLog]) -> None:
    """Whoever needs both waits where there is no start; those who need the other one alone are not kept waiting."""
    await ended(Body([], [ends[0].starts([LONG])]))
    both = [Body([], [end.starts([LONG, QUICK])]) for end in ends]
    await ended(*(Body([], [end.starts([QUICK])]) for end in ends for _ in range(3)))
    assert [body.has_ended for body in both] == [False, False]


async def test_what_a_process_was_promised_before_it_died_comes_back(server: RedisServer) -> None:
    """Once its lease is over, and the time of the rate: it may have begun."""
    url = server.url(lease=LEASE)
    mine, theirs = open_redis(url), open_redis(url)
    for end in (mine, theirs):
        await end.open()
    rate = NamedRate("r", 1, 0.1)
    dying = Body([mine.slots("s", 1)], [], turns=10**9)  # it never ends
    promised = Body([], [mine.starts([rate])], takes=False)
    await wait_until(lambda: dying.began is not None and not promised.claim.is_waiting)
    waiting = Body([theirs.slots("s", 1)], [theirs.starts([rate])])
    await mine.parts.tickets.close()
    await mine.parts.incarnation.abandon()  # as one that was killed
    await ended(waiting)
    dying.end()
    for end in (mine, theirs):
        await end.close()


async def test_while_redis_is_away_nobody_starts_and_then_it_goes_on(tmp_path: Path) -> None:
    """Also in a process that asks for the first time when its calls fail at once; and what began before counts."""
    patience = 1.0  # also to connect: on a machine that has much else to do that may take a tenth of a second
    rate, away = NamedRate("r", 2, patience / 2), list[object]()
    with redis_server(tmp_path, *SURE) as server:
        url = server.url(lease=10 * patience)  # nobody is late because Redis is away
        early, late = open_redis(url), open_redis(url)
        for log in (early, late):
            log.keep_time(SystemClock(), patience)
            log.when_troubled(away.append)
            await log.open()
        bodies = [Body([], [early.starts([rate])]) for _ in range(3)]
        await ended(*bodies[:2])
        server.kill()
        await wait_until(lambda: len(away) == 2)
        bodies += [Body([late.slots("s", 1)], [late.starts([rate])]) for _ in range(3)]
        await asyncio.sleep(rate.per)
        assert [body.has_ended for body in bodies] == [True, True, False, False, False, False]
        server.start()
        await ended(*bodies)
        began = sorted(body.began or 0.0 for body in bodies)
        assert all(last - first > rate.per - 0.001 for first, last in zip(began, began[2:], strict=False))
        for log in (early, late):
            await log.close()


async def test_who_needs_a_slot_too_keeps_its_turn(ends: tuple[RedisLog, RedisLog]) -> None:
    """While slots are free bodies of one process start in the order in which they came."""
    rate = NamedRate("r", 2, 0.03)
    slots, starts = [[end.slots("s", 20)] for end in ends], [[end.starts([rate])] for end in ends]
    bodies = [[Body(slots[i], starts[i]) for _ in range(8)] for i in (0, 1)]
    for line in bodies:
        await ended(*line)
        assert sorted(line, key=lambda body: body.began or 0.0) == line


async def test_limits_whose_names_look_alike_are_different(ends: tuple[RedisLog, RedisLog]) -> None:
    """A name may be the beginning of another, and a rate may be named as slots are."""
    mine, _ = ends
    names = ("x", "x.queue", "queue.x")
    await ended(*(Body([mine.slots(name, 1)], [mine.starts([LONG._replace(name=name)])]) for name in names))
