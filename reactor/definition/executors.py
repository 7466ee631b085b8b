"""The executors a task can name, and what each asks of a body. ``executors.kinds`` says how they are made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from reactor.definition.address import check_address

BodyCheck = Callable[[Callable[..., Any], bool], str | None]
"""Gets a body, and whether it is ``async def``. Returns why it cannot run there, as the end of a sentence, or None."""


def _loop_problem(body: Callable[..., Any], is_async: bool) -> str | None:
    return None if is_async else "a def body would hold the event loop; executor='loop' is for async def"


def _thread_problem(body: Callable[..., Any], is_async: bool) -> str | None:
    return "an async def body runs on the loop, not in a thread; leave executor out" if is_async else None


def _process_problem(body: Callable[..., Any], is_async: bool) -> str | None:
    try:
        check_address(body)
    except ValueError as error:
        return f"it cannot run in a process: {error}"
    return None


EXECUTORS: Final[dict[str, BodyCheck]] = {
    "loop": _loop_problem,
    "thread": _thread_problem,
    "process": _process_problem,
}
"""By the name a task gives: ``executor="process"``."""
