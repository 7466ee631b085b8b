"""The port for what a log can say of itself in numbers."""

from __future__ import annotations

from typing import NamedTuple, Protocol, runtime_checkable


@runtime_checkable
class Measured(Protocol):
    """For a log that knows how large it is."""

    @property
    def size_bytes(self) -> int | None:
        """As far as was seen last; None before. Asked often, on the loop or elsewhere: it must not ask a disk."""
        ...


class Kept(NamedTuple):
    """Which ended runs a log keeps; None: no limit."""

    seconds: float | None
    runs: int | None
    """Without those that others have started."""


@runtime_checkable
class Expires(Protocol):
    """For a log that deletes ended runs by itself."""

    @property
    def retention(self) -> Kept: ...
