"""``Attachable``: an Observable like any other, and the way past ``subscribe`` that says the same."""

from __future__ import annotations

import doctest
import gc
import importlib
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import reactivex
from hypothesis import given
from hypothesis import strategies as st
from reactivex import Observable
from reactivex import operators as ops
from reactivex.disposable import Disposable
from reactivex.subject import Subject
from reactivex.testing import ReactiveTest, TestScheduler

from reactor.operators.attached import Attachable, Callbacks, Disposing, Inlet, Sink, attach
from reactor.operators.buffer_window import Room, buffer_window
from reactor.stream.merge_tasks import merge_tasks

on_next, on_completed, on_error = ReactiveTest.on_next, ReactiveTest.on_completed, ReactiveTest.on_error
subscribe = ReactiveTest.subscribe
BUG = RuntimeError("engine")


class Attached(Attachable[Any]):
    """Any Observable as one that sinks are attached to; it has the grammar of what it is made of."""

    def __init__(self, source: Observable[Any]) -> None:
        self.source = source
        self.schedulers: list[Any] = []
        self.sinks: list[Sink[Any]] = []

    def attach(self, sink: Sink[Any], scheduler: Any = None) -> Disposing:
        self.schedulers.append(scheduler)
        self.sinks.append(sink)
        return self.source.subscribe(sink.on_next, sink.on_error, sink.on_completed, scheduler=scheduler)


class Said:
    """A sink that remembers."""

    def __init__(self) -> None:
        self.said: list[Any] = []

    def on_next(self, value: Any) -> None:
        self.said.append(value)

    def on_error(self, error: Exception) -> None:
        self.said.append(error)

    def on_completed(self) -> None:
        self.said.append("done")


def listen(source: Observable[Any], way: str) -> tuple[list[Any], Disposing]:
    """What a source says to whoever came this way."""
    sink = Said()
    if way == "attach":
        return sink.said, attach(source, sink)
    return sink.said, source.subscribe(sink.on_next, sink.on_error, sink.on_completed)


WAYS = pytest.mark.parametrize("way", ["attach", "subscribe"])


# --- for whoever subscribes ---------------------------------------------------------------------------------------


Pipe = Callable[[Observable[Any], TestScheduler, Observable[Any]], Observable[Any]]
"""The source, the scheduler, and another source."""

LIBRARY: dict[str, Pipe] = {
    "nothing": lambda source, _, __: source,
    "map": lambda source, _, __: source.pipe(ops.map(lambda n: 10 * n)),
    "fluent": lambda source, _, __: source.map(lambda n: 10 * n).filter(lambda n: n > 10),
    "take": lambda source, _, __: source.pipe(ops.take(2)),
    "skip_last": lambda source, _, __: source.pipe(ops.skip_last(1)),
    "take_while": lambda source, _, __: source.pipe(ops.take_while(lambda n: n < 3)),
    "start_with": lambda source, _, __: source.pipe(ops.start_with(0)),
    "merge": lambda source, _, other: source.pipe(ops.merge(other)),
    "merge_all": lambda source, _, other: reactivex.of(source, other).pipe(ops.merge_all()),
    "merge function": lambda source, _, other: reactivex.merge(other, source),
    "concat": lambda source, _, other: source.pipe(ops.concat(other)),
    "zip": lambda source, _, other: source.pipe(ops.zip(other)),
    "amb": lambda source, _, other: source.pipe(ops.amb(other)),
    "combine_latest": lambda source, _, other: source.pipe(ops.combine_latest(other)),
    "with_latest_from": lambda source, _, other: source.pipe(ops.with_latest_from(other)),
    "take_until": lambda source, _, other: source.pipe(ops.take_until(other)),
    "switch_latest": lambda source, _, other: reactivex.of(other, source).pipe(ops.switch_latest()),
    "fork_join": lambda source, _, other: source.pipe(ops.fork_join(other)),
    "buffer": lambda source, _, other: source.pipe(ops.buffer(other)),
    "delay": lambda source, scheduler, _: source.pipe(ops.delay(15.0, scheduler=scheduler)),
    "debounce": lambda source, scheduler, _: source.pipe(ops.debounce(15.0, scheduler=scheduler)),
    "buffer_with_time": lambda source, scheduler, _: source.pipe(ops.buffer_with_time(25.0, scheduler=scheduler)),
    "materialize": lambda source, _, __: source.pipe(ops.materialize(), ops.map(str)),
    "share": lambda source, _, __: _twice(source.pipe(ops.share())),
    "publish": lambda source, _, __: source.pipe(ops.publish(_twice)),
    "replay": lambda source, scheduler, _: source.pipe(ops.replay(2, mapper=_twice, scheduler=scheduler)),
}


def _twice(shared: Observable[Any]) -> Observable[Any]:
    return reactivex.merge(shared, shared)


@pytest.mark.parametrize("end", [on_completed(300), on_error(300, BUG), on_next(2000, "too late")], ids=repr)
@pytest.mark.parametrize("name", LIBRARY)
def test_for_whoever_subscribes_it_is_an_observable_like_any_other(name: str, end: Any) -> None:
    """With the library's operators it says the same at the same times, and is subscribed to as often and as long."""

    def outcome(wrap: Callable[[Observable[Any]], Observable[Any]]) -> tuple[Any, Any]:
        scheduler = TestScheduler()
        hot = scheduler.create_hot_observable(*(on_next(200 + 20 * n, n) for n in range(1, 5)), end)
        other = scheduler.create_hot_observable(on_next(225, 7), on_next(250, 8), on_completed(260))
        result = scheduler.start(lambda: LIBRARY[name](wrap(hot), scheduler, other))
        return result.messages, hot.subscriptions

    attached = outcome(Attached)
    assert attached == outcome(lambda source: source)
    assert attached[1]


@WAYS
def test_the_scheduler_is_passed_on(way: str) -> None:
    """The scheduler of the subscription, or None, reaches the source either way."""
    scheduler, source = TestScheduler(), Attached(Subject[int]())
    sink = Said()
    for each in (scheduler, None):
        if way == "attach":
            attach(source, sink, each)
        else:
            source.pipe(ops.map(str)).subscribe(sink.on_next, scheduler=each)
    assert source.schedulers == [scheduler, None]


@WAYS
def test_disposal_ends_it(way: str) -> None:
    """Nothing is said, and nothing stays subscribed, after disposal; disposed again: nothing happens."""
    subject = Subject[int]()
    said, subscription = listen(Attached(subject), way)
    subject.on_next(1)
    subscription.dispose()
    subject.on_next(2)
    subscription.dispose()
    assert said == [1]
    assert subject.observers == []


def test_disposal_reaches_it_in_virtual_time() -> None:
    """The source is disposed at the time at which the subscription is."""
    scheduler = TestScheduler()
    hot = scheduler.create_hot_observable(on_next(300, 1), on_next(700, 2))
    assert scheduler.start(lambda: Attached(hot), disposed=600).messages == [on_next(300, 1)]
    assert hot.subscriptions == [subscribe(200, 600)]


@pytest.mark.parametrize("end", ["completed", "error"])
def test_whoever_subscribes_hears_nothing_after_the_end(end: str) -> None:
    """Also of a source that does not keep its word: ``subscribe`` guards the code of users."""
    sinks = list[Sink[Any]]()

    def remember(sink: Sink[Any], _: Any) -> Disposing:
        sinks.append(sink)
        return Disposable()

    said, _ = listen(Attachable[Any](remember), "subscribe")
    sinks[0].on_next(1)
    for _ in range(2):
        if end == "completed":
            sinks[0].on_completed()
        else:
            sinks[0].on_error(BUG)
        sinks[0].on_next(2)
    assert said == [1, "done" if end == "completed" else BUG]


def test_what_attaching_raises_is_the_subscriber_s_error() -> None:
    """As what ``subscribe`` raises is with the library; whoever attaches has the exception itself."""

    def fail(*_: Any) -> Disposing:
        raise BUG

    source = Attachable[Any](fail)
    assert listen(source, "subscribe")[0] == [BUG]
    with pytest.raises(RuntimeError, match="engine"):
        attach(source, Said())


def test_each_subscription_is_attached_by_itself() -> None:
    """It has no memory of its own: two who subscribe are two sinks of what it is made of."""
    subject = Subject[int]()
    source = Attached(subject)
    (first, subscription), (second, _) = listen(source, "subscribe"), listen(source, "subscribe")
    subject.on_next(1)
    subscription.dispose()
    subject.on_next(2)
    assert (first, second) == ([1], [1, 2])


def test_a_subscription_that_ended_is_held_by_nobody() -> None:
    """Neither the class nor the shared lock keep what was attached."""
    source = Attached(Subject[int]())
    kept = weakref.ref(source)
    listen(source, "subscribe")[1].dispose()
    del source
    gc.collect()
    assert kept() is None


# --- past subscribe -----------------------------------------------------------------------------------------------


def test_attach_goes_past_subscribe() -> None:
    """The source speaks to the very sink, with nothing around it."""
    source, sink = Attached(Subject[int]()), Said()
    attach(source, sink)
    assert source.sinks[0] is sink


def test_attach_falls_back_to_subscribe_for_any_other_observable() -> None:
    """With the scheduler; the sink hears everything up to the end, and nothing after its disposal."""
    scheduler, seen, observers = TestScheduler(), list[Any](), list[Any]()

    def remember(observer: Any, scheduler: Any = None) -> Disposable:
        seen.append(scheduler)
        observers.append(observer)
        return Disposable(lambda: seen.append("disposed"))

    source, first, second = Observable[int](remember), Said(), Said()
    attach(source, first, scheduler)
    observers[0].on_next(1)
    observers[0].on_completed()
    observers[0].on_next(2)
    assert first.said == [1, "done"]
    subscription = attach(source, second)
    observers[1].on_next(1)
    subscription.dispose()
    observers[1].on_next(2)
    assert second.said == [1]
    assert seen == [scheduler, "disposed", None, "disposed"]


def test_callbacks_are_a_sink() -> None:
    """Callbacks make a sink of functions; without one for the completion, a completion does nothing."""
    subject, said = Subject[int](), list[Any]()
    attach(Attached(subject), Callbacks(said.append, said.append))
    subject.on_next(1)
    subject.on_completed()
    assert said == [1]
    subject = Subject[int]()
    attach(Attached(subject), Callbacks(said.append, said.append, lambda: said.append("done")))
    subject.on_error(BUG)
    assert said == [1, BUG]


# --- the library --------------------------------------------------------------------------------------------------


def test_it_has_everything_that_the_library_gives_an_observable() -> None:
    """An update of reactivex that gives an Observable more than its constructor does now is noticed here."""
    attachables: Sequence[Observable[Any]] = [
        Attachable(lambda sink, _: Disposable()),
        Inlet(),
        merge_tasks([]),
        reactivex.never().pipe(windowed(Room(), reactivex.never(), TestScheduler())),
    ]
    given_by_the_library = vars(reactivex.never())
    for source in attachables:
        assert not (given_by_the_library.keys() - set(dir(source))), "see Attachable.lock and Attachable._subscribe"
    assert given_by_the_library.keys() == {"lock", "_subscribe"}, "reactivex has changed: see what Attachable skips"
    assert type(given_by_the_library["lock"]) is type(Attachable.lock)


# --- inlets -------------------------------------------------------------------------------------------------------


@WAYS
def test_an_inlet_is_hot(way: str) -> None:
    """What comes while nobody listens goes nowhere."""
    inlet = Inlet[int]()
    inlet.on_next(1)
    said, subscription = listen(inlet, way)
    inlet.on_next(2)
    inlet.on_next(3)
    subscription.dispose()
    inlet.on_next(4)
    assert said == [2, 3]


@WAYS
def test_an_inlet_has_one_sink_at_most(way: str) -> None:
    """A second one is refused, and the first unharmed; after its disposal there may be another."""
    inlet = Inlet[int]()
    first, subscription = listen(inlet, way)
    with pytest.raises(RuntimeError, match="has it already"):
        inlet.attach(Said())
    refused, _ = listen(inlet, "subscribe")
    assert [type(said) for said in refused] == [RuntimeError]
    inlet.on_next(1)
    subscription.dispose()
    second, _ = listen(inlet, way)
    inlet.on_next(2)
    assert (first, second) == ([1], [2])


@WAYS
def test_an_inlet_is_silent_after_its_completion(way: str) -> None:
    """It completes once, and says nothing more; where nobody listens, nothing happens."""
    inlet = Inlet[int]()
    said, subscription = listen(inlet, way)
    inlet.on_next(1)
    for _ in range(2):
        inlet.on_completed()
        inlet.on_next(2)
    subscription.dispose()
    assert said == [1, "done"]


@WAYS
def test_an_inlet_that_is_disposed_does_not_complete(way: str) -> None:
    """Whoever left hears of no end."""
    inlet = Inlet[int]()
    said, subscription = listen(inlet, way)
    subscription.dispose()
    inlet.on_completed()
    assert said == []


@WAYS
def test_a_sink_may_leave_and_write_while_it_is_being_told(way: str) -> None:
    """It is told what it writes, inside of it, and nothing after it left."""
    inlet, said = Inlet[int](), list[int]()

    def hear(n: int) -> None:
        said.append(n)
        if n == 3:
            subscription.dispose()
        inlet.on_next(n + 1)

    sink = Callbacks(hear, print)
    subscription = attach(inlet, sink) if way == "attach" else inlet.subscribe(sink.on_next)
    inlet.on_next(1)
    assert said == [1, 2, 3]


def test_disposing_again_does_not_end_the_next_sink() -> None:
    """What ends a subscription ends that one: again, nothing happens."""
    inlet = Inlet[int]()
    _, left = listen(inlet, "attach")
    left.dispose()
    said, _ = listen(inlet, "attach")
    left.dispose()
    inlet.on_next(1)
    assert said == [1]


def test_whoever_subscribes_again_inside_of_the_completion_is_heard() -> None:
    """The disposal of the one that ended is not that of the one that came."""
    inlet, said = Inlet[int](), list[Any]()
    inlet.subscribe(on_completed=lambda: inlet.subscribe(said.append) and None)
    inlet.on_completed()
    inlet.on_next(1)
    assert said == [1]


# --- both ways say the same ---------------------------------------------------------------------------------------


STEPS = st.lists(st.one_of(st.integers(0, 9), st.sampled_from(["complete", "fail", "dispose"])), max_size=12)


def play(steps: Sequence[Any], subject: Subject[Any], subscription: Disposing) -> None:
    for step in steps:
        if step == "complete":
            subject.on_completed()
        elif step == "fail":
            subject.on_error(BUG)
        elif step == "dispose":
            subscription.dispose()
        else:
            subject.on_next(step)


@given(STEPS)
def test_the_same_values_arrive_by_attach_and_by_subscribe(steps: list[Any]) -> None:
    """Whatever comes in whatever order: an attachable, an ordinary source, and a merge of it."""
    makes: Sequence[Callable[[Observable[Any]], Observable[Any]]] = [
        lambda source: source,
        Attached,
        lambda source: merge_tasks([source]),
        lambda source: merge_tasks([Attached(source)]),
        lambda source: merge_tasks([merge_tasks([Attached(source)])]),
    ]
    heard = list[list[Any]]()
    for make in makes:
        for way in ("attach", "subscribe"):
            subject = Subject[Any]()
            said, subscription = listen(make(subject), way)
            play(steps, subject, subscription)
            heard.append(said)
    assert all(said == heard[0] for said in heard)


@given(STEPS)
def test_the_same_values_leave_an_inlet_either_way(steps: list[Any]) -> None:
    """With its sink coming first and going whenever it does; an inlet never fails."""
    heard = list[list[Any]]()
    for way in ("attach", "subscribe"):
        inlet: Any = Inlet[Any]()
        said, subscription = listen(inlet, way)
        play([step for step in steps if step != "fail"], inlet, subscription)
        heard.append(said)
    assert heard[0] == heard[1]


WINDOW_STEPS = st.lists(st.sampled_from(["item", "ready", "turn"]), max_size=30)
ENDS = st.sampled_from(["complete", "fail"])


def windows_heard(way: str, steps: Sequence[str], end: str) -> list[Any]:
    """What a window operator says up to its end, to a consumer that is also ready for what it never took."""
    scheduler, source, ready = TestScheduler(), Subject[Any](), Subject[Any]()
    windows = Attached(source).pipe(windowed(Room(max_events=3), Attached(ready), scheduler))
    said, subscription = listen(windows, way)
    for n, step in enumerate(steps):
        if step == "item":
            source.on_next(n)
        elif step == "ready":
            ready.on_next(None)
        else:
            scheduler.advance_by(1)
    play([end], source, subscription)
    for _ in range(len(steps) + 2):
        scheduler.advance_by(1)
        ready.on_next(None)
    return said


def windowed(room: Room, ready: Observable[Any], scheduler: TestScheduler) -> Any:
    def one(_: Any) -> int:
        return 1

    return buffer_window(room, ready, size=one, scheduler=scheduler)


@given(WINDOW_STEPS, ENDS)
def test_the_same_windows_arrive_by_attach_and_by_subscribe(steps: list[str], end: str) -> None:
    """A backpressure that is attached between others hands out what it does for one who subscribes; its end is last."""
    attached, subscribed = windows_heard("attach", steps, end), windows_heard("subscribe", steps, end)
    assert attached == subscribed
    assert attached[-1] == ("done" if end == "complete" else BUG)


def test_a_window_operator_completes_once_however_often_its_consumer_is_ready() -> None:
    """Nothing after the end: whoever attached has no guard that would hold it back."""
    scheduler, source, ready = TestScheduler(), Inlet[Any](), Inlet[Any]()
    said, _ = listen(source.pipe(windowed(Room(), ready, scheduler)), "attach")
    source.on_completed()
    scheduler.start()
    ready.on_next(None)
    ready.on_next(None)
    assert said == ["done"]


@pytest.mark.parametrize("which", ["source", "ready"])
def test_a_window_operator_that_fails_while_being_attached_holds_nothing(which: str) -> None:
    """The error is the end: the other of its two sources is not listened to."""
    other, failing = Subject[Any](), reactivex.throw(BUG)
    source, ready = (failing, other) if which == "source" else (other, failing)
    windows = source.pipe(windowed(Room(), ready, TestScheduler()))
    said, _ = listen(windows, "attach")
    other.on_error(RuntimeError("later"))
    assert said == [BUG]
    assert other.observers == []


# --- merges of both kinds -----------------------------------------------------------------------------------------


def mixed(kinds: Sequence[bool]) -> tuple[list[Subject[Any]], list[Observable[Any]]]:
    """Subjects, and the sources made of them: attachable where the kind says so."""
    subjects = [Subject[Any]() for _ in kinds]
    return subjects, [Attached(subject) if kind else subject for kind, subject in zip(kinds, subjects, strict=True)]


@WAYS
def test_a_merge_completes_with_the_last_source_of_either_kind(way: str) -> None:
    """Completions are counted over both kinds, whichever comes last."""
    for last in range(4):
        subjects, sources = mixed([True, False, True, False])
        said, _ = listen(merge_tasks(sources), way)
        for n, subject in enumerate(subjects):
            if n != last:
                subject.on_completed()
        assert said == []
        subjects[last].on_next("last")
        subjects[last].on_completed()
        assert said == ["last", "done"]


def test_sources_of_both_kinds_pass_in_the_order_of_time() -> None:
    """Items pass in the order in which they are said, and each source is subscribed to as long as it lives."""
    scheduler = TestScheduler()
    a = scheduler.create_hot_observable(on_next(210, "a1"), on_next(230, "a2"), on_completed(240))
    b = scheduler.create_hot_observable(on_next(220, "b1"), on_next(250, "b2"), on_completed(300))
    result = scheduler.start(lambda: merge_tasks([Attached(a), b]))
    assert result.messages == [
        on_next(210, "a1"),
        on_next(220, "b1"),
        on_next(230, "a2"),
        on_next(250, "b2"),
        on_completed(300),
    ]
    assert (a.subscriptions, b.subscriptions) == ([subscribe(200, 240)], [subscribe(200, 300)])


def test_attachable_sources_share_one_sink() -> None:
    """A merge of 50,000 tasks makes one sink, not one for each."""
    sources = [Attached(Subject[Any]()) for _ in range(3)]
    listen(merge_tasks(sources), "attach")
    assert len({id(source.sinks[0]) for source in sources}) == 1


@WAYS
@pytest.mark.parametrize("failing", [0, 1])
def test_an_error_of_either_kind_disposes_all_others_before_it_passes(way: str, failing: int) -> None:
    """Whoever hears of the error finds nothing running any more; a later one is not heard."""
    subjects, sources = mixed([True, False, True, False])
    subscribed, errors = list[int](), list[Exception]()

    def hear(error: Exception) -> None:
        errors.append(error)
        subscribed.append(sum(len(subject.observers) for subject in subjects))

    sink = Callbacks(print, hear)
    merged = merge_tasks(sources)
    attach(merged, sink) if way == "attach" else merged.subscribe(sink.on_next, sink.on_error)
    subjects[failing].on_error(BUG)
    subjects[failing + 2].on_error(RuntimeError("later"))
    assert (errors, subscribed) == ([BUG], [0])


@WAYS
def test_disposal_of_a_merge_reaches_sources_of_both_kinds(way: str) -> None:
    """Those that live; nothing of them passes any more."""
    subjects, sources = mixed([True, False, True, False])
    said, subscription = listen(merge_tasks(sources), way)
    subjects[0].on_completed()
    subscription.dispose()
    for subject in subjects:
        assert subject.observers == []
        subject.on_next("late")
        subject.on_completed()
    subscription.dispose()
    assert said == []


@WAYS
@pytest.mark.parametrize("kind", [True, False], ids=["attachable", "ordinary"])
def test_sources_of_either_kind_may_end_while_being_attached(way: str, kind: bool) -> None:
    """One that completes at once is counted, and the merge does not end before those behind it."""
    subject, at_once = Subject[Any](), reactivex.of(1, 2)
    said, _ = listen(merge_tasks([Attached(at_once) if kind else at_once, Attached(subject)]), way)
    assert said == [1, 2]
    subject.on_completed()
    assert said == [1, 2, "done"]


@WAYS
@pytest.mark.parametrize("kind", [True, False], ids=["attachable", "ordinary"])
def test_after_an_error_while_being_attached_nothing_more_is(way: str, kind: bool) -> None:
    """One that fails at once disposes those before it and spares those behind it."""
    before, behind, at_once = Subject[Any](), Attached(Subject[Any]()), reactivex.throw(BUG)
    said, _ = listen(merge_tasks([Attached(before), Attached(at_once) if kind else at_once, behind]), way)
    assert said == [BUG]
    assert before.observers == []
    assert behind.sinks == []


@pytest.mark.parametrize("kind", [True, False], ids=["attachable", "ordinary"])
def test_a_source_that_is_disposed_while_being_attached_is_let_go(kind: bool) -> None:
    """If attaching one source makes an earlier one fail, it is disposed as soon as it can be, and not heard."""
    first, second = Subject[Any](), Subject[Any]()

    def break_first(observer: Any, _: Any = None) -> Any:
        first.on_error(BUG)
        return second.subscribe(observer)

    breaking = Observable[Any](break_first)
    said, _ = listen(merge_tasks([Attached(first), Attached(breaking) if kind else breaking]), "attach")
    second.on_next("late")
    assert said == [BUG]
    assert second.observers == []


PLAYS = st.lists(
    st.tuples(st.integers(0, 4), st.sampled_from(["item", "item", "item", "complete", "fail"])), max_size=40
)


@given(st.lists(st.booleans(), min_size=1, max_size=5), PLAYS, st.sampled_from(["attach", "subscribe"]))
def test_a_merge_says_what_its_sources_say_of_whatever_kind(
    kinds: list[bool], steps: list[tuple[int, str]], way: str
) -> None:
    """In the order of time, up to the last completion or the first error; then none is subscribed to."""
    subjects, sources = mixed(kinds)
    said, subscription = listen(merge_tasks(sources), way)
    expected, alive = list[Any](), set(range(len(kinds)))
    for n, (place, step) in enumerate(steps):
        if place >= len(kinds):
            continue
        if place in alive:
            if step == "item":
                expected.append(n)
            elif step == "fail":
                expected.append(BUG)
                alive.clear()
            else:
                alive.discard(place)
                if not alive:
                    expected.append("done")
        play([n if step == "item" else step], subjects[place], subscription)
        assert said == expected
        assert {place for place, subject in enumerate(subjects) if subject.observers} == alive
    subscription.dispose()
    assert not any(subject.observers for subject in subjects)


def test_the_example_is_true() -> None:
    """The example in the docstring runs and says what it shows."""
    result = doctest.testmod(importlib.import_module("reactor.operators.attached"))
    assert (result.failed, result.attempted > 0) == (0, True)
