"""What is said in an open run from outside its bodies: emit, log and spend, with keys and backpressure."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reactor import (
    Backpressure,
    Budget,
    Context,
    Engine,
    Event,
    InvalidEvent,
    KeyReused,
    Run,
    RunEnded,
    RunFailed,
    UnknownTask,
    Workflow,
    bounds,
    evolve,
)
from reactor.events.event import Draft
from reactor.events.fold import replay
from reactor.events.keyed import KEYED_END, digest_of, seqs_of, tail_of
from reactor.events.state import RunState
from reactor.logs.memory import MemoryLog
from reactor.stream.checkpoints import decode_state, encode_state
from reactor.testing import check_event

flow = Workflow("asks")


@flow.task
async def ask(ctx: Context) -> int:
    return await ctx.receive("how many?", schema=int)


@flow.task
async def numbers() -> list[int]:
    return [1, 2]


@flow.task(map={"n": "numbers"})
async def double(n: int, ask: int) -> int:
    return n * ask


async def whole(run: Run) -> list[Event]:
    events = [event async for event in run]
    for event in events:
        check_event(event)
    assert replay(run.id, events) == run.state
    return events


def of_type(events: list[Event], type: str) -> list[Event]:
    return [event for event in events if event.type == type]


# --- beside the tasks of a run ----------------------------------------------------------------------------------


async def test_events_stand_beside_those_of_the_tasks(engine: Engine) -> None:
    """About a task they carry its attempt, as if its body had said them; the run ends as it would have."""
    run = await engine.start(flow)
    await _asks(run)
    await run.emit("page.fetched", {"n": 1}, task="ask")
    await run.emit("page.fetched", {"n": 2}, task=ask)
    await run.emit("page.fetched", {"n": 3})
    await run.log.error("oh", code=7)
    await run.log("info", "about one", task="numbers")
    await run.spend(cost=0.5, task="ask")
    await run.spend(tokens=3)
    await run.send("ask", 10)
    assert await run == {"double": [10, 20]}
    events = await whole(run)
    assert [(e.task_id, e.attempt) for e in of_type(events, "page.fetched")] == [("ask", 1), ("ask", 1), (None, None)]
    assert [(e.task_id, e.data["message"]) for e in of_type(events, "log.created")] == [
        (None, "oh"),
        ("numbers", "about one"),
    ]
    assert [(e.task_id, e.data["total_cost"]) for e in of_type(events, "task.spent")] == [("ask", 0.5), (None, 0.5)]
    assert (run.state.to_dict()["cost"], run.state.tokens) == (0.5, 3)
    assert run.state.tasks["ask"].to_dict()["cost"] == 0.5
    with pytest.raises(RunEnded, match="is completed already"):
        run.emit("late")


async def _asks(run: Run) -> None:
    async for event in run:
        if event.type == "task.waiting":
            return


async def test_a_task_is_one_of_the_run(engine: Engine) -> None:
    """A name that the graph does not have is a slip, so it is refused; so is a child that is not there yet."""
    run = await engine.start(flow)
    await _asks(run)
    for say in (
        lambda task: run.emit("said", task=task),
        lambda task: run.log("info", "x", task=task),
        lambda task: run.spend(tokens=1, task=task),
    ):
        with pytest.raises(UnknownTask, match="has no task 'aks', did you mean 'ask'"):
            say("aks")
        with pytest.raises(UnknownTask):
            say("double[7]")
    with pytest.raises(UnknownTask):
        await run.emit_all([{"type": "said"}, {"type": "said", "task": "aks"}])
    await run.send("ask", 1)
    await run
    assert of_type(await whole(run), "said") == []


async def test_what_is_spent_from_outside_counts_for_the_budget(engine: Engine) -> None:
    """It stops the run, as what a body spends does."""
    run = await engine.start(flow, budget=Budget(cost=1))
    await _asks(run)
    await run.spend(cost=2)
    with pytest.raises(RunFailed, match="the budget is exceeded"):
        await run
    await whole(run)


async def test_a_wrong_level_is_told(engine: Engine) -> None:
    """The levels are those of ``ctx.log``."""
    session = await engine.session("s1")
    with pytest.raises(InvalidEvent, match="'loud' is no level of a log line; there are debug, info"):
        session.log("loud", "x")
    with pytest.raises(AttributeError, match=r"run\.log has no 'warn', did you mean 'warning'"):
        session.log.warn("x")  # type: ignore[attr-defined]


async def test_it_is_said_on_the_loop(engine: Engine) -> None:
    """From a thread it would mix with what the loop writes; the error says what to write."""
    session = await engine.session("s1")
    caught: list[BaseException] = []

    def in_a_thread() -> None:
        try:
            session.emit("said")
        except RuntimeError as error:
            caught.append(error)

    thread = threading.Thread(target=in_a_thread)
    thread.start()
    await asyncio.to_thread(thread.join)
    assert "loop.call_soon_threadsafe(run.emit, ...)" in str(caught[0])
    asyncio.get_running_loop().call_soon_threadsafe(session.emit, "said")
    await asyncio.sleep(0)
    await session.close()
    assert [event.type for event in await whole(session)] == ["run.started", "said", "run.completed"]


# --- backpressure -----------------------------------------------------------------------------------------------


class HeldLog(MemoryLog):
    """Takes windows, and answers only once it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.held: list[asyncio.Future[int]] = []
        self.is_held = False

    def append(self, run_id: str, window: Any, **options: Any) -> asyncio.Future[int]:
        done = super().append(run_id, window, **options)
        if not self.is_held:
            return done
        held: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        held.add_done_callback(lambda _: None)
        self.held.append(held)
        return held

    def let_go(self) -> None:
        self.is_held = False
        for held in self.held:
            if not held.done():
                held.set_result(1)


async def test_an_emit_that_is_awaited_waits_for_room() -> None:
    """It is appended at once, and its await ends when the log has taken a window."""
    log = HeldLog()
    async with Engine(log, grace=0) as engine:
        session = await engine.session("s1")
        log.is_held = True
        session.emit("first")
        await asyncio.sleep(0)
        waits = [session.emit("said", {"n": n}) for n in range(bounds.WINDOW_EVENTS)]
        last = asyncio.ensure_future(_awaited(waits[-1]))
        await asyncio.sleep(0)
        assert not last.done()
        batch = asyncio.ensure_future(session.emit_all([{"type": "batch"}]))
        log.let_go()
        await last
        assert await batch == [bounds.WINDOW_EVENTS + 3]
        await session.close()
        assert len(await whole(session)) == bounds.WINDOW_EVENTS + 4


async def _awaited(wait: Any) -> None:
    await wait


async def test_who_emits_on_and_on_and_awaits_nothing_is_told() -> None:
    """Past twice the window; those who await are not to blame, and go on."""
    log = HeldLog()
    async with Engine(log, grace=0) as engine:
        session = await engine.session("s1")
        log.is_held = True

        taken = 0

        async def careless() -> None:
            nonlocal taken
            for _ in range(10 * bounds.WINDOW_EVENTS):
                session.emit("careless")
                taken += 1

        async def careful(n: int) -> None:
            await session.emit("careful", {"n": n})

        with pytest.raises(Backpressure, match=r"await run\.emit\(\.\.\.\)"):
            await asyncio.create_task(careless())
        assert bounds.WINDOW_EVENTS < taken <= 3 * bounds.WINDOW_EVENTS
        others = [asyncio.create_task(careful(n)) for n in range(10)]
        await asyncio.sleep(0)
        log.let_go()
        await asyncio.gather(*others)
        await session.close()
        events = await whole(session)
        assert (len(of_type(events, "careless")), len(of_type(events, "careful"))) == (taken, 10)


# --- keys -------------------------------------------------------------------------------------------------------


async def test_an_event_with_its_key_again_is_not_doubled(engine: Engine) -> None:
    """Before it is in the log, after that, and after the end; the seqs are those of the first time."""
    session = await engine.session("s1")
    session.emit("said", {"n": 1}, key="k")
    session.emit("said", {"n": 1}, key="k")
    await session.committed()
    await session.emit("said", {"n": 1}, key="k")
    batch = [{"type": "a"}, {"type": "b", "task": "t"}]
    twice = await asyncio.gather(session.emit_all(batch, key="both"), session.emit_all(batch, key="both"))
    assert twice == [[3, 4], [3, 4]]
    assert await session.emit_all(batch) == [5, 6]
    await session.close()
    assert await session.emit_all(batch, key="both") == [3, 4]
    await session.emit("said", {"n": 1}, key="k")
    events = await whole(session)
    assert [event.idempotency_key for event in events] == [None, "k", "both", "both", None, None, None]
    assert [event.type for event in events] == ["run.started", "said", "a", "b", "a", "b", "run.completed"]


@pytest.mark.parametrize(
    "other",
    [
        [{"type": "a", "data": {"n": 2}}],
        [{"type": "b", "data": {"n": 1}}],
        [{"type": "a", "data": {"n": 1}, "task": "t"}],
        [{"type": "a", "data": {"n": 1}}] * 2,
    ],
)
async def test_a_key_is_for_one_thing(other: list[dict[str, Any]], engine: Engine) -> None:
    """Another event under it is refused, in the window and in the log, and nothing is appended."""
    session = await engine.session("s1")
    session.emit("a", {"n": 1}, key="k")
    for _ in range(2):
        with pytest.raises(KeyReused, match="the key 'k' was used for another event") as caught:
            await session.emit_all(other, key="k")
        assert caught.value.key == "k"
        await session.committed()
    assert session.state.seq == 2


@pytest.mark.parametrize("key", ["", "x" * 201, 5, "\ud800"])
async def test_a_key_that_cannot_be_one_is_refused(key: Any, engine: Engine) -> None:
    """As those of questions."""
    session = await engine.session("s1")
    with pytest.raises(InvalidEvent, match="a key must be text of 1 to 200"):
        session.emit("said", key=key)


async def test_the_last_1000_keys_are_remembered(engine: Engine) -> None:
    """An older one may be used again: nobody knows it any more."""
    session = await engine.session("s1")
    for n in range(bounds.RUN_ANSWERS + 1):
        await session.emit("said", {"n": n}, key=f"k{n}")
    await session.committed()
    assert len(session.state.remembered or {}) == bounds.RUN_ANSWERS
    assert await session.emit_all([{"type": "said", "data": {"n": 1}}], key="k1") == [3]
    assert await session.emit_all([{"type": "said", "data": {"n": 0}}], key="k0") == [bounds.RUN_ANSWERS + 3]
    assert "remembered" not in session.state.to_dict()


KEYS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200)


@settings(max_examples=200, deadline=None)
@given(key=KEYS, text=st.text(st.characters(exclude_categories=["Cs"])), task=st.sampled_from([None, "t", "t[3]"]))
def test_a_key_stands_in_the_envelope_whatever_its_text(key: str, text: str, task: str | None) -> None:
    """It is read back as it was, on one line, and what the data says is never taken for a key."""
    data = orjson.dumps({"text": text, "idempotency_key": "x"})
    digest = digest_of([("said", task, data)])
    keyed = Event.from_draft(7, "r", b"2026-11-21T02:51:00.000001Z", Draft("said", data, tail=tail_of(key, digest)))
    plain = Event.from_draft(8, "r", b"2026-11-21T02:51:00.000001Z", Draft("said", data))
    assert len(keyed.json.decode().splitlines()) == 1
    assert (keyed.json[-2] == KEYED_END, plain.json[-2] == KEYED_END) == (True, False)
    read = Event.from_log(7, "r", keyed.json)
    assert (read.idempotency_key, read.data["text"], plain.idempotency_key) == (key, text, None)
    state = evolve(evolve(RunState("r"), read), plain)
    assert state.remembered == {key: [digest, [7, 7]]}


async def test_keys_are_in_a_checkpoint() -> None:
    """A state that is kept and read back goes on as the fold of all events does."""
    state = RunState("r")
    for n in range(1, 8):
        draft = Draft("said", b"{}", tail=tail_of(f"k{n // 2}", "0" * 16))
        evolve(state, Event.from_draft(n, "r", b"2026-11-21T02:51:00.000001Z", draft))
    kept = await decode_state(await encode_state(state))
    assert kept == state
    assert seqs_of((state.remembered or {})["k2"]) == [4, 5]
