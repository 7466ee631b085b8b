"""One measured target: its figure, what it was compared with, and its spread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any


@dataclass(frozen=True, slots=True)
class Figure:
    """``value`` is the median, ``low`` and ``high`` the least and the greatest of ``rounds`` measurements."""

    id: str
    what: str
    value: float
    unit: str
    low: float
    high: float
    rounds: int
    target: str
    met: bool | None
    """None: there was nothing to compare with here."""
    ratio: float | None = None
    """``value`` divided by that of ``against``, both of this run."""
    against: str = ""
    note: str = ""
    bars: Mapping[str, float] = field(default_factory=dict[str, float])
    """What the picture shows side by side: name -> figure in ``unit``."""
    details: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """For the JSON only."""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def spread(values: Sequence[float]) -> dict[str, Any]:
    """The fields of a ``Figure`` that come from its rounds."""
    return {"value": median(values), "low": min(values), "high": max(values), "rounds": len(values)}


def shown(value: float) -> str:
    """A number with three digits, or with all the digits before its point."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
