"""Pacing at the source: a body may report progress and text faster than anybody reads.

Only the latest progress is written, and pieces of text are joined. What waits is written before what the body says
next, so that the log has its order; of progress, only as long as its rate allows it.

Events are also paced in three other places:
``executors.processes.pipe`` (progress of a body in a process), ``operators.throttle_latest`` (what a subscriber asks
for), and the replay of ``reactor_web`` (the same for events that are read from the log).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable

import orjson

from reactor.bounds import CHUNK_BYTES, CHUNKS_PER_SECOND, PROGRESS_PER_SECOND
from reactor.events.one_line import one_line
from reactor.ports.clock import Clock, Timer


class Paced(ABC):
    """Writes the first value at once, then at most ``per_second`` a second. Has a timer only while a value waits."""

    __slots__ = ("_clock", "_last", "_period", "_timer")

    def __init__(self, clock: Clock, per_second: int) -> None:
        self._clock = clock
        self._period = 1 / per_second
        self._last = float("-inf")
        self._timer: Timer | None = None

    def soon(self) -> None:
        """A value waits: writes it now, or when its time has come."""
        if self._timer is not None:
            return
        wait = self._due() - self._clock.monotonic()
        if wait > 0:
            self._timer = self._clock.call_later(wait, self.now)
        else:
            self.now()

    def now(self) -> None:
        """Writes the value that waits, if there is one."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._write_waiting():
            self._last = self._clock.monotonic()

    def _due(self) -> float:
        """When the next value may be written."""
        return self._last + self._period

    @abstractmethod
    def _write_waiting(self) -> bool:
        """Writes the value that waits; False where there is none."""


class LatestProgress(Paced):
    """Writes only the last of several values. Between other things that a body says it may write more closely."""

    __slots__ = ("_latest", "_times", "_write")

    def __init__(self, clock: Clock, write: Callable[[bytes], None]) -> None:
        super().__init__(clock, PROGRESS_PER_SECOND)
        self._write = write
        self._latest: bytes | None = None
        self._times = deque[float](maxlen=PROGRESS_PER_SECOND)
        """When the last values were written."""

    def add(self, data: bytes) -> None:
        self._latest = data
        self.soon()

    def give_way(self) -> None:
        """The body says something else: writes the value that waits, unless a second's worth has been written."""
        if self._latest is not None and self._clock.monotonic() >= self._free_at():
            self.now()

    def _due(self) -> float:
        return max(super()._due(), self._free_at())

    def _free_at(self) -> float:
        """When fewer than ``PROGRESS_PER_SECOND`` were written in the second before."""
        return self._times[0] + 1.0 if len(self._times) == PROGRESS_PER_SECOND else float("-inf")

    def _write_waiting(self) -> bool:
        latest, self._latest = self._latest, None
        if latest is not None:
            self._times.append(self._clock.monotonic())
            self._write(latest)
        return latest is not None


class JoinedChunks(Paced):
    """Joins pieces of text, in order and without loss. An event has at most ``CHUNK_BYTES``, or one larger piece."""

    __slots__ = ("_bytes", "_index", "_pieces", "_write")

    def __init__(self, clock: Clock, write: Callable[[str, int], None]) -> None:
        super().__init__(clock, CHUNKS_PER_SECOND)
        self._write = write
        self._pieces: list[str] = []
        self._bytes = 0
        self._index = 0

    def add(self, text: str) -> None:
        size = len(one_line(orjson.dumps(text)))
        if self._bytes and self._bytes + size > CHUNK_BYTES:
            self.now()
        self._pieces.append(text)
        self._bytes += size
        self.soon()

    def _write_waiting(self) -> bool:
        if not self._pieces:
            return False
        text, self._pieces, self._bytes = "".join(self._pieces), [], 0
        self._write(text, self._index)
        self._index += 1
        return True
