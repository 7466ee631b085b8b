"""The part of an engine that shares its log with others: takes up runs that nobody holds, and hears of commands."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from typing import Final

from reactor.errors import LogUnavailable
from reactor.logger import get_logger
from reactor.ports.handover import Handover, Inboxes
from reactor.ports.sharing import Stop
from reactor.tenants.tenants import Tenants

logger = get_logger()

PAGE: Final = 1_000
"""Runs that are listed at once."""
MOST: Final = 10_000
"""Free runs that are looked at in one round; the others have their turn when those are taken."""
AT_ONCE: Final = 16
"""Runs that are taken up at the same time: others may take some meanwhile."""
ROUNDS: Final = 4
"""How often it is looked for late processes in the time of a lease."""


class Cluster:
    """That of one engine, from its start to its drain."""

    def __init__(self, handover: Handover, inboxes: Inboxes, tenants: Tenants) -> None:
        self._handover = handover
        self._inboxes = inboxes
        self._tenants = tenants
        self._wake = asyncio.Event()
        self._stops: list[Stop] = []
        self._watching: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Goes on with the runs that nobody holds, then watches for more."""
        self._stops.append(await self._inboxes.listen(self._on_asked))
        self._stops.append(await self._handover.watch_free(self._wake.set))
        await self._take_up_all()
        self._watching = asyncio.ensure_future(self._watch())

    async def close(self) -> None:
        """Takes up nothing more. Commands to the runs that are still open are heard until the log is closed."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait({self._watching})

    def _on_asked(self, run_id: str, tenant: str) -> None:
        inbox = self._tenants.of(tenant).runs.inbox
        if inbox is not None:
            inbox.drain(run_id)

    async def _watch(self) -> None:
        """Takes up what is left by others, when they say so, and by those who say nothing any more."""
        while True:
            try:
                async with asyncio.timeout(self._handover.lease_seconds / ROUNDS):
                    await self._wake.wait()
            except TimeoutError:
                pass  # a round all the same: processes that are killed say nothing
            self._wake.clear()
            try:
                await self._take_up_all()
            except LogUnavailable as error:
                logger.debug("runs of other processes are looked for later", error=str(error))
            except Exception as bug:
                logger.error("runs of other processes could not be taken up", exc_info=bug)

    async def _take_up_all(self) -> None:
        named = await self._free()
        ids: dict[str, set[str]] = {}
        for tenant, run_id in named:
            ids.setdefault(tenant, set()).add(run_id)
        for tenant in self._tenants:
            tenant.recovery.forget_left(ids.get(tenant.name, ()))
        random.shuffle(named)  # others look at the same list
        waiting = iter(named)
        await asyncio.gather(*(self._take_up_some(waiting) for _ in range(min(AT_ONCE, len(named)))))

    async def _free(self) -> list[tuple[str, str]]:
        """Tenant and id of the runs that nobody holds, or that are late."""
        free: list[tuple[str, str]] = []
        while len(free) < MOST:
            page = await self._handover.free_runs(len(free), PAGE)
            free += page
            if len(page) < PAGE:
                break
        return free + await self._handover.late_runs(PAGE)

    async def _take_up_some(self, waiting: Iterator[tuple[str, str]]) -> None:
        for name, run_id in waiting:
            tenant = self._tenants.of(name)
            if not tenant.recovery.leaves(run_id):
                tenant.enter()
                await tenant.recovery.take_up(run_id)
