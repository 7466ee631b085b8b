"""What a query and headers ask for. The options of a stream are tested through the route, in ``routes/test_runs``."""

from __future__ import annotations

from typing import Any

import pytest
from multidict import MultiDict

from reactor_web.http.query import (
    StreamOptions,
    parse_cursor,
    parse_part,
    stream_options,
)


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
