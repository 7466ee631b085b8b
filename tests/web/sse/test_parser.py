"""What we read from anybody: the parser against the standard's own vectors, and against any bytes."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactor_web.sse.frames import HEARTBEAT
from reactor_web.sse.parser import Frame, FrameTooLarge, Parser
from tests.helpers.sse import CHUNK_SIZES, parse

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


@pytest.mark.parametrize("name", VECTORS)
def test_vectors_whole_and_byte_by_byte(name: str):
    """A body gives the frames the standard says, whether it comes whole or one byte at a time."""
    body, expected = VECTORS[name]
    assert parse(body) == expected
    assert parse(body, [1]) == expected


@given(st.sampled_from(sorted(VECTORS)), CHUNK_SIZES)
def test_vectors_under_any_chunking(name: str, sizes: list[int]):
    """How the network cuts a body never changes its frames."""
    body, expected = VECTORS[name]
    assert parse(body, sizes) == expected


@given(st.binary(max_size=200) | st.text("\r\n: dataid\0\ufeffé", max_size=80).map(str.encode), CHUNK_SIZES)
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
