"""Daemon threads of our own for ``def`` bodies.

The loop's default executor would not do: blocked bodies would starve everything else that runs there, and its threads
keep a process alive until the last body has returned.
"""

from __future__ import annotations

import contextvars
import threading
import time
from asyncio import AbstractEventLoop, TimerHandle
from collections.abc import Callable
from itertools import count
from queue import SimpleQueue
from typing import Any, Final

from reactor import bounds
from reactor.executors.local import local_line, log_late
from reactor.logger import get_logger
from reactor.ports.executor import Done, Work

logger = get_logger()

NAMED_TASKS: Final = 10
"""Tasks that a log line names as the holders of threads."""


class ThreadExecutor:
    """Implements ``Executor``, ``Exhaustible`` and ``HasThreads``: a thread for each body.

    The caller limits how many run at once.

    A thread cannot be stopped from outside. An abandoned one is counted, and a new one takes its place. While there are
    ``bounds.ABANDONED_THREADS`` of them, further bodies have to wait.

    Threads that were not needed for ``bounds.IDLE_THREAD_SECONDS`` end, but for ``bounds.IDLE_THREADS`` of them. The
    loop decides that, which also gives them bodies: so no thread ends for which a body was meant.
    """

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._loop = loop
        self._work: SimpleQueue[ThreadJob | None] = SimpleQueue()
        self._idle = 0
        self._least_idle = 0
        """The fewest since the last look: so many were not needed in all that time."""
        self._looking: TimerHandle | None = None
        """While more threads are idle than are kept."""
        self._threads = 0
        self._numbers = count(1)
        self._without_thread = 0
        """Bodies for which the system gave no thread. They wait for one that becomes idle."""
        self._stuck: dict[ThreadJob, None] = {}
        """Abandoned bodies that still run."""
        self._on_change: Callable[[bool], None] = _ignore

    @property
    def abandoned(self) -> int:
        """How many threads still run an abandoned body."""
        return len(self._stuck)

    @property
    def threads(self) -> int:
        """How many threads there are, idle ones too."""
        return self._threads

    def count_threads(self) -> dict[str, int]:
        """How many there are, by what they do."""
        idle, stuck = max(0, self._idle), self.abandoned
        return {"idle": idle, "busy": max(0, self._threads - idle - stuck), "stuck": stuck}

    def watch(self, on_change: Callable[[bool], None]) -> None:
        self._on_change = on_change

    def submit(self, work: Work, done: Done) -> ThreadJob:
        """Runs the body in a copy of the current ``contextvars`` context.

        Raises RuntimeError where the system gives no thread and there is none to wait for.
        """
        job = ThreadJob(self, work, done, contextvars.copy_context())
        if self._idle > 0:
            self._idle -= 1
            self._least_idle = min(self._least_idle, self._idle)
        else:
            self._start_thread()
        self._work.put(job)
        return job

    def _start_thread(self) -> None:
        thread = threading.Thread(target=self._serve, name=f"reactor-{next(self._numbers)}", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # the system has no more
            if self._threads <= self.abandoned:
                raise
            self._without_thread += 1
            logger.warning(
                "a def body waits: the system gives no further thread", threads=self._threads, why=str(error)
            )
        else:
            self._threads += 1

    async def close(self) -> None:
        """Lets idle threads go; busy ones end with their body."""
        if self._looking is not None:
            self._looking.cancel()
        for _ in range(self._threads):
            self._work.put(None)

    def _serve(self) -> None:
        while (job := self._work.get()) is not None:
            output, error = job.run()
            try:
                self._loop.call_soon_threadsafe(self._on_done, job, output, error)
            except RuntimeError:  # the loop has closed: nobody waits for the answer
                return
            del job, output, error  # an idle thread holds no body's values

    def _on_done(self, job: ThreadJob, output: Any, error: BaseException | None) -> None:
        if self._without_thread:
            self._without_thread -= 1
        else:
            self._idle += 1
            self._look_later()
        job.close()
        if job.is_abandoned:
            self._on_stuck_ended(job)
            log_late(job.work, job.asked, error)
        else:
            job.done(output, error)

    # --- threads that are not needed ---

    def _look_later(self) -> None:
        if self._looking is None and self._idle > bounds.IDLE_THREADS:
            self._least_idle = self._idle
            self._looking = self._loop.call_later(bounds.IDLE_THREAD_SECONDS, self._let_idle_go)

    def _let_idle_go(self) -> None:
        self._looking = None
        for _ in range(min(self._least_idle, self._idle) - bounds.IDLE_THREADS):
            self._idle -= 1  # now, and not when it ends: the next body must not count on it
            self._threads -= 1
            self._work.put(None)
        self._look_later()

    # --- threads that do not come back ---

    def on_abandoned(self, job: ThreadJob) -> None:
        """A body did not stop in time, and keeps its thread."""
        self._stuck[job] = None
        if self.abandoned == bounds.ABANDONED_THREADS:
            logger.warning(
                "no thread is left: def bodies wait until one of these has ended, which did not stop when told to",
                threads=self.abandoned,
                held_by=self._holders(),
            )
            self._on_change(False)

    def _on_stuck_ended(self, job: ThreadJob) -> None:
        if job in self._stuck:
            del self._stuck[job]
            if self.abandoned == bounds.ABANDONED_THREADS - 1:
                self._on_change(True)

    def _holders(self) -> str:
        """Who holds the threads: so many bodies of each task, with the run of the first one."""
        tasks: dict[str, list[str]] = {}
        for job in self._stuck:
            tasks.setdefault(job.work.task.name, []).append(f"task {job.work.task_id} of run {job.work.run_id}")
        return "; ".join(
            first if not others else f"{first} and {len(others)} more of {name}"
            for name, (first, *others) in list(tasks.items())[:NAMED_TASKS]
        )


def _ignore(_: bool) -> None:
    """Nobody watches."""


class ThreadJob:
    """Implements ``Job``: a body in a thread."""

    def __init__(self, executor: ThreadExecutor, work: Work, done: Done, context: contextvars.Context) -> None:
        self._executor = executor
        self._context = context
        self._arguments = dict(work.arguments)
        self._line = local_line(work, self._arguments)
        self.work = work
        self.done = done
        self.is_abandoned = False
        self.ended_at: float | None = None
        self.asked: float | None = None
        """When it was first cancelled, in seconds of ``time.monotonic``."""

    @property
    def saw_cancel(self) -> bool:
        return self._line is not None and self._line.saw_cancel

    def run(self) -> tuple[Any, BaseException | None]:
        """Calls the body, in the thread; returns (output, error)."""
        try:
            return self._context.run(self._call), None
        except BaseException as error:  # SystemExit included: a body does not end the server
            return None, error
        finally:
            self.ended_at = time.monotonic()

    def _call(self) -> Any:
        return self.work.task.function(**self._arguments)

    def close(self) -> None:
        """The body has ended: its arguments are released, and threads that it left behind are woken."""
        self._arguments = {}
        if self._line is not None:
            self._line.close()

    def cancel(self) -> None:
        self.asked = self.asked or time.monotonic()
        if self._line is not None:
            self._line.cancel()

    def abandon(self) -> bool:
        if not self.is_abandoned:
            self.is_abandoned = True
            if self.ended_at is None:  # else its answer is on its way to the loop
                self._executor.on_abandoned(self)
        return False
