import doctest
import importlib
import re
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reactivex.testing import ReactiveTest, TestScheduler

from reactor.events.event import Event, Notice
from reactor.events.vocabulary import NOTICES, RESERVED, VOCABULARY
from reactor.operators import (
    InvalidPattern,
    buffer_window,
    guarded,
    heartbeat,
    matcher,
    select,
    throttle_latest,
)

on_next, on_completed, subscribe = ReactiveTest.on_next, ReactiveTest.on_completed, ReactiveTest.subscribe


def event(type: str, task_id: str | None = None) -> Event:
    return Event(1, "r", type, task_id, b"")


def naive(pattern: str, text: str) -> bool:
    """The meaning of a glob, straight from its definition."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return naive(pattern[1:], text) or (bool(text) and naive(pattern, text[1:]))
    return bool(text) and pattern[0] in ("?", text[0]) and naive(pattern[1:], text[1:])


def test_only_what_matches_both_passes_when_it_is_said() -> None:
    """An event passes at once if its type and its task match, and the source is let go when it ends."""
    scheduler = TestScheduler()
    started, other, progress = (
        event("task.started", "a"),
        event("task.started", "b"),
        event("task.progress", "a"),
    )
    hot = scheduler.create_hot_observable(
        on_next(210, started), on_next(220, other), on_next(230, progress), on_completed(500)
    )
    result = scheduler.start(lambda: hot.pipe(select("task.started", tasks="a")))
    assert result.messages == [on_next(210, started), on_completed(500)]
    assert hot.subscriptions == [subscribe(200, 500)]


def test_an_error_passes() -> None:
    """An error of the source passes whatever is selected."""
    scheduler = TestScheduler()
    error = RuntimeError("engine")
    hot = scheduler.create_hot_observable(on_next(210, event("a")), ReactiveTest.on_error(220, error))
    result = scheduler.start(lambda: hot.pipe(select("b")))
    assert result.messages == [ReactiveTest.on_error(220, error)]


def test_control_passes_every_filter() -> None:
    """A control message passes whatever its type is."""
    gap = Notice("stream.gap", "r", "", {})
    assert matcher("task.completed", "a")(gap)
    assert not matcher("task.completed", "a")(event("stream.gap"))


def test_an_event_without_a_task_passes_tasks() -> None:
    """``tasks=`` says nothing about events of the run itself."""
    assert matcher(tasks="a")(event("run.completed"))
    assert not matcher(tasks="a")(event("task.completed", "b"))
    assert not matcher("task.*", tasks="a")(event("run.completed"))


def test_brackets_are_literal() -> None:
    """``measure[3]`` is the task of this id, not a set of characters."""
    matches = matcher(tasks="measure[3]")
    assert matches(event("x", "measure[3]"))
    assert not matches(event("x", "measure3"))


def test_a_name_does_not_match_its_children() -> None:
    """A pattern is matched with the whole task id, so a mapped task's name alone leaves its children out."""
    assert not matcher(tasks="measure")(event("x", "measure[3]"))
    assert matcher(tasks="measure*")(event("x", "measure[3]"))


@pytest.mark.parametrize("types", ["run.*,task.started", "run.* , task.started", ["run.*", "task.started"]])
def test_several_patterns_match_if_any_does(types: str | list[str]) -> None:
    """Several patterns, in one string or in several, match what any of them matches."""
    matches = matcher(types)
    assert [matches(event(t)) for t in ("run.x", "task.started", "task.ended")] == [True, True, False]


def test_nothing_said_selects_everything() -> None:
    """Without patterns every event passes."""
    assert matcher()(event("x", "a"))


@given(
    st.lists(st.text("ab*?[].", min_size=1, max_size=8), min_size=1, max_size=3),
    st.text("ab[].\n", max_size=10),
)
def test_a_glob_means_what_its_definition_says(patterns: list[str], text: str) -> None:
    """A selection equals the naive matcher, for types and for task ids, asked once or again."""
    expected = any(naive(pattern, text) for pattern in patterns)
    by_type, by_task = matcher(patterns), matcher(tasks=",".join(patterns))
    assert by_type(event(text)) is expected
    assert by_type(event(text)) is expected
    assert by_task(event("x", text)) is expected


def test_no_pattern_from_a_url_takes_long() -> None:
    """The worst pattern of all stars is decided in far less than the 10^60 steps of a naive regular expression."""
    matches = matcher(tasks="*a" * 127 + "*b")
    began = time.process_time()
    assert not matches(event("x", "a" * 1_000))
    assert time.process_time() - began < 1.0


def test_what_is_remembered_is_bounded() -> None:
    """A body that invents types without end does not grow the matcher's memory, and every decision stays right."""
    # nothing public tells how much a matcher remembers
    module = importlib.import_module("reactor.operators.select")
    decisions = module._Decisions(module._compile("*7", "types"))
    for n in range(3 * module.DECISIONS):
        assert decisions[f"type{n}"] is str(n).endswith("7")
        assert len(decisions) <= module.DECISIONS


@pytest.mark.parametrize(
    ("patterns", "sentence"),
    [
        ("", "types= holds an empty pattern; leave it out to select everything"),
        ("a,,b", "types= holds an empty pattern; leave it out to select everything"),
        ([], "types= holds an empty pattern; leave it out to select everything"),
        ("x" * 257, "types= holds a pattern of 257 characters, above 256"),
        (["x"] * 65, "types= holds 65 patterns; at most 64 are allowed"),
        ("task.complted", "types= names 'task.complted', did you mean 'task.completed'?"),
        ("run.*, task_completed", "types= names 'task_completed', did you mean 'task.completed'?"),
        ("stream.gaps", "types= names 'stream.gaps', did you mean 'stream.gap'?"),
        (
            "llm.*.no?e",
            "types= names 'llm.*.no?e', but no event of the engine has such a type; "
            "there are llm.call.started, llm.call.completed",
        ),
        (5, 'types= must be text, like "task.*", or a list of texts, not 5'),
    ],
)
def test_an_invalid_pattern_is_named(patterns: Any, sentence: str) -> None:
    """What cannot be a pattern is refused when the operator is built, with one sentence that says why."""
    with pytest.raises(InvalidPattern) as caught:
        select(patterns)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    "types", ["page.fetched", "tasks.*", "*.completed", "task.?ompleted", "*", "mine.x", "completed", "log.*", "t*"]
)
def test_types_of_users_are_allowed(types: str) -> None:
    """Anything outside of the engine's prefixes that is not nearly one of its types, and every glob that can match."""
    select(types)


def test_every_type_of_the_engine_is_allowed() -> None:
    """Also the messages of streams, and types that a later version writes."""
    for type in (*VOCABULARY, *NOTICES, *RESERVED):
        select(type)


def test_the_largest_patterns_are_allowed() -> None:
    """64 patterns of 256 characters are within the bounds."""
    assert matcher(["x" * 256] * 64)(event("x" * 256))


def test_the_example_is_true() -> None:
    """The example in the docstring runs and says what it shows."""
    result = doctest.testmod(importlib.import_module("reactor.operators.select"))
    assert (result.failed, result.attempted > 0) == (0, True)


def test_an_option_that_an_operator_does_not_have_is_named_with_the_nearest() -> None:
    """``select(type=...)``: every operator with options says which was meant."""
    operators: Any = (
        (select, {"type": "task.*"}, "select has no option 'type', did you mean 'types'?"),
        (throttle_latest, {"interval": 1}, "throttle_latest has no option 'interval'"),
        (heartbeat, {"second": 1}, "heartbeat has no option 'second'"),
        (buffer_window, {"sise": 1}, "buffer_window has no option 'sise', did you mean 'size'?"),
        (guarded, {"run": 1}, "guarded has no option 'run'"),
    )
    for operator, options, sentence in operators:
        with pytest.raises(TypeError, match=re.escape(sentence)):
            operator(**options)
