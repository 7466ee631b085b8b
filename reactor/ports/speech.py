"""How a body and its run talk to each other, wherever the body runs."""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections.abc import Awaitable, Mapping
from typing import Any, Protocol


class Voice(Protocol):
    """The run's end: what the Context of one attempt calls. Use it only on the loop's thread.

    Each method acts at once and returns an awaitable. After the end of the attempt, each raises ContextClosed.
    """

    @property
    def loop(self) -> AbstractEventLoop: ...
    @property
    def is_crowded(self) -> bool:
        """Whether two windows of events are waiting, because a body emits without awaiting."""
        ...

    @property
    def is_closed(self) -> bool:
        """Whether the attempt has ended, so that nothing more is recorded."""
        ...

    def emit(self, type: str, data: bytes) -> Awaitable[None]:
        """``data`` is a JSON object. The awaitable is done when the window has room."""
        ...

    def progress(self, data: bytes) -> Awaitable[None]: ...
    def chunk(self, text: str) -> Awaitable[None]: ...
    def spend(self, cost: str, tokens: int, source: str) -> Awaitable[None]:
        """``cost`` is a decimal number as text."""
        ...

    def receive(self, prompt: str | None, schema: dict[str, Any] | None, key: str | None) -> Awaitable[Any]:
        """The value that was sent, as plain JSON."""
        ...

    def run(self, workflow: Any, input: Mapping[str, Any], key: str | None, budget: Any) -> Awaitable[dict[str, Any]]:
        """Starts a child run; the awaitable gives its outputs."""
        ...

    def checkpoint(self) -> Awaitable[None]: ...
    def committed(self) -> Awaitable[None]: ...


class Line(Protocol):
    """The body's end: how a Context reaches the Voice. On the loop it returns awaitables, elsewhere it blocks."""

    @property
    def blocks(self) -> bool:
        """Whether ``ask`` blocks until there is an answer."""
        ...

    @property
    def cancelled(self) -> bool: ...
    def ask(self, name: str, *arguments: Any) -> Any:
        """Calls a method of the Voice: returns its awaitable on the loop, and the answer itself elsewhere."""
        ...

    def say(self, name: str, *arguments: Any) -> Awaitable[None]:
        """Calls a method of the Voice that only waits for room in the window; a cancel may end that wait."""
        ...

    def progress(self, data: bytes) -> Awaitable[None]:
        """Replaces the latest progress; never blocks."""
        ...
