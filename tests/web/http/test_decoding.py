"""JSON of strangers is counted before it is decoded."""

from __future__ import annotations

import gc
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


@pytest.mark.parametrize(
    "body",
    [b"[" + b"0," * 400_000 + b"0]",
     b"[" + b"{}," * 300_000 + b"{}]", b"[" + b"[" * 90 + b"]" * 90 + b",[]" * 200_000 + b"]",
     b"{" + b'"a":0,' * 150_000 + b'"a":0}'],
    ids=["numbers", "objects", "lists", "members"],
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
