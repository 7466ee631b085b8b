"""The recent frames of one pipeline, for the clients that share it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import Protocol

from reactor_web.bounds import CHANNEL_FRAMES
from reactor_web.streaming.pipeline.compose import NumberedFrame


class Progress(Protocol):
    """What the frames of a ring are made from: the state of a run, or a view of it."""

    seq: int
    """The last event that has gone into the pipeline."""


class Ring:
    """Keeps the last frames, at most ``CHANNEL_FRAMES`` of them and ``max_bytes`` (but always the last one).

    An offset counts the frames since the pipeline began, whether they are still here or not. ``on_new`` is called when
    there is a frame that ``take_new`` has not given: once for all frames until the next ``take_new``.
    """

    __slots__ = ("_bytes", "_first", "_frames", "_has_new", "_max_bytes", "_on_new", "_progress", "_taken", "position")

    def __init__(self, progress: Progress, max_bytes: int, on_new: Callable[[], object]) -> None:
        self.position = 0
        """The last seq in the pipeline when the last frame came: a client that has this frame needs nothing older."""
        self._progress = progress
        self._max_bytes = max_bytes
        self._on_new = on_new
        self._frames: deque[NumberedFrame] = deque()
        self._first = 0
        """The offset of the oldest frame that is kept."""
        self._bytes = 0
        self._taken = 0
        self._has_new = False

    @property
    def end(self) -> int:
        """The offset after the last frame."""
        return self._first + len(self._frames)

    def append(self, frame: NumberedFrame) -> None:
        frames = self._frames
        frames.append(frame)
        self.position = self._progress.seq
        self._bytes += len(frame[1])
        while (self._bytes > self._max_bytes or len(frames) > CHANNEL_FRAMES) and len(frames) > 1:
            self._bytes -= len(frames.popleft()[1])
            self._first += 1
        if not self._has_new:
            self._has_new = True
            self._on_new()

    def read(self, offset: int) -> list[NumberedFrame] | None:
        """The frames from an offset on; None if the first of them is no longer here, so that the log must be read."""
        if offset < self._first:
            return None
        return list(islice(self._frames, offset - self._first, None))

    def take_new(self) -> tuple[int, list[NumberedFrame] | None]:
        """The offset of the first frame that was not taken before, and what ``read`` gives for it."""
        self._has_new = False
        start, self._taken = self._taken, self.end
        return start, self.read(start)

    def clear(self) -> None:
        """Drops all frames; offsets go on."""
        self._first = self.end
        self._frames.clear()
        self._bytes = 0
