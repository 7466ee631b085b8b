import doctest
import importlib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from reactivex import Observable, of
from reactivex import operators as ops
from reactivex.disposable import Disposable
from reactivex.subject import Subject
from reactivex.testing import ReactiveTest, TestScheduler

from reactor.operators import encode

on_next, on_completed, on_error, subscribe = (
    ReactiveTest.on_next,
    ReactiveTest.on_completed,
    ReactiveTest.on_error,
    ReactiveTest.subscribe,
)


def test_each_item_leaves_as_the_encoder_writes_it_at_once() -> None:
    """One for one, in order, at the time they came; completion passes."""
    scheduler = TestScheduler()
    hot = scheduler.create_hot_observable(on_next(210, 1), on_next(220, 2), on_completed(300))
    result = scheduler.start(lambda: hot.pipe(encode(str)))
    assert result.messages == [on_next(210, "1"), on_next(220, "2"), on_completed(300)]
    assert hot.subscriptions == [subscribe(200, 300)]


def test_an_error_of_the_source_passes() -> None:
    """An error passes unchanged, at the time it comes."""
    scheduler, broken = TestScheduler(), RuntimeError("source")
    hot = scheduler.create_hot_observable(on_next(210, 1), on_error(220, broken))
    assert scheduler.start(lambda: hot.pipe(encode(str))).messages == [on_next(210, "1"), on_error(220, broken)]


def test_what_the_encoder_raises_is_the_error_and_the_source_is_let_go() -> None:
    """Nothing after it is encoded, and its source has no subscriber left."""
    scheduler, encoded = TestScheduler(), list[int]()

    def encoder(item: int) -> str:
        encoded.append(item)
        return str(1 // item)

    hot = scheduler.create_hot_observable(on_next(210, 1), on_next(220, 0), on_next(230, 1))
    result = scheduler.start(lambda: hot.pipe(encode(encoder), ops.catch(lambda error, _: of(type(error).__name__))))
    assert result.messages == [on_next(210, "1"), on_next(220, "ZeroDivisionError"), on_completed(220)]
    assert encoded == [1, 0]
    assert hot.subscriptions == [subscribe(200, 220)]


def test_a_source_that_fails_to_be_encoded_while_it_is_subscribed_is_let_go_too() -> None:
    """It says something before there is a subscription to dispose of."""
    errors, disposed = list[Exception](), list[str]()

    def at_once(observer: Any, _: Any = None) -> Any:
        observer.on_next(0)
        return Disposable(lambda: disposed.append("source"))

    Observable[int](at_once).pipe(encode(lambda item: 1 // item)).subscribe(on_error=errors.append)
    assert [type(error) for error in errors] == [ZeroDivisionError]
    assert disposed == ["source"]


@given(st.lists(st.integers()))
def test_every_item_is_encoded_once(items: list[int]) -> None:
    """One for one, whatever they are."""
    source, seen = Subject[int](), list[str]()
    source.pipe(encode(str)).subscribe(seen.append)
    for item in items:
        source.on_next(item)
    assert seen == [str(item) for item in items]


def test_the_example_is_true() -> None:
    """The example in the docstring runs and says what it shows."""
    result = doctest.testmod(importlib.import_module("reactor.operators.encode"))
    assert (result.failed, result.attempted > 0) == (0, True)
