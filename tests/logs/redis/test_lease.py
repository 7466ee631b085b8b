"""Leases of processes: who is silent loses its runs, but not before others had the time to say that they live."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from reactor.errors import RunNotHere
from reactor.logs.redis.lease import boot_time
from reactor.logs.redis.log import RedisLog
from reactor.logs.redis.url import open_redis
from reactor.testing.log_laws import event, started
from tests.helpers.log_lines import log_lines
from tests.helpers.redis import RedisServer, redis_server
from tests.helpers.runs import PATIENCE, wait_until
from tests.helpers.warm import Started, start_python

LEASE = 1.0


@asynccontextmanager
async def opened(
    url: str, *, patience: float = 10.0, told: Callable[[object], None] = lambda trouble: None
) -> AsyncIterator[RedisLog]:
    log = open_redis(url)
    log.when_troubled(told)
    log.keep_time(None, patience)  # type: ignore[arg-type]
    await log.open()
    try:
        yield log
    finally:
        await log.close()


async def until_acquired(log: RedisLog, run_id: str) -> float:
    """Returns how many seconds it took."""
    began = boot_time()
    async with asyncio.timeout(PATIENCE):
        while not await log.acquire(run_id):
            await asyncio.sleep(0.02)
    return boot_time() - began


async def test_who_renews_its_lease_keeps_its_runs(server: RedisServer) -> None:
    """However long, and whoever asks."""
    url = server.url(lease=LEASE)
    async with opened(url) as mine, opened(url) as theirs:
        for attempt in range(10):
            assert await mine.acquire(f"r{attempt}")
            taken, stood_still = await asked(theirs, f"r{attempt}")
            if stood_still < LEASE / 4:  # else this process was late itself, and may have lost it
                assert not taken
                await mine.append(f"r{attempt}", [started(f"r{attempt}")])
                return
    raise AssertionError("this machine stands still too often")


async def asked(log: RedisLog, run_id: str) -> tuple[bool, float]:
    """Asks for a run for more than two leases: whether it got it, and how long nothing ran here meanwhile."""
    taken, stood_still, last = False, 0.0, boot_time()
    for _ in range(25):
        await asyncio.sleep(LEASE / 10)
        taken = await log.acquire(run_id) or taken
        stood_still, last = max(stood_still, boot_time() - last - LEASE / 10), boot_time()
    return taken, stood_still


async def test_who_is_silent_loses_its_runs_and_is_told(server: RedisServer) -> None:
    """Not before its lease is over. From then on what it writes is refused, also what it has called meanwhile."""
    url = server.url(lease=LEASE)
    lost: list[tuple[str, str]] = []
    async with opened(url) as mine, opened(url) as theirs:
        mine.when_lost(lambda run_id, tenant: lost.append((run_id, tenant)))
        for tenant in ("", "acme"):
            assert await mine.acquire("r", tenant=tenant)
        await mine.append("r", [started()])
        await asyncio.sleep(LEASE)
        await mine.parts.incarnation.abandon()  # as one that is stopped
        assert await until_acquired(theirs, "r") > LEASE / 2
        with pytest.raises(RunNotHere, match="another node holds run r: window 2 is refused"):
            await mine.append("r", [event(2, said="mine")])
        assert lost == [("r", "")]
        await theirs.append("r", [event(2, said="theirs")])
        assert await theirs.acquire("r", tenant="acme")
        await mine.parts.incarnation.open()  # it goes on, and hears of the other
        assert lost == [("r", ""), ("r", "acme")]
        assert not await mine.acquire("r")
        assert [e.data.get("said") for e in await mine.read("r", 1, 10)] == ["theirs"]


async def test_who_has_just_come_takes_nothing_from_who_is_late(server: RedisServer) -> None:
    """It cannot know whether Redis was away, and the others had no time to say that they live: neither a run that it
    finds, nor one that it asks for, nor one that has not begun. A lease later it takes them."""
    url = server.url(lease=LEASE)
    async with opened(url) as mine:
        assert all([await mine.acquire(run_id) for run_id in ("found", "asked", "new")])
        for run_id in ("found", "asked"):
            await mine.append(run_id, [started(run_id)])
        await mine.parts.incarnation.abandon()
        await asyncio.sleep(1.5 * LEASE)
        came = boot_time()

        async def until_found() -> float:
            async with asyncio.timeout(PATIENCE):
                while ("", "found") not in await theirs.late_runs(10):
                    await asyncio.sleep(0.02)
            return boot_time()

        async def until_taken(run_id: str) -> float:
            await until_acquired(theirs, run_id)
            return boot_time()

        async with opened(url) as theirs:
            for at in await asyncio.gather(until_found(), until_taken("asked"), until_taken("new")):
                assert at - came >= LEASE
            await until_acquired(theirs, "found")
            assert await theirs.late_runs(10) == []


async def test_who_leaves_gives_its_runs_up_at_once(server: RedisServer) -> None:
    """Nobody waits for the end of its lease; it is no node any more."""
    url = server.url(lease=60)
    async with opened(url) as theirs:
        async with opened(url) as mine:
            for i in range(3):
                assert await mine.acquire(f"r{i}")
            assert len(await theirs.calls.read("nodes")) == 2
        assert all([await theirs.acquire(f"r{i}") for i in range(3)])
        ((node, left, held),) = await theirs.calls.read("nodes")
        assert (node.decode(), held) == (theirs.parts.incarnation.id, 3)
        assert 50_000 < left <= 60_000


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as server:
        yield server


async def test_who_cannot_renew_ends_before_others_may_begin(alone: RedisServer) -> None:
    """While Redis is away each ends its runs by its own clock, and begins anew; afterwards they are free, once."""
    url = alone.url(lease=LEASE)
    lost: list[str] = []
    async with opened(url) as mine, opened(url) as theirs:
        for log, run_id in ((mine, "mine"), (theirs, "theirs")):
            log.when_lost(lambda run_id, tenant: lost.append(run_id))
            assert await log.acquire(run_id)
        was = mine.parts.incarnation.id
        alone.send(signal.SIGSTOP)
        try:
            await wait_until(lambda: len(lost) == 2)
        finally:
            alone.send(signal.SIGCONT)
        assert sorted(lost) == ["mine", "theirs"]
        assert mine.parts.incarnation.id != was
        await until_acquired(mine, "mine")
        assert not await theirs.acquire("mine")
        await mine.append("mine", [started("mine")])


async def test_a_process_that_lets_go_while_redis_is_away_lets_go_later(alone: RedisServer) -> None:
    """Its release is not forgotten, although nothing can be said at that moment."""
    url = alone.url(lease=60)
    told: list[object] = []
    async with opened(url, patience=0.3, told=told.append) as mine, opened(url) as theirs:
        assert await mine.acquire("r")
        await asyncio.to_thread(alone.kill)
        await wait_until(lambda: bool(told))
        mine.release("r")
        await asyncio.to_thread(alone.start)
        await wait_until(lambda: told[-1] is None)
        assert await asyncio.wait_for(until_acquired(theirs, "r"), PATIENCE) < 30


async def test_a_renewal_among_many_windows_is_not_taken_for_a_loss(server: RedisServer) -> None:
    """It says which position is the last; windows that are acknowledged a moment later are behind it."""
    with log_lines() as lines:
        async with opened(server.url(lease=LEASE)) as log:
            runs = [f"r{i}" for i in range(50)]
            until = boot_time() + 1.5 * LEASE

            async def write(run_id: str) -> None:
                await log.append(run_id, [started(run_id)])
                seq = 2
                while boot_time() < until:
                    await log.append(run_id, [event(seq, run_id)])
                    seq += 1

            await asyncio.gather(*map(write, runs))
    assert [line["event"] for line in lines if line["log_level"] != "info"] == []


async def test_a_process_that_is_stopped_in_the_middle_of_windows_writes_nothing_when_it_goes_on(
    server: RedisServer,
) -> None:
    """Its run has moved meanwhile. What it had on its way is refused, and it ends by itself; nothing acknowledged is
    lost."""
    url = server.url("stopped", lease=LEASE)
    writer = start_python("-m", "tests.helpers.redis_writer", url, "r", quiet=True)
    try:
        async with opened(url) as log:
            await asyncio.to_thread(_read_until, writer, 50)
            writer.send_signal(signal.SIGSTOP)
            await until_acquired(log, "r")
            last = (await log.record("r")).last_seq
            for seq in range(last + 1, last + 11):
                await log.append("r", [event(seq, "r", said="taken")])
            writer.send_signal(signal.SIGCONT)
            said = (await asyncio.to_thread(writer.communicate, timeout=PATIENCE))[0].split()
            acknowledged = [int(word) for word in said if word.isdigit()]
            assert said[-1] in ("lost", "RunNotHere")
            assert max(acknowledged, default=0) <= last
            events = await log.read("r", 0, 10_000)
            assert [e.seq for e in events] == list(range(1, last + 11))
            assert {e.data.get("said") for e in events[last:]} == {"taken"}
    finally:
        writer.kill()
        writer.wait()


def _read_until(writer: Started, seq: int) -> None:
    while int(writer.stdout.readline()) < seq:
        pass
