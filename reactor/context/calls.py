"""Calls of language models and of tools, as pairs of events: started and completed, also when the call fails."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from contextlib import suppress
from decimal import Decimal
from types import TracebackType
from typing import Any, Final, Literal, Protocol, Self

import orjson

from reactor.bounds import MAX_INPUT_PREVIEW_BYTES
from reactor.definition.policy import check_tokens, money
from reactor.errors import BodyCancelled, ContextClosed
from reactor.events.shown import display_json
from reactor.events.values import describe_error, preview
from reactor.tracing.here import leave_call

_ERROR_CHARS: Final = 1_000
_CANCELS: Final = (asyncio.CancelledError, BodyCancelled, ContextClosed)
"""What a cancel or a timeout raises in the middle of a call: on the loop, in a process, in what a thread waits for."""

Status = Literal["success", "error", "cancelled"]


class Speaker(Protocol):
    """What a call needs of its Context."""

    def next_call(self) -> int: ...
    def enter_call(self, call: str) -> object: ...
    def write(self, type: str, data: Any) -> Awaitable[None]: ...
    def count_spending(self, cost: str, tokens: int, source: str) -> Awaitable[None]: ...


class _Call:
    """A context manager for bodies in threads (``with``) and on the loop (``async with``).

    It has slots, so that a name written wrongly (``call.resutl = …``) is an error and not a result that nobody sees.
    """

    __slots__ = ("_began", "_context", "_number", "_place", "_refusal")
    kind: str

    def __init__(self, context: Speaker) -> None:
        self._context = context
        self._number = 0
        self._began = 0.0
        self._place: object = None
        """What was the current span before; None where nobody makes spans."""
        self._refusal: tuple[Exception, Awaitable[None]] | None = None

    def refused(self, error: Exception, awaited: Awaitable[None]) -> Self:
        """It cannot be made, and raises the error where it would begin: ``awaited`` lets others run before."""
        self._refusal = error, awaited
        return self

    def _about(self) -> dict[str, Any]:
        raise AssertionError("abstract")

    def _result(self, status: Status) -> dict[str, Any]:
        raise AssertionError("abstract")

    def _begin(self) -> Awaitable[None]:
        if self._refusal is not None:
            return self._refusal[1]
        self._number = self._context.next_call()
        self._place = self._context.enter_call(f"{self.kind} {self._number}")
        self._began = time.monotonic()
        return self._context.write(f"{self.kind}.started", {"call": self._number, **self._about()})

    def _end(self, error: BaseException | None) -> Awaitable[None]:
        place, self._place = self._place, None
        leave_call(place)
        duration_ms = round((time.monotonic() - self._began) * 1000, 3)
        status = _status(error)
        data = {"call": self._number, **self._about(), "status": status}
        if error is not None and status == "error":
            described = describe_error(error)
            data["error"] = {"type": described["type"], "message": described["message"][:_ERROR_CHARS]}
        return self._context.write(
            f"{self.kind}.completed", {**data, **self._result(status), "duration_ms": duration_ms}
        )

    def __enter__(self) -> Self:
        if self._refusal is not None:
            raise self._refusal[0]
        try:
            self._begin()
        except _CANCELS as error:  # while it waited for room: its start has been said
            self._end_cut_off(error)
            raise
        return self

    def _end_cut_off(self, error: BaseException) -> None:
        with suppress(ContextClosed):  # the attempt has ended, and nothing was said
            self._end(error)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._end(error)
        else:
            self._end_cut_off(error)  # a cancel must not take the place of the error

    async def __aenter__(self) -> Self:
        try:
            await self._begin()
        except _CANCELS as error:
            self._end_cut_off(error)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        ended = self._end(error)
        if error is None:  # else the body is ending with an error, and must not wait for room in the window
            await ended


class LlmCall(_Call):
    """What ``ctx.llm_call`` returns: set ``cost`` and ``tokens`` inside the ``with``."""

    __slots__ = ("cost", "estimated_cost", "model", "tokens")
    kind = "llm.call"

    def __init__(self, context: Speaker, model: str, estimated_cost: Decimal | None) -> None:
        super().__init__(context)
        self.model = model
        self.estimated_cost = estimated_cost
        self.cost: Any = None
        """As in ``ctx.spend``; None: not known."""
        self.tokens = 0

    def _about(self) -> dict[str, Any]:
        estimated = {} if self.estimated_cost is None else {"estimated_cost": float(self.estimated_cost)}
        return {"model": str(self.model), **estimated}

    def _result(self, status: Status) -> dict[str, Any]:
        cost, is_estimated = self._spent(status)
        return {"cost": float(cost), "tokens": self.tokens} | ({"is_estimated": True} if is_estimated else {})

    def _spent(self, status: Status) -> tuple[Decimal, bool]:
        """The cost, and whether it is the estimated one. Most providers charge for a call that was cancelled, too."""
        if self.cost is not None:
            return money(self.cost), False
        if self.estimated_cost is not None and status != "error":
            return self.estimated_cost, True
        return Decimal(0), False

    def _end(self, error: BaseException | None) -> Awaitable[None]:
        check_tokens(self.tokens)
        cost, _ = self._spent(_status(error))
        try:
            ended = super()._end(error)
        except ContextClosed:  # a thread is told of a cancel here: what the call has cost counts all the same
            if cost or self.tokens:
                self._context.count_spending(str(cost), self.tokens, "llm")
            raise
        return self._context.count_spending(str(cost), self.tokens, "llm") if cost or self.tokens else ended


class ToolCall(_Call):
    """What ``ctx.tool_call`` returns: set ``result`` inside the ``with``."""

    __slots__ = ("arguments", "result", "tool")
    kind = "tool.call"

    def __init__(self, context: Speaker, tool: str, arguments: dict[str, Any]) -> None:
        super().__init__(context)
        self.tool = tool
        self.arguments = arguments
        self.result: Any = None

    def _about(self) -> dict[str, Any]:
        return {"tool": str(self.tool), "arguments": _preview(self.arguments)}

    def _result(self, status: Status) -> dict[str, Any]:
        return {"result": _preview(self.result)} if status == "success" else {}


def _status(error: BaseException | None) -> Status:
    if error is None:
        return "success"
    return "cancelled" if isinstance(error, _CANCELS) else "error"


def _preview(value: Any) -> Any:
    """A value as JSON, with secrets masked; of one above 4 KiB the beginning, as text."""
    json = display_json(value)
    return orjson.loads(json) if len(json) <= MAX_INPUT_PREVIEW_BYTES else preview(json.decode("utf-8", "replace"))
