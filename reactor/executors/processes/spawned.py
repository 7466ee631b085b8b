"""The engine's end of a worker process: starts it, speaks with it, and makes sure that it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
from asyncio import AbstractEventLoop
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, Protocol, cast

from reactor.executors.processes.job import ProcessJob
from reactor.executors.processes.messages import MessageBuffer, PipeMessage, pack_message

LEAVE_SECONDS: Final = 1.0
"""How long a worker may take to end by itself, before it is killed."""


class Pool(Protocol):
    """What a worker needs of its executor."""

    def on_free(self, worker: SpawnedWorker) -> None:
        """Called when the worker is ready for a body."""
        ...

    def on_gone(self, worker: SpawnedWorker, error: Exception | None) -> None:
        """Called when it has ended and is reaped. ``error``: why it could not be started."""
        ...


class SpawnedWorker(asyncio.Protocol):
    """One worker process. Loop thread only, except ``_live``, the thread that starts it and waits for its end."""

    def __init__(self, loop: AbstractEventLoop, pool: Pool) -> None:
        self.job: ProcessJob | None = None
        self.ended: asyncio.Future[None] = loop.create_future()
        """Done once the process has ended and its pipe is read to the end."""
        self._loop = loop
        self._pool = pool
        self._incoming = MessageBuffer()
        self._transport: asyncio.Transport | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._connecting: asyncio.Task[Any] | None = None
        self._code: int | None = None
        self._is_read_to_end = False
        self._is_leaving = False
        self._is_to_be_killed = False
        threading.Thread(target=self._live, name="reactor-worker", daemon=True).start()

    @property
    def pid(self) -> int | None:
        """The process id; None before the process has started and after it has ended."""
        return self._process.pid if self._process is not None and self._code is None else None

    @property
    def can_work(self) -> bool:
        return not self._is_leaving and not self.ended.done()

    # --- bodies ---

    def take(self, job: ProcessJob) -> None:
        """Runs a body; the worker must be free."""
        self.job = job
        job.begin(self)

    def send(self, message: PipeMessage) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(pack_message(message))

    def _on_message(self, message: PipeMessage) -> None:
        kind, body_id, *rest = message
        if kind == "ready":
            self._free()
        elif self.job is None or self.job.body_id != body_id:
            pass  # from a thread that an earlier body has left behind
        elif kind == "done":
            job, self.job = self.job, None
            if job.is_cancelled:
                self.let_go()  # the interrupt may have left a lock locked, or an import half done
            else:
                self._free()
            job.on_done(*rest)
        else:
            self.job.on_message(kind, *rest)

    def _free(self) -> None:
        if self.can_work:
            self._pool.on_free(self)

    # --- its end ---

    def let_go(self) -> None:
        """Ends it soon: closes its pipe, upon which it exits, and kills it where it does not."""
        self._is_leaving = True
        if self._transport is not None:
            self._transport.abort()
        self._loop.call_later(LEAVE_SECONDS, self.kill)

    def kill(self) -> None:
        """Ends it now; in the middle of a body also what that has started."""
        self._is_leaving = self._is_to_be_killed = True
        if self.pid is not None and self._process is not None:
            self._kill_group()
            self._process.kill()

    def _kill_group(self) -> None:
        """Ends what the body has started. What a body leaves behind at its end goes on."""
        if self.job is not None and self._process is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def _end(self) -> None:
        """Ends this worker once the process has exited and its pipe is read to the end."""
        if self._code is None or not self._is_read_to_end or self.ended.done():
            return
        self._is_leaving = True
        self.ended.set_result(None)
        self._pool.on_gone(self, None)

    def how_it_ended(self) -> str:
        """In words: ``ended with exit code 3``, ``was ended by SIGKILL``."""
        code = self._code or 0
        if code >= 0:
            return f"ended with exit code {code}"
        try:
            return f"was ended by {signal.Signals(-code).name}"
        except ValueError:
            return f"was ended by signal {-code}"

    # --- the thread ---

    def _live(self) -> None:
        """Starts the process, off the loop, and waits for its exit: a process can outlive the end of its pipe."""
        try:
            ours, process = _spawn()
        except Exception as error:  # no more descriptors, or processes
            self._post(self._not_started, error)
            return
        if not self._post(self._started, process, ours):
            ours.close()
            process.kill()
        self._post(self._exited, process.wait())

    def _post(self, call: Callable[..., None], *arguments: Any) -> bool:
        try:
            self._loop.call_soon_threadsafe(call, *arguments)
        except RuntimeError:  # the loop has closed: nobody waits
            return False
        return True

    def _not_started(self, error: Exception) -> None:
        self._is_leaving = True
        self.ended.set_result(None)
        self._pool.on_gone(self, error)

    def _started(self, process: subprocess.Popen[bytes], end: socket.socket) -> None:
        self._process = process
        if self._is_to_be_killed:
            process.kill()
        end.setblocking(False)
        self._connecting = self._loop.create_task(self._connect(end))

    async def _connect(self, end: socket.socket) -> None:
        await self._loop.create_unix_connection(lambda: self, sock=end)

    def _exited(self, code: int) -> None:
        self._code = code
        self._kill_group()  # the body may be tried again
        if not self._is_read_to_end:  # a process that the body started may hold the pipe open
            self._loop.call_later(LEAVE_SECONDS, self._stop_reading)
        self._end()

    def _stop_reading(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # --- asyncio.Protocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self._is_leaving:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        for message in self._incoming.feed(data):
            self._on_message(message)

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_read_to_end = True
        if not self._is_leaving:
            self.kill()  # without its pipe it is of no use; if it is already ending, this changes nothing
        self._end()


def _spawn() -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """A process, and our end of its pipe."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with theirs:
            return ours, _interpreter(theirs.fileno())
    except BaseException:
        ours.close()
        raise


def _interpreter(fd: int) -> subprocess.Popen[bytes]:
    """Starts a fresh interpreter. A fork would copy locks and file descriptors."""
    # -P, and sys.path inside the code: else a random.py in the working directory would be imported
    begin = f"from reactor.executors.processes.worker import main; main({fd}, {os.getpid()})"
    return subprocess.Popen(
        [sys.executable, "-P", "-c", f"import sys; sys.path[:] = {sys.path!r}; {begin}"],
        pass_fds=[fd],
        close_fds=True,
        stdin=subprocess.DEVNULL,
        process_group=0,  # what a body starts is in it, unless it asks for a session of its own
    )
