"""``async def`` bodies, on the loop itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Generator
from types import FrameType
from typing import Any, Final

from reactor.bounds import BLOCKED_LOOP_SECONDS, LAST_CANCEL_SECONDS
from reactor.context.context import Context
from reactor.context.line import LocalLine
from reactor.interrupts import is_from_signal
from reactor.logger import get_logger
from reactor.operators.guarded import collector
from reactor.ports.executor import Done, Work
from reactor.waiting import READY, Turn, turn_of

logger = get_logger()

_left: Final[list[object]] = []
"""Bodies that were left behind. Were one collected, its code would run once more, to be told of that."""
LATE_SECONDS: Final = 1.0
"""A body that ends within so many seconds of its cancel has done what it was asked, also where nobody waited for it."""


class LocalExecutor:
    """Implements ``Executor``. ``blocked(work, seconds)`` is called when a body has held the loop too long."""

    def __init__(self, loop: asyncio.AbstractEventLoop, blocked: Callable[[Work, float], None]) -> None:
        self._loop = loop
        self._blocked = blocked
        self._turn = turn_of(loop)
        self.standing: Callable[[], Awaitable[None]] | None = None
        """Where processes share a log: done at once while the runs of this one are still its own. It is asked again at
        the first step of a body, for the process may have stood still since ``submit``."""
        self._jobs: set[LocalJob] = set()
        """Strong references, because the loop keeps only weak ones."""

    def submit(self, work: Work, done: Done) -> LocalJob:
        job = LocalJob(work, done, self._blocked, self._jobs, self._turn, self.standing)
        self._jobs.add(job)
        # not ``loop.create_task``: an eager task factory would run the first step inside ``submit``
        job.task = asyncio.Task(job, loop=self._loop)
        return job

    async def close(self) -> None:
        """Does nothing: no idle workers are kept."""


class LocalJob(Coroutine[Any, None, None]):
    """A body on the loop. It is also the coroutine that the body's asyncio task runs, to time each step of the body.

    A step is what runs between two suspensions: one ``send`` or ``throw``. A step that holds the loop too long is
    reported, and later ones only if they take twice as long; pauses of the garbage collector do not count. An ``async
    def`` around the body could time it too, but would cost two more frames at each step.
    """

    __slots__ = (
        "_asked", "_asks", "_blocked", "_body", "_done", "_is_abandoned", "_is_left", "_jobs", "_line", "_longest",
        "_standing", "_turn", "_work", "task",
    )  # fmt: skip

    def __init__(
        self, work: Work, done: Done, blocked: Callable[[Work, float], None], jobs: set[LocalJob], turn: Turn,
        standing: Callable[[], Awaitable[None]] | None,
    ) -> None:  # fmt: skip
        self._work = work
        self._done = done
        self._blocked = blocked
        self._jobs = jobs
        self._turn = turn
        self._standing = standing
        self._line: LocalLine | None = None
        self._body: Coroutine[Any, Any, Any] | None = None
        """None until its first step."""
        self._longest = BLOCKED_LOOP_SECONDS
        self._is_abandoned = False
        self._asked: float | None = None
        """When it was first cancelled, in seconds of ``time.monotonic``."""
        self._asks = 0
        """How often it was cancelled as a job."""
        self._is_left = False
        self.task: asyncio.Task[None]

    @property
    def name(self) -> str:
        """Which body it is, for log lines."""
        return f"task {self._work.task_id} of run {self._work.run_id}"

    # --- as a job ---

    @property
    def saw_cancel(self) -> bool:
        return self._line is not None and self._line.saw_cancel

    def cancel(self) -> None:
        if self._line is not None:
            self._line.cancel()
        self._asked = self._asked or time.monotonic()
        self._asks += 1
        self.task.cancel()

    def abandon(self) -> bool:
        self._is_abandoned = True
        if self._body is None:
            self.task.cancel()
        return self._body is None or self.task.done()

    # --- as a coroutine ---

    def send(self, value: None, /) -> Any:
        return self._step(None)

    def throw(self, kind: Any, value: Any = None, traceback: Any = None, /) -> Any:
        thrown = kind if isinstance(kind, BaseException) else value or kind()
        if self._is_left and not isinstance(thrown, GeneratorExit):
            self._jobs.discard(self)
            raise StopIteration  # the body stays where it is
        if self._is_abandoned and self.task.cancelling() > self._asks:
            self.task.get_loop().call_later(LAST_CANCEL_SECONDS, self._leave)
        return self._step(thrown)

    def _leave(self) -> None:
        """Ends the asyncio task of an abandoned body which has swallowed the last cancel, that of the end of its loop.

        ``asyncio.run`` waits for all tasks. A body that goes on for ever must not keep the process.
        """
        if not self.task.done() and self.task.cancelling() > self._asks:  # else it was a timeout of the body's own
            run_id, task_id = self._work.run_id, self._work.task_id
            logger.error("a body does not stop and is left behind", run_id=run_id, task_id=task_id)
            self._is_left = True
            _left.append(self._body)
            self.task.cancel()

    def close(self) -> None:
        if self._body is not None:
            self._body.close()

    def __await__(self) -> Generator[Any, None, None]:
        raise TypeError("a job is run by its own task")

    def _step(self, thrown: BaseException | None) -> Any:
        """Runs one step; returns what the body waits for, raises StopIteration once it has ended, in whatever way."""
        began, collected = time.perf_counter(), collector.seconds
        self._turn.step(began)
        output = failed = None
        try:
            body = self._body
            if thrown is not None:
                if body is None:  # cancelled before its first step
                    raise thrown
                return body.throw(thrown)
            if body is None:
                body = self._body = self._begin()
            return body.send(None)
        except StopIteration as stop:
            output = stop.value
        except BaseException as error:
            failed = error
        finally:
            took = time.perf_counter() - began - (collector.seconds - collected)
            if took > self._longest and not self._is_abandoned:
                self._longest = 2 * took
                self._blocked(self._work, took)
        self._end(output, failed)
        if failed is not None and (is_from_signal(failed) or (failed is thrown and isinstance(failed, GeneratorExit))):
            raise failed  # it means the process, or this coroutine, and not the body
        failed = None  # else its traceback and this frame keep each other alive
        raise StopIteration

    def _begin(self) -> Coroutine[Any, Any, Any]:
        work = self._work
        arguments = dict(work.arguments)
        if work.context is not None:
            self._line = local_line(work, arguments)
        try:
            body: Coroutine[Any, Any, Any] = work.task.function(**arguments)
        except StopIteration as stop:  # of a wrapper around the body; else it would count as the end of the body
            raise RuntimeError("the call of the body raised StopIteration") from stop
        standing = READY if self._standing is None else self._standing()
        return body if standing is READY else _behind(standing, body)

    def _end(self, output: Any, error: BaseException | None) -> None:
        self._jobs.discard(self)
        if self._line is not None:
            self._line.close()
        if not self._is_abandoned:
            self._done(output, error)
        elif self._body is not None:
            log_late(self._work, self._asked, error)

    # --- for debuggers: ``asyncio.all_tasks()`` shows the body and the line it is at ---

    @property
    def __name__(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]  # read-only here
        return self._work.task.function.__qualname__

    @property
    def cr_frame(self) -> FrameType | None:
        return getattr(self._body, "cr_frame", None)


async def _behind(standing: Awaitable[None], body: Coroutine[Any, Any, Any]) -> Any:
    try:
        await standing
    except BaseException:
        body.close()
        raise
    return await body


def local_line(work: Work, arguments: dict[str, Any]) -> LocalLine | None:
    """Adds the Context of a body in this process to its arguments and returns its line; None if it takes no Context."""
    if work.context is None or work.attempt is None or work.voice is None:
        return None
    line = LocalLine(work.voice, run_id=work.run_id, task_id=work.task_id)
    arguments[work.context] = Context(work.attempt, line)
    return line


def log_late(work: Work, asked: float | None, error: BaseException | None) -> None:
    """Logs that an abandoned body has ended, unless it ended soon after it was ``asked`` to (``time.monotonic``).

    The end of an engine abandons its bodies as soon as it has cancelled them, and most of them then end at once.
    """
    seconds = None if asked is None else time.monotonic() - asked
    if seconds is not None and seconds < LATE_SECONDS:
        return
    logger.warning(
        "an abandoned body ended after all",
        run_id=work.run_id,
        task_id=work.task_id,
        how="completed" if error is None else type(error).__name__,
        seconds=None if seconds is None else round(seconds, 1),
    )
