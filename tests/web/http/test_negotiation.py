"""What ``Accept``, ``Accept-Encoding`` and ``Prefer`` ask for."""

from __future__ import annotations

import pytest

from reactor_web.http.negotiation import accepts, asks_for, choose, encoding, prefer_wait
from reactor_web.http.problems import Problem


@pytest.mark.parametrize(
    ("header", "is_accepted", "is_asked_for"),
    [
        (None, True, False),
        ("*/*", True, False),
        ("text/*", True, False),
        ("text/event-stream", True, True),
        ("TEXT/Event-Stream; q=0.5", True, True),
        ("application/json, text/event-stream", True, True),
        ("text/event-stream;q=0", False, False),
        ("text/event-stream;q=0.000", False, False),
        ("image/png", False, False),
        ("", True, False),
        ("*/*, text/event-stream;q=0", False, False),
        ("text/*;q=0, */*", False, False),
        ("text/*;q=0, text/event-stream;q=0.1", True, True),
        ("text/event-stream; charset=utf-8", True, True),
    ],
)
def test_an_accept_header_takes_a_type_or_asks_for_it(
    header: str | None, is_accepted: bool, is_asked_for: bool
) -> None:
    """Only the full name asks for a stream; ``q=0`` refuses it; the most specific range decides."""
    assert accepts(header, "text/event-stream") == is_accepted
    assert asks_for(header, "text/event-stream") == is_asked_for


@pytest.mark.parametrize(
    ("header", "seconds"),
    [(None, None), ("respond-async", None), ("wait=5", 5.0), ('respond-async, wait="7"', 7.0), ("WAIT = 9", 9.0),
     ("wait=100000", 300.0)],
)  # fmt: skip
def test_prefer_wait_is_a_number_of_seconds(header: str | None, seconds: float | None) -> None:
    """Among other preferences, quoted or not, and at most 300."""
    assert prefer_wait(header) == seconds


@pytest.mark.parametrize("header", ["wait=", "wait=-1", "wait=1.5", "wait=soon", "wait=1000000000"])
def test_a_wait_that_is_no_number_is_400(header: str) -> None:
    """The sentence repeats what was asked."""
    with pytest.raises(Problem, match="is not a whole number of seconds") as caught:
        prefer_wait(header)
    assert caught.value.status == 400


OFFERED = ("text/event-stream", "application/json", "application/x-ndjson")


@pytest.mark.parametrize(
    ("header", "chosen"),
    [
        (None, "text/event-stream"),
        ("*/*", "text/event-stream"),
        ("application/*", "application/json"),
        ("application/json, text/event-stream", "text/event-stream"),
        ("application/json, text/event-stream;q=0.9", "application/json"),
        ("application/x-ndjson;q=0.5, application/json;q=0.4", "application/x-ndjson"),
        ("application/*, application/json;q=0.1", "application/x-ndjson"),
        ("text/html, application/xhtml+xml, */*;q=0.8", "text/event-stream"),
        ("application/json;q=high", "application/json"),
        ("image/png, application/json;q=0", None),
        (",;q=1", None),
    ],
)
def test_the_form_that_a_client_likes_best_is_chosen(header: str | None, chosen: str | None) -> None:
    """By weight, the most specific range first; of equals the one that is offered first."""
    assert choose(header, OFFERED) == chosen


@pytest.mark.parametrize(
    ("header", "coding"),
    [
        (None, None),
        ("*", None),
        ("identity", None),
        ("gzip, deflate, br", "gzip"),
        ("gzip, zstd", "zstd"),
        ("gzip, zstd;q=0.5", "gzip"),
        ("gzip;q=0", None),
        ("GZIP", "gzip"),
    ],
)
def test_bytes_are_compressed_only_as_the_client_names_it(header: str | None, coding: str | None) -> None:
    """``*`` and no header are sent plain bytes; of equals the first one offered is taken."""
    assert encoding(header, ("zstd", "gzip")) == coding
