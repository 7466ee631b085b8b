"""Sessions: runs without tasks, whose events come from outside."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reactor import (
    Budget,
    Engine,
    EngineClosed,
    Event,
    EventTooLarge,
    InvalidEvent,
    IsSession,
    ReactorError,
    Run,
    RunCancelled,
    RunEnded,
    RunExists,
    RunFailed,
    Session,
    UnknownTask,
    Workflow,
    bounds,
    evolve,
)
from reactor.errors import InvalidRunId, RunOpen
from reactor.events.state import RunState
from reactor.testing import check_event, virtual_engine

flow = Workflow("plain")
flow.task(lambda: 1, name="one")


@pytest.fixture(params=["memory", "sqlite"])
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Engine]:
    url = "memory://" if request.param == "memory" else f"sqlite:///{tmp_path / 'runs.db'}"
    async with Engine(url, workflows=[flow], grace=0) as engine:
        yield engine


async def events_of(run: Run, *, after: int = 0) -> list[Event]:
    """What the log has of an open run, without waiting for its end."""
    await run.committed()
    return [event async for event in _until(run, run.state.seq) if event.seq > after]


async def _until(run: Run, seq: int) -> AsyncIterator[Event]:
    if seq == 0:
        return
    async for event in run:
        yield event
        if event.seq >= seq:
            return


async def whole(run: Run) -> list[Event]:
    """All events of an ended run, held to the vocabulary, the numbers and the fold."""
    events = [event async for event in run]
    for event in events:
        check_event(event)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    state = RunState(run.id)
    for event in events:
        evolve(state, event)
    assert state == run.state
    return events


# --- its life ---------------------------------------------------------------------------------------------------


async def test_a_session_is_a_run_whose_events_come_from_outside(engine: Engine) -> None:
    """What is emitted is numbered and logged in order; it stays open until it is closed, and gives its outputs."""
    session = await engine.session("s1", meta={"team": "data"}, budget={"cost": 5})
    assert (session.id, session.status, session.state.session) == ("s1", "running", True)
    await session.emit("agent:started", {"agentName": "reader"}, task="reader")
    await session.emit("ROUTER_THOUGHT")
    await session.log.info("loaded", rows=12)
    await session.log("warning", "slow", task="read[3]", ms=4)
    await session.spend(cost="0.5", tokens=3, task="reader")
    await session.close(outputs={"answer": 42})
    assert await session == {"answer": 42}
    events = await whole(session)
    assert [(event.type, event.task_id) for event in events] == [
        ("run.started", None),
        ("agent:started", "reader"),
        ("ROUTER_THOUGHT", None),
        ("log.created", None),
        ("log.created", "read[3]"),
        ("task.spent", "reader"),
        ("run.completed", None),
    ]
    started = events[0].data
    assert started["session"] is True
    assert (started["workflow"], started["tasks"], started["total_tasks"]) == ("session", [], 0)
    assert (started["meta"], started["budget"]["cost"]) == ({"team": "data"}, 5)
    assert events[3].data == {"level": "info", "message": "loaded", "fields": {"rows": 12}}
    assert (events[4].task, events[4].map_index) == ("read", 3)
    assert (session.state.to_dict()["cost"], session.state.tokens, dict(session.state.tasks)) == (0.5, 3, {})
    (record,) = await engine.list()
    assert (record.is_session, record.workflow, record.status) == (True, "session", "completed")


async def test_the_same_call_gives_the_same_session(engine: Engine) -> None:
    """While it is open, from two places at once, and after its end; ``get`` gives it too."""
    first, second = await asyncio.gather(
        engine.session("s1", meta={"a": 1}, idle=60), engine.session("s1", meta={"a": 1}, idle=60)
    )
    assert first is second is await engine.get("s1")
    assert (await engine.ensure_session("s1", meta={"a": 1}, idle=60.0))[1] is False
    await first.emit("said")
    await first.close()
    again = await engine.session("s1", meta={"a": 1}, idle=60)
    assert isinstance(again, Session)
    assert again.status == "completed"
    with pytest.raises(RunEnded):
        await again.emit("said")
    assert [event.type for event in await whole(again)] == ["run.started", "said", "run.completed"]


async def test_another_start_under_its_id_is_refused(engine: Engine) -> None:
    """Another meta, budget or idle, and an ordinary run; neither is touched."""
    await engine.session("s1", meta={"a": 1})
    for other in ({}, {"meta": {"a": 2}}, {"meta": {"a": 1}, "idle": 5}, {"meta": {"a": 1}, "budget": {"cost": 1}}):
        with pytest.raises(RunExists, match="opened with another meta, budget or idle"):
            await engine.session("s1", **other)
    with pytest.raises(RunExists):
        await engine.start(flow, run_id="s1")
    with pytest.raises(RunExists):
        await engine.ensure(flow, run_id="s1")
    await (await engine.start(flow, run_id="r1"))
    with pytest.raises(RunExists, match="of another kind"):
        await engine.session("r1")
    assert (await engine.get("s1")).state.seq == 1


async def test_a_workflow_named_session_is_no_session(engine: Engine) -> None:
    """They are told apart by ``session`` in ``run.started``, not by the name; also where all else is the same."""
    mine = Workflow("session")
    mine.task(lambda: 1, name="one")
    await (await engine.start(mine, run_id="r1"))
    with pytest.raises(RunExists):
        await engine.session("r1")
    await engine.session("s1")
    with pytest.raises(RunExists):
        await engine.ensure(mine, run_id="s1")
    assert {record.run_id: record.is_session for record in await engine.list()} == {"s1": True, "r1": False}


@pytest.mark.parametrize(
    ("arguments", "error", "sentence"),
    [
        ({"run_id": "no/slash"}, InvalidRunId, "not a valid run id"),
        ({"meta": [1]}, ValueError, "the meta of a run must be an object"),
        ({"budget": {"costs": 1}}, ValueError, "did you mean 'cost'"),
        ({"budget": Budget(cost=1, on_exceeded="pause")}, ValueError, "cannot pause it"),
        ({"idle": 0}, ValueError, "the idle of a session must be a number of seconds above 0"),
        ({"idle": "60"}, ValueError, "the idle of a session must be a number"),
    ],
)
async def test_a_bad_start_opens_nothing(
    engine: Engine, arguments: dict[str, Any], error: type[Exception], sentence: str
) -> None:
    """One sentence that says what is wrong."""
    with pytest.raises(error, match=sentence):
        await engine.session(**{"run_id": "s1", **arguments})
    assert await engine.list() == []


async def test_an_engine_that_is_closed_opens_no_session() -> None:
    """As with runs."""
    with pytest.raises(EngineClosed):
        await Engine().session("s1")


# --- its end ----------------------------------------------------------------------------------------------------


async def test_it_is_closed_as_failed(engine: Engine) -> None:
    """A message, an object or an exception; awaiting it raises that."""
    for id, error, shown in (
        ("a", None, {"type": "SessionFailed", "message": "closed as failed"}),
        ("b", "no luck", {"type": "SessionFailed", "message": "no luck"}),
        ("c", {"type": "Timeout", "message": "late"}, {"type": "Timeout", "message": "late"}),
        ("d", KeyError("x"), {"type": "KeyError", "message": "'x'"}),
    ):
        session = await engine.session(id)
        await session.close("failed", error=error)
        assert (session.status, session.state.error) == ("failed", shown)
        with pytest.raises(RunFailed, match=shown["message"]):
            await session
        await whole(session)


async def test_it_is_closed_as_cancelled(engine: Engine) -> None:
    """Without ``run.cancelling``: nothing was left to stop."""
    session = await engine.session("s1")
    await session.close("cancelled")
    assert [event.type for event in await whole(session)] == ["run.started", "run.cancelled"]
    with pytest.raises(RunCancelled, match="closed"):
        await session


async def test_large_outputs_are_stored_beside_the_event(engine: Engine) -> None:
    """As those of a run: above 32 KiB the event refers to them."""
    session = await engine.session("s1")
    await session.close(outputs={"text": "ü\u2028" * bounds.MAX_INLINE_BYTES})
    assert await session == {"text": "ü\u2028" * bounds.MAX_INLINE_BYTES}
    assert (await whole(session))[-1].data["outputs_ref"] == "runs/s1"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"status": "done"}, "closed as one of completed, failed, cancelled, not 'done'"),
        ({"status": "failed", "outputs": {}}, "closed as failed has no outputs"),
        ({"error": "x"}, "closed as completed has no error"),
        ({"outputs": [1]}, "must be an object"),
        ({"outputs": {"x": object()}}, "are not JSON"),
        ({"status": "failed", "error": {"text": "x"}}, "the error of a session must be text"),
        ({"status": "failed", "error": 5}, "the error of a session must be text"),
    ],
)
async def test_a_bad_close_leaves_it_open(engine: Engine, arguments: dict[str, Any], sentence: str) -> None:
    """One sentence, and the session goes on."""
    session = await engine.session("s1")
    with pytest.raises(ValueError, match=sentence):
        await session.close(**arguments)
    await session.emit("said")
    assert session.status == "running"


async def test_a_cancel_ends_it_at_once(engine: Engine) -> None:
    """Nothing of it runs here, so there is nothing to wait for."""
    session = await engine.session("s1")
    await session.emit("said")
    await session.cancel(grace=1_000, reason="enough")
    assert [event.type for event in await whole(session)][-2:] == ["run.cancelling", "run.cancelled"]
    with pytest.raises(RunCancelled, match="enough"):
        await session


async def test_nothing_is_said_after_the_end(engine: Engine) -> None:
    """From the moment the terminal event is written, which is before it is in the log."""
    session = await engine.session("s1")
    closing = asyncio.ensure_future(session.close())
    await asyncio.sleep(0)
    for say in (
        lambda: session.emit("late"),
        lambda: session.log.info("late"),
        lambda: session.spend(tokens=1),
    ):
        with pytest.raises(RunEnded, match="is completed already"):
            say()
    await closing
    for command in (session.close, session.cancel, lambda: session.emit_all([{"type": "late"}])):
        with pytest.raises(RunEnded):
            await command()
    assert [event.type for event in await whole(session)] == ["run.started", "run.completed"]


async def test_it_cannot_be_paused_or_retried(engine: Engine) -> None:
    """Nothing of it is done here, so there is nothing to hold up and nothing to do again."""
    session = await engine.session("s1")
    with pytest.raises(IsSession, match="no tasks to pause"):
        await session.pause()
    with pytest.raises(IsSession, match="no tasks to resume"):
        await session.resume()
    with pytest.raises(UnknownTask):
        await session.send("x", 1)
    with pytest.raises(RunOpen):
        await engine.retry("s1")
    await session.close()
    with pytest.raises(IsSession, match="nothing to retry"):
        await engine.retry("s1")
    await engine.delete("s1")
    assert (await engine.session("s1")).state.seq == 1


# --- what is said -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", bounds.RESERVED_EVENT_PREFIXES)
async def test_the_types_of_the_engine_are_reserved(prefix: str, engine: Engine) -> None:
    """The same sentence as for a body."""
    session = await engine.session("s1")
    with pytest.raises(InvalidEvent, match=f"reserved for the engine; begin it with another word than {prefix[:-1]}"):
        session.emit(f"{prefix}said")


@pytest.mark.parametrize("type", ["ROUTER_THOUGHT", "WorkflowStepStarted", "agent:started", "task_start", "a-b.c:d"])
async def test_vocabularies_of_applications_are_taken_as_they_are(type: str, engine: Engine) -> None:
    """Their clients know these names."""
    session = await engine.session("s1")
    await session.emit(type, task="step.1")
    await session.close()
    assert (await whole(session))[1].type == type


@pytest.mark.parametrize(
    ("event", "error", "sentence"),
    [
        ({"type": "a b"}, InvalidEvent, "is not an event type"),
        ({"type": 5}, InvalidEvent, "is not an event type"),
        ({}, InvalidEvent, "is not an event type"),
        ({"type": "a", "data": [1]}, InvalidEvent, "must be a JSON object, not a list"),
        ({"type": "a", "data": {"x": object()}}, InvalidEvent, "is not JSON"),
        ({"type": "a", "data": {"x": "x" * bounds.MAX_EVENT_BYTES}}, EventTooLarge, "the limit is 49,152"),
        ({"type": "a", "task": "no task"}, InvalidEvent, "cannot be the task of an event"),
        ({"type": "a", "task": "read[03]"}, InvalidEvent, "cannot be the task of an event"),
        ({"type": "a", "task": 5}, InvalidEvent, "a task is named by its id"),
        ({"type": "a", "text": 5}, InvalidEvent, "an event has no member 'text'"),
        ("a", InvalidEvent, "an event is an object"),
    ],
)
async def test_of_several_events_all_are_appended_or_none(
    event: Any, error: type[ReactorError], sentence: str, engine: Engine
) -> None:
    """All are checked before the first is appended, and the sentence says which is wrong."""
    session = await engine.session("s1")
    with pytest.raises(error, match=sentence) as caught:
        await session.emit_all([{"type": "good"}, {"type": "good", "task": "x"}, event])
    assert caught.value.run_id == "s1"
    if "cannot be the task" not in sentence:
        assert "events[2]" in str(caught.value)
    assert await events_of(session, after=1) == []


async def test_several_events_are_numbered_one_after_the_other(engine: Engine) -> None:
    """Their seqs come back once they are in the log; other writers are before or after them."""
    session = await engine.session("s1")
    batches = [[{"type": f"w{writer}", "data": {"n": n}} for n in range(20)] for writer in range(5)]
    answers = await asyncio.gather(*(session.emit_all(batch) for batch in batches))
    assert all(seqs == list(range(seqs[0], seqs[0] + 20)) for seqs in answers)
    assert all(seqs[-1] <= session.state.seq for seqs in answers)
    assert sorted(seq for seqs in answers for seq in seqs) == list(range(2, 102))
    for count in (0, bounds.EMITTED_AT_ONCE + 1):
        with pytest.raises(InvalidEvent, match=f"1 to 1,000 events are emitted at once, not {count:,}"):
            await session.emit_all([{"type": "x"}] * count)


async def test_the_largest_event_is_within_the_limit(engine: Engine) -> None:
    """With the longest names, and the longest key of the worst characters, in its envelope."""
    session = await engine.session("s" * 64)
    key, type, task = "\x01" * bounds.MAX_REASON_CHARS, "t" * 64, "n" * 64 + "[99999999]"
    size = bounds.MAX_EVENT_BYTES
    while True:
        try:
            session.emit(type, {"x": "x" * size}, task=task, key=key)
            break
        except EventTooLarge:
            size -= 50
    await session.close()
    sizes = [len(event.json) for event in await whole(session)]
    assert bounds.MAX_EVENT_BYTES - 1_024 < max(sizes) <= bounds.MAX_EVENT_BYTES


async def test_spending_is_held_against_its_budget(engine: Engine) -> None:
    """One warning at 80 percent, one event above the limit, then it fails, at once."""
    session = await engine.session("s1", budget=Budget(cost=1.0, tokens=10))
    await session.spend(cost=0.5, task="reader")
    await session.spend(cost=0.4)
    await session.spend(cost=0.2, tokens=11)
    with pytest.raises(RunFailed, match="the budget is exceeded"):
        await session
    types = [event.type for event in await whole(session)]
    assert types == [
        "run.started", "task.spent", "task.spent", "budget.warning", "task.spent",
        "budget.exceeded", "budget.warning", "budget.exceeded", "run.cancelling", "run.failed",
    ]  # fmt: skip
    assert session.state.exceeded == ["cost", "tokens"]
    with pytest.raises(RunEnded, match="is failed already"):
        await session.spend(cost=1)


async def test_a_budget_that_only_tells_leaves_it_open(engine: Engine) -> None:
    """``on_exceeded="tell"``."""
    session = await engine.session("s1", budget=Budget(cost=1, on_exceeded="tell"))
    await session.spend(cost=2)
    await session.close()
    assert await session == {}


# --- idle -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["emit", "log", "spend", "emit_all"])
async def test_it_is_closed_when_nothing_was_said_for_too_long(how: str) -> None:
    """Counted from the last thing said, of any kind, to the second."""
    async with virtual_engine() as (engine, clock):
        session = await engine.session("s1", idle=60)
        began = clock.monotonic()
        for _ in range(3):
            await _sleep(clock, 50)
            if how == "emit":
                await session.emit("said")
            elif how == "log":
                await session.log.info("said")
            elif how == "spend":
                await session.spend(tokens=1)
            else:
                await session.emit_all([{"type": "said"}])
        with pytest.raises(RunFailed, match="SessionIdle: nothing was said for 60 seconds"):
            await session
        assert clock.monotonic() - began == 210
        assert (session.state.reason, session.state.idle) == ("idle", 60)
        await whole(session)


async def test_a_session_that_is_closed_in_time_does_not_end_twice() -> None:
    """Its timer goes with it."""
    async with virtual_engine() as (engine, clock):
        closed, cancelled = await engine.session("s1", idle=60), await engine.session("s2", idle=60)
        await closed.close()
        await cancelled.cancel()
        await _sleep(clock, 1_000)
        assert [len(await whole(session)) for session in (closed, cancelled)] == [2, 3]


async def _sleep(clock: Any, seconds: float) -> None:
    done = asyncio.get_running_loop().create_future()
    clock.call_later(seconds, done.set_result, None)
    await done


# --- interleavings ----------------------------------------------------------------------------------------------


async def _ended_by(session: Session, end: str) -> None:
    if end == "cancel":
        await session.cancel()
    else:
        await session.close("failed" if end == "fail" else "completed")


Step = tuple[int, str]
STEPS = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from(["emit", "emit", "emit", "batch", "turn", "log"])), max_size=40
)


@settings(max_examples=40, deadline=None)
@given(steps=STEPS, end=st.sampled_from(["close", "cancel", "fail"]), at=st.integers(0, 40), late=st.integers(0, 10))
async def test_the_log_has_what_was_taken_in_the_order_of_each_writer(
    steps: list[Step], end: str, at: int, late: int
) -> None:
    """Several writers, and somebody who ends the session between: what was refused is not there, all else is, once."""
    async with Engine(grace=0) as engine:
        session = await engine.session("s1")
        taken: dict[int, list[int]] = {writer: [] for writer in range(4)}
        ending: asyncio.Future[None] | None = None
        for place, (writer, what) in enumerate([*steps, *[(0, "emit")] * late]):
            if place == at:
                ending = asyncio.ensure_future(_ended_by(session, end))
            try:
                if what == "turn":
                    await asyncio.sleep(0)
                elif what == "batch":
                    await session.emit_all([{"type": "w", "data": {"w": writer, "n": n}} for n in (place, place + 0.5)])
                    taken[writer] += [place, place + 0.5]
                elif what == "log":
                    await session.log.info("w", w=writer, n=place)
                    taken[writer].append(place)
                else:
                    await session.emit("w", {"w": writer, "n": place})
                    taken[writer].append(place)
            except RunEnded:
                assert ending is not None
        if ending is None:
            ending = asyncio.ensure_future(session.close())
        await ending
        events = await whole(session)
    said: dict[int, list[int]] = {writer: [] for writer in range(4)}
    for event in events:
        if event.type in ("w", "log.created"):
            data = event.data.get("fields", event.data)
            said[data["w"]].append(data["n"])
    assert said == taken
