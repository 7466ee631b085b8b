"""Parameters bind by name: what a function takes, where each value comes from, and its type as pydantic sees it.

A parameter of a body is the Context, the output of an upstream, one item of a mapped upstream, or an input of the
run. ``resolve`` decides which, once, when the workflow is frozen.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import lru_cache
from json import JSONDecoder
from typing import Any, Final, NamedTuple, get_origin, get_type_hints

from pydantic import ConfigDict, PydanticSchemaGenerationError, TypeAdapter, ValidationError
from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError
from pydantic_core import SchemaError

from reactor.definition.strangers import Checker

MISSING: Final = inspect.Parameter.empty
"""Stands for a default or an annotation that is not there."""
UNRESOLVED: Final = "unresolved"
"""Stands for an annotation that cannot be evaluated. Only an input of a run needs one that can."""
_NAMED_ERRORS: Final = 5
_MANY_ERRORS: Final = 1_000

# Where the value of a parameter comes from: the ``kind`` of a ``Parameter``.
CONTEXT: Final = "context"
UPSTREAM: Final = "upstream"
ITEM: Final = "item"
INPUT: Final = "input"
GIVEN: Final = "given"
"""From the definition itself: a value of a plan, in which references to upstreams are replaced (``references``)."""


class Parameter(NamedTuple):
    """One parameter of a body or condition: ``kind`` says where its value comes from, ``source`` the name there.

    For the kind ``GIVEN``, the value is kept in ``default``.
    """

    name: str
    kind: str
    source: str
    default: Any
    annotation: Any


class Signature(NamedTuple):
    """What a function takes and returns."""

    parameters: tuple[tuple[str, Any, Any], ...]
    """``(name, default or MISSING, annotation or MISSING)`` of each parameter but the one for the Context."""
    context: str | None
    """The name of the parameter that receives the Context, if there is one."""
    returns: Any
    is_async: bool


@lru_cache(maxsize=4096)
def signature_of(function: Callable[..., Any]) -> Signature:
    """Reads a function's signature; raises TypeError, with a sentence, if a parameter cannot be bound by name."""
    signature = inspect.signature(function)
    hints = _hints(function)
    context: str | None = None
    parameters: list[tuple[str, Any, Any]] = []
    for name, parameter in signature.parameters.items():
        if name == "self":
            raise TypeError("it is a method without its object; pass a bound method: flow.task(object.method)")
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise TypeError(f"parameter {str(parameter)!r} cannot be bound by name; write each parameter out")
        if parameter.kind == parameter.POSITIONAL_ONLY:
            raise TypeError(f"parameter {str(parameter)!r} cannot be bound by name; leave out the / after it")
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
        return {name: _evaluate(target, written) for name, written in _annotations(target).items()}


def _annotations(function: Any) -> dict[str, Any]:
    return dict(getattr(inspect.unwrap(function), "__annotations__", {}))


def _evaluate(function: Any, written: Any) -> Any:
    """One annotation by itself; UNRESOLVED if its name is known to type checkers only, or local to a function."""
    if not isinstance(written, str):
        return written
    try:
        return eval(written, getattr(inspect.unwrap(function), "__globals__", {}))  # as get_type_hints does
    except Exception:  # an annotation may raise anything
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
        pass  # a class unknown to pydantic: tried again below, where any instance of it is accepted
    except (PydanticUserError, PydanticUndefinedAnnotation, TypeError):
        return None
    try:
        return TypeAdapter(annotation, config=ConfigDict(arbitrary_types_allowed=True))
    except (PydanticUserError, PydanticSchemaGenerationError, SchemaError):
        return None  # a dataclass or model whose own config forbids arbitrary types, or a Protocol


def adapter_for(annotation: Any) -> TypeAdapter[Any] | None:
    """The pydantic adapter of an annotation; None if there is no annotation, or pydantic cannot handle it."""
    if annotation is MISSING or annotation is Any or annotation is UNRESOLVED:
        return None
    try:
        return _cached_adapter(annotation)
    except TypeError:  # an unhashable annotation (``Annotated[..., []]``) cannot be cached
        return TypeAdapter(annotation)
    except PydanticSchemaGenerationError:
        return None


def checker_for(annotation: Any) -> Checker | None:
    """The same for values of strangers."""
    adapter = adapter_for(annotation)
    return None if adapter is None else _checker(adapter)


@lru_cache(maxsize=4096)
def _checker(adapter: TypeAdapter[Any]) -> Checker:
    return Checker(adapter)


def type_name(annotation: Any) -> str:
    """An annotation as it is written: ``int``, ``list[str]``."""
    if annotation is MISSING or annotation is Any:
        return "any JSON value"
    is_class = isinstance(annotation, type) and get_origin(annotation) is None
    return annotation.__name__ if is_class else str(annotation).replace("typing.", "")


def problems_in(error: ValidationError) -> str:
    """What pydantic found, in one line: the first five problems, each with its place."""
    return "; ".join(
        (f"at {'.'.join(map(str, e['loc']))}: " if e["loc"] else "") + e["msg"] for e in _first_errors(error)
    )


def _first_errors(error: ValidationError) -> list[Any]:
    if error.error_count() > _MANY_ERRORS:
        return _read_first(error.json(include_url=False, include_context=False, include_input=False))
    return list(error.errors(include_url=False, include_context=False, include_input=False)[:_NAMED_ERRORS])


def _read_first(text: str) -> list[Any]:
    """The first members of a JSON array. Strangers may cause very many errors, and an object of each takes time."""
    found: list[Any] = []
    start, decoder = 1, JSONDecoder()
    for _ in range(_NAMED_ERRORS):
        member, end = decoder.raw_decode(text, start)
        found.append(member)
        start = end + 1
    return found
