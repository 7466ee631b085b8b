"""Daemon threads of our own for ``def`` bodies.

Not the loop's default executor: blocked bodies would starve whatever else runs there, and its threads keep a process
alive that a body will not leave.
"""

from __future__ import annotations

import contextvars
import threading
from asyncio import AbstractEventLoop
from queue import SimpleQueue
from typing import Any

from reactor import bounds
from reactor.errors import ThreadsExhausted
from reactor.executors.local import local_line, log_late
from reactor.ports.executor import Done, Work


class ThreadExecutor:
    """Implements ``Executor``: a thread for each body. How many may run at once is the caller's to limit.

    A thread cannot be stopped from outside. One that was abandoned is replaced and counted; above
    ``bounds.ABANDONED_THREADS`` of them every further body fails at once with ThreadsExhausted.
    """

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._loop = loop
        self._work: SimpleQueue[ThreadJob | None] = SimpleQueue()
        self._idle = 0
        self._threads = 0
        self.abandoned = 0
        """Threads that did not answer a cancel and still run."""

    def submit(self, work: Work, done: Done) -> ThreadJob:
        """The body runs in a copy of this context."""
        job = ThreadJob(self, work, done, contextvars.copy_context())
        if self.abandoned >= bounds.ABANDONED_THREADS:
            self._loop.call_soon(self._finished, job, None, _exhausted(work))
            self._idle -= 1  # which it counts up, as if one had run it
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
                self._loop.call_soon_threadsafe(self._finished, job, output, error)
            except RuntimeError:  # the loop closed first: nobody is left to tell
                return
            del job, output, error  # an idle thread holds no body's values

    def _finished(self, job: ThreadJob, output: Any, error: BaseException | None) -> None:
        self._idle += 1
        job.close()
        if job.is_abandoned:
            self.abandoned -= 1
            log_late(job.work, output, error)
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
    """A body in a thread."""

    def __init__(self, executor: ThreadExecutor, work: Work, done: Done, context: contextvars.Context) -> None:
        self._executor = executor
        self._context = context
        self._arguments = dict(work.arguments)
        self._line = local_line(work, self._arguments)
        self.work = work
        self.done = done
        self.is_abandoned = False

    @property
    def saw_cancel(self) -> bool:
        return self._line is not None and self._line.saw_cancel

    def run(self) -> tuple[Any, BaseException | None]:
        """In the thread: what the body returned, or raised."""
        try:
            return self._context.run(self._call), None
        except BaseException as error:  # SystemExit included: a body does not end the server
            return None, error

    def _call(self) -> Any:
        return self.work.task.function(**self._arguments)

    def close(self) -> None:
        """The body has ended; what it said is said, and nobody it left behind is held."""
        self._arguments = {}
        if self._line is not None:
            self._line.close()

    def cancel(self) -> None:
        if self._line is not None:
            self._line.cancel()

    def abandon(self) -> bool:
        if not self.is_abandoned:
            self.is_abandoned = True
            self._executor.abandoned += 1
        return False
