"""Times of events (ISO 8601, UTC) as numbers."""

from __future__ import annotations

from datetime import datetime


def unix_seconds(time: str) -> float:
    """Seconds since 1970-01-01 UTC."""
    return datetime.fromisoformat(time).timestamp()


def milliseconds(start: str | None, end: str) -> float:
    """Milliseconds between two times of events: never below 0, and 0 without a start."""
    if start is None:
        return 0.0
    return max(0.0, round((datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds() * 1000, 3))
