"""Who waits for runs that have not started yet: streams that were opened before their runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from reactor import bounds
from reactor.errors import LogUnavailable, TooManyWaiting, UnknownRun
from reactor.events.event import Window
from reactor.runs.others import Others
from reactor.runs.run import Run


class AwaitedRuns:
    """Those of one tenant. The n-th costs what the first does, and a thousand hold up no run that starts.

    ``others`` tells of runs that other processes start; ``get`` gives the run of an id, or raises UnknownRun.
    """

    def __init__(self, others: Others, get: Callable[[str], Coroutine[Any, Any, Run]]) -> None:
        self._others = others
        self._get = get
        self._stop: Callable[[], None] | None = None
        self._looking: set[asyncio.Task[None]] = set()
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
        if self._stop is None:
            self._stop = self._others.listen(self._heard)
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
        self._stop_listening()

    def _forget(self, run_id: str, future: asyncio.Future[Run]) -> None:
        """Somebody has cancelled it."""
        waiters = self._by_run.get(run_id, {})
        if future in waiters:
            del waiters[future]
            self._count -= 1
            if not waiters:
                del self._by_run[run_id]
        self._stop_listening()

    def _stop_listening(self) -> None:
        """Nobody waits any more."""
        if not self._by_run and self._stop is not None:
            self._stop()
            self._stop = None

    def _heard(self, window: Window | None) -> None:
        """Another process has committed something; None: it may be anything."""
        if window is None:
            ids = list(self._by_run)
        else:
            ids = [window[0].run_id] if window[0].seq == 1 and window[0].run_id in self._by_run else []
        for run_id in ids:
            looking = asyncio.ensure_future(self._look(run_id))
            self._looking.add(looking)
            looking.add_done_callback(self._looking.discard)

    async def _look(self, run_id: str) -> None:
        try:
            run = await self._get(run_id)
        except (UnknownRun, LogUnavailable):  # not yet; if it was missed, it is told once more
            return
        self.tell(run)
