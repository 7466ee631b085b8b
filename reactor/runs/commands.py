"""Commands as they travel between nodes: what each does to an open run, its parts and its answer as JSON."""

from __future__ import annotations

import builtins
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from decimal import Decimal
from hashlib import sha256
from typing import Any, Final, NamedTuple

import orjson

from reactor import errors
from reactor.errors import ReactorError
from reactor.runs.execution import Execution
from reactor.supervision.ending import Closing

Given = Mapping[str, Any]
"""What a command is given with: plain JSON."""


def _next_seq(execution: Execution) -> int:
    return execution.journal.last_written + 1


def _written(execution: Execution, seq: int) -> int | None:
    """This seq, if an event was written under it: of what a command writes, the first event records it."""
    return seq if execution.journal.last_written >= seq else None


async def _cancel(execution: Execution, given: Given) -> int | None:
    next_seq = _next_seq(execution)
    execution.control.cancel(given["reason"], by=given["by"], grace=given["grace"])
    return _written(execution, next_seq)


async def _cancel_task(execution: Execution, given: Given) -> int | None:
    next_seq = _next_seq(execution)
    execution.control.cancel_task(given["task"], given["reason"], by=given["by"], grace=given["grace"])
    return _written(execution, next_seq)


async def _pause(execution: Execution, given: Given) -> int | None:
    next_seq = _next_seq(execution)
    execution.control.pause(given["reason"], by=given["by"])
    return _written(execution, next_seq)


async def _resume(execution: Execution, given: Given) -> int | None:
    next_seq = _next_seq(execution)
    execution.control.resume(given["reason"], by=given["by"])
    return _written(execution, next_seq)


async def _send(execution: Execution, given: Given) -> int | None:
    return await execution.control.send(given["task"], given["value"], given["key"], by=given["by"])


async def _spend(execution: Execution, given: Given) -> int | None:
    next_seq = _next_seq(execution)
    execution.outside.spend(given["task"], Decimal(given["cost"]), given["tokens"])
    return _written(execution, next_seq)


async def _close(execution: Execution, given: Given) -> int | None:
    outputs = given["outputs"].encode()
    next_seq = _next_seq(execution)
    execution.outside.close(Closing(given["status"], outputs, given["error"], given["reason"]))
    return _written(execution, next_seq)


COMMANDS: Final[Mapping[str, Callable[[Execution, Given], Awaitable[int | None]]]] = {
    "cancel": _cancel,
    "cancel_task": _cancel_task,
    "pause": _pause,
    "resume": _resume,
    "send": _send,
    "spend": _spend,
    "close": _close,
}
"""Each writes what it has to write, last of all, and waits for no commit. It raises what the method of ``Run`` raises.

It returns the seq of the event that records it; None where there was nothing to do.

What else travels is ``emit``, which needs more than the execution.
"""


def pack_command(name: str, given: Given) -> bytes:
    return orjson.dumps([name, given])


def unpack_command(packed: bytes) -> tuple[str, dict[str, Any]]:
    name, given = orjson.loads(packed)
    return name, given


# --- answers ---


class Answer(NamedTuple):
    """What a command was answered."""

    seq: int
    """The run's last event then: who asked sees the run so far."""
    value: Any
    error: Exception | None


def pack_answer(seq: int, value: Any, error: Exception | None = None) -> bytes:
    if error is None:
        return orjson.dumps({"seq": seq, "value": value})
    ids = {name: part for name, part in vars(error).items() if not name.startswith("_")}
    said = {"error": type(error).__name__, "message": str(error), "ids": ids}
    return orjson.dumps({"seq": seq, **said}, default=repr)


def unpack_answer(packed: bytes) -> Answer:
    answer = orjson.loads(packed)
    if "error" not in answer:
        return Answer(answer["seq"], answer["value"], None)
    return Answer(answer["seq"], None, _error_of(answer["error"], answer["message"], answer["ids"]))


def _error_of(name: str, message: str, ids: dict[str, Any]) -> Exception:
    """The error of this name, as it was raised on the other node."""
    kind = getattr(errors, name, None) or getattr(builtins, name, None)
    if isinstance(kind, type) and issubclass(kind, ReactorError):
        return kind(message, **ids)
    if isinstance(kind, type) and issubclass(kind, Exception):
        return kind(message)
    return ReactorError(message, **ids)


# --- one command, asked for again ---

_COMMAND_ID: ContextVar[str | None] = ContextVar("reactor_command_id", default=None)


@contextmanager
def one_command(*parts: str) -> Generator[None]:
    """What is asked of one run inside is one command: asked again with the same parts, it is not carried out again.

    Only where another node executes the run; it remembers for ten minutes.
    """
    before = _COMMAND_ID.set(sha256("\n".join(parts).encode()).hexdigest()[:32])
    try:
        yield
    finally:
        _COMMAND_ID.reset(before)


def command_id() -> str | None:
    """The id that ``one_command`` gives; None outside of it."""
    return _COMMAND_ID.get()
