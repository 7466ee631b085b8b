"""AG-UI: the message of each event, where an AG-UI run begins and ends, and the shared state of its client."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ag_ui_validate import PatchOk, apply_patch

from reactor import Event
from reactor_web import dialects
from reactor_web.bounds import AGENT_TASKS_BYTES
from reactor_web.dialects.ag_ui.meta import Request, meta_of
from tests.helpers.agui import frames_of, judge, messages_in, parsed
from tests.helpers.folding import ended, log_of, session, started, told_when_closing

TEXT = ("TEXT_MESSAGE_START", "TEXT_MESSAGE_CONTENT", "TEXT_MESSAGE_END")


def told(log: list[Event]) -> list[dict[str, Any]]:
    """The messages of a log, which the judges accept."""
    messages = messages_in(frames_of(log))
    judge(messages)
    return messages


def types(messages: list[dict[str, Any]]) -> list[str]:
    return [message["type"] for message in messages]


def short(message: dict[str, Any]) -> dict[str, Any]:
    """Without what every message has."""
    return {name: value for name, value in message.items() if name not in ("type", "timestamp")}


def state_after(messages: list[dict[str, Any]]) -> Any:
    """The shared state of a client that applies every patch by the validator's own implementation."""
    state: Any = {}
    for message in messages:
        if message["type"] == "STATE_SNAPSHOT":
            state = message["snapshot"]
        elif message["type"] == "STATE_DELTA":
            applied = apply_patch(state, message["delta"])
            assert isinstance(applied, PatchOk), applied
            state = applied.result
    return state


def question(key: str = "k", **more: Any) -> tuple[str, dict[str, Any]]:
    return "task.waiting", {"prompt": f"{key}?", "schema": None, "key": key, **more}


def waiting(task: str, key: str = "k", **more: Any) -> tuple[str, dict[str, Any], str]:
    return (*question(key, **more), task)


def received(task: str, value: Any, key: str = "k") -> tuple[str, dict[str, Any], str]:
    return "task.received", {"value": value, "key": key}, task


def begun(task: str, attempt: int = 1) -> tuple[str, dict[str, Any], str]:
    return "task.started", {"executor": "loop", "index": 0, "total": 2, "attempt": attempt}, task


def done(task: str, output: Any = 1, how: str = "completed") -> tuple[str, dict[str, Any], str]:
    data: dict[str, Any] = {"output": output} if how == "completed" else {"error": {"type": "E", "message": "broken"}}
    return f"task.{how}", {**data, "duration_ms": 1.0, "cached": False}, task


# --- one AG-UI run ----------------------------------------------------------------------------------------------


def test_a_run_that_completes_is_one_ag_ui_run() -> None:
    """RUN_STARTED with both ids, the state, a step of each body, the outputs as the result."""
    messages = told(log_of(started("a", "b"), begun("a"), done("a"), begun("b"), done("b"), ended(outputs={"b": 1})))
    assert types(messages) == [
        "RUN_STARTED", "STATE_SNAPSHOT", "STEP_STARTED", "STATE_DELTA", "STEP_FINISHED", "STATE_DELTA",
        "STEP_STARTED", "STATE_DELTA", "STEP_FINISHED", "STATE_DELTA", "STATE_DELTA", "RUN_FINISHED",
    ]  # fmt: skip
    assert short(messages[0]) == {"threadId": "run-1", "runId": "run-1.1", "protocolVersion": "1.0"}
    assert messages[0]["timestamp"] == 1796040000001
    assert messages[1]["snapshot"]["reactor"]["tasks"] == {"a": {"status": "pending"}, "b": {"status": "pending"}}
    assert short(messages[-1]) == {
        "threadId": "run-1", "runId": "run-1.1", "result": {"b": 1},
        "outcome": {"type": "success"},
    }  # fmt: skip
    reactor = state_after(messages)["reactor"]
    assert reactor["tasks"]["a"] == {"status": "completed", "attempt": 1, "output": 1}
    assert (reactor["run"]["status"], reactor["run"]["progress"], reactor["run"]["completed"]) == ("completed", 1, 2)


def test_large_outputs_are_the_reference_to_them() -> None:
    """Where ``run.completed`` has no outputs, the result says where they are."""
    last = told(log_of(started("a"), ended(outputs_ref="runs/run-1", size=40_000)))[-1]
    assert last["result"] == {"outputs_ref": "runs/run-1", "size": 40_000}


@pytest.mark.parametrize(
    ("event", "end"),
    [
        (ended("cancelled", reason="asked", abandoned=0), {"outcome": {"type": "cancelled"}}),
        (ended("failed", error={"type": "ValueError", "message": "no"}), {"message": "no", "code": "ValueError"}),
        (
            ended("failed", error={"type": "E", "message": "too much"}, reason="budget"),
            {"message": "too much", "code": "budget"},
        ),
    ],
)
def test_a_run_that_does_not_complete(event: tuple[str, dict[str, Any]], end: dict[str, Any]) -> None:
    """Cancelled: everything is closed, and the outcome says so. Failed: RUN_ERROR with the error and its kind."""
    log = log_of(started("a"), begun("a"), ("task.chunk", {"text": "half", "index": 0}, "a"), event)
    messages = told(log)
    ids = {"threadId": "run-1", "runId": "run-1.1"} if "outcome" in end else {}
    assert short(messages[-1]) == {**ids, **end}
    assert ("STEP_FINISHED" in types(messages)) == ("outcome" in end)


def test_text_is_one_message_for_each_attempt() -> None:
    """The attempt that failed closes its text and its step; what it said stays apart. Empty text makes no message."""
    messages = told(
        log_of(
            started("a"), begun("a"), ("task.chunk", {"text": "on", "index": 0}, "a"),
            ("task.chunk", {"text": "", "index": 1}, "a"), ("task.chunk", {"text": "ce", "index": 2}, "a"),
            ("task.retrying", {"next_attempt": 2, "delay_ms": 0.0, "error": {"type": "E", "message": "e"}}, "a"),
            begun("a", 2), ("task.chunk", {"text": "again", "index": 0, "attempt": 2}, "a"),
            ("task.completed", {"output": 1, "duration_ms": 1.0, "cached": False, "attempt": 2}, "a"),
            ended(outputs={"a": 1}),
        )
    )  # fmt: skip
    shown = [short(message) for message in messages if message["type"] in (*TEXT, "STEP_STARTED", "STEP_FINISHED")]
    first, second, step = {"messageId": "run-1/a#1"}, {"messageId": "run-1/a#2"}, {"stepName": "a"}
    start = {"role": "assistant", "name": "a"}
    assert shown == [
        step, {**first, **start}, {**first, "delta": "on"}, {**first, "delta": "ce"}, first, step,
        step, {**second, **start}, {**second, "delta": "again"}, second, step,
    ]  # fmt: skip
    retrying = next(message for message in messages if message.get("name") == "reactor.retrying")
    assert retrying["metadata"] == {"reactor": {"task": "a", "attempt": 1}}
    assert retrying["value"]["next_attempt"] == 2


def test_calls_of_tools_and_models() -> None:
    """A tool: its call with arguments, its result or what went wrong. A model: its tokens in ``usage`` of the end."""
    call = {"call": 1, "tool": "search", "arguments": {"q": "x"}}
    other = {"call": 2, "tool": "open", "arguments": "page"}
    model = {"call": 3, "model": "small", "cost": 0.1, "duration_ms": 1.0, "status": "success"}
    messages = told(
        log_of(
            started("a"), begun("a"), ("tool.call.started", call, "a"), ("tool.call.started", other, "a"),
            ("tool.call.completed", {**call, "status": "success", "result": ["y"], "duration_ms": 1.0}, "a"),
            ("tool.call.completed", {**other, "status": "error", "error": {"type": "E", "message": "gone"}}, "a"),
            ("llm.call.completed", {**model, "tokens": 7}, "a"), ("llm.call.completed", {**model, "tokens": 5}, "a"),
            done("a"), ended(outputs={"a": 1}),
        )
    )  # fmt: skip
    calls = [short(message) for message in messages if message["type"].startswith("TOOL_CALL")]
    first, second = {"toolCallId": "run-1/a#1/1"}, {"toolCallId": "run-1/a#1/2"}
    assert calls == [
        {**first, "toolCallName": "search"}, {**first, "delta": '{"q":"x"}'}, first,
        {**second, "toolCallName": "open"}, {**second, "delta": '"page"'}, second,
        {**first, "messageId": "run-1/a#1/1/result", "content": '["y"]', "role": "tool"},
        {**second, "messageId": "run-1/a#1/2/result", "content": '{"error":"gone"}', "role": "tool"},
    ]  # fmt: skip
    assert messages[-1]["usage"] == [{"model": "small", "totalTokens": 12}]


def test_progress_logs_and_what_the_application_emits_are_custom() -> None:
    """Each with its name, its data, and the task it is about; progress is in the shared state too."""
    messages = told(
        log_of(
            started("a"), begun("a"), ("task.progress", {"fraction": 0.5, "message": "half", "level": "info"}, "a"),
            ("log.created", {"level": "info", "message": "m", "fields": {}}, "a"), ("page.read", {"n": 3}, "a"),
            ("noted", {"text": "outside"}), done("a"), ended(outputs={}),
        )
    )  # fmt: skip
    custom = {message["name"]: message for message in messages if message["type"] == "CUSTOM"}
    assert list(custom) == ["reactor.progress", "reactor.log", "page.read", "noted"]
    assert custom["page.read"]["value"] == {"n": 3}
    assert custom["page.read"]["metadata"] == {"reactor": {"task": "a", "attempt": 1}}
    assert "metadata" not in custom["noted"]
    entry = next(m for m in messages if m["type"] == "STATE_DELTA" and "half" in json.dumps(m))["delta"][0]["value"]
    assert entry == {"status": "running", "attempt": 1, "progress": 0.5, "message": "half"}


# --- interrupts -------------------------------------------------------------------------------------------------


def test_a_question_ends_the_ag_ui_run_and_its_answer_begins_the_next() -> None:
    """All is closed; the interrupt has prompt, schema, time and task; the next run has the state and the open step."""
    schema = {"type": "boolean"}
    log = log_of(
        started("a"), begun("a"), ("task.chunk", {"text": "one", "index": 0}, "a"),
        waiting("a", schema=schema, expires="2026-11-30T13:00:00Z"), received("a", True),
        ("task.chunk", {"text": "two", "index": 1}, "a"), done("a"), ended(outputs={"a": 1}),
    )  # fmt: skip
    messages = told(log)
    at = types(messages).index("RUN_FINISHED")
    assert types(messages[at - 2 : at + 4]) == [
        "TEXT_MESSAGE_END", "STEP_FINISHED", "RUN_FINISHED", "RUN_STARTED", "STATE_SNAPSHOT", "STEP_STARTED",
    ]  # fmt: skip
    assert messages[at]["outcome"] == {"type": "interrupt", "interrupts": [{
        "id": "a/k", "reason": "confirmation", "message": "k?", "responseSchema": schema,
        "expiresAt": "2026-11-30T13:00:00Z", "metadata": {"reactor": {"task": "a", "key": "k"}},
    }]}  # fmt: skip
    assert [message["runId"] for message in messages if "runId" in message] == [
        "run-1.1", "run-1.1", "run-1.2", "run-1.2",
    ]  # fmt: skip
    texts = [message["messageId"] for message in messages if message["type"] == "TEXT_MESSAGE_START"]
    assert texts == ["run-1/a#1", "run-1/a#1.2"]


@pytest.mark.parametrize(
    ("events", "why"),
    [
        ([begun("b")], "runs"),
        ([], "may start"),
        (
            [begun("b"), ("task.retrying", {"next_attempt": 2, "delay_ms": 9.0, "error": {}}, "b")],
            "will be tried again",
        ),
        ([done("b", how="failed"), ("run.paused", {"reason": "lunch", "by": None})], "is paused"),
        ([done("b"), ("task.cancelling", {"reason": "enough", "by": None}, "a")], "was asked to stop"),
        ([done("b"), ("task.mapped", {"count": 2}, "m")], "has children to start"),
        ([done("b"), ("task.mapped", {"count": 1}, "m"), begun("m[0]")], "has a child that runs"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_run_is_not_quiet_while_anything_can_go_on(events: list[Any], why: str) -> None:
    """No interrupt while another task runs, may start, is tried again, or the run is paused; the state shows it."""
    graph = started("a", "b", {"id": "m", "kind": "map", "depends_on": ["b"]})
    messages = messages_in(frames_of(log_of(graph, begun("a"), *events[:1], waiting("a"), *events[1:])))
    assert "RUN_FINISHED" not in types(messages)[-1:], why
    assert state_after(messages)["reactor"]["tasks"]["a"]["questions"] == {"k": "k?"}


def test_a_task_behind_the_question_and_a_child_behind_its_pair_do_not_count() -> None:
    """What only waits for the one that asks cannot go on: in a map over a map that is the child of the same index."""
    graph = started(
        "n", {"id": "ask", "kind": "map", "depends_on": ["n"]}, {"id": "use", "kind": "map", "depends_on": ["ask"]},
        {"id": "end", "depends_on": ["use"]},
    )  # fmt: skip
    log = [
        graph, begun("n"), done("n", [1, 2]), ("task.mapped", {"count": 2}, "ask"),
        ("task.mapped", {"count": 2}, "use"), begun("ask[0]"), waiting("ask[0]"), begun("ask[1]"),
    ]  # fmt: skip
    assert types(told(log_of(*log, waiting("ask[1]"))))[-1] == "RUN_FINISHED"
    messages = messages_in(frames_of(log_of(*log, done("ask[1]"))))
    assert types(messages)[-1] != "RUN_FINISHED", "use[1] may start"
    messages = told(log_of(*log, done("ask[1]"), begun("use[1]"), done("use[1]")))
    assert messages[-1]["outcome"]["interrupts"][0]["id"] == "ask[0]/k"


def test_what_changes_while_a_run_waits() -> None:
    """Progress begins no AG-UI run and is in the next snapshot; another question, text and emitted events do."""
    log = log_of(
        started("a"), begun("a"), waiting("a"),
        ("task.progress", {"fraction": 0.7, "message": None, "level": "info"}, "a"),
        waiting("a", "l"), ("noted", {}), received("a", 1), received("a", 2, "l"), done("a"), ended(outputs={}),
    )  # fmt: skip
    messages = told(log)
    runs = " ".join(types(messages)).split("RUN_STARTED ")[1:]
    assert [run.split()[-1] for run in runs] == ["RUN_FINISHED"] * 5
    asked = [[i["id"] for i in m["outcome"].get("interrupts", ())] for m in messages if m["type"] == "RUN_FINISHED"]
    assert asked == [["a/k"], ["a/k", "a/l"], ["a/k", "a/l"], ["a/l"], []]
    second = [message for message in messages if message["type"] == "STATE_SNAPSHOT"][1]
    assert second["snapshot"]["reactor"]["tasks"]["a"]["progress"] == 0.7


def test_a_rejected_answer_asks_again_and_says_why() -> None:
    """The same interrupt comes again; what was wrong is a ``reactor.rejected`` before it."""
    log = log_of(started("a"), begun("a"), waiting("a"), received("a", 1), waiting("a", rejected=[4], problem="odd"))
    messages = told(log)
    assert messages[-1]["outcome"]["interrupts"][0]["id"] == "a/k"
    rejected = next(message for message in messages if message.get("name") == "reactor.rejected")
    assert rejected["value"] == {"key": "k", "problem": "odd"}


def test_a_question_inside_a_call_of_a_tool_is_about_the_call() -> None:
    """The interrupt names the call. Its result, in the next AG-UI run, has the call before it once more."""
    call = {"call": 1, "tool": "pay", "arguments": {"sum": 3}}
    answered = {**call, "status": "success", "result": "paid", "duration_ms": 1.0}
    messages = told(
        log_of(
            started("a"), begun("a"), ("tool.call.started", call, "a"), waiting("a"), received("a", True),
            ("tool.call.completed", answered, "a"), done("a"), ended(outputs={}),
        )
    )  # fmt: skip
    interrupt = next(m for m in messages if m["type"] == "RUN_FINISHED")["outcome"]["interrupts"][0]
    assert (interrupt["reason"], interrupt["toolCallId"]) == ("tool_call", "run-1/a#1/1")
    calls = [message["type"] for message in messages if message["type"].startswith("TOOL_CALL")]
    assert calls[3:] == ["TOOL_CALL_START", "TOOL_CALL_END", "TOOL_CALL_RESULT"]


def test_a_crash_closes_what_was_open_and_the_question_keeps_its_id() -> None:
    """After a recovery the body begins anew: its step again, and the same interrupt when it asks again."""
    resumed = ("run.resumed", {"reason": "recovered", "by": None, "recovery": 1})
    messages = told(
        log_of(
            started("a", "b"), begun("a"), begun("b"), ("task.chunk", {"text": "x", "index": 0}, "b"), resumed,
            begun("a", 2), begun("b", 2), done("b"), waiting("a"), resumed, begun("a", 3), waiting("a"),
        )
    )  # fmt: skip
    asked = [m["outcome"]["interrupts"][0]["id"] for m in messages if m["type"] == "RUN_FINISHED"]
    assert asked == ["a/k", "a/k"]


# --- sizes ------------------------------------------------------------------------------------------------------


def test_the_state_of_a_large_run_stays_small_and_every_patch_fits() -> None:
    """5,000 children: no frame above 48 KiB; what runs is listed, and what has ended makes room for it."""
    graph = started("n", {"id": "m", "kind": "map", "depends_on": ["n"]})
    log: list[Any] = [graph, begun("n"), done("n"), ("task.mapped", {"count": 5_000}, "m")]
    for i in range(5_000):
        log.append(begun(f"m[{i}]"))
        if i >= 20:
            log.append(done(f"m[{i - 20}]", "x" * (i % 1_500)))
    frames = parsed(frames_of(log_of(*log)))
    assert max(len(frame.data) for frame in frames) < 48 * 1024
    tasks = state_after([json.loads(frame.data) for frame in frames])["reactor"]["tasks"]
    assert all(tasks[f"m[{i}]"]["status"] == "running" for i in range(4_980, 5_000))
    assert len(json.dumps(tasks)) <= AGENT_TASKS_BYTES * 1.2


def test_a_large_graph_and_long_texts_stay_below_the_limit() -> None:
    """2,000 tasks: those that have begun are listed. Prompts, errors and messages are clipped in the state."""
    long = "é" * 4_000
    log = log_of(
        started(*[f"task{i}" for i in range(2_000)]),
        *[event for i in range(200) for event in (begun(f"task{i}"), waiting(f"task{i}", prompt=long))],
    )
    frames = parsed(frames_of(log))
    assert max(len(frame.data.encode()) for frame in frames) < 48 * 1024
    state = state_after([json.loads(frame.data) for frame in frames])
    assert "task0" in state["reactor"]["tasks"]
    assert "task1999" not in state["reactor"]["tasks"]


def test_more_questions_than_fit_come_one_ag_ui_run_after_the_other() -> None:
    """The interrupts of one end stay below the limit; when they are answered, the rest follows."""
    names = [f"task{i}" for i in range(30)]
    asked = [event for name in names for event in (begun(name), waiting(name, prompt="p" * 3_000))]
    messages = told(log_of(started(*names), *asked))
    first = [interrupt["id"] for interrupt in messages[-1]["outcome"]["interrupts"]]
    assert len(json.dumps(messages[-1])) < 48 * 1024
    assert first == [f"{name}/k" for name in names[: len(first)]]
    assert 5 < len(first) < 30
    answers = [event for name in names[: len(first)] for event in (received(name, 1), done(name))]
    rest = told(log_of(started(*names), *asked, *answers))[-1]["outcome"]["interrupts"]
    assert rest[0]["id"] == f"task{len(first)}/k"
    huge = told(log_of(started("a"), begun("a"), waiting("a", schema={"enum": ["x" * 45_000]})))[-1]
    assert "responseSchema" not in huge["outcome"]["interrupts"][0]


# --- the application's own --------------------------------------------------------------------------------------


def test_the_vocabulary_passes_where_it_can_stand() -> None:
    """What a body emits in the words of AG-UI is sent as it is; what would break the stream is a CUSTOM."""
    log = log_of(
        started("a"), begun("a"), ("REASONING_START", {"messageId": "t"}, "a"),
        ("REASONING_MESSAGE_START", {"messageId": "t"}, "a"),
        ("REASONING_MESSAGE_CONTENT", {"messageId": "t", "delta": "hm"}, "a"),
        ("TEXT_MESSAGE_CONTENT", {"messageId": "nothing", "delta": "lost"}, "a"),
        ("STEP_FINISHED", {"stepName": "never"}, "a"), ("RUN_FINISHED", {}, "a"), ("TOOL_CALL_START", {}, "a"),
        ("TEXT_MESSAGE_CHUNK", {"messageId": "c", "delta": "x"}, "a"),
        ("TEXT_MESSAGE_CHUNK", {"messageId": "c", "delta": "y"}, "a"),
        ("ACTIVITY_SNAPSHOT", {"messageId": "p", "activityType": "plan", "content": {"steps": 2}}, "a"),
        done("a"), ended(outputs={}),
    )  # fmt: skip
    messages = told(log)
    own = [m for m in messages if not m["type"].startswith(("RUN", "STATE", "STEP"))]
    assert types(own) == [
        "REASONING_START", "REASONING_MESSAGE_START", "REASONING_MESSAGE_CONTENT", "CUSTOM", "CUSTOM", "CUSTOM",
        "CUSTOM", "TEXT_MESSAGE_START", "TEXT_MESSAGE_CONTENT", "TEXT_MESSAGE_CONTENT", "ACTIVITY_SNAPSHOT",
        "TEXT_MESSAGE_END", "REASONING_MESSAGE_END", "REASONING_END",
    ]  # fmt: skip
    assert [m["name"] for m in own if m["type"] == "CUSTOM"] == [
        "TEXT_MESSAGE_CONTENT", "STEP_FINISHED", "RUN_FINISHED", "TOOL_CALL_START",
    ]  # fmt: skip


def test_the_state_of_the_application_stands_beside_ours() -> None:
    """What the client sent, and what bodies emit, is in every snapshot; a patch that does not fit is a CUSTOM."""
    meta = meta_of(Request("t", "r", None), {"draft": 1, "reactor": "not theirs"})
    log = log_of(
        started("a", meta=meta), begun("a"), ("STATE_DELTA", {"delta": [{"op": "add", "path": "/n", "value": 2}]}, "a"),
        ("STATE_DELTA", {"delta": [{"op": "remove", "path": "/nothing"}]}, "a"), waiting("a"), received("a", 1),
        ("STATE_SNAPSHOT", {"snapshot": {"fresh": True}}, "a"), ("STATE_SNAPSHOT", {"snapshot": "x" * 9_000}, "a"),
        done("a"), ended(outputs={}),
    )  # fmt: skip
    messages = told(log)
    snapshots = [message["snapshot"] for message in messages if message["type"] == "STATE_SNAPSHOT"]
    assert [{name: value for name, value in one.items() if name != "reactor"} for one in snapshots] == [
        {"draft": 1}, {"draft": 1, "n": 2}, {"fresh": True},
    ]  # fmt: skip
    assert types(messages).count("CUSTOM") == 2
    state = state_after(messages)
    assert (state["fresh"], state["reactor"]["tasks"]["a"]["status"]) == (True, "completed")


# --- sessions, beginnings that are gone, the end of a stream ----------------------------------------------------


def test_a_session_writes_its_own_beginning_and_end() -> None:
    """They pass, with the ids filled in; nothing is made beside them."""
    log = log_of(
        session(), ("RUN_STARTED", {"runId": "mine"}), ("STEP_STARTED", {"stepName": "s"}), ("thought", {"n": 1}),
        ("STEP_FINISHED", {"stepName": "s"}), ("RUN_FINISHED", {"result": 3}), ended(outputs={}),
    )  # fmt: skip
    messages = told(log)
    assert types(messages) == ["RUN_STARTED", "STEP_STARTED", "CUSTOM", "STEP_FINISHED", "RUN_FINISHED"]
    ids = {"threadId": "run-1", "runId": "mine"}
    assert (short(messages[0]), short(messages[-1])) == (ids, {**ids, "result": 3})


def test_a_session_that_writes_neither_has_both() -> None:
    """The first event begins the AG-UI run, the end of the session finishes it."""
    messages = told(log_of(session(), ("thought", {"n": 1}), ended(outputs={"x": 1})))
    assert types(messages) == ["RUN_STARTED", "CUSTOM", "RUN_FINISHED"]


def test_a_log_whose_beginning_is_gone_begins_with_an_ag_ui_run() -> None:
    """Also where the map of a child that ends now is among what is gone."""
    log = log_of(
        started("n", {"id": "m", "kind": "map", "depends_on": ["n"]}), ("task.mapped", {"count": 1}, "m"),
        begun("m[0]"), ("task.chunk", {"text": "t", "index": 0}, "m[0]"), done("m[0]"), ended(outputs={}),
    )  # fmt: skip
    dialect = dialects.find("ag-ui")
    for cut in range(1, len(log)):
        state, _ = dialect.begin(None, "resume")
        messages = messages_in(b"".join([dialect.step(state, event) for event in log[cut:]]))
        judge(messages)
        assert (types(messages)[0], types(messages)[-1]) == ("RUN_STARTED", "RUN_FINISHED")


def test_a_stream_that_closes_in_the_middle_ends_with_an_error() -> None:
    """Clients take a stream without an end for a good one. Where no AG-UI run is open, nothing is left to say."""
    log = log_of(started("a"), begun("a"), waiting("a"), received("a", 1), done("a"), ended(outputs={}))
    for count, reason, code in [
        (2, "shutdown", "stream_closing"),
        (4, "not_recovered", "not_recovered"),
        (0, "not_found", "not_found"),
    ]:
        (frame,) = told_when_closing(dialects.find("ag-ui"), reason, log[:count])
        assert (frame.data["type"], frame.data["code"], frame.id) == ("RUN_ERROR", code, "")
        assert f"({reason})" in frame.data["message"]
    for count in (3, len(log)):
        assert told_when_closing(dialects.find("ag-ui"), "shutdown", log[:count]) == []
