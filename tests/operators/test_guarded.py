import doctest
import importlib
from collections.abc import Callable
from typing import Any

import pytest
import reactivex
from reactivex import Observable
from reactivex import operators as ops
from reactivex.disposable import Disposable
from reactivex.subject import Subject
from reactivex.testing import ReactiveTest, TestScheduler

from reactor.errors import SlowSubscriber
from reactor.operators import guarded

on_next, on_completed, subscribe = ReactiveTest.on_next, ReactiveTest.on_completed, ReactiveTest.subscribe


class Time:
    """A clock that goes only when somebody takes time."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def take(self, seconds: float) -> None:
        self.now += seconds


def never(error: Exception) -> None:
    raise AssertionError(f"reported {error!r}")


def raises(error: Exception) -> Callable[..., None]:
    def callback(*_: Any) -> None:
        raise error

    return callback


def test_a_healthy_subscriber_sees_its_source() -> None:
    """What does not raise passes unchanged, at once, until the source ends."""
    scheduler = TestScheduler()
    hot = scheduler.create_hot_observable(on_next(210, 1), on_next(220, 2), on_completed(500))
    result = scheduler.start(lambda: hot.pipe(guarded(never)))
    assert result.messages == [on_next(210, 1), on_next(220, 2), on_completed(500)]
    assert hot.subscriptions == [subscribe(200, 500)]


def test_an_error_of_the_source_passes() -> None:
    """An error of the source is the subscriber's to hear, not a fault of it."""
    scheduler, bug = TestScheduler(), RuntimeError("engine")
    hot = scheduler.create_hot_observable(ReactiveTest.on_error(220, bug))
    result = scheduler.start(lambda: hot.pipe(guarded(never)))
    assert result.messages == [ReactiveTest.on_error(220, bug)]
    assert hot.subscriptions == [subscribe(200, 220)]


def test_dispose_lets_the_source_go() -> None:
    """Disposing the subscription disposes the source's."""
    scheduler = TestScheduler()
    hot = scheduler.create_hot_observable(on_next(210, 1), on_next(700, 2))
    result = scheduler.start(lambda: hot.pipe(guarded(never)), disposed=600)
    assert result.messages == [on_next(210, 1)]
    assert hot.subscriptions == [subscribe(200, 600)]


def test_a_subscriber_that_raises_is_detached_and_hurts_nobody() -> None:
    """The emitter does not notice, those after it miss nothing, and the one that raised gets no more."""
    source, reported, healthy, sick = Subject[int](), list[Exception](), list[int](), list[int]()
    error = ZeroDivisionError()

    def on_item(item: int) -> None:
        sick.append(item)
        if item == 2:
            raise error

    source.pipe(guarded(reported.append)).subscribe(on_item)
    source.pipe(guarded(reported.append)).subscribe(healthy.append)
    for n in (1, 2, 3):
        source.on_next(n)
    assert reported == [error]
    assert sick == [1, 2]
    assert healthy == [1, 2, 3]
    assert len(source.observers) == 1


@pytest.mark.parametrize("end", ["completed", "error"])
def test_a_subscriber_that_raises_at_the_end_hurts_nobody(end: str) -> None:
    """What ``on_completed`` and ``on_error`` raise is reported and does not keep the others from hearing the end."""
    source, reported, ends = Subject[int](), list[Exception](), list[str]()
    error = ZeroDivisionError()
    source.pipe(guarded(reported.append)).subscribe(on_error=raises(error), on_completed=raises(error))
    source.subscribe(on_error=lambda _: ends.append("error"), on_completed=lambda: ends.append("completed"))
    if end == "completed":
        source.on_completed()
    else:
        source.on_error(RuntimeError("engine"))
    assert reported == [error]
    assert ends == [end]


def test_an_error_nobody_handles_is_reported() -> None:
    """A subscriber without ``on_error`` raises what it is given: reported, and kept from the emitter."""
    source, reported, bug = Subject[int](), list[Exception](), RuntimeError("engine")
    source.pipe(guarded(reported.append)).subscribe()
    source.on_error(bug)
    assert reported == [bug]


def test_what_an_operator_behind_it_raises_is_caught() -> None:
    """It stands first, so whatever comes after it is isolated, not only the last callback."""
    source, reported, seen = Subject[int](), list[Exception](), list[int]()
    error = ZeroDivisionError()
    source.pipe(guarded(reported.append), ops.map(lambda n: n + 1), ops.do_action(seen.append)).subscribe(raises(error))
    source.on_next(1)
    assert (seen, reported, source.observers) == ([2], [error], [])


def speaks_at_once(*items: int) -> Observable[int]:
    """A source that emits inside its subscribe, before there is a subscription to dispose, and lives on."""
    disposed = list[str]()

    def at_once(observer: Any, _: Any = None) -> Disposable:
        for item in items:
            observer.on_next(item)
        return Disposable(lambda: disposed.append("disposed"))

    observable = Observable[int](at_once)
    observable.disposed = disposed  # type: ignore[attr-defined]
    return observable


def test_a_source_that_emits_while_being_subscribed_is_isolated() -> None:
    """A subscriber that raises inside ``subscribe`` is detached there; the source is disposed once it can be."""
    source, reported, seen = speaks_at_once(1, 2, 3), list[Exception](), list[int]()
    errors = list[Exception]()
    error = ZeroDivisionError()

    def on_item(item: int) -> None:
        seen.append(item)
        raise error

    source.pipe(guarded(reported.append)).subscribe(on_item, errors.append)
    assert seen == [1]
    assert reported == [error]
    assert errors == []
    assert source.disposed == ["disposed"]  # type: ignore[attr-defined]


def test_a_raise_during_subscribe_does_not_become_an_error_of_the_source() -> None:
    """Rx makes it the inner ``on_error`` and ends the whole merge; guarded, one source goes and the merge goes on."""
    reported, seen, error = list[Exception](), list[int](), ZeroDivisionError()
    errors, other = list[Exception](), Subject[int]()

    def on_item(item: int) -> None:
        seen.append(item)
        if item == 1:
            raise error

    merged = reactivex.merge(speaks_at_once(1, 2).pipe(guarded(reported.append)), other)
    merged.subscribe(on_item, errors.append)
    other.on_next(3)
    assert seen == [1, 3]
    assert reported == [error]
    assert errors == []


def test_who_disposes_in_the_middle_gets_nothing_more() -> None:
    """A subscriber that disposes while it gets an item hears nothing more, not even the end."""
    source, seen = Subject[int](), list[Any]()

    def on_item(item: int) -> None:
        seen.append(item)
        subscription.dispose()
        source.on_next(99)

    subscription = source.pipe(guarded(never)).subscribe(on_item, seen.append, lambda: seen.append("done"))
    source.on_next(1)
    source.on_completed()
    assert seen == [1]


def test_a_slow_subscriber_is_named_once_and_detached_the_second_time() -> None:
    """Above the limit it is reported and kept; the second time it is detached and gets the error itself."""
    time, source, reported, seen = Time(), Subject[float](), list[Exception](), list[Any]()

    def on_item(seconds: float) -> None:
        seen.append(seconds)
        time.take(seconds)

    source.pipe(guarded(reported.append, clock=time, run_id="r7")).subscribe(on_item, seen.append)
    source.on_next(0.1)
    assert reported == []
    source.on_next(0.25)
    assert [str(error) for error in reported] == [
        "A subscriber of run r7 held the event loop for 0.250 s, above 0.100 s: "
        "the next time it is detached; off_loop() gives it a thread"
    ]
    source.on_next(0.0)
    source.on_next(0.5)
    source.on_next(0.0)
    assert len(reported) == 2
    assert isinstance(reported[1], SlowSubscriber)
    assert reported[1].run_id == "r7"
    assert seen == [0.1, 0.25, 0.0, 0.5, reported[1]]
    assert source.observers == []


def test_it_is_detached_before_it_is_reported() -> None:
    """Whoever hears the report finds the subscriber gone, whether it raised or was slow."""
    time, source, left = Time(), Subject[float](), list[int]()

    def on_item(seconds: float) -> None:
        time.take(seconds)
        if seconds == 0.0:
            raise ZeroDivisionError

    piped = source.pipe(guarded(lambda _: left.append(len(source.observers)), clock=time))
    piped.subscribe(on_item, lambda _: None)
    source.on_next(0.2)
    source.on_next(0.2)
    assert left == [1, 0]
    piped.subscribe(on_item)
    source.on_next(0.0)
    assert left == [1, 0, 0]


def test_the_limit_is_the_callers() -> None:
    """``limit`` seconds are allowed, more are not; without a run the sentence names none."""
    time, source, reported = Time(), Subject[float](), list[Exception]()
    source.pipe(guarded(reported.append, clock=time, limit=2.0)).subscribe(time.take)
    source.on_next(2.0)
    assert reported == []
    source.on_next(2.5)
    assert str(reported[0]).startswith("A subscriber held the event loop for 2.500 s, above 2.000 s")


def test_slowness_is_counted_for_each_subscriber() -> None:
    """Two subscribers of one pipeline that were slow once each are both kept."""
    time, source, reported = Time(), Subject[float](), list[Exception]()
    piped = source.pipe(guarded(reported.append, clock=time))
    piped.subscribe(time.take)
    piped.subscribe(time.take)
    source.on_next(0.2)
    assert len(reported) == 2
    assert len(source.observers) == 2


@pytest.mark.parametrize("on_error", [None, raises(ZeroDivisionError("of its own"))])
def test_a_slow_subscriber_whose_on_error_raises_hurts_nobody(on_error: Any) -> None:
    """Telling it is guarded too: what it raises is reported, what it merely hands back is not reported twice."""
    time, source, reported = Time(), Subject[float](), list[Exception]()
    source.pipe(guarded(reported.append, clock=time)).subscribe(time.take, on_error)
    source.on_next(0.2)
    source.on_next(0.2)
    expected = [SlowSubscriber, SlowSubscriber] + ([ZeroDivisionError] if on_error else [])
    assert [type(error) for error in reported] == expected


def test_a_slow_end_is_reported_and_nothing_follows_it() -> None:
    """After ``on_completed`` there is no ``on_error``, however slow it was."""
    time, source, reported, ends = Time(), Subject[float](), list[Exception](), list[Any]()

    def completed() -> None:
        ends.append("done")
        time.take(1.0)

    source.pipe(guarded(reported.append, clock=time)).subscribe(time.take, ends.append, completed)
    source.on_next(0.2)
    source.on_completed()
    assert [type(error) for error in reported] == [SlowSubscriber, SlowSubscriber]
    assert ends == ["done"]


def test_the_scheduler_is_passed_on() -> None:
    """The source sees the scheduler of whoever subscribes."""
    scheduler, seen = TestScheduler(), list[Any]()

    def remember(_: Any, scheduler: Any = None) -> Disposable:
        seen.append(scheduler)
        return Disposable()

    Observable[int](remember).pipe(guarded(never)).subscribe(scheduler=scheduler)
    assert seen == [scheduler]


def test_the_example_is_true() -> None:
    """The example in the docstring runs and says what it shows."""
    result = doctest.testmod(importlib.import_module("reactor.operators.guarded"))
    assert (result.failed, result.attempted > 0) == (0, True)
