"""The recent frames of one pipeline, for the clients that share it, and for those who come."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Final, Protocol

from reactor_web.bounds import CHANNEL_FRAMES
from reactor_web.streaming.pipeline.compose import NumberedFrame

KNOWN_OFFSETS: Final = 1_000


class Progress(Protocol):
    """What the frames of a ring are made from: the events of a run, or a view of it."""

    seq: int
    """The last event that has gone into the pipeline."""


class Ring:
    """Keeps the last frames, at most ``CHANNEL_FRAMES`` of them and ``max_bytes`` (but always the last one).

    An offset counts the frames since the pipeline began, whether they are still here or not. ``on_new`` is called with
    each addition. The pipeline was given all events behind the one that it began with (``progress.seq``).
    """

    __slots__ = ("_bytes", "_first", "_frames", "_max_bytes", "_offsets", "_on_new", "_progress", "lost", "position")

    def __init__(self, progress: Progress, max_bytes: int, on_new: Callable[[], object]) -> None:
        self.position = progress.seq
        """The last seq in the pipeline when the last frame came: a client that has this frame needs nothing older."""
        self.lost = progress.seq
        """A client that does not have all events up to this one cannot find its place here."""
        self._progress = progress
        self._max_bytes = max_bytes
        self._on_new = on_new
        self._frames: deque[NumberedFrame] = deque()
        self._first = 0
        """The offset of the oldest frame that is kept."""
        self._bytes = 0
        self._offsets: dict[int, int] = {}
        """By seq: the place of a client that has the events up to there. Thousands may come with the same one."""

    @property
    def end(self) -> int:
        """The offset after the last frame."""
        return self._first + len(self._frames)

    def extend(self, new: Sequence[NumberedFrame]) -> None:
        """Adds frames, in their order."""
        frames = self._frames
        frames.extend(new)
        self.position = self._progress.seq
        self._bytes += sum([len(data) for _, data in new])
        while (self._bytes > self._max_bytes or len(frames) > CHANNEL_FRAMES) and len(frames) > 1:
            seq, data = frames.popleft()
            self._bytes -= len(data)
            self._first += 1
            if seq > self.lost:  # a throttle lets some leave behind later ones
                self.lost = seq
        self._on_new()

    def read(self, offset: int) -> list[NumberedFrame] | None:
        """The frames from an offset on; None if the first of them is no longer here, so that the log must be read."""
        if offset < self._first:
            return None
        return list(islice(self._frames, offset - self._first, None))

    def offset_after(self, seq: int) -> int | None:
        """Where a client goes on that has all events up to ``seq``; None if a frame that it needs is no longer here.

        Frames behind this place may be of events that it has: a throttle holds some back.
        """
        if seq < self.lost:
            return None
        offset = self._offsets.get(seq)
        if offset is None or offset < self._first:
            if len(self._offsets) >= KNOWN_OFFSETS:
                self._offsets.clear()
            index = next((index for index, frame in enumerate(self._frames) if frame[0] > seq), len(self._frames))
            offset = self._offsets[seq] = self._first + index
        return offset

    def clear(self) -> None:
        """Drops all frames; offsets go on."""
        self._first = self.end
        self._frames.clear()
        self._bytes = 0
        self._offsets.clear()
        self.lost = max(self.lost, self._progress.seq)
