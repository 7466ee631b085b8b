"""Writers, and a Redis that is killed, stopped and cut off again and again: what was acknowledged is there once.

``REDIS_SEED=… REDIS_SECONDS=60 pytest tests/logs/redis/test_stress.py`` goes on for longer, with the same choices.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from reactor.errors import UnknownRun
from reactor.events.event import Event, Window
from reactor.logs.redis.log import RedisLog
from reactor.logs.redis.url import open_redis
from reactor.ports.order import Committed
from reactor.testing import read_all
from reactor.testing.log_laws import completed, event, started
from tests.helpers.redis import SURE, RedisServer, redis_server
from tests.helpers.runs import PATIENCE

SECONDS = float(os.environ.get("REDIS_SECONDS", "4"))
SEED = os.environ.get("REDIS_SEED", "redis")


class Stress:
    """The writers, what they were acknowledged, and what followers heard."""

    def __init__(self, logs: Sequence[RedisLog], chance: random.Random) -> None:
        self.logs = logs
        self.chance = chance
        self.goes_on = True
        self.acknowledged: dict[str, int] = {}
        self.heard: dict[str, list[range | None]] = {}

    async def write(self, name: str) -> None:
        """One run after the other, each on any of the logs, and followed on any of them."""
        number = 0
        while self.goes_on:
            run_id, number = f"{name}.{number}", number + 1
            log, heard = self.chance.choice(self.logs), self.heard.setdefault(run_id, [])
            assert await log.acquire(run_id)
            stop = None
            for window in self.windows(run_id):
                await log.append(run_id, window)
                self.acknowledged[run_id] = window[-1].seq
                if stop is None:
                    with suppress(UnknownRun):  # it is lost for a moment
                        stop = await self.chance.choice(self.logs).follow(
                            run_id, lambda w, to=heard: to.append(seqs(w))
                        )
                if not self.goes_on:
                    break
            if stop is not None:
                stop()

    def windows(self, run_id: str) -> list[list[Event]]:
        last, found, seq = self.chance.randrange(5, 150), list[list[Event]](), 1
        while seq <= last:
            end = min(seq + self.chance.randrange(1, 6), last + 1)
            found.append([self.event(run_id, at, last) for at in range(seq, end)])
            seq = end
        return found

    def event(self, run_id: str, seq: int, last: int) -> Event:
        if seq in (1, last):
            return started(run_id) if seq == 1 else completed(seq, run_id)
        return event(seq, run_id, text="x" * self.chance.randrange(1_000))

    async def harm(self, server: RedisServer, kinds: Sequence[str]) -> None:
        """One thing that happens to a Redis, or to the connections to it."""
        kind = self.chance.choice(kinds)
        if kind == "kill":
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
        elif kind == "lose":
            await self.lose(server)
        elif kind == "stop":
            server.send(signal.SIGSTOP)
            await asyncio.sleep(self.chance.uniform(0, 0.3))
            server.send(signal.SIGCONT)
        elif kind == "flush":
            server.say("FUNCTION", "FLUSH")
        else:
            server.say("CLIENT", "KILL", "TYPE", kind)

    async def lose(self, server: RedisServer) -> None:
        """It comes back with what it had a moment ago, as a replica does that takes over."""
        before = server.folder.with_name("before")
        shutil.rmtree(before, ignore_errors=True)
        shutil.copytree(server.folder, before)
        await asyncio.sleep(self.chance.uniform(0, 0.3))
        await asyncio.to_thread(server.kill)
        shutil.rmtree(server.folder)
        shutil.copytree(before, server.folder)
        await asyncio.to_thread(server.start)

    async def check(self) -> None:
        for run_id, last in self.acknowledged.items():
            found = [e.seq for e in await read_all(self.logs[0], run_id)]
            assert found == list(range(1, len(found) + 1)), run_id
            assert len(found) >= last, run_id
        for run_id, heard in self.heard.items():
            last_seq = 0
            for window in heard:  # None: some may be missing before the next one
                assert window is None or not last_seq or window[0] == last_seq + 1, f"{run_id}: {heard}"
                last_seq = 0 if window is None else window[-1]
        await self.check_order()

    async def check_order(self) -> None:
        """All runs in one order, from any log: positions grow, and so do the seqs of each run, without a hole."""
        at, last = 0, dict[str, int]()
        while page := await self.chance.choice(self.logs).whole(at, 1_000):
            for entry in page:
                assert isinstance(entry, Committed)
                assert entry.position > at
                assert entry.first_seq == last.get(entry.run_id, 0) + 1
                at, last[entry.run_id] = entry.position, entry.events[-1].seq
        assert last.keys() >= self.acknowledged.keys()


def seqs(window: Window | None) -> range | None:
    return None if window is None else range(window[0].seq, window[-1].seq + 1)


KINDS = {
    "it keeps all that it has acknowledged": ("kill", "stop", "flush", "normal", "pubsub"),
    "it loses its end": ("lose", "lose", "normal", "pubsub"),
}


@pytest.mark.slow
@pytest.mark.parametrize("kinds", KINDS)
async def test_what_is_acknowledged_is_there_once_whatever_happens(kinds: str, tmp_path: Path) -> None:
    """Each run is 1..N, in the log and in the order of all windows; followers hear windows in order; no writer sees an
    error. What Redis loses is written again, and no run is rewound."""
    chance = random.Random(SEED)
    (tmp_path / "data").mkdir()
    with redis_server(tmp_path / "data", *SURE) as server:
        logs = [open_redis(server.url("stress", lease=30)) for _ in range(3)]
        for log in logs:
            await log.open()
        stress = Stress(logs, chance)
        writers = [asyncio.ensure_future(stress.write(f"w{number}")) for number in range(10)]
        until = asyncio.get_running_loop().time() + SECONDS
        while asyncio.get_running_loop().time() < until:
            await asyncio.sleep(chance.uniform(0.1, 0.4))
            await stress.harm(server, KINDS[kinds])
        stress.goes_on = False
        await asyncio.wait_for(asyncio.gather(*writers), PATIENCE)
        assert len(stress.acknowledged) > 10, f"REDIS_SEED={SEED}"
        await asyncio.gather(*(log.mark_stop() for log in logs))  # behind what is written again
        await stress.check()
        assert [log.parts.appends.rewound_runs for log in logs] == [0, 0, 0]
        for log in logs:
            await log.close()
