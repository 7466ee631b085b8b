"""The inputs of a run: collected from the parameters that take them, validated, parsed from text, and their schema."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, Final, NamedTuple, NoReturn, cast

import orjson
from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticInvalidForJsonSchema

from reactor.definition.binding import MISSING, UNRESOLVED, Parameter, adapter_for, checker_for, problems_in, type_name
from reactor.definition.names import did_you_mean, is_near
from reactor.definition.strangers import python_pattern
from reactor.errors import InputError, WorkflowError
from reactor.events.plain import depth_of
from reactor.events.shown import dumps
from reactor.events.values import describe_error, json_kind

MAX_INPUT_DEPTH: Final = 100
"""Levels of lists and objects in the input of a run; a deeper one is refused."""
_LISTED_INPUTS: Final = 10
"""How many unknown inputs an error names; strangers may send very many."""
_COMPARED_INPUTS: Final = 100
_COMPARED_TASKS: Final = 1_000
"""How many inputs are compared with how many names of tasks, because each pair takes some microseconds."""


class RunInput(NamedTuple):
    """One input of a run; ``tasks`` are the names of the tasks with a parameter that takes it."""

    name: str
    annotation: Any
    required: bool
    default: Any
    tasks: tuple[str, ...]
    near_task: str | None = None
    """A task whose name is so alike that the parameter probably means its output."""


# --- from the parameters of all tasks ---------------------------------------------------------------------------


def collect_inputs(
    workflow: str, taken: Mapping[str, list[tuple[str, Parameter]]], task_names: Iterable[str]
) -> dict[str, RunInput]:
    """The inputs of a run by name. ``taken``: input name -> ``(task name, parameter)`` of each parameter that takes it.

    Raises WorkflowError for two different annotations of one input, for one that cannot be resolved, and for a
    default that is not JSON.
    """
    compared = tuple(islice(task_names, _COMPARED_TASKS if len(taken) <= _COMPARED_INPUTS else 0))
    return {name: _collect_input(workflow, name, uses, compared) for name, uses in taken.items()}


def _collect_input(
    workflow: str, name: str, uses: Sequence[tuple[str, Parameter]], task_names: Iterable[str]
) -> RunInput:
    annotated = {repr(p.annotation): (task, p.annotation) for task, p in uses if p.annotation is not MISSING}
    if len(annotated) > 1:
        (task_a, a), (task_b, b), *_ = annotated.values()
        _fail(
            workflow,
            task_b,
            f"the run input {name!r} is {type_name(a)} for task {task_a!r} but {type_name(b)} for task {task_b!r}; "
            "give both parameters one type, or one of them another name",
        )
    for task, parameter in uses:
        if (
            problem := default_problem(f"parameter {parameter.name!r} of task {task!r}", parameter.default)
        ) is not None:
            _fail(workflow, task, problem)
        if parameter.annotation is UNRESOLVED:
            _fail(
                workflow,
                task,
                f"the annotation of input {name!r} of task {task!r} cannot be resolved; "
                "define its type at module level, and import it outside of TYPE_CHECKING",
            )
    annotation = next((a for _, a in annotated.values()), Any)
    adapter = adapter_for(annotation)
    if adapter is not None and (pattern := python_pattern(adapter)) is not None:
        _fail(
            workflow,
            uses[0][0],
            f"the input {name!r} has the pattern {pattern[:100]!r}, which Python's re would check, and a value can "
            "hold that up for ever; write it as text, without look-around, backreferences and regex_engine='python-re'",
        )
    required = any(p.default is MISSING for _, p in uses)
    default = MISSING if required else uses[0][1].default
    tasks = tuple(dict.fromkeys(task for task, _ in uses))
    near = next((task for task in task_names if task not in tasks and is_near(name, task)), None)
    return RunInput(name, annotation, required, default, tasks, near)


def default_problem(parameter: str, default: Any) -> str | None:
    """A sentence if a default is not JSON, since schemas describe it as JSON. ``parameter``: ``parameter 'x'``."""
    if default is MISSING:
        return None
    try:
        dumps(default)
    except (TypeError, RecursionError):
        return f"the default of {parameter} is not JSON: {type(default).__name__}; make it None, or plain JSON"
    return None


def _fail(workflow: str, task: str, problem: str) -> NoReturn:
    raise WorkflowError(f"workflow {workflow!r}: {problem}", workflow=workflow, task=task)


# --- validation -------------------------------------------------------------------------------------------------


def validate_input(workflow: str, inputs: Mapping[str, RunInput], given: object) -> dict[str, Any]:
    """The given input as the bodies receive it; raises InputError that lists every problem."""
    if not isinstance(given, Mapping):
        raise InputError(
            f"the input of workflow {workflow!r} must be an object, not {json_kind(given)}: {_example(inputs)}",
            workflow=workflow,
            problems=[],
        )
    mapping = cast(Mapping[Any, Any], given)
    if depth_of(mapping) > MAX_INPUT_DEPTH:
        raise InputError(
            f"workflow {workflow!r}: the input is nested more than {MAX_INPUT_DEPTH} levels deep",
            workflow=workflow,
            problems=[],
        )
    unknown = [name for name in mapping if name not in inputs]
    problems = [_unknown_input(name, inputs) for name in unknown[:_LISTED_INPUTS]]
    if len(unknown) > _LISTED_INPUTS:
        problems.append(_more_unknown(len(unknown) - _LISTED_INPUTS))
    values: dict[str, Any] = {}
    for spec in inputs.values():
        if spec.name in mapping:
            try:
                values[spec.name] = _validate(spec, mapping[spec.name])
            except Exception as error:  # a validator that a user wrote may raise anything
                problems.append(_invalid_input(spec, error))
        elif spec.required:
            expected = type_name(spec.annotation)
            hint = "" if spec.near_task is None else f", did you mean the task {spec.near_task!r}?"
            problems.append(_problem(spec.name, spec.tasks, f"is missing (expected {expected}){hint}", expected))
    if problems:
        sentence = "; ".join(problem["message"] for problem in problems)
        raise InputError(f"workflow {workflow!r}: {sentence}", workflow=workflow, problems=problems)
    return values


def _example(inputs: Iterable[str]) -> str:
    return "{" + ", ".join(f'"{name}": ...' for name in islice(inputs, 3)) + "}"


def _validate(spec: RunInput, value: Any) -> Any:
    checker = checker_for(spec.annotation)
    return value if checker is None else checker.check(value)


def _unknown_input(name: Any, inputs: Mapping[str, RunInput]) -> dict[str, Any]:
    hint = did_you_mean(str(name), inputs) or f"; it takes {', '.join(inputs) or 'none'}"
    return _problem(str(name)[:100], (), f"is not an input of this workflow{hint}", "nothing")


def _more_unknown(count: int) -> dict[str, Any]:
    what = "input is" if count == 1 else "inputs are"
    return {"input": "", "tasks": [], "expected": "nothing", "message": f"{count:,} more {what} not of this workflow"}


def _invalid_input(spec: RunInput, error: Exception) -> dict[str, Any]:
    expected = type_name(spec.annotation)
    why = (
        problems_in(error)
        if isinstance(error, ValidationError)
        else "{type}: {message}".format(**describe_error(error))
    )
    return _problem(spec.name, spec.tasks, f"does not fit (expected {expected}): {why}", expected)


def _problem(name: str, tasks: tuple[str, ...], what: str, expected: str) -> dict[str, Any]:
    of = f" of task{'s' if len(tasks) > 1 else ''} {', '.join(map(repr, tasks))}" if tasks else ""
    return {"input": name, "tasks": list(tasks), "expected": expected, "message": f"the input {name!r}{of} {what}"}


# --- text -------------------------------------------------------------------------------------------------------


def parse_input(workflow: str, inputs: Mapping[str, RunInput], texts: Mapping[str, str]) -> dict[str, Any]:
    """Input typed as text (``key=value``): read as JSON if that fits the parameter's type, else used as it is.

    Returns it as it is given to a run, which validates it: no validator must see its own result. Raises InputError.
    """
    given: dict[str, Any] = {}
    for name, text in texts.items():
        spec = inputs.get(name)
        given[name] = text if spec is None else _parse(spec, text)
    validate_input(workflow, inputs, given)
    return given


def _parse(spec: RunInput, text: str) -> Any:
    try:
        value = orjson.loads(text)
        _validate(spec, value)
    except Exception:  # it is no JSON, or not of the type; or whatever a user's validator raises
        return text
    return value


# --- schema -----------------------------------------------------------------------------------------------------


def input_schema(inputs: Mapping[str, RunInput]) -> dict[str, Any]:
    """The JSON Schema (2020-12) of a run's input."""
    adapters = {name: adapter_for(spec.annotation) for name, spec in inputs.items()}
    known: list[tuple[str, Any, TypeAdapter[Any]]] = []
    for name, adapter in adapters.items():
        if adapter is not None and _has_schema(adapter):
            known.append((name, "validation", adapter))
    schemas, definitions = TypeAdapter.json_schemas(known) if known else ({}, {})
    properties: dict[str, Any] = {}
    for name, spec in inputs.items():
        properties[name] = dict(schemas.get((name, "validation"), {}))
        if not spec.required:
            properties[name]["default"] = orjson.loads(dumps(spec.default))
    schema: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    required = [name for name, spec in inputs.items() if spec.required]
    if required:
        schema["required"] = required
    return schema | {key: value for key, value in definitions.items() if key == "$defs"}


def _has_schema(adapter: TypeAdapter[Any]) -> bool:
    try:
        adapter.json_schema()
    except PydanticInvalidForJsonSchema:
        return False
    return True
