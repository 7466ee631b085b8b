"""The exact form of a value: the same for a copy, another for whatever can be told apart."""

from __future__ import annotations

import copy
import math
import threading
from dataclasses import dataclass
from enum import Enum
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from reactor.events.exact import NoExactForm, exact_form, is_same_json, keyed_digest
from reactor.events.shown import display_json, plain_copy, show
from tests.events.test_restoring import TYPED_VALUES, looks_the_same

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from([0.0, -0.0, 1.0])
    | st.sampled_from(["", "1", "a"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=4,
)


@settings(max_examples=200, deadline=None)
@given(TYPED_VALUES.map(lambda pair: pair[1]))
def test_a_copy_has_the_form_of_its_original(value: Any) -> None:
    """So a digest finds again what it was made of; what has no form has none in any copy."""
    twin = copy.deepcopy(value)
    try:
        form = exact_form(value)
    except NoExactForm:
        with pytest.raises(NoExactForm):
            exact_form(twin)
        return
    assert exact_form(twin) == form
    assert keyed_digest(b"k", twin) == keyed_digest(b"k", value) != keyed_digest(b"l", value)


@settings(max_examples=300, deadline=None)
@given(TYPED_VALUES.map(lambda pair: pair[1]), TYPED_VALUES.map(lambda pair: pair[1]))
def test_two_values_share_a_form_only_if_they_look_the_same(a: Any, b: Any) -> None:
    """Over the value types."""
    try:
        is_same = exact_form(a) == exact_form(b)
    except NoExactForm:
        return
    if is_same:
        assert looks_the_same(a, b)


@settings(max_examples=300, deadline=None)
@given(JSON, JSON)
def test_json_is_the_same_if_its_text_is_in_whatever_order_members_are(a: Any, b: Any) -> None:
    """``1``, ``1.0`` and ``true`` are three values."""
    texts = [orjson.dumps(value, option=orjson.OPT_SORT_KEYS) for value in (a, b)]
    assert is_same_json(a, b) == (texts[0] == texts[1])


@pytest.mark.parametrize(
    "value", [object(), [object()], threading.Lock(), iter([1]), lambda: 1, {1: print, 2: object()}]
)
def test_what_is_equal_only_to_itself_has_no_digest(value: Any) -> None:
    """Nobody could say in another process that it is the same."""
    with pytest.raises(NoExactForm):
        keyed_digest(b"k", value)


def test_a_cycle_has_no_form() -> None:
    """It is refused, and not followed for ever."""
    cycle: list[Any] = []
    cycle += [cycle, cycle]
    with pytest.raises(NoExactForm):
        exact_form(cycle)


@settings(max_examples=200, deadline=None)
@given(TYPED_VALUES.map(lambda pair: pair[1]))
def test_every_value_can_be_shown_and_what_is_shown_whole_is_what_events_carry(value: Any) -> None:
    """``show`` gives plain JSON that shows as itself; ``plain_copy`` gives the same or refuses."""
    shown = show(value)
    assert orjson.loads(display_json(value)) == shown
    assert show(shown) == shown
    try:
        plain = plain_copy(value)
    except TypeError:
        return
    assert plain == shown
    assert "$repr" not in str(plain)


def test_numbers_without_json_are_shown_by_their_names_in_events_too() -> None:
    """They were null before, which is another value."""
    assert plain_copy({"loss": [math.nan, math.inf, -math.inf]}) == {"loss": ["NaN", "Infinity", "-Infinity"]}


def _local_class(kind: str, number: int) -> Any:
    """A value of a class that a function makes; two calls make two classes of one name."""

    class Colour(Enum):
        RED = number

    @dataclass
    class Point:
        x: int = 1

    class Model(BaseModel):
        x: int = 1

    class Text(str):
        pass

    pair: Any = {"enum": Colour.RED, "dataclass": Point(), "model": Model(), "str": Text("a"), "class": Point}
    return pair[kind]


@pytest.mark.parametrize("kind", ["enum", "dataclass", "model", "str", "class"])
def test_a_class_that_a_function_made_has_no_digest(kind: str) -> None:
    """Its name may be that of others: two such values which are not equal must not be found under one digest."""
    value = _local_class(kind, 1)
    with pytest.raises(NoExactForm, match=r"the class .*<locals>.* has a name that may be that of others"):
        keyed_digest(b"k", [value])
    assert exact_form(value) == exact_form(value) != exact_form(_local_class(kind, 2))
