"""Python values as text for people, and what JSON calls them."""

from __future__ import annotations

import traceback
from decimal import Decimal
from typing import Any, Final

from reactor.bounds import MAX_ERROR_CHARS, PREVIEW_CHARS


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
