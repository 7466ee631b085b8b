"""What a world left behind, read for the checks: two oracles, what was shown, the log, and where each life ended."""

from __future__ import annotations

import sqlite3
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from reactor import Event
from tests.crash.answers import Answer
from tests.crash.clients import Followed
from tests.crash.oracle import Line

_WINDOWS = (
    """SELECT position, tenant, run_id, events FROM windows JOIN runs ON runs.id = windows.run ORDER BY position"""
)


class Window(NamedTuple):
    """One window of the log, as it stands in the file."""

    position: int
    run: str
    """The tenant, ``/`` and the id of the run."""
    events: tuple[bytes, ...]


class End(NamedTuple):
    """How a life of the server ended, and what was certain then."""

    life: int
    how: str
    position: int
    """The last window in the log."""

    @property
    def is_clean(self) -> bool:
        """Whether the process has ended by itself, with everything that was said in the log."""
        return self.how == "stopped"


class Shown(NamedTuple):
    """What one follower was shown, message by message."""

    followed: Followed
    messages: tuple[bytes, ...]


@dataclass(frozen=True)
class Evidence:
    """Everything that the checks look at."""

    lines: Sequence[Line]
    """What bodies noted: what has happened."""
    answers: Sequence[Answer]
    """What the server has said to commands."""
    windows: Sequence[Window]
    """The log, in the order in which it was committed."""
    ends: Sequence[End]
    """Each life, in order."""
    shown: Sequence[Shown] = ()
    states: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """By run, what ``GET`` says of it at the end."""

    @cached_property
    def events(self) -> dict[str, list[Event]]:
        """The events of each run."""
        found: dict[str, list[Event]] = {}
        for window in self.windows:
            found.setdefault(window.run, []).extend(map(Event.from_json, window.events))
        return found

    @cached_property
    def lives(self) -> dict[str, list[int]]:
        """The life in which each of these events was committed."""
        positions = [end.position for end in self.ends]
        found: dict[str, list[int]] = {}
        for window in self.windows:
            life = self.ends[bisect_left(positions, window.position)].life
            found.setdefault(window.run, []).extend([life] * len(window.events))
        return found


def position(path: Path) -> int:
    """The last window that is in the log now."""
    found = _rows(path, "SELECT max(position) FROM windows")
    return (found[0][0] or 0) if found else 0


def windows(path: Path) -> list[Window]:
    return [
        Window(position, f"{tenant}/{run_id}", tuple(events.split(b"\n")))
        for position, tenant, run_id, events in _rows(path, _WINDOWS)
    ]


def _rows(path: Path, query: str) -> list[Any]:
    """Read beside everything that is under test; nothing before there is a file with tables."""
    if not path.exists():
        return []
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return connection.execute(query).fetchall()
    except sqlite3.OperationalError:
        return []
    finally:
        connection.close()
