"""Input: a body waits for a value, whoever sends one is told whether it fits, and nobody is asked twice."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from reactor import (
    Context,
    Engine,
    Event,
    EventTooLarge,
    InvalidValue,
    MailboxFull,
    Retry,
    Run,
    RunCancelled,
    RunEnded,
    RunEnding,
    RunFailed,
    TaskEnded,
    UnknownTask,
    Workflow,
)
from reactor.bounds import MAILBOX
from reactor.events.fold import replay
from reactor.events.state import RunState
from reactor.testing import read_all
from tests.helpers.events import data_of, of_type
from tests.helpers.runs import PATIENCE, full_log, wait_for_event


def asking(schema: Any = None, *, prompt: str | None = "approve?", key: str | None = None) -> Workflow:
    """One task that gives what it received."""
    flow = Workflow("asking")

    @flow.task
    async def ask(ctx: Context) -> Any:
        return await ctx.receive(prompt, schema=schema, key=key)

    return flow


def late(*, schema: Any = None, times: int = 1) -> tuple[Workflow, asyncio.Event]:
    """A task that receives so many values, and the gate it waits behind."""
    flow = Workflow("late")
    gate = asyncio.Event()

    @flow.task
    async def first() -> None:
        await gate.wait()

    @flow.task(after="first")
    async def ask(ctx: Context) -> list[Any]:
        return [await ctx.receive(schema=schema) for _ in range(times)]

    return flow, gate


async def ended(run: Run) -> None:
    await asyncio.wait_for(run.ended(), PATIENCE)


def types(events: Sequence[Event], task: str) -> list[str]:
    return [event.type for event in events if event.task_id == task]


async def out(run: Run) -> Any:
    """The output of the only last task."""
    return next(iter((await asyncio.wait_for(run, PATIENCE)).values()))


# --- what is sent -------------------------------------------------------------------------------------------------


async def test_a_body_waits_for_a_value_and_gets_it(engine: Engine) -> None:
    """``task.waiting`` tells what is asked for, ``task.received`` what came; the body goes on with it."""
    run = await engine.start(asking(bool))
    await wait_for_event(run, "task.waiting")
    await run.send("ask", True)
    assert await out(run) is True
    events = await full_log(engine, run)
    assert types(events, "ask") == ["task.started", "task.waiting", "task.received", "task.completed"]
    assert data_of(events, "task.waiting") == [{"prompt": "approve?", "schema": {"type": "boolean"}, "key": "1"}]
    assert data_of(events, "task.received") == [{"value": True, "key": "1"}]


async def test_send_returns_once_the_value_is_in_the_log(engine: Engine) -> None:
    """What ``send`` accepted is in the log when it returns."""
    run = await engine.start(asking())
    await wait_for_event(run, "task.waiting")
    await run.send("ask", {"a": [1]})
    assert data_of(await read_all(engine.log, run.id), "task.received") == [{"value": {"a": [1]}, "key": "1"}]


class Colour(Enum):
    RED = "red"


@dataclass
class Place:
    x: int
    tags: list[str]


class Person(BaseModel):
    name: str
    age: int | None = None


OBJECT = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}, "required": ["n"]}

GOOD: list[tuple[Any, Any, Any]] = [
    (None, {"any": [1, None]}, {"any": [1, None]}),
    (None, None, None),
    (int | None, None, None),
    (type(None), None, None),
    (bool, False, False),
    (int, 0, 0),
    (float, 1, 1.0),
    (str, "ü\u2028", "ü\u2028"),
    (list[int], [], []),
    (Literal["yes", "no"], "no", "no"),
    (Colour, "red", Colour.RED),
    (Place, {"x": 1, "tags": ["a"]}, Place(1, ["a"])),
    (Person, {"name": "Ann"}, Person(name="Ann")),
    (dict[str, Person], {"a": {"name": "Ann", "age": 3}}, {"a": Person(name="Ann", age=3)}),
    (OBJECT, {"n": 1, "more": 2}, {"n": 1, "more": 2}),
    ({}, 7, 7),
    ({"enum": [None, 1]}, None, None),
]


@pytest.mark.parametrize(("schema", "sent", "given"), GOOD, ids=str)
async def test_a_value_that_fits_is_given_as_the_type_that_was_asked_for(
    engine: Engine, schema: Any, sent: Any, given: Any
) -> None:
    """A type restores the value, a JSON Schema leaves it as it was sent; None is a value like any other."""
    received: list[Any] = []
    flow = Workflow("typed")

    @flow.task
    async def ask(ctx: Context) -> None:
        received.append(await ctx.receive(schema=schema))

    run = await engine.start(flow)
    await wait_for_event(run, "task.waiting")
    await run.send("ask", sent)
    await ended(run)
    assert run.status == "completed"
    assert received == [given]
    assert type(received[0]) is type(given)


BAD: list[tuple[Any, Any, str]] = [
    (bool, "yes", "'yes' is not of type 'boolean'"),
    (bool, None, "None is not of type 'boolean'"),
    (int, 1.5, "1.5 is not of type 'integer'"),
    (Literal["yes", "no"], "maybe", "'maybe' is not one of"),
    (list[int], [1, "two"], "at 1: 'two' is not of type 'integer'"),
    (Place, {"x": 1}, "'tags' is a required property"),
    (Place, {"x": 1, "tags": ["a", 2]}, "at tags.1: 2 is not of type 'string'"),
    (dict[str, Person], {"a": {"name": 1}}, "at a.name: 1 is not of type 'string'"),
    (OBJECT, {"n": 0}, "at n: 0 is less than the minimum of 1"),
    (OBJECT, [], "[] is not of type 'object'"),
]


@pytest.mark.parametrize(("schema", "sent", "problem"), BAD, ids=str)
async def test_a_value_that_does_not_fit_is_refused_and_nothing_is_written(
    engine: Engine, schema: Any, sent: Any, problem: str
) -> None:
    """InvalidValue names run, task, place and what is wrong; the body still waits."""
    run = await engine.start(asking(schema), run_id="r")
    await wait_for_event(run, "task.waiting")
    before = await read_all(engine.log, run.id)
    with pytest.raises(InvalidValue) as refused:
        await run.send("ask", sent)
    assert str(refused.value).startswith("the value for task ask of run r does not fit: ")
    assert problem in str(refused.value)
    assert (refused.value.run_id, refused.value.task_id) == ("r", "ask")
    assert await read_all(engine.log, run.id) == before
    assert run.state.tasks["ask"].status == "waiting"


async def test_after_a_refusal_a_value_that_fits_is_taken(engine: Engine) -> None:
    """The one who was refused tries again."""
    run = await engine.start(asking(int))
    await wait_for_event(run, "task.waiting")
    for _ in range(3):
        with pytest.raises(InvalidValue):
            await run.send("ask", "no")
    await run.send("ask", 3)
    assert await out(run) == 3
    assert len(data_of(await full_log(engine, run), "task.received")) == 1


@pytest.mark.parametrize(
    ("value", "key", "error"),
    [
        (object(), None, ValueError),
        ("\ud800", None, ValueError),
        (1, "", ValueError),
        (1, "x" * 201, ValueError),
        (1, "\ud800", ValueError),
        ("x" * 33_000, None, EventTooLarge),
    ],
    ids=["object", "surrogate", "empty key", "long key", "surrogate key", "large"],
)
async def test_what_no_event_can_carry_is_refused(engine: Engine, value: Any, key: str | None, error: Any) -> None:
    """Nothing is written; the body still waits."""
    run = await engine.start(asking())
    await wait_for_event(run, "task.waiting")
    before = await read_all(engine.log, run.id)
    with pytest.raises(error):
        await run.send("ask", value, key=key)
    assert await read_all(engine.log, run.id) == before


async def test_the_log_says_who_sent_a_value(engine: Engine) -> None:
    """``by`` is in the event if it is given. One that no event can carry is refused, and nothing is written."""
    flow, gate = late(times=2)
    gate.set()
    run = await engine.start(flow)
    for by in ("x" * 201, "\ud800"):
        with pytest.raises(ValueError, match=r"who gives a command \(by\) must be text of at most 200 characters"):
            await run.send("ask", 1, by=by)
    await run.send("ask", 1, key="1", by="ada")
    await run.send("ask", 2, key="2")
    events = await full_log(engine, run)
    assert data_of(events, "task.received") == [{"value": 1, "key": "1", "by": "ada"}, {"value": 2, "key": "2"}]


@pytest.mark.parametrize("schema", [{"type": "nonsense"}, {"minimum": "x"}, 7, asyncio.Event, "no type"], ids=str)
async def test_a_schema_that_cannot_be_used_fails_the_body(engine: Engine, schema: Any) -> None:
    """It is the body's mistake, and nobody is asked."""
    run = await engine.start(asking(schema))
    with pytest.raises(RunFailed, match=r"InvalidEvent: .*schema of its receive"):
        await asyncio.wait_for(run, PATIENCE)
    assert "task.waiting" not in types(await full_log(engine, run), "ask")


# --- to whom ------------------------------------------------------------------------------------------------------


async def test_only_an_open_task_of_an_open_run_can_be_sent_to(engine: Engine) -> None:
    """Unknown, ended and mapped tasks are refused by name; a child of a map takes its own."""
    flow = Workflow("several")

    @flow.task
    async def items() -> list[int]:
        return [0, 1]

    @flow.task(map="items")
    async def each(items: int, ctx: Context) -> int:
        return await ctx.receive(schema=int)

    run = await engine.start(flow)
    await wait_for_event(run, "task.waiting", count=2)
    before = await read_all(engine.log, run.id)
    for unknown in ("nobody", "each[2]", "each[01]", "each[-1]", "each[", "items[0]", "", "run"):
        with pytest.raises(UnknownTask):
            await run.send(unknown, 1)
    with pytest.raises(TaskEnded, match=r"items .* has ended: completed"):
        await run.send("items", 1)
    with pytest.raises(TaskEnded, match=r"mapped; send to a child, each\[0\]"):
        await run.send("each", 1)
    assert await read_all(engine.log, run.id) == before
    await run.send("each[1]", 11)
    await run.send("each[0]", 10)
    assert await out(run) == [10, 11]
    with pytest.raises(RunEnded):
        await run.send("each[0]", 1)
    with pytest.raises(RunEnded):
        await (await engine.get(run.id)).send("nobody", 1)


async def test_a_run_that_is_being_cancelled_takes_no_value(engine: Engine) -> None:
    """What is on its way out is asked nothing."""
    flow = Workflow("leaving")
    go_on = asyncio.Event()

    @flow.task
    async def body() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await go_on.wait()

    run = await engine.start(flow)
    await wait_for_event(run, "task.started")
    await run.request_cancel()
    with pytest.raises(RunEnding):
        await run.send("body", 1)
    go_on.set()
    await ended(run)


# --- early values -------------------------------------------------------------------------------------------------


async def test_a_value_sent_before_anybody_asks_waits_in_the_mailbox(engine: Engine) -> None:
    """Also for a task that has not begun; then nobody has to answer, and the log has each question with its answer."""
    flow, gate = late(times=3)
    run = await engine.start(flow)
    await run.send("ask", 1)
    await run.send("ask", 3, key="3")
    await run.send("ask", None, key="2")
    assert run.state.tasks["ask"].status == "pending"
    assert len(run.state.tasks["ask"].received or []) == 3
    gate.set()
    assert await out(run) == [1, None, 3]
    events = await full_log(engine, run)
    sent = {event.data["value"]: event.seq for event in of_type(events, "task.received")}
    asked = [(data["key"], data["answered"]) for data in data_of(events, "task.waiting")]
    assert asked == [("1", sent[1]), ("2", sent[None]), ("3", sent[3])]


async def test_an_early_value_that_does_not_fit_is_rejected_when_it_is_received(engine: Engine) -> None:
    """``task.waiting`` names the seq and the problem; the body waits for another, and one that fits is taken."""
    flow, gate = late(schema=int, times=2)
    run = await engine.start(flow)
    await run.send("ask", 1)
    await run.send("ask", [2], key="2")
    gate.set()
    waiting = await wait_for_event(run, "task.waiting", count=2)
    rejected = next(e.seq for e in await read_all(engine.log, run.id) if e.data.get("value") == [2])
    assert (waiting.data["key"], waiting.data["rejected"]) == ("2", [rejected])
    assert waiting.data["problem"] == "[2] is not of type 'integer'"
    task = run.state.tasks["ask"]
    assert task.status == "waiting"
    assert rejected not in [seq for seq, _ in task.received or []]
    await run.send("ask", 2)
    assert await out(run) == [1, 2]
    await full_log(engine, run)


async def test_a_rejected_value_is_not_offered_again(engine: Engine) -> None:
    """A body that fails and runs again is handed what was taken, not what was refused; nobody is asked twice."""
    flow = Workflow("again")
    gate = asyncio.Event()

    @flow.task
    async def first() -> None:
        await gate.wait()

    @flow.task(after="first", retry=Retry(attempts=2, delay=0))
    async def ask(ctx: Context) -> list[int]:
        received = [await ctx.receive(schema=int), await ctx.receive(schema=int)]
        if ctx.attempt == 1:
            raise ValueError("once")
        return received

    run = await engine.start(flow)
    for key, value in (("1", 1), ("2", "nor this")):
        await run.send("ask", value, key=key)
    gate.set()
    await wait_for_event(run, "task.waiting", count=2)
    await run.send("ask", 2)
    assert await out(run) == [1, 2]
    events = await full_log(engine, run)
    rejected = [data["rejected"] for data in data_of(events, "task.waiting") if "rejected" in data]
    assert rejected == [[e.seq for e in of_type(events, "task.received") if e.data["value"] == "nor this"]]


async def test_a_mailbox_takes_100_values_and_no_more(engine: Engine) -> None:
    """MailboxFull names the task and nothing is written; whoever is waited for gets in all the same."""
    flow = Workflow("full")
    gate = asyncio.Event()

    @flow.task
    async def ask(ctx: Context) -> Any:
        await gate.wait()
        return await ctx.receive(key="wanted")

    run = await engine.start(flow, run_id="r")
    await asyncio.gather(*(run.send("ask", i, key=f"k{i}") for i in range(MAILBOX)))
    before = await read_all(engine.log, run.id)
    with pytest.raises(MailboxFull, match="100 values wait for task ask of run r already"):
        await run.send("ask", "too much", key="more")
    with pytest.raises(MailboxFull):
        await run.send("ask", "too much", key="wanted")
    assert await read_all(engine.log, run.id) == before
    gate.set()
    await wait_for_event(run, "task.waiting")
    with pytest.raises(MailboxFull):
        await run.send("ask", "not waited for", key="more")
    await run.send("ask", "here", key="wanted")
    assert await out(run) == "here"


async def test_what_was_taken_makes_room_in_the_mailbox(engine: Engine) -> None:
    """The bound is of values that wait, not of all there ever were."""
    flow, gate = late(times=MAILBOX + 1)
    run = await engine.start(flow)
    await asyncio.gather(*(run.send("ask", i, key=str(i + 1)) for i in range(MAILBOX)))
    gate.set()
    await wait_for_event(run, "task.waiting", count=MAILBOX + 1)
    await run.send("ask", MAILBOX)
    assert await out(run) == list(range(MAILBOX + 1))


# --- several ------------------------------------------------------------------------------------------------------


async def test_several_receives_in_a_row_get_the_values_in_order(engine: Engine) -> None:
    """Each is asked for once the one before has come."""
    flow, gate = late(times=3)
    gate.set()
    run = await engine.start(flow)
    for number in range(3):
        await wait_for_event(run, "task.waiting", count=number + 1)
        await run.send("ask", number)
    assert await out(run) == [0, 1, 2]
    expected = ["task.started", *["task.waiting", "task.received"] * 3, "task.completed"]
    assert types(await full_log(engine, run), "ask") == expected


async def test_questions_at_once_are_answered_by_their_places(engine: Engine) -> None:
    """The k-th call is question k, in whatever order the values come."""
    flow = Workflow("at-once")

    @flow.task
    async def ask(ctx: Context) -> list[int]:
        return await asyncio.gather(*(ctx.receive(f"{i}?", schema=int) for i in range(3)))

    run = await engine.start(flow)
    await wait_for_event(run, "task.waiting", count=3)
    await asyncio.gather(*(run.send("ask", 9 + place, key=str(place)) for place in (3, 1, 2)))
    assert await out(run) == [10, 11, 12]


async def test_a_key_says_which_receive_a_value_is_for(engine: Engine) -> None:
    """In whatever order they come; the state shows all that is waited for, each with its own schema."""
    flow = Workflow("keyed")

    @flow.task
    async def ask(ctx: Context) -> list[Any]:
        first = ctx.receive("a?", schema=int, key="a")
        second = ctx.receive("b?", schema=str, key="b")
        return [*await asyncio.gather(first, second, ctx.receive("c?")), await ctx.receive(key="a")]

    run = await engine.start(flow)
    await wait_for_event(run, "task.waiting", count=3)
    with pytest.raises(InvalidValue):
        await run.send("ask", "text", key="a")
    waiting = run.state.tasks["ask"].waiting or []
    assert [(asked["prompt"], asked["key"]) for asked in waiting] == [("a?", "a"), ("b?", "b"), ("c?", "3")]
    await run.send("ask", "nobody asks", key="z")
    await run.send("ask", "text", key="b")
    await run.send("ask", None, key="3")
    assert [asked["key"] for asked in run.state.tasks["ask"].waiting or []] == ["a"]
    assert run.state.tasks["ask"].status == "waiting"
    await run.send("ask", 1, key="a")
    assert await out(run) == [1, "text", None, 1]
    assert len(data_of(await full_log(engine, run), "task.waiting")) == 3


async def test_all_who_wait_for_a_key_get_its_value(engine: Engine) -> None:
    """A key names a value, however often it is asked for, at once or one after the other."""
    flow = Workflow("same-key")

    @flow.task
    async def ask(ctx: Context) -> list[int]:
        return await asyncio.gather(ctx.receive(key="a"), ctx.receive(key="a"))

    run = await engine.start(flow)
    await wait_for_event(run, "task.waiting")
    await run.send("ask", 7, key="a")
    assert await out(run) == [7, 7]
    assert len(data_of(await full_log(engine, run), "task.waiting")) == 1


# --- where it is asked --------------------------------------------------------------------------------------------


async def test_a_body_in_a_thread_blocks_until_its_value_comes(engine: Engine) -> None:
    """``ctx.receive`` gives the value itself there, restored to its type; early values as well."""
    flow = Workflow("thread")

    @flow.task
    def ask(ctx: Context) -> list[Any]:
        place = ctx.receive("where?", schema=Place)
        assert type(place) is Place
        return [place.x, ctx.receive(schema=int)]

    run = await engine.start(flow)
    await wait_for_event(run, "task.waiting")
    await run.send("ask", {"x": 1, "tags": []})
    await run.send("ask", 2, key="2")
    assert await out(run) == [1, 2]


async def test_a_body_that_waits_holds_no_slot(engine: Engine) -> None:
    """Others run meanwhile; once it has its value it takes its turn again."""
    flow = Workflow("slots", concurrency=1)

    @flow.task
    async def ask(ctx: Context) -> int:
        return await ctx.receive()

    @flow.task
    async def other() -> int:
        return 1

    run = await engine.start(flow)
    await wait_for_event(run, "task.completed", "other")
    assert run.state.tasks["ask"].status == "waiting"
    await run.send("ask", 2)
    assert await asyncio.wait_for(run, PATIENCE) == {"ask": 2, "other": 1}


async def test_the_state_shows_what_is_waited_for(engine: Engine) -> None:
    """While it waits: status, prompt, schema and key; afterwards nothing of it. A snapshot carries it."""
    run = await engine.start(asking({"type": "string"}, prompt="name?", key="k"))
    await wait_for_event(run, "task.waiting")
    state = run.state
    asked = {"prompt": "name?", "schema": {"type": "string"}, "key": "k"}
    assert state.tasks["ask"].status == "waiting"
    assert state.tasks["ask"].waiting == [asked]
    assert state.running == 0
    assert RunState.from_dict(state.to_dict()) == state == replay(run.id, await read_all(engine.log, run.id))
    await run.send("ask", "Ann", key="k")
    received = await wait_for_event(run, "task.received")
    at_once = replay(run.id, (await read_all(engine.log, run.id))[: received.seq])
    assert (at_once.tasks["ask"].status, at_once.tasks["ask"].waiting, at_once.running) == ("running", None, 1)
    assert await out(run) == "Ann"


# --- again, and not at all ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["loop", "thread"])
async def test_a_body_that_runs_again_gets_the_same_values_and_nobody_is_asked_twice(
    engine: Engine, where: str
) -> None:
    """The k-th receive gets the k-th value, a key its own, in every attempt."""
    flow = Workflow("retried")
    seen: list[list[int]] = []

    def judge(ctx: Context, values: list[int]) -> list[int]:
        seen.append(values)
        if ctx.attempt < 3:
            raise ValueError("again")
        return values

    async def on_loop(ctx: Context) -> list[int]:
        return judge(ctx, [await ctx.receive(), await ctx.receive(key="k"), await ctx.receive()])

    def in_thread(ctx: Context) -> list[int]:
        return judge(ctx, [ctx.receive(), ctx.receive(key="k"), ctx.receive()])

    body: Any = on_loop if where == "loop" else in_thread
    flow.task(body, name="ask", retry=Retry(attempts=3, delay=0))
    run = await engine.start(flow)
    await wait_for_event(run, "task.waiting")
    await run.send("ask", 1)
    await wait_for_event(run, "task.waiting", count=2)
    await run.send("ask", 2, key="k")
    await wait_for_event(run, "task.waiting", count=3)
    await run.send("ask", 3)
    assert await out(run) == [1, 2, 3]
    assert seen == [[1, 2, 3]] * 3
    events = await full_log(engine, run)
    assert len(of_type(events, "task.waiting")) == len(of_type(events, "task.received")) == 3


async def test_values_that_nobody_took_are_there_for_the_next_attempt(engine: Engine) -> None:
    """A body that failed before it asked finds them."""
    flow = Workflow("untaken")
    gate = asyncio.Event()

    @flow.task(retry=Retry(attempts=2, delay=0))
    async def ask(ctx: Context) -> list[int]:
        await gate.wait()
        values = [await ctx.receive()]
        if ctx.attempt == 1:
            raise ValueError("before the second")
        return [*values, await ctx.receive()]

    run = await engine.start(flow)
    await asyncio.gather(run.send("ask", 1), run.send("ask", 2, key="2"))
    gate.set()
    assert await out(run) == [1, 2]
    assert [data["key"] for data in data_of(await full_log(engine, run), "task.waiting")] == ["1", "2"]


@pytest.mark.parametrize("where", ["loop", "thread"])
@pytest.mark.parametrize("what", ["run", "task"])
async def test_a_cancel_ends_the_waiting(engine: Engine, where: str, what: str) -> None:
    """The body is stopped at once, the state waits for nothing any more, and a value comes too late."""
    flow = Workflow("cancelled")

    async def on_loop(ctx: Context) -> Any:
        return await ctx.receive()

    def in_thread(ctx: Context) -> Any:
        return ctx.receive()

    body: Any = on_loop if where == "loop" else in_thread
    flow.task(body, name="ask")
    flow.task(asking().tasks["ask"].function, name="other")
    run = await engine.start(flow)
    await wait_for_event(run, "task.waiting", count=2)
    if what == "run":
        await asyncio.wait_for(run.cancel(), PATIENCE)
        with pytest.raises(RunCancelled):
            await run
    else:
        await asyncio.wait_for(run.cancel(task="ask"), PATIENCE)
        with pytest.raises(TaskEnded, match="cancelled"):
            await run.send("ask", 1)
        await run.send("other", 1)
    events = await full_log(engine, run)
    assert data_of(events, "task.cancelled", "ask")[0]["stopped"] is True
    assert run.state.tasks["ask"].waiting is None
    assert run.state.status == ("cancelled" if what == "run" else "completed")
