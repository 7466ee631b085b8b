"""Which runs this process may execute, where several share a log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

from reactor import bounds
from reactor.errors import RunExists, Unanswered
from reactor.logs.holder import AlwaysHolder
from reactor.logs.stores import Stores

STARTING_SECONDS: Final = 0.02
"""How often it is looked whether another process has started a run, or never will."""


class Leases:
    """The leases of one tenant's runs.

    - ``check_unknown(run_id)`` raises RunExists where there is a run of this id.
    - ``lost(run_id)``: another process may execute the run from now on.
    """

    def __init__(
        self,
        stores: Stores,
        tenant: str,
        *,
        check_unknown: Callable[[str], Awaitable[None]],
        lost: Callable[[str], None],
    ) -> None:
        self._lease = lease = stores.lease
        self._tenant = tenant
        self._check_unknown = check_unknown
        self._lost = lost
        self._waits = stores.handover is not None
        """The log frees the lease of a process that is gone: it is worth to wait for one."""
        self._is_shared = not isinstance(lease, AlwaysHolder)
        self._starting: dict[str, asyncio.Future[None]] = {}
        """By id: new runs whose lease is asked for. Done once they are open, or are not started."""
        self._held: set[str] = set()
        """Those that are ours, as far as it was asked; of a log that is not shared none."""
        lease.when_lost(self._on_lost)

    async def take(self, run_id: str) -> bool:
        """Whether this process may execute a run that is in the log."""
        is_ours = await self._lease.acquire(run_id)
        if is_ours and self._is_shared:
            self._held.add(run_id)
        return is_ours

    def holds(self, run_id: str) -> bool:
        """Whether a run that was taken has not been lost meanwhile."""
        return run_id in self._held or not self._is_shared

    def release(self, run_id: str) -> None:
        """Nothing of the run is done here any more."""
        self._held.discard(run_id)
        self._lease.release(run_id)

    def _on_lost(self, run_id: str, tenant: str) -> None:
        """The log tells all tenants of it."""
        if tenant == self._tenant:
            self._held.discard(run_id)
            self._lost(run_id)

    @asynccontextmanager
    async def reserve(self, run_id: str) -> AsyncGenerator[None]:
        """Holds the id of a new run, and its lease, until the run is open. Raises RunExists where there is one.

        Of those that start it here at once, one gets in; the others see what became of it.
        """
        if not self._is_shared:
            yield
            return
        while run_id in self._starting:
            await self.settled(run_id)
        self._starting[run_id] = asyncio.get_running_loop().create_future()
        was_held = run_id in self._held  # it is open here, or lost: then its lease stays ours
        try:
            await self._take_new(run_id)
            yield
        except BaseException:
            if not was_held and run_id in self._held:
                self.release(run_id)
            raise
        finally:
            self._starting.pop(run_id).set_result(None)

    async def _take_new(self, run_id: str) -> None:
        """Takes the lease of a run that is not in the log. Another process that has it is about to start the run, or
        was killed before it could."""
        until = asyncio.get_running_loop().time() + bounds.COMMAND_SECONDS
        while True:
            is_ours = await self.take(run_id)
            await self._check_unknown(run_id)  # somebody may have started it before the lease was ours
            if is_ours and self.holds(run_id):  # else the lease of this process was over meanwhile
                return
            if not self._waits:
                raise RunExists(f"run {run_id!r} was started by another process", run_id=run_id)
            if asyncio.get_running_loop().time() > until:
                raise Unanswered(f"another node was to start run {run_id}, and has not: repeat it", run_id=run_id)
            await asyncio.sleep(STARTING_SECONDS)

    async def settled(self, run_id: str) -> None:
        """Done when it is known whether a run that is being started is open."""
        if run_id in self._starting:
            await asyncio.shield(self._starting[run_id])
