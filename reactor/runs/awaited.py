"""Who waits for runs that have not started yet: streams that were opened before their runs."""

from __future__ import annotations

import asyncio
from functools import partial

from reactor import bounds
from reactor.errors import TooManyWaiting
from reactor.runs.run import Run


class AwaitedRuns:
    """Those of one tenant. The n-th costs what the first does."""

    def __init__(self) -> None:
        self._by_run: dict[str, dict[asyncio.Future[Run], None]] = {}
        self._count = 0

    def __bool__(self) -> bool:
        return bool(self._by_run)

    def wait(self, run_id: str) -> asyncio.Future[Run]:
        """Done when the run starts. Cancel the future to stop waiting. Raises TooManyWaiting."""
        if self._count >= bounds.AWAITED_RUNS:
            raise TooManyWaiting(f"{bounds.AWAITED_RUNS} streams wait for runs that have not started", run_id=run_id)
        future: asyncio.Future[Run] = asyncio.get_running_loop().create_future()
        future.add_done_callback(partial(self._forget, run_id))
        self._by_run.setdefault(run_id, {})[future] = None
        self._count += 1
        return future

    def tell(self, run: Run) -> None:
        """It has started."""
        for waiter in self._by_run.get(run.id, ()):
            if not waiter.done():
                waiter.set_result(run)

    def _forget(self, run_id: str, future: asyncio.Future[Run]) -> None:
        """It is done, or somebody has cancelled it."""
        waiters = self._by_run.get(run_id, {})
        if future in waiters:
            del waiters[future]
            self._count -= 1
            if not waiters:
                del self._by_run[run_id]
