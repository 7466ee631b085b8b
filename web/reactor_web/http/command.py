"""A command goes on when its client leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from reactor.errors import ReactorError
from reactor_web.http.problems import Problem

T = TypeVar("T")


async def carry_out(command: Awaitable[T]) -> T:
    """Awaits a command of the engine; if the client leaves meanwhile, the command goes on to its end.

    A ReactorError passes: the table in ``problems`` has its status. A ValueError, by which the engine refuses a reason,
    a key, meta, a budget or a grace, becomes Problem 422. One of its subclasses is of something else: of bytes in the
    log that are no JSON, for example.
    """
    try:
        return await asyncio.shield(asyncio.ensure_future(command))
    except ReactorError:  # InvalidRunId is a ValueError too
        raise
    except ValueError as error:
        if type(error) is not ValueError:
            raise
        raise Problem(422, str(error)) from error
