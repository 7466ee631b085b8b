"""Recorded runs fold to the same state for ever (``tests/golden``; recorded by ``tests/golden/record.py``)."""

from __future__ import annotations

import pytest

from reactor.events.event import Event
from reactor.events.fold import evolve, replay
from reactor.events.state import RunState
from reactor.events.vocabulary import TERMINAL
from tests.events.golden.record import FOLDER, RUNS, read

NAMES = sorted(path.stem for path in FOLDER.glob("*.jsonl"))


def test_every_kind_of_run_is_there() -> None:
    """None of the recorded runs was lost."""
    assert RUNS.keys() == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_run_folds_to_the_state_it_had(name: str) -> None:
    """replay() of the stored events is the stored state, exactly."""
    events, state = read(name)
    assert replay(events[0].run_id, events).to_dict() == state


@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_run_folds_alike_from_any_base(name: str) -> None:
    """Cut anywhere, stored as JSON and restored, the fold goes on to the same state."""
    events, state = read(name)
    for cut in range(len(events)):
        base = RunState.from_dict(replay(events[0].run_id, events[:cut]).to_dict())
        for event in events[cut:]:
            evolve(base, event)
        assert base.to_dict() == state


@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_run_keeps_the_laws_of_every_run(name: str) -> None:
    """seq is 1, 2, 3 ..., one terminal event ends it, and what a log finds in its JSON is what is in it."""
    events, _ = read(name)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert [event.type in TERMINAL for event in events] == [False] * (len(events) - 1) + [True]
    for event in events:
        found = Event.from_log(event.seq, event.run_id, event.json)
        assert (found.type, found.task_id) == (event.type, event.task_id)
