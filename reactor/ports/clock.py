"""Time, injected."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """Time, injected."""

    def now(self) -> bytes:
        """Wall time as event time: ISO 8601, UTC, microseconds."""
        ...

    def monotonic(self) -> float:
        """Seconds, for durations."""
        ...
