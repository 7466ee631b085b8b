"""The chat that JavaScript folds a run to: it shows what the last attempt of each task said, called and asked, once."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings

from reactor import Context, Engine, QuestionExpired, Retry, Run, RunEnded, TaskEnded, Workflow, WrongQuestion
from reactor.events.event import Event
from reactor.events.fold import evolve
from reactor.events.state import RunState
from reactor.events.vocabulary import TERMINAL
from reactor.testing import read_all
from tests.helpers.crash import RUN_ID, crashed_log
from tests.helpers.node import node_script
from tests.helpers.paths import ROOT
from tests.helpers.recorded_runs import STOPS, record, small_dags
from tests.helpers.runs import PATIENCE

GOLDEN = sorted((ROOT / "tests/events/golden").glob("*.jsonl"))
Log = list[Event]
Parts = list[dict[str, Any]]


def chats(logs: Iterable[Log], mode: str = "all") -> list[list[Parts]]:
    """Of each log the parts after each event, or what ``chat_fold.mjs`` says of ``mode``. One process for all."""
    text = "\n".join(json.dumps([event.json.decode() for event in log]) for log in logs)
    command = [*node_script("chat_fold.mjs"), mode]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.split("\n") if line]


def text_of(parts: Parts, task: str) -> str:
    return "".join(part["text"] for part in parts if part["task"] == task and part["type"] == "text")


def check(log: Log, shown: list[Parts]) -> None:
    """What must hold after every event of every log."""
    state, texts, calls = RunState(log[0].run_id), dict[str, str](), dict[str, dict[int, str]]()
    for event, parts in zip(log, shown, strict=True):
        evolve(state, event)
        task = event.task_id
        if event.type == "task.started" and task is not None:
            texts[task], calls[task] = "", {}
        if task is not None and event.type == "task.chunk":
            texts[task] += event.data["text"]
        if task is not None and event.type.startswith("tool.call."):
            calls[task][event.data["call"]] = event.data.get("status", "running")
        for one, text in texts.items():
            assert text_of(parts, one) == text, f"{one} after {event!r}"
        for one, made in calls.items():
            tools = {p["call"]: p["status"] for p in parts if p["task"] == one and p["type"] == "tool"}
            assert tools.keys() == made.keys(), f"{one} after {event!r}"
            ended = state.tasks[one].ended is not None
            assert tools == {k: "cancelled" if ended and v == "running" else v for k, v in made.items()}
        questions = [(part["task"], part["key"]) for part in parts if part["type"] == "question"]
        assert len(set(questions)) == len(questions), f"a question stands twice after {event!r}"
        if state.recoveries == 0 or event.type in TERMINAL:
            open_ones = {(p["task"], p["key"]) for p in parts if p["type"] == "question" and p["status"] == "open"}
            asked = {(id, q["key"]) for id, t in state.tasks.items() for q in t.waiting or [] if t.ended is None}
            assert open_ones >= asked, f"an open question is missing after {event!r}"
        if event.type in TERMINAL:
            assert not [part for part in parts if part.get("status") in ("open", "running")]


# --- an agent, whatever happens to it ---

TEXT = ["Let me ", "see 🙂. "]
REST = ["It is", " gone.", "\n\nBye 👋"]


def agent(*, fails: int = 0) -> Workflow:
    """Two tasks that speak at once; one calls two tools and asks twice, its first attempts fail at the end."""
    flow = Workflow("agent")

    @flow.task(retry=Retry(attempts=fails + 1, delay=0.0))
    async def reply(ctx: Context) -> str:
        for token in TEXT:
            await ctx.chunk(token)
        async with ctx.tool_call("list", {"of": "files"}) as call:
            call.result = ["a", "b"]
        approved = await ctx.receive("Delete both?", schema=bool, key="sure")
        async with ctx.tool_call("delete", {"of": "both", "approved": approved}) as call:
            call.result = 2
        for token in REST:
            await ctx.chunk(token)
        name = await ctx.receive("Who asks?", schema=str)
        await ctx.chunk(f" {name}")
        if ctx.attempt <= fails:
            raise ConnectionError("try again")
        return name

    @flow.task
    async def aside(ctx: Context) -> None:
        for number in range(5):
            await ctx.chunk(f"{number} ")
            await asyncio.sleep(0)

    return flow


async def answer(run: Run) -> None:
    """Answers each question as it comes, once."""
    answers = {"sure": True, "2": "Ada"}
    async for event in run:
        if event.type == "task.waiting" and "answered" not in event.data:
            with suppress(WrongQuestion, TaskEnded, RunEnded):  # of the log: it was answered before
                await run.send("reply", answers[event.data["key"]], key=event.data["key"])


async def whole(engine: Engine, run: Run) -> Log:
    await asyncio.wait_for(answer(run), PATIENCE)
    await run.ended()
    return await read_all(engine.log, run.id)


@cache
def agent_log(fails: int) -> Log:
    async def main() -> Log:
        async with Engine("memory://") as engine:
            return await whole(engine, await engine.start(agent(fails=fails), run_id=RUN_ID))

    return asyncio.run(main())


def outline(parts: Parts, task: str = "reply") -> list[Any]:
    """What a person sees of a task, in order."""
    shown = {
        "text": lambda p: p["text"],
        "tool": lambda p: (p["name"], p["status"], p.get("result")),
        "question": lambda p: (p["prompt"], p["status"], p.get("value")),
    }
    return [shown[part["type"]](part) for part in parts if part["task"] == task]


SEEN = [
    "".join(TEXT),
    ("list", "success", ["a", "b"]),
    ("Delete both?", "answered", True),
    ("delete", "success", 2),
    "".join(REST),
    ("Who asks?", "answered", "Ada"),
    " Ada",
]


@pytest.mark.parametrize("fails", [0, 1, 2])
def test_a_chat_stands_in_the_order_of_what_was_said(fails: int) -> None:
    """Also after attempts that failed: answered questions, which are not asked again, keep their place in the text."""
    log = agent_log(fails)
    (shown,) = chats([log])
    check(log, shown)
    assert outline(shown[-1]) == SEEN
    assert outline(shown[-1], "aside") == ["0 1 2 3 4 "]


async def test_a_chat_is_the_same_whenever_the_server_was_killed(tmp_path: Path) -> None:
    """A log that ends after any of its events is taken up by another engine, and the chat ends the same."""
    log = agent_log(1)
    logs: list[Log] = []
    for at in range(1, len(log)):
        flow = agent(fails=1)
        async with Engine(await crashed_log("memory", log[:at], tmp_path), workflows=[flow]) as engine:
            logs.append(await whole(engine, await engine.get(RUN_ID)))
    for at, (cut, shown) in enumerate(zip(logs, chats(logs), strict=True), 1):
        assert [event.json for event in cut[:at]] == [event.json for event in log[:at]]
        check(cut, shown)
        assert outline(shown[-1]) == SEEN, f"killed after event {at}"


def test_a_chat_of_a_part_and_the_rest_is_that_of_the_whole() -> None:
    """A chat that was kept after any event and goes on with the rest ends the same: nothing stands beside it."""
    log = agent_log(1)
    (shown,), (ends,) = chats([log]), chats([log], "rests")
    assert len(ends) == len(log)
    assert all(end == shown[-1] for end in ends)


def test_the_laws_hold_of_all_recorded_logs() -> None:
    """Also of logs of earlier versions, of sessions, maps and child runs."""
    logs = [[Event.from_json(line) for line in path.read_bytes().splitlines()] for path in GOLDEN]
    assert len(logs) > 10
    for log, shown in zip(logs, chats(logs), strict=True):
        check(log, shown)


def test_the_laws_hold_of_random_runs() -> None:
    """Graphs that map, fail, are tried again and are cancelled at any time."""
    logs: list[Log] = []

    @settings(max_examples=25, deadline=None, database=None, derandomize=True, phases=[Phase.generate])
    @given(small_dags(), STOPS)
    def collect(spec: Any, stop: int | None) -> None:
        logs.append(record(spec, stop))

    collect()
    for log, shown in zip(logs, chats(logs), strict=True):
        check(log, shown)


# --- questions ---


async def recorded(body: Callable[[Context], Any], *values: tuple[str | None, Any], early: bool = False) -> Parts:
    """The chat of a run of one task, to which these values are sent: when it asks, or before."""
    flow = Workflow("ask")
    gate = asyncio.Event()

    async def ask(ctx: Context) -> None:
        await gate.wait()
        await body(ctx)

    flow.task(ask, name="ask")
    async with Engine("memory://") as engine:
        run = await engine.start(flow)
        if not early:
            gate.set()
        waiting = list(values)
        async for event in run:
            asks = event.type == "task.started" if early else event.type == "task.waiting"
            while asks and waiting:
                key, value = waiting.pop(0)
                await run.send("ask", value, key=key)
                asks = early
            gate.set() if event.type == "task.received" or not early else None
        (shown,) = chats([await read_all(engine.log, run.id)])
    return shown[-1]


async def test_an_answer_that_came_early_is_shown() -> None:
    """The value was sent before the question was asked."""
    parts = await recorded(lambda ctx: ctx.receive("go?", schema=bool, key="go"), ("go", True), early=True)
    assert outline(parts, "ask") == [("go?", "answered", True)]


async def test_a_value_that_does_not_fit_leaves_the_question_open_and_says_why() -> None:
    """Sent before its schema was known, it is rejected when the task asks; the question goes with the task."""

    async def body(ctx: Context) -> None:
        await asyncio.wait_for(ctx.receive("how many?", schema=int, key="n"), 0.05)

    parts = await recorded(body, ("n", "perhaps"), early=True)
    (part,) = parts
    assert (part["status"], "value" in part) == ("withdrawn", False)
    assert "perhaps" in part["problem"]


async def test_a_question_that_expires_and_is_asked_again_stands_once() -> None:
    """With ``key=`` it may be asked again, as a reminder."""

    async def body(ctx: Context) -> None:
        try:
            await ctx.receive("yes?", schema=bool, key="yes", timeout=0.01)
        except QuestionExpired:
            await ctx.receive("yes??", schema=bool, key="yes", timeout=0.01)

    assert outline(await recorded(body), "ask") == [("yes??", "expired", None)]


def test_a_task_may_have_any_name_and_a_chat_has_a_bound() -> None:
    """Of very many parts the last 5,000 stay, and of a very long text the last million characters."""

    def said(seq: int, type: str, **data: object) -> Event:
        of = {"seq": seq, "run_id": "r", "type": type, "time": "2026-01-01T00:00:00.000000Z"}
        task = {"task_id": "__proto__", "task": "__proto__", "attempt": 1}
        return Event.from_json(json.dumps(of | task | {"data": data}).encode())

    many = [said(n, "tool.call.started", call=n, tool="t", arguments=None) for n in range(1, 5003)]
    long = [said(n, "task.chunk", text=f"{n % 10}" * 50_000) for n in range(1, 23)]
    (calls,), (text,) = chats([many, long], "last")
    assert [part["call"] for part in calls] == list(range(3, 5003))
    assert text_of(text, "__proto__") == "".join(f"{n % 10}" * 50_000 for n in range(3, 23))
