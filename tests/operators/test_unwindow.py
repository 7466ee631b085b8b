import doctest
import importlib
from collections.abc import Iterator, Sequence
from typing import Any, overload

from reactivex import Observable
from reactivex import operators as ops
from reactivex.disposable import Disposable
from reactivex.subject import Subject
from reactivex.testing import ReactiveTest, TestScheduler

from reactor.operators import unwindow

on_next, on_completed, subscribe = ReactiveTest.on_next, ReactiveTest.on_completed, ReactiveTest.subscribe


class Read(Sequence[int]):
    """A window that remembers how far it was read."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.read: list[int] = []

    def __len__(self) -> int:
        return self.size

    @overload
    def __getitem__(self, index: int) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[int]: ...
    def __getitem__(self, index: Any) -> Any:
        raise NotImplementedError

    def __iter__(self) -> Iterator[int]:
        for n in range(self.size):
            self.read.append(n)
            yield n


def test_the_items_of_a_window_pass_one_by_one_when_it_does() -> None:
    """Every item passes in order at the time of its window; an empty one is nothing; completion passes at once."""
    scheduler = TestScheduler()
    hot = scheduler.create_hot_observable(on_next(210, [1, 2]), on_next(220, []), on_next(230, [3]), on_completed(500))
    result = scheduler.start(lambda: hot.pipe(unwindow()))
    assert result.messages == [on_next(210, 1), on_next(210, 2), on_next(230, 3), on_completed(500)]
    assert hot.subscriptions == [subscribe(200, 500)]


def test_an_error_passes() -> None:
    """An error of the source passes at once and lets it go."""
    scheduler, error = TestScheduler(), RuntimeError("engine")
    hot = scheduler.create_hot_observable(on_next(210, [1]), ReactiveTest.on_error(220, error))
    result = scheduler.start(lambda: hot.pipe(unwindow()))
    assert result.messages == [on_next(210, 1), ReactiveTest.on_error(220, error)]
    assert hot.subscriptions == [subscribe(200, 220)]


def test_who_disposes_in_the_middle_of_a_window_gets_nothing_more_of_it() -> None:
    """The rest of a window is not even read once its subscriber has gone."""
    source, window, seen = Subject[Sequence[int]](), Read(1_000), list[int]()

    def on_item(item: int) -> None:
        seen.append(item)
        if item == 2:
            subscription.dispose()

    subscription = source.pipe(unwindow()).subscribe(on_item)
    source.on_next(window)
    assert seen == [0, 1, 2]
    assert window.read == [0, 1, 2, 3]
    assert source.observers == []


def test_an_operator_that_has_enough_stops_the_window() -> None:
    """``take`` in the middle of a window ends the reading as a dispose does."""
    source, window, seen = Subject[Sequence[int]](), Read(1_000), list[int]()
    source.pipe(unwindow(), ops.take(2)).subscribe(seen.append)
    source.on_next(window)
    assert seen == [0, 1]
    assert len(window.read) <= 3


def test_a_window_costs_no_subscription() -> None:
    """One subscription of the source, whatever the number of windows, until the subscriber disposes."""
    scheduler = TestScheduler()
    hot = scheduler.create_hot_observable(*(on_next(210 + n, [n, -n]) for n in range(50)))
    result = scheduler.start(lambda: hot.pipe(unwindow()), disposed=239.5)
    assert [message.value.value for message in result.messages] == [i for n in range(30) for i in (n, -n)]
    assert hot.subscriptions == [subscribe(200, 239.5)]


def test_the_scheduler_is_passed_on() -> None:
    """The source sees the scheduler of whoever subscribes."""
    scheduler, seen = TestScheduler(), list[Any]()

    def remember(_: Any, scheduler: Any = None) -> Disposable:
        seen.append(scheduler)
        return Disposable()

    Observable[Sequence[int]](remember).pipe(unwindow()).subscribe(scheduler=scheduler)
    assert seen == [scheduler]


def test_the_example_is_true() -> None:
    """The example in the docstring runs and says what it shows."""
    result = doctest.testmod(importlib.import_module("reactor.operators.unwindow"))
    assert (result.failed, result.attempted > 0) == (0, True)
