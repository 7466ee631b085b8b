"""How a body and its run speak with each other."""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections.abc import Awaitable, Mapping
from typing import Any, Protocol


class Voice(Protocol):
    """A run, as the Context of one attempt speaks into it. Loop thread only.

    Each method acts at once and returns an awaitable. What has been closed raises ContextClosed.
    """

    @property
    def loop(self) -> AbstractEventLoop: ...
    @property
    def is_crowded(self) -> bool:
        """Somebody emits without awaiting: twice the window is waiting."""
        ...

    @property
    def is_closed(self) -> bool:
        """The attempt has ended: nothing it says is recorded any more."""
        ...

    def emit(self, type: str, data: bytes) -> Awaitable[None]: ...
    def progress(self, data: bytes) -> Awaitable[None]: ...
    def chunk(self, text: str) -> Awaitable[None]: ...
    def spend(self, cost: str, tokens: int, source: str) -> Awaitable[None]:
        """``cost`` is a decimal number as text."""
        ...

    def receive(self, prompt: str | None, schema: dict[str, Any] | None, key: str | None) -> Awaitable[Any]:
        """The value somebody sent, as plain JSON."""
        ...

    def run(self, workflow: Any, input: Mapping[str, Any], key: str | None, budget: Any) -> Awaitable[dict[str, Any]]:
        """The outputs of a child run."""
        ...

    def checkpoint(self) -> Awaitable[None]: ...
    def committed(self) -> Awaitable[None]: ...


class Line(Protocol):
    """The other end of a Voice, where the body runs: on the loop it returns awaitables, elsewhere it blocks."""

    @property
    def blocks(self) -> bool:
        """Whether whoever asks now is held until there is an answer."""
        ...

    @property
    def cancelled(self) -> bool: ...
    def ask(self, name: str, *arguments: Any) -> Any:
        """Calls a method of the Voice: its awaitable on the loop, the answer itself elsewhere."""
        ...

    def say(self, name: str, *arguments: Any) -> Awaitable[None]:
        """The same for what has no answer but room in the window, which a cancel may cut short."""
        ...

    def progress(self, data: bytes) -> Awaitable[None]:
        """The latest progress; never blocks."""
        ...
