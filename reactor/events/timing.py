"""Event times (ISO 8601, UTC) as numbers."""

from __future__ import annotations

from datetime import datetime


def unix_seconds(time: str) -> float:
    """Seconds since 1970."""
    return datetime.fromisoformat(time).timestamp()


def milliseconds(start: str | None, end: str) -> float:
    """Between two event times, never below 0; 0 where there is no start."""
    if start is None:
        return 0.0
    return max(0.0, round((datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds() * 1000, 3))
