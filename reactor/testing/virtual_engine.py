"""``virtual_engine``: an engine in virtual time, whose clock knows of bodies and logs that work in threads."""

from __future__ import annotations

import asyncio
from asyncio import AbstractEventLoop, get_running_loop
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from typing import Any, Final, TypeVar

from reactor.engine import Engine
from reactor.events.event import Event, Window
from reactor.events.state import RunState
from reactor.logs.memory import MemoryLog
from reactor.logs.schemes import open_log
from reactor.ports.executor import Done, Executor, Job, Work
from reactor.ports.log import RunRecord
from reactor.ports.schedules import ScheduleRecord
from reactor.ports.stores import Log
from reactor.runs.host import Workers
from reactor.testing.faulty_logs import LogAround
from reactor.testing.virtual_clock import VirtualClock
from reactor.waiting import turn_of

LOOK_SECONDS: Final = 0.000_01
"""What a look at the turn of the loop takes in virtual time, and nothing else."""

T = TypeVar("T")


@asynccontextmanager
async def virtual_engine(
    log: str | Log = "memory://", *, clock: VirtualClock | None = None, **options: Any
) -> AsyncGenerator[tuple[Engine, VirtualClock]]:
    """An engine and its clock: delays and timeouts of hours pass in milliseconds, the same at each run.

        async with virtual_engine(workflows=[flow]) as (engine, clock):
            run = await engine.start(flow)
            await run                        # however long its retries wait
            assert clock.monotonic() == 3600

    Time stands still while anything works: the loop, a ``def`` body in its thread or process, a log in a file. Then it
    jumps to the next delay, timeout or pause that is due. ``options`` are those of ``Engine``.

    - ``clock``: one of your own, such as ``VirtualClock(jumps=False)``, which stands still until ``clock.advance(60)``.
    """
    clock = VirtualClock() if clock is None else clock
    engine = _VirtualEngine(open_log(log) if isinstance(log, str) else log, clock, options)
    turn = turn_of(get_running_loop())
    turn.keep_time(partial(next, count(0.0, LOOK_SECONDS)))  # a turn has so many looks, however fast the machine is
    try:
        async with engine:
            try:
                yield engine, clock
            finally:
                clock.jumps = True  # the end of the engine waits by it, and nobody is left to advance it
    finally:
        turn.keep_time()


class _VirtualEngine(Engine):
    def __init__(self, log: Log, clock: VirtualClock, options: dict[str, Any]) -> None:
        super().__init__(_watched(log, clock), clock=clock, **options)
        self._virtual = clock

    def _make_workers(self, loop: AbstractEventLoop) -> Workers:
        workers, clock = super()._make_workers(loop), self._virtual
        workers.executors = {
            name: executor if name == "loop" else _WatchedExecutor(executor, clock)
            for name, executor in workers.executors.items()
        }
        begins, ends = workers.wait_begins, workers.wait_ends

        def wait_begins(executor: str, run_id: str, task_id: str) -> None:
            begins(executor, run_id, task_id)
            if executor != "loop":  # it waits for the loop, so time may go on
                clock.end_hold()

        def wait_ends(executor: str) -> None:
            ends(executor)
            if executor != "loop":
                clock.begin_hold()

        workers.wait_begins, workers.wait_ends = wait_begins, wait_ends
        return workers


class _WatchedExecutor:
    """Implements ``Executor``: time stands still while a body runs there, unless the body waits for an answer."""

    def __init__(self, inner: Executor, clock: VirtualClock) -> None:
        self._inner = inner
        self._clock = clock

    def submit(self, work: Work, done: Done) -> Job:
        watched = _WatchedJob(self._clock)

        def end(output: Any, error: BaseException | None) -> None:
            watched.let_go()
            done(output, error)

        watched.inner = self._inner.submit(work, end)
        return watched

    async def close(self) -> None:
        await self._inner.close()


class _WatchedJob:
    """Implements ``Job``."""

    inner: Job

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self._holds = True
        clock.begin_hold()

    def let_go(self) -> None:
        if self._holds:
            self._holds = False
            self._clock.end_hold()

    def cancel(self) -> None:
        self.inner.cancel()

    def abandon(self) -> bool:
        self.let_go()
        return self.inner.abandon()

    @property
    def saw_cancel(self) -> bool:
        return self.inner.saw_cancel


def _watched(log: Log, clock: VirtualClock) -> Log:
    """The log, which holds the clock while it works. One that is late on purpose waits by the clock: it does not."""
    if isinstance(log, MemoryLog):
        return log  # it answers at once
    if isinstance(log, _WatchedLog):
        return _WatchedLog(log.inner, clock)
    if isinstance(log, LogAround):
        log.put_around_inner(lambda inner: _watched(inner, clock))
        return log
    return _WatchedLog(log, clock)


class _WatchedLog(LogAround):
    """A log that holds the clock while it works: one with threads or a network answers in the time of the machine."""

    def __init__(self, inner: Log, clock: VirtualClock) -> None:
        super().__init__(inner)
        self._watching = clock

    def _held(self, future: asyncio.Future[T]) -> asyncio.Future[T]:
        if not future.done():
            self._watching.begin_hold()
            future.add_done_callback(lambda _: self._watching.end_hold())
        return future

    def append(self, run_id: str, window: Window, *, tenant: str = "") -> asyncio.Future[int]:
        return self._held(super().append(run_id, window, tenant=tenant))

    def remember(self, key: str, value: bytes, until: float) -> asyncio.Future[None]:
        return self._held(super().remember(key, value, until))

    def keep_checkpoint(self, run_id: str, seq: int, state: bytes, *, tenant: str = "") -> asyncio.Future[None]:
        return self._held(super().keep_checkpoint(run_id, seq, state, tenant=tenant))

    async def read(self, run_id: str, after: int, limit: int, *, tenant: str = "") -> list[Event]:
        with self._watching.hold():
            return await super().read(run_id, after, limit, tenant=tenant)

    async def base(self, run_id: str, *, tenant: str = "") -> RunState:
        with self._watching.hold():
            return await super().base(run_id, tenant=tenant)

    async def blob(self, run_id: str, seq: int, *, tenant: str = "") -> bytes | None:
        with self._watching.hold():
            return await super().blob(run_id, seq, tenant=tenant)

    async def record(self, run_id: str, *, tenant: str = "") -> RunRecord:
        with self._watching.hold():
            return await super().record(run_id, tenant=tenant)

    async def unfinished(self) -> list[RunRecord]:
        with self._watching.hold():
            return await super().unfinished()

    async def recall(self, key: str, now: float) -> bytes | None:
        with self._watching.hold():
            return await super().recall(key, now)

    async def checkpoint(self, run_id: str, until: int, *, tenant: str = "") -> bytes | None:
        with self._watching.hold():
            return await super().checkpoint(run_id, until, tenant=tenant)

    async def schedules(self) -> list[ScheduleRecord]:
        with self._watching.hold():
            return await super().schedules()

    async def replace_schedule(self, before: ScheduleRecord | None, after: ScheduleRecord | None) -> bool:
        with self._watching.hold():
            return await super().replace_schedule(before, after)

    async def mark_stop(self) -> None:
        with self._watching.hold():
            await super().mark_stop()
