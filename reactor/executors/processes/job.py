"""One body for a process: what the engine knows of it, and its calls of the run."""

from __future__ import annotations

import asyncio
import pickle
import sys
from asyncio import AbstractEventLoop
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

from reactor.context.line import begin_asking, error_of
from reactor.definition.address import address_of, main_place
from reactor.errors import ContextClosed, WorkerDied
from reactor.executors.processes.exceptions import pack_error, text_of, unpack_error
from reactor.executors.processes.messages import Parcel, PipeMessage
from reactor.interrupts import is_from_signal
from reactor.ports.executor import Done, Work
from reactor.ports.speech import METHODS
from reactor.waiting import READY


class Worker(Protocol):
    """What a job needs of its process."""

    def send(self, message: PipeMessage) -> None: ...
    def kill(self) -> None: ...


class ProcessJob:
    """Implements ``Job``: a body in a worker process."""

    def __init__(
        self,
        loop: AbstractEventLoop,
        work: Work,
        done: Done,
        body_id: int,
        withdraw: Callable[[ProcessJob], None],
    ) -> None:
        self.body_id = body_id
        self.is_cancelled = False
        self.saw_cancel = False
        self.ended_at: float | None = None
        self._loop = loop
        self._work = work
        self._done = done
        self._withdraw = withdraw
        self._parcel: Parcel | None = None
        self._worker: Worker | None = None
        self._asking: dict[int, asyncio.Future[Any]] = {}
        """By question of the worker: what the run does until it has an answer."""
        self._starts = 0
        self._has_begun = False
        self._is_over = False

    def pack(self) -> None:
        """Pickles the body for its worker; raises ValueError or TypeError, in one sentence, where that fails."""
        work = self._work
        self._parcel = Parcel(
            body_id=self.body_id,
            ids=self._ids,
            path=tuple(sys.path),
            main=main_place(),
            address=address_of(work.task.function),
            context=work.context,
            values=_pickled(work),
            trace=work.trace,
        )

    # --- the engine's side ---

    def cancel(self) -> None:
        """Interrupts the body, or wakes it where it waits for an answer; a body without a worker never begins."""
        if self.is_cancelled or self._is_over:
            return
        self.is_cancelled = True
        if self._worker is None:
            self._withdraw(self)
            self.end_soon(asyncio.CancelledError())
        else:
            self._worker.send(("cancel", self.body_id))
            self._drop_questions()

    def abandon(self) -> bool:
        """Kills its process."""
        if not self._is_over:
            self._is_over = True
            self._drop_questions()
            if self._worker is None:
                self._withdraw(self)
            else:
                self._worker.kill()
        return True

    # --- its worker's side ---

    @property
    def may_begin_again(self) -> bool:
        """Whether the body may have another worker: its first one is gone, and had not begun it."""
        return self._starts == 1 and not (self._has_begun or self.is_cancelled or self._is_over)

    def begin(self, worker: Worker) -> None:
        self._worker = worker
        self._starts += 1
        worker.send(("body", self.body_id, self._parcel))

    def on_message(self, kind: str, *rest: Any) -> None:
        """Handles a message of the running body: ``begun``, ``progress``, ``say``, ``ask``, ``drop`` or ``look``."""
        if kind == "begun":
            self._has_begun = True
            self._parcel = None  # it may be large
        elif not self._is_over:
            if kind == "progress":
                self._pass_on_progress(*rest)
            elif kind == "drop":
                self._drop(*rest)
            elif kind == "look":
                self._show(*rest)
            else:
                self._call_voice(kind, *rest)

    def on_done(
        self, output: bytes | None, error: bytes | None, saw_cancel: bool, was_interrupted: bool, ended_at: float
    ) -> None:
        """The body has ended."""
        self.saw_cancel = saw_cancel
        self.ended_at = ended_at
        if was_interrupted:
            self.end(None, asyncio.CancelledError())
        elif error is not None:
            self.end(None, unpack_error(error))
        else:
            self.end(*self._unpacked(output or b""))

    def _unpacked(self, output: bytes) -> tuple[Any, BaseException | None]:
        try:
            return pickle.loads(output), None
        except BaseException as error:  # any, from a user's __setstate__; a SystemExit must not end the engine
            return None, TypeError(f"the output of {self._who} cannot be read outside its process: {text_of(error)}")

    def fail_without_worker(self, how: str) -> None:
        """Ends a body whose worker is gone. ``how``: ``was ended by SIGKILL``, say."""
        self._worker = None
        if self.is_cancelled:
            self.end(None, asyncio.CancelledError())
        else:
            self.end(None, WorkerDied(f"the process of {self._who} {how} before its body had ended", **self._ids))

    # --- the end ---

    def end(self, output: Any, error: BaseException | None) -> None:
        """Calls ``done``, once, and never after ``abandon``."""
        if not self._is_over:
            self._is_over = True
            self._drop_questions()
            self._done(output, error)

    def end_soon(self, error: BaseException) -> None:
        self._loop.call_soon(self.end, None, error)

    # --- its calls of the run ---

    def _pass_on_progress(self, data: bytes) -> None:
        voice = self._work.voice
        if voice is not None and not voice.is_closed:
            voice.progress(data)

    def _call_voice(self, kind: str, question: int, name: str, packed: bytes) -> None:
        is_said = kind == "say"
        voice = self._work.voice
        if voice is None or (self.is_cancelled and not is_said):
            return  # the worker has woken the thread that asked
        try:
            answer = METHODS[name](voice, pickle.loads(packed))
        except BaseException as error:  # also from a user's __setstate__; a SystemExit must not end the engine
            self._reply(question, None, error)
            if is_from_signal(error):
                raise
            return
        if answer is READY or self.is_cancelled:  # after a cancel nobody waits for room
            self._reply(question, None, None)
            return
        # not wrapped, if it is a coroutine: a task that is cancelled before its first step starts nothing inside of it
        asking = begin_asking(answer, self._loop)
        self._asking[question] = asking
        asking.add_done_callback(partial(self._on_answer, question, is_said))

    def _drop(self, question: int, place: int | None) -> None:
        """The body no longer waits for an answer. ``place``: of the ``ctx.receive`` that it gave up."""
        voice = self._work.voice
        if place is not None and voice is not None and not self.is_cancelled:
            voice.withdraw(place)  # at once, and not when the cancel arrives: its next message is handled after that
        asking = self._asking.get(question)
        if asking is not None:
            asking.cancel()

    def _on_answer(self, question: int, is_said: bool, asking: asyncio.Future[Any]) -> None:
        self._asking.pop(question, None)
        if not asking.cancelled():
            error = error_of(asking)
            self._reply(question, None if is_said or error is not None else asking.result(), error)
        elif is_said:
            self._reply(question, None, None)
        else:
            self._reply(question, None, ContextClosed(f"{self._who}: it was stopped before its answer", **self._ids))

    def _show(self, question: int, part: str, name: str | None) -> None:
        """The body looks at what its Context shows of the run: at one upstream, or at the whole input."""
        attempt = self._work.attempt
        if attempt is None:
            return  # only a body with a Context can look
        shown: Any = dict(attempt.input) if name is None else attempt.upstreams[name]
        try:
            packed, error = pickle.dumps(shown, pickle.HIGHEST_PROTOCOL), None
        except BaseException as broken:  # any: it may come from a user's __reduce__
            named = {f"ctx.{part}[{key!r}]": value for key, value in (shown if name is None else {name: shown}).items()}
            packed, error = b"", pack_error(_not_sent(self._work, named, broken))
            if is_from_signal(broken):
                raise
        if self._worker is not None:
            self._worker.send(("answer", self.body_id, question, packed, error))

    def _reply(self, question: int, value: Any, error: BaseException | None) -> None:
        if self._worker is None or self._is_over:
            return
        try:
            packed = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
        except BaseException as broken:  # an output of a child run can be anything
            packed, error = (
                b"",
                TypeError(f"the answer to {self._who} cannot be sent to its process: {text_of(broken)}"),
            )
        self._worker.send(("answer", self.body_id, question, packed, None if error is None else pack_error(error)))

    def _drop_questions(self) -> None:
        for asking in tuple(self._asking.values()):
            asking.cancel()

    @property
    def _ids(self) -> dict[str, str]:
        return {"run_id": self._work.run_id, "task_id": self._work.task_id}

    @property
    def _who(self) -> str:
        return f"task {self._work.task_id} of run {self._work.run_id}"


def _pickled(work: Work) -> bytes:
    """The arguments and, for a body with a Context, its attempt; raises TypeError, which names the value.

    Without the input of the run and the outputs of its upstreams, which are sent if the body looks at them (``seen``):
    each child of a map would be sent the whole list.
    """
    given, attempt = dict(work.arguments), work.attempt
    meta: dict[str, Any] = {}
    upstreams: tuple[str, ...] = ()
    if attempt is not None:
        meta, upstreams = dict(attempt.meta), tuple(attempt.upstreams)
        attempt = replace(attempt, input={}, meta=meta, upstreams={}, resources={})
    try:
        return pickle.dumps((given, attempt, upstreams), pickle.HIGHEST_PROTOCOL)
    except BaseException as error:  # any: it may come from a user's __reduce__
        if is_from_signal(error):
            raise
        named = {f"argument {name!r}": value for name, value in given.items()}
        named |= {f"ctx.meta[{name!r}]": value for name, value in meta.items()}
        raise _not_sent(work, named, error) from error


def _not_sent(work: Work, named: Mapping[str, Any], error: BaseException) -> TypeError:
    return TypeError(f"{_unpicklable(named)} of task {work.task_id} cannot be sent to a process: {text_of(error)}")


def _unpicklable(named: Mapping[str, Any]) -> str:
    for name, value in named.items():
        try:
            pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
        except BaseException:  # any: it may come from a user's __reduce__
            return name
    return "what is passed to the body"
