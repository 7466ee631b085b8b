"""Parameters bind by name: what each parameter of a body is, and the types at the boundary.

A parameter is the Context, the output of an upstream, one item of a mapped upstream, or an input of the run; in
that order, decided once when the workflow is frozen.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, Final, NamedTuple, cast, get_type_hints

import orjson
from pydantic import ConfigDict, PydanticSchemaGenerationError, TypeAdapter, ValidationError
from pydantic.errors import PydanticInvalidForJsonSchema, PydanticUndefinedAnnotation, PydanticUserError

from reactor.errors import InputError, WorkflowError
from reactor.events.values import depth_of, dumps

MAX_INPUT_DEPTH: Final = 100

MISSING: Final = inspect.Parameter.empty
UNRESOLVED: Final = "unresolved"
"""In place of an annotation that cannot be evaluated. It binds like a missing one, except at the boundary."""
CONTEXT: Final = "context"
UPSTREAM: Final = "upstream"
ITEM: Final = "item"
INPUT: Final = "input"
GIVEN: Final = "given"
"""A value of the definition itself, in which references to upstreams are filled in (``references``)."""


class Parameter(NamedTuple):
    """One parameter of a body or condition: ``kind`` says where its value comes from, ``source`` the name there.

    Of ``GIVEN`` the value is the ``default``.
    """

    name: str
    kind: str
    source: str
    default: Any
    annotation: Any


class Signature(NamedTuple):
    """What a function takes and returns."""

    parameters: tuple[tuple[str, Any, Any], ...]
    """(name, default or MISSING, annotation or MISSING), without the context."""
    context: str | None
    """The parameter that receives the Context."""
    returns: Any
    is_async: bool


@lru_cache(maxsize=4096)
def signature_of(function: Callable[..., Any]) -> Signature:
    """Reads a function's parameters; raises TypeError with a sentence for those that cannot be bound by name."""
    signature = inspect.signature(function)
    hints = _hints(function)
    context: str | None = None
    parameters: list[tuple[str, Any, Any]] = []
    for name, parameter in signature.parameters.items():
        if name == "self":
            raise TypeError("it is a method without its object; pass a bound method")
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise TypeError(f"parameter {str(parameter)!r} cannot be bound by name")
        annotation = hints.get(name, MISSING)
        if name == "ctx" or _is_context(annotation, parameter.annotation):
            context = name
        else:
            parameters.append((name, parameter.default, annotation))
    is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004  # not a test for callability: callables with async __call__
    )
    return Signature(tuple(parameters), context, hints.get("return", MISSING), is_async)


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    target = function if inspect.isroutine(function) else getattr(function, "__call__", function)  # noqa: B004
    try:
        return get_type_hints(target, include_extras=True)
    except (NameError, TypeError, AttributeError):
        return {name: _resolved(target, written) for name, written in _written(target).items()}


def _written(function: Any) -> dict[str, Any]:
    return dict(getattr(inspect.unwrap(function), "__annotations__", {}))


def _resolved(function: Any, written: Any) -> Any:
    """One annotation by itself, or UNRESOLVED: it exists for type checkers only, or was defined inside a function."""
    if not isinstance(written, str):
        return written
    try:
        return eval(written, getattr(inspect.unwrap(function), "__globals__", {}))  # as get_type_hints does
    except Exception:  # whatever an annotation may raise, it is not resolved
        return UNRESOLVED


def _is_context(annotation: Any, written: Any) -> bool:
    if annotation is MISSING or annotation is UNRESOLVED:
        return isinstance(written, str) and written.split(".")[-1] == "Context"
    return getattr(annotation, "__module__", "") == "reactor.context.context" and annotation.__name__ == "Context"


@lru_cache(maxsize=4096)
def _cached_adapter(annotation: Any) -> TypeAdapter[Any] | None:
    try:
        return TypeAdapter(annotation)
    except PydanticSchemaGenerationError:
        pass  # a class pydantic knows nothing of: below it is taken as it is
    except (PydanticUserError, PydanticUndefinedAnnotation, TypeError):
        return None
    try:
        return TypeAdapter(annotation, config=ConfigDict(arbitrary_types_allowed=True))
    except (PydanticUserError, PydanticSchemaGenerationError):
        return None  # a dataclass or model of arbitrary types has a config of its own, which does not allow them


def adapter_for(annotation: Any) -> TypeAdapter[Any] | None:
    """pydantic's view of an annotation; None where there is none or pydantic cannot have one."""
    if annotation is MISSING or annotation is Any or annotation is UNRESOLVED:
        return None
    try:
        return _cached_adapter(annotation)
    except TypeError:  # an unhashable annotation (``Annotated[..., []]``) is only not cached
        return TypeAdapter(annotation)
    except PydanticSchemaGenerationError:
        return None


class RunInput(NamedTuple):
    """One input of a run, from all parameters that take it."""

    name: str
    annotation: Any
    required: bool
    default: Any
    tasks: tuple[str, ...]


def collect_inputs(workflow: str, taken: Mapping[str, list[tuple[str, Parameter]]]) -> dict[str, RunInput]:
    """The inputs of a run from (task, parameter) pairs by input name; raises WorkflowError where they contradict."""
    inputs: dict[str, RunInput] = {}
    for name, uses in taken.items():
        annotated = {repr(p.annotation): (task, p.annotation) for task, p in uses if p.annotation is not MISSING}
        if len(annotated) > 1:
            (task_a, a), (task_b, b), *_ = annotated.values()
            raise WorkflowError(
                f"workflow {workflow!r}: the run input {name!r} is {_named(a)} for task {task_a!r} "
                f"but {_named(b)} for task {task_b!r}",
                workflow=workflow,
                task=task_b,
            )
        for task, parameter in uses:
            _check_default(workflow, task, parameter)
            if parameter.annotation is UNRESOLVED:
                raise WorkflowError(
                    f"workflow {workflow!r}: the annotation of input {name!r} of task {task!r} cannot be resolved; "
                    "define its type at module level, and import it outside of TYPE_CHECKING",
                    workflow=workflow,
                    task=task,
                )
        annotation = next((a for _, a in annotated.values()), Any)
        required = any(p.default is MISSING for _, p in uses)
        default = MISSING if required else uses[0][1].default
        inputs[name] = RunInput(name, annotation, required, default, tuple(dict.fromkeys(t for t, _ in uses)))
    return inputs


def _check_default(workflow: str, task: str, parameter: Parameter) -> None:
    if parameter.default is MISSING:
        return
    try:
        dumps(parameter.default)
    except (TypeError, RecursionError):
        raise WorkflowError(
            f"workflow {workflow!r}: the default of parameter {parameter.name!r} of task {task!r} is not JSON: "
            f"{type(parameter.default).__name__}",
            workflow=workflow,
            task=task,
        ) from None


def validate_input(workflow: str, inputs: Mapping[str, RunInput], given: object) -> dict[str, Any]:
    """The given input as the bodies receive it; raises InputError that lists every problem."""
    if not isinstance(given, Mapping):
        raise InputError(
            f"the input of workflow {workflow!r} must be an object, not {_kind(given)}", workflow=workflow, problems=[]
        )
    mapping = cast(Mapping[Any, Any], given)
    if depth_of(mapping) > MAX_INPUT_DEPTH:
        raise InputError(
            f"workflow {workflow!r}: the input is nested more than {MAX_INPUT_DEPTH} levels deep",
            workflow=workflow,
            problems=[],
        )
    problems = [_unknown(name, inputs) for name in mapping if name not in inputs]
    values: dict[str, Any] = {}
    for spec in inputs.values():
        if spec.name in mapping:
            try:
                values[spec.name] = _checked(spec, mapping[spec.name])
            except ValidationError as error:
                problems.append(_invalid(spec, error))
        elif spec.required:
            expected = _named(spec.annotation)
            problems.append(_problem(spec.name, spec.tasks, f"is missing (expected {expected})", expected))
    if problems:
        sentence = "; ".join(problem["message"] for problem in problems)
        raise InputError(f"workflow {workflow!r}: {sentence}", workflow=workflow, problems=problems)
    return values


def _checked(spec: RunInput, value: Any) -> Any:
    adapter = adapter_for(spec.annotation)
    return value if adapter is None else adapter.validate_python(value)


def _unknown(name: Any, inputs: Mapping[str, RunInput]) -> dict[str, Any]:
    near = get_close_matches(str(name), inputs, n=1)
    hint = f", did you mean {near[0]!r}?" if near else f"; it takes {', '.join(inputs) or 'none'}"
    return _problem(str(name)[:100], (), f"is not an input of this workflow{hint}", "nothing")


def _invalid(spec: RunInput, error: ValidationError) -> dict[str, Any]:
    expected = _named(spec.annotation)
    return _problem(spec.name, spec.tasks, f"does not fit (expected {expected}): {problems_in(error)}", expected)


def problems_in(error: ValidationError) -> str:
    """What pydantic found, in one line: the first five, each with its place."""
    return "; ".join(
        (f"at {'.'.join(map(str, e['loc']))}: " if e["loc"] else "") + e["msg"] for e in error.errors()[:5]
    )


def _problem(name: str, tasks: tuple[str, ...], what: str, expected: str) -> dict[str, Any]:
    of = f" of task{'s' if len(tasks) > 1 else ''} {', '.join(map(repr, tasks))}" if tasks else ""
    return {"input": name, "tasks": list(tasks), "expected": expected, "message": f"the input {name!r}{of} {what}"}


def _named(annotation: Any) -> str:
    if annotation is MISSING or annotation is Any:
        return "any JSON value"
    return annotation.__name__ if isinstance(annotation, type) else str(annotation).replace("typing.", "")


def _kind(value: object) -> str:
    return "nothing" if value is None else type(value).__name__


def parse_input(workflow: str, inputs: Mapping[str, RunInput], texts: Mapping[str, str]) -> dict[str, Any]:
    """Input typed as text (``key=value``): JSON where the parameter's type takes it, else the text itself."""
    given: dict[str, Any] = {}
    for name, text in texts.items():
        spec = inputs.get(name)
        given[name] = text if spec is None else _parsed(spec, text)
    return validate_input(workflow, inputs, given)


def _parsed(spec: RunInput, text: str) -> Any:
    try:
        value = orjson.loads(text)
        _checked(spec, value)
    except (orjson.JSONDecodeError, ValidationError):
        return text
    return value


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
