"""A Redis whose memory is full: what can be done then, and that everything goes on once there is room."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from reactor import Context, Engine, LogLost, Workflow
from reactor.errors import LogUnavailable
from reactor.logs.redis.url import open_redis
from reactor.testing import read_all
from reactor.testing.log_laws import completed, event, started
from tests.helpers.redis import RedisServer, redis_server
from tests.helpers.runs import PATIENCE, full_log, wait_until


@pytest.fixture
def small(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as server:
        yield server


def fill(server: RedisServer) -> None:
    """It has 200 kB more than it may have from now on."""
    (used,) = re.findall(r"used_memory:(\d+)", server.say("INFO", "memory"))
    assert server.say("CONFIG", "SET", "maxmemory", str(int(used) - 200_000)).startswith("+OK")


def free(server: RedisServer) -> None:
    assert server.say("CONFIG", "SET", "maxmemory", "0").startswith("+OK")


@pytest.fixture
def probed_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reactor.logs.probing.LOG_PROBE_SECONDS", 0.05)
    monkeypatch.setattr("reactor.recovery.retaking.RETAKE_FIRST_SECONDS", 0.05)


@pytest.mark.usefixtures("probed_often")
async def test_a_run_goes_on_once_there_is_room_again(small: RedisServer) -> None:
    """Its window is refused: it is lost, and nobody starts a run. When there is room it goes on, in the same process
    and over the same connection, and all its events are there once."""
    flow = Workflow("asking")

    @flow.task
    async def ask(ctx: Context) -> str:
        return await ctx.receive("what?")

    async with Engine(small.url(), workflows=[flow], grace=0) as engine:
        run = await engine.start("asking", run_id="r")
        fill(small)
        with pytest.raises(LogLost, match="has no room"):
            await run.send("ask", "x" * 30_000)
        with pytest.raises((LogUnavailable, LogLost), match="has no room"):
            await engine.start("asking", run_id="s")
        assert engine.log_problem is not None
        assert [e.seq for e in await read_all(engine.log, "r")] == list(range(1, run.state.seq + 1))
        free(small)
        await wait_until(lambda: engine.open_runs == 1 and engine.log_problem is None)
        again = await engine.get("r")
        await again.send("ask", "y")
        events = await full_log(engine, again)
        assert await asyncio.wait_for(again, PATIENCE) == {"ask": "y"}
        assert [e.seq for e in events] == list(range(1, len(events) + 1))


async def test_what_gives_room_back_works_where_there_is_none(small: RedisServer) -> None:
    """Reading, deleting, trimming, renewing and letting go; then windows are taken again."""
    log = open_redis(small.url(lease=60))
    await log.open()
    for run_id in ("a", "b", "c"):
        await log.append(run_id, [started(run_id)])
        for seq in range(2, 22):
            await log.append(run_id, [event(seq, run_id, text="x" * 20_000, blob=b"y" * 20_000)])
        await log.append(run_id, [completed(22, run_id)])
    assert await log.acquire("open")
    await log.append("open", [started("open")])
    fill(small)
    with pytest.raises(LogUnavailable, match=r"has no room: .*maxmemory"):
        await log.append("open", [event(2, "open", text="x" * 1_000)])
    with pytest.raises(LogUnavailable, match="has no room"):
        await log.probe()
    assert len(await read_all(log, "a")) == 22
    await log.calls.write("renew", log.parts.incarnation.id, 600_000, 0, "")
    ((_, left, held),) = await log.calls.read("nodes")
    assert left > 60_000
    assert held == 1
    await log.delete("a")
    assert await log.trim("b", 2) == 20
    log.release("open")
    await log.probe()
    await log.append("open", [event(2, "open", text="x" * 1_000)])
    await log.close()
