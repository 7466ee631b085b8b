"""How a body and its run speak with each other: ``Voice`` is the run's end, ``Line`` the body's.

A Context calls the methods of its Voice through the functions of this file, and by nothing else: ``METHODS`` lists them
all. On the loop the function itself is called; from a process its name goes through the pipe.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple, Protocol, TypeVar

A = TypeVar("A")


class Ask(NamedTuple):
    """One call of ``ctx.receive``."""

    place: int
    """Which call of the attempt it is, from 1."""
    prompt: str | None
    schema: dict[str, Any] | None
    """A JSON Schema."""
    key: str | None
    timeout: float | None
    """Seconds."""
    rejected: tuple[int, str] | None = None
    """The seq of the answer that the body was given and cannot take, and why: it asks once more."""

    @property
    def name(self) -> str:
        """By this the question is answered: its key, else its place."""
        return str(self.place) if self.key is None else self.key


class Answer(NamedTuple):
    """A value that somebody has sent, as plain JSON. ``seq`` is that of its ``task.received``."""

    seq: int
    value: Any


ChildRunRequest = tuple[Any, Mapping[str, Any], str | None, Any]
"""Of ``run``: workflow, input, key, budget."""


class Voice(Protocol):
    """A run, as the Context of one attempt speaks to it. Loop thread only.

    Each method acts at once and returns an awaitable. After the attempt has ended it raises ContextClosed.
    """

    @property
    def loop(self) -> AbstractEventLoop: ...
    @property
    def is_crowded(self) -> bool:
        """Whether twice the window is waiting: somebody emits without awaiting."""
        ...

    @property
    def is_closed(self) -> bool:
        """Whether the attempt has ended: nothing it says is recorded any more."""
        ...

    def emit(self, type: str, data: bytes) -> Awaitable[None]: ...
    def progress(self, data: bytes) -> Awaitable[None]: ...
    def chunk(self, text: str) -> Awaitable[None]: ...
    def spend(self, cost: str, tokens: int, source: str) -> Awaitable[None]:
        """``cost`` is a decimal number as text."""
        ...

    def receive(self, ask: Ask) -> Awaitable[Answer]:
        """The answer to a question; raises QuestionExpired where there is none in time."""
        ...

    def withdraw(self, place: int) -> None:
        """The body does not wait any more for what it asked at this place."""
        ...

    def run(self, workflow: Any, input: Mapping[str, Any], key: str | None, budget: Any) -> Awaitable[dict[str, Any]]:
        """The outputs of a child run."""
        ...

    def checkpoint(self) -> Awaitable[None]: ...
    def committed(self) -> Awaitable[None]: ...


# --- what a Context may call; with its arguments as one tuple, which is faster here than ``*arguments`` ---

Method = Callable[[Voice, A], Awaitable[Any]]


def emit(voice: Voice, arguments: tuple[str, bytes]) -> Awaitable[None]:
    type, data = arguments
    return voice.emit(type, data)


def chunk(voice: Voice, arguments: tuple[str]) -> Awaitable[None]:
    (text,) = arguments
    return voice.chunk(text)


def spend(voice: Voice, arguments: tuple[str, int, str]) -> Awaitable[None]:
    return voice.spend(*arguments)


def receive(voice: Voice, arguments: Ask) -> Awaitable[Answer]:
    return voice.receive(arguments)


def run(voice: Voice, arguments: ChildRunRequest) -> Awaitable[dict[str, Any]]:
    return voice.run(*arguments)


def checkpoint(voice: Voice, arguments: tuple[()]) -> Awaitable[None]:
    return voice.checkpoint()


def committed(voice: Voice, arguments: tuple[()]) -> Awaitable[None]:
    return voice.committed()


METHODS: Final[Mapping[str, Method[Any]]] = {
    method.__name__: method for method in (emit, chunk, spend, receive, run, checkpoint, committed)
}
"""By name: what a body in a process may call."""


class Line(Protocol):
    """The body's end: on the loop its methods return awaitables, elsewhere they block."""

    @property
    def blocks(self) -> bool:
        """Whether ``ask``, called here and now, blocks until there is an answer."""
        ...

    @property
    def cancelled(self) -> bool: ...
    def ask(self, method: Method[A], arguments: A) -> Any:
        """Calls a method of the Voice: returns its awaitable on the loop, the answer itself elsewhere."""
        ...

    def say(self, method: Method[A], arguments: A) -> Awaitable[None]:
        """Calls a method that has no answer, only a wait for room in the window; a cancel ends that wait."""
        ...

    def progress(self, data: bytes) -> Awaitable[None]:
        """Tells the latest progress; never blocks."""
        ...

    def refuse(self, error: Exception) -> Awaitable[Any]:
        """Raises the error of a call that cannot be; on the loop, after many of them, when it is awaited.

        A body that catches it and calls again, on and on, must let others run.
        """
        ...
