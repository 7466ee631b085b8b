"""Reading windows of several runs by their position in the log: where a reader is, and what it is told is gone."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple, Protocol

from reactor.events.event import Event, Message, Notice
from reactor.events.values import named
from reactor.ports.clock import Clock
from reactor.ports.log import EventLog, Rewinds
from reactor.ports.order import Committed
from reactor.stream.feed import Closed

WINDOWS: Final = 100
"""Windows in one read."""
_CURSOR: Final = re.compile(r"([0-9]{1,18})(?:\.([0-9]{1,9}))?")
_POSITIONS: Final = range(10**18)


class TreeCursor(NamedTuple):
    """Where a reader is: after the first ``part`` events of the window behind ``position``; 0: exactly at it.

    ``str(cursor)`` is the id of a frame of ``?children=1``, to be stored: ``7``, or ``7.2`` inside of window 7.
    """

    position: int = 0
    part: int = 0

    def __str__(self) -> str:
        return f"{self.position + 1}.{self.part}" if self.part else str(self.position)

    @classmethod
    def of(cls, value: TreeCursor | str | int) -> TreeCursor:
        """The cursor of a text that ``str(cursor)`` gave, or of a position. Raises TypeError and ValueError."""
        known: Any = value  # users without a type checker
        if isinstance(known, str) and (match := _CURSOR.fullmatch(known)) is not None:
            at, part = int(match[1]), int(match[2] or 0)
            known = cls(at - 1, part) if part else cls(at)
        elif isinstance(known, int) and not isinstance(known, bool):
            known = cls(known)
        elif not isinstance(known, str | TreeCursor):
            raise TypeError(f"after must not be {named(value)}: {_WRITE}")
        if not isinstance(known, TreeCursor) or not all(type(n) is int and n in _POSITIONS for n in known):
            raise ValueError(f"after is {repr(value)[:100]}, which is no place in a log: {_WRITE}")
        return known


_WRITE: Final = "give the cursor of an event of this tree, or the text str(cursor) of it, like '7' or '7.2'"


START: Final = TreeCursor()


class TreeEvent(NamedTuple):
    """One message of a tree."""

    message: Message
    position: int
    """Of the window that it is in. A ``stream.gap`` has the place before it: after it, nothing else is skipped."""
    part: int
    """Which event of its window it is, from 1; 0 for the last one."""

    @property
    def cursor(self) -> TreeCursor:
        """To go on after it."""
        return TreeCursor(self.position) if self.part == 0 else TreeCursor(self.position - 1, self.part)


class PositionReader(Protocol):
    """The events of several runs in the order of their commits, for a stream. Loop thread only."""

    @property
    def position(self) -> int:
        """Everything up to this position was read."""
        ...

    @property
    def is_over(self) -> bool:
        """Whether the last event was read."""
        ...

    @property
    def is_behind(self) -> bool:
        """Whether the last ``read`` was empty although there is more: what it has read was not wanted."""
        ...

    @property
    def closed(self) -> Closed | None:
        """Why nothing more comes; None while something may."""
        ...

    @property
    def status(self) -> str | None:
        """Of the run at the top; None where there is none."""
        ...

    def watch(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Calls ``wake`` whenever there may be something to read, or nothing more comes; returns what ends that."""
        ...

    async def begin(self) -> Notice | None:
        """To be called before the first ``read``: ``stream.gap`` for a cursor that is no place in this log."""
        ...

    async def read(self) -> list[TreeEvent]:
        """What comes next; empty where there is nothing more yet."""
        ...

    async def is_deleted(self) -> bool:
        """Whether what is read was deleted."""
        ...

    def notice(self, type: str, data: dict[str, object]) -> Notice:
        """A message of the stream itself."""
        ...


async def is_lost(log: EventLog, after: TreeCursor) -> bool:
    """Whether a cursor is behind something that the log has lost."""
    if not isinstance(log, Rewinds) or after == START:
        return False
    return await log.has_lost(after.position + (after.part > 0))


class Place:
    """Where a reader is in the log, and what it has seen of each run."""

    def __init__(self, after: TreeCursor, clock: Clock) -> None:
        self.after = after
        self._clock = clock
        self._seen: dict[str, int] = {}
        """Run -> the last seq of it that was read, or told to be gone."""
        self._is_whole = True
        """No position was missing since the cursor that the reader came with: nothing can be gone behind it."""

    def come_to(self, position: int) -> None:
        """The next entry that was read is at this position."""
        self._is_whole &= position == self.after.position + 1

    def seen_of(self, run_id: str, otherwise: int) -> int:
        """The last seq of a run that was seen, after which nothing more of it comes.

        ``otherwise``: where none was, but nothing is missing since the reader came.
        """
        return self._seen.pop(run_id, otherwise if self._is_whole else 0)

    def unseen(self, window: Committed) -> tuple[list[Event], TreeEvent | None]:
        """The events of a window behind the cursor, and a ``stream.gap`` in place of those gone before them."""
        skip = self._parts_seen(window)
        seen = max(window.before, self._seen.get(window.run_id, 0))
        if skip or self._is_whole:
            seen = max(seen, window.first_seq - 1 + skip)
        first, last = window.events[0].seq, window.events[-1].seq
        gap = self.gap(window.run_id, range(seen + 1, first), window.position, skip) if first > seen + 1 else None
        self._seen[window.run_id] = last
        return [event for event in window.events if part_of(event, window) > skip], gap

    def _parts_seen(self, window: Committed) -> int:
        """How many events of a window the reader had seen when it came."""
        part = self.after.part if window.position == self.after.position + 1 else 0
        # no cursor was ever given behind the last event of a window in this form: it is not one of this log
        return part if part <= window.events[-1].seq - window.first_seq else 0

    def begin_anew(self, run_id: str, reason: str) -> Notice:
        """The cursor is no place in this log: everything is read from the first event on, and this says so."""
        at, part = self.after
        self.after, self._is_whole = START, True
        self._seen.clear()
        return self.notice("stream.gap", run_id, {"from": 1, "to": at + (part > 0), "reason": reason})

    def gap(self, run_id: str, gone: range, position: int, part: int, reason: str = "trimmed") -> TreeEvent:
        """In front of the event that has ``part`` others before it in the window at ``position``."""
        data: dict[str, object] = {"from": gone[0], "to": gone[-1], "reason": reason}
        return TreeEvent(self.notice("stream.gap", run_id, data), position if part else position - 1, part)

    def notice(self, type: str, run_id: str, data: dict[str, object]) -> Notice:
        """A message of the stream itself: it has no seq and is not in the log."""
        return Notice(type, run_id, self._clock.now().decode(), data)


def part_of(event: Event, window: Committed) -> int:
    """Which event of its window it is, from 1."""
    return event.seq - window.first_seq + 1


def placed(event: Event, window: Committed) -> TreeEvent:
    """An event with its place in the log."""
    return TreeEvent(event, window.position, 0 if event is window.events[-1] else part_of(event, window))
