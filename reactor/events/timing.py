"""Times of events (ISO 8601, UTC) as numbers.

Durations are shown in milliseconds and added up in microseconds. Those are whole, so every language has the same sum.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from math import floor
from typing import Final

_MICROSECOND: Final = timedelta(microseconds=1)


def unix_seconds(time: str) -> float:
    """Seconds since 1970-01-01 UTC."""
    return datetime.fromisoformat(time).timestamp()


def microseconds(start: str | None, end: str) -> int:
    """Microseconds between two times of events: never below 0, and 0 without a start."""
    if start is None:
        return 0
    return max(0, (datetime.fromisoformat(end) - datetime.fromisoformat(start)) // _MICROSECOND)


def milliseconds(start: str | None, end: str) -> float:
    """The same in milliseconds, with three decimals."""
    return microseconds(start, end) / 1000


def whole_microseconds(ms: float | None) -> int:
    """A duration that is shown in milliseconds; None is 0."""
    return 0 if ms is None else floor(ms * 1000 + 0.5)
