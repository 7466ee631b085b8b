"""Where a client stands in a fold: behind a seq, behind a number of frames, or before an opening."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from reactor.stream.feed import Closed, Feed
from reactor.waiting import turn_of
from reactor_web.dialects import Opens, Prepares
from reactor_web.dialects.framing import split
from reactor_web.streaming.pipeline.compose import NumberedFrame
from reactor_web.streaming.pipeline.view import ViewPipeline


def behind(position: int, frames: Sequence[NumberedFrame]) -> list[NumberedFrame]:
    """The frames of later events, and those of no event."""
    return [frame for frame in frames if not 0 < frame[0] <= position]


class Count:
    """A cursor of a counted dialect: how many frames the client has."""

    __slots__ = ("frames", "is_lost", "kept", "seen")

    def __init__(self, frames: int) -> None:
        self.frames = frames
        self.seen = 0
        """How many frames a fold has made so far."""
        self.kept: int | None = None
        """Where the log has lost the end of the run: the last event that was left."""
        self.is_lost = False
        """Whether the client has frames of events that are lost."""

    @property
    def is_found(self) -> bool:
        """Whether the fold has made all frames that the client has."""
        return self.seen >= self.frames

    def behind(self, entries: Sequence[NumberedFrame]) -> list[NumberedFrame]:
        """The frames that the client does not have."""
        missing: list[NumberedFrame] = []
        for seq, data in entries:
            count, has = data.count(b"\n\n"), self.frames - self.seen
            if has > 0 and self.kept is not None and seq > self.kept:
                self.is_lost = True
                return []
            self.seen += count
            if has <= 0:
                missing.append((seq, data))
            elif count > has:
                missing.append((seq, b"".join(split(data)[has:])))
        return missing


@dataclass(slots=True)
class Opening:
    """What a client without a cursor is shown first, where its dialect shows the state of the run."""

    dialect: Opens
    run_id: str
    seq: int
    """The event that the state is to be current to."""
    has_ended: bool
    """Then the frames of the run's last event follow."""

    @classmethod
    def of(cls, dialect: Opens, feed: Feed) -> Opening:
        return cls(dialect, feed.run_id, feed.last_seq, feed.closed == Closed.END)

    @property
    def position(self) -> int:
        """The last event whose frames the client is not shown."""
        return self.seq - 1 if self.has_ended else self.seq

    async def prepare(self, view: ViewPipeline) -> None:
        """Makes most of what ``show`` gives, in turns. The view may go on meanwhile."""
        if isinstance(self.dialect, Prepares) and (view.opening is None or view.opening[0] != view.seq):
            turn = turn_of(asyncio.get_running_loop())
            for _ in self.dialect.prepare(view.state):
                await turn

    def show(self, view: ViewPipeline) -> bytes:
        """The frames of the state as the view has folded it, made once for all who come at this event."""
        at = None if self.has_ended else view.seq
        if view.opening is None or view.opening[:2] != (view.seq, at):
            view.opening = view.seq, at, self.dialect.opening(view.state, self.run_id, at)
        return view.opening[2]
