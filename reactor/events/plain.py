"""Plain JSON: the Python values that JSON carries as they are."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, Final, cast

import orjson

MAX_DEPTH: Final = 200
"""Levels of lists and objects in one value. orjson writes at most 254, and the event around the value needs some."""

INT64: Final = range(-(2**63), 2**63)
"""The integers that orjson reads and writes exactly."""

_ALWAYS_PLAIN: Final[frozenset[object]] = frozenset({type(None), bool, str})
_HOLDERS = cast("tuple[type[Any], ...]", (list, tuple, dict))
_DICT = cast("type[Any]", dict)
_type_of = cast("Callable[[Any], object]", type)
"""``type``, of which type checkers conclude nothing about the members of a list or dict."""


def depth_of(value: Any) -> int:
    """How deeply lists and dicts are nested; the count stops at ``MAX_DEPTH`` + 1."""
    level: list[Any] = [value]
    depth = 0
    while depth <= MAX_DEPTH:
        kinds = tuple(kind for kind in set(map(type, level)) if issubclass(kind, _HOLDERS))
        level = _members([item for item in level if isinstance(item, kinds)] if kinds else [])
        if not level:
            break
        depth += 1
    return depth


def is_plain(value: Any) -> bool:
    """True for None, bool, 64-bit int, finite float, str, and lists and str-keyed dicts of these, by exact type.

    False for a value that is nested deeper than ``MAX_DEPTH``, such as a list that contains itself.
    """
    if type(value) in _ALWAYS_PLAIN:
        return True
    stack: list[tuple[Any, int]] = [(value, 0)]
    for _ in range(_FEW):
        if not stack:
            return True
        item, depth = stack.pop()
        kind = cast(object, type(item))  # exact types: a subclass (an enum, a named tuple) would not come back
        if kind in _ALWAYS_PLAIN:
            continue
        if kind is int:
            if item not in INT64:
                return False
        elif kind is float:
            if not math.isfinite(item):
                return False
        elif depth >= MAX_DEPTH:
            return False
        elif (kind is list or kind is dict) and len(item) > _FEW:
            return _is_plain_level_by_level(value)
        elif kind is list:
            stack.extend((member, depth + 1) for member in item)
        elif kind is dict:
            if not all(type(key) is str for key in item):
                return False
            stack.extend((member, depth + 1) for member in item.values())
        else:
            return False
    return _is_plain_level_by_level(value)


_FEW: Final = 200
"""So many values are looked at one by one, which is quicker for few of them."""
_MANY: Final = 100_000
_PLAIN: Final[frozenset[object]] = frozenset({type(None), bool, int, float, str, list, dict})


def _is_plain_level_by_level(value: Any) -> bool:
    """The same for many values: what is done for a whole level is done at the speed of C."""
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH + 1):
        kinds: set[object] = set(map(type, level))
        if not kinds <= _PLAIN:
            return False
        if int in kinds and not _are_int64([item for item in level if type(item) is int]):
            return False
        if float in kinds and not all(map(math.isfinite, [item for item in level if type(item) is float])):
            return False
        if list not in kinds and dict not in kinds:
            return True
        holders: list[Any] = [item for item in level if item and (_type_of(item) is list or _type_of(item) is dict)]
        keys = chain.from_iterable(item for item in holders if _type_of(item) is dict)
        if dict in kinds and not set(map(type, keys)) <= {str}:
            return False
        level = _members(holders)
    return False


def _are_int64(numbers: list[int]) -> bool:
    return min(numbers) in INT64 and max(numbers) in INT64


def _members(holders: list[Any]) -> list[Any]:
    """What stands in these lists and dicts: the next level."""
    if len(holders) > 1 and sum(map(len, holders)) > _MANY:
        # one list that stands in many places, or in itself, would make each level many times the one before
        holders = list({id(holder): holder for holder in holders}.values())
    # one view of a dict at a time: a list of them would make the garbage collector look through all that is there
    return list(chain.from_iterable(item.values() if isinstance(item, _DICT) else item for item in holders))


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
