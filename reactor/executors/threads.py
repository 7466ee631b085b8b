"""Daemon threads of our own for ``def`` bodies.

Not the loop's default executor: blocked bodies would starve whatever else runs there, and its threads keep a process
alive that a body will not leave.
"""

from __future__ import annotations

import contextvars
import threading
from asyncio import AbstractEventLoop
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

import structlog

logger = structlog.get_logger("reactor")

Done = Callable[[Any, BaseException | None], None]


class ThreadExecutor:
    """Implements ``Executor``: a thread for each body. How many may run at once is the caller's to limit."""

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._loop = loop
        self._work: SimpleQueue[_ThreadJob | None] = SimpleQueue()
        self._idle = 0
        self._threads = 0
        self.abandoned = 0
        """Threads that did not answer a cancel and still run."""

    def submit(self, call: Callable[[], Any], done: Done) -> _ThreadJob:
        """Runs ``call`` in a copy of this context; ``done(output, error)`` is called on the loop."""
        job = _ThreadJob(self, call, done, contextvars.copy_context())
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

    def _finished(self, job: _ThreadJob, output: Any, error: BaseException | None) -> None:
        self._idle += 1
        if job.is_abandoned:
            self.abandoned -= 1
            logger.warning("an abandoned thread ended after all", thread=job.name)
        else:
            job.done(output, error)


class _ThreadJob:
    """A body in a thread."""

    def __init__(
        self, executor: ThreadExecutor, call: Callable[[], Any], done: Done, context: contextvars.Context
    ) -> None:
        self._executor = executor
        self._call = call
        self._context = context
        self.done = done
        self.name = ""
        self.is_abandoned = False

    def run(self) -> tuple[Any, BaseException | None]:
        self.name = threading.current_thread().name
        try:
            return self._context.run(self._call), None
        except BaseException as error:  # SystemExit included: a body does not end the server
            return None, error

    def abandon(self) -> None:
        """Stops waiting for the body; its thread is no longer counted on, and ``done`` is never called."""
        if not self.is_abandoned:
            self.is_abandoned = True
            self._executor.abandoned += 1
