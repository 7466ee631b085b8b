"""What a query and headers ask for. The options of a stream are tested through the route, in ``routes/test_runs``."""

from __future__ import annotations

from typing import Any

import pytest
from multidict import MultiDict

from reactor_web.http.problems import Problem
from reactor_web.http.query import (
    StreamOptions,
    accepts,
    asks_for,
    parse_cursor,
    parse_part,
    prefer_wait,
    stream_options,
)


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
    ],
)
def test_an_accept_header_takes_a_type_or_asks_for_it(
    header: str | None, is_accepted: bool, is_asked_for: bool
) -> None:
    """Only the full name asks for a stream; ``q=0`` refuses it."""
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


def test_a_cursor_inside_an_event_stands_before_it() -> None:
    """``<seq>.<k>`` is a part of an event that was not seen to its end, which is sent again."""
    assert [parse_cursor(text, "after") for text in ("0", "12", "12.3", "0.1")] == [0, 12, 11, 0]
    assert [parse_part(text) for text in ("0", "12", "12.3", "12." + "9" * 30, "0.3")] == [0, 0, 3, 0, 0]


FIXED: list[tuple[dict[str, Any], str, StreamOptions]] = [
    ({}, "types=b&types=a,c", StreamOptions(types=("a", "b", "c"))),
    ({"types": ("task.*",)}, "types=run.*&after=3", StreamOptions(types=("task.*",), after=3)),
    ({"after": 5}, "", StreamOptions(after=5)),
    ({"after": 5}, "after=7", StreamOptions(after=7)),
    ({"throttle": None}, "throttle=100", StreamOptions()),
    ({"heartbeat": 3.0}, "snapshot=1", StreamOptions(heartbeat=3.0, snapshot=True)),
]


@pytest.mark.parametrize(("fixed", "query", "options"), FIXED)
def test_no_query_changes_what_a_handler_has_set(fixed: dict[str, Any], query: str, options: StreamOptions) -> None:
    """Except for the cursor; everything else of the query holds."""
    pairs = [tuple(pair.split("=")) for pair in query.split("&") if pair]
    assert stream_options(MultiDict(pairs), None, fixed) == options


def test_options_that_differ_for_one_client_only_are_shared() -> None:
    """Cursor, snapshot, tail, logs, await_run and on_disconnect concern one client; filters and pace concern all."""
    own = StreamOptions(after=3, part=2, snapshot=True, tail=2, logs=1, await_run=4.0, on_disconnect="cancel")
    assert own.shared == StreamOptions().shared
    for options in (
        StreamOptions(types=("a",)),
        StreamOptions(tasks=("a",)),
        StreamOptions(throttle=50.0),
        StreamOptions(dialect="other"),
        StreamOptions(view=lambda events: events),
    ):
        assert options.shared != StreamOptions().shared
