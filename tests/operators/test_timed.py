"""What the operators that wait for time have in common: they refuse what they cannot wait by."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from reactivex.scheduler import HistoricalScheduler

from reactor.operators import heartbeat, throttle_latest
from reactor.operators.timed import operator_clock

OPERATORS = [
    pytest.param("heartbeat", lambda period, scheduler: heartbeat(period, "beat", scheduler=scheduler), id="heartbeat"),
    pytest.param(
        "throttle_latest",
        lambda period, scheduler: throttle_latest(period, key=str, scheduler=scheduler),
        id="throttle_latest",
    ),
]


@pytest.mark.parametrize(("name", "make"), OPERATORS)
def test_an_operator_without_a_scheduler_or_a_period_is_refused_by_its_name(name: str, make: Any) -> None:
    """The default of the library would be a thread for each timer; a period of 0 would never let go of the loop."""
    with pytest.raises(TypeError, match=f"{name} needs a scheduler"):
        make(1.0, None)
    for period in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match=f"the period of {name} must be above 0 seconds"):
            make(period, HistoricalScheduler())


def test_the_clock_is_the_given_one_or_that_of_the_scheduler() -> None:
    """In seconds, so that two readings can be subtracted."""
    scheduler = HistoricalScheduler(datetime(2026, 1, 1, tzinfo=UTC))
    now = operator_clock("demo", 1.0, scheduler, None)
    begin = now()
    scheduler.advance_by(90)
    assert now() - begin == 90
    assert operator_clock("demo", 1.0, scheduler, lambda: 7.0)() == 7.0
