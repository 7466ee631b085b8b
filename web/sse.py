"""Server-sent events as bytes: frames out, a conformant parser in. No sockets, no loop, no clock.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html (sections "parsing" and "interpreting").

    id: 12
    event: task.completed
    data: {"seq":12,"run_id":"018f…","type":"task.completed",…}

What a frame avoids, because clients in use trip over it: more than one data line (some clients join lines without LF),
an id or a retry without data (some report it as an event), CR, a byte order mark, a blank line after a comment.

U+2028, U+2029 and U+0085 are no line ends here, but clients built on ``str.splitlines`` take them for some. orjson
leaves them raw, and so does a frame: its data is the log's bytes, untouched. Whoever must serve such clients escapes
them where the JSON is made, before the event gets its number.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, NamedTuple

from reactor.events import Control, Event

HEARTBEAT: Final = b":\n"
"""A comment, to be written between frames only. There is no blank line after it on purpose: a blank line ends a
block, and httpx-sse, the LangGraph SDK and fetch-event-source then report an event that nobody sent."""

MAX_BLOCK_BYTES: Final = 1024 * 1024

_BOM: Final = b"\xef\xbb\xbf"
_LINE_END: Final = re.compile(rb"\r\n|\r|\n")
_BREAKS: Final = re.compile("[\r\n\0]")
_LF: Final = ord("\n")
_CR: Final = ord("\r")
_MAX_RETRY_DIGITS: Final = 15
"""30,000 years in milliseconds. ``int`` itself refuses digits above some thousands, with an exception."""


# --- out --------------------------------------------------------------------------------------------------------


def encode(data: bytes, *, event: str | None = None, id: int | str | None = None) -> bytes:
    """One block: ``data`` (one line, usually JSON) with an optional event name and id.

    Raises ValueError if the name or the id holds CR, LF or NUL, or the data CR or LF: nothing is stripped silently. It
    cannot occur for what the engine made: a seq is an int, a type matches ``bounds.EVENT_TYPE``, and JSON escapes
    control characters. It can for a log written by somebody else, and for ids and names of a vocabulary.
    """
    if b"\n" in data or b"\r" in data:
        raise ValueError(f"the data of an SSE frame must be one line: {data[:40]!r}")
    id_line = b"" if id is None else b"id: %d\n" % id if isinstance(id, int) else _line("id", id)
    event_line = b"" if event is None else _line("event", event)
    return b"%b%bdata: %b\n\n" % (id_line, event_line, data)


@lru_cache(maxsize=256)  # the types of a run are few; ids of vocabularies only pass through
def _line(field: str, value: str) -> bytes:
    if _BREAKS.search(value):
        raise ValueError(f"the {field} of an SSE frame must not hold CR, LF or NUL: {value[:80]!r}")
    return f"{field}: {value}\n".encode()


def frame(event: Event) -> bytes:
    """The frame of an event: its seq as id, its type as name, and the very bytes that are in the log as data."""
    data = event.json
    if b"\n" in data or b"\r" in data:
        return encode(data, event=event.type, id=event.seq)  # which refuses it
    return b"id: %d\n%bdata: %b\n\n" % (event.seq, _line("event", event.type), data)


def frame_without_id(event: Event) -> bytes:
    """The frame of a throttled event that leaves late: ids on the wire only grow, and a later one has left already."""
    return encode(event.json, event=event.type)


def control_frame(control: Control, id: int | None = None) -> bytes:
    """The frame of a message that is in no log; ``id`` is the seq it is current to (``run.state``, ``stream.end``)."""
    return encode(control.json, event=control.type, id=id)


def with_retry(frame: bytes, retry_ms: int) -> bytes:
    """``frame`` that also tells the client how long to wait before it reconnects, in milliseconds.

    The line rides in the block of a real event, because a block of its own is reported as an event by some clients.
    """
    if retry_ms < 0:
        raise ValueError(f"retry must be 0 ms or more, not {retry_ms}")
    return b"retry: %d\n%b" % (retry_ms, frame)


# --- in ---------------------------------------------------------------------------------------------------------


class Frame(NamedTuple):
    """One dispatched event. ``data`` has its lines joined with LF; ``event`` is ``message`` if the block named none."""

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
    """Bytes of one response body, in chunks of any size -> frames. Make a new one for every connection.

    ``last_event_id``: what to send as ``Last-Event-ID`` ("" if nothing). ``retry_ms``: the last valid ``retry``, or
    None. An id is sticky: a block without one reports the id before it, as the standard wants. ``sticky_id=False``
    reports "" instead, for a client that must tell a repeated frame from one without an id.

    The end of the body needs no call: a block without its blank line is incomplete and is never dispatched.
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

        Raises FrameTooLarge, from then on for ever. Frames completed before the large block are handed out first.
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
        # Lines are cut before they are decoded: no UTF-8 sequence contains CR or LF, and one cut short by a line end
        # is replaced the same way on both sides. So a character split between chunks needs no decoder state.
        start = 0
        if self._after_cr and chunk:
            self._after_cr = False
            start = int(chunk[0] == _LF)
        for end in _LINE_END.finditer(chunk, start):
            self._tail += chunk[start : end.start()]
            start = end.end()
            yield self._take_line()
        # The CR of a CRLF ends its line at once, so that an event never waits for the next chunk.
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
            return  # a comment (empty name) or a field of a later standard; a month of heartbeats must not add up
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
