"""The bodies that the laws of executors run. They stand at module level, so that other processes can import them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from reactor.context.context import Context
from reactor.errors import ContextClosed


class LawError(Exception):
    """As those of many clients: its ``__init__`` takes something else than its message."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status}: {text}")
        self.status = status


class LawExit(BaseException):
    """Is no Exception."""


class Bodies(NamedTuple):
    """What the laws run. Those that have a parameter ``ctx`` are given a Context."""

    add: Callable[..., Any]
    """Returns ``left + right``."""
    fail: Callable[..., Any]
    """Raises ``error``."""
    refuse: Callable[..., Any]
    """Raises a ``LawError`` of ``status`` and ``text``."""
    hold: Callable[..., Any]
    """Blocks for so many ``seconds``."""
    speak: Callable[..., Any]
    """Says ``count`` events and one of everything else."""
    report: Callable[..., Any]
    """Tells its progress before each of ``count`` events, twice: of these, the second one must be heard."""
    describe: Callable[..., Any]
    """Returns what its Context shows of the attempt."""
    ask: Callable[..., Any]
    """Returns what it receives for ``question``, and emits ``law.asked`` after it has it."""
    keep: Callable[..., Any]
    """Leaves its Context behind."""
    use_kept: Callable[..., Any]
    """Emits with the Context that was left behind: ``closed`` where that is refused, or none was left here."""
    stop: Callable[..., Any]
    """Emits ``law.began``, runs until it is told to stop, and returns ``stopped`` where ``ctx.cancelled`` says so."""


_kept: list[Context] = []


def _add(left: int, right: int) -> int:
    return left + right


def _fail(error: BaseException) -> None:
    raise error


def _refuse(status: int, text: str) -> None:
    raise LawError(status, text)


def _hold(seconds: float) -> None:
    time.sleep(seconds)


def _speak(ctx: Context, count: int) -> str:
    for number in range(count):
        ctx.emit("law.number", {"number": number})
    ctx.chunk("text")
    ctx.spend(cost="0.5", tokens=3)
    ctx.progress(1.0)
    return "said"


def _report(ctx: Context, count: int) -> None:
    for number in range(count):
        ctx.progress((2 * number) / (2 * count))
        ctx.progress((2 * number + 1) / (2 * count))
        ctx.emit("law.number", {"number": number})
    ctx.progress(1.0)
    ctx.spend(tokens=1)


def _describe(ctx: Context) -> dict[str, Any]:
    fields = ("run_id", "task_id", "attempt", "map_index", "input", "meta")
    return {name: getattr(ctx, name) for name in fields} | {"upstream": ctx.upstreams["before"].output}


def _ask(ctx: Context, question: str) -> Any:
    answer = ctx.receive(question)
    ctx.emit("law.asked")
    return answer


def _keep(ctx: Context) -> None:
    _kept.append(ctx)


def _use_kept() -> str:
    try:
        for ctx in _kept:
            ctx.emit("law.late")
    except ContextClosed:
        return "closed"
    else:
        return "heard" if _kept else "closed"
    finally:
        _kept.clear()


def _stop(ctx: Context) -> str:
    try:
        ctx.emit("law.began")
        while not ctx.cancelled:
            time.sleep(0.001)
    except BaseException:  # of an executor that interrupts
        pass
    return "stopped" if ctx.cancelled else "not cancelled"


async def _add_async(left: int, right: int) -> int:
    return left + right


async def _fail_async(error: BaseException) -> None:
    raise error


async def _refuse_async(status: int, text: str) -> None:
    raise LawError(status, text)


async def _hold_async(seconds: float) -> None:
    time.sleep(seconds)  # noqa: ASYNC251  # as a body does that forgets to await


async def _speak_async(ctx: Context, count: int) -> str:
    for number in range(count):
        await ctx.emit("law.number", {"number": number})
    await ctx.chunk("text")
    await ctx.spend(cost="0.5", tokens=3)
    await ctx.progress(1.0)
    return "said"


async def _report_async(ctx: Context, count: int) -> None:
    for number in range(count):
        await ctx.progress((2 * number) / (2 * count))
        await ctx.progress((2 * number + 1) / (2 * count))
        await ctx.emit("law.number", {"number": number})
    await ctx.progress(1.0)
    await ctx.spend(tokens=1)


async def _describe_async(ctx: Context) -> dict[str, Any]:
    return _describe(ctx)


async def _ask_async(ctx: Context, question: str) -> Any:
    answer = await ctx.receive(question)
    await ctx.emit("law.asked")
    return answer


async def _keep_async(ctx: Context) -> None:
    _keep(ctx)


async def _use_kept_async() -> str:
    return _use_kept()


async def _stop_async(ctx: Context) -> str:
    try:
        await ctx.emit("law.began")
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        pass  # this is how a body on the loop is told to stop; whether it was told is what it returns
    return "stopped" if ctx.cancelled else "not cancelled"


DEF: Final = Bodies(_add, _fail, _refuse, _hold, _speak, _report, _describe, _ask, _keep, _use_kept, _stop)
"""``def`` functions, for executors that run them in threads or processes."""
ASYNC: Final = Bodies(
    _add_async,
    _fail_async,
    _refuse_async,
    _hold_async,
    _speak_async,
    _report_async,
    _describe_async,
    _ask_async,
    _keep_async,
    _use_kept_async,
    _stop_async,
)
"""``async def`` functions that do the same."""
