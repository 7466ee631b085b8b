"""A process that runs bodies, one at a time, for the engine at the other end of its pipe.

The main thread runs them, because only that one can be interrupted; another reads the pipe, and where the pipe ends
this process ends at once. What the engine sends: ``body``, ``cancel``, ``answer``; what it gets: ``ready``, ``begun``,
``say``, ``ask``, ``progress``, ``done``.
"""

from __future__ import annotations

import asyncio
import inspect
import io
import os
import pickle
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import replace
from queue import SimpleQueue
from typing import Any

from reactor.context.context import Context
from reactor.definition.address import importing, load_file, resolve
from reactor.executors.processes.messages import Message, Parcel, pack_error
from reactor.executors.processes.pipe import Pipe, PipeLine
from reactor.ports.attempt import Attempt


class BodyCancelled(BaseException):
    """Raised in a ``def`` body that is interrupted by a cancel; ``except Exception`` lets it by."""


class Body:
    """One body; what cancels it comes from the thread that reads the pipe."""

    def __init__(self, pipe: Pipe, parcel: Parcel) -> None:
        self.number = parcel.number
        self.line = PipeLine(pipe, parcel.number, parcel.ids)
        self._parcel = parcel
        self._is_cancelled = False
        self._can_stop = False
        self._is_past_stop = False
        """It was interrupted, or has ended."""
        self._stop: Callable[[], None] = _raise_cancelled

    def run(self) -> bytes:
        """The pickled output. Raises what the body raises, and BodyCancelled where a cancel interrupts it."""
        try:
            self._can_stop = True
            self.stop()  # where the cancel was here first
            return self._packed(self._call())
        finally:
            self._can_stop = False
            self._is_past_stop = True
            self._parcel = replace(self._parcel, values=b"")  # an idle worker holds no body's values

    def cancel(self) -> None:
        """Another thread's: interrupts the body, then lets go whoever else it holds."""
        self._is_cancelled = True
        self.line.cancel()
        _signal_main_thread()
        threading.Thread(target=self._insist, name="reactor-interrupt", daemon=True).start()
        self.line.wake()

    def _insist(self) -> None:
        """Signals again: one that comes just before a system call does not keep it from waiting."""
        pause = 0.01
        while not self._is_past_stop:
            time.sleep(pause)
            pause = min(2 * pause, 0.5)
            _signal_main_thread()

    def stop(self) -> None:
        """The main thread's, in the middle of whatever it does: interrupts the body, once."""
        if self._is_cancelled and self._can_stop:
            self._can_stop = False
            self._is_past_stop = True
            self._stop()

    def _call(self) -> Any:
        parcel = self._parcel
        sys.path[:] = parcel.path
        function = resolve(parcel.address)
        values = _Unpickler(parcel.values, parcel.main).load()
        arguments: dict[str, Any] = values[0]
        if parcel.context is not None:
            attempt: Attempt = values[1]
            arguments[parcel.context] = Context(attempt, self.line)
        if inspect.iscoroutinefunction(function):
            return self._run_async(function(**arguments))
        return function(**arguments)

    def _run_async(self, body: Coroutine[Any, Any, Any]) -> Any:
        async def run() -> Any:
            loop, task = asyncio.get_running_loop(), asyncio.current_task()

            def cancel() -> None:  # the same as on the loop of an engine
                if task is not None and not task.done():
                    loop.call_soon_threadsafe(task.cancel)  # from a signal: only this ends a wait in the selector

            self._stop = cancel
            return await body

        return asyncio.run(run())

    def _packed(self, output: Any) -> bytes:
        try:
            return pickle.dumps(output, pickle.HIGHEST_PROTOCOL)
        except Exception as error:  # of a user's __reduce__, any
            who = f"task {self._parcel.ids['task_id']} of run {self._parcel.ids['run_id']}"
            raise TypeError(f"the output of {who} cannot leave its process: {error}") from error


class Worker:
    """Takes bodies from the pipe until it ends."""

    def __init__(self, end: socket.socket) -> None:
        self._pipe = Pipe(end)
        self._bodies: SimpleQueue[Body] = SimpleQueue()
        self._body: Body | None = None

    def serve(self) -> None:
        """Never returns: this process ends where the pipe does."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all of a terminal; the engine decides
        signal.signal(signal.SIGTERM, self._signalled)
        threading.Thread(target=self._read, name="reactor-reader", daemon=True).start()
        self._pipe.send(("ready", 0))
        while True:
            body = self._bodies.get()
            self._pipe.send(("begun", body.number))
            self._pipe.send(("done", body.number, *_outcome(body)))
            del body

    def _read(self) -> None:
        try:
            while True:
                self._hear(self._pipe.read())
        except BaseException:
            traceback.print_exc()
            os._exit(70)  # nobody could speak with this process any more

    def _hear(self, message: Message) -> None:
        kind, number, *rest = message
        if kind == "body":
            self._body = Body(self._pipe, rest[0])
            self._bodies.put(self._body)
        elif self._body is None or self._body.number != number:
            pass  # it has ended meanwhile
        elif kind == "cancel":
            self._body.cancel()
        else:
            self._body.line.answer(*rest)

    def _signalled(self, *_: object) -> None:
        """Without a cancel a SIGTERM is one to the whole group: the engine decides what becomes of its bodies."""
        if self._body is not None:
            self._body.stop()


def _outcome(body: Body) -> tuple[bytes | None, bytes | None, bool, bool]:
    """Runs it: its output, what it raised, whether it saw a cancel, whether BodyCancelled is what it raised."""
    output = error = None
    was_interrupted = False
    try:
        output = body.run()
    except BodyCancelled:
        was_interrupted = True
    except BaseException as raised:  # SystemExit included: a body does not end its worker
        error = pack_error(raised)
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):  # closed or replaced by the body
            stream.flush()
    body.line.close()
    return output, error, body.line.saw_cancel, was_interrupted


def _signal_main_thread() -> None:
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)  # ends a system call that waits


def _raise_cancelled() -> None:
    raise BodyCancelled


class _Unpickler(pickle.Unpickler):
    """Knows that the engine's ``__main__`` is a file here, and loads it where a value is of one of its classes."""

    def __init__(self, data: bytes, main: tuple[str, str] | None) -> None:
        super().__init__(io.BytesIO(data))
        self._main = main

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        if module_name == "__main__" and self._main is not None:
            with importing:
                load_file(*self._main)
        return super().find_class(module_name, global_name)


def main(fd: int) -> None:
    """What a new process runs; ``fd`` is its end of the pipe."""
    Worker(socket.socket(fileno=fd)).serve()
