import doctest
import importlib
from typing import Any

import orjson
from reactivex import Observable
from reactivex.disposable import Disposable
from reactivex.subject import Subject
from reactivex.testing import ReactiveTest, TestScheduler

from reactor.events.event import Draft, Event, Message, Notice, task_head
from reactor.events.fold import replay
from reactor.events.state import RunState
from reactor.operators import to_state

TIME = b"2026-11-21T02:51:00.000000Z"


def event(seq: int, type: str, data: dict[str, Any], task_id: str | None = None, run_id: str = "r") -> Event:
    head = task_head(task_id, task_id, None, 1) if task_id else b""
    return Event.from_draft(seq, run_id, TIME, Draft(type, orjson.dumps(data), task_id, head))


def run(run_id: str = "r") -> list[Event]:
    tasks = [{"id": "a", "depends_on": []}]
    started = {"workflow": "w", "version": "1", "tasks": tasks, "total_tasks": 1}
    return [
        event(1, "run.started", started, run_id=run_id),
        event(2, "task.started", {}, "a", run_id),
        event(3, "task.progress", {"fraction": 0.5}, "a", run_id),
        event(4, "task.completed", {"output": 1, "duration_ms": 1.0}, "a", run_id),
        event(5, "run.completed", {"outputs": {}, "duration_ms": 2.0}, run_id=run_id),
    ]


def test_the_state_after_each_event_is_the_fold_of_those_before() -> None:
    """After the n-th event the state is the replay of the first n, emitted at the time of the event."""
    scheduler = TestScheduler()
    events, seen = run(), list[tuple[float, dict[str, Any]]]()
    hot = scheduler.create_hot_observable(
        *(ReactiveTest.on_next(210 + 10 * n, event) for n, event in enumerate(events)),
        ReactiveTest.on_completed(500),
    )
    piped = hot.pipe(to_state())
    scheduler.schedule_absolute(
        200.0, lambda *_: piped.subscribe(lambda s: seen.append((scheduler.clock, s.to_dict())))
    )
    scheduler.start()
    assert seen == [(210 + 10 * n, replay("r", events[: n + 1]).to_dict()) for n in range(len(events))]
    assert hot.subscriptions == [ReactiveTest.subscribe(200, 500)]


def test_it_is_the_same_object_each_time() -> None:
    """The state is folded in place: one object for the whole run."""
    source, seen = Subject[Message](), list[RunState]()
    source.pipe(to_state()).subscribe(seen.append)
    for each in run():
        source.on_next(each)
    assert len(seen) == 5
    assert len({id(state) for state in seen}) == 1


def test_each_subscription_folds_its_own() -> None:
    """Two subscriptions of one pipeline never fold into the same state."""
    source, first, second = Subject[Message](), list[RunState](), list[RunState]()
    states = source.pipe(to_state())
    states.subscribe(first.append)
    states.subscribe(second.append)
    source.on_next(run()[0])
    assert first[0] is not second[0]
    assert first[0].to_dict() == second[0].to_dict() == replay("r", run()[:1]).to_dict()


def test_control_changes_nothing() -> None:
    """A control message is no event: no state is emitted for it."""
    source, seen = Subject[Message](), list[RunState]()
    source.pipe(to_state()).subscribe(seen.append)
    source.on_next(Notice("stream.gap", "r", "", {}))
    assert seen == []


def test_it_picks_the_run_it_is_given() -> None:
    """With ``run_id`` the events of other runs are left out; without it the run is that of the first event."""
    source, picked, first = Subject[Message](), list[tuple[str, int]](), list[tuple[str, int]]()
    source.pipe(to_state("b")).subscribe(lambda state: picked.append((state.run_id, state.seq)))
    source.pipe(to_state()).subscribe(lambda state: first.append((state.run_id, state.seq)))
    source.on_next(run("a")[0])
    source.on_next(run("b")[0])
    assert picked == [("b", 1)]
    assert first == [("a", 1), ("a", 1)]


def test_what_evolve_raises_is_an_error_of_the_stream() -> None:
    """An event that cannot be folded is an ``on_error`` and lets the source go; the emitter does not notice."""
    source, errors = Subject[Message](), list[Exception]()
    source.pipe(to_state()).subscribe(on_error=errors.append)
    source.on_next(event(1, "task.progress", {}, "a"))
    assert [type(error) for error in errors] == [KeyError]
    assert source.observers == []


def test_an_error_passes() -> None:
    """An error of the source passes at once."""
    source, errors, error = Subject[Message](), list[Exception](), RuntimeError("engine")
    source.pipe(to_state()).subscribe(on_error=errors.append)
    source.on_error(error)
    assert errors == [error]


def test_the_scheduler_is_passed_on() -> None:
    """The source sees the scheduler of whoever subscribes."""
    scheduler, seen = TestScheduler(), list[Any]()

    def remember(_: Any, scheduler: Any = None) -> Disposable:
        seen.append(scheduler)
        return Disposable()

    Observable[Message](remember).pipe(to_state()).subscribe(scheduler=scheduler)
    assert seen == [scheduler]


def test_the_example_is_true() -> None:
    """The example in the docstring runs and says what it shows."""
    result = doctest.testmod(importlib.import_module("reactor.operators.to_state"))
    assert (result.failed, result.attempted > 0) == (0, True)
