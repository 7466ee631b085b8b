"""Hears of the streams, resumes, deliveries and refusals of an application, and counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final, Literal

from reactor.listeners import Stall, StreamInfo
from reactor_web.dialects import known as known_dialects
from reactor_web.http.codes import CODES
from reactor_web.metrics.numbers import DELAY_SECONDS, Histogram

OTHER: Final = "other"
REASONS: Final = frozenset({
    "end", "gone", "stalled", "too slow", "shutdown", "error", "log", "not_recovered", "not_found", "limit", "moved",
    "auth", "lifetime", "view",
})  # fmt: skip
"""Why streams close. What a host says instead is ``other``."""
RESULTS: Final = ("exact", "gap")


class StreamEars:
    """A listener of the streams of an application."""

    def __init__(self) -> None:
        self.open: Counter[str] = Counter()
        """By dialect."""
        self.opened = 0
        self.closed: Counter[str] = Counter()
        self.resumes: dict[str, int] = dict.fromkeys(RESULTS, 0)
        self.refused: Counter[str] = Counter()
        self.lag = Histogram(DELAY_SECONDS)
        self.stalls = 0

    def stream_opened(self, stream: StreamInfo) -> None:
        self.opened += 1
        self.open[_dialect(stream)] += 1

    def stream_closed(self, stream: StreamInfo, reason: str, seconds: float) -> None:
        self.open[_dialect(stream)] -= 1
        self.closed[reason if reason in REASONS else OTHER] += 1

    def stream_resumed(self, stream: StreamInfo, result: Literal["exact", "gap"]) -> None:
        self.resumes[result] += 1

    def events_delivered(self, seconds: float) -> None:
        self.lag.observe(seconds)

    def request_refused(self, code: str) -> None:
        self.refused[bounded(code, CODES)] += 1

    def stalled(self, stall: Stall) -> None:
        if stall.kind == "client":
            self.stalls += 1


def bounded(value: str, table: Mapping[str, object]) -> str:
    """A label of a closed table: what is not in it is ``other``."""
    return value if value in table else OTHER


def _dialect(stream: StreamInfo) -> str:
    name = stream.dialect
    return name if name in known_dialects() else OTHER
