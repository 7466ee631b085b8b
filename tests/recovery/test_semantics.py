"""What a restart does with the open runs of its log, point by point (decided semantics 21 to 23, and 28)."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestServer
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

import reactor_web
from reactor import Context, Engine, Event, LogLost, RunCancelled, Workflow
from reactor.events.fold import replay
from reactor.events.state import RunState
from reactor.logs.memory import MemoryLog
from reactor.ports.log import EventLog
from tests.helpers.crash import RUN_ID, check_laws, crashed_log, read_with_blobs, record, said
from tests.helpers.runs import PATIENCE
from tests.helpers.server import Stream

KINDS = pytest.mark.parametrize("kind", ["memory", "sqlite"])


def chain(ran: list[str], *, version: str = "1", extra: bool = False) -> Workflow:
    """a -> b; ``extra`` puts a task before a, which no run in which a has begun can go on with."""
    flow = Workflow("chain", version=version)

    @flow.task(after=["c"] if extra else [])
    async def a() -> int:
        ran.append("a")
        return 1

    @flow.task
    async def b(a: int) -> int:
        ran.append("b")
        return a + 1

    if extra:

        @flow.task
        async def c() -> int:
            return 3

    return flow


def up_to(events: list[Event], type: str, task: str) -> list[Event]:
    """The events up to the one that says this of this task."""
    at = next(i for i, event in enumerate(events) if (event.type, event.task_id) == (type, task))
    return events[: at + 1]


async def after_restart(log: EventLog, flow: Workflow) -> list[Event]:
    async with Engine(log, workflows=[flow]) as engine:
        run = await engine.get(RUN_ID)
        await asyncio.wait_for(run.ended(), PATIENCE)
        return await read_with_blobs(engine.log)


# --- 21: which runs are recovered ---------------------------------------------------------------------------------

IN_THE_WAY = "its task 'a' has begun, and depends on c now, where it was nothing"
STRANGERS = {
    "unknown": ([], "its workflow 'chain' is not registered here"),
    "version": ([chain([], version="2", extra=True)], f"it was started with version '1', here is '2': {IN_THE_WAY}"),
    "graph": (
        [chain([], extra=True)],
        f"the graph of workflow 'chain' has changed since it was started: {IN_THE_WAY}",
    ),
}


@KINDS
@pytest.mark.parametrize("why", STRANGERS)
async def test_a_run_that_nobody_here_can_go_on_with_is_left_as_it_is(kind: str, why: str, tmp_path: Path) -> None:
    """Nothing is written, nothing runs, the engine says why; whoever knows the workflow goes on with it later."""
    workflows, reason = STRANGERS[why]
    ran: list[str] = []
    prefix = up_to(await record(chain([])), "task.completed", "a")
    log = await crashed_log(kind, prefix, tmp_path)
    async with Engine(log, workflows=workflows) as engine:
        assert engine.not_recovered == {RUN_ID: reason}
        assert engine.open_runs == 0
        run = await engine.get(RUN_ID)
        assert run.status == "running"
        assert [event async for event in run] == prefix
        with pytest.raises(LogLost, match="nobody here goes on with it"):
            await run
        assert await read_with_blobs(engine.log) == prefix
    if kind == "sqlite":
        log = type(log)(log.path)  # type: ignore[attr-defined,call-arg]
    events = await after_restart(log, chain(ran))
    assert events[-1].type == "run.completed"
    assert ran == ["b"]


@pytest.mark.parametrize("why", STRANGERS)
async def test_its_stream_gives_the_history_and_closes_with_the_reason(why: str, tmp_path: Path) -> None:
    """No stream.end: the run has not ended; GET says why nobody goes on with it."""
    workflows, reason = STRANGERS[why]
    prefix = up_to(await record(chain([])), "task.completed", "a")
    engine = Engine(await crashed_log("sqlite", prefix, tmp_path), workflows=workflows)
    server = TestServer(reactor_web.create_app(engine, workflows), host="127.0.0.1")
    async with server, aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{server.port}/api/v1/runs/{RUN_ID}"
        for after in (0, 2, len(prefix)):
            headers = {"Last-Event-ID": str(after)} if after else {}
            async with Stream(session.get(f"{url}/events", headers=headers)) as stream:
                frames = await stream.all()
            assert stream.status == 200
            assert [frame.data.encode() for frame in frames[:-1]] == [event.json for event in prefix[after:]]
            assert frames[-1].event == "stream.closing"
            assert '"reason":"not_recovered"' in frames[-1].data
            assert frames[-1].id == ""
        async with session.get(url) as response:
            answer = await response.json()
        assert answer["recoverable"] is False
        assert answer["not_recovered"] == reason


@KINDS
async def test_all_open_runs_of_a_log_are_recovered_and_the_others_left(kind: str, tmp_path: Path) -> None:
    """Inside ``async with``, before the engine takes new runs; one that cannot be recovered harms no other."""
    ran: list[str] = []
    log = await crashed_log(kind, up_to(await record(chain([])), "task.completed", "a"), tmp_path)
    await log.open()
    for name in ("open-1", "other", "open-2"):
        flow = Workflow("other") if name == "other" else chain([])
        if name == "other":
            flow.task(lambda: 1, name="only")
        async with Engine() as engine:
            await (await engine.start(flow, run_id=name))
            events = await read_with_blobs(engine.log, name)
        await log.append(name, events[:2])
    await log.close()
    if kind == "sqlite":
        log = type(log)(log.path)  # type: ignore[attr-defined,call-arg]
    async with Engine(log, workflows=[chain(ran)]) as engine:
        assert engine.not_recovered.keys() == {"other"}
        for name in (RUN_ID, "open-1", "open-2"):
            assert await (await engine.get(name)) == {"b": 2}
        assert await (await engine.start("chain", run_id="new")) == {"b": 2}
    assert sorted(ran) == ["a"] * 3 + ["b"] * 4


# --- 22: what becomes of them -------------------------------------------------------------------------------------


@KINDS
async def test_a_run_whose_tasks_all_ended_gets_only_its_terminal_event(kind: str, tmp_path: Path) -> None:
    """No run.resumed, no body, the same outputs."""
    ran: list[str] = []
    whole = await record(chain([]))
    events = await after_restart(await crashed_log(kind, whole[:-1], tmp_path), chain(ran))
    assert ran == []
    assert [event.type for event in events[len(whole) - 1 :]] == ["run.completed"]
    assert events[-1].data["outputs"] == whole[-1].data["outputs"]


@KINDS
async def test_a_failed_run_that_lacks_its_terminal_event_fails_with_the_same_error(kind: str, tmp_path: Path) -> None:
    """The error of the terminal event is the one of the task, although its body ran in a process that is gone."""
    flow = Workflow("fails")

    @flow.task
    async def boom() -> int:
        raise ValueError("told to fail")

    @flow.task
    async def after(boom: int) -> int:
        return boom

    whole = await record(flow)
    for length in (len(whole) - 1, len(whole) - 2):
        events = await after_restart(await crashed_log(kind, whole[:length], tmp_path), flow)
        assert events[-1].type == "run.failed"
        assert events[-1].data["error"] == whole[-1].data["error"]


def blocking(ran: list[str]) -> Workflow:
    """Several bodies at once, on the loop and in threads, and what waits for them."""
    flow = Workflow("blocking")

    @flow.task
    async def first() -> int:
        ran.append("first")
        return 1

    @flow.task
    async def on_loop(first: int) -> int:
        ran.append("on_loop")
        await asyncio.sleep(0.01)
        return 1

    @flow.task
    def in_thread(first: int) -> int:
        ran.append("in_thread")
        return 1

    @flow.task(on_upstream_failure="run")
    def cleans_up(on_loop: int | None, in_thread: int | None) -> int:
        ran.append("cleans_up")
        return 1

    return flow


@KINDS
async def test_a_cancel_is_finished_after_the_crash_without_starting_a_body(kind: str, tmp_path: Path) -> None:
    """Started tasks get task.cancelled {reason: crash}; neither ``def`` bodies nor those that run on failure begin."""
    ran: list[str] = []
    flow = blocking(ran)
    prefix = up_to(await record(flow), "task.started", "in_thread")
    prefix = [*prefix, said(prefix, "run.cancelling", reason="requested", by="somebody")]
    ran.clear()
    log = await crashed_log(kind, prefix, tmp_path)
    async with Engine(log, workflows=[flow]) as engine:
        run = await engine.get(RUN_ID)
        with pytest.raises(RunCancelled):
            await asyncio.wait_for(run, PATIENCE)
        events = await read_with_blobs(engine.log)
        assert run.state.tasks["first"].status == "completed"
    assert ran == []
    told = [(event.type, event.task_id, event.data.get("reason")) for event in events[len(prefix) :]]
    assert told[0] == ("run.resumed", None, "recovered")
    assert sorted(told[1:-1]) == [("task.cancelled", name, "crash") for name in ("cleans_up", "in_thread", "on_loop")]
    assert told[-1] == ("run.cancelled", None, "requested")
    check_laws(events)


@KINDS
async def test_a_cancel_leaves_what_completed_although_its_output_is_lost(kind: str, tmp_path: Path) -> None:
    """A task whose output cannot be recovered has completed; a run that is being cancelled needs no output."""
    flow = opaque([])
    prefix = up_to(await record(flow), "task.started", "late")
    prefix = [*prefix, said(prefix, "run.cancelling", reason="requested", by=None)]
    events = await after_restart(await crashed_log(kind, prefix, tmp_path), flow)
    state = check_laws(events)
    assert state.status == "cancelled"
    assert {id: task.status for id, task in state.tasks.items()} == {"source": "completed", "late": "cancelled"}


async def test_a_recovered_run_can_be_cancelled_before_its_maps_have_their_list_again(tmp_path: Path) -> None:
    """The children that had ended keep their end, the others are cancelled; the totals are those of all children."""
    flow = Workflow("map-of-lost")
    gate = asyncio.Event()
    gate.set()

    @flow.task
    async def source():  # type: ignore[no-untyped-def]
        await gate.wait()
        return (1, 2, 3)  # a tuple without an annotation: lost

    @flow.task(map="source", concurrency=1)
    async def child(source: int) -> int:
        return source

    whole = await record(flow)
    prefix = up_to(whole, "task.completed", "child[0]")
    gate.clear()
    async with Engine(await crashed_log("sqlite", prefix, tmp_path), workflows=[flow]) as engine:
        run = await engine.get(RUN_ID)
        await run.cancel(1.0)
        state = check_laws(await read_with_blobs(engine.log))
    statuses = {id: task.status for id, task in state.tasks.items() if task.map_index is not None}
    assert statuses == {"child[0]": "completed", "child[1]": "cancelled", "child[2]": "cancelled"}


@pytest.mark.parametrize("now", ["shorter", "fails"])
async def test_a_lost_list_that_comes_back_different_fails_what_was_left_of_the_map(now: str, tmp_path: Path) -> None:
    """Children that had ended keep their end; totals and statuses stay those of all the children there were."""
    result: list[Any] = [(1, 2, 3)]
    flow = Workflow("changing")

    @flow.task
    async def source():  # type: ignore[no-untyped-def]
        if result[0] is None:
            raise ValueError("not this time")
        return result[0]

    @flow.task(map="source", concurrency=1)
    async def child(source: int) -> int:
        return source

    prefix = up_to(await record(flow), "task.completed", "child[0]")
    result[0] = (1, 2) if now == "shorter" else None
    events = await after_restart(await crashed_log("sqlite", prefix, tmp_path), flow)
    state = check_laws(events)
    assert state.status == "failed"
    assert state.tasks["child[0]"].status == "completed"
    rest = "failed" if now == "shorter" else "skipped"
    assert {state.tasks[f"child[{i}]"].status for i in (1, 2)} == {rest}


@KINDS
async def test_attempt_counts_every_start(kind: str, tmp_path: Path) -> None:
    """A body that was running at the crash begins again as the next attempt, and its Context knows."""
    seen: list[int] = []
    flow = Workflow("attempts")

    @flow.task
    async def only(ctx: Context) -> int:
        seen.append(ctx.attempt)
        return ctx.attempt

    events = up_to(await record(flow), "task.started", "only")
    seen.clear()
    for attempt in (2, 3, 4):
        events = await after_restart(await crashed_log(kind, events, tmp_path), flow)
        assert events[-1].data["outputs"] == {"only": attempt}
        check_laws(events)
        events = [event for event in events if event.type != "run.completed"][:-1]  # before its task.completed
    assert seen == [2, 3, 4]


def dies(events: list[Event], times: int) -> list[Event]:
    """``events``, then so many recoveries in which nothing came about before the next crash."""
    for _ in range(times):
        number = 1 + sum(event.type == "run.resumed" for event in events)
        events = [*events, said(events, "run.resumed", reason="recovered", by=None, recovery=number)]
    return events


def of_task(events: list[Event], type: str, task: str, attempt: int, data: dict[str, Any]) -> Event:
    event = said(events, type, **data)
    head = f'"task_id":"{task}","task":"{task}","attempt":{attempt},"data":'.encode()
    return Event.from_json(event.json.replace(b'"data":', head, 1))


def started(events: list[Event]) -> dict[str, Any]:
    return {"executor": "loop", "index": sum(e.type == "task.started" for e in events), "total": 2}


async def test_the_state_says_how_often_a_run_was_recovered(tmp_path: Path) -> None:
    """Also after it went on and completed: ``recoveries`` counts all, and those without a completion apart."""
    begun = up_to(await record(chain([])), "task.started", "b")
    events = await after_restart(await crashed_log("sqlite", dies(begun, 2), tmp_path), chain([]))
    state = check_laws(events)
    assert (state.status, state.recoveries, state.recoveries_in_a_row) == ("completed", 3, 0)
    assert RunState.from_dict(state.to_dict()).recoveries == 3
    assert [event.data["recovery"] for event in events if event.type == "run.resumed"] == [1, 2, 3]


# --- 28: an orderly end -------------------------------------------------------------------------------------------


async def test_an_engine_that_ends_on_a_durable_log_leaves_its_open_runs_for_the_next(tmp_path: Path) -> None:
    """Drain writes nothing into a run that goes on; the next start does."""
    store = f"sqlite:///{tmp_path / 'runs.db'}"
    gate = asyncio.Event()
    ran: list[str] = []
    flow = Workflow("waits")

    @flow.task
    async def quick() -> int:
        ran.append("quick")
        return 1

    @flow.task
    async def waits(quick: int, ctx: Context) -> int:
        ran.append(f"waits {ctx.attempt}")
        await ctx.committed()
        await gate.wait()
        return quick + 1

    async with Engine(store, grace=0.0) as engine:
        run = await engine.start(flow, run_id=RUN_ID)
        async for event in run:
            if event.type == "task.started" and event.task_id == "waits":
                break
    assert run.status == "running"
    with pytest.raises(LogLost):
        await run
    gate.set()
    async with Engine(store, workflows=[flow]) as engine:
        assert await (await engine.get(RUN_ID)) == {"waits": 2}
        state = check_laws(await read_with_blobs(engine.log))
    assert ran == ["quick", "waits 1", "waits 2"]
    assert state.status == "completed"


async def test_an_ended_run_is_not_touched_by_a_restart(tmp_path: Path) -> None:
    """Its log stays byte for byte, its state and outputs are there without its workflow."""
    store = f"sqlite:///{tmp_path / 'runs.db'}"
    async with Engine(store) as engine:
        await (await engine.start(chain([]), run_id=RUN_ID))
        events = await read_with_blobs(engine.log)
    for _ in range(3):
        async with Engine(store) as engine:
            run = await engine.get(RUN_ID)
            assert await run == {"b": 2}
            assert await read_with_blobs(engine.log) == events
            assert run.state == replay(RUN_ID, events)


# --- 23: outputs --------------------------------------------------------------------------------------------------


def opaque(ran: list[str]) -> Workflow:
    """late needs a set, which nothing restores."""
    flow = Workflow("opaque")

    @flow.task
    async def source():  # type: ignore[no-untyped-def]
        ran.append("source")
        return {1, 2}

    @flow.task
    async def late(source: Any) -> int:
        ran.append("late")
        assert type(source) is set
        return sum(source)

    return flow


@KINDS
async def test_what_cannot_be_recovered_runs_again_only_if_an_unfinished_task_needs_it(
    kind: str, tmp_path: Path
) -> None:
    """Its task.completed says recoverable: false; who only waits for it, or has ended, does not make it run again."""
    ran: list[str] = []
    whole = await record(opaque([]))
    assert up_to(whole, "task.completed", "source")[-1].data["recoverable"] is False
    for until, expected in (
        (("task.started", "late"), ["source", "late"]),
        (("task.completed", "source"), ["source", "late"]),
        (("task.completed", "late"), []),
    ):
        ran.clear()
        events = await after_restart(await crashed_log(kind, up_to(whole, *until), tmp_path), opaque(ran))
        assert ran == expected
        assert events[-1].data["outputs"] == {"late": 3}
        check_laws(events)


@KINDS
async def test_a_task_that_only_waits_for_another_does_not_make_it_run_again(kind: str, tmp_path: Path) -> None:
    """``after=`` takes no output: an effect that completed (a mail was sent) is not repeated for its sake."""
    ran: list[str] = []
    flow = Workflow("mail")

    @flow.task
    async def send():  # type: ignore[no-untyped-def]
        ran.append("send")
        return object()

    @flow.task(after="send")
    async def note() -> str:
        ran.append("note")
        return "sent"

    prefix = up_to(await record(flow), "task.completed", "send")
    ran.clear()
    check_laws(await after_restart(await crashed_log(kind, prefix, tmp_path), flow))
    assert ran == ["note"]


async def test_the_children_of_a_map_run_again_one_by_one(tmp_path: Path) -> None:
    """Of a map some of whose outputs are lost, those children alone run again whose partner has not ended."""
    ran: list[str] = []
    flow = Workflow("pairs")

    @flow.task
    async def items() -> list[int]:
        return [0, 1, 2, 3]

    @flow.task(map="items")
    async def odd_is_lost(items: int, ctx: Context):  # type: ignore[no-untyped-def]
        ran.append(ctx.task_id)
        return {items} if items % 2 else items

    @flow.task(map="odd_is_lost", concurrency=1)
    async def taker(odd_is_lost: Any, ctx: Context) -> int:
        ran.append(ctx.task_id)
        assert type(odd_is_lost) is (set if ctx.map_index in (1, 3) else int)
        return 1

    whole = await record(flow)
    prefix = up_to(whole, "task.completed", "taker[1]")
    ran.clear()
    check_laws(await after_restart(await crashed_log("sqlite", prefix, tmp_path), flow))
    assert sorted(ran) == ["odd_is_lost[3]", "taker[2]", "taker[3]"]


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Size(StrEnum):
    S = "s"
    L = "l"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


@dataclass
class Place:
    name: str
    at: tuple[int, int]
    tags: list[str] = field(default_factory=list[str])


class Person(BaseModel):
    name: str
    born: date | None = None
    friends: list[Person] = []


STR = st.text(st.characters(exclude_categories=["Cs"]))
FINITE = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | FINITE | STR,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(STR, inner, max_size=4),
    max_leaves=12,
)
TEXT = st.text(max_size=20)
PLACES = st.builds(Place, TEXT, st.tuples(st.integers(), st.integers()), st.lists(TEXT, max_size=3))
PEOPLE = st.builds(Person, name=TEXT, born=st.none() | st.dates())
MOMENTS = st.datetimes(timezones=st.none() | st.just(UTC))
TYPED: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (int, st.integers()),
    (float, st.floats()),
    (str, st.text()),
    (bytes, st.binary(max_size=20)),
    (bool, st.booleans()),
    (datetime, MOMENTS),
    (date, st.dates()),
    (timedelta, st.timedeltas()),
    (Decimal, st.decimals()),
    (Colour, st.sampled_from(Colour)),
    (Size, st.sampled_from(Size)),
    (Level, st.sampled_from(Level)),
    (Place, PLACES),
    (Person, PEOPLE),
    (list[Place], st.lists(PLACES, max_size=3)),
    (dict[str, Person], st.dictionaries(TEXT, PEOPLE, max_size=3)),
    (dict[int, str], st.dictionaries(st.integers(0, 100), TEXT, max_size=3)),
    (tuple[int, ...], st.lists(st.integers(0, 9)).map(tuple)),
    (tuple[Colour, Decimal], st.tuples(st.sampled_from(Colour), st.decimals(allow_nan=False))),
    (set[int], st.sets(st.integers(0, 9))),
    (frozenset[str], st.frozensets(TEXT, max_size=3)),
    (int | str | None, st.none() | st.integers() | TEXT),
]
ANYTHING = st.one_of(JSON, *(strategy for _, strategy in TYPED))
MISSING: Any = object()


@st.composite
def outputs(draw: st.DrawFn) -> tuple[Any, Any]:
    """(annotation or MISSING, value): mostly of the annotation's type, sometimes of any other."""
    annotation, strategy = draw(st.sampled_from(TYPED))
    kind = draw(st.integers(0, 5))
    if kind == 0:
        return MISSING, draw(ANYTHING)
    if kind == 1:
        return draw(st.sampled_from([annotation, Any, object])), draw(ANYTHING)
    return annotation, draw(strategy)


@pytest.mark.slow
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(outputs())
@example((float, 3))
@example((str, Size.S))
@example((int, True))
@example((int, 2**70 + 1))
@example((float, 1e22))
@example((set[int], [1, 2]))
@example((Place, {"name": "a", "at": [1, 2], "tags": []}))
@example((datetime, "2024-01-01T00:00:00"))
@example((tuple[int, ...], [1, 2]))
@example((tuple[float, ...], (1, 2)))
@example((tuple[int, ...], (True, 2)))
@example((tuple[str, ...], (Size.S,)))
@example((Place, Place("a", (True, 1))))
@example((dict[str, tuple[float, ...]], {"a": (1,)}))
@example((MISSING, (1, 2)))
@example((MISSING, math.nan))
@example((float, math.inf))
@example((Decimal, Decimal("1.10")))
@example((bytes, b"\xff\x00"))
@example((str, "\ud800"))
@example((str, "\u2028\n\x00"))
@example((MISSING, {"a": "x" * 40_000}))
@example((tuple[str, ...], ("y" * 40_000,)))
def test_a_downstream_receives_an_equal_value_of_equal_type_live_and_after_a_crash(given: tuple[Any, Any]) -> None:
    """Restored from the log where that is certain, else its task ran again; no value changes silently."""
    annotation, value = given
    ran: list[str] = []
    received: list[Any] = []

    async def source():  # type: ignore[no-untyped-def]
        ran.append("source")
        return value

    async def sink(source):  # type: ignore[no-untyped-def]
        received.append(source)

    if annotation is not MISSING:
        source.__annotations__["return"] = annotation
    flow = Workflow("outputs")
    flow.task(source)
    flow.task(sink)

    async def main() -> None:
        whole = await record(flow)
        assert received.pop() is value
        prefix = up_to(whole, "task.completed", "source")
        ran.clear()
        log = MemoryLog()
        await log.append(RUN_ID, prefix)
        events = await after_restart(log, flow)
        assert events[-1].type == "run.completed"
        is_recoverable = prefix[-1].data.get("recoverable", True)
        assert ran == ([] if is_recoverable else ["source"])
        assert same(received.pop(), value)
        check_laws(events)

    asyncio.run(main())


def same(a: Any, b: Any) -> bool:
    """Equal, and of equal type as far down as lists, tuples and dicts go. NaN is itself."""
    if type(a) is not type(b):
        return False
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, Place | Person):
        return same(vars(a), vars(b))
    return a is b or a == b or (isinstance(a, float) and math.isnan(a) and math.isnan(b))


async def test_a_value_whose_comparison_raises_is_not_recoverable_and_harms_nobody(tmp_path: Path) -> None:
    """A user's __eq__ may raise anything: the task completed all the same, and runs again if it must."""
    ran: list[str] = []

    class Touchy(BaseModel):
        x: int

        def __eq__(self, other: object) -> bool:
            raise KeyError("do not compare me")

    flow = Workflow("touchy")

    async def source():  # type: ignore[no-untyped-def]
        ran.append("source")
        return Touchy(x=1)

    source.__annotations__["return"] = Touchy
    flow.task(source)

    @flow.task
    async def sink(source: Any) -> int:
        return source.x

    prefix = up_to(await asyncio.wait_for(record(flow), PATIENCE), "task.completed", "source")
    assert prefix[-1].data["recoverable"] is False
    events = await after_restart(await crashed_log("memory", prefix, tmp_path), flow)
    assert events[-1].data["outputs"] == {"sink": 1}
    assert ran == ["source", "source"]


async def test_an_annotation_that_no_longer_takes_an_output_makes_its_task_run_again(tmp_path: Path) -> None:
    """The class may have changed in a deployment; that is no reason not to start, nor to hand on something else."""
    ran: list[str] = []

    def flow_with(annotation: Any, value: Any) -> Workflow:
        flow = Workflow("deployed")

        async def source():  # type: ignore[no-untyped-def]
            ran.append("source")
            return value

        source.__annotations__["return"] = annotation
        flow.task(source)

        @flow.task
        async def sink(source: Any) -> str:
            return type(source).__name__

        return flow

    prefix = up_to(await record(flow_with(Place, Place("a", (1, 2)))), "task.completed", "source")
    ran.clear()
    log = await crashed_log("memory", prefix, tmp_path)
    events = await after_restart(log, flow_with(Person, Person(name="a")))
    assert ran == []  # a Person can be made from the JSON of this Place: nothing tells them apart
    log = await crashed_log("memory", prefix, tmp_path)
    events = await after_restart(log, flow_with(tuple[int, int], (1, 2)))
    assert ran == ["source"]
    assert events[-1].data["outputs"] == {"sink": "tuple"}


def test_the_totals_of_a_state_are_those_of_its_tasks_when_a_lost_output_ends_otherwise() -> None:
    """A completed task that runs again may fail, be skipped or be cancelled; it is counted once, as it ended last."""
    state = RunState(RUN_ID)
    ends = {
        "task.failed": {"error": {"type": "E", "message": ""}, "duration_ms": 1.0},
        "task.skipped": {"reason": "upstream_failed", "because": "x"},
        "task.cancelled": {"reason": "crash", "stop_ms": 0.0, "stopped": True},
    }
    for type, data in ends.items():
        events: list[Event] = []
        for step in ("task.started", "task.completed"):
            body = (
                started(events) if step == "task.started" else {"output": [1], "duration_ms": 1, "recoverable": False}
            )
            events.append(of_task(events, step, "a", 1, body))
        events.append(of_task(events, type, "a", 1, data))
        state = replay(RUN_ID, events)
        counted = (state.completed, state.failed, state.skipped, state.cancelled, state.running)
        assert sum(counted) == 1, type
        assert state.completed == 0
