"""Retries and time limits: what an attempt is given, what becomes of it, and what the log says."""

from __future__ import annotations

import asyncio
import math
import os
import threading
import time
import weakref
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import reactivex as rx
from hypothesis import given
from hypothesis import strategies as st
from reactivex import operators as ops

from reactor import Context, ContextClosed, Engine, Retry, RunCancelled, RunFailed, TaskTimeout, Workflow, bounds
from reactor.clock import SystemClock
from reactor.errors import WorkflowError
from reactor.events.timing import unix_seconds
from reactor.supervision.stopwatch import Stopwatch
from reactor.testing import VirtualClock, read_all
from tests.helpers import bodies
from tests.helpers.crash import RUN_ID, check_laws, crashed_log, read_with_blobs, record
from tests.helpers.events import of_type, only, story
from tests.helpers.runs import PATIENCE, full_log, run_to_end, wait_for_event, wait_until

SOON = Retry(attempts=3, delay=0)


@pytest.fixture
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bodies that do not stop after their timeout are given up soon."""
    monkeypatch.setattr(bounds, "TIMEOUT_GRACE_SECONDS", 0.05)


# --- the delays, as values ----------------------------------------------------------------------------------------


def test_each_delay_is_backoff_times_the_one_before_up_to_the_largest() -> None:
    """delay, delay x backoff, delay x backoff², and never above max_delay."""
    retry = Retry(delay=0.5, backoff=3, max_delay=10, jitter=0)
    assert [retry.delay_after(failures, 0.7) for failures in range(1, 6)] == [0.5, 1.5, 4.5, 10, 10]


def test_an_error_that_knows_when_to_come_back_is_listened_to() -> None:
    """Its ``retry_after`` makes a delay longer, never shorter, and what is no number of seconds is not listened to."""
    retry, error = Retry(delay=2, jitter=0), ConnectionError("429")
    for asked, delay in ((5.5, 5.5), (1, 2), (-1, 2), (float("nan"), 2), ("30", 2), (True, 2), (10**9, 2)):
        error.retry_after = asked  # type: ignore[attr-defined]
        assert retry.delay_after(1, 0, error) == delay
    assert Retry(delay=0).delay_after(1, 0, error) == 0
    error.retry_after = 3  # type: ignore[attr-defined]
    assert Retry(delay=0).delay_after(1, 0, error) == 3


def test_jitter_takes_away_a_part_of_the_delay() -> None:
    """Chance 0 takes nothing, chance 1 takes the whole jitter; nothing is ever added."""
    retry = Retry(delay=8, jitter=0.25)
    assert [retry.delay_after(1, chance) for chance in (0, 0.5, 1)] == [8, 7, 6]


retries = st.builds(
    Retry,
    attempts=st.integers(1, 10**9),
    delay=st.one_of(st.just(0.0), st.floats(1e-6, bounds.MAX_SECONDS)),
    backoff=st.one_of(st.floats(1, 1_000), st.integers(1, 1_000)),
    max_delay=st.floats(0, bounds.MAX_SECONDS),
    jitter=st.floats(0, 1),
)


@given(retries, st.integers(1, 10**9), st.floats(0, 1))
def test_a_delay_stays_within_its_bounds(retry: Retry, failures: int, chance: float) -> None:
    """However many failures: between nothing and max_delay, above what jitter may take, and nothing out of nothing."""
    delay = retry.delay_after(failures, chance)
    whole = retry.delay_after(failures, 0)
    assert math.isfinite(delay)
    assert 0 <= (1 - retry.jitter) * whole <= delay * (1 + 1e-9)
    assert delay <= whole <= retry.max_delay
    assert retry.delay > 0 or delay == 0
    assert retry.delay_after(failures + 1, chance) >= delay


@given(retries, st.integers(1, 20))
def test_without_chance_the_delay_is_the_formula(retry: Retry, failures: int) -> None:
    """min(delay x backoff^(failures - 1), max_delay)."""
    exact = min(retry.delay * float(retry.backoff) ** (failures - 1), retry.max_delay)
    assert retry.delay_after(failures, 0) == pytest.approx(exact)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"attempts": 0}, "attempts"),
        ({"attempts": True}, "attempts"),
        ({"attempts": 1.5}, "attempts"),
        ({"delay": -1}, "delay"),
        ({"delay": math.nan}, "delay"),
        ({"max_delay": math.inf}, "max_delay"),
        ({"backoff": 0.5}, "backoff"),
        ({"jitter": 1.1}, "jitter"),
        ({"jitter": "much"}, "jitter"),
        ({"retry_on": "ValueError"}, "retry_on"),
        ({"retry_on": (ValueError, 5)}, "retry_on"),
        ({"retry_on": int}, "retry_on"),
    ],
)
def test_a_retry_that_makes_no_sense_is_refused_where_it_is_made(options: dict[str, Any], named: str) -> None:
    """The sentence names the option."""
    with pytest.raises(ValueError, match=named):
        Retry(**options)


@pytest.mark.parametrize(
    "options",
    [{"retry": True}, {"retry": "often"}, {"timeout": 0}, {"timeout": -1}, {"timeout": math.nan}, {"timeout": "1"}],
)
def test_a_task_with_a_bad_retry_or_timeout_is_refused_at_its_definition(options: dict[str, Any]) -> None:
    """The error names the task and the option."""
    with pytest.raises(WorkflowError, match=next(iter(options))) as refused:
        Workflow("flow").task(bodies.pid, **options)
    assert "'pid'" in str(refused.value)


# --- retries ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["loop", "thread"])
async def test_a_body_that_fails_runs_again_until_it_completes(place: str) -> None:
    """Each attempt has its number, in its events and in its Context; downstreams start once, after the last."""
    seen: list[int] = []
    flow = Workflow("flaky")

    def flaky(ctx: Context) -> str:
        seen.append(ctx.attempt)
        if ctx.attempt < 3:
            raise ConnectionError(f"failure {ctx.attempt}")
        return "at last"

    async def flaky_async(ctx: Context) -> str:
        return flaky(ctx)

    flow.task(flaky if place == "thread" else flaky_async, name="flaky", retry=SOON)

    @flow.task
    async def after(flaky: str) -> str:
        return flaky

    events = await run_to_end(flow)
    assert story(events) == [
        ("task.started", "flaky", 1),
        ("task.retrying", "flaky", 1),
        ("task.started", "flaky", 2),
        ("task.retrying", "flaky", 2),
        ("task.started", "flaky", 3),
        ("task.completed", "flaky", 3),
        ("task.started", "after", 1),
        ("task.completed", "after", 1),
    ]
    assert seen == [1, 2, 3]
    first, second = of_type(events, "task.retrying")
    assert first.data["next_attempt"] == 2
    assert second.data["next_attempt"] == 3
    assert first.data["error"] == {"type": "ConnectionError", "message": "failure 1"}
    assert first.data["duration_ms"] >= 0
    assert only(events, "run.completed").data["outputs"] == {"after": "at last"}


async def test_the_last_failure_is_the_task_s() -> None:
    """After ``attempts`` in total it fails with the last error, and awaiting the run shows the exception itself."""
    raised: list[Exception] = []
    flow = Workflow("hopeless")

    @flow.task(retry=SOON)
    async def hopeless(ctx: Context) -> None:
        raised.append(ConnectionError(f"failure {ctx.attempt}"))
        raise raised[-1]

    @flow.task
    async def after(hopeless: None) -> None: ...

    async with Engine() as engine:
        run = await engine.start(flow)
        with pytest.raises(RunFailed, match="failure 3") as failed:
            await run
        assert failed.value.__cause__ is raised[-1]
        events = await full_log(engine, run)
    assert len(raised) == len(of_type(events, "task.started")) == 3
    assert only(events, "task.failed").data["error"]["message"] == "failure 3"
    assert only(events, "task.skipped").data == {"reason": "upstream_failed", "because": "hopeless", "progress": 1.0}


async def test_a_body_that_holds_the_loop_beyond_its_timeout_is_late() -> None:
    """Its timer could not ring meanwhile. Whether it returns or raises, it is a TaskTimeout, which may be retried."""
    flow = Workflow("late")

    @flow.task(timeout=0.05, retry=Retry(attempts=3, delay=0, retry_on=TaskTimeout))
    async def body(ctx: Context) -> str:
        if ctx.attempt < 3:
            time.sleep(0.1)  # noqa: ASYNC251  # that it blocks is what is tested
        if ctx.attempt == 2:
            raise ValueError("late")
        return "in time" if ctx.attempt == 3 else "too late"

    @flow.task(after="body", timeout=0.05)
    async def late() -> str:
        time.sleep(0.1)  # noqa: ASYNC251
        return "too late"

    @flow.task(after="late", on_upstream_failure="run", timeout=0.05)
    async def observed() -> Any:
        return rx.of(1).pipe(ops.do_action(lambda _: time.sleep(0.1)))

    events = await run_to_end(flow)
    told = [(event.task_id, event.data["error"]["type"]) for event in of_type(events, "task.retrying")]
    assert told == [("body", "TaskTimeout")] * 2
    assert only(events, "task.completed").data["output"] == "in time"
    failed = {event.task_id: event.data["error"] for event in of_type(events, "task.failed")}
    assert {task: error["type"] for task, error in failed.items()} == {"late": "TaskTimeout", "observed": "TaskTimeout"}
    assert failed["late"]["message"] == "task late took longer than its timeout of 0.05 s"


async def test_a_body_elsewhere_is_not_late_because_the_loop_is_held() -> None:
    """It ended in time; only its answer had to wait."""
    flow, held = Workflow("punctual"), threading.Event()

    @flow.task(timeout=0.3)
    def punctual() -> str:
        held.wait()
        return "in time"

    @flow.task
    async def holds() -> None:
        held.set()
        time.sleep(0.6)  # noqa: ASYNC251

    events = await run_to_end(flow)
    assert only(events, "task.completed", "punctual").data["output"] == "in time"


async def test_a_run_whose_last_body_holds_the_loop_is_late_too() -> None:
    """The timeout of a workflow holds whether its timer could ring or not."""
    flow = Workflow("late", timeout=0.05)

    @flow.task
    async def body() -> str:
        time.sleep(0.1)  # noqa: ASYNC251
        return "too late"

    events = await run_to_end(flow)
    assert events[-1].type == "run.failed"
    assert events[-1].data["error"]["type"] == "RunTimeout"


async def test_a_number_is_a_retry_with_so_many_attempts() -> None:
    """``retry=2`` is ``Retry(attempts=2)``: one second chance."""
    flow = Workflow("twice")
    task = flow.task(bodies.pid, retry=2)
    assert task.retry == Retry(attempts=2)


@pytest.mark.parametrize(
    ("retry_on", "starts"),
    [
        (ConnectionError, 3),
        (OSError, 3),
        ((KeyError, ConnectionError), 3),
        (KeyError, 1),
        ((), 1),
        (lambda error: "down" in str(error), 3),
        (lambda error: "up" in str(error), 1),
    ],
)
async def test_only_what_retry_on_takes_is_tried_again(retry_on: Any, starts: int) -> None:
    """Exception types with their subclasses, or a function that is asked; anything else fails at once."""
    flow = Workflow("picky")

    @flow.task(retry=Retry(attempts=3, delay=0, retry_on=retry_on))
    async def body() -> None:
        raise ConnectionError("down")

    events = await run_to_end(flow)
    assert len(of_type(events, "task.started")) == starts
    assert only(events, "task.failed").data["error"] == {"type": "ConnectionError", "message": "down"}


async def test_a_predicate_that_raises_fails_the_task_with_what_it_raised() -> None:
    """The failure it was asked about is the cause; there is no further attempt."""
    flow = Workflow("broken")

    def predicate(error: BaseException) -> bool:
        raise ZeroDivisionError("the predicate")

    @flow.task(retry=Retry(delay=0, retry_on=predicate))
    async def body() -> None:
        raise ConnectionError("the body")

    async with Engine() as engine:
        run = await engine.start(flow)
        with pytest.raises(RunFailed) as failed:
            await run
        events = await full_log(engine, run)
    assert len(of_type(events, "task.started")) == 1
    assert only(events, "task.failed").data["error"] == {"type": "ZeroDivisionError", "message": "the predicate"}
    cause = failed.value.__cause__
    assert isinstance(cause, ZeroDivisionError)
    assert str(cause.__cause__) == "the body"


async def test_the_next_attempt_starts_after_the_delay_that_was_told() -> None:
    """``delay_ms`` lies within the jitter of the formula, and by event times no start comes before it is over."""
    retry = Retry(attempts=4, delay=0.02, backoff=2, jitter=0.5)
    flow = Workflow("delayed")

    @flow.task(retry=retry)
    async def body() -> None:
        raise ConnectionError

    events = await run_to_end(flow)
    starts, waits = of_type(events, "task.started")[1:], of_type(events, "task.retrying")
    assert len(starts) == len(waits) == 3
    for failures, (wait, start) in enumerate(zip(waits, starts, strict=True), 1):
        most = 1000 * retry.delay_after(failures, 0)
        assert most / 2 <= wait.data["delay_ms"] <= most
        passed = unix_seconds(start.time) - unix_seconds(wait.time)
        assert passed >= wait.data["delay_ms"] / 1000 - 0.002  # two clocks, and the loop's resolution


async def test_the_children_of_a_map_are_retried_one_by_one() -> None:
    """Only the child that failed runs again; the list is whole and in order."""
    flow = Workflow("mapped")

    @flow.task
    async def items() -> list[int]:
        return [0, 1, 2]

    @flow.task(map="items", retry=SOON)
    async def child(items: int, ctx: Context) -> int:
        if items == 1 and ctx.attempt == 1:
            raise ConnectionError
        return items * 10

    events = await run_to_end(flow)
    assert sorted(story(events, "task.started"))[:4] == [
        ("task.started", "child[0]", 1),
        ("task.started", "child[1]", 1),
        ("task.started", "child[1]", 2),
        ("task.started", "child[2]", 1),
    ]
    assert only(events, "run.completed").data["outputs"] == {"child": [0, 10, 20]}


async def test_what_an_attempt_says_carries_its_number() -> None:
    """Chunks and progress of a failed attempt stand before its end, and the next attempt begins with none of either."""
    flow = Workflow("talkative")

    @flow.task(retry=SOON)
    async def body(ctx: Context) -> None:
        await ctx.chunk(f"a{ctx.attempt} ")
        await ctx.chunk(f"b{ctx.attempt}")
        await ctx.progress(0.1 * ctx.attempt)
        await ctx.progress(0.2 * ctx.attempt, f"attempt {ctx.attempt}")
        await ctx.emit("number.said", {"attempt": ctx.attempt})
        if ctx.attempt < 3:
            raise ConnectionError

    async with Engine() as engine:
        run = await engine.start(flow)
        events = await full_log(engine, run)
        assert run.state.tasks["body"].message == "attempt 3"
    current = 0
    text: dict[int, str] = {}
    for event in events:
        if event.task_id is not None:
            current += event.type == "task.started"
            assert event.attempt == current, event
        if event.type == "task.chunk":
            text[current] = text.get(current, "") + event.data["text"]
    assert text == {attempt: f"a{attempt} b{attempt}" for attempt in (1, 2, 3)}
    assert next(chunk for chunk in of_type(events, "task.chunk") if chunk.attempt == 3).data["index"] == 0
    assert [event.data["attempt"] for event in of_type(events, "number.said")] == [1, 2, 3]
    last = {event.attempt: event.data["fraction"] for event in of_type(events, "task.progress")}
    assert last == pytest.approx({1: 0.2, 2: 0.4, 3: 0.6})


async def test_the_state_of_a_waiting_retry_has_nothing_of_the_attempt_that_starts() -> None:
    """``retrying`` with its delay while it waits; ``running`` without progress once it runs again."""
    flow = Workflow("fresh")
    go_on = asyncio.Event()

    @flow.task(retry=SOON)
    async def body(ctx: Context) -> None:
        if ctx.attempt == 1:
            await ctx.progress(0.9, "nearly")
            raise ConnectionError
        await go_on.wait()

    async with Engine() as engine:
        run = await engine.start(flow)
        await wait_for_event(run, "task.started", count=2)
        await wait_until(lambda: run.state.tasks["body"].status == "running" and run.state.tasks["body"].attempt == 2)
        task = run.state.tasks["body"]
        assert (task.progress, task.message, task.retry, task.failures) == (None, None, None, 1)
        go_on.set()
        await full_log(engine, run)


async def test_a_kept_context_of_a_failed_attempt_is_closed() -> None:
    """What an earlier attempt says while a later one runs is not recorded."""
    contexts: list[Context] = []
    flow = Workflow("kept")

    @flow.task(retry=SOON)
    async def body(ctx: Context) -> None:
        contexts.append(ctx)
        if ctx.attempt == 1:
            raise ConnectionError
        with pytest.raises(ContextClosed):
            contexts[0].emit("number.said")
        with pytest.raises(ContextClosed):
            contexts[0].chunk("late")
        await ctx.emit("number.said")

    events = await run_to_end(flow)
    assert only(events, "number.said").attempt == 2
    assert events[-1].type == "run.completed"


@pytest.mark.parametrize("limited", ["engine", "workflow"])
async def test_a_failed_attempt_lets_others_run_while_it_waits(limited: str) -> None:
    """A retry's delay holds no slot: with one slot in all, another task runs from start to end in the meantime."""
    flow = Workflow("polite", concurrency=1 if limited == "workflow" else None)
    ran: list[str] = []

    @flow.task(retry=Retry(attempts=2, delay=0.3, jitter=0))
    async def first(ctx: Context) -> None:
        ran.append(f"first {ctx.attempt}")
        if ctx.attempt == 1:
            raise ConnectionError

    @flow.task
    async def second() -> None:
        ran.append("second")

    events = await run_to_end(flow, **({"concurrency": 1} if limited == "engine" else {}))
    assert ran == ["first 1", "second", "first 2"]
    assert story(events)[1:4] == [
        ("task.retrying", "first", 1),
        ("task.started", "second", 1),
        ("task.completed", "second", 1),
    ]


async def test_a_cancel_ends_the_wait_for_the_next_attempt() -> None:
    """No further start; the task is cancelled at once, however long its delay."""
    flow = Workflow("patient")

    @flow.task(retry=Retry(delay=3600, max_delay=3600))
    async def body() -> None:
        raise ConnectionError

    async with Engine() as engine:
        run = await engine.start(flow)
        await wait_for_event(run, "task.retrying")
        await asyncio.wait_for(run.cancel(), PATIENCE)
        events = await full_log(engine, run)
    assert [event.type for event in events][2:] == [
        "task.retrying",
        "run.cancelling",
        "task.cancelled",
        "run.cancelled",
    ]
    assert only(events, "task.cancelled").data["stopped"] is True


async def test_a_body_that_fails_because_it_is_cancelled_is_not_tried_again() -> None:
    """Whatever it raises after the cancel, it was cancelled."""
    flow = Workflow("untidy")

    @flow.task(retry=SOON)
    async def body() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise ConnectionError("while it was stopped")

    async with Engine() as engine:
        run = await engine.start(flow)
        await wait_for_event(run, "task.started")
        await run.cancel()
        events = await full_log(engine, run)
        with pytest.raises(RunCancelled):
            await run
    assert story(events) == [("task.started", "body", 1), ("task.cancelled", "body", 1)]


async def test_a_paused_run_starts_no_further_attempt_until_it_goes_on() -> None:
    """The delay passes in the pause; the attempt begins right after ``run.resumed``."""
    flow = Workflow("paused")
    fail = asyncio.Event()
    stop = asyncio.Event()

    @flow.task(retry=SOON)
    async def body(ctx: Context) -> int:
        if ctx.attempt == 1:
            await fail.wait()
            raise ConnectionError
        stop.set()
        return ctx.attempt

    @flow.task
    async def ticker(ctx: Context) -> None:
        while not stop.is_set():
            await ctx.emit("time.passed")
            await asyncio.sleep(0.001)

    async with Engine() as engine:
        run = await engine.start(flow)
        await run.pause()
        fail.set()
        failed = await wait_for_event(run, "task.retrying")
        await wait_for_event(
            run, "time.passed", count=10 + len(of_type(await read_all(engine.log, run.id), "time.passed"))
        )
        assert run.state.tasks["body"].status == "retrying"
        await run.resume()
        events = await full_log(engine, run)
    resumed = only(events, "run.resumed").seq
    again = of_type(events, "task.started", "body")[1].seq
    assert failed.seq < resumed < again
    assert sum(failed.seq < event.seq < resumed for event in of_type(events, "time.passed")) >= 10
    assert only(events, "run.completed").data["outputs"]["body"] == 2


async def test_failures_are_counted_across_a_restart_and_restarts_are_not(tmp_path: Path) -> None:
    """Of two attempts one failed before the crash: the next failure is the last, whatever the number of the start."""
    flow = Workflow("counted")

    @flow.task(retry=Retry(attempts=2, delay=0))
    async def body(ctx: Context) -> None:
        raise ConnectionError(f"attempt {ctx.attempt}")

    whole = await record(flow)
    second = of_type(whole, "task.started")[1]
    log = await crashed_log("sqlite", whole[: second.seq], tmp_path)
    async with Engine(log, workflows=[flow]) as engine:
        run = await engine.get(RUN_ID)
        await asyncio.wait_for(run.ended(), PATIENCE)
        events = await read_with_blobs(engine.log)
    check_laws(events)
    assert story(events, "task.started", "task.failed") == [
        ("task.started", "body", 1),
        ("task.started", "body", 2),
        ("task.started", "body", 3),
        ("task.failed", "body", 3),
    ]


class Ahead(SystemClock):
    """A wall clock that is some seconds later."""

    def __init__(self, seconds: int) -> None:
        super().__init__()
        self._by = timedelta(seconds=seconds)

    def now(self) -> bytes:
        later = datetime.fromisoformat(super().now().decode()) + self._by
        return later.isoformat(timespec="microseconds").replace("+00:00", "Z").encode()


@pytest.mark.parametrize(("hours", "is_due"), [(0.9, False), (1.1, True)])
async def test_a_restart_waits_the_rest_of_a_delay(hours: float, is_due: bool, tmp_path: Path) -> None:
    """The attempt comes when it would have come, the downtime included; a cancel ends that wait."""
    flow = Workflow("resting")

    @flow.task(retry=Retry(attempts=2, delay=3600, max_delay=3600, jitter=0))
    async def body() -> None:
        raise ConnectionError

    log = f"sqlite:///{tmp_path}/runs.db"
    async with Engine(log, workflows=[flow], grace=0) as engine:
        run = await engine.start(flow, run_id=RUN_ID)
        await wait_for_event(run, "task.retrying")
    async with Engine(log, workflows=[flow], grace=0, clock=Ahead(int(3600 * hours))) as engine:
        run = await engine.get(RUN_ID)
        if not is_due:
            await wait_for_event(run, "run.resumed")
            assert run.state.tasks["body"].status == "retrying"
            await asyncio.wait_for(run.cancel(), PATIENCE)
        events = await full_log(engine, run)
    assert [event.attempt for event in of_type(events, "task.started")] == ([1, 2] if is_due else [1])
    assert events[-1].type == ("run.failed" if is_due else "run.cancelled")


# --- the timeout of a task ----------------------------------------------------------------------------------------


async def test_a_body_on_the_loop_that_takes_too_long_is_stopped() -> None:
    """It is cancelled, may clean up, and the task fails with TaskTimeout; awaiting shows the exception."""
    flow = Workflow("slow")

    @flow.task(timeout=0.05)
    async def body(ctx: Context) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await ctx.emit("room.tidied", {"cancelled": ctx.cancelled})

    async with Engine() as engine:
        run = await engine.start(flow)
        with pytest.raises(RunFailed) as failed:
            await asyncio.wait_for(run, PATIENCE)
        events = await full_log(engine, run)
    assert isinstance(failed.value.__cause__, TaskTimeout)
    assert only(events, "room.tidied").data == {"cancelled": True}
    failure = only(events, "task.failed").data
    assert failure["error"] == {
        "type": "TaskTimeout",
        "message": "task body took longer than its timeout of 0.05 s",
    }
    assert failure["duration_ms"] >= 49


@pytest.mark.parametrize("place", ["loop", "thread"])
async def test_what_a_body_returns_after_its_timeout_is_no_output(place: str) -> None:
    """It swallowed the cancel and returned: late is late."""
    flow = Workflow("late")

    async def on_loop() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            pass
        return "late"

    def in_thread(ctx: Context) -> str:
        while not ctx.cancelled:
            time.sleep(0.001)
        return "late"

    flow.task(on_loop if place == "loop" else in_thread, name="body", timeout=0.05)
    events = await run_to_end(flow)
    failure = only(events, "task.failed").data["error"]
    assert failure == {"type": "TaskTimeout", "message": "task body took longer than its timeout of 0.05 s"}


async def test_a_thread_learns_of_its_timeout_as_of_a_cancel() -> None:
    """``ctx.cancelled`` is true, and whoever of the body asks for something gets ContextClosed."""
    flow = Workflow("held")

    @flow.task(timeout=0.05)
    def body(ctx: Context) -> None:
        other = threading.Thread(target=ask, args=(ctx,))
        other.start()
        while not ctx.cancelled:
            time.sleep(0.001)
        other.join()

    woken: list[str] = []

    def ask(ctx: Context) -> None:
        try:
            while True:
                ctx.committed()
                time.sleep(0.001)
        except ContextClosed as error:
            woken.append(type(error).__name__)

    events = await run_to_end(flow)
    assert only(events, "task.failed").data["error"]["type"] == "TaskTimeout"
    assert woken == ["ContextClosed"]


async def test_a_process_that_takes_too_long_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that ignores the cancel is gone with its process: nothing was abandoned, and the pool goes on."""
    monkeypatch.setattr(bounds, "TIMEOUT_GRACE_SECONDS", 0.1)
    flow = Workflow("stubborn")
    flow.task(bodies.pid, name="warm", executor="process")  # a worker that is up: the timeout is the body's alone
    flow.task(bodies.ignore, name="body", after="warm", executor="process", timeout=1.5)
    flow.task(bodies.pid, name="after", after="body", executor="process", on_upstream_failure="run")
    events = await run_to_end(flow)
    failure = only(events, "task.failed", "body").data["error"]
    assert failure == {"type": "TaskTimeout", "message": "task body took longer than its timeout of 1.5 s"}
    began = only(events, "demo.began").data["pid"]
    with pytest.raises(ProcessLookupError):
        os.kill(began, 0)
    assert only(events, "task.completed", "after").data["output"] != began


@pytest.mark.parametrize("place", ["loop", "thread"])
@pytest.mark.usefixtures("short_grace")
async def test_a_body_that_does_not_stop_after_its_timeout_is_abandoned_and_named(
    place: str, gate: threading.Event
) -> None:
    """The task fails without it and says so; what it says later is not recorded."""
    flow = Workflow("deaf")
    go_on = asyncio.Event()
    caught: list[str] = []

    async def on_loop(ctx: Context) -> None:
        while not go_on.is_set():
            try:
                await go_on.wait()
            except asyncio.CancelledError:
                continue
        speak(ctx)

    def in_thread(ctx: Context) -> None:
        gate.wait(PATIENCE)
        speak(ctx)

    def speak(ctx: Context) -> None:
        try:
            ctx.emit("number.said")
        except ContextClosed as error:
            caught.append(type(error).__name__)

    flow.task(on_loop if place == "loop" else in_thread, name="body", timeout=0.05)
    async with Engine() as engine:
        run = await engine.start(flow)
        events = await full_log(engine, run)
        go_on.set()
        gate.set()
        await wait_until(lambda: caught)
        assert caught == ["ContextClosed"]
        assert await read_all(engine.log, run.id) == events
    message = "task body took longer than its timeout of 0.05 s; it did not stop and was abandoned"
    assert only(events, "task.failed").data["error"] == {"type": "TaskTimeout", "message": message}


@pytest.mark.usefixtures("short_grace")
async def test_an_abandoned_attempt_does_not_keep_the_next_from_running() -> None:
    """The retry completes while the first attempt still hangs; a cancel counts it as abandoned."""
    flow = Workflow("deaf-once")
    go_on = asyncio.Event()

    @flow.task(timeout=0.05, retry=SOON)
    async def body(ctx: Context) -> int:
        while ctx.attempt == 1 and not go_on.is_set():
            try:
                await go_on.wait()
            except asyncio.CancelledError:
                continue
        return ctx.attempt

    @flow.task
    async def after(body: int) -> None:
        await asyncio.Event().wait()

    async with Engine() as engine:
        run = await engine.start(flow)
        await wait_for_event(run, "task.started", "after")
        await run.cancel()
        events = await full_log(engine, run)
        go_on.set()
    assert "abandoned" in only(events, "task.retrying").data["error"]["message"]
    assert only(events, "task.completed").data["output"] == 2
    assert only(events, "run.cancelled").data["abandoned"] == 1


@pytest.mark.parametrize("retry_on", [Exception, TaskTimeout, TimeoutError])
@pytest.mark.parametrize("place", ["loop", "thread"])
async def test_a_timeout_is_a_failure_that_may_be_retried(place: str, retry_on: type[Exception]) -> None:
    """Each attempt has the whole timeout; TaskTimeout is a TimeoutError."""
    flow = Workflow("second-chance")

    async def on_loop(ctx: Context) -> int:
        if ctx.attempt == 1:
            await asyncio.Event().wait()
        return ctx.attempt

    def in_thread(ctx: Context) -> int:
        while ctx.attempt == 1 and not ctx.cancelled:
            time.sleep(0.001)
        return ctx.attempt

    retry = Retry(attempts=2, delay=0.1, retry_on=retry_on)
    flow.task(on_loop if place == "loop" else in_thread, name="body", timeout=0.05, retry=retry)
    events = await run_to_end(flow)
    assert story(events) == [
        ("task.started", "body", 1),
        ("task.retrying", "body", 1),
        ("task.started", "body", 2),
        ("task.completed", "body", 2),
    ]
    assert only(events, "task.retrying").data["error"]["type"] == "TaskTimeout"


async def test_a_timeout_that_is_not_to_be_retried_fails_at_once() -> None:
    """``retry_on=ConnectionError`` takes no timeout."""
    flow = Workflow("one-chance")

    @flow.task(timeout=0.02, retry=Retry(delay=0, retry_on=ConnectionError))
    async def body() -> None:
        await asyncio.Event().wait()

    events = await run_to_end(flow)
    assert story(events) == [("task.started", "body", 1), ("task.failed", "body", 1)]


def clock(flow: Workflow, seconds: float) -> None:
    """A task ``clock`` that fails when so many seconds have gone: time that has passed, as an event."""

    @flow.task(timeout=seconds)
    async def clock() -> None:
        await asyncio.Event().wait()


@pytest.mark.parametrize("place", ["loop", "thread"])
async def test_the_timeout_stands_still_while_a_body_waits_to_receive(place: str) -> None:
    """A person may take longer than the timeout; afterwards the rest of it is left, no more."""
    flow = Workflow("waits")
    clock(flow, 1.0)

    async def on_loop(ctx: Context) -> Any:
        value = await ctx.receive()
        await asyncio.Event().wait()
        return value

    def in_thread(ctx: Context) -> Any:
        value = ctx.receive()
        while not ctx.cancelled:
            time.sleep(0.001)
        return value

    flow.task(on_loop if place == "loop" else in_thread, name="body", timeout=0.5)
    async with Engine() as engine:
        run = await engine.start(flow)
        await wait_for_event(run, "task.waiting")
        await wait_for_event(run, "task.failed", "clock")
        assert run.state.tasks["body"].status == "waiting"
        await run.send("body", "at last")
        events = await full_log(engine, run)
    received = only(events, "task.received").seq
    assert only(events, "task.failed", "clock").seq < received < only(events, "task.failed", "body").seq


async def test_the_timeout_does_not_count_the_wait_for_a_slot() -> None:
    """It begins with the body."""
    flow = Workflow("queued", concurrency=1)

    @flow.task
    async def first() -> None:
        await asyncio.sleep(0.3)

    @flow.task(timeout=0.2)
    async def second() -> str:
        return "in time"

    events = await run_to_end(flow)
    assert story(events, "task.started") == [("task.started", "first", 1), ("task.started", "second", 1)]
    assert only(events, "run.completed").data["outputs"]["second"] == "in time"


async def test_a_cancel_that_comes_after_the_timeout_ends_the_body_once() -> None:
    """Timed out and cancelled while it cleans up: one end, and the run is cancelled."""
    flow = Workflow("both")
    tidy = asyncio.Event()

    @flow.task(timeout=0.02, retry=SOON)
    async def body(ctx: Context) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await ctx.emit("room.dirty")
            await tidy.wait()

    async with Engine() as engine:
        run = await engine.start(flow)
        await wait_for_event(run, "room.dirty")
        await run.request_cancel()
        tidy.set()
        events = await full_log(engine, run)
    assert story(events) == [("task.started", "body", 1), ("task.cancelled", "body", 1)]
    assert events[-1].type == "run.cancelled"


# --- the timeout of a run -----------------------------------------------------------------------------------------


async def test_a_run_that_takes_too_long_is_stopped_and_fails() -> None:
    """Bodies are stopped and say so, what has not begun does not begin, and the run failed with RunTimeout."""
    flow = Workflow("slow-run", timeout=0.1)

    @flow.task
    async def body() -> None:
        await asyncio.Event().wait()

    @flow.task
    async def after(body: None) -> None: ...

    async with Engine() as engine:
        run = await engine.start(flow)
        with pytest.raises(RunFailed, match=r"timeout of 0\.1 s"):
            await asyncio.wait_for(run, PATIENCE)
        events = await full_log(engine, run)
    assert only(events, "run.cancelling").data["reason"] == "timeout"
    assert {event.task_id for event in of_type(events, "task.cancelled")} == {"body", "after"}
    assert only(events, "run.failed").data["error"]["type"] == "RunTimeout"
    assert only(events, "run.failed").data["duration_ms"] >= 99


async def test_the_timeout_of_a_run_ends_a_retry_that_waits() -> None:
    """No attempt comes after it."""
    flow = Workflow("slow-retry", timeout=0.1)

    @flow.task(retry=Retry(delay=3600, max_delay=3600))
    async def body() -> None:
        raise ConnectionError

    events = await run_to_end(flow)
    assert story(events) == [
        ("task.started", "body", 1),
        ("task.retrying", "body", 1),
        ("task.cancelled", "body", 1),
    ]
    assert only(events, "run.failed").data["reason"] == "timeout"


async def test_the_timeout_of_a_run_stands_still_in_a_pause() -> None:
    """A pause longer than the timeout harms nobody; without it the same run fails."""
    other = Workflow("clock")
    clock(other, 1.0)
    flow = Workflow("paused", timeout=0.5)
    go_on = asyncio.Event()

    @flow.task
    async def body() -> str:
        await go_on.wait()
        return "in time"

    async with Engine() as engine:
        run = await engine.start(flow)
        await run.pause()
        late = await engine.start(other)
        await full_log(engine, late)
        assert run.status == "paused"
        await run.resume()
        go_on.set()
        assert await asyncio.wait_for(run, PATIENCE) == {"body": "in time"}
        check_laws(await read_all(engine.log, run.id))


# --- the clock that stands still ----------------------------------------------------------------------------------


steps = st.lists(st.tuples(st.booleans(), st.integers(0, 50)), max_size=20)


@given(steps, st.lists(st.integers(0, 100), max_size=4))
def test_alarms_ring_once_when_the_watch_has_gone_for_so_long(steps: list[tuple[bool, int]], at: list[int]) -> None:
    """Whatever the stops: each alarm rings once, at its time of going, in order; no timer is left while it stands."""
    clock = VirtualClock(jumps=False)
    rung: list[tuple[int, float]] = []
    watch: Stopwatch

    def alarm(seconds: int) -> Any:
        return lambda: rung.append((seconds, watch.elapsed))

    watch = Stopwatch(clock, [(float(seconds), alarm(seconds)) for seconds in at])
    gone = 0
    for is_going, seconds in steps:
        if is_going:
            watch.go()
            gone += seconds
        else:
            watch.stop()
            assert clock.pending == 0
        clock.jump(seconds)
        assert watch.elapsed == gone
    assert all(seconds == elapsed for seconds, elapsed in rung)
    went = [seconds for is_going, seconds in steps if is_going]
    assert [seconds for seconds, _ in rung] == sorted(seconds for seconds in at if went and seconds <= gone)


class Liar:
    """Raises whenever somebody looks at it."""

    @property
    def __class__(self) -> Any:
        raise RuntimeError("do not look")


async def test_an_output_that_nobody_can_look_at_hangs_no_run(engine: Engine) -> None:
    """Neither a dead weak proxy nor an object whose class raises: the task ends, and so does the run."""
    flow = Workflow("odd")
    flow.task(lambda: weakref.proxy(Liar()), name="proxy")
    flow.task(Liar, name="liar")

    @flow.task
    async def on_the_loop() -> Any:
        return weakref.proxy(Liar())

    run = await engine.start(flow)
    state = await asyncio.wait_for(run.ended(), PATIENCE)
    assert all(task.ended for task in state.tasks.values())
