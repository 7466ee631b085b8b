"""Times of events as numbers: whole microseconds, which every language adds up alike."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from reactor.events.timing import microseconds, milliseconds, whole_microseconds

TIMES = st.datetimes().map(lambda time: f"{time.isoformat()}Z")
DAY = 86_400_000_000


@given(TIMES, TIMES)
def test_a_time_between_two_times_is_exact(start: str, end: str) -> None:
    """To the microsecond also over thousands of years; one of the two ways it is 0."""
    there, back = microseconds(start, end), microseconds(end, start)
    assert min(there, back) == 0
    assert milliseconds(start, end) == float(Fraction(there, 1000))


def test_zones_and_parts_of_a_second() -> None:
    """A time without microseconds, and one in another zone, is the time it says."""
    assert microseconds("2026-11-21T02:51:00Z", "2026-11-21T02:51:00.000001Z") == 1
    assert microseconds("2026-11-21T02:51:00.5Z", "2026-11-22T04:51:00.500000+02:00") == DAY
    assert microseconds(None, "2026-11-21T02:51:00Z") == 0


@given(st.lists(st.integers(0, 365 * DAY), max_size=20))
def test_a_sum_that_is_kept_in_milliseconds_is_exact(durations: list[int]) -> None:
    """As the fold keeps pauses: what is shown gives back the microseconds that it was made of."""
    shown: float | None = None
    for at, duration in enumerate(durations, 1):
        shown = (whole_microseconds(shown) + whole_microseconds(duration / 1000)) / 1000
        assert shown == sum(durations[:at]) / 1000
