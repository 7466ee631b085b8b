"""Plain JSON: the Python values that JSON carries as they are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final, cast

import orjson

MAX_DEPTH: Final = 200
"""Levels of lists and objects in one value. orjson writes at most 254, and the event around the value needs some."""

INT64: Final = range(-(2**63), 2**63)
"""The integers that orjson reads and writes exactly."""


def depth_of(value: Any) -> int:
    """How deeply lists and dicts are nested; the count stops at ``MAX_DEPTH`` + 1."""
    deepest = 0
    stack: list[tuple[Any, int]] = [(value, 0)]
    while stack and deepest <= MAX_DEPTH:
        item, depth = stack.pop()
        deepest = max(deepest, depth)
        if isinstance(item, (list, tuple)):
            stack.extend((member, depth + 1) for member in cast(list[Any], item))
        elif isinstance(item, dict):
            stack.extend((member, depth + 1) for member in cast(dict[Any, Any], item).values())
    return deepest


def is_plain(value: Any) -> bool:
    """True for None, bool, 64-bit int, finite float, str, and lists and str-keyed dicts of these, by exact type.

    False for a value that is nested deeper than ``MAX_DEPTH``, such as a list that contains itself.
    """
    stack: list[tuple[Any, int]] = [(value, 0)]
    while stack:
        item, depth = stack.pop()
        kind = cast(object, type(item))  # exact types: a subclass (an enum, a named tuple) would not come back
        if item is None or kind is bool or kind is str:
            continue
        if kind is int:
            if item not in INT64:
                return False
        elif kind is float:
            if not math.isfinite(item):
                return False
        elif depth >= MAX_DEPTH:
            return False
        elif kind is list:
            stack.extend((member, depth + 1) for member in item)
        elif kind is dict:
            if not all(type(key) is str for key in item):
                return False
            stack.extend((member, depth + 1) for member in item.values())
        else:
            return False
    return True


def is_larger(value: Any, values: int) -> bool:
    """Whether a JSON value holds more than so many values. An object that occurs in two places counts twice."""
    stack: list[Any] = [value]
    while stack:
        item = stack.pop()
        values -= 1
        if values < 0:
            return True
        if isinstance(item, dict):
            stack.extend(cast(dict[Any, Any], item).values())
        elif isinstance(item, (list, tuple)):
            stack.extend(cast(Sequence[Any], item))
    return False


def plain_copy_of_json(json: bytes) -> Any:
    """What JSON that orjson did not write reads back as; raises ValueError or TypeError if orjson cannot read it."""
    copy = orjson.loads(json)
    if not is_plain(copy):
        raise TypeError(f"nested more than {MAX_DEPTH} levels deep")
    return copy
