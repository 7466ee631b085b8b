"""Checks JSON against a JSON Schema (2020-12) in a time that the sender of the value cannot make long.

The library's own check can be held up by a value: its regular expressions backtrack, it compares all items with each
other for ``uniqueItems``, and schemas that refer to themselves can be tried in exponentially many ways. Here regular
expressions are those of pydantic's engine, which are linear, items are hashed, and references are counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
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
MAX_REFERENCES: Final = 5_000
"""How many references are followed to check one value. Each takes about 0.1 ms, during which the loop stands still."""
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
    """What is wrong with a value, and where in it; None where it fits."""
    # an empty registry: a reference in a schema must not make us fetch anything
    validator = _Validator(_without_dialect(schema), registry=_NOTHING)
    token = _followed.set([0])
    try:
        errors: Iterable[ValidationError] = validator.iter_errors(value)
        found = list(islice(errors, MAX_PROBLEMS))
    except _TooIntricate:
        return f"it is too intricate to be checked: it would take more than {MAX_REFERENCES:,} references"
    except Exception as error:  # a reference in it that leads nowhere, or to itself
        return f"{_UNUSABLE}: {type(error).__name__}: {str(error)[:200]}"
    finally:
        _followed.reset(token)
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
    while stack:
        part = stack.pop()
        if isinstance(part, Mapping):
            for name, value in cast("Mapping[str, Any]", part).items():
                if name == "pattern" and isinstance(value, str):
                    yield value
                elif name == "patternProperties" and isinstance(value, Mapping):
                    yield from cast("Mapping[str, Any]", value)
                if name == "unevaluatedProperties" and "'patternProperties'" in repr(schema):
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
        for pattern, below in patterns.items():
            for name, value in cast("dict[str, Any]", instance).items():
                if _matches(pattern, name):
                    yield from validator.descend(value, below, path=name, schema_path=pattern)


def _additional_properties(validator: Any, below: Any, instance: Any, schema: Any) -> _Found:
    if not isinstance(instance, dict):
        return
    known, patterns = schema.get("properties", {}), list(schema.get("patternProperties", {}))
    members = cast("dict[str, Any]", instance)
    extras = [name for name in members if name not in known and not any(_matches(p, name) for p in patterns)]
    if isinstance(below, dict):
        for name in extras:
            yield from validator.descend(members[name], below, path=name)
    elif not below and extras:
        yield ValidationError(f"Additional properties are not allowed: {', '.join(map(repr, extras[:MAX_PROBLEMS]))}")


def _unique_items(validator: Any, is_asked: bool, instance: Any, schema: Any) -> _Found:
    if is_asked and isinstance(instance, list):
        items = cast("list[Any]", instance)
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


class _TooIntricate(Exception):
    pass


_followed: ContextVar[list[int]] = ContextVar("_followed")
"""How many references were followed for one value: a list of one number."""


def _counted(keyword: str) -> Any:
    follow = cast("dict[str, Any]", Draft202012Validator.VALIDATORS)[keyword]

    def counted(validator: Any, reference: Any, instance: Any, schema: Any) -> _Found:
        followed = _followed.get()
        followed[0] += 1
        if followed[0] > MAX_REFERENCES:
            raise _TooIntricate
        return follow(validator, reference, instance, schema) or iter(())

    return counted


_Validator: Final = cast(
    "Any",
    extend(
        Draft202012Validator,
        {
            "pattern": _pattern,
            "patternProperties": _pattern_properties,
            "additionalProperties": _additional_properties,
            "uniqueItems": _unique_items,
            "$ref": _counted("$ref"),
            "$dynamicRef": _counted("$dynamicRef"),
        },
    ),
)
