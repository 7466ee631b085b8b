"""What many clients are sent next: frames of a ring, joined and framed for the wire once for all of them."""

from __future__ import annotations

from collections.abc import Sequence

from reactor.bounds import READ_BYTES
from reactor_web.bounds import RETRY_MS
from reactor_web.dialects.framing import is_comment, with_retry
from reactor_web.streaming.connection.direct import Framing
from reactor_web.streaming.pipeline.compose import NumberedFrame


class Piece:
    """The frames of a ring from one place on: as many as one write takes."""

    __slots__ = ("_framed", "data", "end", "has_id", "last", "oldest")

    def __init__(self, start: int, frames: Sequence[NumberedFrame]) -> None:
        frames = _fitting(READ_BYTES, frames)
        self.data = b"".join([data for _, data in frames])
        self.end = start + len(frames)
        """The offset behind them."""
        seqs = [seq for seq, _ in frames if seq]
        self.oldest = min(seqs, default=0)
        self.last = max(seqs, default=0)
        self.has_id = bool(seqs)
        self._framed: dict[tuple[Framing, bool], bytes | None] = {}

    def framed(self, framing: Framing, *, is_first: bool) -> bytes | None:
        """As a connection of this kind has them; ``is_first``: with ``retry:``."""
        if not self.data:
            return b""  # an empty chunk would end the body
        key = framing, is_first
        if key not in self._framed:
            self._framed[key] = framing(with_retry(self.data, RETRY_MS) if is_first else self.data)
        return self._framed[key]

    @property
    def is_comment(self) -> bool:
        """Whether ``retry:`` cannot go with them."""
        return not self.data or is_comment(self.data)


def _fitting(size: int, frames: Sequence[NumberedFrame]) -> Sequence[NumberedFrame]:
    """The first frames that have at most ``size`` bytes together, but at least one frame."""
    total = 0
    for count, (_, data) in enumerate(frames):
        total += len(data)
        if total > size and count:
            return frames[:count]
    return frames
