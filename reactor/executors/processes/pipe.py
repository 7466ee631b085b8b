"""The worker's end of the pipe, and the line between a Context and its run for a body in a process.

A body can be interrupted between any two steps of its thread. So nothing here holds a lock while Python code runs: all
that threads share is a queue, or is changed by one call in C.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import select
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Awaitable
from itertools import count
from queue import Empty, SimpleQueue
from typing import Any, Final, NoReturn, TypeVar

from reactor.bounds import PROGRESS_PER_SECOND
from reactor.clock import boot_time
from reactor.errors import ContextClosed
from reactor.executors.processes.exceptions import text_of, unpack_error
from reactor.executors.processes.messages import HEAD, PipeMessage, pack_message
from reactor.ports.speech import Ask, Method
from reactor.waiting import NEXT_TURN, READY, turn_of

A = TypeVar("A")

LOOK_SECONDS: Final = 0.5
"""A wait is no longer than that: it stands still while the machine sleeps, and ``boot_time`` does not."""

_ENDED: Final = "its attempt has ended, what it says now is not recorded"


class Pipe:
    """The worker's end of the pipe. Only a thread of its own writes: an interrupted body never sends half a message."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._outgoing: SimpleQueue[bytes | None] = SimpleQueue()
        self._progress: deque[PipeMessage] = deque(maxlen=1)
        self._is_nudged = False
        self.ends: float | None = None
        """When this process ends, by ``boot_time``, where it hears nothing of its engine, which may stand still."""
        threading.Thread(target=self._write, name="reactor-pipe", daemon=True).start()

    def send(self, message: PipeMessage) -> None:
        self._outgoing.put(pack_message(message))

    def progress(self, message: PipeMessage) -> None:
        """Sends the latest progress, at most 20 times a second."""
        self._progress.append(message)
        if not self._is_nudged:
            self._is_nudged = True
            self._outgoing.put(None)

    def flush_progress(self) -> None:
        """Sends the latest progress now, before any later message."""
        message = self._take_progress()
        if message is not None:
            self.send(message)

    def read(self) -> PipeMessage:
        """The next message. Where the pipe has ended, this process ends at once, even in the middle of a body."""
        try:
            (size,) = HEAD.unpack(self._read(HEAD.size))
            return pickle.loads(self._read(size))
        except (OSError, EOFError):
            _exit()

    def _read(self, size: int) -> bytearray:
        data = bytearray(size)
        rest = memoryview(data)
        while rest:
            if self.ends is not None:
                self._wait_until(self.ends)
            got = self._end.recv_into(rest)
            if not got:
                raise EOFError
            rest = rest[got:]
        return data

    def _wait_until(self, ends: float) -> None:
        """Returns when there is something to read. Else this process ends in time, with what its body has started."""
        ready = select.poll()
        ready.register(self._end, select.POLLIN)
        while not ready.poll(1000 * min(max(ends - boot_time(), 0.0), LOOK_SECONDS)):
            if boot_time() >= ends:
                os.killpg(os.getpgrp(), signal.SIGKILL)  # the group is its own

    def _write(self) -> None:
        try:
            self._write_all()
        except OSError:
            _exit()

    def _write_all(self) -> None:
        due = 0.0
        while True:
            try:
                message = self._outgoing.get(timeout=max(0.0, due - time.monotonic()) if self._is_nudged else None)
            except Empty:
                self._is_nudged = False  # reset before the progress is taken: a later one must nudge again
                held = self._take_progress()
                if held is not None:
                    self._end.sendall(pack_message(held))
                    due = time.monotonic() + 1 / PROGRESS_PER_SECOND
            else:
                if message is not None:
                    self._end.sendall(message)
                    del message  # it may be large, and the next one may not come for a long time

    def _take_progress(self) -> PipeMessage | None:
        try:
            return self._progress.pop()
        except IndexError:
            return None


def _exit() -> NoReturn:
    os._exit(0)  # not sys.exit, which ends only this thread while the main thread may run a body


class PipeLine:
    """Implements ``Line`` in a worker. It blocks; only ``ask`` in a running loop of the body returns an awaitable.

    ``say`` blocks in a loop as well: an ``async def`` body in a process shares its loop with nobody.
    """

    def __init__(self, pipe: Pipe, body_id: int, ids: dict[str, str]) -> None:
        self._pipe = pipe
        self._body_id = body_id
        self._ids = ids
        self._questions = count()
        self._waiting: dict[int, tuple[_Answer, bool]] = {}
        """By question: where its answer goes, and whether a cancel may stand for the answer."""
        self._looking: dict[int, _Held] = {}
        """The same for looks at the run, which a cancel does not end: a body may look while it cleans up."""
        self._cancelled = False
        self._closed = False
        self.saw_cancel = False

    @property
    def blocks(self) -> bool:
        return _running_loop() is None

    @property
    def cancelled(self) -> bool:
        self.saw_cancel = self.saw_cancel or self._cancelled
        return self._cancelled

    def say(self, method: Method[A], arguments: A) -> Awaitable[None]:
        self._block("say", method, arguments, may_be_cut=True)
        return self._turn()

    def ask(self, method: Method[A], arguments: A) -> Any:
        loop = _running_loop()
        if loop is None:
            return self._block("ask", method, arguments, may_be_cut=False)
        answer = _Promised(loop)
        question = self._expect(answer, may_be_cut=False)
        self._send("ask", question, method, arguments)
        place = arguments.place if isinstance(arguments, Ask) else None
        answer.future.add_done_callback(lambda future: self._drop(question, place) if future.cancelled() else None)
        return answer.future

    def _drop(self, question: int, place: int | None) -> None:
        """Tells the run that the body no longer waits for an answer."""
        self._waiting.pop(question, None)
        if not self._closed and not self._cancelled:
            self._pipe.send(("drop", self._body_id, question, place))

    def look(self, part: str, name: str | None = None) -> Any:
        """What the Context shows of the run and is not sent before: one upstream, or without a name the input."""
        answer, question = _Held(), next(self._questions)
        self._looking[question] = answer
        try:
            if self._closed:  # checked after it is registered, as in ``_expect``
                raise self._error("its attempt has ended, what it looks at is not sent any more")
            self._pipe.send(("look", self._body_id, question, part, name))
            return answer.wait()
        finally:
            self._looking.pop(question, None)

    def progress(self, data: bytes) -> Awaitable[None]:
        if self._closed:
            raise self._error(_ENDED)
        self._pipe.progress(("progress", self._body_id, data))
        return self._turn()

    def refuse(self, error: Exception) -> Awaitable[Any]:
        raise error  # it holds no loop but its own; the process of one that does not stop is ended

    def _turn(self) -> Awaitable[None]:
        """Lets the other tasks of an ``async def`` body run, and a cancel arrive."""
        loop = _running_loop()
        if loop is None:
            return READY
        return NEXT_TURN if self._cancelled else turn_of(loop)

    def _send(self, kind: str, question: int, method: Method[A], arguments: A) -> None:
        name = method.__name__
        try:
            packed = pickle.dumps(arguments, pickle.HIGHEST_PROTOCOL)
        except Exception as error:  # any: it may come from a user's __reduce__
            hint = "; in a process name the workflow" if name == "run" else ""
            raise TypeError(
                f"{self._who}: an argument of its {name} cannot leave its process: {text_of(error)}{hint}"
            ) from error
        self._pipe.flush_progress()  # it was said before
        self._pipe.send((kind, self._body_id, question, name, packed))

    def _block(self, kind: str, method: Method[A], arguments: A, *, may_be_cut: bool) -> Any:
        answer = _Held()
        question = self._expect(answer, may_be_cut=may_be_cut)
        try:
            self._send(kind, question, method, arguments)
            return answer.wait()
        finally:
            self._waiting.pop(question, None)

    def _expect(self, answer: _Answer, *, may_be_cut: bool) -> int:
        """Registers a new question and returns its number; raises ContextClosed where no answer would come."""
        question = next(self._questions)
        self._waiting[question] = answer, may_be_cut
        # checked after it is registered: ``wake`` answers what it finds there, so none is missed
        if self._closed or (self._cancelled and not may_be_cut):
            self._waiting.pop(question, None)
            raise self._error(_ENDED if self._closed else "it was stopped before it asked")
        return question

    # --- the worker's side ---

    def answer(self, question: int, value: bytes, error: bytes | None) -> None:
        """Passes on an answer of the engine; ``value`` and ``error`` are pickled."""
        looking = self._looking.pop(question, None)
        waiting, _ = self._waiting.pop(question, (looking, True))
        if waiting is None:
            return  # ``wake`` has answered it
        if error is not None:
            waiting.settle(None, unpack_error(error))
            return
        try:
            waiting.settle(pickle.loads(value), None)
        except BaseException as broken:  # its class cannot be imported here, or its __setstate__ raises a SystemExit
            waiting.settle(None, TypeError(f"{self._who}: the answer cannot be read in its process: {text_of(broken)}"))

    def cancel(self) -> None:
        """Makes ``cancelled`` true; ``wake`` wakes the threads."""
        self._cancelled = True

    def wake(self, why: str = "it was stopped before it had its answer") -> None:
        """Wakes all threads that wait: ``say`` returns, ``ask`` raises ContextClosed."""
        for question in tuple(self._waiting):
            waiting = self._waiting.pop(question, None)
            if waiting is not None:
                answer, may_be_cut = waiting
                answer.settle(None, None if may_be_cut else self._error(why))

    def close(self) -> None:
        """The body has ended: sends its last progress, and refuses what threads that it left behind still say."""
        self._closed = True
        self._pipe.flush_progress()
        self.wake("its attempt has ended")
        for question in tuple(self._looking):
            if (looking := self._looking.pop(question, None)) is not None:
                looking.settle(None, self._error("its attempt has ended"))

    @property
    def _who(self) -> str:
        return f"task {self._ids['task_id']} of run {self._ids['run_id']}"

    def _error(self, what: str) -> ContextClosed:
        return ContextClosed(f"{self._who}: {what}", **self._ids)


class _Answer:
    """Where an answer goes; it is settled once."""

    def settle(self, value: Any, error: BaseException | None) -> None:
        raise AssertionError("abstract")


class _Held(_Answer):
    """Blocks a thread until there is an answer.

    It is a bare lock: an interrupt inside ``threading.Condition`` can leave that locked, and the next ``notify`` hangs.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()
        self._value: Any = None
        self._error: BaseException | None = None

    def wait(self) -> Any:
        self._lock.acquire()
        if self._error is not None:
            raise self._error
        return self._value

    def settle(self, value: Any, error: BaseException | None) -> None:
        self._value, self._error = value, error
        self._lock.release()


class _Promised(_Answer):
    """Gives the answer to a future of the body's own loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.future: asyncio.Future[Any] = loop.create_future()

    def settle(self, value: Any, error: BaseException | None) -> None:
        try:
            self._loop.call_soon_threadsafe(_settle, self.future, value, error)
        except RuntimeError:  # the loop has closed: nobody waits
            pass


def _settle(future: asyncio.Future[Any], value: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(value)
    else:
        future.set_exception(error)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
