"""Why a run stops before its end, as a value."""

from __future__ import annotations

from typing import Any, NamedTuple


class Ending(NamedTuple):
    """Why a run stops before its end."""

    reason: str
    error: dict[str, Any] | None = None
    """Of a run that will fail (a timeout, a budget); None for one that is cancelled."""
    because: str | None = None
    """The task that exceeded the budget."""

    @property
    def skips(self) -> bool:
        """What has not begun is skipped, with the reason, instead of cancelled."""
        return self.reason == "budget" and self.error is not None
