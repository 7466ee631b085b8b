"""What the operators that wait for time have in common: a scheduler, a period, and the clock they read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from reactivex import abc

TIMER_RESOLUTION: Final = 1e-6
"""Seconds by which a timer may fire too early, because schedulers round to the microseconds of a datetime."""


def operator_clock(
    operator: str, period: float, scheduler: abc.SchedulerBase | None, clock: Callable[[], float] | None
) -> Callable[[], float]:
    """The clock, in seconds, of an operator that waits for time: ``clock`` if given, else the scheduler's ``now``.

    Raises TypeError without a scheduler and ValueError for a period that is not above 0, both with the operator's name.
    """
    if scheduler is None:
        raise TypeError(f"{operator} needs a scheduler: scheduler=AsyncIOScheduler(loop)")
    # users without a type checker pass anything; the comparison is also false for NaN
    if not isinstance(period, (int, float)) or not period > 0:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValueError(f"the period of {operator} must be above 0 seconds, not {period!r}")
    return clock or (lambda: scheduler.now.timestamp())
