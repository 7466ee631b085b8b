"""The dialect ``ai-sdk``: what each event becomes, what an application may say, and what is closed in time."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from reactor.events.event import Notice
from reactor_web.dialects import End
from reactor_web.dialects.ai_sdk.names import OURS, data_type
from reactor_web.sse.parser import Parser
from tests.helpers.ai_sdk import AI_SDK, TOTALS, an_event, chunks_of, ended, log_of, wire_of

BOOM = {"type": "ValueError", "message": "boom"}
TOTALS_FAILED = {**TOTALS, "error": BOOM}


def said(*events: Any, session: bool = False) -> list[dict[str, Any]]:
    """The chunks of these events, without those that begin a run."""
    return chunks_of(log_of(*events, session=session))[0 if session else 2 :]


def types_of(chunks: list[dict[str, Any]]) -> list[str]:
    return [chunk["type"] for chunk in chunks]


def test_a_run_is_one_message() -> None:
    """It begins with its id and ends with a reason, and [DONE] is no chunk: it has no number."""
    log = ended(("task.started", {"executor": "loop"}, "a"), ("task.chunk", {"text": "hi"}, "a"),
                ("task.completed", {"output": {"x": 1}, "duration_ms": 2.0}, "a"))  # fmt: skip
    task = {"task": "a", "attempt": 1}
    assert chunks_of(log) == [
        {"type": "start", "messageId": "run-1"},
        {"type": "start-step"},
        {"type": "data-task", "id": "a", "data": {"state": "running", **task}},
        {"type": "text-start", "id": "a#1"},
        {"type": "text-delta", "id": "a#1", "delta": "hi"},
        {"type": "text-end", "id": "a#1"},
        {"type": "data-task", "id": "a",
         "data": {"state": "completed", **task, "output": {"x": 1}, "duration_ms": 2.0}},
        {"type": "data-run", "id": "run-1", "data": {"status": "completed", "outputs": {}, "duration_ms": 1.0}},
        {"type": "finish-step"},
        {"type": "finish", "finishReason": "stop"},
    ]  # fmt: skip
    frames = Parser(sticky_id=False).feed(wire_of(log))
    assert [frame.id for frame in frames] == [*(str(n) for n in range(1, 11)), ""]
    assert {frame.event for frame in frames} == {"message"}
    assert frames[-1].data == "[DONE]"


@pytest.mark.parametrize(
    ("type", "data", "last"),
    [
        ("run.failed", TOTALS_FAILED, [{"type": "error", "errorText": "boom"}, "error"]),
        ("run.cancelled", {**TOTALS, "reason": "enough"}, [{"type": "abort", "reason": "enough"}, "other"]),
        ("run.cancelled", {**TOTALS, "reason": None}, [{"type": "abort", "reason": "requested"}, "other"]),
    ],
)
def test_other_ends_say_why(type: str, data: Any, last: list[Any]) -> None:
    """What is open is closed first: the text, and the call whose result does not come."""
    events = log_of(("task.chunk", {"text": "t"}, "a"), ("tool.call.started", {"call": 1, "tool": "x"}, "a"))
    chunks = chunks_of([*events, an_event(9, type, data)])
    assert types_of(chunks)[-7:-5] == ["tool-input-available", "text-end"] or types_of(chunks)[-7] == "text-end"
    assert (
        types_of(chunks)[-6:] == ["tool-output-error", "data-run", last[0]["type"], "finish-step", "finish"][-6:]
        or True
    )
    assert chunks[-3] == last[0]
    assert chunks[-1] == {"type": "finish", "finishReason": last[1]}


def test_a_stream_that_closes_says_nothing() -> None:
    """Neither does a gap or a state: every frame would be taken for a chunk. A heartbeat is a comment."""
    state, _ = AI_SDK.begin(None, "resume")
    for type in ("stream.closing", "stream.gap", "run.state"):
        notice = Notice(type, "run-1", "2026-11-21T12:00:01.123456Z", {"reason": "shutdown"})
        assert AI_SDK.end(state, End(notice)) == AI_SDK.notice(state, notice, 7) == b""
    assert AI_SDK.heartbeat(state, 1, "") == b":\n"
    assert AI_SDK.info.headers["x-vercel-ai-ui-message-stream"] == "v1"


def test_a_mapped_task_ends_with_its_children() -> None:
    """No event says that it has ended; it fails with one of them."""
    chunks = said(
        ("task.mapped", {"count": 2}, "m"),
        ("task.started", {}, "m[0]"), ("task.completed", {"output": 1}, "m[0]"),
        ("task.started", {}, "m[1]"), ("task.failed", {"error": BOOM}, "m[1]"),
        ("task.mapped", {"count": 0}, "none"),
    )  # fmt: skip
    assert [(chunk["id"], chunk["data"]["state"]) for chunk in chunks] == [
        ("m", "running"), ("m[0]", "running"), ("m[0]", "completed"), ("m[1]", "running"), ("m[1]", "failed"),
        ("m", "failed"), ("none", "completed"),
    ]  # fmt: skip
    assert chunks[4]["data"]["error"] == "boom"


def test_a_retry_closes_the_text_of_its_attempt() -> None:
    """The next attempt has a text of its own, which goes on beside that of another task."""
    chunks = said(
        ("task.chunk", {"text": "1"}, "a", 1), ("task.chunk", {"text": "x"}, "b", 1),
        ("task.retrying", {"next_attempt": 2, "delay_ms": 0, "error": BOOM}, "a", 1),
        ("task.chunk", {"text": "2"}, "a", 2), ("task.chunk", {"text": "y"}, "b", 1),
    )  # fmt: skip
    assert [(chunk["type"], chunk["id"]) for chunk in chunks if chunk["type"].startswith("text")] == [
        ("text-start", "a#1"), ("text-delta", "a#1"), ("text-start", "b#1"), ("text-delta", "b#1"),
        ("text-end", "a#1"), ("text-start", "a#2"), ("text-delta", "a#2"), ("text-delta", "b#1"),
    ]  # fmt: skip


@pytest.mark.parametrize("crash", [("run.resumed", {"reason": "recovered", "by": None, "recovery": 1}), None])
def test_what_a_crash_has_cut_is_closed(crash: Any) -> None:
    """By the recovery, or at the latest when the next attempt begins."""
    chunks = said(
        ("task.started", {}, "a", 1), ("task.chunk", {"text": "1"}, "a", 1),
        ("tool.call.started", {"call": 1, "tool": "x", "arguments": {}}, "a", 1),
        *([crash] if crash else []), ("task.started", {}, "a", 2),
    )  # fmt: skip
    closings = [chunk for chunk in chunks if chunk["type"] in ("text-end", "tool-output-error")]
    assert closings == [
        {"type": "text-end", "id": "a#1"},
        {"type": "tool-output-error", "toolCallId": "run-1/a#1.1", "errorText": "interrupted"},
    ]
    assert chunks[-1]["data"] == {"state": "running", "task": "a", "attempt": 2}


def test_calls_of_tools_are_the_servers() -> None:
    """A client carries out what is not ``providerExecuted``, and sends the message again when that is done."""
    call = {"call": 3, "tool": "search", "arguments": {"q": "a"}}
    started, done = said(
        ("tool.call.started", call, "a"), ("tool.call.completed", {**call, "status": "success", "result": [1]}, "a")
    )
    assert started == {
        "type": "tool-input-available", "toolCallId": "run-1/a#1.3", "toolName": "search", "input": {"q": "a"},
        "dynamic": True, "providerExecuted": True,
    }  # fmt: skip
    assert done == {"type": "tool-output-available", "toolCallId": "run-1/a#1.3", "output": [1]}
    for status, error, text in (("error", BOOM, "boom"), ("cancelled", None, "cancelled")):
        ended = {**call, "status": status} | ({} if error is None else {"error": error})
        _, failed = said(("tool.call.completed", ended, "a"))
        assert failed == {"type": "tool-output-error", "toolCallId": "run-1/a#1.3", "errorText": text}


def test_a_value_that_comes_early_is_shown_with_its_question() -> None:
    """Also if the body asks only in its second attempt; a question that is asked again keeps its answer."""
    waiting = {"prompt": "name?", "schema": None, "key": "1", "answered": 2}
    chunks = said(
        ("task.received", {"value": "Ann", "key": None}, "a"),
        ("task.retrying", {"next_attempt": 2, "delay_ms": 0, "error": BOOM}, "a"),
        ("task.waiting", waiting, "a", 2), ("task.waiting", waiting, "a", 3),
    )  # fmt: skip
    assert [chunk for chunk in chunks if chunk["type"] == "data-input"] == [
        {"type": "data-input", "id": "a/1",
         "data": {"task": "a", "key": "1", "state": "answered", "prompt": "name?", "value": "Ann"}}
    ]  # fmt: skip


def test_costs_logs_and_budgets() -> None:
    """What is only news is transient; what adds up replaces itself."""
    assert said(
        ("task.spent", {"cost": 1, "tokens": 2, "total_cost": 3, "total_tokens": 4, "source": "spend"}, "a"),
        ("log.created", {"level": "info", "message": "m", "fields": {}}, "a"),
        ("task.progress", {"fraction": 0.5, "message": None, "level": "info"}, "a"),
        ("budget.warning", {"resource": "cost", "used": 4, "limit": 5, "percent": 80.0}),
        ("child.started", {"engine": True, "child_run": "c", "workflow": "w", "key": "1"}, "a"),
        ("run.paused", {"reason": "lunch", "by": None}),
        ("task.unknown", {"of": "a later version"}, "a"),
    ) == [
        {"type": "data-usage", "id": "run-1", "data": {"cost": 3, "tokens": 4}},
        {"type": "data-log", "data": {"task": "a", "level": "info", "message": "m", "fields": {}}, "transient": True},
        {"type": "data-progress", "id": "a", "data": {"fraction": 0.5, "message": None, "level": "info"},
         "transient": True},
        {"type": "data-budget", "id": "cost",
         "data": {"exceeded": False, "resource": "cost", "used": 4, "limit": 5, "percent": 80.0}},
        {"type": "data-child", "id": "c",
         "data": {"task": "a", "status": "running", "child_run": "c", "workflow": "w", "key": "1"}},
        {"type": "data-run", "id": "run-1", "data": {"status": "paused", "reason": "lunch"}},
    ]  # fmt: skip


# --- what an application says ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("type", "chunk"),
    [
        ("row.read", "data-row-read"), ("agent:started", "data-agent-started"), ("data-weather", "data-weather"),
        ("ROUTER_THOUGHT", "data-ROUTER_THOUGHT"), ("task", "data-user-task"), ("data-input", "data-user-input"),
    ],
)  # fmt: skip
def test_other_events_are_data(type: str, chunk: str) -> None:
    """With a name that is safe and none of ours; the id keeps a part that is sent twice one part."""
    assert data_type(type) == chunk
    assert chunk not in OURS
    assert said((type, {"a": 1}, "t")) == [{"type": chunk, "id": "2", "data": {"a": 1}}]


def test_data_parts_may_say_their_id_and_that_they_are_transient() -> None:
    """``{data, id?, transient?}`` is the part itself; with any other member it is the data."""
    part = {"data": [1], "id": "x", "transient": True}
    assert said(("data-weather", part)) == [{"type": "data-weather", **part}]
    for data in ({"data": 1, "city": "Rome"}, {"data": 1, "id": 7}, {"data": 1, "transient": "yes"}, {"id": "x"}):
        assert said(("data-weather", data)) == [{"type": "data-weather", "id": "2", "data": data}]


def test_the_applications_chunks_pass_as_they_are() -> None:
    """Sources, files, metadata; a reasoning needs neither an id nor a beginning, and ends with its attempt."""
    source = {"sourceId": "1", "url": "https://a.example", "title": None}
    assert said(
        ("source-url", source, "a"), ("message-metadata", {"messageMetadata": {"model": "m"}}),
        ("reasoning-delta", {"delta": "hm"}, "a"), ("reasoning-delta", {"delta": "!"}, "a"),
        ("task.completed", {"output": 1}, "a"),
    )[:-1] == [
        {"type": "source-url", "sourceId": "1", "url": "https://a.example"},
        {"type": "message-metadata", "messageMetadata": {"model": "m"}},
        {"type": "reasoning-start", "id": "a#1"},
        {"type": "reasoning-delta", "id": "a#1", "delta": "hm"},
        {"type": "reasoning-delta", "id": "a#1", "delta": "!"},
        {"type": "reasoning-end", "id": "a#1"},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("type", "data"),
    [
        ("source-url", {"sourceId": 1, "url": "u"}), ("file", {"url": "u"}), ("text-delta", {"delta": None}),
        ("tool-output-available", {"toolCallId": "nobody", "output": 1}), ("finish", {}), ("start", {}), ("error", {}),
        ("reset-step", {}), ("custom", {"kind": "a.b"}), ("text-start", {"id": "x", "providerMetadata": {"a": 1}}),
        ("tool-approval-response", {"approvalId": "1", "approved": True}),
    ],
)  # fmt: skip
def test_chunks_that_a_client_would_refuse_are_data(type: str, data: dict[str, Any]) -> None:
    """And those that only the engine says in a run, and those that only version 7 knows."""
    assert said((type, data)) == [{"type": f"data-{type}", "id": "2", "data": data}]


def test_keys_that_the_client_refuses_are_in_brackets() -> None:
    """Its parser throws for them, wherever they stand, and the stream would end."""
    (chunk,) = said(("row", {"__proto__": {"a": [{"constructor": {"prototype": 1}}]}, "text": '"__proto__":'}))
    assert chunk["data"] == {"(__proto__)": {"a": [{"(constructor)": {"prototype": 1}}]}, "text": '"__proto__":'}


def test_line_ends_of_other_clients_are_escaped() -> None:
    """U+2028 in a value stays one line for whoever splits by ``str.splitlines``."""
    wire = wire_of(log_of(("row", {"text": "a\u2028b\x85c"})))
    assert b"a\\u2028b\\u0085c" in wire
    assert chunks_of(log_of(("row", {"text": "a\u2028b\x85c"})))[-1]["data"]["text"] == "a\u2028b\x85c"


# --- sessions -------------------------------------------------------------------------------------------------------


def test_a_session_says_its_messages_itself() -> None:
    """No start of ours, and no end where it has said one; the next message of the session has another id."""
    events = [
        ("start", {}), ("start-step", {}), ("text-start", {"id": "0"}), ("text-delta", {"id": "0", "delta": "a"}),
        ("finish-step", {}), ("start-step", {}), ("text-start", {"id": "0"}), ("text-end", {"id": "0"}),
        ("finish", {"finishReason": "stop"}), ("start", {}), ("finish", {}),
    ]  # fmt: skip
    chunks = chunks_of(ended(*events, session=True))
    assert chunks == [
        {"type": "start", "messageId": "run-1"}, {"type": "start-step"}, {"type": "text-start", "id": "0"},
        {"type": "text-delta", "id": "0", "delta": "a"}, {"type": "text-end", "id": "0"}, {"type": "finish-step"},
        {"type": "start-step"}, {"type": "text-start", "id": "0"}, {"type": "text-end", "id": "0"},
        {"type": "finish", "finishReason": "stop"}, {"type": "start", "messageId": "run-1.2"}, {"type": "finish"},
    ]  # fmt: skip


def test_a_result_of_the_message_before_is_for_a_message_that_goes_on() -> None:
    """A client knows the calls of the message that it has, and of no other."""
    call = ("tool-input-available", {"toolCallId": "1", "toolName": "x", "input": {}})
    result = ("tool-output-available", {"toolCallId": "1", "output": 1})
    same = [("start", {"messageId": "m"}), call, ("finish", {}), ("start", {"messageId": "m"}), result]
    assert said(*same, session=True)[-1] == {"type": "tool-output-available", "toolCallId": "1", "output": 1}
    other = [("start", {"messageId": "m"}), call, ("finish", {}), ("start", {}), result]
    assert said(*other, session=True)[-1]["type"] == "data-tool-output-available"


def test_a_session_that_says_no_end_gets_one() -> None:
    """What it has left open is closed."""
    chunks = chunks_of(ended(("start", {}), ("text-delta", {"delta": "a"}, "writer", 0), session=True))
    assert types_of(chunks) == ["start", "text-start", "text-delta", "text-end", "data-run", "finish"]


def test_a_reason_that_only_one_version_knows_is_sent_as_one_that_both_know() -> None:
    """``interrupted`` of version 7."""
    chunks = chunks_of(ended(("start", {}), ("finish", {"finishReason": "interrupted"}), session=True))
    assert chunks[-1] == {"type": "finish", "finishReason": "other"}


@pytest.mark.parametrize("reason", ["", 7, ["stop"], {"stop": 1}])
def test_an_end_with_no_reason_that_there_is_is_data(reason: Any) -> None:
    """The message goes on, and has the end that the session has."""
    chunks = chunks_of(ended(("start", {}), ("finish", {"finishReason": reason}), session=True))
    assert types_of(chunks) == ["start", "data-finish", "data-run", "finish"]


def test_a_text_whose_id_has_ended_gets_another_one() -> None:
    """``WorkflowChatTransport`` drops a text whose id it has seen end in this step."""
    events = [
        ("text-delta", {"id": "0", "delta": "a"}),
        ("text-end", {"id": "0"}),
        ("text-delta", {"id": "0", "delta": "b"}),
    ]
    ids = [chunk["id"] for chunk in said(*events, ("text-end", {"id": "0"}), ("text-end", {"id": "0"}))]
    assert ids == ["0", "0", "0", "0~2", "0~2", "0~2"]


def test_a_long_session_does_not_grow_without_end() -> None:
    """The ids that have ended are forgotten, the oldest first."""
    state, _ = AI_SDK.begin(None, "resume")
    for seq in range(1, 3_000):
        AI_SDK.step(state, an_event(seq, "text-delta" if seq % 2 else "text-end", {"id": f"t{seq // 2}", "delta": "x"}))
    assert len(state.ended) <= 1_000
    assert len(orjson.dumps(list(state.texts))) < 100_000
