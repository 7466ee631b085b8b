"""What a body, its condition and its cache key are given, and what a body may give back."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

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
from reactor.definition.references import filled, referenced
from reactor.events.values import is_larger, is_plain, plain_copy, preview, shown
from reactor.tasks.actor import Actor

if TYPE_CHECKING:
    from reactor.tasks.body import TaskActor


_VALUES: Final[frozenset[type]] = frozenset({type(None), bool, int, float, str, bytes, list, tuple, dict})
"""What most bodies return: nothing of these types is consumed by looking at it."""


def bind(actor: TaskActor, parameters: Iterable[Parameter]) -> dict[str, Any]:
    """The values of the parameters by name, without the context's. Raises what filling in or a type check raises."""
    return {parameter.name: _value(actor, parameter) for parameter in parameters if parameter.kind != CONTEXT}


def _value(actor: TaskActor, parameter: Parameter) -> Any:
    kind = parameter.kind
    if kind == UPSTREAM:
        return _output_or_default(actor.scope.actors[parameter.source], parameter)
    if kind == INPUT:
        return actor.scope.inputs.get(parameter.source, parameter.default)
    if kind == GIVEN:
        return _given(actor, parameter)
    return _item(actor, parameter)


def _item(actor: TaskActor, parameter: Parameter) -> Any:
    return actor.item if actor.pair is None else _output_or_default(actor.pair, parameter)


def _output_or_default(upstream: Actor, parameter: Parameter) -> Any:
    if upstream.status == "completed":
        return upstream.output
    return None if parameter.default is MISSING else parameter.default


def _given(actor: TaskActor, parameter: Parameter) -> Any:
    """A value of the definition with its references filled in, as the type the function wants."""
    template = parameter.default
    outputs = {name: _as_json(actor.scope.actors[name]) for name in referenced({parameter.name: template})}
    value = filled(template, outputs)
    if is_larger(value, PLAN_VALUES):  # references to references grow tenfold a task
        raise ValueError(f"the input {parameter.name!r} has more than {PLAN_VALUES:,} values")
    adapter = adapter_for(parameter.annotation)
    try:
        return value if adapter is None else adapter.validate_python(value)
    except ValidationError as error:
        raise TypeError(f"the input {parameter.name!r} does not fit: {problems_in(error)}") from None


def _as_json(upstream: Actor) -> Any:
    """An output as a document can look into it: models and tuples are objects and lists."""
    if upstream.status != "completed":
        return None
    return upstream.output if is_plain(upstream.output) else plain_copy(upstream.output)


def shown_arguments(actor: TaskActor) -> dict[str, bytes]:
    """The run inputs, the mapped item and what the definition gives, as JSON by parameter."""
    given: dict[str, bytes] = {}
    for parameter in actor.node.parameters:
        if parameter.kind == INPUT and parameter.source in actor.scope.input_json:
            given[parameter.name] = actor.scope.input_json[parameter.source]
        elif parameter.kind == ITEM:
            given[parameter.name] = shown(_item(actor, parameter))
        elif parameter.kind == GIVEN:
            given[parameter.name] = shown(parameter.default)
    return given


def no_output(output: Any) -> TypeError | None:
    """Why a value cannot be handed on: it could be consumed once, and would be by whoever looks first."""
    if type(output) in _VALUES:
        return None
    if inspect.isawaitable(output):
        if inspect.iscoroutine(output):
            output.close()
        return TypeError(f"the body returned {preview(output)}; declare it with async def, or await it")
    if inspect.isgenerator(output) or inspect.isasyncgen(output):
        return TypeError(f"the body returned {preview(output)}; return a list")
    return None
