"""The output of a completed task, and what cannot be an output."""

from __future__ import annotations

import inspect
from collections.abc import Coroutine
from typing import Any, Final, NamedTuple

from reactivex import Observable

from reactor.events.restoring import Hints
from reactor.events.values import named


class Output(NamedTuple):
    """A completed task's output: the value its dependents receive, and its JSON in the log."""

    value: Any
    json: bytes
    typed: bool = False
    """The task's return annotation restores the value from its JSON."""
    hints: Hints | None = None
    """What the annotation needs besides the JSON."""


COMMON_TYPES: Final[frozenset[type]] = frozenset({type(None), bool, int, float, str, bytes, list, tuple, dict})
"""The types most bodies return. They need no closer look."""


def output_problem(output: Any) -> TypeError | None:
    """Why a value cannot be an output: it can be read only once, so whoever looked first would use it up."""
    if type(output) in COMMON_TYPES:
        return None
    if inspect.isawaitable(output):
        what = named(output)
        if isinstance(output, Coroutine):
            output.close()  # else it would warn that it was never awaited
        return TypeError(f"the body returned {what}; declare it with async def, or await it")
    if isinstance(output, Observable):
        return TypeError("the body returned an Observable after it was asked to stop")
    if inspect.isgenerator(output) or inspect.isasyncgen(output):
        return TypeError(f"the body returned {named(output)}; return a list")
    return None
