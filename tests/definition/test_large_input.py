"""What is refused of a large input is named in a few words."""

from __future__ import annotations

from typing import Annotated

import pytest
from pydantic import BeforeValidator

from reactor import InputError, Workflow


def _refuse(value: object) -> None:
    raise ValueError("no, é")


Refused = Annotated[int, BeforeValidator(_refuse)]


def numbers() -> Workflow:
    flow = Workflow("numbers")

    @flow.task
    def add(x: list[int] | None = None, y: dict[str, Refused] | None = None) -> int:
        return 1

    return flow


def test_of_many_unknown_inputs_the_first_are_named() -> None:
    """Anybody may send 60,000 of them; the error says how many more there are."""
    with pytest.raises(InputError) as caught:
        numbers().validate().validate_input({f"z{index}": 1 for index in range(60_000)})
    problems = caught.value.problems
    assert [problem["input"] for problem in problems] == [*(f"z{index}" for index in range(10)), ""]
    assert str(caught.value).endswith("; 59,990 more inputs are not of this workflow")
    with pytest.raises(InputError, match="1 more input is not of this workflow"):
        numbers().validate().validate_input({f"z{index}": 1 for index in range(11)})


@pytest.mark.parametrize("count", [6, 20_000])
def test_of_many_members_that_do_not_fit_the_first_are_named(count: int) -> None:
    """In the same words, however many there are; also in the words of a validator of one's own."""
    graph = numbers().validate()
    with pytest.raises(InputError) as caught:
        graph.validate_input({"x": ["a"] * count})
    problem = "Input should be a valid integer, unable to parse string as an integer"
    assert str(caught.value).endswith("; ".join(f"at {index}: {problem}" for index in range(5)))
    with pytest.raises(InputError) as caught:
        graph.validate_input({"y": dict.fromkeys(map(str, range(count)), "a")})
    assert str(caught.value).endswith("; ".join(f"at {index}: Value error, no, é" for index in range(5)))
