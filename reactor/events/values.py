"""Python values as JSON and back, and Python values as text for people.

A value is *recoverable* if its JSON reads back as an equal value of the same type, so that a run can use it after a
restart. Plain JSON is recoverable by nature; any other value only through the return annotation of its task. orjson
cannot decide this: without a warning it turns tuples into lists, dataclasses into dicts and NaN into null.
"""

from __future__ import annotations

import math
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import is_dataclass
from decimal import Decimal
from typing import Any, Final, NamedTuple, cast

import orjson
from pydantic import BaseModel, TypeAdapter
from pydantic_core import PydanticSerializationError, to_jsonable_python

from reactor.bounds import MAX_ERROR_CHARS, PREVIEW_CHARS
from reactor.logger import get_logger

logger = get_logger()

MAX_DEPTH: Final = 200
"""Levels of lists and objects in one value. orjson writes at most 254, and the event around the value needs some."""

INT64: Final = range(-(2**63), 2**63)
"""The integers that orjson reads and writes exactly."""


class Encoded(NamedTuple):
    """A value as JSON, and whether that JSON restores it; ``typed``: only with the help of the return annotation."""

    json: bytes
    recoverable: bool
    typed: bool = False


def dumps(value: Any) -> bytes:
    """The JSON of any value that orjson or pydantic can express; raises TypeError, with a sentence, for the rest."""
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
    """What the JSON of ``value`` reads back as; raises TypeError if it is not JSON, or nested too deeply."""
    try:
        return plain_copy_of_json(dumps(value))
    except orjson.JSONDecodeError as error:  # an orjson.Fragment that holds something else
        raise TypeError(f"not JSON: {error}") from error


def depth_of(value: Any) -> int:
    """How deeply lists and dicts are nested; the count stops at ``MAX_DEPTH`` + 1."""
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

    False for a value that is nested deeper than ``MAX_DEPTH``, such as a list that contains itself.
    """
    stack: list[tuple[Any, int]] = [(value, 0)]
    while stack:
        item, depth = stack.pop()
        kind = cast(object, type(item))  # exact types: a subclass (an enum, a named tuple) would not come back
        if item is None or kind is bool or kind is str:
            continue
        if kind is int:
            if item not in INT64:
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
    """Whether a JSON value holds more than so many values. An object that occurs in two places counts twice."""
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
    """The JSON of a task's output. Never raises: a value that is not JSON becomes its ``repr``, not recoverable."""
    try:
        if is_plain(value):
            return Encoded(orjson.dumps(value), True)
        if returns is not None:
            # pydantic warns where the annotation does not describe the value; it would then not restore it either
            text = orjson.dumps(plain_copy_of_json(returns.dump_json(value, warnings="error")))
            is_equal = _equal(returns.validate_json(text), value)
            return Encoded(text, is_equal, typed=is_equal)
    except Exception as error:  # from a validator, serialiser or __eq__ that a user wrote
        logger.debug("output cannot be restored", type=type(value).__name__, error=describe_error(error))
    return Encoded(display_json(value), False)


def plain_copy_of_json(json: bytes) -> Any:
    """What JSON that orjson did not write reads back as; raises ValueError or TypeError if orjson cannot read it."""
    copy = orjson.loads(json)
    if not is_plain(copy):
        raise TypeError(f"nested more than {MAX_DEPTH} levels deep")
    return copy


def restore_output(json: bytes, returns: TypeAdapter[Any] | None) -> Any:
    """The output of a task, from its JSON, as downstream tasks receive it after a restart."""
    value = orjson.loads(json)
    return value if returns is None else returns.validate_json(json)


def _equal(restored: Any, value: Any) -> bool:
    return _same_types(restored, value) and bool(restored == value)


def _same_types(restored: Any, value: Any) -> bool:
    """Compares types down to the members of containers and models: ``(1, True)`` equals ``(1.0, 1)``, but differs."""
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


def display_json(value: Any) -> bytes:
    """A value as JSON for people; secrets are masked, and a value that is not JSON becomes its ``preview``."""
    try:
        return orjson.dumps(plain_copy(value))
    except BaseException:  # a user's __iter__ or model may raise anything
        return orjson.dumps(preview(value))


def json_number(amount: Decimal) -> int | float:
    """A decimal as a JSON number."""
    return int(amount) if amount == amount.to_integral_value() else float(amount)


def json_kind(value: object) -> str:
    """What JSON calls a value, with its article: ``a string``, ``an object``, ``null``; for the rest its class."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    names: dict[type, str] = {str: "a string", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return names.get(type(value), type(value).__name__)


# --- text for people ---


def clip(text: str, chars: int) -> str:
    """The beginning of a text, with ``…`` if it was cut; lone surrogates, which no JSON can carry, become ``?``."""
    text = text if len(text) <= chars else text[: chars - 1] + "…"
    return text.encode("utf-8", "replace").decode("utf-8")


def preview(value: Any) -> str:
    """The beginning of a text, or of the ``repr`` of any other value; never raises."""
    try:
        text = value if isinstance(value, str) else repr(value)
    except BaseException as error:  # a user's __repr__ may raise anything
        text = f"<{type(value).__name__}: repr failed with {type(error).__name__}>"
    return clip(text, PREVIEW_CHARS)


def short_repr(value: object, chars: int = 60) -> str:
    """The beginning of a value's ``repr``, for a message; a string is cut before its quotes are put around it."""
    return clip(repr(value[:chars] if isinstance(value, str) else value), chars + 2)


def named(value: object) -> str:
    """A value in a message: a function by its name, since a ``repr`` with an address says nothing to a reader."""
    name = getattr(value, "__name__", None)
    if isinstance(name, str) and not isinstance(value, type):
        return f"the {_KIND_NAMES.get(type(value).__name__, type(value).__name__)} {name}"
    text = short_repr(value)
    return f"an object of {type(value).__name__}" if " at 0x" in text else text


_KIND_NAMES: Final = {"builtin_function_or_method": "function", "async_generator": "async generator"}


def describe_error(error: BaseException, *, with_traceback: bool = False) -> dict[str, Any]:
    """An exception as an event carries it: ``{type, message}``, and ``traceback`` if asked for; never raises."""
    try:
        message = str(error)
    except BaseException as broken:  # a user's __str__ may raise anything
        message = f"<str() of the error raised {type(broken).__name__}>"
    described = {"type": clip(type(error).__name__, PREVIEW_CHARS), "message": clip(message, MAX_ERROR_CHARS)}
    if with_traceback:
        described["traceback"] = traceback_of(error)
    return described


def traceback_of(error: BaseException) -> str:
    """The end of a traceback, without local variables: these may be megabytes, or secrets."""
    return clip("".join(traceback.format_exception(error))[-MAX_ERROR_CHARS:], MAX_ERROR_CHARS)
