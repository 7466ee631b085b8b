"""`reactor run` asks on the terminal what a task asks; without one it says how to answer."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Self

import orjson

from reactor.errors import InvalidValue, ReactorError
from reactor.events.questions import open_questions
from reactor.runs.run import Run
from reactor_web.terminal.given import parse_value
from reactor_web.terminal.lines import choices_of, printable, question_text
from reactor_web.terminal.views import View

_READ_BYTES: Final = 65_536
MAX_ANSWER: Final = 1_048_576
"""Bytes of one line."""

Question = dict[str, Any]


class Asking:
    """Asks the open questions of one run, one after the other. ``look`` is called after each event that is shown.

    While somebody is asked nothing is redrawn. A question that is answered otherwise, or withdrawn, is let go of.
    """

    def __init__(self, run: Run, view: View, read_line: Callable[[], Any] | None, hint: bool) -> None:
        self._run = run
        self._view = view
        self._read_line = read_line
        """Reads an answer; None: nobody can be asked."""
        self._hint = hint
        self._seen: set[tuple[str, str | None]] = set()
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @classmethod
    def of(cls, run: Run, view: View) -> Asking:
        """Asks where a person is in front of the terminal, and sees the run."""
        is_terminal = view.is_for_people and sys.stdin.isatty() and sys.stdout.isatty()
        return cls(run, view, Lines().read if is_terminal else None, hint=not is_terminal)

    async def __aenter__(self) -> Self:
        if self._read_line is not None:
            self._task = asyncio.create_task(self._ask_all())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is None:
            return
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    def look(self) -> None:
        """What is open may have changed."""
        self._changed.set()
        if self._hint:
            self._tell_how()

    def _open(self) -> list[Question]:
        return open_questions(self._run.state)

    def _tell_how(self) -> None:
        """Once for each question: who starts a run in a script should not wait for ever and not know for what."""
        for question in self._open():
            name = (question["task_id"], question["key"])
            if name not in self._seen:
                self._seen.add(name)
                task, key = name
                said = f"{task}:{key}" if key else task
                sentence = (
                    f"task {task} asks {question_text(question)}; there is no terminal to ask on: start with"
                    f" --send {said}=VALUE, or serve the workflow and `reactor send {self._run.id} {task} VALUE`"
                )
                print(printable(f"reactor: {sentence}"), file=sys.stderr, flush=True)

    # --- on a terminal ---

    async def _ask_all(self) -> None:
        while True:
            self._changed.clear()
            for question in self._open():
                await self._ask(question)
                break
            else:
                await self._changed.wait()

    async def _ask(self, question: Question) -> None:
        self._view.leave()
        try:
            self._say(f"? {question['task_id']} {question_text(question)}")
            for number, value in enumerate(values := choices_of(question["schema"]), 1):
                self._say(f"  {number}) {orjson.dumps(value).decode()}")
            while self._is_open(question):
                line = await self._line_or_closed(question)
                if line is None:
                    self._say("  it needs no answer any more")
                    return
                if await self._answered(question, line, values):
                    return
        finally:
            self._view.go_on()

    def _say(self, text: str) -> None:
        print(printable(text), flush=True)

    def _is_open(self, question: Question) -> bool:
        return any(_name(other) == _name(question) for other in self._open())

    async def _line_or_closed(self, question: Question) -> str | None:
        """A line that was typed; None where the question was closed before."""
        assert self._read_line is not None
        print("> ", end="", flush=True)
        reading = asyncio.ensure_future(self._read_line())
        try:
            while not reading.done() and self._is_open(question):
                self._changed.clear()
                changed = asyncio.ensure_future(self._changed.wait())
                await asyncio.wait({reading, changed}, return_when=asyncio.FIRST_COMPLETED)
                changed.cancel()
            return reading.result() if reading.done() else None
        finally:
            reading.cancel()

    async def _answered(self, question: Question, line: str, values: list[Any]) -> bool:
        """Whether the value was taken; else says why not."""
        value = answer_of(line, question["schema"], values)
        try:
            await self._run.send(question["task_id"], value, key=question["key"])
        except InvalidValue as error:
            self._say(f"  {error}")
            return False
        except ReactorError as late:  # it was answered by somebody else, or the run is ending
            self._say(f"  {late}")
        return True


def _name(question: Question) -> tuple[str, str | None]:
    return question["task_id"], question["key"]


def answer_of(line: str, schema: dict[str, Any] | None, values: list[Any]) -> Any:
    """What a line means: a choice by its text or its number, text where the schema wants text, else JSON or text.

    ``values``: the choices, if there are any. A choice that is itself a number is meant by it, not its place.
    """
    text = line.strip()
    for value in values:
        if text == value or text == orjson.dumps(value).decode():
            return value
    if values and text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= len(values):
        return values[int(text[:9]) - 1]
    if schema is not None and schema.get("type") == "boolean" and text.lower() in _YES_NO:
        return _YES_NO[text.lower()]
    if schema is not None and schema.get("type") == "string":
        return line
    return parse_value(text)


_YES_NO: Final = {"y": True, "yes": True, "n": False, "no": False}


class Lines:
    """Reads lines of stdin on the loop, so that waiting for one can be given up. Loop thread only."""

    def __init__(self) -> None:
        self._kept = bytearray()

    async def read(self) -> str:
        """The next line without its end. Waits for ever where stdin has ended: the run goes on without an answer."""
        loop, fd = asyncio.get_running_loop(), sys.stdin.fileno()
        while b"\n" not in self._kept and len(self._kept) < MAX_ANSWER:
            ready: asyncio.Future[None] = loop.create_future()
            loop.add_reader(fd, lambda ready=ready: ready.done() or ready.set_result(None))
            try:
                await ready
            finally:
                loop.remove_reader(fd)
            if not (read := os.read(fd, _READ_BYTES)):
                print("\nreactor: the input has ended; nobody answers", file=sys.stderr, flush=True)
                await loop.create_future()
            self._kept += read
        line, _, rest = self._kept.partition(b"\n")
        self._kept = rest
        return line.decode(errors="replace")
