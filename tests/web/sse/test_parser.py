"""What we read from anybody: the parser against the standard's own vectors, and against any bytes."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactor_web.sse.frames import HEARTBEAT
from reactor_web.sse.parser import Frame, FrameTooLarge, Parser
from tests.helpers.sse import CHUNK_SIZES, parse

LONG = b"x" * 2000


def message(data: str, id: str = "") -> Frame:
    return Frame(id, "message", data)


_CASES = json.loads((Path(__file__).parent / "vectors.json").read_bytes())
"""The bodies of the web platform tests ``eventsource/format-*``, rebuilt from the standard's rules. The JavaScript
reader is held to the same (``tests/web/javascript/test_reader.py``)."""

VECTORS: dict[str, tuple[bytes, list[Frame]]] = {
    case["name"]: (case["body"].encode("latin-1"), [Frame(**frame) for frame in case["frames"]])
    for case in _CASES["frames"]
}
RETRIES = {case["body"].encode("latin-1"): case["retry"] for case in _CASES["retry"]}


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
