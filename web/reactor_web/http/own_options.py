"""The stream options that only one dialect has (``?include_history=false``): text or values in, checked values out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reactor_web.dialects import DialectInfo

OwnOptions = tuple[tuple[str, Any], ...]
"""(name, value) of each option that differs from its default, by name."""


def refused_by(info: DialectInfo) -> frozenset[str]:
    """The stream options that have no meaning in a dialect."""
    # the log lines before the beginning of a stream are outside of what a fold has seen
    return (info.refuses | {"logs"} if info.folds else info.refuses) - set(info.options)


def read_option(info: DialectInfo, name: str, text: str) -> Any:
    """The value of a text; raises ValueError that says what it must be."""
    try:
        return info.options[name].read(text)
    except ValueError as error:
        raise ValueError(f"{name} is {text[:50]!r}, but {error}") from None


def own_options(info: DialectInfo, given: Mapping[str, str]) -> tuple[OwnOptions, dict[str, Any]]:
    """What texts ask for: (options of the dialect itself, fields of ``StreamOptions`` that others of them set).

    Raises ValueError for a text that an option cannot have.
    """
    own: dict[str, Any] = {}
    fields: dict[str, Any] = {}
    for name in sorted(given):
        option, value = info.options[name], read_option(info, name, given[name])
        if option.sets is not None:
            fields[option.sets] = value
        elif value != option.default:
            own[name] = value
    return tuple(own.items()), fields


def text_of(value: object) -> str:
    """A value that a handler gives, as the text that a query would have."""
    return "01"[value] if isinstance(value, bool) else str(value)
