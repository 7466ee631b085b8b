import doctest
import gc
import importlib
import weakref
from typing import Any

import pytest
import reactivex
from reactivex import Observable
from reactivex.disposable import Disposable
from reactivex.subject import Subject
from reactivex.testing import ReactiveTest, TestScheduler

from reactor.stream.merge_tasks import merge_tasks

on_next, on_completed, on_error, subscribe = (
    ReactiveTest.on_next,
    ReactiveTest.on_completed,
    ReactiveTest.on_error,
    ReactiveTest.subscribe,
)
MANY = 50_000


def test_everything_passes_as_it_is_said_and_the_last_completion_completes() -> None:
    """Items of all sources pass in the order of time; the merge completes with the last source, not before."""
    scheduler = TestScheduler()
    a = scheduler.create_hot_observable(on_next(210, "a1"), on_next(230, "a2"), on_completed(240))
    b = scheduler.create_hot_observable(on_next(220, "b1"), on_next(250, "b2"), on_completed(300))
    result = scheduler.start(lambda: merge_tasks([a, b]))
    assert result.messages == [
        on_next(210, "a1"),
        on_next(220, "b1"),
        on_next(230, "a2"),
        on_next(250, "b2"),
        on_completed(300),
    ]
    assert a.subscriptions == [subscribe(200, 240)]
    assert b.subscriptions == [subscribe(200, 300)]


def test_no_sources_complete_at_once() -> None:
    """A workflow without tasks has nothing to wait for."""
    result = TestScheduler().start(lambda: merge_tasks([]))
    assert result.messages == [on_completed(200)]


def test_the_first_error_disposes_all_others_and_passes() -> None:
    """The first ``on_error`` ends every subscription, then the merge; later ones are not heard."""
    scheduler, bug = TestScheduler(), RuntimeError("engine")
    a = scheduler.create_hot_observable(on_next(210, "a1"), on_next(230, "a2"), on_completed(240))
    b = scheduler.create_hot_observable(on_error(220, bug))
    c = scheduler.create_hot_observable(on_error(225, RuntimeError("later")))
    result = scheduler.start(lambda: merge_tasks([a, b, c]))
    assert result.messages == [on_next(210, "a1"), on_error(220, bug)]
    assert [source.subscriptions for source in (a, b, c)] == [[subscribe(200, 220)]] * 3


def test_the_others_are_disposed_before_the_error_passes() -> None:
    """Whoever hears of the error finds nothing running any more."""
    a, b, still_subscribed = Subject[int](), Subject[int](), list[int]()
    merge_tasks([a, b]).subscribe(on_error=lambda _: still_subscribed.append(len(a.observers)))
    b.on_error(RuntimeError())
    assert still_subscribed == [0]


def test_dispose_disposes_all_that_live() -> None:
    """Disposing the merge disposes each source that has not ended."""
    scheduler = TestScheduler()
    a = scheduler.create_hot_observable(on_completed(300))
    b = scheduler.create_hot_observable(on_next(700, "late"))
    result = scheduler.start(lambda: merge_tasks([a, b]), disposed=600)
    assert result.messages == []
    assert a.subscriptions == [subscribe(200, 300)]
    assert b.subscriptions == [subscribe(200, 600)]


def test_each_subscription_is_its_own() -> None:
    """Two subscriptions of one merge count their completions apart."""
    sources, ended = [Subject[int](), Subject[int]()], list[str]()
    merged = merge_tasks(sources)
    merged.subscribe(on_completed=lambda: ended.append("first"))
    sources[0].on_completed()
    merged.subscribe(on_completed=lambda: ended.append("second"))
    assert ended == []
    sources[1].on_completed()
    assert ended == ["first", "second"]


def test_the_scheduler_is_passed_on() -> None:
    """The scheduler of the subscription reaches every source."""
    scheduler, seen = TestScheduler(), list[Any]()

    def remember(_: Any, scheduler: Any = None) -> Disposable:
        seen.append(scheduler)
        return Disposable()

    merge_tasks([Observable[int](remember)] * 2).subscribe(scheduler=scheduler)
    assert seen == [scheduler, scheduler]


def ended_at_once(*items: int, error: Exception | None = None) -> Observable[int]:
    """A source that says everything while it is being subscribed, on no scheduler."""

    def at_once(observer: Any, _: Any = None) -> Disposable:
        for item in items:
            observer.on_next(item)
        if error:
            observer.on_error(error)
        else:
            observer.on_completed()
        return Disposable()

    return Observable(at_once)


def test_sources_may_end_while_being_subscribed() -> None:
    """Sources that complete inside their subscribe are merged like any other, whatever stands after them."""
    said, subject = list[Any](), Subject[int]()
    merged = merge_tasks([ended_at_once(1, 2), subject, ended_at_once(3)])
    merged.subscribe(said.append, on_completed=lambda: said.append("done"))
    assert said == [1, 2, 3]
    subject.on_completed()
    assert said == [1, 2, 3, "done"]


def test_after_an_error_during_subscribe_nothing_more_is_subscribed() -> None:
    """A source that fails inside its subscribe spares those after it and disposes those before it."""
    before, after, said = Subject[int](), Subject[int](), list[Any]()
    subscribed = list[str]()

    def remember(*_: Any) -> Disposable:
        subscribed.append("after")
        return Disposable()

    bug = RuntimeError("engine")
    after = Observable[int](remember)
    merge_tasks([before, ended_at_once(1, error=bug), after]).subscribe(said.append, said.append)
    assert said == [1, bug]
    assert before.observers == []
    assert subscribed == []


def test_a_source_that_is_disposed_while_being_subscribed_is_let_go() -> None:
    """If subscribing one source makes another fail, the one in between is disposed as soon as it can be."""
    first, disposed, errors = Subject[int](), list[str](), list[Exception]()
    bug = RuntimeError("engine")

    def breaks_first(*_: Any) -> Disposable:
        first.on_error(bug)
        return Disposable(lambda: disposed.append("second"))

    merge_tasks([first, Observable[int](breaks_first)]).subscribe(on_error=errors.append)
    assert errors == [bug]
    assert disposed == ["second"]


def test_a_source_that_ended_is_let_go() -> None:
    """The subscription of a completed source is not kept until the others end."""

    class Resource(Disposable):
        pass

    observers, kept = [], list[weakref.ref[Resource]]()

    def hold(observer: Any, _: Any = None) -> Disposable:
        resource = Resource()
        observers.append(observer)
        kept.append(weakref.ref(resource))
        return resource

    subscription = merge_tasks([Observable[int](hold), Observable[int](hold)]).subscribe()
    observers[0].on_completed()
    observers[0] = None
    gc.collect()
    assert [ref() is None for ref in kept] == [True, False]
    subscription.dispose()


@pytest.mark.parametrize("order", ["forward", "backward"])
def test_fifty_thousand_sources_complete(order: str) -> None:
    """A merge of 50,000 sources finishes at about the price of subscribing them, whichever completes first."""
    sources, said = [Subject[int]() for _ in range(MANY)], list[Any]()
    merge_tasks(sources).subscribe(said.append, on_completed=lambda: said.append("done"))
    for n, source in enumerate(sources if order == "forward" else reversed(sources)):
        source.on_next(n)
        assert said[-1] == n
        source.on_completed()
    assert len(said) == MANY + 1
    assert said[-1] == "done"


def test_fifty_thousand_sources_that_end_at_once_do_not_recurse() -> None:
    """50,000 completions inside one subscribe neither recurse nor end the merge early."""
    said = list[Any]()
    merged = merge_tasks([reactivex.empty() for _ in range(MANY - 1)] + [ended_at_once(1)])
    merged.subscribe(said.append, on_completed=lambda: said.append("done"))
    assert said == [1, "done"]


def test_disposing_fifty_thousand_does_not_recurse() -> None:
    """Disposing a merge of 50,000 leaves none subscribed."""
    sources = [Subject[int]() for _ in range(MANY)]
    merge_tasks(sources).subscribe().dispose()
    assert not any(source.observers for source in sources)


def test_the_example_is_true() -> None:
    """The example in the docstring runs and says what it shows."""
    result = doctest.testmod(importlib.import_module("reactor.stream.merge_tasks"))
    assert (result.failed, result.attempted > 0) == (0, True)
