"""``async def`` bodies, on the loop itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Final

import structlog

from reactor.bounds import BLOCKED_LOOP_SECONDS
from reactor.context.context import Context
from reactor.context.line import LocalLine
from reactor.operators.guarded import collector
from reactor.ports import Done, Work

logger = structlog.get_logger("reactor")

_FATAL: Final = (KeyboardInterrupt, GeneratorExit)
"""Not a body's to keep: recorded as its failure, then raised on."""


class LocalExecutor:
    """Implements ``Executor``. ``blocked(work, seconds)`` is told of a body that held the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, blocked: Callable[[Work, float], None]) -> None:
        self._loop = loop
        self._blocked = blocked
        self._bodies: set[asyncio.Task[None]] = set()
        """Strong references: the loop itself keeps only weak ones."""

    def submit(self, work: Work, done: Done) -> LocalJob:
        job = LocalJob(work, done, self._blocked)
        job.task = self._loop.create_task(job.drive())
        self._bodies.add(job.task)
        job.task.add_done_callback(self._bodies.discard)
        return job

    async def close(self) -> None:
        """Nothing idles here."""


class LocalJob:
    """A body on the loop."""

    __slots__ = ("_blocked", "_done", "_has_entered", "_is_abandoned", "_is_cancelled", "_line", "_work", "task")

    def __init__(self, work: Work, done: Done, blocked: Callable[[Work, float], None]) -> None:
        self._work = work
        self._done = done
        self._blocked = blocked
        self._line: LocalLine | None = None
        self._has_entered = False
        self._is_cancelled = False
        self._is_abandoned = False
        self.task: asyncio.Task[None]

    @property
    def saw_cancel(self) -> bool:
        return self._line is not None and self._line.saw_cancel

    def cancel(self) -> None:
        self._is_cancelled = True
        if self._line is not None:
            self._line.cancel()
        if self._has_entered:  # before its first step, cancelling the task would run none of ``drive``
            self.task.cancel()

    def abandon(self) -> bool:
        self._is_abandoned = True
        if not self._has_entered:
            self.task.cancel()
        return self.task.done()

    async def drive(self) -> None:
        self._has_entered = True
        try:
            if self._is_cancelled:
                raise asyncio.CancelledError
            output = await self._call()
        except BaseException as error:
            self._end(None, error)
            if isinstance(error, _FATAL):
                raise
        else:
            self._end(output, None)

    def _call(self) -> _Watched:
        arguments = dict(self._work.arguments)
        self._line = local_line(self._work, arguments)
        return _Watched(self._work.task.function(**arguments), self._held)

    def _held(self, seconds: float) -> None:
        if not self._is_abandoned:
            self._blocked(self._work, seconds)

    def _end(self, output: Any, error: BaseException | None) -> None:
        if self._line is not None:
            self._line.close()
        if not self._is_abandoned:
            self._done(output, error)
        else:
            log_late(self._work, output, error)


def local_line(work: Work, arguments: dict[str, Any]) -> LocalLine | None:
    """Adds the Context to the arguments of a body in this process; its line, where it takes one."""
    if work.context is None or work.attempt is None or work.voice is None:
        return None
    line = LocalLine(work.voice, run_id=work.run_id, task_id=work.task_id)
    arguments[work.context] = Context(work.attempt, line)
    return line


def log_late(work: Work, output: Any, error: BaseException | None) -> None:
    """An abandoned body has ended; nobody waits for it any more."""
    how = "completed" if error is None else type(error).__name__
    logger.warning("an abandoned body ended after all", how=how, run_id=work.run_id, task_id=work.task_id)


class _Watched:
    """Awaits a body step by step, and tells how long a step held the loop where that was too long.

    A step is what runs between two suspensions; pauses of the garbage collector are nobody's fault. Told again only of
    a step that took twice as long.
    """

    __slots__ = ("_coroutine", "_held", "_longest")

    def __init__(self, coroutine: Coroutine[Any, Any, Any], held: Callable[[float], None]) -> None:
        self._coroutine = coroutine
        self._held = held
        self._longest = BLOCKED_LOOP_SECONDS

    def __await__(self) -> Generator[Any, Any, Any]:
        coroutine = self._coroutine
        send, throw, clock = coroutine.send, coroutine.throw, time.perf_counter
        raised: BaseException | None = None
        while True:
            began, collected = clock(), collector.seconds
            try:
                suspended = send(None) if raised is None else throw(raised)
            except StopIteration as stop:
                return stop.value
            finally:
                took = clock() - began - (collector.seconds - collected)
                if took > self._longest:
                    self._longest = 2 * took
                    self._held(took)
            try:
                yield suspended
                raised = None
            except BaseException as error:  # whatever the loop throws in is the body's to see
                raised = error
