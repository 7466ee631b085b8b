"""The clients of the AI SDK, versions 6 and 7, take every chunk that leaves this server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reactor import Context, Engine, Event, Retry, Workflow
from reactor_web.dialects.ai_sdk.own import OF_A_SESSION, SHAPES
from reactor_web.testing import DIALECT_LAWS
from tests.events.golden.record import FOLDER, read
from tests.helpers.ai_sdk import AI_SDK, MAJORS, Judge, chunks_of, ended, wire_of
from tests.helpers.dags import build, dags
from tests.helpers.runs import full_log, run_to_end, wait_for_event

NAMES = sorted(path.stem for path in FOLDER.glob("*.jsonl"))


@pytest.fixture(scope="module", params=MAJORS)
def judge(request: pytest.FixtureRequest) -> Iterator[Judge]:
    """A client of each version."""
    with Judge(request.param) as judge:
        yield judge


def message_of(judge: Judge, log: list[Event]) -> dict[str, Any]:
    """What the client makes of a log. It refuses nothing, and has only the error that the run ended with."""
    reading = judge.read(wire_of(log))
    chunks = chunks_of(log)
    assert reading.refused == []
    assert reading.errors == [chunk["errorText"] for chunk in chunks if chunk["type"] == "error"]
    assert reading.chunks == chunks, "a chunk was changed on its way, or [DONE] was taken for one"
    assert reading.message is not None
    return reading.message


def parts_of(message: dict[str, Any], type: str) -> list[dict[str, Any]]:
    return [part for part in message["parts"] if part["type"] == type]


@pytest.mark.parametrize("name", NAMES)
def test_every_recorded_run_is_a_message(judge: Judge, name: str) -> None:
    """Nothing is refused, no text stays open, and the message has the id of its run."""
    log = read(name)[0]
    message = message_of(judge, log)
    is_session = log[0].data.get("session") is True
    assert message["id"] == ("" if is_session else log[0].run_id), "a session says itself when a message begins"
    assert all(part["state"] == "done" for part in parts_of(message, "text"))
    run = parts_of(message, "data-run")
    assert [part["data"]["status"] for part in run] == [log[-1].type.removeprefix("run.")]


async def test_texts_of_parallel_tasks_that_retry_are_told_apart(judge: Judge) -> None:
    """Each attempt has a text of its own, also one that failed in the middle of it."""
    flow = Workflow("writers")

    @flow.task
    async def numbers() -> list[int]:
        return [0, 1, 2]

    @flow.task(map={"n": "numbers"}, retry=Retry(attempts=2, delay=0))
    async def write(n: int, ctx: Context) -> int:
        for word in ("one ", "two ", "three"):
            await ctx.chunk(f"{n}:{word}")
            await ctx.committed()
            if n == 1 and ctx.attempt == 1:
                raise ConnectionError("lost")
        return n

    message = message_of(judge, await run_to_end(flow))
    texts = sorted(part["text"] for part in parts_of(message, "text"))
    assert texts == sorted(["0:one 0:two 0:three", "1:one ", "1:one 1:two 1:three", "2:one 2:two 2:three"])
    tasks = {part["id"]: part["data"] for part in parts_of(message, "data-task")}
    assert {id: data["state"] for id, data in tasks.items()} == dict.fromkeys(
        ["numbers", "write", "write[0]", "write[1]", "write[2]"], "completed"
    )
    assert tasks["write[1]"]["attempt"] == 2


async def test_calls_of_tools_end_with_a_result_or_an_error(judge: Judge) -> None:
    """Also the call in which the body was retried; none is left for the client to carry out."""
    flow = Workflow("tools")

    @flow.task(retry=Retry(attempts=2, delay=0))
    async def look(ctx: Context) -> None:
        async with ctx.tool_call("search", {"q": "a"}) as call:
            call.result = ["x"]
        async with ctx.tool_call("fetch", {"n": ctx.attempt}):
            if ctx.attempt == 1:
                raise ConnectionError("no answer")

    message = message_of(judge, await run_to_end(flow))
    calls = parts_of(message, "dynamic-tool")
    assert [(call["toolName"], call["state"], call.get("errorText")) for call in calls] == [
        ("search", "output-available", None),
        ("fetch", "output-error", "no answer"),
        ("search", "output-available", None),
        ("fetch", "output-available", None),
    ]
    assert len({call["toolCallId"] for call in calls}) == 4
    assert all(call["providerExecuted"] is True for call in calls)


async def test_a_question_is_one_part_that_shows_its_answer(judge: Judge, engine: Engine) -> None:
    """Two tasks ask under the same key at once: their parts do not replace each other."""
    flow = Workflow("asking")

    async def ask(ctx: Context) -> Any:
        async with ctx.tool_call("delete", {"file": "x"}) as call:
            call.result = await ctx.receive("sure?", schema={"type": "boolean"}, key="sure")
        return call.result

    flow.task(ask, name="left")
    flow.task(ask, name="right")
    run = await engine.start(flow)
    for task, value in (("left", True), ("right", False)):
        await wait_for_event(run, "task.waiting", task)
        await run.send(task, value, key="sure")
    message = message_of(judge, await full_log(engine, run))
    parts = {part["id"]: part["data"] for part in parts_of(message, "data-input")}
    assert parts.keys() == {"left/sure", "right/sure"}
    for task, value in (("left", True), ("right", False)):
        data = parts[f"{task}/sure"]
        assert (data["state"], data["value"], data["prompt"]) == ("answered", value, "sure?")
        assert data["schema"] == {"type": "boolean"}
        assert data["toolCallId"] == f"{run.id}/{task}#1.1"


async def test_a_cancelled_run_closes_what_was_open(judge: Judge, engine: Engine) -> None:
    """A text, a call and a question are open when the cancel comes."""
    flow = Workflow("cut")

    @flow.task
    async def body(ctx: Context) -> None:
        await ctx.chunk("half")
        async with ctx.tool_call("slow"):
            await ctx.receive("go on?")

    run = await engine.start(flow)
    await wait_for_event(run, "task.waiting")
    await run.cancel(reason="enough")
    log = await full_log(engine, run)
    message = message_of(judge, log)
    assert [part["state"] for part in parts_of(message, "text")] == ["done"]
    assert [part["state"] for part in parts_of(message, "dynamic-tool")] == ["output-error"]
    assert [part["data"]["state"] for part in parts_of(message, "data-input")] == ["withdrawn"]
    assert [chunk["type"] for chunk in chunks_of(log)[-3:]] == ["abort", "finish-step", "finish"]
    assert chunks_of(log)[-1]["finishReason"] == "other"


# --- whatever a run or an application says ------------------------------------------------------------------------

texts = st.sampled_from(["a", "", "b", "0", "u\u2028v", "__proto__"])
values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts | st.just("constructor"), inner, max_size=2),
    max_leaves=4,
)
members = st.fixed_dictionaries(
    {},
    optional={
        "id": texts | values, "delta": texts | values, "toolCallId": texts | values, "toolName": texts | values,
        "input": values, "output": values, "errorText": texts | values, "inputTextDelta": texts | values,
        "approvalId": texts | values, "reason": values, "sourceId": texts, "url": texts, "mediaType": texts,
        "title": texts | values, "filename": values, "messageId": texts | values, "messageMetadata": values,
        "finishReason": st.sampled_from(["stop", "interrupted", "other"]) | values, "preliminary": values,
        "transient": values, "data": values, "providerMetadata": values, "toolMetadata": values, "dynamic": values,
        "providerExecuted": values, "inputEncoding": values | st.just("text"), "type": values, "kind": values,
        "isAutomatic": values, "signature": values, "parts": values,
    },
)  # fmt: skip
UNKNOWN = [
    "custom", "reset-step", "steering-message", "reasoning-file", "tool-approval-response", "data-x", "data-task",
    "data-", "agent:started", "row", "task", "text", "tool-x", "a.b-c_d", "ROUTER_THOUGHT",
]  # fmt: skip
own = st.tuples(
    st.sampled_from([*SHAPES, *OF_A_SESSION, *UNKNOWN]), members, st.sampled_from(["a", "b", None]), st.just(1)
)
engines = st.one_of(
    st.tuples(st.just("task.started"), st.just({"executor": "loop"}), st.sampled_from("ab"), st.integers(1, 3)),
    st.tuples(st.just("task.chunk"), st.just({"text": "t"}), st.sampled_from("ab"), st.integers(1, 3)),
    st.tuples(
        st.sampled_from(["tool.call.started", "tool.call.completed"]),
        st.builds(lambda call: {"call": call, "tool": "x", "arguments": {}, "status": "success"}, st.integers(1, 2)),
        st.sampled_from("ab"), st.integers(1, 3),
    ),
    st.tuples(st.just("run.resumed"), st.just({"reason": "recovered", "by": None, "recovery": 1})),
    st.tuples(st.just("task.completed"), st.just({"output": 1, "duration_ms": 1.0}), st.sampled_from("ab"), st.just(2)),
)  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(own | engines, max_size=14), st.booleans())
def test_no_client_refuses_what_an_application_says(judge: Judge, said: list[Any], session: bool) -> None:
    """Events of all chunk types with whatever data, in runs and sessions: the schema takes every chunk, and the reader
    has only the errors that the application sent."""
    log = ended(*said, session=session)
    for law in DIALECT_LAWS:
        if law.__name__ != "one_end":  # an application may say that a message is finished, and begin another
            law(AI_SDK, log)
    reading, chunks = judge.read(wire_of(log)), chunks_of(log)
    errors = reading.errors
    if "tool-approval-request" in {chunk["type"] for chunk in chunks}:  # its answer is the client's to record
        errors = [error for error in errors if not error.startswith("stored: ")]
    assert reading.refused == []
    assert errors == [chunk["errorText"] for chunk in chunks if chunk["type"] == "error"]
    assert reading.chunks == chunks


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25)
@given(dags(8))
def test_every_run_is_a_message(judge: Judge, spec: Any) -> None:
    """Random graphs: all laws hold, and the statuses that the message shows are those of the run."""
    log = asyncio.run(run_to_end(build(spec)))
    for law in DIALECT_LAWS:
        law(AI_SDK, log)
    message = message_of(judge, log)
    shown = {part["id"]: part["data"]["state"] for part in parts_of(message, "data-task")}
    ends = {event.task_id: event.type.removeprefix("task.") for event in log if event.type in (
        "task.completed", "task.failed", "task.skipped", "task.cancelled")}  # fmt: skip
    assert {id: shown[id or ""] for id in ends} == ends
    assert set(shown.values()) <= {"completed", "failed", "skipped", "cancelled"}
