"""The times that follow from a rule. No clock is read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from reactor import Workflow, WorkflowError
from reactor.definition.schedules import ScheduleRule

BERLIN, NEW_YORK = "Europe/Berlin", "America/New_York"


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def times(rule: ScheduleRule, start: str, end: str) -> list[str]:
    """Those later than ``start`` and up to ``end``, forwards; the same must come out backwards."""
    time, found = rule.next_after(utc(start)), list[datetime]()
    while time is not None and time <= utc(end):
        found.append(time)
        time = rule.next_after(time)
    assert rule.last_times(utc(start), utc(end), 10_000) == found
    return [f"{time:%d %H:%M}" for time in found]


@pytest.mark.parametrize(
    ("tz", "start", "end"),
    [
        (BERLIN, "2026-03-28 22:00", "2026-03-29 04:00"),
        (BERLIN, "2026-10-24 22:00", "2026-10-25 04:00"),
        (NEW_YORK, "2026-03-08 04:00", "2026-03-08 10:00"),
        (NEW_YORK, "2026-11-01 03:00", "2026-11-01 09:00"),
    ],
)
def test_every_hour_and_every_quarter_go_on_evenly_through_a_change(tz: str, start: str, end: str) -> None:
    """Six hours have six hours and 24 quarters, in both directions."""
    hourly = times(ScheduleRule("0 * * * *", tz), start, end)
    quarterly = times(ScheduleRule("*/15 * * * *", tz), start, end)
    first = utc(start)
    assert hourly == [f"{first + timedelta(hours=i):%d %H:%M}" for i in range(1, 7)]
    assert quarterly == [f"{first + timedelta(minutes=15 * i):%d %H:%M}" for i in range(1, 25)]


@pytest.mark.parametrize(
    ("tz", "cron", "start", "end", "expected"),
    [
        # left out: it comes at the end of the gap, 03:00 in summer time
        (BERLIN, "30 2 * * *", "2026-03-28 00:00", "2026-03-31 00:00", ["28 01:30", "29 01:00", "30 00:30"]),
        (NEW_YORK, "30 2 * * *", "2026-03-07 00:00", "2026-03-10 00:00", ["07 07:30", "08 07:00", "09 06:30"]),
        # repeated: it comes once, the first time
        (BERLIN, "30 2 * * *", "2026-10-24 00:00", "2026-10-27 00:00", ["24 00:30", "25 00:30", "26 01:30"]),
        (NEW_YORK, "30 1 * * *", "2026-10-31 00:00", "2026-11-03 00:00", ["31 05:30", "01 05:30", "02 06:30"]),
    ],
)
def test_a_local_time_comes_once_a_day(tz: str, cron: str, start: str, end: str, expected: list[str]) -> None:
    """Also on the day on which it is left out, and on that on which it comes twice."""
    assert times(ScheduleRule(cron, tz), start, end) == expected


def test_ends_of_months() -> None:
    """The last day is what the month has, also in a leap year; the 31st is left out where there is none."""
    last = ScheduleRule("0 0 L * *")
    assert times(last, "2028-01-01 00:00", "2028-05-01 00:00") == ["31 00:00", "29 00:00", "31 00:00", "30 00:00"]
    assert times(ScheduleRule("0 0 31 * *"), "2026-01-01 00:00", "2026-06-01 00:00") == ["31 00:00"] * 3
    assert times(ScheduleRule("0 0 29 2 *"), "2026-01-01 00:00", "2032-03-01 00:00") == ["29 00:00"] * 2


def test_every_counts_from_1970() -> None:
    """So all processes agree; the summer time changes nothing."""
    rule = ScheduleRule(every=90 * 60)
    assert times(rule, "2026-01-01 00:00", "2026-01-01 04:30") == ["01 01:30", "01 03:00", "01 04:30"]


def test_the_last_times_of_a_century_are_found_at_once() -> None:
    """What it costs depends on how many are asked for."""
    rule = ScheduleRule("* * * * *")
    found = rule.last_times(utc("1926-01-01 00:00"), utc("2026-01-01 00:00"), 100)
    assert (len(found), found[0], found[-1]) == (100, utc("2025-12-31 22:21"), utc("2026-01-01 00:00"))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({}, "either a cron expression"),
        ({"cron": "0 7 * * *", "every": 60}, "either a cron expression"),
        ({"cron": "0 7 * *"}, "five fields"),
        ({"cron": "0 25 * * *"}, "not valid: Bad hour"),
        ({"cron": "0 0 30 2 *"}, "not valid"),
        ({"cron": "0 7 * * *", "tz": "Europe/Berlyn"}, "the name of a time zone"),
        ({"cron": "0 7 * * *", "tz": "../../etc/passwd"}, "the name of a time zone"),
        ({"every": 60, "overlap": "wait"}, "overlap must be one of skip, queue, allow"),
        ({"every": 60, "catch_up": "two"}, "catch_up must be one of one, all, none"),
    ],
)
def test_a_bad_rule_is_refused_in_a_sentence(options: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        ScheduleRule(**options)  # type: ignore[arg-type]


def test_a_workflow_says_what_is_wrong_with_its_schedule() -> None:
    """The name, a second one of a name, the rule."""
    flow = Workflow("census.v2")
    with pytest.raises(WorkflowError, match="1 to 40 of"):
        flow.schedule("0 7 * * *")
    flow.schedule("0 7 * * *", name="morning")
    with pytest.raises(WorkflowError, match="two of that name"):
        flow.schedule("0 8 * * *", name="morning")
    with pytest.raises(WorkflowError, match="whole seconds"):
        flow.schedule(every=timedelta(milliseconds=1500), name="often")
