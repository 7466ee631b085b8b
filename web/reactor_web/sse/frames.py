"""Blocks of server-sent events: values in, bytes out.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html (sections "parsing" and "interpreting").

    id: 12
    event: task.completed
    data: {"seq":12,"run_id":"018f…","type":"task.completed",…}

Some things are allowed by the standard, but clients in use break on them, so no block has them: more than one data line
(some clients join lines without LF), an id or a retry without data (some report it as an event), CR, a byte order mark,
a blank line after a comment.

U+2028, U+2029 and U+0085 are not line ends here, but clients built on ``str.splitlines`` take them for line ends.
orjson does not escape them. ``reactor.events.one_line`` does: in each event before it gets its number, and in those of
older logs when they are written to a client.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

HEARTBEAT: Final = b":\n"
"""A comment, to be written between blocks only. It has no blank line after it on purpose: a blank line ends a block,
and httpx-sse, the LangGraph SDK and fetch-event-source then report an event that nobody sent."""

_BREAKS: Final = re.compile("[\r\n\0]")


def encode(data: bytes, *, event: str | None = None, id: int | str | None = None) -> bytes:
    """One block: ``data`` (one line, usually JSON) with an optional event name and id.

    Raises ValueError if the name or the id holds CR, LF or NUL, or the data CR or LF: nothing is removed silently. What
    the engine made never raises: a seq is an int, a type matches ``bounds.EVENT_TYPE``, and JSON escapes control
    characters. Events from a log that another program wrote can raise.
    """
    if b"\n" in data or b"\r" in data:
        raise ValueError(f"the data of an SSE block must be one line: {data[:40]!r}")
    id_line = b"" if id is None else b"id: %d\n" % id if isinstance(id, int) else field_line("id", id)
    event_line = b"" if event is None else field_line("event", event)
    return b"%b%bdata: %b\n\n" % (id_line, event_line, data)


@lru_cache(maxsize=256)  # a run has few types; ids that are strings only pass through the cache
def field_line(field: str, value: str) -> bytes:
    """One line of a block. Raises ValueError if the value holds CR, LF or NUL."""
    if _BREAKS.search(value):
        raise ValueError(f"the {field} of an SSE block must not hold CR, LF or NUL: {value[:80]!r}")
    return f"{field}: {value}\n".encode()


def with_retry(block: bytes, retry_ms: int) -> bytes:
    """``block`` with a line that tells the client how many milliseconds to wait before it reconnects.

    The line is put into the block of a real event, because some clients report a block of its own as an event.
    """
    if retry_ms < 0:
        raise ValueError(f"retry must be 0 ms or more, not {retry_ms}")
    return b"retry: %d\n%b" % (retry_ms, block)
