import doctest
import importlib
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reactivex import Observable
from reactivex import operators as ops
from reactivex.disposable import Disposable
from reactivex.subject import Subject
from reactivex.testing import ReactiveTest, TestScheduler

from reactor.operators import heartbeat
from tests.helpers.timers import ENDS, armed, end_it

on_next, on_completed, subscribe = ReactiveTest.on_next, ReactiveTest.on_completed, ReactiveTest.subscribe


class Timers(TestScheduler):
    """Counts what was ever scheduled relatively."""

    count = 0

    def schedule_relative(self, *args: Any, **kwargs: Any) -> Any:
        self.count += 1
        return super().schedule_relative(*args, **kwargs)


def test_it_beats_after_each_period_of_silence_and_ends_with_its_source() -> None:
    """A beat comes a period after the last item or beat, never between closer items; completion passes at once."""
    scheduler = TestScheduler()
    hot = scheduler.create_hot_observable(
        on_next(210, 1), on_next(255, 2), on_next(300, 3), on_next(420, 4), on_completed(500)
    )
    result = scheduler.start(lambda: hot.pipe(heartbeat(50.0, "♥", scheduler=scheduler)))
    assert result.messages == [
        on_next(210, 1),
        on_next(255, 2),
        on_next(300, 3),
        on_next(350, "♥"),
        on_next(400, "♥"),
        on_next(420, 4),
        on_next(470, "♥"),
        on_completed(500),
    ]
    assert hot.subscriptions == [subscribe(200, 500)]


def test_it_beats_before_the_first_item() -> None:
    """Silence begins with the subscription, and goes on until the subscriber disposes."""
    scheduler = TestScheduler()
    hot = scheduler.create_hot_observable([])
    result = scheduler.start(lambda: hot.pipe(heartbeat(300.0, "♥", scheduler=scheduler)), disposed=900)
    assert result.messages == [on_next(500, "♥"), on_next(800, "♥")]
    assert hot.subscriptions == [subscribe(200, 900)]
    assert armed(scheduler) == 0


def test_an_error_passes_at_once() -> None:
    """An error ends the beats with the source."""
    scheduler = TestScheduler()
    error = RuntimeError("engine")
    hot = scheduler.create_hot_observable(on_next(210, 1), ReactiveTest.on_error(220, error))
    result = scheduler.start(lambda: hot.pipe(heartbeat(50.0, "♥", scheduler=scheduler)))
    assert result.messages == [on_next(210, 1), ReactiveTest.on_error(220, error)]
    assert hot.subscriptions == [subscribe(200, 220)]


@ENDS
def test_no_timer_outlives_the_subscription(end: str) -> None:
    """However it ends, the timer is gone at that moment."""
    scheduler, source = TestScheduler(), Subject[int]()
    subscription = source.pipe(heartbeat(50.0, 0, scheduler=scheduler)).subscribe(on_error=lambda _: None)
    assert armed(scheduler) == 1
    end_it(end, source, subscription)
    assert armed(scheduler) == 0
    assert source.observers == []


def test_a_source_that_ends_while_being_subscribed_leaves_no_timer() -> None:
    """A source that completes inside its subscribe ends the heartbeat."""
    scheduler, ended = TestScheduler(), list[str]()

    def at_once(observer: Any, _: Any = None) -> Disposable:
        observer.on_completed()
        return Disposable()

    Observable[int](at_once).pipe(heartbeat(50.0, 0, scheduler=scheduler)).subscribe(
        on_completed=lambda: ended.append("completed")
    )
    assert ended == ["completed"]
    assert armed(scheduler) == 0


def test_a_subscriber_may_leave_on_a_beat() -> None:
    """Who disposes while it gets a beat leaves no timer behind."""
    scheduler, source = TestScheduler(), Subject[int]()
    beats: list[str] = []
    source.pipe(heartbeat(50.0, "♥", scheduler=scheduler), ops.take(1)).subscribe(beats.append)
    scheduler.advance_by(500.0)
    assert beats == ["♥"]
    assert armed(scheduler) == 0


def test_a_subscriber_that_raises_on_a_beat_does_not_stop_the_heart() -> None:
    """What a beat sets off downstream cannot end the beats: the timer is set before the beat is said."""
    scheduler, source = TestScheduler(), Subject[int]()

    def on_item(_: object) -> None:
        raise ZeroDivisionError

    source.pipe(heartbeat(50.0, "♥", scheduler=scheduler)).subscribe(on_item)
    with pytest.raises(ZeroDivisionError):
        scheduler.advance_by(50.0)
    assert armed(scheduler) == 1


def test_the_scheduler_of_the_subscription_is_passed_on() -> None:
    """The source sees the scheduler of whoever subscribes, not that of the heartbeat."""
    mine, theirs, seen = TestScheduler(), TestScheduler(), list[Any]()

    def remember(_: Any, scheduler: Any = None) -> Disposable:
        seen.append(scheduler)
        return Disposable()

    Observable[int](remember).pipe(heartbeat(50.0, 0, scheduler=mine)).subscribe(scheduler=theirs)
    assert seen == [theirs]


def test_an_item_sets_no_timer() -> None:
    """A thousand items in a period cost one timer, not a thousand."""
    scheduler, source = Timers(), Subject[int]()
    source.pipe(heartbeat(50.0, -1, scheduler=scheduler)).subscribe()
    for n in range(1_000):
        source.on_next(n)
    assert scheduler.count == 1
    scheduler.advance_by(49.0)
    source.on_next(0)
    scheduler.advance_by(49.0)
    assert scheduler.count == 2
    assert armed(scheduler) == 1


@given(st.lists(st.floats(0.01, 30.0), max_size=12), st.floats(0.5, 10.0))
def test_it_beats_in_silence_only_and_always(gaps: list[float], period: float) -> None:
    """The next output comes within a period, and every beat exactly a period after the output before it."""
    scheduler, source = TestScheduler(), Subject[str]()
    said: list[tuple[float, str]] = [(0.0, "subscribed")]
    piped = source.pipe(heartbeat(period, "♥", scheduler=scheduler))
    piped.subscribe(lambda what: said.append((scheduler.now.timestamp(), what)))
    for gap in gaps:
        scheduler.advance_by(gap)
        source.on_next("item")
    scheduler.advance_by(3.5 * period)
    assert [what for _, what in said].count("item") == len(gaps)
    assert [what for _, what in said[-3:]] == ["♥"] * 3
    for (before, _), (after, what) in pairwise(said):
        assert after - before <= period + 1e-5
        assert what == "item" or after - before >= period - 1e-5


def test_it_measures_silence_with_the_clock_it_is_given() -> None:
    """With ``clock`` the scheduler's own idea of the time is not asked; one that was set back counts as silence."""
    scheduler, source = TestScheduler(), Subject[str]()
    time, said = [1_000.0], list[str]()
    piped = source.pipe(heartbeat(50.0, "♥", scheduler=scheduler, clock=lambda: time[0]))
    piped.subscribe(said.append)
    time[0] = 1_049.0
    scheduler.advance_by(50.0)
    assert said == []
    time[0] = 1_050.0
    scheduler.advance_by(1.0)
    assert said == ["♥"]
    time[0] = 0.0
    scheduler.advance_by(50.0)
    assert said == ["♥", "♥"]


def test_it_insists_on_a_scheduler_and_a_period() -> None:
    """Without a scheduler it would be a thread a timer, so there is no default; a period is above 0."""
    with pytest.raises(TypeError, match="scheduler"):
        heartbeat(15.0, "♥")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="heartbeat needs a scheduler"):
        heartbeat(15.0, "♥", scheduler=None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="above 0"):
        heartbeat(0.0, "♥", scheduler=TestScheduler())


def test_the_example_is_true() -> None:
    """The example in the docstring runs and says what it shows."""
    result = doctest.testmod(importlib.import_module("reactor.operators.heartbeat"))
    assert (result.failed, result.attempted > 0) == (0, True)
