"""Python values as JSON and back: what an event can carry, and what a restart can hand on unchanged.

A value is *recoverable* if reading its JSON gives an equal value of equal type: plain JSON by nature, anything
else only through the task's return annotation. orjson alone turns tuples into lists, dataclasses into dicts and
NaN into null without a word, so it is never asked to judge.
"""

from __future__ import annotations

import math
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import is_dataclass
from decimal import Decimal
from typing import Any, Final, NamedTuple, cast

import orjson
import structlog
from pydantic import BaseModel, TypeAdapter
from pydantic_core import PydanticSerializationError, to_jsonable_python

from reactor.bounds import MAX_ERROR_CHARS, PREVIEW_CHARS

logger = structlog.get_logger("reactor")

MAX_DEPTH: Final = 200
"""Of lists and objects in one value: orjson writes at most 254 levels, and an event has some of its own."""

_INT64: Final = range(-(2**63), 2**63)


class Encoded(NamedTuple):
    """A value as the JSON text of an event, and whether that text restores it: ``typed`` through the annotation."""

    json: bytes
    recoverable: bool
    typed: bool = False


def dumps(value: Any) -> bytes:
    """JSON of anything orjson or pydantic can express; raises TypeError with a sentence for the rest."""
    try:
        return orjson.dumps(value, default=_jsonable)
    except TypeError as error:
        raise TypeError(str(error)) from error


def _jsonable(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Iterator):
        raise TypeError("an iterator can be consumed only once")
    try:
        return to_jsonable_python(value)
    except PydanticSerializationError as error:
        raise TypeError(str(error)) from None


def plain_copy(value: Any) -> Any:
    """``value`` as what its JSON reads back as; raises TypeError for what is not JSON or nested too deeply."""
    try:
        return plain_copy_of_json(dumps(value))
    except orjson.JSONDecodeError as error:  # of a fragment somebody made by hand
        raise TypeError(f"not JSON: {error}") from error


def depth_of(value: Any) -> int:
    """How deeply lists and dicts are nested, as far as ``MAX_DEPTH`` + 1."""
    deepest = 0
    stack: list[tuple[Any, int]] = [(value, 0)]
    while stack and deepest <= MAX_DEPTH:
        item, depth = stack.pop()
        deepest = max(deepest, depth)
        if isinstance(item, (list, tuple)):
            stack.extend((member, depth + 1) for member in cast(list[Any], item))
        elif isinstance(item, dict):
            stack.extend((member, depth + 1) for member in cast(dict[Any, Any], item).values())
    return deepest


def is_plain(value: Any) -> bool:
    """True for None, bool, 64-bit int, finite float, str, and lists and str-keyed dicts of these, by exact type.

    Nested at most ``MAX_DEPTH`` deep, which also ends the walk through a list that contains itself.
    """
    stack: list[tuple[Any, int]] = [(value, 0)]
    while stack:
        item, depth = stack.pop()
        kind = cast(object, type(item))  # exact types: a subclass (an enum, a named tuple) would not come back
        if item is None or kind is bool or kind is str:
            continue
        if kind is int:
            if item not in _INT64:
                return False
        elif kind is float:
            if not math.isfinite(item):
                return False
        elif depth >= MAX_DEPTH:
            return False
        elif kind is list:
            stack.extend((member, depth + 1) for member in item)
        elif kind is dict:
            if not all(type(key) is str for key in item):
                return False
            stack.extend((member, depth + 1) for member in item.values())
        else:
            return False
    return True


def is_larger(value: Any, values: int) -> bool:
    """Whether a JSON value holds more than so many values; what is shared counts wherever it stands."""
    stack: list[Any] = [value]
    while stack:
        item = stack.pop()
        values -= 1
        if values < 0:
            return True
        if isinstance(item, dict):
            stack.extend(cast(dict[Any, Any], item).values())
        elif isinstance(item, (list, tuple)):
            stack.extend(cast(Sequence[Any], item))
    return False


def encode_output(value: Any, returns: TypeAdapter[Any] | None) -> Encoded:
    """The JSON of a task's output. Never raises: what cannot be JSON is shown as its ``repr`` and not recoverable."""
    try:
        if is_plain(value):
            return Encoded(orjson.dumps(value), True)
        if returns is not None:
            # an annotation that serialises with warnings does not describe the value: show it, but never trust it
            text = orjson.dumps(plain_copy_of_json(returns.dump_json(value, warnings="error")))
            is_equal = _equal(returns.validate_json(text), value)
            return Encoded(text, is_equal, typed=is_equal)
    except Exception as error:  # a validator, serialiser or __eq__ of a user's: not recoverable, and said to be
        logger.debug("output cannot be restored", type=type(value).__name__, error=describe_error(error))
    return Encoded(shown(value), False)


def plain_copy_of_json(json: bytes) -> Any:
    """What JSON of another maker reads back as; raises ValueError or TypeError where orjson could not read it later."""
    copy = orjson.loads(json)
    if not is_plain(copy):
        raise TypeError(f"nested more than {MAX_DEPTH} levels deep")
    return copy


def restore_output(json: bytes, returns: TypeAdapter[Any] | None) -> Any:
    """The value a downstream receives after a restart."""
    value = orjson.loads(json)
    return value if returns is None else returns.validate_json(json)


def _equal(restored: Any, value: Any) -> bool:
    return _same_types(restored, value) and bool(restored == value)


def _same_types(restored: Any, value: Any) -> bool:
    """Down to the members of containers and models: ``(1, True)`` is equal to ``(1.0, 1)``, but not the same."""
    if type(restored) is not type(value):
        return False
    if isinstance(value, dict):
        members = cast(dict[Any, Any], value)
        return restored.keys() == members.keys() and all(_same_types(restored[key], members[key]) for key in members)
    if isinstance(value, (list, tuple)):
        items = cast(Sequence[Any], value)
        return len(restored) == len(items) and all(map(_same_types, restored, items))
    if isinstance(value, BaseModel) or is_dataclass(value):
        return _same_types(getattr(restored, "__dict__", {}), getattr(value, "__dict__", {}))
    return True


def shown(value: Any) -> bytes:
    """JSON for people to look at: secrets masked, and the beginning of its ``repr`` where a value is not JSON."""
    try:
        return orjson.dumps(plain_copy(value))
    except BaseException:  # of a user's __repr__, __iter__ or model; its beginning is what there is to show
        return orjson.dumps(preview(value))


def json_number(amount: Decimal) -> int | float:
    """A decimal as JSON has it."""
    return int(amount) if amount == amount.to_integral_value() else float(amount)


def preview(value: Any) -> str:
    """The beginning of a value, for people; never raises."""
    try:
        text = value if isinstance(value, str) else repr(value)
    except BaseException as error:  # a body's own __repr__, which may raise anything: its failure is what there is
        text = f"<{type(value).__name__}: repr failed with {type(error).__name__}>"
    text = text.encode("utf-8", "replace").decode("utf-8")
    return text if len(text) <= PREVIEW_CHARS else text[: PREVIEW_CHARS - 1] + "…"


def describe_error(error: BaseException, *, with_traceback: bool = False) -> dict[str, Any]:
    """An exception as an event carries it: ``{type, message}``, and its traceback where that is enabled."""
    try:
        message = str(error)
    except BaseException as broken:  # a user's __str__: its failure is all there is to tell
        message = f"<str() of the error raised {type(broken).__name__}>"
    described = {"type": _clean(type(error).__name__)[:PREVIEW_CHARS], "message": _clean(message)}
    if with_traceback:
        described["traceback"] = traceback_of(error)
    return described


def traceback_of(error: BaseException) -> str:
    """The end of a traceback, plain: the locals that pretty loggers add may be megabytes, or secrets."""
    return _clean("".join(traceback.format_exception(error))[-MAX_ERROR_CHARS:])


def _clean(text: str) -> str:
    text = text if len(text) <= MAX_ERROR_CHARS else text[: MAX_ERROR_CHARS - 1] + "…"
    return text.encode("utf-8", "replace").decode("utf-8")
