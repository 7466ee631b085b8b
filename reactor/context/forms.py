"""What a value that somebody sends to a task must look like: a Python type, or a JSON Schema."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any, NamedTuple, cast

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError
from pydantic import TypeAdapter
from pydantic.errors import PydanticInvalidForJsonSchema
from referencing import Registry

from reactor.definition.binding import adapter_for

_MAX_PROBLEMS = 5
"""How many problems of one value are named."""


class Form(NamedTuple):
    """What ``ctx.receive(schema=...)`` accepts.

    - ``schema``: its JSON Schema (2020-12), for those who send; None: any JSON value.
    - ``adapter``: restores a sent value to the Python type; None where a JSON Schema was given.
    """

    schema: dict[str, Any] | None
    adapter: TypeAdapter[Any] | None

    @classmethod
    def of(cls, schema: Any) -> Form:
        """The form of a type, a JSON Schema or None; raises TypeError or ValueError for anything else."""
        if schema is None:
            return cls(None, None)
        if isinstance(schema, Mapping):
            given = dict(cast(Mapping[str, Any], schema))
            try:
                Draft202012Validator.check_schema(given)
            except SchemaError as error:
                raise ValueError(f"it is not a JSON Schema: {error.message}") from error
            if (problem := _schema_problem(given)) is not None:
                raise ValueError(problem)
            return cls(given, None)
        try:
            adapter = adapter_for(schema)
        except Exception as error:  # any: whatever pydantic or Python raises for something that is not a type
            raise TypeError(f"{schema!r} is not a type: {error}") from error
        if adapter is None:
            raise TypeError(f"{schema!r} is not a type that values can be checked against")
        try:
            return cls(adapter.json_schema(), adapter)
        except PydanticInvalidForJsonSchema as error:
            raise TypeError(f"{schema!r} has no JSON Schema") from error

    def restore(self, value: Any) -> Any:
        """The value as the Python type; raises ValueError (pydantic's) where it does not fit."""
        return value if self.adapter is None else self.adapter.validate_python(value)


def problem_of(schema: Mapping[str, Any] | None, value: Any) -> str | None:
    """What is wrong with a value, and where in it, as one sentence; None where it fits."""
    if schema is None:
        return None
    # an empty registry: a reference in a schema must not make us fetch anything
    validator = Draft202012Validator(dict(schema), registry=Registry())  # pyright: ignore[reportUnknownArgumentType]  # typed loosely there
    try:
        found = cast("list[ValidationError]", list(islice(validator.iter_errors(value), _MAX_PROBLEMS)))  # pyright: ignore[reportUnknownMemberType]
    except Exception as error:  # a reference in it that leads nowhere, or to itself
        return f"the schema itself cannot be used: {type(error).__name__}: {str(error)[:200]}"
    return "; ".join(f"{_place(error)}{error.message[:200]}" for error in found) or None


def _schema_problem(schema: dict[str, Any]) -> str | None:
    """Why no value can be checked against a schema; None where that works."""
    problem = problem_of(schema, None)
    return problem if problem is not None and problem.startswith("the schema itself") else None


def _place(error: ValidationError) -> str:
    path = ".".join(map(str, error.absolute_path))[:100]
    return f"at {path}: " if path else ""
