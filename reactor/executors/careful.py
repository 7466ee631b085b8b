"""Bodies that begin only once the log has what was written before them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from reactor.ports.executor import Done, Executor, Job, Work
from reactor.waiting import READY


class CarefulExecutor:
    """Implements ``Executor`` for a run whose process was killed: hands bodies on to another one when ``logged()`` is
    done.

    A body that kills its process at once leaves nothing in the log, else: not even that it has begun, or that the run
    was recovered. So it would be begun again for ever.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, executor: Executor, logged: Callable[[], Awaitable[None]]
    ) -> None:
        self._loop = loop
        self._executor = executor
        self._logged = logged

    def submit(self, work: Work, done: Done) -> Job:
        logged = self._logged()
        if logged is READY:
            return self._executor.submit(work, done)
        return _Waiting(self._loop, self._executor, work, done, logged)

    async def close(self) -> None:
        """Does nothing: the other executor is the engine's."""


class _Waiting:
    """Implements ``Job``: a body that waits for the log, then the job that it has become."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, executor: Executor, work: Work, done: Done, logged: Awaitable[None]
    ) -> None:
        self._executor = executor
        self._work = work
        self._done = done
        self._job: Job | None = None
        self._waiting = loop.create_task(self._begin(logged))
        if asyncio.iscoroutine(logged):  # it may be cancelled before it has begun, and is waited for by nobody then
            self._waiting.add_done_callback(lambda _: logged.close())

    async def _begin(self, logged: Awaitable[None]) -> None:
        try:
            await logged
            self._job = self._executor.submit(self._work, self._done)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # the executor takes no further body
            self._done(None, error)

    @property
    def saw_cancel(self) -> bool:
        return self._job is not None and self._job.saw_cancel

    @property
    def ended_at(self) -> float | None:
        return getattr(self._job, "ended_at", None)

    def cancel(self) -> None:
        if self._job is not None:
            self._job.cancel()
        elif not self._waiting.cancelled() and self._waiting.cancel():
            self._waiting.add_done_callback(lambda _: self._done(None, asyncio.CancelledError()))

    def abandon(self) -> bool:
        if self._job is not None:
            return self._job.abandon()
        self._done = _ignore
        self._waiting.cancel()
        return True


def _ignore(*_: object) -> None:
    """Nobody waits for the answer any more."""
