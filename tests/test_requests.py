"""The checks of what a caller passes in."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from reactor.errors import InvalidRunId
from reactor.requests import check_meta, check_run_id, check_value


@pytest.mark.parametrize("run_id", ["", ".", "..", "é", "a b", "a/b", "x" * 65])
def test_the_sentence_of_a_bad_run_id_is_true_of_every_one(run_id: str) -> None:
    """It names the characters, and the two ids of allowed characters that are refused."""
    with pytest.raises(InvalidRunId, match=r"1 to 64 of A-Z a-z 0-9 \. _ ~ -, and not \. or \.\.$"):
        check_run_id(run_id)


def test_a_large_meta_is_refused_before_all_of_it_is_looked_at() -> None:
    """Who sends a megabyte of it holds up nobody: not one member is looked at beyond those that the limit allows."""
    looked_at: list[int] = []

    class Member(list[int]):
        def __len__(self) -> int:
            looked_at.append(1)
            return super().__len__()

        def __iter__(self) -> Iterator[int]:
            looked_at.append(1)
            return super().__iter__()

    with pytest.raises(ValueError, match="the meta of a run has more than 8,192 values, the limit is 8,192 bytes"):
        check_meta({"x": [Member([1]) for _ in range(100_000)]})
    assert len(looked_at) < 3 * 8_192


def test_a_meta_of_many_values_within_the_limit_is_taken() -> None:
    """The bytes count: 4,000 digits with their commas are below 8 KiB."""
    meta = {"x": [1] * 4_000}
    assert check_meta(meta) == meta


@pytest.mark.parametrize("value", [{"a": ["\ud800"]}, ["\ud800"] * 500, {"\ud800": 1}])
def test_text_that_json_cannot_carry_is_refused(value: object) -> None:
    """A lone surrogate, as a value or as a key, in a small value and in a large one."""
    with pytest.raises(ValueError, match="must be JSON"):
        check_value(value)


def test_a_value_that_is_sent_is_a_copy() -> None:
    """What the sender changes later does not change what was sent."""
    value = {"a": [1, {"b": 2.0}]}
    taken = check_value(value)
    value["a"].clear()  # type: ignore[union-attr]
    assert taken == {"a": [1, {"b": 2.0}]}
