"""Checks the values that are sent to tasks: on the loop, or beside it where that takes long."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

from reactor.context.forms import MAX_PROBLEM_CHARS
from reactor.events.values import clip


async def problem_of(schema: Mapping[str, Any] | None, value: Any) -> str | None:
    """What is wrong with a value, and where in it, as one sentence; None where it fits.

    It gives way to others only where the check takes long, which is then made in a thread: that is all Python, so the
    loop goes on beside it.
    """
    if schema is None:
        return None
    from reactor.context.schemas import STEPS_ON_LOOP, TooIntricate, problem_in, problem_within

    try:
        problem = problem_within(schema, value, STEPS_ON_LOOP)
    except TooIntricate:
        problem = await asyncio.get_running_loop().run_in_executor(_lane(), problem_in, schema, value)
    return None if problem is None else clip(problem, MAX_PROBLEM_CHARS)


@cache
def _lane() -> ThreadPoolExecutor:
    """One thread for all long checks: the loop has to wait for each thread that works beside it."""
    return ThreadPoolExecutor(1, thread_name_prefix="reactor-check")
