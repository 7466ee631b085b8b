"""Why a run ends before its tasks have, and how a session is closed, as values."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final, Literal, NamedTuple


class EndReason(StrEnum):
    """The reasons that the engine itself gives; users who cancel give any text of their own."""

    TIMEOUT = "timeout"
    """The run took longer than the timeout of its workflow."""
    BUDGET = "budget"
    """It spent more than its budget."""
    CRASH_LOOP = "crash_loop"
    """Its process was killed ``bounds.CRASH_LOOP`` times in a row while one of its bodies ran."""
    IDLE = "idle"
    """Nothing was said in a session for too long."""
    PARENT = "parent"
    """The run that it is a child of has ended, or is being cancelled."""
    SHUTDOWN = "shutdown"
    """Its engine closes, and the log is gone with it."""
    CRASH = "crash"
    """Of tasks only: their process has ended."""


_BUDGET: Final = EndReason.BUDGET


class Ending(NamedTuple):
    """Why a run ends before its tasks have."""

    reason: str
    """An ``EndReason``, or what somebody who cancelled it has given."""
    error: dict[str, Any] | None = None
    """``{type, message}`` of a run that will fail; None for one that will be cancelled."""
    because: str | None = None
    """The id of the task that exceeded the budget, or that may have killed its process."""

    @property
    def skips(self) -> bool:
        """Whether tasks that have not begun are skipped, with the reason, instead of cancelled."""
        return self.reason == _BUDGET and self.error is not None


class Closing(NamedTuple):
    """How a session is closed."""

    status: Literal["completed", "failed", "cancelled"]
    outputs: bytes = b"{}"
    """Of a completed one: a JSON object."""
    error: dict[str, Any] | None = None
    """Of a failed one: ``{type, message}``."""
    reason: str | None = None
