"""Logs that misbehave, around one that does not: what a disk or a network does to a run, in ten lines."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

from reactor.events.event import Event, Window
from reactor.events.state import RunState
from reactor.ports.log import EventLog, RunRecord


class LogAround:
    """An ``EventLog`` that passes everything on to ``inner``."""

    def __init__(self, inner: EventLog) -> None:
        self.inner = inner

    def append(self, run_id: str, window: Window) -> asyncio.Future[None]:
        return self.inner.append(run_id, window)

    async def read(self, run_id: str, after: int, limit: int) -> list[Event]:
        return await self.inner.read(run_id, after, limit)

    async def base(self, run_id: str) -> RunState:
        return await self.inner.base(run_id)

    async def blob(self, run_id: str, seq: int) -> bytes | None:
        return await self.inner.blob(run_id, seq)

    async def record(self, run_id: str) -> RunRecord:
        return await self.inner.record(run_id)

    async def records(
        self, *, status: str | None, workflow: str | None, before: str | None, limit: int
    ) -> list[RunRecord]:
        return await self.inner.records(status=status, workflow=workflow, before=before, limit=limit)

    async def recall(self, key: str, now: float) -> bytes | None:
        return await self.inner.recall(key, now)

    def remember(self, key: str, value: bytes, until: float) -> asyncio.Future[None]:
        return self.inner.remember(key, value, until)

    @property
    def durable(self) -> bool:
        return self.inner.durable

    async def unfinished(self) -> list[RunRecord]:
        return await self.inner.unfinished()

    async def open(self) -> None:
        await self.inner.open()

    async def close(self) -> None:
        await self.inner.close()

    def _append_into(self, done: asyncio.Future[None], run_id: str, window: Window) -> None:
        """Appends now, for somebody who was given ``done`` before."""
        try:
            appended = self.inner.append(run_id, window)
        except Exception as error:  # who was given ``done`` must not wait for ever
            done.set_exception(error)
        else:
            appended.add_done_callback(lambda appended: self._pass_on(done, appended))

    @staticmethod
    def _pass_on(done: asyncio.Future[None], appended: asyncio.Future[None]) -> None:
        """Hands on what the inner log has answered."""
        if done.done():
            return
        if appended.cancelled():
            done.cancel()
        elif (error := appended.exception()) is not None:
            done.set_exception(error)
        else:
            done.set_result(None)


class SlowLog(LogAround):
    """Each append takes ``delay`` seconds more, on a timer of the loop.

    - ``keeps_at_once``: what it is given can be read at once, and only the answer is late: a writer in another thread.
    """

    def __init__(self, inner: EventLog, delay: float, *, keeps_at_once: bool = False) -> None:
        super().__init__(inner)
        self.delay = delay
        self.keeps_at_once = keeps_at_once

    def append(self, run_id: str, window: Window) -> asyncio.Future[None]:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        if self.keeps_at_once:
            self.inner.append(run_id, window).add_done_callback(
                lambda kept: loop.call_later(self.delay, self._pass_on, done, kept)
            )
        else:
            loop.call_later(self.delay, self._append_into, done, run_id, window)
        return done


class FaultyLog(LogAround):
    """Refuses, or does not answer, the appends of chosen runs from a seq on; all other runs are well.

    - ``raises``: their append raises at once; ``fails``: the future of their append does.
    - ``hangs``: their append is not done, and nothing is kept, before ``release()``.
    - ``after``: a window that begins up to this seq is taken.
    """

    def __init__(
        self,
        inner: EventLog,
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

    def append(self, run_id: str, window: Window) -> asyncio.Future[None]:
        if window[0].seq <= self.after:
            return self.inner.append(run_id, window)
        if run_id in self.raises:
            raise OSError(f"no space left for run {run_id}")
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if run_id in self.fails:
            done.set_exception(OSError(f"no space left for run {run_id}"))
        elif run_id in self.hangs:
            self._held.append(lambda: self._append_into(done, run_id, window))
        else:
            return self.inner.append(run_id, window)
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
