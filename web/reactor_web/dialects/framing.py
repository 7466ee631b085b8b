"""What is done to frames whatever their dialect: they get their ids, lose their names, tell when to reconnect."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from reactor_web.sse.frames import HEARTBEAT, encode, with_retry

COMMENT: Final = HEARTBEAT
"""Opens a stream: it sends the headers, and no client reports it."""

__all__ = [
    "COMMENT", "after_part", "encode", "frames_of", "is_comment", "number", "place_at", "split", "with_retry",
    "without_id", "without_name",
]  # fmt: skip

_ID_LINE: Final = re.compile(rb"^id: [^\n]*\n", re.MULTILINE)
"""Data is one line of JSON after ``data: ``, so no line of it begins so."""
_NAME_LINE: Final = re.compile(rb"^event: [^\n]*\n", re.MULTILINE)
_END: Final = b"\n\n"


def frames_of(messages: Sequence[tuple[str | None, bytes]], seq: int) -> bytes:
    """The frames of one event from (event name, JSON) of each. A message without a name has no ``event:`` line.

    The k-th frame has the id ``<seq>.<k>``, the last one ``<seq>``.
    """
    last = len(messages)
    return b"".join(
        [encode(data, event=name, id=seq if k == last else f"{seq}.{k}") for k, (name, data) in enumerate(messages, 1)]
    )


def is_comment(data: bytes) -> bool:
    """Whether ``data`` begins with a comment, to which no ``retry:`` can be added."""
    return data.startswith(b":")


def without_id(frames: bytes) -> bytes:
    """The frames without their id: those of a throttled event that leave after frames with a larger id."""
    return _ID_LINE.sub(b"", frames)


def without_name(frames: bytes) -> bytes:
    """The frames without their event name: a browser gets all of them as ``message``."""
    return _NAME_LINE.sub(b"", frames)


def split(frames: bytes) -> list[bytes]:
    """The single frames."""
    return [frame + _END for frame in frames.split(_END)[:-1]]


def number(frames: Sequence[bytes], seq: int) -> bytes:
    """The frames of one event with ids by which a client can go on after any of them.

    Those that have an id are ``<seq>.<k>``, k being the frame's place from 1; the last frame is ``<seq>``.
    """
    last = len(frames)
    numbered: list[bytes] = []
    for k, frame in enumerate(frames, 1):
        id = b"id: %d\n" % seq if k == last else b"id: %d.%d\n" % (seq, k)
        numbered.append(_ID_LINE.sub(id, frame, count=1))
    return b"".join(numbered)


def place_at(frames: bytes, position: int, part: int) -> bytes:
    """The one frame of an event with its place in the log as id: ``<position>.<part>``, ``<position>`` for part 0.

    A line of JSON has no id: there it is the first member, ``cursor``.
    """
    place = b"%d.%d" % (position, part) if part else b"%d" % position
    if frames.startswith(b"{"):
        return b'{"cursor":"%b",%b' % (place, frames[1:])
    return _ID_LINE.sub(b"id: %b\n" % place, frames, count=1)


def after_part(frames: bytes, seq: int, part: int) -> bytes:
    """What follows the frame ``<seq>.<part>``; all frames if there is no such frame."""
    found = re.search(rb"^id: %d\.%d\n" % (seq, part), frames, re.MULTILINE)
    return frames if found is None else frames[frames.index(_END, found.end()) + len(_END) :]
