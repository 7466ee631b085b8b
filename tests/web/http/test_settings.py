"""What a handler may set of a stream."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from reactor.operators import InvalidPattern
from reactor_web.http.query import StreamOptions, stream_options
from reactor_web.http.settings import StreamSettings, check_settings


def test_the_settings_are_the_options_of_a_stream() -> None:
    """So a typo is an error of types. The view is an argument of its own, and only routes know the runs below."""
    of_routes = {"view", "children", "own"}
    assert set(StreamSettings.__annotations__) == {field.name for field in fields(StreamOptions)} - of_routes


def test_patterns_may_be_text_or_a_list() -> None:
    """Clients with equal options share a pipeline, so they become tuples, which can be compared."""
    assert check_settings({"types": "task.*", "tasks": ["a", "b"]}) == {"types": ("task.*",), "tasks": ("a", "b")}


@pytest.mark.parametrize(
    ("settings", "error", "sentence"),
    [
        ({"type": "task.*"}, TypeError, "stream has no option 'type', did you mean 'types'?"),
        (
            {"types": "task.complted"},
            ValueError,
            "stream: types= names 'task.complted', did you mean 'task.completed'?",
        ),
        ({"throttle": "200"}, ValueError, "stream: throttle= must be a number from 0"),
        ({"heartbeat": None}, ValueError, "stream: heartbeat= must be a number from 0"),
        ({"tail": True}, ValueError, "stream: tail= must be a whole number from 0, not True"),
        ({"snapshot": 1}, ValueError, "stream: snapshot= must be True or False, not 1"),
        ({"dialect": 5}, ValueError, "there is no dialect '5'"),
        ({"dialect": "ag-ui", "tail": 0}, ValueError, "stream: tail= has no meaning in the dialect ag-ui"),
        ({"dialect": "agents", "names": False}, ValueError, "stream: names= has no meaning in the dialect agents"),
        ({"dialect": "domain", "logs": 5}, ValueError, "stream: logs= has no meaning in the dialect domain"),
    ],
)
def test_a_wrong_setting_is_the_handlers_error(settings: dict[str, Any], error: type[Exception], sentence: str) -> None:
    """Not an InvalidPattern, which would be answered 400 as if the client had sent it."""
    with pytest.raises(error) as caught:
        check_settings(settings)
    assert sentence in str(caught.value)
    assert not isinstance(caught.value, InvalidPattern)


@pytest.mark.parametrize("settings", [{"heartbeat": 0}, {"throttle": None}, {"tail": None}, {"throttle": 1.5}])
def test_a_handler_may_set_what_no_query_can(settings: dict[str, Any]) -> None:
    """No heartbeat, and a period below that of queries."""
    assert check_settings(settings) == settings


@pytest.mark.parametrize("settings", [{"snapshot": False}, {"tail": None}, {"logs": 0}, {"names": True}])
def test_a_setting_that_changes_nothing_has_no_meaning_to_refuse(settings: dict[str, Any]) -> None:
    """A handler may give the same settings to every dialect."""
    assert check_settings({"dialect": "agents", **settings}) == {"dialect": "agents", **settings}


def test_a_view_names_its_items_as_it_likes() -> None:
    """Without one, a type that the engine does not have is refused."""
    with pytest.raises(InvalidPattern, match=r"'task\.summary', but no event of the engine has such a type"):
        stream_options({"types": "task.summary"}, None)
    assert stream_options({"types": "task.summary"}, None, {"view": lambda events: events}).types == ("task.summary",)
    assert check_settings({"types": "task.summary"}, has_view=True) == {"types": ("task.summary",)}
