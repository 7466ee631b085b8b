"""Plain JSON is found to be so by exact types, in small values and in large ones, and no value takes forever."""

from __future__ import annotations

import math
from enum import IntEnum
from typing import Any, NamedTuple

import pytest

from reactor.events.plain import MAX_DEPTH, depth_of, is_plain
from tests.helpers.ids import repr_without_address

MANY = 1_000
"""Above what is looked at value by value."""


class Number(IntEnum):
    ONE = 1


class Pair(NamedTuple):
    a: int
    b: int


class Text(str):
    pass


PLAIN: list[Any] = [None, True, 1, -(2**63), 2**63 - 1, 0.5, -0.0, "a", "", [], {}, [[1]], {"a": {"b": [None]}}]
OTHERS: list[Any] = [
    2**63, -(2**63) - 1, math.nan, math.inf, -math.inf, (1,), Pair(1, 2), Number.ONE, Text("a"), b"a", {1}, object(),
    {1: 2}, {"a": 1, None: 2}, {Text("a"): 1}, [[2**63]], {"a": [math.nan]}, [{"a": {2: 1}}],
]  # fmt: skip


@pytest.mark.parametrize("more", [0, MANY])
@pytest.mark.parametrize("filler", PLAIN, ids=repr_without_address)
def test_plain_values_are_plain_beside_any_others(filler: Any, more: int) -> None:
    """In a list and in a dict, few and many."""
    values = [*PLAIN, *[filler] * more]
    assert is_plain(values)
    assert is_plain({str(index): value for index, value in enumerate(values)})
    assert is_plain(filler)


@pytest.mark.parametrize("more", [0, MANY])
@pytest.mark.parametrize("other", OTHERS, ids=repr_without_address)
def test_one_other_value_is_enough(other: Any, more: int) -> None:
    """Wherever it stands among the plain ones."""
    filler: list[Any] = [*PLAIN, *[1] * more]
    assert not is_plain(other)
    for values in ([other, *filler], [*filler, other], [*filler, {"deep": [other]}]):
        assert not is_plain(values)
        assert not is_plain({str(index): value for index, value in enumerate(values)})


@pytest.mark.parametrize("more", [0, MANY])
@pytest.mark.parametrize("levels", [1, 2, MAX_DEPTH - 1, MAX_DEPTH, MAX_DEPTH + 1, MAX_DEPTH + 50])
def test_a_value_is_plain_down_to_the_deepest_level(levels: int, more: int) -> None:
    """The depth counts lists and dicts; a deeper value cannot be written."""
    value: Any = [1] * more
    for level in range(levels - 1):
        value = [value] if level % 2 else {"a": value}
    assert depth_of(value) == min(levels - (0 if more else 1), MAX_DEPTH + 1)
    assert is_plain(value) == (levels <= MAX_DEPTH)


@pytest.mark.parametrize("width", [1, 2, 1_000])
def test_a_list_that_contains_itself_is_not_plain(width: int) -> None:
    """However often: it would have 1,000 to the power of 200 values. It is found out in a moment."""
    endless: list[Any] = []
    endless.extend([endless] * width)
    assert not is_plain(endless)
    assert not is_plain([*[1] * MANY, endless])
    assert depth_of(endless) == MAX_DEPTH + 1


def test_a_list_in_many_places_is_looked_at_in_time() -> None:
    """60 levels of a list twice in the next one are 2 to the power of 60 values: each is one list all the same."""
    value: Any = [1]
    for _ in range(60):
        value = [value, value]
    assert is_plain(value)
    assert depth_of(value) == 61
