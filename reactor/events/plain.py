"""Plain JSON: the Python values that JSON carries as they are."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from itertools import chain
from typing import Any, Final, cast, overload

import orjson

MAX_DEPTH: Final = 200
"""Levels of lists and objects in one value. orjson writes at most 254, and the event around the value needs some."""

INT64: Final = range(-(2**63), 2**63)
"""The integers that orjson reads and writes exactly."""

CHARS_A_VALUE: Final = 4
"""2 to this power: so many characters take as long as one value."""

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


def values_in(json: bytes, enough: int = 0) -> int:
    """How many values a JSON text has, counted by the signs between them, before any of them is made.

    A list or object counts as two more, since it takes more than twice the time of a number. ``enough``: what is
    below it need not be exact. Each step is one of C over the whole text: a megabyte takes some milliseconds.
    """
    count = _signs_in(json)
    if count <= enough:
        return count
    # signs in strings do not count: without the quotes that are escaped, each second piece between quotes is a string
    json = json.replace(b"\\\\", b"").replace(b'\\"', b"")
    least = json.count(b'"') // 4  # a string is a value, or the name of one
    if 0 < enough < least:
        return least  # to split it into half a million pieces takes ten times as long
    return _signs_in(b"".join(json.split(b'"')[::2]))


def rounded_integer_in(json: bytes) -> str | None:
    """The first integer of a JSON text that does not fit into 64 bits: ``orjson`` makes a rounded float of it.

    Looked for by steps of C over the whole text, since nearly no text has one.
    """
    if _LONG_NUMBER not in json.translate(_DIGITS):
        return None
    json = b'""'.join(json.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2])  # without its texts
    json = b"," + json.translate(None, b" \t\r\n")
    for sign, long, largest in _LARGEST:
        found: list[bytes] = long.findall(json)
        # texts of one length are in the order of their numbers
        if found and (max(map(len, found)) > len(largest) or max(found) > largest):
            return sign + next(n for n in found if len(n) > len(largest) or n > largest).decode()
    return None


_LONG_NUMBER: Final = b"0" * 19
_DIGITS: Final = bytes(48 if 48 <= sign < 58 else 32 for sign in range(256))
_LARGEST: Final = (
    ("", re.compile(rb"[\[,:]([0-9]{20,}+)(?![.eE])"), b"18446744073709551615"),
    ("-", re.compile(rb"[\[,:]-([0-9]{19,}+)(?![.eE])"), b"9223372036854775808"),
)
"""The sign, long integers of that sign, and the largest one without it."""


def _signs_in(json: bytes) -> int:
    return 1 + json.count(b",") + 2 * (json.count(b"[") + json.count(b"{"))


@overload
def is_plain(value: Any) -> bool: ...
@overload
def is_plain(value: Any, most: int) -> bool | None: ...
def is_plain(value: Any, most: int | None = None) -> bool | None:
    """True for None, bool, 64-bit int, finite float, str, and lists and str-keyed dicts of these, by exact type.

    False for a value that is nested deeper than ``MAX_DEPTH``, such as a list that contains itself. None where it holds
    more than ``most`` values, so that it would take long to find out; 16 characters count as one.
    """
    if type(value) in _ALWAYS_PLAIN:
        return True if most is None or type(value) is not str or len(value) >> CHARS_A_VALUE <= most else None
    stack: list[tuple[Any, int]] = [(value, 0)]
    for _ in range(_FEW):
        if not stack:
            return True if most is None or most >= 0 else None
        item, depth = stack.pop()
        kind = cast(object, type(item))  # exact types: a subclass (an enum, a named tuple) would not come back
        if kind in _ALWAYS_PLAIN:
            if most is not None and kind is str:
                most -= len(item) >> CHARS_A_VALUE
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
            return _is_plain_level_by_level(value, 0, most)
        elif kind is list:
            stack.extend((member, depth + 1) for member in item)
        elif kind is dict:
            if not all(type(key) is str for key in item):
                return False
            stack.extend((member, depth + 1) for member in item.values())
        else:
            return False
    return _is_plain_level_by_level(value, 0, most)


_FEW: Final = 200
"""So many values are looked at one by one, which is quicker for few of them."""
_MANY: Final = 100_000
_PLAIN: Final[frozenset[object]] = frozenset({type(None), bool, int, float, str, list, dict})


def is_plain_part(value: Any, above: int, most: int) -> bool | None:
    """Whether a part of a value is plain, with ``above`` levels around it.

    None where it holds more than ``most`` values, as ``is_plain`` counts them.
    """
    return _is_plain_level_by_level(value, above, most)


def _is_plain_level_by_level(value: Any, above: int = 0, most: int | None = None) -> bool | None:
    """The same for many values: what is done for a whole level is done at the speed of C."""
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH + 1 - above):
        kinds: set[object] = set(map(type, level))
        if not kinds <= _PLAIN:
            return False
        if int in kinds and not _are_int64([item for item in level if type(item) is int]):
            return False
        if float in kinds and not all(map(math.isfinite, [item for item in level if type(item) is float])):
            return False
        if most is not None and str in kinds:
            most -= sum(map(len, [item for item in level if type(item) is str])) >> CHARS_A_VALUE
        if list not in kinds and dict not in kinds:
            return True if most is None or most >= 0 else None
        holders: list[Any] = [item for item in level if item and (_type_of(item) is list or _type_of(item) is dict)]
        keys = chain.from_iterable(item for item in holders if _type_of(item) is dict)
        if dict in kinds and not set(map(type, keys)) <= {str}:
            return False
        if most is not None:
            most -= sum(map(len, holders))
            if most < 0:
                return None
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
    level: list[Any] = [value]
    while level:
        values -= len(level)
        holders: list[Any] = [item for item in level if isinstance(item, _HOLDERS)]
        if sum(map(len, holders)) > values:  # before they are listed: in Python, one list may occur in very many places
            return True
        # level by level, since what is done for a whole level is done at the speed of C
        level = list(chain.from_iterable(item.values() if isinstance(item, _DICT) else item for item in holders))
    return values < 0


def plain_copy_of_json(json: bytes) -> Any:
    """What JSON that orjson did not write reads back as; raises ValueError or TypeError if orjson cannot read it."""
    copy = orjson.loads(json)
    if not is_plain(copy):
        raise TypeError(f"nested more than {MAX_DEPTH} levels deep")
    return copy
