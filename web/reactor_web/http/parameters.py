"""The values of single query parameters: texts in, checked values out. Each raises Problem 400 that names it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from reactor_web.http.problems import Problem

META: Final = "meta."
"""What the name of a parameter begins with that is about a member of meta."""

Query = Mapping[str, str | Sequence[str]]


def values_of(query: Query, name: str) -> list[str]:
    """All values of a parameter, which may be repeated."""
    getall = getattr(query, "getall", None)
    if getall is not None:
        return list(getall(name, []))
    value = query.get(name)
    return [] if value is None else [value] if isinstance(value, str) else list(value)


def one(query: Query, name: str) -> str | None:
    """The value of a parameter that may be given once."""
    values = values_of(query, name)
    if len(values) > 1:
        raise Problem(400, f"{name} is given {len(values)} times")
    return values[0] if values else None


def patterns(query: Query, name: str) -> tuple[str, ...] | None:
    """The globs of a parameter: repeated or with commas, sorted; None without it."""
    values = values_of(query, name)
    return tuple(sorted({glob.strip() for value in values for glob in value.split(",")})) if values else None


def number_in(query: Query, name: str, limits: tuple[float, float], unit: str, *, whole: bool = False) -> float | None:
    """A number within ``limits``, both included; ``unit`` is a word for the sentence. None without it."""
    text = one(query, name)
    if text is None:
        return None
    low, high = limits
    if (
        not re.fullmatch(r"[0-9]{1,9}" if whole else r"[0-9]{1,9}(\.[0-9]{1,6})?", text)
        or not low <= float(text) <= high
    ):
        raise Problem(400, f"{name} is {text[:50]!r}, but must be {low:g} to {high:g} {unit}")
    return float(text)


def flag(query: Query, name: str, default: bool) -> bool:
    """0 or 1, also as ``false`` or ``true``."""
    text = one(query, name)
    if text not in (None, "0", "1", "true", "false"):
        raise Problem(400, f"{name} is {text[:50]!r}, but must be 0 or 1")
    return default if text is None else text in ("1", "true")


def one_of(query: Query, name: str, allowed: tuple[str, ...]) -> str | None:
    """One of the ``allowed`` words."""
    value = one(query, name)
    if value is not None and value not in allowed:
        raise Problem(400, f"{name} is {value[:50]!r}, but must be {' or '.join(allowed)}")
    return value


def members_in(query: Query) -> dict[str, str]:
    """The members of meta that ``meta.<name>=text`` asks for."""
    members = {name.removeprefix(META): one(query, name) or "" for name in query if name.startswith(META)}
    if "" in members:
        raise Problem(400, "meta. must be followed by the name of a member, like meta.customer=c1")
    return members


def time_in(query: Query, name: str) -> datetime | None:
    """A time in ISO 8601, with its zone; in a query that is not encoded the ``+`` of a zone comes as a space."""
    text = one(query, name)
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text.strip().replace(" ", "+") if "T" in text else text)
        if time.tzinfo is not None:
            return time.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise Problem(400, f"{name} is {text[:50]!r}, but must be a time with its zone, like 2026-11-21T02:51:00Z")
