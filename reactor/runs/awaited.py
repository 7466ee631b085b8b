"""Who waits for runs that have not started yet: streams that were opened before their runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from reactor import bounds
from reactor.errors import TooManyWaiting
from reactor.runs.run import Run


class AwaitedRuns:
    """Those of one tenant. The n-th costs what the first does, and a thousand hold up no run that starts."""

    def __init__(self) -> None:
        self._by_run: dict[str, dict[asyncio.Future[Run], Callable[[asyncio.Future[Run]], None]]] = {}
        """By run and future: what forgets the future when somebody cancels it."""
        self._count = 0

    def __bool__(self) -> bool:
        return bool(self._by_run)

    def wait(self, run_id: str) -> asyncio.Future[Run]:
        """Done when the run starts. Cancel the future to stop waiting. Raises TooManyWaiting."""
        if self._count >= bounds.AWAITED_RUNS:
            raise TooManyWaiting(f"{bounds.AWAITED_RUNS} streams wait for runs that have not started", run_id=run_id)
        future: asyncio.Future[Run] = asyncio.get_running_loop().create_future()
        forget = partial(self._forget, run_id)
        future.add_done_callback(forget)
        self._by_run.setdefault(run_id, {})[future] = forget
        self._count += 1
        return future

    def tell(self, run: Run) -> None:
        """It has started."""
        waiters = self._by_run.pop(run.id, None)
        if waiters is None:
            return
        self._count -= len(waiters)
        run.feed.expect_readers()
        for waiter, forget in waiters.items():
            waiter.remove_done_callback(forget)  # a callback less for each
            if not waiter.done():
                waiter.set_result(run)

    def _forget(self, run_id: str, future: asyncio.Future[Run]) -> None:
        """Somebody has cancelled it."""
        waiters = self._by_run.get(run_id, {})
        if future in waiters:
            del waiters[future]
            self._count -= 1
            if not waiters:
                del self._by_run[run_id]
