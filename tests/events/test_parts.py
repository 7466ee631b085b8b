"""A large object in parts, put together again."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reactor.events.one_line import one_line
from reactor.events.parts import in_parts, put_together

NAMES = st.text(alphabet="ab+0123\u2028é", max_size=3)
TEXTS = st.text(max_size=5) | st.text(alphabet='"\\\0\u2028🦀x', min_size=30, max_size=200)
SCALARS = st.none() | st.booleans() | st.integers(-9, 9) | st.floats(0, 1) | TEXTS
VALUES = st.recursive(
    SCALARS, lambda below: st.lists(below, max_size=6) | st.dictionaries(NAMES, below, max_size=6), max_leaves=40
)


def together(parts: Iterable[dict[str, Any]]) -> Any:
    first, *others = parts
    whole = copy.deepcopy(first)
    for part in others:
        whole = put_together(whole, copy.deepcopy(part))
    return whole


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(NAMES, VALUES, max_size=6), st.integers(80, 400))
def test_parts_put_together_are_the_object(value: dict[str, Any], most: int) -> None:
    """However small the parts are, and whatever is large in it: texts, lists, objects in lists in objects."""
    assert together(list(in_parts(value, most))) == value


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(NAMES, VALUES, max_size=6), st.integers(200, 600))
def test_no_part_is_larger_than_it_may_be(value: dict[str, Any], most: int) -> None:
    """As it is written, with the line ends of Unicode escaped. Names that lead to a value are counted, too."""
    for part in in_parts(value, most):
        assert len(one_line(orjson.dumps(part))) <= most


@pytest.mark.parametrize("value", [{}, {"a": {}}, {"a": [], "b": ""}, {"a": {"+": "x" * 500}}])
def test_what_is_empty_and_what_looks_like_a_rest_stay_what_they_are(value: dict[str, Any]) -> None:
    """``+`` may also be a name of the application."""
    assert together(list(in_parts(value, 100))) == value


def test_what_every_part_says_is_said_once() -> None:
    """As servers of versions before do: the whole of the state but its tasks is in each part."""
    head = {"run_id": "r", "meta": {"a": [1]}, "warned": ["cost"], "error": {"message": "x"}}
    parts = [{**head, "tasks": {"a": {"id": "a"}}}, {**head, "tasks": {"b": {"id": "b"}}}]
    assert together(parts) == {**head, "tasks": {"a": {"id": "a"}, "b": {"id": "b"}}}


def test_many_small_members_are_in_parts_although_nobody_has_encoded_them_together() -> None:
    """A run of thousands of tasks: each part is as full as it may be."""
    value = {"tasks": {str(i): 0 for i in range(5_000)}, "items": [0] * 5_000}
    parts = list(in_parts(value, 4_000))
    assert together(parts) == value
    assert all(len(orjson.dumps(part)) <= 4_000 for part in parts)
