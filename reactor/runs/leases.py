"""Which runs this process may execute, where several share a log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

from reactor.errors import RunExists
from reactor.logs.holder import AlwaysHolder
from reactor.ports.sharing import Lease


class Leases:
    """The leases of an engine's runs. ``check_unknown(run_id)`` raises RunExists where there is a run of this id."""

    def __init__(self, lease: Lease, check_unknown: Callable[[str], Awaitable[None]]) -> None:
        self._lease = lease
        self._check_unknown = check_unknown
        self._is_shared = not isinstance(lease, AlwaysHolder)
        self._starting: dict[str, asyncio.Future[None]] = {}
        """By id: new runs whose lease is asked for. Done once they are open, or are not started."""
        self.release = lease.release

    async def take(self, run_id: str) -> bool:
        """Whether this process may execute a run that is in the log."""
        return await self._lease.acquire(run_id)

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
        try:
            if not await self._lease.acquire(run_id):
                raise RunExists(f"run {run_id!r} was started by another process", run_id=run_id)
            await self._check_unknown(run_id)  # somebody may have started it before the lease was ours
            yield
        finally:
            self._starting.pop(run_id).set_result(None)

    async def settled(self, run_id: str) -> None:
        """Done when it is known whether a run that is being started is open."""
        if run_id in self._starting:
            await asyncio.shield(self._starting[run_id])
