"""The wire format: what we write, and what we read from anybody."""

from __future__ import annotations

import pickle
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reactor_web.sse import frames as sse
from reactor_web.sse.frames import HEARTBEAT
from reactor_web.sse.parser import Frame, FrameTooLarge, Parser

from reactor.events.event import Control, Draft, Event, task_head

TIME = b"2026-11-21T12:00:01.123456Z"
LONG = b"x" * 2000


def message(data: str, id: str = "") -> Frame:
    return Frame(id, "message", data)


# The bodies of the web platform tests `eventsource/format-*`, rebuilt from the standard's rules.
VECTORS: dict[str, tuple[bytes, list[Frame]]] = {
    "bom": (b"\xef\xbb\xbfdata:1\n\n\xef\xbb\xbfdata:2\n\ndata:3\n\n", [message("1"), message("3")]),
    "bom-2": (b"\xef\xbb\xbf\xef\xbb\xbfdata:1\n\ndata:2\n\ndata:3\n\n", [message("2"), message("3")]),
    "bom-then-blank": (b"\xef\xbb\xbf\n\ndata:1\n\n", [message("1")]),
    "comments": (
        b"data:1\r:\0\n:\r\ndata:2\n:" + LONG + b"\rdata:3\n:data:fail\r:" + LONG + b"\ndata:4\n\n",
        [message("1\n2\n3\n4")],
    ),
    "data-before-final-empty-line": (b"retry:1000\ndata:test1\n\nid:test\ndata:test2", [message("test1")]),
    "field-data": (b"data:\n\ndata\ndata\n\ndata:test\n\n", [message(""), message("\n"), message("test")]),
    "field-event": (b"event:test\ndata:x\n\ndata:x\n\n", [Frame("", "test", "x"), message("x")]),
    "field-event-empty": (b"event: \ndata:data\n\n", [message("data")]),
    "field-event-reset": (b"event:a\nevent\ndata:x\n\n", [message("x")]),
    "field-event-without-data": (b"event:lost\n\ndata:x\n\n", [message("x")]),
    "field-id": (b"id: 1\ndata: a\n\ndata: b\n\n", [message("a", "1"), message("b", "1")]),
    "field-id-2": (
        b"id: 1\ndata: a\n\nid\ndata: b\n\nid:2\ndata: c\n\nid: \ndata: d\n\n",
        [message("a", "1"), message("b"), message("c", "2"), message("d")],
    ),
    "field-id-3": ("id: …\ndata: a\n\ndata: b\n\n".encode(), [message("a", "…"), message("b", "…")]),
    "field-id-null": (b"id: ok\nid: a\0b\ndata: x\n\nid: \0\n\ndata: y\n\n", [message("x", "ok"), message("y", "ok")]),
    "field-id-without-data": (b"id: 7\n\ndata: x\n\n", [message("x", "7")]),
    "field-parsing": (
        b"data:\0\ndata:  2\rData:1\ndata\0:2\ndata:1\r\0data:4\n"
        b"da-ta:3\rdata_5\ndata:3\rdata:\r\n data:32\ndata:4\n\n",
        [message("\0\n 2\n1\n3\n\n4")],
    ),
    "field-unknown": (
        b"data:test\n data\ndata\nfoobar:xxx\njustsometext\n:thisisacommentyay\ndata:test\n\n",
        [message("test\n\ntest")],
    ),
    "leading-space": (b"data:\ttest\rdata: \ndata:test\n\n", [message("\ttest\n\ntest")]),
    "newlines": (b"data:test\r\ndata\ndata:test\r\n\r", [message("test\n\ntest")]),
    "newlines-cr-only": (b"data:1\r\rdata:2\r\r", [message("1"), message("2")]),
    "newlines-cr-then-crlf": (b"data:1\r\r\ndata:2\r\n\r\n", [message("1"), message("2")]),
    "newlines-lf-then-cr": (b"data:1\n\rdata:2\n\n", [message("1"), message("2")]),
    "not-newlines": (
        "data:a\u2028b\u2029c\x85d\x0be\x0cf\x1cg\x1dh\x1ei\n\n".encode(),
        [message("a\u2028b\u2029c\x85d\x0be\x0cf\x1cg\x1dh\x1ei")],
    ),
    "null-character": (b"data:\0\n\n\n\n", [message("\0")]),
    "utf-8": ("data:ok… 🦀\n\n".encode(), [message("ok… 🦀")]),
    "utf-8-invalid": (
        b"data:\xff|\xe2\x82|\xf0\x9f\xa6\ndata:\xc0\x80\n\n",
        [message("\ufffd|\ufffd|\ufffd\n\ufffd\ufffd")],
    ),
    "end-of-body-in-a-block": (b"data:1\n\nid:9\ndata:2\n", [message("1")]),
    "empty": (b"", []),
    "blank-lines": (b"\n\r\n\r\n\n", []),
}

RETRIES = {
    b"retry: 3000\n": 3000,
    b"retry:0\n": 0,
    b"retry:3000\nretry:1000x\n": 3000,
    b"retry:\n": None,
    b"retry\n": None,
    b"retry:-5\n": None,
    b"retry:+5\n": None,
    b"retry: 1_000\n": None,
    b"retry:  5\n": None,
    b"retry:1.5\n": None,
    "retry:\u0661\u0662\n".encode(): None,
    "retry:\u00b2\n".encode(): None,
    b"retry:" + b"9" * 5000 + b"\n": None,
}


def parse(body: bytes, sizes: list[int] | None = None) -> list[Frame]:
    """All frames of ``body``, fed in chunks of ``sizes`` (cycled); whole without sizes."""
    parser = Parser()
    if sizes is None:
        return parser.feed(body)
    frames: list[Frame] = []
    start = turn = 0
    while start < len(body):
        size = sizes[turn % len(sizes)]
        frames += parser.feed(body[start : start + size])
        start, turn = start + size, turn + 1
    return frames


chunk_sizes = st.lists(st.integers(1, 40), min_size=1, max_size=8)
texts = st.text() | st.text(alphabet="\r\n\u2028\u2029\x85\0\x1b: 🦀\ufeffé")
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
types = st.from_regex(r"[a-z][a-z0-9_]{0,8}(\.[a-z0-9_]{1,8}){0,2}", fullmatch=True)


def an_event(seq: int = 1, type: str = "task.completed", data: Any = None) -> Event:
    draft = Draft(type, orjson.dumps(data or {}), "measure[3]", task_head("measure[3]", "measure", 3, 1))
    return Event.numbered(seq, "run-1", TIME, draft)


events = st.builds(an_event, st.integers(1, 10**15), types, st.dictionaries(texts, json_values, max_size=4))


@pytest.mark.parametrize("name", VECTORS)
def test_vectors_whole_and_byte_by_byte(name: str):
    """A body gives the frames the standard says, whether it comes whole or one byte at a time."""
    body, expected = VECTORS[name]
    assert parse(body) == expected
    assert parse(body, [1]) == expected


@given(st.sampled_from(sorted(VECTORS)), chunk_sizes)
def test_vectors_under_any_chunking(name: str, sizes: list[int]):
    """How the network cuts a body never changes its frames."""
    body, expected = VECTORS[name]
    assert parse(body, sizes) == expected


@given(st.binary(max_size=200) | st.text("\r\n: dataid\0\ufeffé", max_size=80).map(str.encode), chunk_sizes)
def test_any_bytes_parse_equally_under_any_chunking(body: bytes, sizes: list[int]):
    """No bytes raise, and no chunking of them changes the frames, the last id or the retry time."""
    whole, pieces = Parser(), Parser()
    frames = whole.feed(body)
    start = turn = 0
    collected: list[Frame] = []
    while start < len(body):
        collected += pieces.feed(body[start : start + sizes[turn % len(sizes)]])
        start, turn = start + sizes[turn % len(sizes)], turn + 1
    assert collected == frames
    assert (pieces.last_event_id, pieces.retry_ms) == (whole.last_event_id, whole.retry_ms)


@pytest.mark.parametrize("line", RETRIES)
def test_retry_is_ascii_digits_only(line: bytes):
    """A retry time counts only if the whole value is ASCII digits; anything else changes nothing."""
    parser = Parser()
    parser.feed(line)
    assert parser.retry_ms == RETRIES[line]


def test_the_id_is_committed_at_the_blank_line():
    """An id in a block that never ended is not the last event id."""
    parser = Parser()
    parser.feed(b"id: 1\ndata: a\n\nid: 2\ndata: b\n")
    assert parser.last_event_id == "1"
    parser.feed(b"\n")
    assert parser.last_event_id == "2"


def test_an_id_without_data_is_committed_but_not_dispatched():
    """A block that holds only an id moves the last event id and is no event."""
    parser = Parser()
    assert parser.feed(b"id: 4\n\n") == []
    assert parser.last_event_id == "4"


def test_an_event_does_not_wait_for_the_lf_of_a_crlf():
    """A frame is handed out with the CR that ends it, and the LF that follows in the next chunk is no second line."""
    parser = Parser()
    assert parser.feed(b"data: a\r\n\r") == [message("a")]
    assert parser.feed(b"") == []
    assert parser.feed(b"\ndata: b\r") == []
    assert parser.feed(b"\r") == [message("b")]


def test_without_sticky_ids_a_block_reports_only_its_own():
    """``sticky_id=False`` tells a frame without an id from a repeated one, and the last event id stays what it is."""
    parser = Parser(sticky_id=False)
    assert [f.id for f in parser.feed(b"id: 1\ndata: a\n\ndata: b\n\n")] == ["1", ""]
    assert parser.last_event_id == "1"


@pytest.mark.parametrize("sizes", [[10_000], [1], [7, 3]])
@pytest.mark.parametrize("large", [b"data: " + b"x" * 200, b"data: 1234567890\n" * 12, b":" + b"x" * 200])
def test_a_block_above_the_bound_raises_after_the_frames_before_it(large: bytes, sizes: list[int]):
    """A block above ``max_bytes`` raises, under any chunking, and costs no frame that came before it."""
    parser = Parser(max_bytes=100)
    body = b"data: a\n\n" + large + b"\n\ndata: never\n\n"
    frames: list[Frame] = []

    def feed_all() -> None:
        start = turn = 0
        while start < len(body) or turn < 2:
            frames.extend(parser.feed(body[start : start + sizes[turn % len(sizes)]]))
            start, turn = start + sizes[turn % len(sizes)], turn + 1

    with pytest.raises(FrameTooLarge, match="above 100 bytes"):
        feed_all()
    assert frames == [message("a")]
    with pytest.raises(FrameTooLarge):
        parser.feed(b"data: b\n\n")


def test_heartbeats_and_comments_never_add_up():
    """A stream that is silent but for heartbeats for months stays below the bound."""
    parser = Parser(max_bytes=100)
    for _ in range(1000):
        assert parser.feed(HEARTBEAT) == []
    assert parser.feed(b"data: a\n\n") == [message("a")]


def test_too_large_survives_pickling():
    """The error says the same in another process."""
    error = pickle.loads(pickle.dumps(FrameTooLarge(7)))
    assert (str(error), error.max_bytes) == (str(FrameTooLarge(7)), 7)


def test_a_frame_is_these_bytes():
    """A frame is id, event and data lines ended by LF, and its data is the log's bytes."""
    event = an_event(12, data={"lines": 120})
    assert sse.frame(event) == b"id: 12\nevent: task.completed\ndata: " + event.json + b"\n\n"
    assert sse.frame_without_id(event) == b"event: task.completed\ndata: " + event.json + b"\n\n"


def test_control_frames_carry_an_id_only_if_given():
    """A control frame has the id of the seq it is current to, or no id line."""
    control = Control("stream.end", "run-1", TIME.decode(), {"status": "completed"})
    assert sse.control_frame(control) == b"event: stream.end\ndata: " + control.json + b"\n\n"
    assert sse.control_frame(control, 0).startswith(b"id: 0\nevent: stream.end\n")


def test_retry_rides_in_the_block_of_an_event():
    """A retry time is one more line of a frame, so it makes no event of its own."""
    parser = Parser()
    frames = parser.feed(sse.with_retry(sse.frame(an_event(3)), 1500))
    assert [f.id for f in frames] == ["3"]
    assert parser.retry_ms == 1500
    with pytest.raises(ValueError, match="-1"):
        sse.with_retry(b"data: a\n\n", -1)


@pytest.mark.parametrize("bad", ["a\nb", "a\rb", "a\0b", "\n", "x\r\n\r\ndata: forged"])
def test_nothing_can_be_injected(bad: str):
    """CR, LF or NUL in an id or a type, or a line end in the data, is an error and never stripped."""
    with pytest.raises(ValueError, match="must not hold CR, LF or NUL"):
        sse.encode(b"{}", event=bad)
    with pytest.raises(ValueError, match="must not hold CR, LF or NUL"):
        sse.encode(b"{}", id=bad)
    with pytest.raises(ValueError, match="must not hold"):
        sse.frame(Event(1, "r", bad, None, b"{}"))
    with pytest.raises(ValueError, match="one line"):
        sse.encode(b'{\n"pretty": 1}')
    with pytest.raises(ValueError, match="one line"):
        sse.encode(b"{\r}")


@given(st.lists(events, max_size=6), chunk_sizes)
def test_parse_of_frame_is_the_event(sent: list[Event], sizes: list[int]):
    """parse(frame(e)) == e for any JSON data, under any chunking, with heartbeats in between."""
    body = HEARTBEAT + b"".join(sse.frame(event) + HEARTBEAT for event in sent)
    frames = parse(body, sizes)
    assert [Event.from_json(frame.data.encode()) for frame in frames] == sent
    assert [(frame.id, frame.event) for frame in frames] == [(str(event.seq), event.type) for event in sent]


@given(st.lists(events, min_size=1, max_size=6), chunk_sizes)
def test_httpx_sse_reads_the_same(sent: list[Event], sizes: list[int]):
    """httpx-sse reads the same frames from the same bytes, and no phantom event after a heartbeat."""
    httpx = pytest.importorskip("httpx")
    httpx_sse = pytest.importorskip("httpx_sse")
    body = HEARTBEAT + b"".join(sse.frame(event) + HEARTBEAT * 2 for event in sent)

    def chunks():
        start = turn = 0
        while start < len(body):
            yield body[start : start + sizes[turn % len(sizes)]]
            start, turn = start + sizes[turn % len(sizes)], turn + 1

    response = httpx.Response(200, headers={"content-type": "text/event-stream"}, content=chunks())
    theirs = [Frame(e.id, e.event, e.data) for e in httpx_sse.EventSource(response).iter_sse()]
    assert theirs == parse(body)


def test_a_comment_with_a_blank_line_would_be_a_phantom_event():
    """The reason for the heartbeat's form: with a blank line after it httpx-sse reports an event nobody sent."""
    httpx = pytest.importorskip("httpx")
    httpx_sse = pytest.importorskip("httpx_sse")

    def count(heartbeat: bytes) -> int:
        body = sse.frame(an_event()) + heartbeat + sse.frame(an_event(2))
        response = httpx.Response(200, headers={"content-type": "text/event-stream"}, content=body)
        return len(list(httpx_sse.EventSource(response).iter_sse()))

    assert count(HEARTBEAT) == 2
    assert count(b": ping\n\n") == 3
