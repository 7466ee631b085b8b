"""The oracle: bodies note in it each effect, before and after, with fsync. What it says has happened.

It also counts its lines, and may end the process at one of them: between an effect and its record, say.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

FILE, LIFE, END_AT = "CRASH_ORACLE", "CRASH_LIFE", "CRASH_END_AT"
"""Of the environment: the file, which life of the server it is, where it kills itself (``line:17``, ``window:5``)."""

SLOW = "CRASH_SLOW"
"""Of the environment, too: whether the log is slow."""

DONE = "done"
"""The step that a body notes last; its value is the output."""


class Line(NamedTuple):
    """One effect of a body, about to happen (``before``) or happened (``after``)."""

    life: int
    when: str
    run: str
    """The tenant, ``/`` and the id of the run."""
    task: str
    attempt: int
    step: str
    value: Any


class EndAt:
    """Kills this process at the n-th of something."""

    def __init__(self, what: str) -> None:
        kind, _, number = os.environ.get(END_AT, "").partition(":")
        self._left = int(number) if kind == what else 0
        self._lock = threading.Lock()

    def count(self) -> None:
        with self._lock:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


_lines = EndAt("line")


def note(when: str, run: str, task: str, attempt: int, step: str, value: Any) -> None:
    """One line, one write, and an fsync."""
    line = Line(int(os.environ[LIFE]), when, run, task, attempt, step, value)
    append(Path(os.environ[FILE]), line)
    _lines.count()


def append(path: Path, record: Any) -> None:
    """A record as one line of JSON, which is whole although the process is killed."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(descriptor, json.dumps(record).encode() + b"\n")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def records(path: Path) -> Iterator[Any]:
    """What was appended, in order."""
    if path.exists():
        with path.open("rb") as file:
            yield from map(json.loads, file)


def lines(path: Path) -> list[Line]:
    return [Line(*record) for record in records(path)]
