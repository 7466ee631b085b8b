"""What a caller may ask for: run ids, meta, reasons. Checked before anything starts; values in, values out."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

import orjson

from reactor import bounds
from reactor.errors import InvalidRunId
from reactor.events.values import plain_copy


def make_run_id() -> str:
    """A time-ordered id, as UUID version 7 (RFC 9562)."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds << 80) | (0x7 << 76) | (int.from_bytes(os.urandom(10)) & ((1 << 76) - 1))
    value = (value & ~(0x3 << 62)) | (0x2 << 62)
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def check_run_id(run_id: str) -> str:
    """The id itself; raises InvalidRunId with what an id may be."""
    if not bounds.RUN_ID.fullmatch(run_id):
        raise InvalidRunId(f"{run_id[:100]!r} is no run id: 1 to 64 letters, digits and . _ ~ -", run_id=run_id)
    return run_id


def check_meta(meta: Mapping[str, Any]) -> dict[str, Any]:
    """The meta itself; raises ValueError where it is not JSON or above 8 KiB."""
    try:
        plain = plain_copy(dict(meta))
    except (TypeError, RecursionError) as error:
        raise ValueError(f"the meta of a run must be JSON: {error}") from error
    size = len(orjson.dumps(plain))
    if size > bounds.MAX_META_BYTES:
        raise ValueError(f"the meta of a run has {size:,} bytes, the limit is {bounds.MAX_META_BYTES:,}")
    return plain


def check_reason(reason: str, by: str | None) -> None:
    """Raises ValueError for what an event cannot carry."""
    if len(reason) > bounds.MAX_REASON_CHARS or not _is_text(reason) or not _is_text(by or ""):
        raise ValueError(f"the reason of a command is text of at most {bounds.MAX_REASON_CHARS} characters")


def check_grace(grace: float) -> None:
    """Raises ValueError for what is no number of seconds."""
    try:
        is_grace = 0 <= grace <= bounds.MAX_SECONDS  # also refuses NaN
    except TypeError:
        is_grace = False
    if not is_grace:
        raise ValueError(f"grace is a number of seconds from 0 to {bounds.MAX_SECONDS:,.0f}, not {str(grace)[:50]}")


def check_key(key: str | None) -> None:
    """Raises ValueError for what cannot name a ``receive``."""
    # users without a type checker pass anything
    is_key = isinstance(key, str) and 0 < len(key) <= bounds.MAX_REASON_CHARS and _is_text(key)
    if key is not None and not is_key:
        raise ValueError(f"a key is text of 1 to {bounds.MAX_REASON_CHARS} characters")


def check_value(value: Any) -> Any:
    """The value as its JSON reads back; raises ValueError where it is none."""
    try:
        return plain_copy(value)
    except (TypeError, RecursionError) as error:
        raise ValueError(f"a value that is sent must be JSON: {error}") from error


def _is_text(text: str) -> bool:
    """False for lone surrogates, which no JSON can carry."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
