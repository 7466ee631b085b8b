"""Checks of what a caller passes in: run ids, keys, reasons, meta, numbers. One home for engine, plans and HTTP.

A ``check_`` function raises. A ``_problem`` function returns the rest of a sentence (``must be a number from 0 to 1,
not 2``), or None where all is well, so that the caller can say what the value is for. Values of any type may come
in, because not every caller uses a type checker.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final, TypeVar, cast, get_args

import orjson

from reactor import bounds
from reactor.errors import InvalidRunId
from reactor.events.plain import is_larger
from reactor.events.shown import plain_copy
from reactor.events.values import json_kind, named
from reactor.events.vocabulary.tables import RunStatus

T = TypeVar("T")

RUN_STATUSES: Final[tuple[str, ...]] = get_args(RunStatus)

# --- text -------------------------------------------------------------------------------------------------------


def is_text(text: str) -> bool:
    """False for a string with a lone surrogate (half of a pair), which JSON in UTF-8 cannot carry."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def make_run_id() -> str:
    """A new run id that sorts by time: a UUID version 7 (RFC 9562)."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds << 80) | (0x7 << 76) | (int.from_bytes(os.urandom(10)) & ((1 << 76) - 1))
    value = (value & ~(0x3 << 62)) | (0x2 << 62)
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def check_run_id(run_id: str) -> str:
    """Returns the id; raises InvalidRunId, whose message says what an id may be."""
    if not isinstance(run_id, str) or not bounds.RUN_ID.fullmatch(run_id):  # pyright: ignore[reportUnnecessaryIsInstance]  # users without a type checker
        shown = repr(run_id[:100]) if isinstance(run_id, str) else _short(run_id)  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidRunId(
            f"{shown} is not a valid run id: text of 1 to 64 of A-Z a-z 0-9 . _ ~ -, and not . or ..",
            run_id=str(run_id),
        )
    return run_id


def check_new_run_id(run_id: str) -> str:
    """The same for a run that somebody starts: raises InvalidRunId also for an id that only a schedule gives."""
    if bounds.SCHEDULE_RUN_ID.fullmatch(check_run_id(run_id)):
        raise InvalidRunId(
            f"{run_id!r} is the id of a run that a schedule starts; an id must not end in ~ and a time", run_id=run_id
        )
    return run_id


def check_tenant(tenant: str) -> str:
    """Returns the name; raises ValueError, whose message says what the name of a tenant may be."""
    if not isinstance(tenant, str) or (tenant and not bounds.TENANT.fullmatch(tenant)):  # pyright: ignore[reportUnnecessaryIsInstance]  # users without a type checker
        shown = repr(tenant[:100]) if isinstance(tenant, str) else _short(tenant)  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValueError(f"{shown} is not a valid tenant: text of 1 to 64 of A-Z a-z 0-9 . _ ~ @ : -")
    return tenant


def check_reason(reason: str, by: str | None) -> None:
    """Raises ValueError for a reason or an author that is too long, or that an event cannot carry."""
    if not _is_short_text(reason):
        raise ValueError(f"the reason of a command must be text of at most {bounds.MAX_REASON_CHARS} characters")
    check_by(by)


def check_by(by: str | None) -> None:
    """Raises ValueError for an author of a command that is too long, or that an event cannot carry."""
    if by is not None and not _is_short_text(by):
        raise ValueError(f"who gives a command (by) must be text of at most {bounds.MAX_REASON_CHARS} characters")


def check_key(key: str | None) -> None:
    """Raises ValueError for a key that cannot name a ``ctx.receive``; None is allowed."""
    if key is not None and (not _is_short_text(key) or not key):
        raise ValueError(f"a key must be text of 1 to {bounds.MAX_REASON_CHARS} characters")


def _is_short_text(text: object) -> bool:
    return isinstance(text, str) and len(text) <= bounds.MAX_REASON_CHARS and is_text(text)


def check_cursor(cursor: int) -> int:
    """Returns the cursor; raises ValueError for what is not the seq of an event, or 0."""
    if (problem := whole_number_problem(cursor, 0)) is not None:
        raise ValueError(f"a cursor is the seq of the last event seen, or 0 for the start; it {problem}")
    return cursor


def check_listing(
    status: str | None,
    limit: int,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    meta: Mapping[str, str] | None = None,
) -> None:
    """Raises ValueError for a status that no run has, a limit that is not a whole number from 1, a time without a time
    zone, and a member of meta that is not asked for by a text."""
    if status is not None and status not in RUN_STATUSES:
        hint = f"must be one of {', '.join(RUN_STATUSES)}, not {_short(status)}"
        raise ValueError(f"the status of the runs that are listed {hint}")
    if (problem := whole_number_problem(limit, 1)) is not None:
        raise ValueError(f"the limit of a list of runs {problem}")
    for name, at in (("since", since), ("until", until)):
        # users without a type checker give anything
        if at is not None and (not isinstance(at, datetime) or at.tzinfo is None):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ValueError(f"{name} of a list of runs must be a datetime with a time zone, not {_short(at)}")
    for name, text in (meta or {}).items():
        if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]  # the same
            hint = "of a value that is no text it is its JSON"
            raise ValueError(f"meta[{name!r}] of a list of runs must be a text, not {_short(text)}: {hint}")


# --- JSON -------------------------------------------------------------------------------------------------------


def meta_text(value: Any) -> str:
    """By what text a member of meta is found: a text by itself, any other value by its JSON."""
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def check_meta(meta: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the meta of a run as plain JSON; raises ValueError if it is not JSON, or above 8 KiB."""
    if not isinstance(meta, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]  # users without a type checker
        raise ValueError(f'the meta of a run must be an object, like {{"team": "data"}}, not {json_kind(meta)}')
    if is_larger(meta, bounds.MAX_META_BYTES):  # each value takes a byte: no need to look at all of a large one
        limit = f"{bounds.MAX_META_BYTES:,}"
        raise ValueError(f"the meta of a run has more than {limit} values, the limit is {limit} bytes")
    try:
        plain = plain_copy(dict(meta))
    except (TypeError, RecursionError) as error:
        raise ValueError(f"the meta of a run must be JSON: {error}") from error
    if (problem := meta_size_problem(plain)) is not None:
        raise ValueError(f"the meta of a run {problem}")
    return plain


def meta_size_problem(meta: dict[str, Any]) -> str | None:
    """Meta that is JSON already: what is wrong with its size."""
    size = len(orjson.dumps(meta))
    return None if size <= bounds.MAX_META_BYTES else f"has {size:,} bytes, the limit is {bounds.MAX_META_BYTES:,}"


def check_value(value: Any) -> Any:
    """Returns a value for ``run.send`` as plain JSON; raises ValueError if it is not JSON."""
    try:
        return plain_copy(value)
    except (TypeError, RecursionError) as error:
        raise ValueError(f"a value that is sent must be JSON: {error}") from error


# --- numbers ----------------------------------------------------------------------------------------------------


def whole_number_problem(value: Any, least: int, most: int | None = None) -> str | None:
    """``must be a whole number from 1 to 10, not 0``; None if it is one. A boolean is not a number."""
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if is_whole and value >= least and (most is None or value <= most):
        return None
    return f"must be a whole number from {least}{'' if most is None else f' to {most:,}'}, not {_short(value)}"


def number_problem(value: Any, least: float, most: float) -> str | None:
    """``must be a number from 0 to 1, not 2``; None if it is one. A boolean and NaN are not numbers."""
    if _is_number(value) and least <= value <= most:
        return None
    return f"must be a number from {least:g} to {most:,.15g}, not {_short(value)}"


def seconds_problem(value: Any) -> str | None:
    """``must be a number of seconds above 0 and at most 31,536,000, not 0``; None if it is one."""
    if _is_number(value) and 0 < value <= bounds.MAX_SECONDS:
        return None
    return f"must be a number of seconds above 0 and at most {bounds.MAX_SECONDS:,.0f}, not {_short(value)}"


def check_grace(grace: float) -> None:
    """Raises ValueError for a grace that is not a number of seconds; 0 is allowed."""
    try:
        is_grace = 0 <= grace <= bounds.MAX_SECONDS  # also refuses NaN
    except TypeError:
        is_grace = False
    if not is_grace:
        is_text = isinstance(grace, str) and any(letter.isalpha() for letter in grace)
        hint = "; a reason is given as reason=" if is_text else ""
        raise ValueError(
            f"grace must be a number of seconds from 0 to {bounds.MAX_SECONDS:,.0f}, not {_short(grace)}{hint}"
        )


# --- several of a kind ------------------------------------------------------------------------------------------


def several(given: object, kind: type[T], option: str, hint: str) -> tuple[T, ...]:
    """One value of a kind, or several, as a tuple; raises TypeError that ends with ``hint`` for anything else."""
    is_list = isinstance(given, Iterable) and not isinstance(given, (kind, str, bytes, Mapping))
    items = tuple(cast("Iterable[object]", given)) if is_list else (cast("object", given),)
    for item in items:
        if not isinstance(item, kind):
            raise TypeError(f"{option} must be a list of {kind.__name__}, not {named(item)}; {hint}")
    return cast("tuple[T, ...]", items)


def _is_number(value: Any) -> bool:
    if isinstance(value, int):
        return not isinstance(value, bool)
    return isinstance(value, float) and math.isfinite(value)


def _short(value: object) -> str:
    return repr(value)[:50]
