"""Checks JSON against a JSON Schema (2020-12) in a time that the sender of the value cannot make long.

The library's own check can be held up by a value: its regular expressions backtrack, it compares all items with each
other for ``uniqueItems``, and schemas that refer to themselves can be tried in exponentially many ways. Here regular
expressions are those of pydantic's engine, which are linear, items and choices are hashed, and everything that is done
is counted in steps, each of which takes about a microsecond.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from functools import lru_cache
from itertools import islice
from typing import Any, Final, cast

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError
from jsonschema.validators import extend  # pyright: ignore[reportUnknownVariableType]  # not typed there
from pydantic_core import SchemaError as PatternError
from pydantic_core import SchemaValidator, core_schema
from referencing import Registry

MAX_PROBLEMS: Final = 5
"""How many problems of one value are named."""
MAX_STEPS: Final = 1_000_000
"""What is done to check one value; beyond it the value is refused. About a second, so it is not done on the loop."""
STEPS_ON_LOOP: Final = 5_000
"""What is done on the loop, which stands still meanwhile."""
_KEYWORD: Final = 10
_REFERENCE: Final = 100
_FEW_MEMBERS: Final = 10
"""Steps: to look at a keyword, to follow a reference, and how many members of a list are looked at in one."""
_NO_SCHEMAS: Final = frozenset({"enum", "const", "default", "examples"})
"""Keywords whose values are no schemas."""


def check_schema(schema: Mapping[str, Any]) -> None:
    """Raises ValueError, with the rest of a sentence, for a schema that values cannot be checked against."""
    try:
        Draft202012Validator.check_schema(dict(schema))
    except SchemaError as error:
        raise ValueError(f"it is not a JSON Schema: {error.message}") from error
    for pattern in _patterns_in(schema):
        try:
            _compiled(pattern)
        except PatternError as error:
            why = str(error).splitlines()[-1].strip()
            raise ValueError(
                f"its pattern {pattern[:100]!r} cannot be used, write one without look-around and backreferences: {why}"
            ) from error
    problem = problem_in(schema, None)
    if problem is not None and problem.startswith(_UNUSABLE):
        raise ValueError(problem)


_NOTHING: Final = cast("Any", Registry)()
_UNUSABLE: Final = "the schema itself cannot be used"


def problem_in(schema: Mapping[str, Any], value: Any) -> str | None:
    """What is wrong with a value, and where in it; None where it fits. It may take a second."""
    try:
        return problem_within(schema, value, MAX_STEPS)
    except TooIntricate:
        return f"it is too intricate to be checked: it would take more than {MAX_STEPS:,} steps"


def problem_within(schema: Mapping[str, Any], value: Any, steps: int) -> str | None:
    """The same in so many steps; raises TooIntricate where they are not enough."""
    # an empty registry: a reference in a schema must not make us fetch anything
    validator = _Validator(_without_dialect(schema), registry=_NOTHING)
    token = _work.set(_Work(steps))
    try:
        errors: Iterable[ValidationError] = validator.iter_errors(value)
        found = list(islice(errors, MAX_PROBLEMS))
    except TooIntricate:
        raise
    except Exception as error:  # a reference in it that leads nowhere, or to itself
        return f"{_UNUSABLE}: {type(error).__name__}: {str(error)[:200]}"
    finally:
        _work.reset(token)
    return "; ".join(f"{_place(error)}{error.message[:200]}" for error in found) or None


def _place(error: ValidationError) -> str:
    path = ".".join(map(str, error.absolute_path))[:100]
    return f"at {path}: " if path else ""


# --- patterns ---


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> SchemaValidator:
    return SchemaValidator(core_schema.str_schema(pattern=pattern))


def _matches(pattern: str, text: str) -> bool:
    return _compiled(pattern).isinstance_python(text)


def _patterns_in(schema: Any) -> Iterator[str]:
    stack: list[Any] = [schema]
    has_pattern_properties = "'patternProperties'" in repr(schema)
    while stack:
        part = stack.pop()
        if isinstance(part, Mapping):
            for name, value in cast("Mapping[str, Any]", part).items():
                if name == "pattern" and isinstance(value, str):
                    yield value
                elif name == "patternProperties" and isinstance(value, Mapping):
                    yield from cast("Mapping[str, Any]", value)
                if name == "unevaluatedProperties" and has_pattern_properties:
                    # the library applies patterns there itself
                    raise ValueError("patternProperties and unevaluatedProperties cannot be used together")
                if name not in _NO_SCHEMAS:
                    stack.append(value)
        elif isinstance(part, (list, tuple)):
            stack.extend(cast("Sequence[Any]", part))


def _without_dialect(schema: Any) -> Any:
    """A copy without ``$schema``, which would bring the library's own checks back."""
    if isinstance(schema, Mapping):
        members = cast("Mapping[str, Any]", schema).items()
        kept = ((name, value) for name, value in members if not (name == "$schema" and isinstance(value, str)))
        return {name: value if name in _NO_SCHEMAS else _without_dialect(value) for name, value in kept}
    return [_without_dialect(part) for part in cast("list[Any]", schema)] if isinstance(schema, list) else schema


# --- keywords, as the library calls them: validator, value of the keyword, instance, schema ---

_Found = Iterator[ValidationError]


def _pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> _Found:
    if isinstance(instance, str) and not _matches(pattern, instance):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


def _pattern_properties(validator: Any, patterns: dict[str, Any], instance: Any, schema: Any) -> _Found:
    if isinstance(instance, dict):
        _take(len(patterns) * len(cast("dict[str, Any]", instance)))
        for pattern, below in patterns.items():
            for name, value in cast("dict[str, Any]", instance).items():
                if _matches(pattern, name):
                    yield from validator.descend(value, below, path=name, schema_path=pattern)


def _additional_properties(validator: Any, below: Any, instance: Any, schema: Any) -> _Found:
    if not isinstance(instance, dict):
        return
    known, patterns = schema.get("properties", {}), list(schema.get("patternProperties", {}))
    members = cast("dict[str, Any]", instance)
    _take(len(patterns) * len(members))
    extras = [name for name in members if name not in known and not any(_matches(p, name) for p in patterns)]
    if isinstance(below, dict):
        for name in extras:
            yield from validator.descend(members[name], below, path=name)
    elif not below and extras:
        yield ValidationError(f"Additional properties are not allowed: {', '.join(map(repr, extras[:MAX_PROBLEMS]))}")


def _unique_items(validator: Any, is_asked: bool, instance: Any, schema: Any) -> _Found:
    if is_asked and isinstance(instance, list):
        items = cast("list[Any]", instance)
        _take(_size_of(items))
        if len({_hashable(item) for item in items}) < len(items):
            yield ValidationError(f"{instance!r} has non-unique elements")


def _hashable(value: Any) -> Any:
    """Equal for JSON values that are equal: ``1`` and ``1.0`` are, ``1`` and ``true`` are not."""
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value).items()
        return frozenset((name, _hashable(member)) for name, member in members)
    if isinstance(value, list):
        return ("list", *map(_hashable, cast("list[Any]", value)))
    return ("bool", value) if isinstance(value, bool) else value


def _size_of(items: list[Any]) -> int:
    """How many values are in there, however deep."""
    stack: list[dict[str, Any] | list[Any]] = [items]
    count = 0
    while stack:
        part = stack.pop()
        members: Collection[Any] = part.values() if isinstance(part, dict) else part
        count += len(members)
        stack.extend(cast("list[Any]", [member for member in members if isinstance(member, (dict, list))]))
    return count


def _enum(validator: Any, choices: list[Any], instance: Any, schema: Any) -> _Found:
    sets = _work.get().sets
    if id(choices) not in sets:
        _take(_size_of(choices))
        sets[id(choices)] = frozenset(map(_hashable, choices))
    if isinstance(instance, (dict, list)):
        _take(_size_of([instance]))
    if _hashable(instance) not in sets[id(choices)]:
        yield ValidationError(f"{instance!r} is not one of {choices[:MAX_PROBLEMS]!r}")


def _any_of(validator: Any, choices: list[Any], instance: Any, schema: Any) -> _Found:
    if not any(_fits(validator, choice, instance) for choice in choices):
        yield ValidationError(f"{instance!r} is not valid under any of the given schemas")


def _one_of(validator: Any, choices: list[Any], instance: Any, schema: Any) -> _Found:
    fitting = [choice for choice in choices if _fits(validator, choice, instance)]
    if not fitting:
        yield ValidationError(f"{instance!r} is not valid under any of the given schemas")
    elif len(fitting) > 1:
        yield ValidationError(f"{instance!r} is valid under each of {', '.join(map(repr, fitting[:MAX_PROBLEMS]))}")


def _fits(validator: Any, choice: Any, instance: Any) -> bool:
    """Up to the first error. The library collects all: hundreds of thousands, which the garbage collector looks at."""
    errors: Iterator[ValidationError] = validator.descend(instance, choice)
    return next(errors, None) is None


def _unevaluated(keyword: str) -> Any:
    """The library compares each member with each that was looked at before."""
    check = cast("dict[str, Any]", Draft202012Validator.VALIDATORS)[keyword]

    def checked(validator: Any, below: Any, instance: Any, schema: Any) -> _Found:
        if isinstance(instance, (dict, list)):
            _take(len(cast("list[Any]", instance)) ** 2 // _COMPARED_AT_ONCE)
        return check(validator, below, instance, schema) or iter(())

    return checked


_COMPARED_AT_ONCE: Final = 20

# --- counting ---


class TooIntricate(Exception):
    """A check would take more steps than it may."""


class _Work:
    """What is left of the steps of one check, and its sets of choices by the id of their list in the schema."""

    __slots__ = ("left", "sets")

    def __init__(self, steps: int) -> None:
        self.left = steps
        self.sets: dict[int, frozenset[Any]] = {}


_work: ContextVar[_Work] = ContextVar("_work")


def _take(steps: int) -> None:
    work = _work.get()
    work.left -= steps
    if work.left < 0:
        raise TooIntricate


def _counted(check: Any, steps: int) -> Any:
    """A keyword whose every use is counted: also what it looks at, which stands in the message if it does not fit."""

    def counted(validator: Any, value: Any, instance: Any, schema: Any) -> _Found:
        is_long = isinstance(instance, (str, list, dict))
        _take(steps + (len(cast("list[Any]", instance)) // _FEW_MEMBERS if is_long else 0))
        return check(validator, value, instance, schema) or iter(())

    return counted


_OWN: Final[dict[str, Any]] = {
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "additionalProperties": _additional_properties,
    "uniqueItems": _unique_items,
    "enum": _enum,
    "anyOf": _any_of,
    "oneOf": _one_of,
    "unevaluatedItems": _unevaluated("unevaluatedItems"),
    "unevaluatedProperties": _unevaluated("unevaluatedProperties"),
}
_KEYWORDS: Final = cast("dict[str, Any]", Draft202012Validator.VALIDATORS) | _OWN
_Validator: Final = cast(
    "Any",
    extend(
        Draft202012Validator,
        {
            name: _counted(check, _REFERENCE if name in ("$ref", "$dynamicRef") else _KEYWORD)
            for name, check in _KEYWORDS.items()
        },
    ),
)
