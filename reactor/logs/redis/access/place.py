"""What the stores use of their log: its calls and the name of this node, while it is open."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from reactor.errors import LogUnavailable
from reactor.logs.redis.calls import Calls
from reactor.logs.redis.lease import Incarnation


class Parts(NamedTuple):
    """Of one open log."""

    calls: Calls
    incarnation: Incarnation


class Place:
    """``parts``: None while the log is not open. ``closed``: the error of who asks then."""

    def __init__(self, closed: Callable[[], LogUnavailable]) -> None:
        self.parts: Parts | None = None
        self._closed = closed

    def now(self) -> Parts:
        """Raises LogUnavailable while the log is not open."""
        if self.parts is None:
            raise self._closed()
        return self.parts
