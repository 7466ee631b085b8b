"""When a schedule starts runs: its rule, checked, and the times that follow from it. Pure: no clock is read.

Local times follow the time zone. A time that the change to summer time leaves out comes at the end of the gap; one that
the change back repeats comes once. ``every hour`` and the like go on evenly through both.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from typing import Any, Final, Literal, TypeAlias
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from reactor.bounds import MAX_SECONDS, SCHEDULE_NAME, SCHEDULE_RUN_ID
from reactor.events.values import short_repr

Overlap: TypeAlias = Literal["skip", "queue", "allow"]
CatchUp: TypeAlias = Literal["one", "all", "none"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_OVERLAPS: Final = ("skip", "queue", "allow")
_CATCH_UPS: Final = ("one", "all", "none")
_ZONE: Final = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*")


@dataclass(frozen=True, slots=True)
class ScheduleRule:
    """Either ``cron`` with ``tz``, or ``every``, in seconds. Raises ValueError for anything that is not valid."""

    cron: str | None = None
    tz: str = "UTC"
    every: int | None = None
    overlap: Overlap = "skip"
    catch_up: CatchUp = "one"

    def __post_init__(self) -> None:
        if (self.cron is None) == (self.every is None):
            raise ValueError('a schedule has either a cron expression, such as "0 7 * * 1-5", or every=timedelta(...)')
        if self.overlap not in _OVERLAPS:
            raise ValueError(f"overlap must be one of {', '.join(_OVERLAPS)}, not {short_repr(self.overlap)}")
        if self.catch_up not in _CATCH_UPS:
            raise ValueError(f"catch_up must be one of {', '.join(_CATCH_UPS)}, not {short_repr(self.catch_up)}")
        zone = _zone(self.tz)
        if self.cron is not None:
            _check_cron(self.cron, zone)

    @classmethod
    def of(
        cls, cron: str | None, every: timedelta | None, tz: str, overlap: Overlap, catch_up: CatchUp
    ) -> ScheduleRule:
        """From what a caller gives; raises TypeError and ValueError."""
        return cls(cron, tz, None if every is None else _seconds(every), overlap, catch_up)

    @classmethod
    def from_json(cls, rule: Mapping[str, Any]) -> ScheduleRule:
        """From what ``as_json`` has made."""
        return cls(**rule)

    def as_json(self) -> dict[str, Any]:
        when = {"every": self.every} if self.cron is None else {"cron": self.cron, "tz": self.tz}
        return {**when, "overlap": self.overlap, "catch_up": self.catch_up}

    def next_after(self, time: datetime) -> datetime | None:
        """The first time later than ``time``; None where there is none any more. Both in UTC."""
        return next(self._times(time, is_backwards=False), None)

    def last_times(self, after: datetime, until: datetime, most: int) -> list[datetime]:
        """The last of its times that are later than ``after`` and not later than ``until``, at most so many, in order.

        What it costs depends on ``most``, not on how long ago ``after`` is.
        """
        backwards = self._times(until + timedelta(seconds=1), is_backwards=True)
        return list(islice(takewhile(lambda time: time > after, backwards), most))[::-1]

    def _times(self, start: datetime, *, is_backwards: bool) -> Iterator[datetime]:
        """Those after ``start``, or those before it; ``start`` itself is none of them."""
        if self.every is not None:
            return _multiples(self.every, start, is_backwards)
        assert self.cron is not None, "it was checked"
        local = CronSim(self.cron, start.astimezone(_zone(self.tz)), reverse=is_backwards)
        times = (time.astimezone(UTC) for time in local)
        return (time for time in times if (time < start if is_backwards else time > start))


def _multiples(every: int, start: datetime, is_backwards: bool) -> Iterator[datetime]:
    """The whole multiples of ``every`` since 1970: all processes agree on them."""
    seconds = (start - _EPOCH) / timedelta(seconds=1)
    count = -(-seconds // every) - 1 if is_backwards else seconds // every + 1
    while True:
        yield _EPOCH + timedelta(seconds=count * every)
        count += -1 if is_backwards else 1


def schedule_name_problem(name: object) -> str | None:
    """The rest of a sentence about a name that is not valid; None if it is."""
    if isinstance(name, str) and SCHEDULE_NAME.fullmatch(name):
        return None
    return f"must be 1 to 40 of A-Z a-z 0-9 _ -, beginning with none of _ -, not {short_repr(name)}"


def schedule_run_id(name: str, time: datetime, *, is_triggered: bool = False) -> str:
    """``nightly~20260131T060000Z``: the id of the run that a time starts, so that it starts once whoever does it.

    A run that somebody triggers has microseconds.
    """
    return f"{name}~{time.astimezone(UTC):{'%Y%m%dT%H%M%S.%fZ' if is_triggered else '%Y%m%dT%H%M%SZ'}}"


def is_trigger_id(name: str, run_id: str) -> bool:
    """Whether it is the id of a run that somebody triggers: nobody may start a time of the schedule by it."""
    before, _, time = run_id.rpartition("~")
    return before == name and "." in time and SCHEDULE_RUN_ID.fullmatch(run_id) is not None


def _zone(tz: object) -> ZoneInfo:
    try:
        if isinstance(tz, str) and _ZONE.fullmatch(tz):
            return ZoneInfo(tz)
    except (OSError, ValueError, KeyError):  # a folder, a broken file, and no such zone
        pass
    raise ValueError(f'tz must be the name of a time zone, such as "Europe/Berlin", not {short_repr(tz)}')


def _check_cron(cron: object, zone: ZoneInfo) -> None:
    if not isinstance(cron, str) or len(cron) > 200 or len(cron.split()) != 5:
        raise ValueError(f'cron must have five fields, such as "0 7 * * 1-5", not {short_repr(cron)}')
    try:
        first = next(CronSim(cron, datetime(2026, 1, 1, tzinfo=zone)), None)
    except CronSimError as error:
        raise ValueError(f"the cron expression {short_repr(cron)} is not valid: {error}") from None
    if first is None:
        raise ValueError(f"the cron expression {short_repr(cron)} never comes")


def _seconds(every: object) -> int:
    if not isinstance(every, timedelta):
        raise TypeError(f"every must be a timedelta, such as timedelta(hours=1), not {short_repr(every)}")
    seconds = every // timedelta(seconds=1)
    if every != timedelta(seconds=seconds) or not 1 <= seconds <= MAX_SECONDS:
        raise ValueError(f"every must be whole seconds from 1 to {MAX_SECONDS:,.0f}, not {every}")
    return seconds
