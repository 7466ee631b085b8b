"""A command is carried out although its client leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from reactor_web.http.problems import Problem

T = TypeVar("T")


async def carry_out(command: Awaitable[T]) -> T:
    """Awaits a command of the engine; if the client leaves meanwhile, the command goes on to its end.

    Raises Problem 422 for a ValueError: the engine refuses a run id, a reason, a key, meta, a budget or a grace so.
    """
    try:
        return await asyncio.shield(asyncio.ensure_future(command))
    except ValueError as error:
        raise Problem(422, str(error)) from error
