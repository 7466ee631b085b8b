"""The line between a Context and its run, for bodies on the loop and in threads of this process.

On the loop a call acts at once and returns an awaitable. In a thread it blocks; a cancel wakes the thread.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import time
from collections.abc import Awaitable, Callable, Coroutine, Generator
from threading import get_ident
from typing import Any, Final, NamedTuple, TypeVar

from reactor.errors import Backpressure, ContextClosed
from reactor.interrupts import is_from_signal
from reactor.logger import get_logger
from reactor.ports.speech import Method, Voice
from reactor.waiting import NEXT_TURN, READY, after_turn, turn_of

logger = get_logger()

A = TypeVar("A")

REFUSED_SECONDS: Final = 0.01
"""Pause of a thread that goes on speaking after the end of its body, since it would hold the interpreter."""
TELLS_AT: Final = 2
"""Which of the calls that return in a thread after the cancel tells it, by raising."""
_ENDED: Final = "its attempt has ended, what it says now is not recorded"


class LocalLine:
    """Implements ``Line``. ``run_id`` and ``task_id`` name the body in errors."""

    def __init__(self, voice: Voice, *, run_id: str, task_id: str) -> None:
        self._voice = voice
        self._ids = {"run_id": run_id, "task_id": task_id}
        self._loop_thread = get_ident()
        self._turn = turn_of(voice.loop)
        self._cancelled = False
        self._blocked: dict[concurrent.futures.Future[Any], bool] = {}
        """The calls that hold a thread -> whether a cancel may stand for the answer."""
        self._asking: set[asyncio.Future[Any]] = set()
        """What the run does for those calls, until it has an answer."""
        self._unawaited: _Awaited | None = None
        """What the last ``say`` into a full window returned, until the body has awaited it."""
        self._latest: bytes | None = None
        """The latest progress of a thread."""
        self._passed_on: bytes | None = None
        """The latest progress that was passed on to the loop."""
        self._is_posted = False
        self._told: dict[int, int] = {}
        """By thread: how many of its calls have returned since the cancel."""
        self._was_refused = False
        self.saw_cancel = False

    @property
    def blocks(self) -> bool:
        return get_ident() != self._loop_thread

    @property
    def cancelled(self) -> bool:
        self.saw_cancel = self.saw_cancel or self._cancelled
        return self._cancelled

    def say(self, method: Method[A], arguments: A) -> Awaitable[None]:
        if get_ident() != self._loop_thread:
            self._block(method, arguments, may_be_cut=True)
            self._tell_cancel()
            return READY
        if self._voice.is_closed:
            return self._refuse()
        if self._unawaited is not None and self._voice.is_crowded:
            raise self._error(Backpressure, "it emits faster than the log takes events; await ctx.emit(...)")
        room = method(self._voice, arguments)
        if room is READY:
            self._unawaited = None
            return NEXT_TURN if self._cancelled else self._turn
        self._unawaited = _Awaited(self, room)
        return self._unawaited

    def ask(self, method: Method[A], arguments: A) -> Any:
        if get_ident() != self._loop_thread:
            return self._block(method, arguments, may_be_cut=False)
        if self._voice.is_closed:
            return self._refuse()
        answer = method(self._voice, arguments)
        if answer is READY:
            return NEXT_TURN if self._cancelled else self._turn
        if self._cancelled or self._turn.is_over:
            return after_turn(NEXT_TURN if self._cancelled else self._turn, answer)
        return answer

    def progress(self, data: bytes) -> Awaitable[None]:
        if get_ident() == self._loop_thread:
            if self._voice.is_closed:
                return self._refuse()
            room = self._voice.progress(data)
            return room if room is not READY else NEXT_TURN if self._cancelled else self._turn
        self._check_open()
        self._tell_cancel()
        self._latest = data
        if not self._is_posted:  # one post for all the calls until it runs: a busy thread must not flood the loop
            self._is_posted = True
            self._voice.loop.call_soon_threadsafe(self._post_progress)
        return READY

    def _post_progress(self) -> None:
        self._is_posted = False  # reset before the progress is read: a later one must post again
        latest = self._latest
        if latest is not self._passed_on and not self._voice.is_closed:
            self._passed_on = latest
            self._voice.progress(latest or b"")

    def refuse(self, error: Exception) -> Awaitable[Any]:
        if get_ident() != self._loop_thread:
            raise error
        return self._turn.refuse(error)

    # --- the engine's side ---

    def cancel(self) -> None:
        """Tells the body to stop, and wakes its threads."""
        self._cancelled = True
        self._wake("it was stopped before it had its answer")

    def close(self) -> None:
        """The attempt has ended: passes on its last progress and wakes its threads."""
        self._post_progress()
        self._wake("its attempt has ended")

    def on_awaited(self, awaited: _Awaited) -> None:
        """The body has awaited what ``say`` returned."""
        if self._unawaited is awaited:
            self._unawaited = None

    # --- after the end ---

    def _refuse(self) -> Awaitable[Any]:
        """Refuses what a task that the body has left behind says on the loop, and lets others run."""
        self._log_refusal()
        return self._turn.refuse(self._error(ContextClosed, _ENDED))

    def _check_open(self) -> None:
        """Refuses what a thread that the body has left behind says: there, without asking the loop."""
        if self._voice.is_closed:
            if self._was_refused:
                time.sleep(REFUSED_SECONDS)
            self._log_refusal()
            raise self._error(ContextClosed, _ENDED)

    def _log_refusal(self) -> None:
        if not self._was_refused:
            self._was_refused = True
            run_id, task_id = self._ids["run_id"], self._ids["task_id"]
            logger.warning("a body speaks after its end, and is not heard", run_id=run_id, task_id=task_id)

    # --- threads ---

    def _tell_cancel(self) -> None:
        """Raises ContextClosed after a cancel, once in each thread: as an ``async def`` body is interrupted, once.

        Not at the first call that returns after the cancel: a body that looks at ``ctx.cancelled`` before each call
        ends by itself then. Not where it has looked: it knows, and may have more to say.
        """
        if self._cancelled and not self.saw_cancel:
            thread = get_ident()
            told = self._told[thread] = self._told.get(thread, 0) + 1
            if told == TELLS_AT:
                raise self._error(ContextClosed, "it was stopped")

    def _block(self, method: Method[A], arguments: A, *, may_be_cut: bool) -> Any:
        """Calls the method on the loop and blocks until there is an answer; raises what the method raises.

        ``may_be_cut``: a cancel ends the wait, as if the answer were None.
        """
        self._check_open()
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        self._blocked[future] = may_be_cut
        try:
            self._voice.loop.call_soon_threadsafe(self._call_on_loop, future, method, arguments, may_be_cut)
            return future.result()
        except ContextClosed:  # this has told it: what it says while it cleans up is heard
            self._told[get_ident()] = TELLS_AT
            raise
        finally:
            self._blocked.pop(future, None)

    def _call_on_loop(
        self, future: concurrent.futures.Future[Any], method: Method[A], arguments: A, may_be_cut: bool
    ) -> None:
        if self._cancelled and not may_be_cut:
            _fail(future, self._error(ContextClosed, "it was stopped before it asked"))
            return
        try:
            answer = method(self._voice, arguments)
        except BaseException as error:  # also a SystemExit, of a user's value that is looked at
            _fail(future, error)
            if is_from_signal(error):
                raise
            return
        if answer is READY or future.done() or self._cancelled:  # after a cancel nobody waits for room
            _answer(future, None)
            return
        asking = begin_asking(answer, self._voice.loop)
        self._asking.add(asking)
        asking.add_done_callback(lambda task: self._on_answer(future, task))

    def _on_answer(self, future: concurrent.futures.Future[Any], task: asyncio.Future[Any]) -> None:
        self._asking.discard(task)
        if task.cancelled():
            _fail(future, self._error(ContextClosed, "it was stopped before it had its answer"))
        elif (error := error_of(task)) is not None:
            _fail(future, error)
        else:
            _answer(future, task.result())

    def _wake(self, why: str) -> None:
        for future, may_be_cut in tuple(self._blocked.items()):
            if may_be_cut:
                _answer(future, None)
            else:
                _fail(future, self._error(ContextClosed, why))
        for asking in tuple(self._asking):
            asking.cancel()

    def _error(self, kind: Callable[..., Exception], what: str) -> Exception:
        return kind(f"task {self._ids['task_id']} of run {self._ids['run_id']}: {what}", **self._ids)


class _Exit(NamedTuple):
    """The result of a task in which the code of a user has raised SystemExit or KeyboardInterrupt.

    As the exception of the task it would leave the event loop.
    """

    error: BaseException


def begin_asking(answer: Awaitable[Any], loop: asyncio.AbstractEventLoop) -> asyncio.Future[Any]:
    """Lets the run look for an answer. The future may be cancelled; ``error_of`` tells what was raised."""
    if not asyncio.iscoroutine(answer):
        return asyncio.ensure_future(answer, loop=loop)
    task = loop.create_task(_keep_exit(answer))
    task.add_done_callback(lambda _: answer.close())  # of a task that was cancelled before its first step
    return task


async def _keep_exit(answer: Coroutine[Any, Any, Any]) -> Any:
    try:
        return await answer
    except (KeyboardInterrupt, SystemExit) as error:
        if is_from_signal(error):
            raise
        return _Exit(error)


def error_of(asking: asyncio.Future[Any]) -> BaseException | None:
    """What was raised instead of an answer, of a future that is done and not cancelled."""
    error = asking.exception()
    if error is None and isinstance(result := asking.result(), _Exit):
        return result.error
    return error


def _answer(future: concurrent.futures.Future[Any], value: Any) -> None:
    if not future.done():  # no race: only the loop thread completes these futures
        future.set_result(value)


def _fail(future: concurrent.futures.Future[Any], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)


class _Awaited:
    """What ``say`` returns when the window is full; tells the line when the body has awaited it."""

    __slots__ = ("_line", "_room")

    def __init__(self, line: LocalLine, room: Awaitable[None]) -> None:
        self._line = line
        self._room = room

    def __await__(self) -> Generator[Any, None, None]:
        yield from self._room.__await__()
        self._line.on_awaited(self)
