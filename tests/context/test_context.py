"""The Context: what a body may say, what it can see, and what becomes of what it returns."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import orjson
import pytest

from reactor import Context, ContextClosed, Engine, Event, EventTooLarge, InvalidEvent, Run, RunFailed, Workflow, bounds
from reactor.events.event import Window
from reactor.logs.memory import MemoryLog
from reactor.testing import LogAround, SlowLog, read_all
from tests.helpers import bodies
from tests.helpers.events import only
from tests.helpers.flows import one_task
from tests.helpers.runs import PATIENCE, run_to_end


async def finished(flow: Workflow, *, log: Any = "memory://", **options: Any) -> tuple[Run, list[Event]]:
    """The run of a workflow after its end, and its log."""
    async with Engine(log, **options) as engine:
        run = await engine.start(flow)
        await asyncio.wait_for(run.ended(), PATIENCE)
        return run, await read_all(engine.log, run.id)


async def outcome(run: Run) -> dict[str, Any]:
    return await run


def of_type(events: list[Event], type: str) -> list[Event]:
    return [event for event in events if event.type == type]


async def raised_by(act: Callable[[Context], Any], *, in_thread: bool = False) -> Exception | None:
    """What a call on the Context raises in a body."""
    caught: list[Exception | None] = []

    def call(ctx: Context) -> None:
        try:
            act(ctx)
        except Exception as error:
            caught.append(error)
        else:
            caught.append(None)

    async def async_body(ctx: Context) -> None:
        call(ctx)

    def thread_body(ctx: Context) -> None:
        call(ctx)

    await finished(one_task(thread_body if in_thread else async_body))
    return caught[0]


# --- emit -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", bounds.RESERVED_EVENT_PREFIXES)
async def test_the_types_of_the_engine_are_reserved(prefix: str) -> None:
    """A body cannot say what only the engine may."""
    error = await raised_by(lambda ctx: ctx.emit(f"{prefix}said", {}))
    assert isinstance(error, InvalidEvent)
    assert "reserved" in str(error)


@pytest.mark.parametrize(
    "type", ["", "_", "a.", ".a", "a..b", "a b", "a-", "a:", "-a", "a:-b", "1a", "ä", "a\n", "A" * 65]
)
async def test_a_malformed_type_is_refused(type: str) -> None:
    """Types are words joined by single . : or -, at most 64 characters; the error names the task."""
    error = await raised_by(lambda ctx: ctx.emit(type, {}))
    assert isinstance(error, InvalidEvent)
    assert error.task_id == "body"
    assert "body" in str(error)


@pytest.mark.parametrize(
    "type",
    [
        "a",
        "a" * 64,
        "runs.done",
        "a1_b.c2.3",
        "tasks.x",
        "ROUTER_THOUGHT",
        "WorkflowStepStarted",
        "agent:started",
        "task_start",
        "a-b",
    ],
)
async def test_a_well_formed_type_is_taken(type: str) -> None:
    """What only looks like a reserved prefix is not."""
    assert await raised_by(lambda ctx: ctx.emit(type, {})) is None


@pytest.mark.parametrize("type", [None, 5, b"a"])
@pytest.mark.parametrize("in_thread", [False, True])
async def test_a_type_that_is_no_string_is_an_invalid_event(type: Any, in_thread: bool) -> None:
    """Whatever is wrong with an event is an InvalidEvent."""
    assert isinstance(await raised_by(lambda ctx: ctx.emit(type, {}), in_thread=in_thread), InvalidEvent)


@pytest.mark.parametrize(
    "data",
    [object(), {"x": object()}, {"x": 2**70}, {"x": "\ud800"}, [1], "text", 5, True, {1: 2}],
    ids=["object", "holds object", "too large int", "surrogate", "list", "str", "int", "bool", "int key"],
)
@pytest.mark.parametrize("in_thread", [False, True])
async def test_data_that_is_no_json_object_is_refused(data: Any, in_thread: bool) -> None:
    """Data must be a JSON object; the error is raised where ``emit`` was called."""
    assert isinstance(await raised_by(lambda ctx: ctx.emit("number.said", data), in_thread=in_thread), InvalidEvent)


async def test_data_that_contains_itself_is_refused() -> None:
    """A cycle is no JSON."""
    cycle: dict[str, Any] = {}
    cycle["self"] = cycle
    assert isinstance(await raised_by(lambda ctx: ctx.emit("number.said", cycle)), InvalidEvent)


@pytest.mark.parametrize("in_thread", [False, True])
@pytest.mark.parametrize(
    "say",
    [
        lambda ctx: ctx.emit("text.said", {"text": "x" * bounds.MAX_EVENT_BYTES}),
        lambda ctx: ctx.log.info("x" * bounds.MAX_EVENT_BYTES),
        lambda ctx: ctx.progress(0.5, "x" * bounds.MAX_EVENT_BYTES),
    ],
    ids=["emit", "log", "progress"],
)
async def test_an_event_above_48_kib_is_refused(say: Callable[[Context], Any], in_thread: bool) -> None:
    """It raises EventTooLarge in the body; the run goes on."""
    assert isinstance(await raised_by(say, in_thread=in_thread), EventTooLarge)


async def test_the_largest_event_that_is_taken_is_below_48_kib_with_its_envelope() -> None:
    """The limit holds for the whole encoded event, long names and ids included."""
    sizes: list[int] = []
    flow = Workflow("w" * 64)

    async def body(items: int, ctx: Context) -> None:
        size = bounds.MAX_EVENT_BYTES
        while True:
            try:
                await ctx.emit("a" * 64, {"text": "x" * size})
            except EventTooLarge:
                size -= 16
            else:
                sizes.append(size)
                return

    flow.task(lambda: [1], name="items")
    flow.task(body, name="t" * 64, map={"items": "items"})
    async with Engine() as engine:
        run = await engine.start(flow, run_id="r" * 64)
        await run
        events = await read_all(engine.log, run.id)
    assert sizes[0] > bounds.MAX_EVENT_BYTES - 1_024
    assert max(len(event.json) for event in events) <= bounds.MAX_EVENT_BYTES


async def test_an_event_is_what_it_was_when_it_was_emitted() -> None:
    """Changing the data afterwards changes nothing; None is an empty object."""

    async def body(ctx: Context) -> None:
        data = {"n": 1}
        waiting = ctx.emit("number.said", data)
        data["n"] = 2
        await waiting
        await ctx.emit("number.said")

    _, events = await finished(one_task(body))
    assert [event.data for event in of_type(events, "number.said")] == [{"n": 1}, {}]


async def test_an_event_names_its_task_child_and_attempt() -> None:
    """The envelope of what a child says is the child's."""
    flow = Workflow("envelope")

    @flow.task
    async def items() -> list[str]:
        return ["a", "b"]

    @flow.task(map="items")
    async def each(items: str, ctx: Context) -> tuple[str, str, int, int | None]:
        await ctx.emit("item.seen", {"item": items})
        return ctx.run_id, ctx.task_id, ctx.attempt, ctx.map_index

    run, events = await finished(flow)
    seen = of_type(events, "item.seen")
    assert [(e.task_id, e.task, e.map_index, e.attempt, e.data) for e in seen] == [
        ("each[0]", "each", 0, 1, {"item": "a"}),
        ("each[1]", "each", 1, 1, {"item": "b"}),
    ]
    assert (await run)["each"] == [(run.id, "each[0]", 1, 0), (run.id, "each[1]", 1, 1)]


# --- progress and log -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("in_thread", [False, True])
async def test_progress_is_sampled_and_the_last_one_is_always_said(in_thread: bool) -> None:
    """Of a thousand reports at most 20 a second reach the log, in order, the last before the task's end."""

    async def async_body(ctx: Context) -> None:
        for i in range(1, 1_001):
            await ctx.progress(i / 1_000, f"step {i}")
            if i % 10 == 0:
                await asyncio.sleep(0.001)

    def thread_body(ctx: Context) -> None:
        for i in range(1, 1_001):
            ctx.progress(i / 1_000, f"step {i}")
            if i % 10 == 0:
                time.sleep(0.001)

    began = time.monotonic()
    run, events = await finished(one_task(thread_body if in_thread else async_body))
    took = time.monotonic() - began
    said = [event.data["fraction"] for event in of_type(events, "task.progress")]
    assert 2 <= len(said) <= took * bounds.PROGRESS_PER_SECOND + 2
    assert said == sorted(said)
    assert said[-1] == 1.0
    assert run.state.tasks["body"].progress == 1.0
    assert run.state.tasks["body"].message == "step 1000"
    types = [event.type for event in events]
    assert max(i for i, type in enumerate(types) if type == "task.progress") < types.index("task.completed")


async def test_the_last_progress_of_a_body_that_fails_is_said_before_its_failure() -> None:
    """However a body ends."""

    async def body(ctx: Context) -> None:
        await ctx.progress(0.1)
        await ctx.progress(0.2)
        await ctx.progress(0.3)
        raise ValueError("no")

    _, events = await finished(one_task(body))
    assert [event.data["fraction"] for event in of_type(events, "task.progress")] == [0.1, 0.3]
    assert [event.type for event in events[-2:]] == ["task.failed", "run.failed"]


class NoNumber:
    def __float__(self) -> float:
        raise KeyError

    def __repr__(self) -> str:
        return "<NoNumber>"


@pytest.mark.parametrize(
    ("fraction", "shown"),
    [
        (float("nan"), "nan"),
        (Decimal("nan"), "Decimal('NaN')"),
        (None, "None"),
        ("half", "'half'"),
        ("0.5", "'0.5'"),
        (b"1", "b'1'"),
        (1j, "1j"),
        ([0.5], "[0.5]"),
        (NoNumber(), "<NoNumber>"),
    ],
    ids=repr,
)
async def test_progress_is_a_number(fraction: Any, shown: str) -> None:
    """Anything else is an InvalidEvent, in one sentence that says what to write."""
    error = await raised_by(lambda ctx: ctx.progress(fraction))
    assert isinstance(error, InvalidEvent)
    assert str(error).endswith(f": progress is a number from 0 to 1, such as done / total, not {shown}")


@pytest.mark.parametrize("place", ["loop", "thread", "process"])
async def test_progress_beyond_its_ends_is_clamped_with_one_warning(place: Any) -> None:
    """A fraction that was computed a little wrong fails nothing. Numbers of all kinds are numbers."""
    flow = Workflow("beyond")

    @flow.task
    async def on_the_loop(ctx: Context) -> None:
        bodies.count_beyond(ctx)

    if place != "loop":
        flow = Workflow("beyond")
        flow.task(bodies.count_beyond, executor=place)
    events = await run_to_end(flow)
    assert events[-1].type == "run.completed"
    assert [event.data["fraction"] for event in of_type(events, "task.progress")] == bodies.BEYOND_SHOWN
    assert only(events, "log.created").data == {
        "level": "warning",
        "message": "progress goes from 0 to 1, so 2.5 is shown as 1; write done / total",
        "fields": {},
    }
    assert [event.type for event in events[4:7]] == ["demo.begins", "log.created", "task.progress"]


@pytest.mark.parametrize("in_thread", [False, True])
async def test_log_lines_are_events_with_level_message_and_fields(in_thread: bool) -> None:
    """``ctx.log`` has the four levels; the fields are JSON."""

    def say(ctx: Context) -> None:
        ctx.log.debug("a")
        ctx.log.info("b", rows=12)
        ctx.log.warning("c", where={"x": [1]})
        ctx.log.error("d")

    async def async_body(ctx: Context) -> None:
        say(ctx)

    _, events = await finished(one_task(say if in_thread else async_body))
    assert [event.data for event in of_type(events, "log.created")] == [
        {"level": "debug", "message": "a", "fields": {}},
        {"level": "info", "message": "b", "fields": {"rows": 12}},
        {"level": "warning", "message": "c", "fields": {"where": {"x": [1]}}},
        {"level": "error", "message": "d", "fields": {}},
    ]


async def test_a_log_field_may_have_any_name() -> None:
    """A field may also be called ``message``, ``level`` or ``self``."""
    assert await raised_by(lambda ctx: ctx.log.info("loaded", message="m", level="l", self="s")) is None


# --- committed --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("in_thread", [False, True])
async def test_committed_returns_when_everything_said_so_far_is_in_the_log(in_thread: bool) -> None:
    """``committed`` waits for a slow log too, and returns at once where there is nothing to wait for."""
    kept: list[str] = []
    found: list[int] = []

    class Keeping(LogAround):
        """Notes the types of the events that are in the log."""

        def append(self, run_id: str, window: Window, *, tenant: str = "") -> asyncio.Future[int]:
            appended = super().append(run_id, window)
            kept.extend(event.type for event in window)
            return appended

    async def async_body(ctx: Context) -> None:
        for _ in range(3):
            for _ in range(10):
                ctx.emit("number.said", {})
            await ctx.committed()
            found.append(kept.count("number.said"))
        await ctx.committed()

    def thread_body(ctx: Context) -> None:
        for _ in range(3):
            for _ in range(10):
                ctx.emit("number.said", {})
            ctx.committed()
            found.append(kept.count("number.said"))
        ctx.committed()

    await finished(one_task(thread_body if in_thread else async_body), log=SlowLog(Keeping(MemoryLog()), 0.005))
    assert found == [10, 20, 30]


# --- looking around ---------------------------------------------------------------------------------------------


async def test_a_body_sees_how_each_upstream_ended() -> None:
    """``ctx.upstreams`` gives status, output, error, and where a skip began; by default the output is None."""
    flow = Workflow("upstreams")
    seen: dict[str, Any] = {}

    @flow.task
    async def good() -> int:
        return 1

    @flow.task
    async def bad() -> int:
        raise ValueError("no")

    @flow.task
    async def skipped(bad: int) -> int:
        return bad

    @flow.task(when=lambda: False)
    async def unwanted() -> int:
        return 1

    @flow.task(on_upstream_failure="run", after="unwanted")
    async def last(good: int, ctx: Context, bad: int = 7, skipped: int | None = None) -> list[Any]:
        seen.update({name: upstream._asdict() for name, upstream in ctx.upstreams.items()})
        return [good, bad, skipped]

    run, _ = await finished(flow)
    assert await run == {"last": [1, 7, None]}
    error = {"type": "ValueError", "message": "no"}
    nothing = {"error": None, "reason": None, "because": None}
    assert seen == {
        "good": {"status": "completed", "output": 1, **nothing},
        "bad": {"status": "failed", "output": None, "error": error, "reason": None, "because": "bad"},
        "skipped": {"status": "skipped", "output": None, "error": None, "reason": "upstream_failed", "because": "bad"},
        "unwanted": {
            "status": "skipped",
            "output": None,
            "error": None,
            "reason": "condition",
            "because": "unwanted",
        },
    }


async def test_a_child_of_a_map_over_a_map_sees_how_its_pair_ended() -> None:
    """What it waited for is child i upstream, which has ended; not the whole map, which may still run."""
    flow = Workflow("pairs")
    seen: dict[int | None, Any] = {}
    released = asyncio.Event()

    @flow.task
    async def items() -> list[int]:
        return [0, 1]

    @flow.task(map="items")
    async def first(items: int) -> int:
        if items == 0:
            raise ValueError("no")
        await released.wait()
        return items

    @flow.task(map={"item": "first"}, on_upstream_failure="run")
    async def second(item: int | None, ctx: Context) -> None:
        seen[ctx.map_index] = (item, ctx.upstreams["first"].status, ctx.upstreams["first"].error)
        released.set()

    await finished(flow)
    assert seen == {0: (None, "failed", {"type": "ValueError", "message": "no"}), 1: (1, "completed", None)}


async def test_a_body_sees_the_input_meta_and_resources() -> None:
    """A task's meta lies over the run's."""
    pool = object()

    async def body(ctx: Context, n: int = 3) -> list[Any]:
        return [dict(ctx.input), dict(ctx.meta), ctx.resources["pool"] is pool]

    async with Engine(resources={"pool": pool}) as engine:
        flow = one_task(body, meta={"a": "task"})
        run = await engine.start(flow, {"n": 5}, meta={"a": "run", "b": 1})
        assert await run == {"body": [{"n": 5}, {"a": "task", "b": 1}, True]}


async def test_a_thread_finds_out_that_it_should_stop() -> None:
    """``ctx.cancelled`` turns true in a thread once the run is being cancelled."""
    running = threading.Event()

    def body(ctx: Context) -> None:
        assert not ctx.cancelled
        running.set()
        while not ctx.cancelled:
            time.sleep(0.001)

    async with Engine() as engine:
        run = await engine.start(one_task(body))
        await asyncio.to_thread(running.wait, PATIENCE)
        await asyncio.wait_for(run.cancel(), PATIENCE)
        assert run.status == "cancelled"
        assert (await engine.log.read(run.id, run.state.seq - 1, 1))[0].data["abandoned"] == 0


@pytest.mark.parametrize(
    "act",
    [
        lambda ctx: ctx.emit("number.said", {}),
        lambda ctx: ctx.progress(0.5),
        lambda ctx: ctx.log.info("late"),
        lambda ctx: ctx.committed(),
    ],
    ids=["emit", "progress", "log", "committed"],
)
@pytest.mark.parametrize("in_thread", [False, True])
async def test_a_leaked_context_says_nothing_after_its_body_ended(
    act: Callable[[Context], Any], in_thread: bool
) -> None:
    """Every call raises ContextClosed, on the loop and in threads, and nothing reaches the log."""
    leaked: list[Context] = []
    caught: list[Any] = []
    flow = Workflow("leak")

    @flow.task
    async def first(ctx: Context) -> None:
        leaked.append(ctx)

    def use() -> None:
        try:
            act(leaked[0])
        except Exception as error:
            caught.append(error)

    @flow.task(after="first")
    async def on_loop() -> None:
        use()

    @flow.task(after="first")
    def second() -> None:
        use()

    if in_thread:
        on_loop.function = second.function  # type: ignore[assignment]  # both from a thread
    _, events = await finished(flow)
    assert [type(error) for error in caught] == [ContextClosed] * 2
    assert {e.type for e in events if e.task_id == "first"} == {"task.started", "task.completed"}


# --- outputs ----------------------------------------------------------------------------------------------------


@dataclass
class Point:
    x: int
    y: int


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


async def completed_data(value: Any, returns: Any = None) -> tuple[dict[str, Any], Any]:
    """``task.completed.data`` and what ``await run`` gives for a body that returns ``value``."""

    async def body() -> Any:
        return value

    if returns is not None:
        body.__annotations__["return"] = returns
    run, events = await finished(one_task(body))
    return of_type(events, "task.completed")[0].data, (await run)["body"]


@pytest.mark.parametrize("value", [None, True, 0, 2**63 - 1, 1.5, "ü", [], {"a": [1, {"b": None}]}], ids=repr)
async def test_plain_json_is_recoverable(value: Any) -> None:
    """It says nothing about it, for it is the rule."""
    data, output = await completed_data(value)
    assert "recoverable" not in data
    assert data["output"] == output == value


@pytest.mark.parametrize(
    ("value", "returns"),
    [
        ((1, 2), None),
        ({1, 2}, None),
        (float("nan"), None),
        (float("inf"), None),
        ([1, float("nan")], None),
        (Point(1, 2), None),
        ({1: 2}, None),
        (2**63, None),
        (b"bytes", None),
        (object(), None),
        (Unprintable(), None),
        (Point(1, 2), dict[str, int]),
        ((1, 2), list[int]),
        (lambda: None, None),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_what_json_does_not_restore_is_said_not_to_be_recoverable(value: Any, returns: Any) -> None:
    """It flows on in memory as it is, and its event is still JSON."""
    data, output = await completed_data(value, returns)
    assert data["recoverable"] is False
    assert output is value


@pytest.mark.parametrize(
    ("value", "returns"),
    [(Point(1, 2), Point), ((1, 2), tuple[int, int]), ({1, 2}, set[int]), ({1: 2}, dict[int, int])],
)
async def test_what_its_annotation_restores_is_recoverable(value: Any, returns: Any) -> None:
    """An output is recoverable if pydantic makes an equal value of its JSON by the return annotation."""
    data, output = await completed_data(value, returns)
    assert "recoverable" not in data
    assert output is value


async def test_a_large_output_is_stored_beside_its_event() -> None:
    """Above 32 KiB the event holds a reference, the size and a preview; ``run.output`` gives the whole JSON."""
    large = ["x" * 100] * 1_000
    flow = Workflow("large")

    @flow.task
    async def big() -> list[str]:
        return large

    @flow.task
    async def count(big: list[str]) -> int:
        return len(big)

    @flow.task
    async def last(big: list[str]) -> list[str]:
        return big

    async with Engine() as engine:
        run = await engine.start(flow)
        outputs = await run
        events = await read_all(engine.log, run.id)
        assert orjson.loads(await run.output("big")) == large
        again = await engine.get(run.id)
        assert orjson.loads(await again.output("big")) == large
        assert await again.outputs() == outputs == {"count": 1_000, "last": large}
    data = next(event.data for event in of_type(events, "task.completed") if event.task_id == "big")
    assert data["output_ref"] == f"runs/{run.id}/tasks/big/output"
    assert data["size"] == len(orjson.dumps(large))
    assert 0 < len(data["preview"]) <= bounds.PREVIEW_CHARS
    assert "output" not in data
    assert "outputs_ref" in events[-1].data
    assert max(len(event.json) for event in events) <= bounds.MAX_EVENT_BYTES


@pytest.mark.parametrize(("size", "is_inline"), [(bounds.MAX_INLINE_BYTES, True), (bounds.MAX_INLINE_BYTES + 1, False)])
async def test_an_output_is_inline_up_to_exactly_32_kib(size: int, is_inline: bool) -> None:
    """The limit is on its JSON."""
    data, _ = await completed_data("x" * (size - 2))
    assert ("output" in data) is is_inline


async def test_the_output_of_a_mapped_task_is_its_list() -> None:
    """``run.output`` of a mapped task is the JSON of the list its dependents get; of an empty one ``[]``."""
    flow = Workflow("mapped")

    @flow.task
    async def items() -> list[int]:
        return [1, 2, 3]

    @flow.task(map="items")
    async def double(items: int) -> int:
        return 2 * items

    @flow.task(when=lambda double: False)
    async def nothing(double: list[int]) -> None: ...

    @flow.task
    async def empty() -> list[int]:
        return []

    @flow.task(map={"item": "empty"})
    async def none(item: int) -> int:
        return item

    run, _ = await finished(flow)
    assert orjson.loads(await run.output("double[1]")) == 4
    assert orjson.loads(await run.output("double")) == [2, 4, 6]
    assert orjson.loads(await run.output("none")) == []


# --- bodies that misbehave --------------------------------------------------------------------------------------


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no str")


class Odd(BaseException):
    pass


@pytest.mark.parametrize("in_thread", [False, True])
@pytest.mark.parametrize(
    ("error", "type", "message"),
    [
        (Mute(), "Mute", "str()"),
        (SystemExit(3), "SystemExit", "3"),
        (Odd("odd"), "Odd", "odd"),
        (StopIteration("stop"), None, "StopIteration"),
        (asyncio.CancelledError("me"), "CancelledError", "me"),
        (ValueError("\ud800"), "ValueError", "?"),
        (ValueError("x" * 1_000_000), "ValueError", "xxx"),
        (ValueError("\x00" * 1_000_000), "ValueError", "\x00"),
    ],
    ids=["mute", "SystemExit", "BaseException", "StopIteration", "CancelledError", "surrogate", "long", "escapes"],
)
async def test_whatever_a_body_raises_is_its_failure(
    error: BaseException, type: str | None, message: str, in_thread: bool
) -> None:
    """The run fails with a ``task.failed`` of bounded size; the engine goes on."""

    async def async_body() -> None:
        raise error

    def thread_body() -> None:
        raise error

    async with Engine(tracebacks=True) as engine:
        run = await engine.start(one_task(thread_body if in_thread else async_body))
        with pytest.raises(RunFailed):
            await asyncio.wait_for(outcome(run), PATIENCE)
        events = await read_all(engine.log, run.id)
        failed = of_type(events, "task.failed")[0].data["error"]
        assert type in (None, failed["type"]) or failed["type"] == "RuntimeError"
        assert message in failed["message"] or message in failed["type"]
        assert max(len(event.json) for event in events) <= bounds.MAX_EVENT_BYTES

        async def fine() -> int:
            return 1

        flow = Workflow("next")
        flow.task(fine)
        assert await (await engine.start(flow)) == {"fine": 1}


async def test_a_def_body_that_returns_a_coroutine_is_told_to_be_async() -> None:
    """It fails with what to do, and leaves no coroutine that was never awaited."""

    async def inner() -> int:
        return 1

    def body() -> Any:
        return inner()

    run, _ = await finished(one_task(body))
    with pytest.raises(RunFailed, match="async def"):
        await run


async def test_tracebacks_are_in_events_only_where_enabled() -> None:
    """Events are shown to users, who need not see the source."""

    async def body() -> None:
        raise ValueError("no")

    _, events = await finished(one_task(body))
    assert "traceback" not in of_type(events, "task.failed")[0].data["error"]
    _, events = await finished(one_task(body), tracebacks=True)
    assert "test_context.py" in of_type(events, "task.failed")[0].data["error"]["traceback"]
