"""The native dialect: a frame is the event as it is in the log, and any client reads it back."""

from __future__ import annotations

from typing import Any

import httpx
import httpx_sse
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactor.events.event import Draft, Event, Notice, task_head
from reactor_web.dialects.base import End
from reactor_web.dialects.framing import with_retry, without_id
from reactor_web.dialects.native import NATIVE
from reactor_web.sse.frames import HEARTBEAT
from reactor_web.sse.parser import Frame, Parser
from tests.helpers.sse import CHUNK_SIZES, parse

TIME = b"2026-11-21T12:00:01.123456Z"

texts = st.text() | st.text(alphabet="\r\n\u2028\u2029\x85\0\x1b: 🦀\ufeffé")
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
types = st.from_regex(r"[a-z][a-z0-9_]{0,8}(\.[a-z0-9_]{1,8}){0,2}", fullmatch=True)


def an_event(seq: int = 1, type: str = "task.completed", data: Any = None) -> Event:
    draft = Draft(type, orjson.dumps(data or {}), "measure[3]", task_head("measure[3]", "measure", 3, 1))
    return Event.from_draft(seq, "run-1", TIME, draft)


def frame_of(event: Event) -> bytes:
    return NATIVE.step(None, event)


events = st.builds(an_event, st.integers(1, 10**15), types, st.dictionaries(texts, json_values, max_size=4))


def test_a_frame_is_these_bytes() -> None:
    """A frame is id, event and data lines ended by LF, and its data is the log's bytes."""
    event = an_event(12, data={"lines": 120})
    assert frame_of(event) == b"id: 12\nevent: task.completed\ndata: " + event.json + b"\n\n"
    assert without_id(frame_of(event)) == b"event: task.completed\ndata: " + event.json + b"\n\n"


def test_notices_carry_an_id_only_if_given() -> None:
    """A notice has the id of the seq it is current to, or no id line."""
    notice = Notice("stream.end", "run-1", TIME.decode(), {"status": "completed"})
    assert NATIVE.notice(None, notice) == b"event: stream.end\ndata: " + notice.json + b"\n\n"
    assert NATIVE.notice(None, notice, 0).startswith(b"id: 0\nevent: stream.end\n")
    assert NATIVE.end(None, End(notice, 7)) == NATIVE.notice(None, notice, 7)


@given(st.lists(events, max_size=6), CHUNK_SIZES)
def test_parse_of_frame_is_the_event(sent: list[Event], sizes: list[int]) -> None:
    """parse(frame(e)) == e for any JSON data, under any chunking, with heartbeats in between."""
    body = HEARTBEAT + b"".join(frame_of(event) + HEARTBEAT for event in sent)
    frames = parse(body, sizes)
    assert [Event.from_json(frame.data.encode()) for frame in frames] == sent
    assert [(frame.id, frame.event) for frame in frames] == [(str(event.seq), event.type) for event in sent]


@given(st.lists(events, min_size=1, max_size=6), CHUNK_SIZES)
def test_httpx_sse_reads_the_same(sent: list[Event], sizes: list[int]) -> None:
    """httpx-sse reads the same frames from the same bytes, and no phantom event after a heartbeat."""
    body = HEARTBEAT + b"".join(frame_of(event) + HEARTBEAT * 2 for event in sent)

    def chunks():
        start = turn = 0
        while start < len(body):
            yield body[start : start + sizes[turn % len(sizes)]]
            start, turn = start + sizes[turn % len(sizes)], turn + 1

    response = httpx.Response(200, headers={"content-type": "text/event-stream"}, content=chunks())
    theirs = [Frame(e.id, e.event, e.data) for e in httpx_sse.EventSource(response).iter_sse()]
    assert theirs == parse(body)


def test_retry_rides_in_the_first_frame() -> None:
    """A client that reads the frames has its retry time, and no event more."""
    parser = Parser()
    frames = parser.feed(with_retry(frame_of(an_event(3)) + frame_of(an_event(4)), 1500))
    assert [frame.id for frame in frames] == ["3", "4"]
    assert parser.retry_ms == 1500


@pytest.mark.parametrize("bad", ["a\nb", "a\rb", "a\0b"])
def test_a_log_that_somebody_else_wrote_can_inject_nothing(bad: str) -> None:
    """A line end in a type or in the JSON is an error."""
    with pytest.raises(ValueError, match="must not hold"):
        frame_of(Event(1, "r", bad, None, b"{}"))
    with pytest.raises(ValueError, match="one line"):
        frame_of(Event(1, "r", "a", None, b"{\n}"))
