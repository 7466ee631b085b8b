"""Values that strangers send, checked against Python types in a time that the value cannot make long.

pydantic takes each value in a time of its own, with three exceptions, which are met here:

- It collects an error for each item that is wrong. Large values are checked by a validator that stops at the first.
- Where a type refers to itself through a union of several models, it tries each of them at each level, so the time
  doubles with each. The ways are counted before.
- It can be told to use Python's regular expressions, which backtrack. An input with such a pattern is refused where the
  workflow is defined.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, Final, cast

from pydantic import TypeAdapter
from pydantic_core import PydanticCustomError, SchemaError, SchemaValidator, ValidationError

from reactor.events.plain import is_larger

MAX_WAYS: Final = 4_000
"""How often a list or an object in a value may be tried in all, beyond ``_EACH`` for each of them. About 40 ms."""
_EACH: Final = 16
_SMALL: Final = 2_000
"""Values in one, up to which it is not worth while to look for the first error."""

_NO_SCHEMAS: Final = frozenset(
    {"default", "metadata", "serialization", "expected", "config", "cls", "function", "discriminator", "pattern"}
)
"""Members of a core schema that are no schemas."""
_SEQUENCES: Final = frozenset({"list", "set", "frozenset", "tuple", "generator"})
_OBJECTS: Final = frozenset({"model", "model-fields", "typed-dict", "dataclass", "dataclass-args", "dict"})
_FAILS_FAST: Final = frozenset({"list", "set", "frozenset", "tuple", "dict"})
_PYTHON: Final = "python-re"


class Checker:
    """Checks values against one type."""

    def __init__(self, adapter: TypeAdapter[Any]) -> None:
        self._adapter = adapter

    def check(self, value: Any) -> Any:
        """The value as the type restores it. Raises ValidationError, and what validators of users raise."""
        objects, lists = self._ways
        if objects > 1 or lists > 1:
            _check_ways(value, objects, lists)
        checked_by = self._first_error if is_larger(value, _SMALL) else self._adapter
        return checked_by.validate_python(value)

    @cached_property
    def _first_error(self) -> SchemaValidator | TypeAdapter[Any]:
        try:
            return SchemaValidator(_failing_fast(self._schema), None, _use_prebuilt=False)
        except (TypeError, SchemaError):  # pydantic before 2.12
            return self._adapter

    @cached_property
    def _ways(self) -> tuple[int, int]:
        return ways_of(self._schema)

    @property
    def _schema(self) -> Any:
        return self._adapter.core_schema


def python_pattern(adapter: TypeAdapter[Any]) -> str | None:
    """A pattern of the type that Python's ``re`` would check; None where there is none."""
    return next(_python_patterns(adapter.core_schema, None), None)


def _python_patterns(schema: Any, engine: str | None) -> Iterator[str]:
    if isinstance(schema, Mapping):
        members = cast("Mapping[str, Any]", schema)
        engine = _schema(members.get("config")).get("regex_engine", engine)
        pattern = members.get("pattern") if members.get("type") == "str" else None
        if isinstance(pattern, re.Pattern):
            yield str(cast("re.Pattern[Any]", pattern).pattern)
        elif pattern is not None and members.get("regex_engine", engine) == _PYTHON:
            yield str(pattern)
    for part in _parts(schema):
        yield from _python_patterns(part, engine)


def _parts(schema: Any) -> Iterator[Any]:
    """What stands below a part of a core schema."""
    if isinstance(schema, Mapping):
        for name, part in cast("Mapping[str, Any]", schema).items():
            if name not in _NO_SCHEMAS and isinstance(part, (Mapping, list, tuple)):
                yield part
    elif isinstance(schema, (list, tuple)):
        yield from cast("list[Any]", schema)


def _failing_fast(schema: Any) -> Any:
    """A copy in which every sequence and dict stops at the first item that is wrong."""
    if isinstance(schema, Mapping):
        members = cast("Mapping[str, Any]", schema).items()
        copy = {name: part if name in _NO_SCHEMAS else _failing_fast(part) for name, part in members}
        return {**copy, "fail_fast": True} if copy.get("type") in _FAILS_FAST else copy
    if isinstance(schema, list):
        return [_failing_fast(part) for part in cast("list[Any]", schema)]
    return tuple(map(_failing_fast, cast("tuple[Any, ...]", schema))) if isinstance(schema, tuple) else schema


# --- types that refer to themselves -----------------------------------------------------------------------------


def ways_of(schema: Any) -> tuple[int, int]:
    """In how many ways an object, and a list, can be tried at each level of a type that refers to itself."""
    schemas = [_schema(part) for part in _all_parts(schema)]
    definitions: dict[str, Any] = {part["ref"]: part for part in schemas if "ref" in part}
    objects = lists = 1
    for union in schemas:
        if union.get("type") != "union":
            continue
        listed: list[Any] = union["choices"]
        choices = [_schema(cast("tuple[Any, ...]", one)[0] if isinstance(one, tuple) else one) for one in listed]
        kinds = [_kinds_of(choice, definitions) for choice in choices if _reaches(choice, union, definitions)]
        objects = max(objects, sum("object" in kind for kind in kinds))
        lists = max(lists, sum("list" in kind for kind in kinds))
    return objects, lists


def _all_parts(schema: Any) -> Iterator[Any]:
    stack: list[Any] = [schema]
    while stack:
        part = stack.pop()
        yield part
        stack.extend(_parts(part))


def _reaches(start: Any, target: Any, definitions: Mapping[str, Any]) -> bool:
    """Whether a schema refers to another one, however far below."""
    stack: list[Any] = [start]
    seen: set[str] = set()
    while stack:
        part = stack.pop()
        if part is target:
            return True
        if _schema(part).get("type") == "definition-ref":
            ref = str(part["schema_ref"])
            if ref not in seen and ref in definitions:
                seen.add(ref)
                stack.append(definitions[ref])
        stack.extend(_parts(part))
    return False


def _schema(part: Any) -> dict[str, Any]:
    """A part of a core schema, which is itself one; else nothing."""
    return cast("dict[str, Any]", part) if isinstance(part, dict) else {}


def _kinds_of(choice: dict[str, Any], definitions: Mapping[str, Any]) -> frozenset[str]:
    """What JSON a choice of a union may take: objects, lists, or both where that is not known."""
    for _ in range(len(definitions) + 20):
        kind = choice.get("type")
        if kind in _OBJECTS:
            return frozenset({"object"})
        if kind in _SEQUENCES:
            return frozenset({"list"})
        below = definitions.get(str(choice.get("schema_ref"))) if kind == "definition-ref" else choice.get("schema")
        if not (choice := _schema(below)):
            break
    return frozenset({"object", "list"})


_TOO_MANY_WAYS: Final = PydanticCustomError(
    "too_many_ways",
    "it is nested too deeply for a type that can be read in several ways at each level; a discriminator in its "
    "union leaves one",
)


def _check_ways(value: Any, objects: int, lists: int) -> None:
    """Raises ValidationError where there are too many ways to try a value."""
    level: list[tuple[Any, int]] = [(value, 1)]
    tried = containers = 0
    while level:
        below: list[tuple[Any, int]] = []
        for part, ways in level:
            if isinstance(part, dict):
                ways, members = ways * objects, list(cast("dict[str, Any]", part).values())
            elif isinstance(part, list):
                ways, members = ways * lists, cast("list[Any]", part)
            else:
                continue
            tried, containers = tried + ways, containers + 1
            below.extend((member, ways) for member in members)
        if tried > MAX_WAYS + _EACH * containers:
            raise ValidationError.from_exception_data("value", [{"type": _TOO_MANY_WAYS, "input": None}])
        level = below
