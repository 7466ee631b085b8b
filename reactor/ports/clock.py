"""The clock that the engine reads, so that tests can bring a virtual one."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """Wall time for events, monotonic time for durations."""

    def now(self) -> bytes:
        """The wall time in the format of event times: ISO 8601, UTC, with microseconds."""
        ...

    def monotonic(self) -> float:
        """Seconds since any fixed moment; never goes back."""
        ...
