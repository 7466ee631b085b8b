"""Logs that misbehave, around one that does not: what a disk or a network does to a run, in ten lines."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import Unpack

from reactor.clock import SystemClock
from reactor.errors import LogUnavailable
from reactor.events.event import Event, Window
from reactor.events.state import RunState
from reactor.logs.stores import stores_of
from reactor.ports.clock import Clock
from reactor.ports.index import RunFilter
from reactor.ports.log import RunRecord
from reactor.ports.order import Committed, Removed
from reactor.ports.schedules import ScheduleRecord
from reactor.ports.stores import KeepsTime, Log, Probed


class LogAround:
    """A log that passes everything on to ``inner``. It has every port; what ``inner`` has not is kept in memory."""

    def __init__(self, inner: Log) -> None:
        self.inner = inner
        self._stores = stores_of(inner)

    def put_around_inner(self, around: Callable[[Log], Log]) -> None:
        """Puts another log between this one and its inner one. Before ``open``."""
        self.inner = around(self.inner)
        self._stores = stores_of(self.inner)

    def append(self, run_id: str, window: Window, *, tenant: str = "") -> asyncio.Future[int]:
        return self.inner.append(run_id, window, tenant=tenant)

    async def read(self, run_id: str, after: int, limit: int, *, tenant: str = "") -> list[Event]:
        return await self.inner.read(run_id, after, limit, tenant=tenant)

    async def base(self, run_id: str, *, tenant: str = "") -> RunState:
        return await self.inner.base(run_id, tenant=tenant)

    async def blob(self, run_id: str, seq: int, *, tenant: str = "") -> bytes | None:
        return await self.inner.blob(run_id, seq, tenant=tenant)

    async def committed(self, after: int, limit: int, *, root: str, tenant: str = "") -> list[Committed]:
        """Raises LogUnavailable where ``inner`` does not keep the order of commits."""
        if self._stores.order is None:
            raise LogUnavailable("this log does not keep the order of commits", path="")
        return await self._stores.order.committed(after, limit, root=root, tenant=tenant)

    async def whole(self, after: int, limit: int, *, tenant: str = "") -> list[Committed | Removed]:
        """Raises LogUnavailable where ``inner`` does not keep the order of commits."""
        if self._stores.whole is None:
            raise LogUnavailable("this log does not keep the order of commits", path="")
        return await self._stores.whole.whole(after, limit, tenant=tenant)

    async def of_runs(
        self, after: int, limit: int, *, runs: Sequence[str], tenant: str = ""
    ) -> list[Committed | Removed]:
        """Of a log that has only ``whole`` these runs are looked for in it."""
        if self._stores.of_runs is not None:
            return await self._stores.of_runs.of_runs(after, limit, runs=runs, tenant=tenant)
        while page := await self.whole(after, limit, tenant=tenant):
            if found := [entry for entry in page if entry.run_id in ("", *runs)]:
                return found
            after = page[-1].position
        return []

    async def record(self, run_id: str, *, tenant: str = "") -> RunRecord:
        return await self.inner.record(run_id, tenant=tenant)

    async def records(
        self, *, before: str | None, limit: int, tenant: str = "", **wanted: Unpack[RunFilter]
    ) -> list[RunRecord]:
        return await self.inner.records(before=before, limit=limit, tenant=tenant, **wanted)

    async def unfinished(self) -> list[RunRecord]:
        return await self.inner.unfinished()

    async def delete(self, run_id: str, *, tenant: str = "") -> None:
        await self.inner.delete(run_id, tenant=tenant)

    async def recall(self, key: str, now: float) -> bytes | None:
        return await self._stores.outputs.recall(key, now)

    def remember(self, key: str, value: bytes, until: float) -> asyncio.Future[None]:
        return self._stores.outputs.remember(key, value, until)

    async def checkpoint(self, run_id: str, until: int, *, tenant: str = "") -> bytes | None:
        return await self._stores.checkpoints.checkpoint(run_id, until, tenant=tenant)

    def keep_checkpoint(self, run_id: str, seq: int, state: bytes, *, tenant: str = "") -> asyncio.Future[None]:
        return self._stores.checkpoints.keep_checkpoint(run_id, seq, state, tenant=tenant)

    async def answer(self, key: str, *, run_id: str = "", tenant: str = "") -> bytes | None:
        return await self._stores.answers.answer(key, run_id=run_id, tenant=tenant)

    def keep_answer(self, key: str, answer: bytes, *, run_id: str = "", tenant: str = "") -> asyncio.Future[None]:
        return self._stores.answers.keep_answer(key, answer, run_id=run_id, tenant=tenant)

    async def take_stop(self) -> bool | None:
        return await self._stores.stops.take_stop()

    async def mark_stop(self) -> None:
        await self._stores.stops.mark_stop()

    async def digest_key(self) -> bytes:
        return await self._stores.key.digest_key()

    async def schedules(self) -> list[ScheduleRecord]:
        return await self._stores.schedules.schedules()

    async def replace_schedule(self, before: ScheduleRecord | None, after: ScheduleRecord | None) -> bool:
        return await self._stores.schedules.replace_schedule(before, after)

    async def probe(self) -> None:
        if isinstance(self.inner, Probed):
            await self.inner.probe()

    @property
    def durable(self) -> bool:
        return self.inner.durable

    def keep_time(self, clock: Clock, append_timeout: float) -> None:
        if isinstance(self.inner, KeepsTime):
            self.inner.keep_time(clock, append_timeout)

    async def open(self) -> None:
        await self.inner.open()

    async def close(self) -> None:
        await self.inner.close()

    def _append_into(self, done: asyncio.Future[int], run_id: str, window: Window, tenant: str) -> None:
        """Appends now, for somebody who was given ``done`` before."""
        try:
            appended = self.inner.append(run_id, window, tenant=tenant)
        except Exception as error:  # who was given ``done`` must not wait for ever
            done.set_exception(error)
        else:
            appended.add_done_callback(lambda appended: self._pass_on(done, appended))

    @staticmethod
    def _pass_on(done: asyncio.Future[int], appended: asyncio.Future[int]) -> None:
        """Hands on what the inner log has answered."""
        if done.done():
            return
        if appended.cancelled():
            done.cancel()
        elif (error := appended.exception()) is not None:
            done.set_exception(error)
        else:
            done.set_result(appended.result())


class SlowLog(LogAround):
    """Each append takes ``delay`` seconds more, on the clock of its engine.

    - ``keeps_at_once``: what it is given can be read at once, and only the answer is late: a writer in another thread.
    """

    def __init__(self, inner: Log, delay: float, *, keeps_at_once: bool = False) -> None:
        super().__init__(inner)
        self.delay = delay
        self.keeps_at_once = keeps_at_once
        self._clock: Clock = SystemClock()

    def keep_time(self, clock: Clock, append_timeout: float) -> None:
        super().keep_time(clock, append_timeout)
        self._clock = clock

    def append(self, run_id: str, window: Window, *, tenant: str = "") -> asyncio.Future[int]:
        call_later = self._clock.call_later
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        if self.keeps_at_once:
            self.inner.append(run_id, window, tenant=tenant).add_done_callback(
                lambda kept: call_later(self.delay, self._pass_on, done, kept)
            )
        else:
            call_later(self.delay, self._append_into, done, run_id, window, tenant)
        return done


class FaultyLog(LogAround):
    """Refuses, or does not answer, the appends of chosen runs from a seq on; all other runs are well.

    - ``raises``: their append raises at once; ``fails``: the future of their append does.
    - ``hangs``: their append is not done, and nothing is kept, before ``release()``.
    - ``after``: a window that begins up to this seq is taken.
    """

    def __init__(
        self,
        inner: Log,
        *,
        raises: Collection[str] = (),
        fails: Collection[str] = (),
        hangs: Collection[str] = (),
        after: int = 0,
    ) -> None:
        super().__init__(inner)
        self.raises = frozenset(raises)
        self.fails = frozenset(fails)
        self.hangs = set(hangs)
        self.after = after
        self._held: list[Callable[[], None]] = []

    def append(self, run_id: str, window: Window, *, tenant: str = "") -> asyncio.Future[int]:
        if window[0].seq <= self.after:
            return self.inner.append(run_id, window, tenant=tenant)
        if run_id in self.raises:
            raise OSError(f"no space left for run {run_id}")
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        if run_id in self.fails:
            done.set_exception(OSError(f"no space left for run {run_id}"))
        elif run_id in self.hangs:
            self._held.append(lambda: self._append_into(done, run_id, window, tenant))
        else:
            return self.inner.append(run_id, window, tenant=tenant)
        return done

    @property
    def held(self) -> int:
        """How many appends hang."""
        return len(self._held)

    def release(self) -> None:
        """Answers what hangs, and from now on at once."""
        held, self._held = self._held, []
        self.hangs.clear()
        for answer in held:
            answer()
