"""What we write: no block that clients in use break on."""

from __future__ import annotations

import pytest

from reactor_web.sse.frames import HEARTBEAT, encode, with_retry
from reactor_web.sse.parser import Parser


def test_a_block_has_an_id_and_a_name_only_if_given() -> None:
    """Id, event and data lines in this order, ended by LF."""
    assert encode(b"{}") == b"data: {}\n\n"
    assert encode(b"{}", event="a.b", id=0) == b"id: 0\nevent: a.b\ndata: {}\n\n"
    assert encode(b"{}", id="1.2") == b"id: 1.2\ndata: {}\n\n"


def test_retry_rides_in_the_block_of_an_event() -> None:
    """A retry time is one more line of a block, so it makes no event of its own."""
    parser = Parser()
    frames = parser.feed(with_retry(encode(b"{}", id=3), 1500))
    assert [frame.id for frame in frames] == ["3"]
    assert parser.retry_ms == 1500
    with pytest.raises(ValueError, match="-1"):
        with_retry(b"data: a\n\n", -1)


@pytest.mark.parametrize("bad", ["a\nb", "a\rb", "a\0b", "\n", "x\r\n\r\ndata: forged"])
def test_nothing_can_be_injected(bad: str):
    """CR, LF or NUL in an id or a type, or a line end in the data, is an error and never stripped."""
    with pytest.raises(ValueError, match="must not hold CR, LF or NUL"):
        encode(b"{}", event=bad)
    with pytest.raises(ValueError, match="must not hold CR, LF or NUL"):
        encode(b"{}", id=bad)
    with pytest.raises(ValueError, match="one line"):
        encode(b'{\n"pretty": 1}')
    with pytest.raises(ValueError, match="one line"):
        encode(b"{\r}")


def test_a_comment_with_a_blank_line_would_be_a_phantom_event():
    """The reason for the heartbeat's form: with a blank line after it httpx-sse reports an event nobody sent."""
    httpx = pytest.importorskip("httpx")
    httpx_sse = pytest.importorskip("httpx_sse")

    def count(heartbeat: bytes) -> int:
        body = encode(b"{}", id=1) + heartbeat + encode(b"{}", id=2)
        response = httpx.Response(200, headers={"content-type": "text/event-stream"}, content=body)
        return len(list(httpx_sse.EventSource(response).iter_sse()))

    assert count(HEARTBEAT) == 2
    assert count(b": ping\n\n") == 3
