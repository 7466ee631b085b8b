"""Questions: an answer reaches the one it names and no other, also after a timeout, a retry and a crash."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from pydantic import BaseModel, ConfigDict, Field, field_validator

from reactor import (
    Context,
    Engine,
    Event,
    EventTooLarge,
    InvalidValue,
    QuestionExpired,
    Retry,
    Run,
    RunFailed,
    Workflow,
    WrongQuestion,
)
from reactor.bounds import MAX_INLINE_BYTES
from reactor.clock import SystemClock
from reactor.events.fold import replay
from reactor.logs.memory import MemoryLog
from reactor.testing import SlowLog, read_all
from tests.helpers import bodies
from tests.helpers.crash import RUN_ID, crashed_log
from tests.helpers.events import data_of, of_type
from tests.helpers.runs import PATIENCE, full_log, wait_for_event


async def output(run: Run) -> Any:
    """The output of the only last task."""
    return next(iter((await asyncio.wait_for(run, PATIENCE)).values()))


def keys(run: Run, task: str = "ask") -> list[str]:
    """The open questions of a task, by the state."""
    return [question["key"] for question in run.state.tasks[task].waiting or []]


def deleting() -> Workflow:
    flow = Workflow("deleting")

    @flow.task
    async def ask(ctx: Context) -> list[bool]:
        return [
            await ctx.receive("delete the draft?", schema=bool),
            await ctx.receive("delete PRODUCTION?", schema=bool),
        ]

    return flow


# --- one answer, one question -------------------------------------------------------------------------------------


async def test_a_double_click_does_not_approve_the_next_question(engine: Engine) -> None:
    """With or without a key the second is refused, and the sentence says what is open; the question waits on."""
    run = await engine.start(deleting(), run_id="r")
    await wait_for_event(run, "task.waiting")
    clicks = await asyncio.gather(run.send("ask", True), run.send("ask", True), return_exceptions=True)
    assert isinstance(clicks[0], int)
    assert isinstance(clicks[1], WrongQuestion)
    assert "it asks nothing now, and its question '1' ('delete the draft?') is already answered" in str(clicks[1])
    await wait_for_event(run, "task.waiting", count=2)
    with pytest.raises(WrongQuestion) as late:
        await run.send("ask", True, key="1")
    assert str(late.value) == (
        "task ask of run r: its question '1' ('delete the draft?') is already answered; "
        "open: '2' ('delete PRODUCTION?')"
    )
    assert (late.value.run_id, late.value.task_id, late.value.keys) == ("r", "ask", ["2"])
    assert keys(run) == ["2"]
    await run.send("ask", False)
    assert await output(run) == [True, False]
    await full_log(engine, run)


async def test_a_value_without_a_key_is_not_for_a_question_nobody_can_have_seen() -> None:
    """Between the writing of a later question and its commit, only a value that names it answers it."""
    async with Engine(SlowLog(MemoryLog(), 0.05), grace=0) as engine:
        run = await engine.start(deleting())
        await wait_for_event(run, "task.waiting")
        await run.send("ask", True)
        sentences: set[str] = set()
        while keys(run) != ["2"]:
            with pytest.raises(WrongQuestion) as refused:
                await run.send("ask", True)
            sentences.add(str(refused.value).partition(": ")[2])
            await asyncio.sleep(0)
        assert "its question '2' ('delete PRODUCTION?') has just been asked, answer it with key=" in sentences
        await run.send("ask", False)
        assert await output(run) == [True, False]


async def test_two_open_questions_without_keys_show_as_two(engine: Engine) -> None:
    """The state lists both, each by its place; a value that names none is refused and says which there are."""
    flow = Workflow("two")

    @flow.task
    async def ask(ctx: Context) -> list[Any]:
        return await asyncio.gather(ctx.receive("one?"), ctx.receive("two?"), ctx.receive("three?", key="third"))

    run = await engine.start(flow)
    await wait_for_event(run, "task.waiting", count=3)
    assert keys(run) == ["1", "2", "third"]
    with pytest.raises(WrongQuestion, match=r"3 of its questions are open, say which one with key=: '1' \('one\?'\), "):
        await run.send("ask", 0)
    await run.send("ask", 2, key="2")
    assert keys(run) == ["1", "third"]
    assert run.state.tasks["ask"].status == "waiting"
    await run.send("ask", 3, key="third")
    await run.send("ask", 1)
    assert await output(run) == [1, 2, 3]
    await full_log(engine, run)


async def test_what_a_value_without_a_key_may_be_sent_for(engine: Engine) -> None:
    """The first question of a task that has not asked, or the one that is open; there is no third case."""
    flow = Workflow("early")
    gates = [asyncio.Event() for _ in range(2)]

    @flow.task
    async def ask(ctx: Context) -> list[Any]:
        await gates[0].wait()
        answers = [await ctx.receive("first?", key="first")]
        await gates[1].wait()
        return [*answers, await ctx.receive("second?")]

    run = await engine.start(flow)
    await run.send("ask", 1)
    with pytest.raises(WrongQuestion, match="a value waits for its next question already"):
        await run.send("ask", 2)
    gates[0].set()
    asked = await wait_for_event(run, "task.waiting")
    assert (asked.data["key"], asked.data["answered"]) == ("first", asked.seq - 1)
    with pytest.raises(WrongQuestion, match=r"it asks nothing now, and its question 'first' .* is already answered"):
        await run.send("ask", 2)
    await run.send("ask", 2, key="2")
    with pytest.raises(WrongQuestion, match="a value waits for its question '2' already"):
        await run.send("ask", 3, key="2")
    gates[1].set()
    assert await output(run) == [1, 2]
    await full_log(engine, run)


async def test_the_key_of_a_question_is_no_number(engine: Engine) -> None:
    """Numbers name questions without a key; a body that takes one fails and nobody is asked."""
    flow = Workflow("number")

    @flow.task
    async def ask(ctx: Context) -> Any:
        return await ctx.receive(key="1")

    run = await engine.start(flow)
    with pytest.raises(RunFailed, match="the key '1' of a question is a number"):
        await asyncio.wait_for(run, PATIENCE)


# --- expired and withdrawn ----------------------------------------------------------------------------------------

GIVING_UP = [
    ("thread", bodies.ask_intern_then_manager, "expired 1", "task.expired"),
    ("process", bodies.ask_intern_then_manager, "expired 1", "task.expired"),
    ("loop", bodies.give_up_intern_ask_manager, "given up", "task.withdrawn"),
    ("process", bodies.give_up_intern_ask_manager, "given up", "task.withdrawn"),
]


@pytest.mark.parametrize(("place", "body", "instead", "type"), GIVING_UP, ids=[f"{g[0]}-{g[3]}" for g in GIVING_UP])
async def test_a_question_without_an_answer_shifts_no_other(
    engine: Engine, place: Any, body: Any, instead: str, type: str
) -> None:
    """The body runs again: it is told of the same end at once, and the manager's answer stays the manager's."""
    flow = Workflow("hierarchy")
    flow.task(body, name="ask", executor=None if place == "loop" else place, retry=Retry(attempts=2, delay=0))
    run = await engine.start(flow)
    await wait_for_event(run, "task.waiting", count=2)
    assert keys(run) == ["2"]
    with pytest.raises(WrongQuestion, match=r"its question '1' \('intern\?'\) (has expired|was withdrawn); open: '2'"):
        await run.send("ask", "from the intern", key="1")
    await run.send("ask", "from the manager")
    assert await output(run) == [instead, "from the manager"]
    events = await full_log(engine, run)
    asked = [data["prompt"] for data in data_of(events, "task.waiting")]
    assert asked == ["intern?", "manager?"], "nobody is asked twice"
    assert data_of(events, type) == [{"key": "1"}]
    assert len(of_type(events, "task.started")) == 2


async def test_an_expiry_says_when_and_raises_a_timeout_error(engine: Engine) -> None:
    """``expires`` is in the event and in the state; QuestionExpired is a TimeoutError and names run, task and key."""
    flow = Workflow("soon")
    seen: list[QuestionExpired] = []

    @flow.task
    async def ask(ctx: Context) -> None:
        try:
            await ctx.receive("anybody?", key="who", timeout=0.05)
        except QuestionExpired as expired:
            seen.append(expired)

    run = await engine.start(flow, run_id="r")
    asked = await wait_for_event(run, "task.waiting")
    took = datetime.fromisoformat(asked.data["expires"]) - datetime.fromisoformat(asked.time)
    assert timedelta(0) < took <= timedelta(seconds=0.05)
    at_once = replay("r", [e for e in await read_all(engine.log, "r") if e.seq <= asked.seq])
    assert (at_once.tasks["ask"].waiting or [])[0]["expires"] == asked.data["expires"]
    events = await full_log(engine, run)
    assert data_of(events, "task.expired") == [{"key": "who"}]
    assert isinstance(seen[0], TimeoutError)
    assert (seen[0].run_id, seen[0].task_id, seen[0].key) == ("r", "ask", "who")
    assert str(seen[0]) == "task ask of run r: its question 'who' ('anybody?') was not answered in time"
    after = replay("r", [e for e in events if e.type != "task.completed"][:-1])
    assert (after.tasks["ask"].status, after.tasks["ask"].waiting) == ("running", None)


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), "soon", True])
async def test_a_timeout_that_is_no_time_fails_the_body(engine: Engine, seconds: Any) -> None:
    """It is the body's mistake, and nobody is asked."""
    flow = Workflow("wrong")

    @flow.task
    async def ask(ctx: Context) -> Any:
        return await ctx.receive(timeout=seconds)

    run = await engine.start(flow)
    with pytest.raises(RunFailed, match="the timeout of its receive must be a number of seconds"):
        await asyncio.wait_for(run, PATIENCE)


async def test_a_body_may_remind_somebody_of_a_question_it_gave_up(engine: Engine) -> None:
    """In the same attempt a question with a key is asked again by its key; what comes then is its answer."""
    flow = Workflow("reminding")

    @flow.task
    async def ask(ctx: Context) -> Any:
        for _ in range(2):
            try:
                return await ctx.receive("well?", key="well", timeout=0.02)
            except QuestionExpired:
                await ctx.emit("reminder.sent")
        return await ctx.receive("well?", key="well")

    run = await engine.start(flow)
    await wait_for_event(run, "task.waiting", count=3)
    assert keys(run) == ["well"]
    await run.send("ask", "yes")
    assert await output(run) == "yes"
    events = await full_log(engine, run)
    assert len(of_type(events, "task.expired")) == len(of_type(events, "reminder.sent")) == 2


async def test_a_cancelled_run_withdraws_nothing(engine: Engine) -> None:
    """What the engine stops, the body did not give up."""
    run = await engine.start(deleting())
    await wait_for_event(run, "task.waiting")
    await asyncio.wait_for(run.cancel(), PATIENCE)
    assert not of_type(await full_log(engine, run), "task.withdrawn")


async def test_one_of_several_who_wait_for_a_key_may_give_it_up(engine: Engine) -> None:
    """The question stays open for the others."""
    flow = Workflow("several")

    @flow.task
    async def ask(ctx: Context) -> Any:
        other = asyncio.ensure_future(ctx.receive(key="k"))
        try:
            await asyncio.wait_for(ctx.receive(key="k"), 0.02)
        except TimeoutError:
            await ctx.emit("one.gone")
        return await other

    run = await engine.start(flow)
    await wait_for_event(run, "one.gone")
    assert keys(run) == ["k"]
    await run.send("ask", 1)
    assert await output(run) == 1
    assert not of_type(await full_log(engine, run), "task.withdrawn")


# --- again --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", ["prompt", "schema", "nothing"])
async def test_an_answer_is_given_to_the_question_it_was_for(engine: Engine, change: str) -> None:
    """A body that asks something else at the same place, when it runs again, asks somebody."""
    flow = Workflow("changing")

    @flow.task(retry=Retry(attempts=2, delay=0))
    async def ask(ctx: Context) -> Any:
        again = ctx.attempt > 1
        prompt = "delete PRODUCTION?" if again and change == "prompt" else "delete the draft?"
        schema = {"type": "boolean", "title": "sure"} if again and change == "schema" else {"type": "boolean"}
        answer = await ctx.receive(prompt, schema=schema)
        if not again:
            raise ConnectionError("try again")
        return answer

    run = await engine.start(flow)
    await wait_for_event(run, "task.waiting")
    await run.send("ask", True)
    if change != "nothing":
        await wait_for_event(run, "task.waiting", count=2)
        await run.send("ask", False, key="1")
    assert await output(run) is (change == "nothing")
    assert len(of_type(await full_log(engine, run), "task.waiting")) == (1 if change == "nothing" else 2)


async def test_an_old_answer_is_for_no_later_question_of_its_place(tmp_path: Path) -> None:
    """Also not after a restart, when it is one of many values in the log."""
    flow = Workflow("three")

    @flow.task(retry=Retry(attempts=3, delay=0))
    async def ask(ctx: Context) -> Any:
        answer = await ctx.receive(f"question of attempt {ctx.attempt}")
        if ctx.attempt == 1:
            raise ConnectionError("try again")
        return answer

    url = f"sqlite:///{tmp_path}/runs.db"
    async with Engine(url, workflows=[flow], grace=0) as engine:
        run = await engine.start(flow, run_id=RUN_ID)
        await wait_for_event(run, "task.waiting")
        await run.send("ask", "for the first")
        await wait_for_event(run, "task.waiting", count=2)
    async with Engine(url, workflows=[flow]) as engine:
        run = await engine.get(RUN_ID)
        await wait_for_event(run, "task.waiting", count=3)
        assert [(q["key"], q["prompt"]) for q in run.state.tasks["ask"].waiting or []] == [
            ("1", "question of attempt 3")
        ]
        await run.send("ask", "for the third")
        assert await output(run) == "for the third"


class Later(SystemClock):
    """A clock that is ahead: the process was started again so many seconds later."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.ahead = timedelta(seconds=seconds)

    def now(self) -> bytes:
        return (datetime.now(UTC) + self.ahead).strftime("%Y-%m-%dT%H:%M:%S.%fZ").encode()


def patient(log: list[str]) -> Workflow:
    flow = Workflow("patient")

    @flow.task
    async def ask(ctx: Context) -> list[Any]:
        answers: list[Any] = []
        for prompt in ("one?", "two?"):
            try:
                answers.append(await ctx.receive(prompt, timeout=3600))
            except QuestionExpired as expired:
                answers.append(expired.key)
            log.append(prompt)
        return answers

    return flow


@pytest.mark.parametrize("later", [0, 1800, 7200])
async def test_after_a_restart_a_question_waits_for_what_is_left_of_its_time(tmp_path: Path, later: float) -> None:
    """Its ``expires`` stays as it was told. What is over has expired, and is never asked again."""
    flow = patient([])
    url = f"sqlite:///{tmp_path}/runs.db"
    async with Engine(url, workflows=[flow], grace=0) as engine:
        run = await engine.start(flow, run_id=RUN_ID)
        told = (await wait_for_event(run, "task.waiting")).data["expires"]
    async with Engine(url, workflows=[flow], grace=0, clock=Later(later)) as engine:
        run = await engine.get(RUN_ID)
        await wait_for_event(run, "task.waiting", count=2)
        question = (run.state.tasks["ask"].waiting or [])[0]
        if later > 3600:
            assert (question["key"], question["prompt"]) == ("2", "two?")
        else:
            assert (question["key"], question["expires"]) == ("1", told)
            await run.send("ask", "in time")
            await wait_for_event(run, "task.waiting", count=3)
        await run.send("ask", 2, key="2")
        assert await output(run) == ["1" if later > 3600 else "in time", 2]
        await full_log(engine, run)


async def test_nobody_is_asked_again_by_a_task_whose_output_was_lost(tmp_path: Path) -> None:
    """A completed task that runs again after a crash, because its output cannot be restored, has its answers."""
    flow = Workflow("lossy")
    hold = asyncio.Event()

    @flow.task
    async def ask(ctx: Context) -> Any:
        answer = await ctx.receive("how many?")
        return {answer, object}  # no log gives this back

    @flow.task
    async def use(ask: Any) -> int:
        await hold.wait()
        return next(n for n in ask if isinstance(n, int))

    url = f"sqlite:///{tmp_path}/runs.db"
    async with Engine(url, workflows=[flow], grace=0) as engine:
        run = await engine.start(flow, run_id=RUN_ID)
        await wait_for_event(run, "task.waiting")
        await run.send("ask", 7)
        await wait_for_event(run, "task.started", "use")
    hold.set()
    async with Engine(url, workflows=[flow]) as engine:
        run = await engine.get(RUN_ID)
        assert await output(run) == 7
        events = await full_log(engine, run)
    assert (len(of_type(events, "task.started", "ask")), len(of_type(events, "task.waiting"))) == (2, 1)


def of_before(events: list[Event]) -> list[Event]:
    """The same events as version 0.1 wrote them: questions without a key have none, early answers are not told."""
    old: list[Event] = []
    for event in events:
        body = orjson.loads(event.json)
        if event.type == "task.waiting" and "answered" in body["data"]:
            continue
        if event.type in ("task.waiting", "task.received") and (body["data"]["key"] or "").isdigit():
            body["data"]["key"] = None
        body["seq"] = len(old) + 1
        old.append(Event.from_json(orjson.dumps(body)))
    return old


@pytest.mark.parametrize("answered", [0, 1, 2, 3])
async def test_a_log_of_an_earlier_version_goes_on(tmp_path: Path, answered: int) -> None:
    """Its questions have no key: the k-th value is for the k-th of them, and a key has its own."""
    flow = Workflow("before")

    @flow.task
    async def ask(ctx: Context) -> list[Any]:
        return [await ctx.receive("a?"), await ctx.receive("b?"), await ctx.receive(key="k"), await ctx.receive("c?")]

    names = ["1", "2", "k", "4"]
    async with Engine(grace=0) as engine:
        run = await engine.start(flow, run_id=RUN_ID)
        for count, name in enumerate(names[:answered]):
            await wait_for_event(run, "task.waiting", count=count + 1)
            await run.send("ask", f"for {name}", key=name)
        await wait_for_event(run, "task.waiting", count=answered + 1)
        events = await read_all(engine.log, run.id)
    old = of_before(events)
    assert replay(RUN_ID, old).tasks["ask"].status == "waiting"
    async with Engine(await crashed_log("sqlite", old, tmp_path), workflows=[flow]) as engine:
        run = await engine.get(RUN_ID)
        await run.send("ask", f"for {names[answered]}", key="k" if answered == 2 else None)
        for name in names[answered + 1 :]:
            while keys(run) != [name]:
                await asyncio.sleep(0.002)
            await run.send("ask", f"for {name}", key=name)
        assert await output(run) == [f"for {name}" for name in names]
        await full_log(engine, run)


# --- what is sent -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "body"),
    [
        ("loop", bodies.await_even),
        ("thread", bodies.ask_for_even),
        ("process", bodies.ask_for_even),
        ("process", bodies.await_even),
    ],
    ids=["loop", "thread", "process", "async-process"],
)
async def test_a_value_that_a_validator_of_its_type_refuses_leaves_the_question_open(
    engine: Engine, place: Any, body: Any
) -> None:
    """``task.waiting`` names the value and what is wrong with it; the body waits for another one."""
    flow = Workflow("even")
    flow.task(body, name="ask", executor=None if place == "loop" else place)
    run = await engine.start(flow)
    await wait_for_event(run, "task.waiting")
    await run.send("ask", {"n": 3})
    again = await wait_for_event(run, "task.waiting", count=2)
    sent = of_type(await read_all(engine.log, run.id), "task.received")[0]
    assert (again.data["key"], again.data["prompt"], again.data["rejected"]) == ("1", "even?", [sent.seq])
    assert again.data["problem"] == "at n: Value error, must be even"
    assert (keys(run), run.state.tasks["ask"].received) == (["1"], [])
    await run.send("ask", {"n": 4})
    assert await output(run) == 4
    await full_log(engine, run)


async def test_a_validator_that_raises_anything_leaves_the_question_open(engine: Engine) -> None:
    """A bug in it is told as a problem of the value, and does not end the body."""

    class Picky(BaseModel):
        n: int

        @field_validator("n")
        @classmethod
        def look_up(cls, n: int) -> int:
            return {1: 1}[n]

    flow = Workflow("picky")

    @flow.task
    async def ask(ctx: Context) -> int:
        return (await ctx.receive(schema=Picky)).n

    run = await engine.start(flow)
    await wait_for_event(run, "task.waiting")
    await run.send("ask", {"n": 2})
    assert (await wait_for_event(run, "task.waiting", count=2)).data["problem"] == "KeyError: 2"
    await run.send("ask", {"n": 1})
    assert await output(run) == 1


class Code(BaseModel):
    """Pydantic itself would use an expression that backtracks."""

    model_config = ConfigDict(regex_engine="python-re")
    code: str = Field(pattern=r"^(a+)+$")


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string", "pattern": "^(a+)+$"}, "a" * 5_000 + "!"),
        ({"patternProperties": {"^(a+)+$": {}}, "additionalProperties": False}, {"a" * 5_000 + "!": 1}),
        ({"$schema": "http://json-schema.org/draft-07/schema#", "pattern": "^(a+)+$"}, "a" * 5_000 + "!"),
        (Code, {"code": "a" * 5_000 + "!"}),
        ({"uniqueItems": True}, [{}] * 8_000),
    ],
    ids=["pattern", "names", "dialect", "python-re", "unique"],
)
async def test_no_value_holds_the_loop(engine: Engine, schema: Any, value: Any) -> None:
    """It is refused at once; an expression that backtracks would take longer than the universe has existed."""
    flow = Workflow("hostile")

    @flow.task
    async def ask(ctx: Context) -> Any:
        return await ctx.receive(schema=schema)

    run = await engine.start(flow)
    await wait_for_event(run, "task.waiting")
    with pytest.raises(InvalidValue):
        await run.send("ask", value)
    await run.cancel()


async def test_a_value_nested_in_a_schema_that_refers_to_itself_is_checked_in_bounded_time(engine: Engine) -> None:
    """Two ways at each level are too many ways at a hundred: it is refused and says so."""
    either = {"anyOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/b"}]}
    node = {"type": "object", "properties": {"next": either}}
    schema = {"$defs": {"a": node, "b": node}, "$ref": "#/$defs/a"}
    value: Any = 1
    for _ in range(100):
        value = {"next": value}
    flow = Workflow("deep")

    @flow.task
    async def ask(ctx: Context) -> Any:
        return await ctx.receive(schema=schema)

    run = await engine.start(flow)
    await wait_for_event(run, "task.waiting")
    with pytest.raises(InvalidValue, match="too intricate to be checked"):
        await run.send("ask", value)
    await run.send("ask", {"next": {"next": {}}})
    assert await output(run) == {"next": {"next": {}}}


@pytest.mark.parametrize("pattern", [r"(?=a)b", r"(a)\1", r"(?<!a)b"])
async def test_a_pattern_that_cannot_be_linear_is_refused_where_it_is_asked(engine: Engine, pattern: str) -> None:
    """Not where somebody sends a value, who can do nothing about it; also inside of a type."""
    for schema in ({"properties": {"code": {"pattern": pattern}}}, {"patternProperties": {pattern: {}}}):
        flow = Workflow("asks")

        @flow.task
        async def ask(ctx: Context, schema: Any = schema) -> Any:
            return await ctx.receive(schema=schema)

        run = await engine.start(flow)
        with pytest.raises(RunFailed, match="cannot be used, write one without look-around and backreferences"):
            await asyncio.wait_for(run, PATIENCE)
        assert not of_type(await read_all(engine.log, run.id), "task.waiting")


async def test_the_size_of_a_value_is_looked_at_before_its_schema(engine: Engine) -> None:
    """A value of any size that does not fit is too large first, which takes no time to see."""
    run = await engine.start(deleting())
    await wait_for_event(run, "task.waiting")
    with pytest.raises(EventTooLarge, match=f"above {MAX_INLINE_BYTES:,} bytes"):
        await run.send("ask", ["x" * 1000] * 40)
    await run.cancel()


async def test_the_second_click_reaches_no_question_that_an_attempt_before_has_left_open(engine: Engine) -> None:
    """What this attempt has not asked yet is shown to nobody, so a value without a key is not for it."""
    flow = Workflow("clicked")

    @flow.task(retry=Retry(attempts=2, delay=0, jitter=0))
    async def ask(ctx: Context) -> list[bool]:
        if ctx.attempt == 1:
            asking = asyncio.ensure_future(ctx.receive("delete PRODUCTION?", key="production", schema=bool))
            await ctx.committed()
            await asyncio.wait([asking], timeout=0)
            raise ConnectionError("left open")
        draft = await ctx.receive("delete the draft?", key="draft", schema=bool)
        return [draft, await ctx.receive("delete PRODUCTION?", key="production", schema=bool)]

    run = await engine.start(flow)
    assert (await wait_for_event(run, "task.waiting", count=2)).data["key"] == "draft"
    clicks = await asyncio.gather(run.send("ask", True), run.send("ask", True), return_exceptions=True)
    assert isinstance(clicks[0], int)
    assert isinstance(clicks[1], WrongQuestion)
    await run.send("ask", False, key="production")
    assert await run == {"ask": [True, False]}
