"""Daemon threads of our own for ``def`` bodies.

The loop's default executor would not do: blocked bodies would starve everything else that runs there, and its threads
keep a process alive until the last body has returned.
"""

from __future__ import annotations

import contextvars
import threading
import time
from asyncio import AbstractEventLoop
from queue import SimpleQueue
from typing import Any

from reactor import bounds
from reactor.errors import ThreadsExhausted
from reactor.executors.local import local_line, log_late
from reactor.ports.executor import Done, Work


class ThreadExecutor:
    """Implements ``Executor``: a thread for each body. The caller limits how many run at once.

    A thread cannot be stopped from outside. An abandoned one is counted, and a new one takes its place. While there are
    ``bounds.ABANDONED_THREADS`` of them, every further body fails at once with ThreadsExhausted.
    """

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._loop = loop
        self._work: SimpleQueue[ThreadJob | None] = SimpleQueue()
        self._idle = 0
        self._threads = 0
        self.abandoned = 0
        """How many threads still run an abandoned body."""

    def submit(self, work: Work, done: Done) -> ThreadJob:
        """Runs the body in a copy of the current ``contextvars`` context."""
        job = ThreadJob(self, work, done, contextvars.copy_context())
        if self.abandoned >= bounds.ABANDONED_THREADS:
            self._loop.call_soon(self._on_done, job, None, _exhausted(work))
            self._idle -= 1  # no thread was taken, and ``_on_done`` adds one
            return job
        if self._idle > 0:
            self._idle -= 1
        else:
            self._threads += 1
            threading.Thread(target=self._serve, name=f"reactor-{self._threads}", daemon=True).start()
        self._work.put(job)
        return job

    async def close(self) -> None:
        """Lets idle threads go; busy ones end with their body."""
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
        self._idle += 1
        job.close()
        if job.is_abandoned:
            self.abandoned -= 1
            log_late(job.work, job.asked, error)
        else:
            job.done(output, error)


def _exhausted(work: Work) -> ThreadsExhausted:
    return ThreadsExhausted(
        f"task {work.task_id} of run {work.run_id} cannot start: {bounds.ABANDONED_THREADS} threads of cancelled "
        "bodies still run in this process",
        run_id=work.run_id,
        task_id=work.task_id,
    )


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
            self._executor.abandoned += 1
        return False
