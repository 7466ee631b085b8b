"""The types of functions that users write: bodies, conditions, cache keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

R = TypeVar("R")

AnyFunction: TypeAlias = (
    Callable[[], R]
    | Callable[[Any], R]
    | Callable[[Any, Any], R]
    | Callable[[Any, Any, Any], R]
    | Callable[[Any, Any, Any, Any], R]
    | Callable[[Any, Any, Any, Any, Any], R]
    | Callable[[Any, Any, Any, Any, Any, Any], R]
    | Callable[[Any, Any, Any, Any, Any, Any, Any], R]
    | Callable[[Any, Any, Any, Any, Any, Any, Any, Any], R]
)
"""A function of up to eight parameters of any type. ``Callable[..., R]`` would do, but with it the parameters of a
``lambda`` have no type at all, which pyright's strict mode refuses."""
