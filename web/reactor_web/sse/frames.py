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
from functools import lru_cache
from typing import Final

from reactor.events.event import Control, Event

HEARTBEAT: Final = b":\n"
"""A comment, to be written between frames only. There is no blank line after it on purpose: a blank line ends a
block, and httpx-sse, the LangGraph SDK and fetch-event-source then report an event that nobody sent."""


_BREAKS: Final = re.compile("[\r\n\0]")


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
