"""Python values as JSON and back: what an event can carry, and what a restart can hand on unchanged.

A value is *recoverable* if reading its JSON gives an equal value of equal type: plain JSON by nature, anything
else only through the task's return annotation. orjson alone turns tuples into lists, dataclasses into dicts and
NaN into null without a word, so it is never asked to judge.
"""

from __future__ import annotations

import math
import traceback
from typing import Any, Final, NamedTuple, cast

import orjson
from pydantic import BaseModel, TypeAdapter
from pydantic_core import PydanticSerializationError, to_jsonable_python

from reactor.bounds import MAX_ERROR_CHARS, PREVIEW_CHARS

_INT64: Final = range(-(2**63), 2**63)


class Encoded(NamedTuple):
    """A value as the JSON text of an event, and whether that text restores it."""

    json: bytes
    recoverable: bool


def dumps(value: Any) -> bytes:
    """JSON of anything orjson or pydantic can express; raises TypeError with a sentence for the rest."""
    try:
        return orjson.dumps(value, default=_jsonable)
    except TypeError as error:
        raise TypeError(f"not JSON: {error}") from error


def _jsonable(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    try:
        return to_jsonable_python(value)
    except PydanticSerializationError as error:
        raise TypeError(str(error)) from None


def is_plain(value: Any) -> bool:
    """True for None, bool, 64-bit int, finite float, str, and lists and str-keyed dicts of these, by exact type."""
    stack: list[Any] = [value]
    while stack:
        item = stack.pop()
        kind = cast(object, type(item))  # exact types: a subclass (an enum, a named tuple) would not come back
        if item is None or kind is bool or kind is str:
            continue
        if kind is int:
            if item not in _INT64:
                return False
        elif kind is float:
            if not math.isfinite(item):
                return False
        elif kind is list:
            stack.extend(item)
        elif kind is dict:
            if not all(type(key) is str for key in item):
                return False
            stack.extend(item.values())
        else:
            return False
    return True


def encode_output(value: Any, returns: TypeAdapter[Any] | None) -> Encoded:
    """The JSON of a task's output. Never raises: what cannot be JSON is shown as its ``repr`` and not recoverable."""
    try:
        if is_plain(value):
            return Encoded(orjson.dumps(value), True)
        if returns is not None:
            # an annotation that serialises with warnings does not describe the value: show it, but never trust it
            text = returns.dump_json(value, warnings="error")
            return Encoded(text, _equal(returns.validate_json(text), value))
    except (TypeError, ValueError, RecursionError):
        # (PydanticSerializationError and ValidationError are ValueErrors): fall through to what can be shown
        pass
    return Encoded(shown(value), False)


def restore_output(json: bytes, returns: TypeAdapter[Any] | None) -> Any:
    """The value a downstream receives after a restart."""
    value = orjson.loads(json)
    return value if returns is None or is_plain_type(returns) else returns.validate_json(json)


def is_plain_type(adapter: TypeAdapter[Any]) -> bool:
    """True where the annotation adds nothing to JSON (``Any``)."""
    return adapter.core_schema.get("type") == "any"


def _equal(restored: Any, value: Any) -> bool:
    return type(restored) is type(value) and bool(restored == value)


def shown(value: Any) -> bytes:
    """JSON for people to look at: secrets masked, and the beginning of its ``repr`` where a value is not JSON."""
    try:
        return dumps(value)
    except (TypeError, ValueError, RecursionError):
        return orjson.dumps(preview(value))


def preview(value: Any) -> str:
    """The beginning of a value, for people; never raises."""
    try:
        text = value if isinstance(value, str) else repr(value)
    except Exception as error:  # a body's own __repr__: its failure is what there is to show
        text = f"<{type(value).__name__}: repr failed with {type(error).__name__}>"
    text = text.encode("utf-8", "replace").decode("utf-8")
    return text if len(text) <= PREVIEW_CHARS else text[: PREVIEW_CHARS - 1] + "…"


def describe_error(error: BaseException, *, with_traceback: bool = False) -> dict[str, Any]:
    """An exception as an event carries it: ``{type, message}``, and its traceback where that is enabled."""
    try:
        message = str(error)
    except Exception as broken:  # a user's __str__: its failure is all there is to tell
        message = f"<str() of the error raised {type(broken).__name__}>"
    described = {"type": type(error).__name__, "message": _clean(message)}
    if with_traceback:
        described["traceback"] = _clean("".join(traceback.format_exception(error))[-MAX_ERROR_CHARS:])
    return described


def _clean(text: str) -> str:
    text = text if len(text) <= MAX_ERROR_CHARS else text[: MAX_ERROR_CHARS - 1] + "…"
    return text.encode("utf-8", "replace").decode("utf-8")
