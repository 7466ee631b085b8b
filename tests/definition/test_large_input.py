"""What is refused of a large input is named in a few words."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from reactor import InputError, Workflow, WorkflowError


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


@pytest.mark.parametrize(("count", "named"), [(6, 5), (1_900, 5), (20_000, 1)])
def test_of_many_members_that_do_not_fit_the_first_are_named(count: int, named: int) -> None:
    """In the same words, however many there are; also in the words of a validator of one's own. Of a large value only
    the first: the others are not even looked for."""
    graph = numbers().validate()
    with pytest.raises(InputError) as caught:
        graph.validate_input({"x": ["a"] * count})
    problem = "Input should be a valid integer, unable to parse string as an integer"
    assert str(caught.value).endswith("; ".join(f"at {index}: {problem}" for index in range(named)))
    with pytest.raises(InputError) as caught:
        graph.validate_input({"y": dict.fromkeys(map(str, range(count)), "a")})
    assert str(caught.value).endswith("; ".join(f"at {index}: Value error, no, é" for index in range(named)))


class Branch(BaseModel):
    """Two kinds of children without a tag."""

    kind: str
    below: list[Branch | Leaf] = []


class Leaf(BaseModel):
    kind: str
    below: list[Branch | Leaf] = []


class Tagged(BaseModel):
    kind: Literal["tagged"]
    below: list[Annotated[Tagged | Other, Field(discriminator="kind")]] = []


class Other(BaseModel):
    kind: Literal["other"]
    below: list[Annotated[Tagged | Other, Field(discriminator="kind")]] = []


def taking(annotation: Any) -> Workflow:
    flow = Workflow("taking")

    async def take(x: Any) -> None: ...

    take.__annotations__["x"] = annotation
    flow.task(take)
    return flow


def nested(levels: int, kind: str) -> Any:
    value: Any = {"kind": kind}
    for _ in range(levels):
        value = {"kind": kind, "below": [value]}
    return value


def test_a_type_that_can_be_read_in_two_ways_at_each_level_takes_no_value_that_doubles_the_time_too_often() -> None:
    """Forty levels would be a million million tries. It says what to do; with a tag, and flat, nothing is refused."""
    graph = taking(Branch).validate()
    graph.validate_input({"x": nested(8, "a")})
    graph.validate_input({"x": {"kind": "a", "below": [{"kind": "b"}] * 5_000}})
    for value in (nested(40, "a"), {"kind": "a", "below": [nested(9, "a")] * 100}):
        with pytest.raises(InputError, match=r"too deeply for a type that can be read in several ways .* discriminat"):
            graph.validate_input({"x": value})
    assert taking(Tagged).validate().validate_input({"x": nested(40, "tagged")})


class Backtracking(BaseModel):
    model_config = ConfigDict(regex_engine="python-re")
    code: Annotated[str, Field(pattern=r"^(a+)+$")]


@pytest.mark.parametrize(
    "annotation",
    [
        Backtracking,
        list[Backtracking],
        Annotated[str, Field(pattern=re.compile(r"^(a+)+$"))],
        dict[str, Backtracking | None],
    ],
    ids=str,
)
def test_a_pattern_that_python_would_check_is_refused_where_the_workflow_is_defined(annotation: Any) -> None:
    """27 letters hold it up for seconds, 40 for ever; pydantic's own engine takes the same pattern in linear time."""
    with pytest.raises(WorkflowError, match=r"which Python's re would check, .*: write it|hold that up for ever"):
        taking(annotation).validate()
    taking(Annotated[str, Field(pattern=r"^(a+)+$")]).validate()


def test_a_large_value_is_checked_as_a_small_one_is() -> None:
    """By the validator that stops at the first error, too: models, sets and defaults are the same."""
    graph = taking(dict[str, list[Branch | None]]).validate()
    small = {"a": [{"kind": "b"}, None]}
    large = {"a": [{"kind": "b"}, None] * 2_000}
    assert graph.validate_input({"x": large})["x"]["a"][:2] == graph.validate_input({"x": small})["x"]["a"]
    with pytest.raises(InputError, match=r"at a\.3999\.kind"):
        graph.validate_input({"x": {"a": [*large["a"][:-1], {"kind": 1}]}})
