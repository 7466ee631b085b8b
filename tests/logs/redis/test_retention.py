"""Which ended runs a log in Redis lets go of."""

from __future__ import annotations

import pytest

from reactor import Engine, Workflow
from reactor.errors import UnknownRun
from reactor.logs.redis.log import RedisLog
from reactor.logs.redis.url import open_redis
from reactor.testing.log_laws import completed, event, started
from tests.helpers.redis import RedisServer

flow = Workflow("kept")
flow.task(lambda: 1, name="one")


async def test_the_last_runs_are_kept_and_the_older_ones_are_gone(server: RedisServer) -> None:
    """``keep_runs`` counts ended runs, ``keep_days`` goes by when they ended; open runs stay, whatever their age."""
    prefix = server.prefix()
    async with Engine(server.url(prefix), workflows=[flow]) as engine:
        await engine.session("open")
        for number in range(6):
            await (await engine.start(flow, run_id=f"r{number}"))
        await (await engine.tenant("acme").start(flow, run_id="r6"))
    async with Engine(server.url(prefix, keep_runs=3), workflows=[flow]) as engine:
        assert [record.run_id for record in await engine.list()] == ["r5", "r4", "open"]
        assert [record.run_id for record in await engine.tenant("acme").list()] == ["r6"]
        with pytest.raises(UnknownRun):
            await engine.get("r3")
    for days in (1, 1_000_000, 999_999_999):  # some before there were calendars
        async with Engine(server.url(prefix, keep_days=days), workflows=[flow]) as engine:
            assert len(await engine.list()) == 3
    async with Engine(server.url(prefix, keep_days=0), workflows=[flow]) as engine:
        assert [record.run_id for record in await engine.list()] == ["open"]
        assert await engine.tenant("acme").list() == []


async def ids(log: RedisLog) -> list[str]:
    return [record.run_id for record in await log.records(status=None, workflow=None, before=None, limit=1_000)]


async def expired(server: RedisServer, prefix: str, **keep: int) -> list[str]:
    """The runs that are left."""
    log = open_redis(server.url(prefix, **keep))
    await log.open()
    left = await ids(log)
    await log.close()
    return left


async def test_what_an_open_run_may_ask_for_again_stays(server: RedisServer, log: RedisLog) -> None:
    """A child run that has ended, until its parent's log has its end; a parent that is over, while a child is open."""
    await log.append("open", [started("open")])
    await log.append("open.a", [started("open.a", parent="open"), completed(2, "open.a")])
    await log.append("over", [started("over")])
    await log.append("over.a", [started("over.a", parent="over")])
    await log.append("over", [completed(2, "over")])
    for keep in ({"keep_days": 0}, {"keep_runs": 0}):
        assert await expired(server, log.prefix, **keep) == ["over.a", "over", "open.a", "open"]
    end = event(2, "open", "child.ended", child_run="open.a", status="completed", engine=True)
    await log.append("open", [end])
    assert await expired(server, log.prefix, keep_runs=0) == ["over.a", "over", "open.a", "open"]
    assert await expired(server, log.prefix, keep_days=0) == ["over.a", "over", "open"]
    await log.append("over.a", [completed(2, "over.a")])
    assert await expired(server, log.prefix, keep_runs=0) == ["open"]


async def test_many_runs_are_deleted_in_steps(server: RedisServer, log: RedisLog) -> None:
    """More than one call looks at, also where most of them must stay."""
    for number in range(250):
        await log.append(f"p{number}", [started(f"p{number}")])
        await log.append(f"c{number}", [started(f"c{number}", parent=f"p{number}"), completed(2, f"c{number}")])
        await log.append(f"r{number}", [started(f"r{number}"), completed(2, f"r{number}")])
    left = await expired(server, log.prefix, keep_days=0)
    assert sorted(left) == sorted(f"{kind}{number}" for kind in "pc" for number in range(250))
