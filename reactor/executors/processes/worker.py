"""A process that runs bodies, one at a time, for the engine at the other end of its pipe.

The main thread runs the bodies, because only the main thread can be interrupted. Another thread reads the pipe; where
the pipe ends, this process ends at once. The engine sends ``body``, ``cancel``, ``answer``, ``until``; the worker sends
``ready``, ``begun``, ``say``, ``ask``, ``progress``, ``done``.
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

from reactor.definition.address import importing, load_file, resolve
from reactor.errors import BodyCancelled
from reactor.executors.processes.bound import end_with
from reactor.executors.processes.exceptions import pack_error, text_of
from reactor.executors.processes.messages import Parcel, PipeMessage
from reactor.executors.processes.pipe import Pipe, PipeLine
from reactor.executors.processes.seen import ProcessContext
from reactor.tracing.here import Inside, flush_spans


class Body:
    """One body in its worker. The main thread runs it; the thread that reads the pipe cancels it."""

    def __init__(self, pipe: Pipe, parcel: Parcel) -> None:
        self.body_id = parcel.body_id
        self.line = PipeLine(pipe, parcel.body_id, parcel.ids)
        self.trace = parcel.trace
        self._parcel = parcel
        self._is_cancelled = False
        self._can_stop = False
        """Whether an interrupt would hit the body, and nothing else."""
        self._is_past_stop = False
        """Whether it was interrupted, or has ended."""
        self._stop: Callable[[], None] = _raise_cancelled

    def run(self) -> bytes:
        """Runs it and returns the pickled output; raises what it raises, and BodyCancelled after an interrupt."""
        try:
            self._can_stop = True
            self.stop()  # the cancel may have come first
            return self._pack(self._call())
        finally:
            self._can_stop = False
            self._is_past_stop = True
            self._parcel = replace(self._parcel, values=b"")  # an idle worker keeps no values of a body

    def cancel(self) -> None:
        """Called by the other thread: interrupts the body, then wakes its threads that wait for an answer."""
        self._is_cancelled = True
        self.line.cancel()
        _signal_main_thread()
        threading.Thread(target=self._insist, name="reactor-interrupt", daemon=True).start()
        self.line.wake()

    def _insist(self) -> None:
        """Repeats the signal: one that comes just before a system call does not interrupt that call."""
        pause = 0.01
        while not self._is_past_stop:
            time.sleep(pause)
            pause = min(2 * pause, 0.5)
            _signal_main_thread()

    def stop(self) -> None:
        """Called in the main thread by the signal, in the middle of anything: interrupts the body, once."""
        if self._is_cancelled and self._can_stop:
            self._can_stop = False
            self._is_past_stop = True
            self._stop()

    def _call(self) -> Any:
        parcel = self._parcel
        sys.path[:] = parcel.path
        function = resolve(parcel.address)
        arguments, attempt, upstreams = _Unpickler(parcel.values, parcel.main).load()
        if parcel.context is not None:
            arguments[parcel.context] = ProcessContext(attempt, self.line, upstreams)
        with Inside(parcel.trace):
            if inspect.iscoroutinefunction(function):
                return self._run_async(function(**arguments))
            return function(**arguments)

    def _run_async(self, body: Coroutine[Any, Any, Any]) -> Any:
        async def run() -> Any:
            loop, task = asyncio.get_running_loop(), asyncio.current_task()

            def cancel() -> None:  # as LocalExecutor does it
                if task is not None and not task.done():
                    loop.call_soon_threadsafe(task.cancel)  # in a signal handler only this wakes the selector

            self._stop = cancel
            return await body

        return asyncio.run(run())

    def _pack(self, output: Any) -> bytes:
        try:
            return pickle.dumps(output, pickle.HIGHEST_PROTOCOL)
        except Exception as error:  # any: it may come from a user's __reduce__
            who = f"task {self._parcel.ids['task_id']} of run {self._parcel.ids['run_id']}"
            raise TypeError(f"the output of {who} cannot leave its process: {text_of(error)}") from error


class Worker:
    """Runs the bodies that come through the pipe."""

    def __init__(self, end: socket.socket) -> None:
        self._pipe = Pipe(end)
        self._bodies: SimpleQueue[Body] = SimpleQueue()
        self._body: Body | None = None

    def serve(self) -> None:
        """Never returns: the process ends when the pipe does."""
        # Ctrl-C goes to every process of a terminal; the engine decides what ends
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, self._on_signal)
        threading.Thread(target=self._read, name="reactor-reader", daemon=True).start()
        self._pipe.send(("ready", 0))
        while True:
            body = self._bodies.get()
            self._pipe.send(("begun", body.body_id))
            self._pipe.send(("done", body.body_id, *_run_to_end(body)))
            if body.trace is not None:
                flush_spans()
            del body

    def _read(self) -> None:
        try:
            while True:
                self._on_message(self._pipe.read())
        except BaseException:
            traceback.print_exc()
            os._exit(70)  # without this thread the process cannot be reached

    def _on_message(self, message: PipeMessage) -> None:
        kind, body_id, *rest = message
        if kind == "until":
            self._pipe.ends = rest[0]
        elif kind == "body":
            self._body = Body(self._pipe, rest[0])
            self._bodies.put(self._body)
        elif self._body is None or self._body.body_id != body_id:
            pass  # for a body that has ended meanwhile
        elif kind == "cancel":
            self._body.cancel()
        else:
            self._body.line.answer(*rest)

    def _on_signal(self, *_: object) -> None:
        """Interrupts a cancelled body. Without a cancel the SIGTERM came from somebody else: it is ignored."""
        if self._body is not None:
            self._body.stop()


def _run_to_end(body: Body) -> tuple[bytes | None, bytes | None, bool, bool, float]:
    """Runs a body.

    Returns (pickled output, pickled error, whether it saw a cancel, whether it was interrupted, when it had ended).
    """
    output = error = None
    was_interrupted = False
    try:
        output = body.run()
    except BodyCancelled:
        was_interrupted = True
    except BaseException as raised:  # also SystemExit: a body must not end its worker
        error = pack_error(raised)
    ended_at = time.monotonic()
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):  # the body may have closed or replaced it
            stream.flush()
    body.line.close()
    return output, error, body.line.saw_cancel, was_interrupted, ended_at


def _signal_main_thread() -> None:
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)  # also interrupts a blocking system call


def _raise_cancelled() -> None:
    raise BodyCancelled


class _Unpickler(pickle.Unpickler):
    """Finds the classes of the engine's ``__main__``: it is a file here, which is loaded when it is needed."""

    def __init__(self, data: bytes, main: tuple[str, str] | None) -> None:
        super().__init__(io.BytesIO(data))
        self._main = main

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        if module_name == "__main__" and self._main is not None:
            with importing:
                load_file(*self._main)
        return super().find_class(module_name, global_name)


def main(fd: int, engine: int) -> None:
    """What a new process runs. ``fd``: its end of the pipe. ``engine``: the process id of its engine."""
    end_with(engine)
    Worker(socket.socket(fileno=fd)).serve()
