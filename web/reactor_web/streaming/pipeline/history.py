"""The frames of a view from its beginning on, as long as they fit: a client finds its place in them by its cursor."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from itertools import islice

from reactor_web.bounds import CHANNEL_FRAMES
from reactor_web.streaming.pipeline.compose import NumberedFrame


class History:
    """Keeps the last frames, at most ``CHANNEL_FRAMES`` of them and ``max_bytes``; their seqs never fall."""

    __slots__ = ("_bytes", "_frames", "_joined", "lost", "max_bytes")

    def __init__(self, max_bytes: int, start: int = 0) -> None:
        self.lost = start
        """The seq of the last frame that is not here, or no longer; 0 while all of them are."""
        self._frames: deque[NumberedFrame] = deque()
        self._bytes = 0
        self._joined: tuple[int, bytes] | None = None
        self.max_bytes = max_bytes

    def append(self, frame: NumberedFrame) -> None:
        self._frames.append(frame)
        self._joined = None
        self._bytes += len(frame[1])
        while self._bytes > self.max_bytes or len(self._frames) > CHANNEL_FRAMES:
            self.lost, data = self._frames.popleft()
            self._bytes -= len(data)

    def has_after(self, seq: int) -> bool:
        """Whether all frames with a larger seq are still here."""
        return self.lost <= seq

    def after(self, seq: int) -> list[NumberedFrame] | None:
        """The frames with a larger seq; None if one of them is no longer here."""
        if self.lost > seq:
            return None
        start = bisect_right(self._frames, seq, key=_seq)
        return list(islice(self._frames, start, None))

    def joined(self, seq: int) -> bytes:
        """The frames that ``after`` gives, joined: thousands of clients may come at once with the same cursor."""
        if self._joined is None or self._joined[0] != seq:
            self._joined = seq, b"".join([data for _, data in self.after(seq) or ()])
        return self._joined[1]


def _seq(frame: NumberedFrame) -> int:
    return frame[0]
