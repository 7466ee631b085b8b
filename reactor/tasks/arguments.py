"""The arguments of a body, of its condition and of its cache key."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError

from reactor.bounds import PLAN_VALUES
from reactor.definition.binding import (
    CONTEXT,
    GIVEN,
    INPUT,
    ITEM,
    MISSING,
    UPSTREAM,
    Parameter,
    adapter_for,
    problems_in,
)
from reactor.definition.references import fill_references, referenced_tasks
from reactor.events.plain import is_larger, is_plain
from reactor.events.shown import display_json, plain_copy
from reactor.tasks.scope import Body, Ended


def bind(body: Body, parameters: Iterable[Parameter]) -> dict[str, Any]:
    """Values by parameter name, without the Context. Raises whatever a missing reference or a type check raises."""
    return {parameter.name: _value(body, parameter) for parameter in parameters if parameter.kind != CONTEXT}


def _value(body: Body, parameter: Parameter) -> Any:
    kind = parameter.kind
    if kind == UPSTREAM:
        return _output_or_default(body.scope.actors[parameter.source], parameter)
    if kind == INPUT:
        return body.scope.inputs.get(parameter.source, parameter.default)
    if kind == GIVEN:
        return _given(body, parameter)
    return _item(body, parameter)


def _item(body: Body, parameter: Parameter) -> Any:
    return body.item if body.pair is None else _output_or_default(body.pair, parameter)


def _output_or_default(upstream: Ended, parameter: Parameter) -> Any:
    if upstream.status == "completed":
        return upstream.output
    return None if parameter.default is MISSING else parameter.default


def _given(body: Body, parameter: Parameter) -> Any:
    """A value of a plan, its references replaced by outputs, converted to the type of the parameter."""
    template = parameter.default
    outputs = {name: _as_json(body.scope.actors[name]) for name in referenced_tasks({parameter.name: template})}
    value = fill_references(template, outputs)
    if is_larger(value, PLAN_VALUES):  # references to references grow tenfold a task
        raise ValueError(f"the input {parameter.name!r} has more than {PLAN_VALUES:,} values")
    adapter = adapter_for(parameter.annotation)
    try:
        return value if adapter is None else adapter.validate_python(value)
    except ValidationError as error:
        raise TypeError(f"the input {parameter.name!r} does not fit: {problems_in(error)}") from None


def _as_json(upstream: Ended) -> Any:
    """An output as a reference can look into it: models become objects, tuples become lists."""
    if upstream.status != "completed":
        return None
    return upstream.output if is_plain(upstream.output) else plain_copy(upstream.output)


def preview_arguments(body: Body) -> dict[str, bytes]:
    """What ``task.started`` shows: run inputs, the mapped item and the values of a plan, as JSON by parameter name."""
    given: dict[str, bytes] = {}
    for parameter in body.node.parameters:
        if parameter.kind == INPUT and parameter.source in body.scope.input_json:
            given[parameter.name] = body.scope.input_json[parameter.source]
        elif parameter.kind == ITEM:
            given[parameter.name] = display_json(_item(body, parameter))
        elif parameter.kind == GIVEN:
            given[parameter.name] = display_json(parameter.default)
    return given
