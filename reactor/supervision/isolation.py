"""Context variables: what a body binds must not leak into the next body."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import copy_context
from typing import Any, TypeVar

T = TypeVar("T")


class Isolation:
    """The context variables of whoever started a run. Make it where the run starts.

    The end of one body may start the next one, in the same call. Engine code between the two runs through ``call``, so
    that the next body gets a fresh copy of the run's variables and not those the first body has set.
    """

    __slots__ = ("_context", "_is_inside")

    def __init__(self) -> None:
        self._context = copy_context()
        self._is_inside = False

    def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """Calls a function with the run's context variables."""
        if self._is_inside:  # a context cannot be entered twice
            return function(*arguments)
        self._is_inside = True
        try:
            return self._context.run(function, *arguments)
        finally:
            self._is_inside = False
