"""Gives bodies to worker processes."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio import AbstractEventLoop
from collections import deque
from itertools import count
from typing import Final

from reactor.definition.address import importing, main_place
from reactor.errors import EngineClosed
from reactor.executors.processes.job import ProcessJob
from reactor.executors.processes.spawned import LEAVE_SECONDS, SpawnedWorker
from reactor.ports.executor import Done, Work


class ProcessExecutor:
    """Implements ``Executor``: a process for each body. The caller limits how many run at once.

    It keeps ``workers`` idle processes for the next bodies; by default as many as there are processors. A worker
    imports the function of the task by its address; the arguments and the output are pickled.
    """

    abandoned: Final = 0
    """Always 0, because an abandoned body is killed."""

    def __init__(self, loop: AbstractEventLoop, *, workers: int | None = None) -> None:
        if workers is not None and workers < 0:
            raise ValueError(f"workers must be a number of idle processes, from 0, not {workers}")
        self._loop = loop
        self._kept = (os.cpu_count() or 1) if workers is None else workers
        self._body_ids = count(1)
        self._workers: set[SpawnedWorker] = set()
        self._starting: set[SpawnedWorker] = set()
        self._idle: list[SpawnedWorker] = []
        self._waiting: deque[ProcessJob] = deque()
        """Bodies without a worker, oldest first; for each of them a worker is starting."""
        self._ends: float | None = None
        """When workers end by themselves; None: never."""
        self._is_closed = False
        main = main_place()
        if main is not None:  # in an output, a worker names a class of ``__main__`` by this module
            sys.modules.setdefault(main[1], sys.modules["__main__"])

    @property
    def children(self) -> list[int]:
        """The process ids of the live workers."""
        return [worker.pid for worker in self._workers if worker.pid is not None]

    def submit(self, work: Work, done: Done) -> ProcessJob:
        """Runs the body in a worker; ``done(output, error)`` is called on the loop, never inside ``submit``.

        The arguments are pickled at once. Where that fails, it is the error of the body: TypeError or ValueError.
        """
        job = ProcessJob(self._loop, work, done, next(self._body_ids), self._withdraw)
        try:
            if self._is_closed:
                raise EngineClosed(f"task {work.task.name} cannot start: its engine has closed")
            if importing.now:  # a script without the guard, imported by a worker, would start workers without end
                raise RuntimeError(
                    f"task {work.task.name} cannot start while its own module is being imported for it; "
                    'start workflows below if __name__ == "__main__"'
                )
            job.pack()
        except Exception as error:
            job.end_soon(error)
        else:
            self._place(job)
        return job

    def keep_until(self, ends: float) -> None:
        """Workers end at that time by ``boot_time``, with what their bodies have started, unless it is put off."""
        self._ends = ends
        for worker in self._workers:
            worker.send(("until", 0, ends))

    async def close(self) -> None:
        """Ends idle workers; interrupts busy ones, and kills them a second later. Returns when no process is left."""
        self._is_closed = True
        for job in tuple(self._waiting):
            job.cancel()
        for worker in self._workers:
            if worker.job is None:
                worker.let_go()
            else:
                worker.job.cancel()
        remaining = [worker.ended for worker in self._workers]
        if remaining:
            _, late = await asyncio.wait(remaining, timeout=LEAVE_SECONDS)
            for worker in self._workers:
                worker.kill()
            if late:
                await asyncio.wait(late)

    # --- who gets which worker ---

    def _place(self, job: ProcessJob) -> None:
        while self._idle:
            worker = self._idle.pop()  # the one used last: its memory is warm
            if worker.can_work:
                worker.take(job)
                return
        self._waiting.append(job)
        if len(self._starting) < len(self._waiting):
            try:
                worker = SpawnedWorker(self._loop, self)
            except RuntimeError as error:  # the system has no further thread
                self._waiting.remove(job)
                job.end_soon(error)
                return
            self._workers.add(worker)
            self._starting.add(worker)

    def _withdraw(self, job: ProcessJob) -> None:
        if job in self._waiting:
            self._waiting.remove(job)

    def on_free(self, worker: SpawnedWorker) -> None:
        """A worker has started, or its body has ended: it can take the next one."""
        if worker in self._starting:
            self._starting.discard(worker)
            if self._ends is not None:
                worker.send(("until", 0, self._ends))
        if self._waiting and not self._is_closed:
            worker.take(self._waiting.popleft())
        elif self._is_closed or len(self._idle) >= self._kept:
            worker.let_go()
        else:
            self._idle.append(worker)

    def on_gone(self, worker: SpawnedWorker, error: Exception | None) -> None:
        """A worker has ended, for whatever reason, and is reaped. ``error``: why it could not be started."""
        self._workers.discard(worker)
        if worker in self._idle:
            self._idle.remove(worker)
        job = worker.job
        if worker in self._starting:
            self._starting.discard(worker)
            if len(self._starting) < len(self._waiting):  # else no body waits for it
                job = self._waiting.popleft()
        if job is None:
            return
        if error is not None:
            job.end(None, error)
        elif job.may_begin_again and not self._is_closed:
            self._place(job)  # the worker was killed before it began the body
        else:
            job.fail_without_worker(worker.how_it_ended())
