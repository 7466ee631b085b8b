"""Where a run is followed from: in its process, over HTTP, and over a wire that is cut. The laws are the same."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from reactor import Engine, Event, Run, Workflow
from reactor.testing import read_all
from reactor_web.client import RemoteRun
from tests.helpers.remote import Remote, remote
from tests.helpers.runs import PATIENCE, wait_until

PLACES: Final = ("in process", "over HTTP", "cut")
Handle: TypeAlias = "Run | RemoteRun"
_SEED: Final = 20261130


@dataclass
class Place:
    """``engine`` has the runs; a test follows them by what ``start`` and ``get`` give."""

    engine: Engine
    at: Remote | None
    """The server and the client; None in process."""
    is_cut: bool = False

    async def start(self, flow: Workflow, **options: Any) -> Handle:
        """Starts a run in the engine: over HTTP, what is cut are its streams."""
        run = await self.engine.start(flow, **options)
        return run if self.at is None else self.at.client.run(run.id)

    async def get(self, run: Handle) -> Handle:
        """Another handle on the same run, as it is found later."""
        return await (self.engine if self.at is None else self.at.client).get(run.id)

    async def here(self, run: Handle) -> Run:
        """The run in its process."""
        return await self.engine.get(run.id)

    async def events_of(self, run: Handle) -> list[Event]:
        """The events in the log, once the run has ended."""
        await asyncio.wait_for((await self.here(run)).ended(), PATIENCE)
        return await read_all(self.engine.log, run.id)

    async def until_nobody_follows(self) -> None:
        """Over HTTP: until the server has no stream. In process nobody has anything to close."""
        if self.at is not None:
            await self.at.until_nobody_follows()

    def cut(self, cuts: Sequence[int]) -> None:
        """After how many bytes the next connections break, under ``cut``."""
        if self.at is not None and self.is_cut:
            self.at.proxy.cuts = iter(cuts)


@asynccontextmanager
async def placed(name: str, log: Any = "memory://", cuts: Sequence[int] | None = None) -> AsyncGenerator[Place]:
    """One of ``PLACES``. Under ``cut`` the first 40 connections break, or as many as there are ``cuts``."""
    engine = Engine(log, grace=0)
    if name == "in process":
        async with engine:
            yield Place(engine, None)
        return
    async with remote(engine, tries=100) as at:
        place = Place(engine, at, name == "cut")
        chance = random.Random(_SEED)
        place.cut([chance.randint(300, 1_500) for _ in range(40)] if cuts is None else cuts)
        yield place


async def turn(seen: Sequence[object] = (), count: int = 0) -> None:
    """Lets everything that is ready on the loop run, several times over, and waits until ``seen`` has this many."""
    await wait_until(lambda: len(seen) >= count)
    for _ in range(20):
        await asyncio.sleep(0)
