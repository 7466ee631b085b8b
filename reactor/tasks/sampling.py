"""What a body says faster than anybody reads, thinned at its source: the latest progress, and joined text."""

from __future__ import annotations

from asyncio import AbstractEventLoop, TimerHandle
from collections.abc import Callable

import orjson

from reactor.bounds import CHUNK_BYTES, CHUNKS_PER_SECOND, PROGRESS_PER_SECOND


class Paced:
    """Says something at once, and then at most so often; one timer while something waits."""

    __slots__ = ("_last", "_loop", "_period", "_timer")

    def __init__(self, loop: AbstractEventLoop, per_second: int) -> None:
        self._loop = loop
        self._period = 1 / per_second
        self._last = float("-inf")
        self._timer: TimerHandle | None = None

    def soon(self) -> None:
        """Something waits to be said."""
        if self._timer is not None:
            return
        wait = self._last + self._period - self._loop.time()
        if wait > 0:
            self._timer = self._loop.call_later(wait, self.now)
        else:
            self.now()

    def now(self) -> None:
        """Says what waits, if anything does."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._say():
            self._last = self._loop.time()

    def _say(self) -> bool:
        raise AssertionError("abstract")


class LatestProgress(Paced):
    """Of several values only the last one is said."""

    __slots__ = ("_latest", "_write")

    def __init__(self, loop: AbstractEventLoop, write: Callable[[bytes], None]) -> None:
        super().__init__(loop, PROGRESS_PER_SECOND)
        self._write = write
        self._latest: bytes | None = None

    def add(self, data: bytes) -> None:
        self._latest = data
        self.soon()

    def _say(self) -> bool:
        latest, self._latest = self._latest, None
        if latest is not None:
            self._write(latest)
        return latest is not None


class JoinedChunks(Paced):
    """Pieces of text are joined: in order, none lost, each event at most ``CHUNK_BYTES`` and one piece."""

    __slots__ = ("_bytes", "_index", "_pieces", "_write")

    def __init__(self, loop: AbstractEventLoop, write: Callable[[str, int], None]) -> None:
        super().__init__(loop, CHUNKS_PER_SECOND)
        self._write = write
        self._pieces: list[str] = []
        self._bytes = 0
        self._index = 0

    def add(self, text: str) -> None:
        size = len(orjson.dumps(text))
        if self._bytes and self._bytes + size > CHUNK_BYTES:
            self.now()
        self._pieces.append(text)
        self._bytes += size
        self.soon()

    def _say(self) -> bool:
        if not self._pieces:
            return False
        text, self._pieces, self._bytes = "".join(self._pieces), [], 0
        self._write(text, self._index)
        self._index += 1
        return True
