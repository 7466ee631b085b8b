"""The vocabulary says what the engine writes, and ``docs/events.md`` says what the vocabulary says."""

from __future__ import annotations

from typing import Any, get_args

import orjson
import pytest

from reactor.bounds import RESERVED_EVENT_PREFIXES
from reactor.events.event import Draft, Event, task_head
from reactor.events.state import ENDED, RUN_ENDED, RUN_STATUS, TASK_STATUS
from reactor.events.vocabulary import (
    NOTICES,
    PROGRESS_LIKE,
    RESERVED,
    TASK_ENDS,
    TERMINAL,
    VOCABULARY,
    EventType,
    NoticeType,
    ReservedType,
    RunStatus,
    TaskStatus,
)
from reactor.testing import check_event
from tests.events import describe
from tests.events.golden.record import FOLDER, read

NAMES = sorted(path.stem for path in FOLDER.glob("*.jsonl"))


@pytest.mark.parametrize("name", NAMES)
def test_golden_logs_are_what_the_vocabulary_says(name: str) -> None:
    """Every event of every version has the keys of its type and no other, with values of the right types."""
    for event in read(name)[0]:
        check_event(event)


def test_every_type_has_one_class_and_is_in_a_golden_log() -> None:
    """The names that type checkers know are those of the table, and of each there is an event that was recorded."""
    assert set(get_args(EventType)) == VOCABULARY.keys()
    assert set(get_args(NoticeType)) == NOTICES.keys()
    assert set(get_args(ReservedType)) == RESERVED.keys()
    assert not VOCABULARY.keys() & RESERVED.keys()
    recorded = {event.type for event in describe.golden_events()}
    assert VOCABULARY.keys() <= recorded
    assert not RESERVED.keys() & recorded
    assert all(type.startswith(RESERVED_EVENT_PREFIXES) for type in VOCABULARY)


def test_statuses_are_those_of_the_vocabulary() -> None:
    """What ends a run or a task follows from the status that a class names."""
    assert set(RUN_STATUS.values()) == set(get_args(RunStatus)) - {"pending"}
    assert set(TASK_STATUS.values()) == set(get_args(TaskStatus)) - {"pending"}
    assert {"run.completed", "run.failed", "run.cancelled"} == TERMINAL
    assert {"task.completed", "task.failed", "task.skipped", "task.cancelled"} == TASK_ENDS
    assert {RUN_STATUS[type] for type in TERMINAL} == RUN_ENDED
    assert {TASK_STATUS[type] for type in TASK_ENDS} == ENDED
    assert not PROGRESS_LIKE & TASK_STATUS.keys()


def test_the_page_of_events_is_made_from_the_vocabulary() -> None:
    """docs/events.md is what ``python -m tests.events.describe`` writes now."""
    is_current = describe.PAGE.read_text() == describe.page()
    assert is_current, "docs/events.md is not current: run python -m tests.events.describe"


def test_the_page_has_every_type_and_every_key() -> None:
    """A heading for each type, a row for each key, an example of each type that is written."""
    page = describe.page()
    for table in (VOCABULARY, NOTICES, RESERVED):
        for type, kind in table.items():
            section = page.partition(f"### `{type}`\n")[2].partition("\n##")[0]
            assert all(f"| `{key}` |" in section for key in kind.data.__annotations__), type
            assert ("```json" in section) == (table is VOCABULARY), type


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith("_2")])
def test_what_0_2_adds_is_in_its_golden_logs(name: str) -> None:
    """Ends carry progress; tasks their place; retries a reason; values their sender; maps are counted."""
    events, _ = read(name)
    tasks = events[0].data["tasks"]
    assert [task["place"] for task in tasks] == list(range(len(tasks)))
    assert events[0].data.get("maps", 0) == sum(task["kind"] == "map" for task in tasks)
    ends = [event.data["progress"] for event in events if event.type in TASK_ENDS or event.data.get("count") == 0]
    assert ends == sorted(ends)
    assert ends[-1:] == ([1.0] if tasks else [])
    assert all(event.data["reason"] == "error" for event in events if event.type == "task.retrying")
    assert all(event.data["by"] == "golden" for event in events if event.type == "task.received")


def completed(**changed: Any) -> Event:
    data = {"output": 1, "duration_ms": 0.5, "cached": False, "progress": 0.5} | changed
    kept = {key: value for key, value in data.items() if value is not ...}
    draft = Draft("task.completed", orjson.dumps(kept), "t", task_head("t", "t", None, 1))
    return Event.from_draft(2, "r", b"2026-11-21T02:51:00.000001Z", draft)


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"cached": ...}, "cached: Field required"),
        ({"cached": 1}, "cached: Input should be a valid boolean"),
        ({"progress": "0.5"}, "progress: Input should be a valid number"),
        ({"recoverable": True}, "recoverable: Input should be False"),
        ({"colour": "red"}, "colour: Extra inputs are not permitted"),
    ],
)
def test_an_event_that_is_not_what_the_vocabulary_says_is_found(changed: dict[str, Any], problem: str) -> None:
    """A missing key, an unknown one and a value of another type, each named."""
    check_event(completed())
    with pytest.raises(AssertionError, match=problem):
        check_event(completed(**changed))


@pytest.mark.parametrize(
    ("draft", "problem"),
    [
        (Draft("task.stepped", b"{}", "t", task_head("t", "t", None, 1)), "the vocabulary does not have its type"),
        (Draft("run.forgotten", b"{}"), "the vocabulary does not have its type"),
        (Draft("task.progress", b'{"fraction":1.0,"message":null,"level":"info"}'), "about no task"),
        (Draft("run.paused", b'{"reason":"r","by":null}', "t", task_head("t", "t", None, 1)), "about one task"),
        (Draft("x.y", b"{}", "t", b',"task_id":"t"'), r"its envelope lacks \['task'\]"),
        (Draft("x.y", b'{},"extra":1'), r"its envelope has \['extra'\] too much"),
        (Draft("run.failed", b'{"error":{"type":"E","message":"m","code":1}}'), "error.code: Extra inputs"),
    ],
)
def test_an_envelope_or_a_type_that_cannot_be_is_found(draft: Draft, problem: str) -> None:
    """Types nobody has defined, and events about the wrong thing."""
    with pytest.raises(AssertionError, match=problem):
        check_event(Event.from_draft(2, "r", b"2026-11-21T02:51:00.000001Z", draft))
