"""Reads event streams: bytes in, frames out. Accepts everything that the standard accepts.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html (section "interpreting an event stream").
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

MAX_BLOCK_BYTES: Final = 1024 * 1024

_BOM: Final = b"\xef\xbb\xbf"
_LINE_END: Final = re.compile(rb"\r\n|\r|\n")
_LF: Final = ord("\n")
_MAX_RETRY_DIGITS: Final = 15
"""30,000 years in milliseconds. ``int`` raises for some thousands of digits."""


class Frame(NamedTuple):
    """One event. ``data`` has its lines joined with LF; ``event`` is ``message`` if the block has no name."""

    id: str
    event: str
    data: str


class FrameTooLarge(ValueError):
    """One block is above the parser's ``max_bytes``; the rest of the stream cannot be understood."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(f"a block of the event stream is above {max_bytes} bytes")
        self.max_bytes = max_bytes

    def __reduce__(self) -> tuple[type[FrameTooLarge], tuple[int]]:
        return (type(self), (self.max_bytes,))


class Parser:
    """Reads the body of one response, in chunks of any size. Make a new parser for every connection.

    ``last_event_id``: what to send as ``Last-Event-ID`` ("" if nothing). ``retry_ms``: the last valid ``retry``, or
    None. As the standard says, a frame whose block has no id gets the id before it. With ``sticky_id=False`` its id is
    "" instead, for a client that must tell a repeated frame from one without an id.

    The end of the body needs no call: a block without its blank line is incomplete and gives no frame.
    """

    def __init__(self, max_bytes: int = MAX_BLOCK_BYTES, *, sticky_id: bool = True) -> None:
        self.last_event_id = ""
        self.retry_ms: int | None = None
        self._max_bytes = max_bytes
        self._sticky_id = sticky_id
        self._tail = bytearray()
        self._at_start = True
        self._after_cr = False
        self._too_large: FrameTooLarge | None = None
        self._block_id: str | None = None
        self._event = ""
        self._data: list[str] = []
        self._held = 0

    def feed(self, chunk: bytes) -> list[Frame]:
        """The frames that ``chunk`` completes, in order.

        Raises FrameTooLarge for a block above ``max_bytes``, and from then on always. A call that also completed frames
        before that block returns them, and the next call raises.
        """
        if self._too_large is not None:
            raise self._too_large
        frames: list[Frame] = []
        try:
            for line in self._lines(chunk):
                if line:
                    self._field(line)
                elif (done := self._dispatch()) is not None:
                    frames.append(done)
        except FrameTooLarge as error:
            self._too_large = error
            self._tail.clear()
            self._data.clear()
            if not frames:
                raise
        return frames

    def _lines(self, chunk: bytes) -> Iterator[bytes]:
        # Lines are cut before they are decoded: no UTF-8 sequence contains CR or LF, so a character that
        # is split between chunks needs no decoder state.
        start = 0
        if self._after_cr and chunk:
            self._after_cr = False
            start = int(chunk[0] == _LF)
        for end in _LINE_END.finditer(chunk, start):
            self._tail += chunk[start : end.start()]
            start = end.end()
            yield self._take_line()
        # The CR of a CRLF ends its line at once, so that an event never waits for the LF in the next chunk.
        self._after_cr = chunk.endswith(b"\r") or (self._after_cr and not chunk)
        self._tail += chunk[start:]
        self._check(len(self._tail))

    def _take_line(self) -> bytes:
        line = bytes(self._tail)
        self._tail.clear()
        self._check(len(line))
        if self._at_start:
            self._at_start = False
            return line.removeprefix(_BOM)
        return line

    def _check(self, incoming: int) -> None:
        if self._held + incoming > self._max_bytes:
            raise FrameTooLarge(self._max_bytes)

    def _field(self, line: bytes) -> None:
        name, _, raw = line.partition(b":")
        if name not in (b"data", b"event", b"id", b"retry"):
            return  # a comment (empty name) or an unknown field, which costs nothing: a stream may beat for months
        value = raw.removeprefix(b" ").decode("utf-8", "replace")
        if name == b"retry":
            if value.isascii() and value.isdigit() and len(value) <= _MAX_RETRY_DIGITS:
                self.retry_ms = int(value)
            return
        self._held += len(line)
        if name == b"data":
            self._data.append(value)
        elif name == b"event":
            self._event = value
        elif "\0" not in value:
            self._block_id = value

    def _dispatch(self) -> Frame | None:
        if self._block_id is not None:
            self.last_event_id = self._block_id  # even if the block holds no data
        done = None
        if self._data:
            id = self.last_event_id if self._sticky_id else self._block_id or ""
            done = Frame(id, self._event or "message", "\n".join(self._data))
        self._block_id, self._event, self._data, self._held = None, "", [], 0
        return done
