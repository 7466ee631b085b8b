"""An output that is not what its task is annotated with: said once, and nothing else happens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol

import pytest
from pydantic import AfterValidator
from typing_extensions import TypedDict

from reactor import Workflow
from reactor.definition.returns import OutputCheck
from reactor.logger import warn_once
from tests.helpers.log_lines import log_lines


class Sized(TypedDict):
    size: int


@dataclass
class Page:
    url: str


class Named(Protocol):
    name: str


def broken(value: int) -> int:
    raise RuntimeError("a validator of a user")


def problem(annotation: Any, output: Any) -> str | None:
    check = OutputCheck.of("task 'use' of workflow 'census'", annotation)
    found = None if check is None else check.mismatch(output)
    return None if found is None else f"returned {found[0]}, but its annotation says {found[1]}"


@pytest.mark.parametrize(
    ("annotation", "output"),
    [
        (int, 1),
        (int, True),
        (float, 1),
        (None, None),
        (int | None, None),
        (list[int], [1, 2]),
        (list[int], []),
        (Sequence[str], ("a",)),
        (dict[str, Any], {"a": 1}),
        (Sized, {"size": 1}),
        (Page, Page("x")),
        (list[Page], [Page("x")]),
        (Literal["a", "b"], "a"),
        (Named, object()),
        (Annotated[int, AfterValidator(broken)], 1),
        (Any, "x"),
        (object, "x"),
        (int | Named, "x"),
    ],
)
def test_an_output_that_fits_is_not_named(annotation: Any, output: Any) -> None:
    """Nor one of which nobody can tell."""
    assert problem(annotation, output) is None


@pytest.mark.parametrize(
    ("annotation", "output", "sentence"),
    [
        (int, "abc", "returned str, but its annotation says int"),
        (int, None, "returned NoneType, but its annotation says int"),
        (int | None, "abc", "returned str, but its annotation says int | None"),
        (list[int], ("a",), "returned tuple, but its annotation says list[int]"),
        (list[int], ["a"], "returned a list, but its annotation says list[int]: at 0: Input should be a valid integer"),
        (Page, {"url": "x"}, "returned dict, but its annotation says Page"),
        (list[Page], [{"url": "x"}], "returned a list, but its annotation says list["),
        (Sized, {"size": "x"}, "returned a dict, but its annotation says Sized: at size"),
        (Literal["a"], "b", "returned a str, but its annotation says Literal['a']"),
    ],
)
def test_an_output_that_does_not_fit_is_named(annotation: Any, output: Any, sentence: str) -> None:
    """With what it is and what was announced."""
    assert sentence in (problem(annotation, output) or "")


def test_only_the_first_output_is_looked_into() -> None:
    """What follows is compared by its class only, so that a large map costs nothing."""
    check = OutputCheck.of("task", list[int])
    assert check is not None
    assert check.mismatch([1]) is None
    assert check.mismatch(["a"]) is None
    assert check.mismatch("a") is not None


def test_a_run_says_it_once_a_task_and_goes_on() -> None:
    """The value flows as it is; ten children and a second run say nothing more."""
    warn_once.cache_clear()

    def make() -> Workflow:
        flow = Workflow("census")

        @flow.task
        def items() -> list[int]:
            return list(range(10))

        @flow.task(map="items")
        def use(items: int) -> int:
            return "abc"  # type: ignore[return-value]

        return flow

    with log_lines() as lines:
        assert make().run()["use"] == ["abc"] * 10
        make().run()
    said = [line["event"] for line in lines if line["log_level"] == "warning"]
    assert said == ["task 'use' of workflow 'census' returned str, but its annotation says int"]
