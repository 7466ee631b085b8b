"""One right event of each type of AG-UI, and what is wrong as nearly any member of it."""

from __future__ import annotations

from typing import Any

SAID: dict[str, dict[str, Any]] = {
    "STEP_STARTED": {"stepName": "s"},
    "STEP_FINISHED": {"stepName": "s"},
    "TEXT_MESSAGE_START": {"messageId": "m", "role": "user", "name": "n"},
    "TEXT_MESSAGE_CONTENT": {"messageId": "m", "delta": "d"},
    "TEXT_MESSAGE_END": {"messageId": "m"},
    "TEXT_MESSAGE_CHUNK": {"messageId": "m", "delta": "d", "role": "assistant", "name": "n"},
    "TOOL_CALL_START": {"toolCallId": "c", "toolCallName": "n", "parentMessageId": "m"},
    "TOOL_CALL_ARGS": {"toolCallId": "c", "delta": "d"},
    "TOOL_CALL_END": {"toolCallId": "c"},
    "TOOL_CALL_CHUNK": {"toolCallId": "c", "toolCallName": "n", "delta": "d", "parentMessageId": "m"},
    "TOOL_CALL_RESULT": {
        "messageId": "r", "toolCallId": "c", "role": "tool",
        "content": [{"type": "image", "source": {"type": "url", "value": "https://example.org/a.png"}}],
    },
    "REASONING_START": {"messageId": "q"},
    "REASONING_END": {"messageId": "q"},
    "REASONING_MESSAGE_START": {"messageId": "q", "role": "reasoning"},
    "REASONING_MESSAGE_CONTENT": {"messageId": "q", "delta": "d"},
    "REASONING_MESSAGE_END": {"messageId": "q"},
    "REASONING_MESSAGE_CHUNK": {"messageId": "q", "delta": "d"},
    "REASONING_ENCRYPTED_VALUE": {"subtype": "message", "entityId": "m", "encryptedValue": "x"},
    "SUBAGENT_STARTED": {"subagentRunId": "s", "name": "n", "description": "d", "parentMessageId": "m"},
    "SUBAGENT_FINISHED": {"subagentRunId": "s", "result": 1, "outcome": {"type": "success"}},
    "SUBAGENT_ERROR": {"subagentRunId": "s", "message": "x", "code": "c"},
    "MESSAGES_SNAPSHOT": {"messages": [
        {"id": "1", "role": "user", "content": [{"type": "text", "text": "x"}]},
        {"id": "2", "role": "assistant", "toolCalls": [
            {"id": "c", "type": "function", "function": {"name": "n", "arguments": "{}"}},
        ]},
        {"id": "3", "role": "tool", "content": "x", "toolCallId": "c"},
        {"id": "4", "role": "activity", "activityType": "t", "content": {}},
        {"id": "5", "role": "reasoning", "content": "x"},
    ]},
    "ACTIVITY_SNAPSHOT": {"messageId": "a", "activityType": "t", "content": {}, "replace": True},
    "ACTIVITY_DELTA": {"messageId": "a", "activityType": "t", "patch": [{"op": "add", "path": "/a", "value": 1}]},
    "STATE_SNAPSHOT": {"snapshot": {"a": 1}},
    "STATE_DELTA": {"delta": [{"op": "add", "path": "/a", "value": 1}]},
    "CUSTOM": {"name": "n", "value": None},
    "RAW": {"event": 1, "source": "x"},
    "RUN_STARTED": {
        "threadId": "t", "runId": "r", "parentRunId": "p",
        "input": {"threadId": "t", "runId": "r", "messages": [], "tools": [{"name": "n", "description": "d"}]},
    },
    "RUN_FINISHED": {"result": 1, "outcome": {"type": "cancelled"}, "usage": [{"model": "m", "totalTokens": 1}]},
    "RUN_ERROR": {"message": "x", "code": "c"},
}  # fmt: skip

_NONE: list[Any] = []
_EMPTY: dict[str, Any] = {}

WRONG: tuple[Any, ...] = (
    ..., None, True, 5, -1.5, 2**60, "", "x", _NONE, [5], _EMPTY, {"a": 1}, [{"op": "add"}],
    [{"op": "remove", "path": "zz"}],
    [{"id": "1", "role": "tool"}], [{"type": "text"}], {"type": "zz"}, {"type": "interrupt"},
    {"type": "interrupt", "interrupts": _NONE}, {"threadId": "t", "runId": "r", "messages": [_EMPTY]},
    [{"totalTokens": -1}],
)  # fmt: skip
"""``...``: the member is missing."""

_ANY = ("timestamp", "rawEvent", "metadata", "subagentRunId")
_MORE = {"SUBAGENT_STARTED": ("parentSubagentRunId",), "RUN_STARTED": ("protocolVersion",), "RUN_ERROR": ("usage",)}
_BEFORE = {
    "STEP_FINISHED": ["STEP_STARTED"],
    "TEXT_MESSAGE_CONTENT": ["TEXT_MESSAGE_START"],
    "TEXT_MESSAGE_END": ["TEXT_MESSAGE_START"],
    "TOOL_CALL_ARGS": ["TOOL_CALL_START"],
    "TOOL_CALL_END": ["TOOL_CALL_START"],
    "TOOL_CALL_RESULT": ["TOOL_CALL_START", "TOOL_CALL_END"],
    "REASONING_MESSAGE_START": ["REASONING_START"],
    "REASONING_MESSAGE_CONTENT": ["REASONING_START", "REASONING_MESSAGE_START"],
    "REASONING_MESSAGE_END": ["REASONING_START", "REASONING_MESSAGE_START"],
    "REASONING_MESSAGE_CHUNK": ["REASONING_START"],
    "REASONING_END": ["REASONING_START"],
    "SUBAGENT_FINISHED": ["SUBAGENT_STARTED"],
    "SUBAGENT_ERROR": ["SUBAGENT_STARTED"],
    "ACTIVITY_DELTA": ["ACTIVITY_SNAPSHOT"],
    "RUN_FINISHED": ["RUN_STARTED"],
    "RUN_ERROR": ["RUN_STARTED"],
}


def before(type: str) -> list[tuple[str, dict[str, Any]]]:
    """What must have been emitted before an event of this type fits."""
    return [(earlier, SAID[earlier]) for earlier in _BEFORE.get(type, [])]


def members(type: str) -> list[str]:
    """The members of an event that are checked by clients."""
    return list(dict.fromkeys([*SAID[type], *_ANY, *_MORE.get(type, ())]))
