"""A sent value is checked in bounded steps: the loop does few of them, a thread the rest."""

from __future__ import annotations

import asyncio
import sys
import threading
from typing import Any

import pytest

from reactor.context import schemas
from reactor.context.checking import problem_of
from reactor.context.schemas import MAX_STEPS, STEPS_ON_LOOP, TooIntricate, check_schema, problem_in, problem_within

CALLS = 60_000
"""Calls of Python that are made on the loop for one value, at most. Without the steps each of these makes millions."""
ZEROS = [0] * 4_000
NAMES = {f"k{n}": 0 for n in range(3_000)}


def _nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"next": value}
    return value


NODE = {"type": "object", "properties": {"next": {"anyOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/b"}]}}}
SCHEMAS: dict[str, tuple[dict[str, Any], Any, bool]] = {
    "integers": ({"items": {"type": "integer", "minimum": 0}}, ZEROS, True),
    "refs": ({"$defs": {"n": {"type": "integer"}}, "items": {"$ref": "#/$defs/n"}}, ZEROS, True),
    "any of": ({"items": {"anyOf": [*({"const": f"v{n}"} for n in range(4)), {"type": "integer"}]}}, ZEROS, True),
    "any of any of": ({"anyOf": [{"anyOf": [{"items": {"minimum": 1}}, {"items": {"maximum": 0}}]}] * 3}, ZEROS, True),
    "one of": ({"items": {"oneOf": [{"type": "integer"}, {"type": "string"}]}}, ZEROS, True),
    "two ways": ({"$defs": {"a": NODE, "b": NODE}, "$ref": "#/$defs/a"}, _nested(90), False),
    "enum": ({"items": {"enum": [*range(-3_000, 1)]}}, ZEROS, True),
    "enum of objects": ({"items": {"enum": [{"a": n} for n in range(300)]}}, [{"a": 299}] * 3_000, True),
    "unique": ({"uniqueItems": True}, [{"a": n, "b": [n]} for n in range(5_000)], True),
    "unique below": ({"uniqueItems": True, "items": {"$ref": "#"}}, [[n, {"a": [n]}] for n in range(2_000)], True),
    "contains": ({"contains": {"const": 1}}, [*ZEROS, 1], True),
    "names": ({"patternProperties": {f"^k.*{n}$": {} for n in range(20)}, "additionalProperties": True}, NAMES, True),
    "no other names": ({"patternProperties": {"^k": {}}, "additionalProperties": False}, NAMES, True),
    "pattern": ({"pattern": "^(a+)+$"}, "a" * 30_000 + "!", False),
    "dependent": ({"dependentSchemas": {name: {"required": ["k1"]} for name in NAMES}}, NAMES, True),
    "rest": ({"allOf": [{"properties": dict.fromkeys(NAMES, True)}], "unevaluatedProperties": False}, NAMES, True),
}  # fmt: skip


def calls_of(function: Any, *arguments: Any) -> tuple[int, Any]:
    """How many calls of Python a call makes, and what it returns, or the TooIntricate it raises."""
    count = 0

    def counted(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event == "call"

    before = sys.getprofile()
    sys.setprofile(counted)
    try:
        result = function(*arguments)
    except TooIntricate as error:
        result = error
    finally:
        sys.setprofile(before)
    return count, result


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_loop_does_little_for_any_value(name: str) -> None:
    """What takes longer is left to the thread, and there comes to the right end: it fits, or what is wrong is told."""
    schema, value, fits = SCHEMAS[name]
    count, _ = calls_of(problem_within, schema, value, STEPS_ON_LOOP)
    assert count < CALLS
    if name != "two ways":  # which is too intricate, after a second
        assert (problem_in(schema, value) is None) == fits


def test_more_than_a_thread_should_do_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says so, and the same schema takes smaller values."""
    monkeypatch.setattr(schemas, "MAX_STEPS", MAX_STEPS // 20)
    schema = {"items": {"items": {"items": {"anyOf": [{"const": n} for n in range(90)]}}}}
    assert problem_in(schema, [[[89] * 2]] * 5) is None
    problem = problem_in(schema, [[[89] * 100]] * 10)
    assert problem == f"it is too intricate to be checked: it would take more than {MAX_STEPS // 20:,} steps"


async def test_others_go_on_while_a_value_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check waits in its thread until the loop has turned a hundred times: on the loop it would never end."""
    turned, on = threading.Event(), list[str]()
    check = schemas.problem_in

    def waiting(schema: Any, value: Any) -> str | None:
        on.append(threading.current_thread().name)
        assert turned.wait(20)
        return check(schema, value)

    monkeypatch.setattr(schemas, "problem_in", waiting)
    checking = asyncio.ensure_future(problem_of({"items": {"type": "integer"}}, ZEROS))
    for _ in range(100):
        await asyncio.sleep(0)
    turned.set()
    assert await checking is None
    assert on
    assert threading.current_thread().name not in on


def test_few_problems_are_told_of_a_value_that_has_thousands() -> None:
    """At most twenty, in at most some thousand characters."""
    problem = problem_in({"items": {"type": "string"}}, ZEROS) or ""
    assert problem.count("at ") <= 20
    assert len(problem) < 5_000


@pytest.mark.parametrize("pattern", [r"(?=a)b", r"(a)\1"])
def test_a_pattern_that_cannot_be_linear_is_no_schema(pattern: str) -> None:
    """Wherever in the schema it stands."""
    with pytest.raises(ValueError, match="cannot be used, write one without look-around and backreferences"):
        check_schema({"anyOf": [{"items": {"properties": {"a": {"pattern": pattern}}}}]})
