"""The time limits of a run as alarms: its timeout, and its budget of wall time."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from reactor.definition.policy import Budget
from reactor.supervision.ending import Ending, EndReason
from reactor.supervision.ledger import WARN_AT
from reactor.supervision.stopwatch import Alarm


def time_limits(
    timeout: float | None,
    budget: Budget | None,
    *,
    stop: Callable[[Ending], None],
    use_seconds: Callable[[Decimal], None],
) -> list[Alarm]:
    """``stop`` is called after the timeout, ``use_seconds`` with the part of the budget that is used: 0.8, then 1."""
    alarms: list[Alarm] = []
    if timeout is not None:
        message = f"the run took longer than its timeout of {timeout:g} s"
        alarms.append((timeout, lambda: stop(Ending(EndReason.TIMEOUT, {"type": "RunTimeout", "message": message}))))
    if budget is not None and budget.seconds is not None:
        alarms.append((float(WARN_AT) * budget.seconds, lambda: use_seconds(WARN_AT)))
        alarms.append((budget.seconds, lambda: use_seconds(Decimal(1))))
    return alarms
