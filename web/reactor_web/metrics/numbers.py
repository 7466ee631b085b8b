"""What is counted: a histogram, and the buckets that there are."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

TASK_SECONDS: Final = (0.001, 0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0, 600.0, 3600.0)
WAIT_SECONDS: Final = (0.001, 0.01, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0, 600.0)
APPEND_SECONDS: Final = (0.000_1, 0.000_5, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0)
DELAY_SECONDS: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
"""Of the loop, and of streams."""
WINDOW_EVENTS: Final = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1000)


class Histogram:
    """How often a value was at most each bound; ``counts`` has one more place, for what is above all of them."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def buckets(self) -> list[tuple[str, float]]:
        """(le, how many are at most that), as Prometheus has them."""
        total, found = 0, list[tuple[str, float]]()
        for bound, count in zip((*map(float, self.bounds), float("inf")), tuple(self.counts), strict=True):
            total += count
            found.append(("+Inf" if bound == float("inf") else repr(bound), float(total)))
        return found
