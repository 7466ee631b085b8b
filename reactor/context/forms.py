"""What a value that somebody sends to a task must look like: a Python type, or a JSON Schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, cast

import orjson
from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticInvalidForJsonSchema

from reactor.definition.binding import adapter_for, problems_in
from reactor.events.values import clip, describe_error

MAX_PROBLEM_CHARS = 1_000
"""How much is said of what is wrong with one value."""


# ``schemas`` is imported with the first question that has a schema: jsonschema takes a tenth of the time in which this
# package is imported, in each worker process too, and its 4,000 objects are looked at by each full garbage collection


def _check_schema(schema: Mapping[str, Any]) -> None:
    from reactor.context.schemas import check_schema

    check_schema(schema)


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
            _check_schema(given)
            return cls(given, None)
        try:
            adapter = adapter_for(schema)
        except Exception as error:  # any: whatever pydantic or Python raises for something that is not a type
            raise TypeError(f"{schema!r} is not a type: {error}") from error
        if adapter is None:
            raise TypeError(f"{schema!r} is not a type that values can be checked against")
        try:
            described = adapter.json_schema()
        except PydanticInvalidForJsonSchema as error:
            raise TypeError(f"{schema!r} has no JSON Schema") from error
        _check_schema(described)
        return cls(described, adapter)

    def restore(self, value: Any) -> tuple[str | None, Any]:
        """``(problem, value as the Python type)`` of a value that fits the schema; the type's own validators run."""
        if self.adapter is None:
            return None, value
        try:
            return None, self.adapter.validate_json(orjson.dumps(value))
        except ValidationError as error:
            return clip(problems_in(error), MAX_PROBLEM_CHARS), None
        except Exception as error:  # a user's validator may raise anything; another answer may please it
            described = describe_error(error)
            return clip(f"{described['type']}: {described['message']}", MAX_PROBLEM_CHARS), None
