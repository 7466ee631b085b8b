"""Event streams as clients in use read them, and as strictly as no client does."""

from __future__ import annotations

import base64
import json
import re
import subprocess
from collections.abc import Iterator, Sequence
from typing import Any

import httpx
import httpx_sse

from reactor.events.event import Event, Notice
from reactor_web import dialects
from reactor_web.dialects import Dialect, End, Opens
from reactor_web.sse.parser import Frame, Parser
from tests.helpers.node import node_script

SAFE_ID = re.compile(r"[A-Za-z0-9._~-]{1,100}")
"""An id that a browser may send back to another site without asking first, in any client."""
LONGEST_LINE = 64 * 1024
FIELDS = (b"id", b"event", b"data", b"retry")
NOT_JSON = ("[DONE]",)
"""What the AI SDK ends its streams with."""


def all_dialects() -> list[Dialect]:
    return [dialects.find(name) for name in dialects.known()]


def blocks(data: bytes) -> list[Frame]:
    """The frames of some bytes; fails for anything but whole blocks of the plainest form.

    That is: LF, no byte order mark, no comment; in a block each field once, always with a data line, which is JSON.
    """
    assert b"\r" not in data, "a line end that is not LF"
    assert not data.startswith(b"\xef\xbb\xbf"), "a byte order mark"
    assert not data or data.endswith(b"\n\n"), "the last block is not ended"
    return [_block(block) for block in data.split(b"\n\n")[:-1]]


def _block(block: bytes) -> Frame:
    fields: dict[bytes, str] = {}
    for line in block.split(b"\n"):
        assert len(line) < LONGEST_LINE, f"a line of {len(line)} bytes"
        name, separator, value = line.partition(b": ")
        assert separator, f"not a field: {line!r}"
        assert name in FIELDS, f"not a field: {line!r}"
        assert name not in fields, f"two of one field: {block!r}"
        fields[name] = value.decode()
    assert b"data" in fields, f"no data, which some clients take for an event: {block!r}"
    if fields[b"data"] not in NOT_JSON:
        json.loads(fields[b"data"])
    assert b"id" not in fields or SAFE_ID.fullmatch(fields[b"id"]), f"id {fields[b'id']!r}"
    return Frame(fields.get(b"id", ""), fields.get(b"event", "message"), fields[b"data"])


def pieces(dialect: Dialect, log: Sequence[Event]) -> Iterator[bytes]:
    """All that a stream of a log may be sent, one write after the other: openings, events, notices, both ends."""
    run_id, last = log[0].run_id, log[-1]
    state, opening = dialect.begin(log[0], "fresh")
    yield opening
    for event in log:
        yield dialect.step(state, event)
    if isinstance(dialect, Opens):
        yield dialect.opening(state, run_id, last.seq)
        yield dialect.opening(state, run_id, None)
    yield dialect.notice(state, Notice("stream.gap", run_id, last.time, {"from": 1, "to": 2, "reason": "ahead"}))
    yield dialect.end(state, End(Notice("stream.end", run_id, last.time, {"status": "completed"}), last.seq))
    yield dialect.end(state, End(Notice("stream.closing", run_id, last.time, {"reason": "log", "retry_ms": 1})))


def in_chunks(body: bytes, sizes: Sequence[int]) -> Iterator[bytes]:
    start = turn = 0
    while start < len(body):
        yield body[start : start + sizes[turn % len(sizes)]]
        start, turn = start + sizes[turn % len(sizes)], turn + 1


def by_our_parser(body: bytes, sizes: Sequence[int], *, sticky_id: bool = False) -> list[Frame]:
    parser = Parser(sticky_id=sticky_id)
    return [frame for chunk in in_chunks(body, sizes) for frame in parser.feed(chunk)]


def by_httpx_sse(body: bytes, sizes: Sequence[int]) -> list[Frame]:
    """Ids are sticky: an event without one has that of the event before."""
    headers = {"content-type": "text/event-stream"}
    response = httpx.Response(200, headers=headers, content=in_chunks(body, sizes))
    return [Frame(event.id, event.event, event.data) for event in httpx_sse.EventSource(response).iter_sse()]


def by_splitlines(body: bytes) -> list[str]:
    """The lines of a client that takes everything for a line end that Python does."""
    return body.decode().splitlines()


def by_javascript(given: Sequence[tuple[bytes, Sequence[int]]]) -> list[dict[str, list[Frame]]]:
    """What ``eventsource-parser`` and fetch-event-source make of each (body, chunk sizes)."""
    asked = [{"body": base64.b64encode(body).decode(), "sizes": list(sizes)} for body, sizes in given]
    answer = subprocess.run(
        node_script("parsers.mjs"), input=json.dumps(asked), capture_output=True, text=True, check=True, timeout=60
    )
    made: list[dict[str, list[Any]]] = json.loads(answer.stdout)
    return [
        {parser: [Frame(id, event or "message", data) for id, event, data in events] for parser, events in one.items()}
        for one in made
    ]


def sticky(frames: Sequence[Frame]) -> list[Frame]:
    """The frames as a client reports them that keeps the last id."""
    last, reported = "", list[Frame]()
    for frame in frames:
        last = frame.id or last
        reported.append(frame._replace(id=last))
    return reported
