"""What a value that somebody sends must look like: a type of Python's or a JSON Schema, and always its JSON Schema."""

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

_SHOWN = 5


class Form(NamedTuple):
    """``schema``: JSON Schema (2020-12), for whoever sends; ``adapter``: restores the value to the type it was of."""

    schema: dict[str, Any] | None
    adapter: TypeAdapter[Any] | None

    @classmethod
    def of(cls, schema: Any) -> Form:
        """Of a type, a JSON Schema or None; raises TypeError or ValueError for what is neither."""
        if schema is None:
            return cls(None, None)
        if isinstance(schema, Mapping):
            given = dict(cast(Mapping[str, Any], schema))
            try:
                Draft202012Validator.check_schema(given)
            except SchemaError as error:
                raise ValueError(f"it is no JSON Schema: {error.message}") from error
            if (problem := _broken(given)) is not None:
                raise ValueError(problem)
            return cls(given, None)
        try:
            adapter = adapter_for(schema)
        except Exception as error:  # a text that is no type, say: whatever pydantic or Python makes of it
            raise TypeError(f"{schema!r} is no type: {error}") from error
        if adapter is None:
            raise TypeError(f"{schema!r} is no type a value could be checked against")
        try:
            return cls(adapter.json_schema(), adapter)
        except PydanticInvalidForJsonSchema as error:
            raise TypeError(f"{schema!r} has no JSON Schema") from error

    def restore(self, value: Any) -> Any:
        """The value as the type it was asked for; raises ValueError (pydantic's)."""
        return value if self.adapter is None else self.adapter.validate_python(value)


def problem_of(schema: Mapping[str, Any] | None, value: Any) -> str | None:
    """What is wrong with a value, in one sentence that says where; None where it fits."""
    if schema is None:
        return None
    # a registry of its own: a schema must not make us fetch anything
    validator = Draft202012Validator(dict(schema), registry=Registry())  # pyright: ignore[reportUnknownArgumentType]  # typed loosely there
    try:
        found = cast("list[ValidationError]", list(islice(validator.iter_errors(value), _SHOWN)))  # pyright: ignore[reportUnknownMemberType]
    except Exception as error:  # a reference that leads nowhere, or round in a circle
        return f"the schema itself cannot be used: {type(error).__name__}: {str(error)[:200]}"
    return "; ".join(f"{_place(error)}{error.message[:200]}" for error in found) or None


def _broken(schema: dict[str, Any]) -> str | None:
    """What makes a schema useless for any value."""
    problem = problem_of(schema, None)
    return problem if problem is not None and problem.startswith("the schema itself") else None


def _place(error: ValidationError) -> str:
    path = ".".join(map(str, error.absolute_path))[:100]
    return f"at {path}: " if path else ""
