"""A log that has only the ports an engine needs: the engine keeps the rest in memory, and says so."""

from __future__ import annotations

import asyncio
import logging
from typing import Unpack

import pytest

from reactor import Engine, Workflow
from reactor.events.event import Event, Window
from reactor.events.state import RunState
from reactor.logs.memory import MemoryLog
from reactor.logs.stores import stores_of
from reactor.ports import RunFilter, RunRecord
from reactor.testing import INDEX_LAWS, LOG_LAWS, index_laws, log_laws
from tests.helpers.log_lines import log_lines


class Bare:
    """``EventLog``, ``RunIndex`` and ``Lifecycle``, and nothing else."""

    def __init__(self, *, durable: bool = False) -> None:
        self._log = MemoryLog()
        self.durable = durable

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    def append(self, run_id: str, window: Window, *, tenant: str = "") -> asyncio.Future[int]:
        return self._log.append(run_id, window, tenant=tenant)

    async def read(self, run_id: str, after: int, limit: int, *, tenant: str = "") -> list[Event]:
        return await self._log.read(run_id, after, limit, tenant=tenant)

    async def base(self, run_id: str, *, tenant: str = "") -> RunState:
        return await self._log.base(run_id, tenant=tenant)

    async def blob(self, run_id: str, seq: int, *, tenant: str = "") -> bytes | None:
        return await self._log.blob(run_id, seq, tenant=tenant)

    async def record(self, run_id: str, *, tenant: str = "") -> RunRecord:
        return await self._log.record(run_id, tenant=tenant)

    async def records(
        self, *, before: str | None, limit: int, tenant: str = "", **wanted: Unpack[RunFilter]
    ) -> list[RunRecord]:
        return await self._log.records(before=before, limit=limit, tenant=tenant, **wanted)

    async def unfinished(self) -> list[RunRecord]:
        return await self._log.unfinished()

    async def delete(self, run_id: str, *, tenant: str = "") -> None:
        await self._log.delete(run_id, tenant=tenant)


@pytest.mark.parametrize("law", LOG_LAWS, ids=lambda law: law.__name__)
async def test_it_is_an_event_log(law: log_laws.Law) -> None:
    """The laws of ``EventLog`` ask for no other port."""
    await law(Bare())


@pytest.mark.parametrize("law", INDEX_LAWS, ids=lambda law: law.__name__)
async def test_it_is_a_run_index(law: index_laws.Law) -> None:
    """The laws of ``RunIndex`` ask for no other port than ``EventLog``."""
    await law(Bare())


async def test_an_engine_runs_on_it_with_a_cache_in_memory() -> None:
    """Runs are cached, listed and deleted; the cache is that of the engine."""
    calls: list[int] = []
    flow = Workflow("cached")

    @flow.task(cache=True)
    async def count(n: int) -> int:
        calls.append(n)
        return n

    async with Engine(Bare(), workflows=[flow]) as engine:
        for _ in range(2):
            assert await (await engine.start(flow, {"n": 3})) == {"count": 3}
        assert calls == [3]
        run = await engine.start(flow, {"n": 3}, run_id="r")
        await run
        await engine.delete("r")
        assert len(await engine.list()) == 2


@pytest.mark.parametrize(("durable", "warnings"), [(True, 1), (False, 0)])
async def test_a_durable_log_that_keeps_not_everything_is_warned_of_once(durable: bool, warnings: int) -> None:
    """What is kept in memory is lost at a restart: where the events survive one, somebody might count on it."""
    with log_lines() as logged:
        async with Engine(Bare(durable=durable)):
            pass
    found = [line for line in logged if line["log_level"] == logging.getLevelName(logging.WARNING).lower()]
    assert len(found) == warnings
    kept_in_memory = stores_of(Bare()).embedded
    assert kept_in_memory[:4] == ("cached outputs", "checkpoints", "idempotency keys", "clean stops")
    assert kept_in_memory[4:] == ("the key of its digests", "schedules")


async def test_an_engine_leaves_the_runs_of_other_tenants_alone() -> None:
    """It goes on with the unfinished runs of the tenant ``""``, and lists those only."""
    log = MemoryLog()
    await log.append("theirs", [log_laws.started("theirs")], tenant="acme")
    await log.append("ours", [log_laws.started("ours")])
    async with Engine(log) as engine:
        assert list(engine.not_recovered) == ["ours"]
        assert [record.run_id for record in await engine.list()] == ["ours"]
    assert (await log.record("theirs", tenant="acme")).last_seq == 1
