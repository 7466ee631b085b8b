"""Events -> spans: whatever a log says, its spans are one tree, and each of them is made once."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactor.events.event import Event
from reactor.logs.memory import MemoryLog
from reactor.tracing.history import read_history
from reactor.tracing.keys import RUN, SpanIds
from reactor.tracing.spans import SpanFold, SpanValue, spans_of
from tests.events.golden.record import FOLDER, read
from tests.helpers.any_log import AnyLog
from tests.helpers.dags import Spec
from tests.helpers.recorded_runs import STOPS, record, small_dags

NAMES = sorted(path.stem for path in FOLDER.glob("*.jsonl"))
IDS = SpanIds(b"key", "", "r", None)
ENDS = ("task.completed", "task.failed", "task.cancelled", "task.retrying")


def check(events: Sequence[Event]) -> list[SpanValue]:
    """What holds of the spans of every log; returns them."""
    spans = list(spans_of(events))
    keys = [span.key for span in spans]
    assert len(set(keys)) == len(keys), "a span was made twice"
    assert len({IDS.span_id(key) for key in keys}) == len(keys), "two spans have the same id"
    has_ended = events[-1].type in ("run.completed", "run.failed", "run.cancelled")
    for at, span in enumerate(spans):
        assert 0 < span.start <= span.end
        parent = span.key.parent
        if parent is None:
            assert span.key == RUN
        elif has_ended:
            assert parent in keys[at + 1 :], "the span around it is missing, or was made before it"
    assert keys.count(RUN) == has_ended
    return spans


@pytest.mark.parametrize("name", NAMES)
def test_the_spans_of_a_recorded_run_are_one_tree(name: str) -> None:
    """Also in logs of earlier versions: one span for each body that began, inside of the run's."""
    events, _ = read(name)
    spans = check(events)
    attempts = {(event.task_id, event.attempt) for event in events if event.type == "task.started"}
    if events[-1].type in ("run.completed", "run.failed", "run.cancelled"):
        made = {(span.key.task_id, span.key.attempt) for span in spans if span.key.task_id and not span.key.call}
        assert made == attempts


@given(small_dags(), STOPS)
def test_the_spans_of_any_run_are_one_tree(spec: Spec, stop: int | None) -> None:
    """Whatever failed, was tried again, was mapped or cancelled; and each event that ends an attempt says how."""
    events = record(spec, stop)
    spans = check(events)
    said: dict[tuple[str | None, int | None], str] = {}
    for event in events:
        if event.type in ENDS:  # the first: a task may be cancelled while it waits to be tried again
            said.setdefault((event.task_id, event.attempt), event.type)
    for span in spans:
        if span.key.task_id and not span.key.call:
            type = said[span.key.task_id, span.key.attempt]
            assert span.attributes["reactor.status"] == type.removeprefix("task.")
            assert (span.error is not None) == (type in ("task.failed", "task.retrying"))


@given(st.integers(0, 2**32), st.integers(0, 200))
def test_the_spans_of_any_log_are_one_tree(seed: int, length: int) -> None:
    """Every type in any order, times that go back, names that need care."""
    check(AnyLog(seed, length).log)


@given(st.sampled_from(NAMES), st.integers(0, 10_000))
async def test_who_goes_on_makes_the_spans_that_are_missing(name: str, cut: int) -> None:
    """Wherever a process ends: what it made, and what the next one makes, is all there is, and nothing twice."""
    events, _ = read(name)
    cut %= len(events) + 1
    before = list(spans_of(events[:cut]))
    log = MemoryLog()
    if cut:
        log.append(events[0].run_id, events[:cut])
        history = await read_history(log, events[0].run_id, cut, None)
        assert history.unsent == ()
        fold = history.fold
    else:
        fold = SpanFold(events[0].run_id)
    after = [span for event in events[cut:] for span in fold.add(event)]
    assert before + after == list(spans_of(events))


async def test_what_a_lost_run_did_not_tell_is_told_by_who_takes_it_up() -> None:
    """The log had failed, and answered after all: spans that end in those events were not made."""
    events, _ = read("completed_with_map_2")
    log = MemoryLog()
    log.append(events[0].run_id, events)
    for sent in range(len(events)):
        history = await read_history(log, events[0].run_id, len(events), sent)
        assert [*spans_of(events[:sent]), *history.unsent] == list(spans_of(events))


def test_ids_follow_from_what_a_span_is_of() -> None:
    """The same in every process, and different for another log, tenant, run, task, attempt or call."""
    again = SpanIds(b"key", "", "r", None)
    keys = [RUN, RUN._replace(task_id="a", attempt=1), RUN._replace(task_id="a", attempt=2)]
    keys += [keys[1]._replace(call=call) for call in ("llm.call 1", "llm.call 2", "tool.call 1")]
    keys.append(keys[2]._replace(call="llm.call 1"))
    others = [again, SpanIds(b"other", "", "r", None), SpanIds(b"key", "t", "r", None), SpanIds(b"key", "", "s", None)]
    assert again.trace_id == IDS.trace_id
    assert [again.span_id(key) for key in keys] == [IDS.span_id(key) for key in keys]
    assert len({ids.trace_id for ids in others}) == len(others)
    assert len({ids.span_id(key) for ids in others for key in keys}) == len(others) * len(keys)
