"""``Seldom``: what strangers can cause is not written without end.

Each request that is no HTTP is a traceback of aiohttp, each write to a connection that is gone a line of asyncio, and
each request to a log that fails a line of ours. The first of a kind in a minute are written, and the first of the next
minute says how many were not.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from reactor.logger import fields_of

MOST: Final = 10
"""Lines of one kind in one period."""
PERIOD_SECONDS: Final = 60.0
_KINDS: Final = 500
"""Kinds of lines that are counted; the one that was seen first is forgotten for one more."""
_KIND_CHARS: Final = 80


class _Kind:
    """Lines of one kind."""

    __slots__ = ("began", "left_out", "written")

    def __init__(self, now: float) -> None:
        self.began = now
        self.written = 0
        self.left_out = 0


class Seldom(logging.Filter):
    """Passes the first lines of each kind in each period. A kind: the logger, the level and the sentence."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._now = now
        self._kinds: dict[tuple[str, int, str], _Kind] = {}
        self._lock = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        with self._lock:
            kind, now = self._kind_of(record), self._now()
            if now - kind.began >= PERIOD_SECONDS:
                kind.began, kind.written = now, 0
            if kind.written >= MOST:
                kind.left_out += 1
                return False
            kind.written += 1
            if kind.left_out:
                record.left_out = kind.left_out
                kind.left_out = 0
            return True

    def _kind_of(self, record: logging.LogRecord) -> _Kind:
        sentence = str(fields_of(record).get("event", record.msg)).partition("\n")[0][:_KIND_CHARS]
        key = (record.name, record.levelno, sentence)
        kind = self._kinds.get(key)
        if kind is None:
            if len(self._kinds) >= _KINDS:
                del self._kinds[next(iter(self._kinds))]
            kind = self._kinds[key] = _Kind(self._now())
        return kind


def left_out_of(record: logging.LogRecord) -> int:
    """How many lines like this one were not written before it."""
    return getattr(record, "left_out", 0)
