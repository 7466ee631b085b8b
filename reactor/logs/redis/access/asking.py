"""Calls whose caller may go away before the answer, or waits only so long: what was taken for it is given back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from reactor.logs.redis.calls import Calls
from reactor.logs.redis.server import refused, unavailable
from reactor.logs.redis.wire import Part


def tell(calls: Calls, function: str, *parts: Part, answered: Callable[[Any], None]) -> asyncio.Future[None]:
    """Calls a function that changes something. Nobody need wait for the future: it is done when ``answered`` was
    called, with what Redis has said or with an exception, and does not fail."""
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def settle(answer: Any) -> None:
        answered(answer)
        if not done.done():
            done.set_result(None)

    calls.writes.call(calls.names.call(function, *parts), settle)
    return done


async def ask(calls: Calls, function: str, *parts: Part, answered: Callable[[Any, bool], None]) -> Any:
    """Calls a function that changes something; raises LogUnavailable.

    ``answered(answer, is_wanted)`` is called before this returns, with an exception where Redis has refused. It is also
    called, without ``is_wanted``, where the caller was cancelled meanwhile.
    """
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def settle(answer: Any) -> None:
        answered(answer, not future.done())
        if future.done():
            return
        if isinstance(answer, Exception):
            future.set_exception(refused(calls.place, answer))
        else:
            future.set_result(answer)

    calls.writes.call(calls.names.call(function, *parts), settle)
    return await _in_time(calls, future)


async def look(calls: Calls, function: str, *parts: Part) -> Any:
    """Calls a function that only reads; raises LogUnavailable."""
    return await _in_time(calls, calls.read(function, *parts))


async def _in_time(calls: Calls, answer: asyncio.Future[Any]) -> Any:
    """What was sent is answered once Redis is back, whenever that is: who asks to be let in is told before."""
    try:
        async with asyncio.timeout(calls.patience):
            return await answer
    except TimeoutError:
        raise unavailable(calls.place, f"has not answered within {calls.patience:g} seconds") from None
