"""JSON of strangers is counted before it is decoded."""

from __future__ import annotations

import gc
import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactor.bounds import MIB, PLAN_VALUES
from reactor.errors import PlanError
from reactor.events.plain import values_in
from reactor.plans.document import parse_plan
from reactor_web.bounds import BYTES_PER_VALUE
from reactor_web.http.decoding import decode
from reactor_web.http.problems import Problem

MOST = MIB // BYTES_PER_VALUE
VALUES = st.recursive(
    st.integers(0, 9) | st.text(alphabet='a,[]{}"\\', max_size=9),
    lambda below: (
        st.lists(below, max_size=4) | st.dictionaries(st.text(alphabet='b,"\\', max_size=3), below, max_size=4)
    ),
    max_leaves=20,
)


def counted(value: Any) -> int:
    """As the limit is documented: each value is one, a list or an object is three; an empty one is not less."""
    members = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 1 if members is None else 2 + max(1, sum(map(counted, members)))


@given(VALUES)
def test_a_text_is_counted_as_its_values_are(value: Any) -> None:
    """What looks like JSON inside of texts and names, with quotes and backslashes in them, does not count."""
    assert values_in(orjson.dumps(value)) == counted(value)


@given(VALUES, st.integers(1, 12))
def test_whether_there_are_more_is_exact(value: Any, enough: int) -> None:
    """Also where many texts say so before all is counted."""
    assert (values_in(orjson.dumps(value), enough) > enough) == (counted(value) > enough)


@pytest.mark.parametrize(
    "body",
    [b"[" + b"0," * 400_000 + b"0]",
     b"[" + b"{}," * 300_000 + b"{}]", b"[" + b"[" * 90 + b"]" * 90 + b",[]" * 200_000 + b"]",
     b"{" + b'"a":0,' * 150_000 + b'"a":0}', b"[" + b'"",' * 340_000 + b'""]'],
    ids=["numbers", "objects", "lists", "members", "texts"],
)  # fmt: skip
def test_a_body_of_too_many_values_is_refused_before_any_is_made(body: bytes) -> None:
    """413 with its code; a plan says so in its own words. Nothing is decoded: no list or object comes into being."""
    gc.collect()
    before = len(gc.get_objects())
    with pytest.raises(Problem, match=r"^the body has more than 41,943 JSON values$") as caught:
        decode(body, MIB)
    assert (caught.value.status, caught.value.members["code"]) == (413, "body-too-large")
    assert len(gc.get_objects()) < before + 1_000
    with pytest.raises(PlanError, match=f"has more than {PLAN_VALUES:,} values"):
        parse_plan(body)


@pytest.mark.parametrize("text", ["a,b" * 300_000, '[{",' * 200_000, "\\" * 300_000, '\\",' * 100_000], ids=repr)
def test_a_long_text_is_one_value(text: str) -> None:
    """However many commas, brackets, quotes and backslashes it has."""
    assert decode(orjson.dumps([text[:260_000], {text[:999]: text[:9]}]), MIB) == [
        text[:260_000],
        {text[:999]: text[:9]},
    ]


def test_as_many_as_may_be_are_decoded_and_where_there_is_no_limit_all() -> None:
    """An application that sets ``client_max_size`` to 0 has said that it takes anything; one that raises it, more."""
    fits = b"[" + b"0," * (MOST - 4) + b"0]"
    assert len(decode(fits, MIB)) == MOST - 3  # type: ignore[arg-type]
    many = b"[" + b"0," * 400_000 + b"0]"
    assert len(decode(many, 0)) == len(decode(many, 16 * MIB)) == 400_001  # type: ignore[arg-type]
    assert gc.isenabled()


NUMBERS = (
    st.integers()
    | st.integers(-(2**64) - 9, -(2**63) + 9)
    | st.integers(2**63 - 9, 2**64 + 9)
    | st.floats(allow_nan=False, allow_infinity=False)
)


@given(
    st.recursive(
        NUMBERS | st.text(alphabet='0123456789,[]{}"\\:-', max_size=30),
        lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text('12"\\', max_size=25), below, max_size=3),
        max_leaves=8,
    )
)
def test_integers_are_exact_or_refused(value: Any) -> None:
    """Of 64 bits they are as they were sent; a larger one is refused in one sentence. Digits in texts, fractions and
    exponents are none."""
    raw = json.dumps(value).encode()
    if all(number in range(-(2**63), 2**64) for number in integers_in(value)):
        assert decode(raw, MIB) == value
    else:
        with pytest.raises(Problem, match="has an integer of more than 64 bits") as caught:
            decode(raw, MIB)
        assert caught.value.status == 400


def integers_in(value: Any) -> list[int]:
    if isinstance(value, dict):
        value = list(value.values())
    return [n for one in value for n in integers_in(one)] if isinstance(value, list) else [value] * (type(value) is int)


@pytest.mark.parametrize("number", ["12345678901234567890123e5", "1e30", "0.12345678901234567890123456", "1.5e+00123"])
def test_what_is_a_float_by_its_form_is_taken(number: str) -> None:
    """Who writes a fraction or an exponent knows that it is rounded."""
    assert decode(number.encode(), MIB) == float(number)


def test_a_very_long_integer_is_named_by_its_beginning() -> None:
    with pytest.raises(Problem, match=r"more than 64 bits, 1{50}…: send it as a text$"):
        decode(b'{"n": ' + b"1" * 100_000 + b"}", MIB)
