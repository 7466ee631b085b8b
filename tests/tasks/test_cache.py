"""``cache=``: an output that was kept is taken instead of running the body, and a store that fails costs nothing."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import BaseModel, Field, PrivateAttr, SecretStr

from reactor import Cache, Context, Engine, Event, Retry, Workflow
from reactor.clock import SystemClock
from reactor.errors import WorkflowError
from reactor.logs.memory import MemoryLog
from reactor.logs.sqlite.log import SqliteLog
from reactor.ports.log import EventLog
from tests.helpers.events import of_type, only, story
from tests.helpers.log_lines import log_lines
from tests.helpers.paths import ROOT
from tests.helpers.runs import PATIENCE, full_log, run_to_end, wait_for_event


class TestClock(SystemClock):
    """A wall clock that goes where it is set; durations are real enough at 0."""

    __test__ = False

    def __init__(self) -> None:
        super().__init__()
        self.time = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> bytes:
        return self.time.isoformat(timespec="microseconds").replace("+00:00", "Z").encode()

    def monotonic(self) -> float:
        return self.time.timestamp()


class Page(BaseModel):
    url: str
    size: int


def squares(ran: list[int], *, cache: Any = True, name: str = "squares", version: str = "1") -> Workflow:
    """``square`` of the run's input, which notes that it ran, and ``after``, which takes it."""
    flow = Workflow(name, version=version)

    @flow.task(cache=cache)
    async def square(number: int) -> int:
        ran.append(number)
        return number * number

    @flow.task
    async def after(square: int) -> int:
        return square + 1

    return flow


async def run_of(engine: Engine, flow: Workflow, **input: Any) -> list[Event]:
    return await full_log(engine, await engine.start(flow, input))


def was_cached(events: list[Event], task: str) -> bool:
    """By its log: completed from the store, without a start and without a duration."""
    completed = only(events, "task.completed", task)
    is_cached = completed.data["cached"]
    assert len(of_type(events, "task.started", task)) == (0 if is_cached else 1)
    assert not is_cached or completed.data["duration_ms"] == 0
    return is_cached


# --- hits and misses ----------------------------------------------------------------------------------------------


async def test_an_output_is_taken_from_another_run_without_running_the_body() -> None:
    """``cached: true`` and no ``task.started``; what depends on it gets the same value, and the totals are the same."""
    ran: list[int] = []
    async with Engine() as engine:
        flow = squares(ran)
        first = await run_of(engine, flow, number=3)
        second = await run_of(engine, flow, number=3)
    assert [was_cached(first, "square"), was_cached(second, "square")] == [False, True]
    assert story(second) == [
        ("task.completed", "square", None),
        ("task.started", "after", 1),
        ("task.completed", "after", 1),
    ]
    assert only(second, "task.completed", "square").data["output"] == 9
    for events in (first, second):
        assert events[-1].data["outputs"] == {"after": 10}
        assert events[-1].data["completed"] == 2
    assert ran == [3]


async def test_another_input_is_another_output() -> None:
    """Without a key everything the body is given counts."""
    ran: list[int] = []
    async with Engine() as engine:
        flow = squares(ran)
        for number in (1, 2, 1, 2):
            assert (await run_of(engine, flow, number=number))[-1].data["outputs"] == {"after": number * number + 1}
    assert ran == [1, 2]


async def test_an_output_survives_a_restart(tmp_path: Path) -> None:
    """It is in the store, not in the engine."""
    ran: list[int] = []
    for is_cached in (False, True):
        async with Engine(f"sqlite:///{tmp_path}/runs.db") as engine:
            assert was_cached(await run_of(engine, squares(ran), number=3), "square") is is_cached
    assert ran == [3]


async def test_outputs_are_of_one_workflow_version_and_task() -> None:
    """Others never see them, even where name and arguments are the same."""
    ran: list[int] = []
    async with Engine() as engine:
        await run_of(engine, squares(ran), number=3)
        await run_of(engine, squares(ran, name="others"), number=3)
        flow = Workflow("twins")
        flow.task(lambda number: number + 1, name="one", cache=True)
        flow.task(lambda number: number + 2, name="two", cache=True)
        for _ in range(2):
            assert (await run_of(engine, flow, number=3))[-1].data["outputs"] == {"one": 4, "two": 5}
        log = engine.log
        async with Engine(log) as later:
            await run_of(later, squares(ran, version="2"), number=3)
    assert ran == [3, 3, 3]


async def test_a_task_without_cache_runs_every_time() -> None:
    """``cache=False`` and ``None`` are no cache."""
    for cache in (False, None):
        ran: list[int] = []
        async with Engine() as engine:
            flow = squares(ran, cache=cache)
            for _ in range(2):
                assert not was_cached(await run_of(engine, flow, number=3), "square")
        assert ran == [3, 3]


async def test_what_the_store_gives_back_has_the_type_of_the_annotation(tmp_path: Path) -> None:
    """A model comes back as a model, equal to the one that was kept."""

    seen: list[Any] = []
    flow = Workflow("typed")

    @flow.task(cache=True)
    async def page(url: str) -> Page:
        return Page(url=url, size=3)

    @flow.task
    async def after(page: Page) -> None:
        seen.append(page)

    async with Engine(f"sqlite:///{tmp_path}/runs.db") as engine:
        for is_cached in (False, True):
            assert was_cached(await run_of(engine, flow, url="u"), "page") is is_cached
    assert seen == [Page(url="u", size=3)] * 2
    assert {type(page) for page in seen} == {Page}


async def test_a_large_output_is_kept_too() -> None:
    """It stands beside its event in the run that takes it, as in the one that made it."""
    flow = Workflow("large")
    flow.task(lambda: "x" * 100_000, name="text", cache=True)
    async with Engine() as engine:
        for is_cached in (False, True):
            run = await engine.start(flow)
            assert was_cached(await full_log(engine, run), "text") is is_cached
            assert await run.output("text") == b'"%b"' % (b"x" * 100_000)
            assert await run == {"text": "x" * 100_000}


async def test_a_mapped_task_is_cached_child_by_child() -> None:
    """A child is found by its item, wherever that stands in the list."""
    ran: list[str] = []
    flow = Workflow("mapped")

    @flow.task
    async def items(text: str) -> list[str]:
        return text.split()

    @flow.task(map="items", cache=True)
    async def child(items: str) -> str:
        ran.append(items)
        return items.upper()

    async with Engine() as engine:
        await run_of(engine, flow, text="a b")
        events = await run_of(engine, flow, text="c b a")
    assert [was_cached(events, f"child[{i}]") for i in range(3)] == [False, True, True]
    assert events[-1].data["outputs"] == {"child": ["C", "B", "A"]}
    assert ran == ["a", "b", "c"]


async def test_a_retry_that_completes_is_kept() -> None:
    """What failed is not; the attempt that completed is taken next time."""
    flow = Workflow("flaky")

    @flow.task(cache=True, retry=Retry(attempts=2, delay=0))
    async def body(ctx: Context) -> int:
        if ctx.attempt == 1:
            raise ConnectionError
        return ctx.attempt

    async with Engine() as engine:
        assert len(of_type(await run_of(engine, flow), "task.started")) == 2
        assert was_cached(await run_of(engine, flow), "body")


async def test_a_failure_is_not_kept() -> None:
    """The next run tries again."""
    flow = Workflow("fails")

    @flow.task(cache=True)
    async def body() -> None:
        raise ConnectionError

    async with Engine() as engine:
        for _ in range(2):
            assert len(of_type(await run_of(engine, flow), "task.started", "body")) == 1


async def test_a_condition_is_asked_before_the_store() -> None:
    """What is skipped is skipped, whatever is kept."""
    flow = Workflow("conditional")

    @flow.task(cache=Cache(key=lambda: "always"), when=lambda is_wanted: is_wanted)
    async def body() -> int:
        return 1

    async with Engine() as engine:
        assert not was_cached(await run_of(engine, flow, is_wanted=True), "body")
        assert story(await run_of(engine, flow, is_wanted=False)) == [("task.skipped", "body", None)]
        assert was_cached(await run_of(engine, flow, is_wanted=True), "body")


async def test_what_is_taken_from_the_store_needs_no_slot() -> None:
    """A hit completes while another body has the only slot."""
    flow = Workflow("busy")
    go_on = asyncio.Event()
    go_on.set()

    @flow.task
    async def holder() -> None:
        await go_on.wait()

    @flow.task(cache=True)
    async def kept() -> int:
        return 7

    async with Engine(concurrency=1) as engine:
        await run_of(engine, flow)
        go_on.clear()
        run = await engine.start(flow)
        await wait_for_event(run, "task.completed", "kept")
        assert run.state.tasks["holder"].status == "running"
        go_on.set()
        await full_log(engine, run)


# --- the key ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("short", [True, False])
async def test_a_key_function_says_what_the_output_depends_on(short: bool) -> None:
    """Its parameters bind like the body's; ``cache=function`` is ``Cache(key=function)``."""
    ran: list[tuple[str, int]] = []
    flow = Workflow("keyed")

    def key(url: str) -> str:
        return url.lower()

    @flow.task(cache=key if short else Cache(key=key))
    async def page(url: str, depth: int) -> str:
        ran.append((url, depth))
        return url

    async with Engine() as engine:
        await run_of(engine, flow, url="A", depth=1)
        events = await run_of(engine, flow, url="a", depth=2)
        assert was_cached(events, "page")
        assert events[-1].data["outputs"] == {"page": "A"}
        assert not was_cached(await run_of(engine, flow, url="b", depth=1), "page")
    assert ran == [("A", 1), ("b", 1)]


async def test_a_key_may_take_outputs_items_and_the_context() -> None:
    """Upstreams by name, the mapped item, ``ctx.input`` and ``ctx.map_index``."""
    ran: list[int] = []
    flow = Workflow("keyed")

    @flow.task
    async def items(count: int) -> list[int]:
        return list(range(count))

    @flow.task
    async def other(salt: str) -> str:
        return salt

    @flow.task(map="items", needs={"salted": "other"}, cache=lambda items, salted, ctx: [items, salted, ctx.input])
    async def child(items: int, salted: str) -> str:
        ran.append(items)
        return f"{salted}{items}"

    async with Engine() as engine:
        await run_of(engine, flow, count=2, salt="x")
        assert was_cached(await run_of(engine, flow, count=2, salt="x"), "child[1]")
        assert not was_cached(await run_of(engine, flow, count=3, salt="x"), "child[1]")
        assert not was_cached(await run_of(engine, flow, count=2, salt="y"), "child[1]")
    assert sorted(ran) == [0, 0, 0, 1, 1, 1, 2]


async def test_the_context_of_a_body_is_no_part_of_the_default_key() -> None:
    """Another run has another id, and the same output."""
    flow = Workflow("speaks")

    @flow.task(cache=True)
    async def body(number: int, ctx: Context) -> int:
        await ctx.emit("number.said")
        return number

    async with Engine() as engine:
        assert not was_cached(await run_of(engine, flow, number=1), "body")
        events = await run_of(engine, flow, number=1)
        assert was_cached(events, "body")
        assert of_type(events, "number.said") == []


async def test_what_the_context_shows_of_the_run_is_part_of_the_default_key() -> None:
    """Input and meta of the run, and outputs of upstreams: a body may answer one caller by them and not another."""
    ran: list[tuple[Any, Any, Any]] = []
    flow = Workflow("private")

    @flow.task
    async def look_up(user: str, password: str) -> str:
        return user.upper()

    @flow.task(after=["look_up"], cache=True)
    async def body(ctx: Context) -> str:
        ran.append((ctx.input["password"], ctx.meta.get("by"), ctx.upstreams["look_up"].output))
        return "".join(map(str, ran[-1]))

    callers = [("a", "p", "x"), ("b", "p", "x"), ("a", "q", "x"), ("a", "p", "y")]
    async with Engine() as engine:
        for _ in range(2):
            for user, password, by in callers:
                run = await engine.start(flow, {"user": user, "password": password}, meta={"by": by})
                assert await run == {"body": f"{password}{by}{user.upper()}"}
    assert len(ran) == 4


async def test_a_given_parameter_is_part_of_the_default_key_by_its_name() -> None:
    """Equal values under exchanged names make another key."""
    flow = Workflow("pairs")

    @flow.task(cache=True)
    async def body(left: int, right: int) -> int:
        return left - right

    async with Engine() as engine:
        assert (await run_of(engine, flow, left=2, right=1))[-1].data["outputs"] == {"body": 1}
        assert (await run_of(engine, flow, left=1, right=2))[-1].data["outputs"] == {"body": -1}


@pytest.mark.parametrize(
    ("cache", "kind", "says"),
    [
        (Cache(key=lambda lock: 1 / 0), "ZeroDivisionError", "division by zero"),
        (Cache(key=lambda lock: asyncio.sleep(0)), "TypeError", "decides at once, without await"),
    ],
)
async def test_a_key_that_cannot_be_used_fails_the_task_and_says_why(cache: Any, kind: str, says: str) -> None:
    """Nothing runs under a key that means nothing; the rest of the run goes on."""
    flow = Workflow("odd")
    ran: list[str] = []

    @flow.task
    async def lock() -> object:
        return object()

    @flow.task(cache=cache)
    async def body(lock: object) -> None:
        ran.append("body")

    @flow.task
    async def other() -> str:
        return "ran"

    events = await run_to_end(flow)
    error = only(events, "task.failed", "body").data["error"]
    assert error["type"] == kind
    assert says in error["message"]
    assert ran == []
    assert only(events, "task.completed", "other").data["output"] == "ran"


@pytest.mark.parametrize(
    ("options", "says"),
    [({"key": "url"}, "key"), ({"ttl": 0}, "ttl"), ({"ttl": "1"}, "ttl"), ({"ttl": float("nan")}, "ttl")],
)
def test_a_cache_that_makes_no_sense_is_refused_where_it_is_made(options: dict[str, Any], says: str) -> None:
    """The sentence names the option; so does the task's definition."""
    with pytest.raises(ValueError, match=says):
        Cache(**options)
    with pytest.raises(WorkflowError, match="cache of task 'square'"):
        squares([], cache=5)


def test_a_key_whose_parameters_cannot_be_bound_is_refused_before_a_run() -> None:
    """It is validated with the workflow."""
    flow = Workflow("keyed")
    flow.task(lambda number: number, name="body", cache=lambda *anything: 1)
    with pytest.raises(WorkflowError, match="cache key"):
        flow.validate()


# --- how long -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_an_output_is_good_for_its_ttl(kind: str, tmp_path: Path) -> None:
    """The ttl goes by the engine's clock; an output that was made again is good for another ttl."""
    ran: list[int] = []
    clock = TestClock()
    log = "memory://" if kind == "memory" else f"sqlite:///{tmp_path}/runs.db"
    async with Engine(log, clock=clock) as engine:
        flow = squares(ran, cache=Cache(ttl=60))
        hits: list[bool] = []
        for seconds in (0, 59, 1, 59, 2):
            clock.time += timedelta(seconds=seconds)
            hits.append(was_cached(await run_of(engine, flow, number=3), "square"))
    assert hits == [False, True, False, True, False]
    assert ran == [3, 3, 3]


async def test_without_a_ttl_an_output_is_good_until_the_store_forgets_it() -> None:
    """A hundred years later too."""
    ran: list[int] = []
    clock = TestClock()
    async with Engine(clock=clock) as engine:
        flow = squares(ran)
        await run_of(engine, flow, number=3)
        clock.time += timedelta(days=36_500)
        assert was_cached(await run_of(engine, flow, number=3), "square")


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_a_store_forgets_the_oldest_outputs(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond its bound, and an output that is kept again is young again."""
    monkeypatch.setattr("reactor.bounds.CACHED_OUTPUTS", 3)
    log: EventLog = MemoryLog() if kind == "memory" else SqliteLog(tmp_path / "runs.db")
    await log.open()
    for key in ("a", "b", "c", "a", "d"):
        await log.remember(key, key.encode(), float("inf"))
    assert [await log.recall(key, 0) for key in "abcd"] == [b"a", None, b"c", b"d"]
    await log.close()


# --- what is not kept, and a store that fails ---------------------------------------------------------------------


async def test_an_output_that_a_restart_could_not_hand_on_is_not_kept() -> None:
    """It flows in this run, its event says so, and the next run computes it again."""
    ran: list[str] = []
    flow = Workflow("opaque")

    @flow.task(cache=True)
    async def body():  # type: ignore[no-untyped-def]
        ran.append("body")
        return (1, 2)  # a tuple without an annotation

    async with Engine() as engine:
        for _ in range(2):
            events = await run_of(engine, flow)
            assert not was_cached(events, "body")
            assert only(events, "task.completed").data["recoverable"] is False
    assert ran == ["body"] * 2


class BrokenStore(MemoryLog):
    """A log whose store of outputs fails, each time in the way it is told."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.way = way
        self.asked: list[str] = []

    async def recall(self, key: str, now: float) -> bytes | None:
        self.asked.append("recall")
        if self.way == "raises":
            raise OSError("no store")
        if self.way == "rubbish":
            return b"1{"
        return None

    def remember(self, key: str, value: bytes, until: float) -> asyncio.Future[None]:
        self.asked.append("remember")
        if self.way == "raises":
            raise OSError("no store")
        kept: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        kept.set_exception(OSError("disk full"))
        return kept


@pytest.mark.parametrize("way", ["raises", "rubbish", "refuses"])
async def test_a_store_that_fails_does_not_fail_a_run(way: str) -> None:
    """The body runs as if there were no cache."""
    ran: list[int] = []
    log = BrokenStore(way)
    async with Engine(log) as engine:
        flow = squares(ran)
        for _ in range(2):
            events = await run_of(engine, flow, number=3)
            assert not was_cached(events, "square")
            assert events[-1].data["outputs"] == {"after": 10}
    assert ran == [3, 3]
    assert log.asked == ["recall", "remember"] * 2


async def test_an_output_that_the_annotation_no_longer_takes_is_computed_again(tmp_path: Path) -> None:
    """The code has changed since it was kept: that is a miss, no failure."""

    def flow_with(kind: Callable[..., Any], annotation: Any) -> Workflow:
        flow = Workflow("changed")

        async def body() -> Any:
            return kind()

        body.__annotations__["return"] = annotation
        flow.task(body, cache=True)
        return flow

    class Old(BaseModel):
        size: int = 1

    class New(BaseModel):
        name: str = "n"
        model_config = {"extra": "forbid"}

    for kind, is_cached in ((Old, False), (Old, True), (New, False)):
        async with Engine(f"sqlite:///{tmp_path}/runs.db") as engine:
            events = await run_of(engine, flow_with(kind, kind))
            assert was_cached(events, "body") is is_cached
            assert events[-1].type == "run.completed"


class SlowStore(MemoryLog):
    """Answers when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = asyncio.Event()
        self.asked = asyncio.Event()

    async def recall(self, key: str, now: float) -> bytes | None:
        self.asked.set()
        await self.go_on.wait()
        return await super().recall(key, now)


async def test_a_run_can_be_cancelled_while_its_store_is_asked() -> None:
    """The task is cancelled without having begun; the answer comes too late and changes nothing."""
    ran: list[int] = []
    log = SlowStore()
    async with Engine(log) as engine:
        run = await engine.start(squares(ran), {"number": 3})
        await asyncio.wait_for(log.asked.wait(), PATIENCE)
        await asyncio.wait_for(run.cancel(), PATIENCE)
        log.go_on.set()
        events = await full_log(engine, run)
    assert ran == []
    assert {event.task_id for event in of_type(events, "task.cancelled")} == {"square", "after"}
    assert events[-1].type == "run.cancelled"


async def test_other_tasks_go_on_while_the_store_is_asked() -> None:
    """A store that takes its time holds nobody but who asked."""
    log = SlowStore()
    flow = squares([])

    @flow.task
    async def other() -> str:
        return "ran"

    async with Engine(log) as engine:
        run = await engine.start(flow, {"number": 3})
        await wait_for_event(run, "task.completed", "other")
        assert run.state.tasks["square"].status == "pending"
        log.go_on.set()
        await full_log(engine, run)


async def test_a_run_that_takes_cached_outputs_is_recovered_like_any_other(tmp_path: Path) -> None:
    """A hit is a completion: after a restart it is not asked for again."""
    ran: list[int] = []
    flow = squares(ran)
    hold = Workflow("squares")
    gate = asyncio.Event()

    @hold.task(cache=True)
    async def square(number: int) -> int:
        ran.append(number)
        return number * number

    @hold.task
    async def after(square: int) -> int:
        await gate.wait()
        return square + 1

    log = f"sqlite:///{tmp_path}/runs.db"
    async with Engine(log) as engine:
        await run_of(engine, flow, number=3)
    async with Engine(log, grace=0) as engine:
        run = await engine.start(hold, {"number": 3}, run_id="held")
        await wait_for_event(run, "task.started", "after")
    gate.set()
    async with Engine(log, workflows=[hold]) as engine:
        events = await full_log(engine, await engine.get("held"))
    assert was_cached(events, "square")
    assert events[-1].data["outputs"] == {"after": 10}
    assert ran == [3]


async def test_numbers_that_json_does_not_have_are_keys_of_their_own() -> None:
    """NaN, an infinity and nothing are three keys, and the order of an object's members is none."""
    ran: list[Any] = []
    flow = Workflow("odd")

    @flow.task(cache=Cache(key=lambda value: value))
    async def body(value: Any) -> str:
        ran.append(value)
        return "done"

    async with Engine() as engine:
        for value in (float("nan"), float("inf"), None, {"a": 1, "b": 2}, {"b": 2, "a": 1}, float("nan")):
            await run_of(engine, flow, value=value)
    assert [repr(value) for value in ran] == ["nan", "inf", "None", "{'a': 1, 'b': 2}"]


# --- whole values -------------------------------------------------------------------------------------------------


class Login(BaseModel):
    password: SecretStr
    pin: str = Field("", exclude=True)
    _seen: list[int] = PrivateAttr(default_factory=list)


def counted(ran: list[Any], value: Any, *, returns: Any = int) -> Workflow:
    """``body`` is cached and takes what ``source`` returns: ``value()``."""
    flow = Workflow("counted")

    @flow.task
    async def source() -> object:
        return value()

    async def body(source):  # type: ignore[no-untyped-def]
        ran.append(source)
        return 1

    flow.task(body, cache=True)
    return flow


def seen_twice() -> Login:
    login = Login(password=SecretStr("a"))
    login._seen.append(1)
    return login


TOLD_APART: list[Callable[[], Any]] = [
    lambda: (1, 2),
    lambda: [1, 2],
    lambda: {1, 2},
    lambda: frozenset([1, 2]),
    lambda: deque([1, 2]),
    lambda: deque([1, 2], 3),
    lambda: float("nan"),
    lambda: "NaN",
    lambda: None,
    lambda: b"a",
    lambda: bytearray(b"a"),
    lambda: "a",
    lambda: Decimal("1"),
    lambda: Decimal("1.0"),
    lambda: "1",
    lambda: 1,
    lambda: 1.0,
    lambda: True,
    lambda: 0.0,
    lambda: -0.0,
    lambda: 2**70,
    lambda: {1: 2},
    lambda: {"1": 2},
    lambda: datetime(2026, 3, 28, 12, tzinfo=ZoneInfo("Europe/Berlin")),
    lambda: datetime(2026, 3, 28, 11, tzinfo=UTC),
    lambda: "2026-03-28T11:00:00Z",
    lambda: Path("a"),
    lambda: re.compile("a"),
    lambda: re.compile("a", re.IGNORECASE),
    lambda: SecretStr("a"),
    lambda: SecretStr("b"),
    lambda: Login(password=SecretStr("a")),
    lambda: Login(password=SecretStr("b")),
    lambda: Login(password=SecretStr("a"), pin="1"),
    lambda: Login(password=SecretStr("a"), pin="2"),
    seen_twice,
]


async def test_no_two_values_share_a_key_and_each_finds_its_own() -> None:
    """Types, zones, bounds, secrets, excluded and private fields count: all that a body could tell apart."""
    ran: list[Any] = []
    async with Engine() as engine:
        for _ in range(2):
            for value in TOLD_APART:
                await run_of(engine, counted(ran, value))
    assert len(ran) == len(TOLD_APART)


async def test_no_secret_that_is_part_of_a_key_is_in_the_file(tmp_path: Path) -> None:
    """It has an HMAC only, and finds the output by it after a restart."""
    value = {"b", "a", "topsecret"}
    ran: list[Any] = []
    for is_cached in (False, True):
        async with Engine(f"sqlite:///{tmp_path}/runs.db") as engine:
            flow = Workflow("secret")

            @flow.task(cache=Cache(key=lambda login: [login, value]))
            async def body(login: Login) -> int:
                ran.append(login)
                return 1

            assert was_cached(await run_of(engine, flow, login={"password": "topsecret"}), "body") is is_cached
    assert b"topsecret" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())


def test_a_digest_is_the_same_in_every_process() -> None:
    """The order of sets and the hashes of strings differ from process to process."""
    value = {"b", "a", "c"}
    script = (
        "from reactor.events.exact import keyed_digest\n"
        f"print(keyed_digest(b'k', {{'v': {value!r}, 'w': frozenset('abc'), 'x': 1.5}}))"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
        ).stdout
        for seed in ("1", "2", "3")
    }  # fmt: skip
    assert len(digests) == 1


@pytest.mark.parametrize("key", [None, lambda source: source])
async def test_what_cannot_be_told_from_others_is_not_cached(key: Any) -> None:
    """An object that is equal only to itself: the body runs each time, and a warning says why."""
    ran: list[Any] = []
    flow = Workflow("opaque")

    @flow.task
    async def source() -> object:
        return object()

    @flow.task(cache=True if key is None else Cache(key=key))
    async def body(source: object) -> int:
        ran.append(source)
        return 1

    with log_lines() as logged:
        async with Engine() as engine:
            for _ in range(2):
                events = await run_of(engine, flow)
                assert not was_cached(events, "body")
                assert events[-1].type == "run.completed"
    assert len(ran) == 2
    assert len([line for line in logged if line["event"] == "cache not used"]) == 2


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (datetime, datetime(2026, 3, 28, 12, tzinfo=ZoneInfo("Europe/Berlin"))),
        (deque[int], deque([1, 2, 3], maxlen=3)),
        (set[float], {1, 2}),
    ],
    ids=repr,
)
async def test_a_cached_value_is_indistinguishable_from_the_one_returned(annotation: Any, value: Any) -> None:
    """The next day at 12:00 in Berlin stays 12:00 when the clocks change; where that cannot be, nothing is cached."""
    seen: list[Any] = []
    flow = Workflow("exact")

    async def body() -> Any:
        return value

    body.__annotations__["return"] = annotation
    flow.task(body, cache=True)

    @flow.task
    async def after(body: Any) -> None:
        seen.append(body)

    async with Engine() as engine:
        for is_second in (False, True):
            events = await run_of(engine, flow)
            assert was_cached(events, "body") is (is_second and annotation != set[float])
    assert [repr(each) for each in seen] == [repr(value)] * 2
    assert {type(each) for each in seen} == {type(value)}
    if isinstance(value, datetime):
        assert [(each + timedelta(days=1)).isoformat() for each in seen] == ["2026-03-29T12:00:00+02:00"] * 2
