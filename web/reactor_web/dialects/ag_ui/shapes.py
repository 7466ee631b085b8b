"""What the members of AG-UI events must be: clients refuse the whole stream for one that is anything else.

Members that are not named here may be anything; clients pass over them. Source: the JSON Schema of AG-UI 1.0.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias, cast

Check: TypeAlias = Callable[[Any], bool]

_SAFE: Final = 2**53 - 1
"""The largest integer that every JSON reader takes for what it is."""
_POINTER: Final = re.compile(r"(/([^/~]|~[01])*)*")


def is_text(value: Any) -> bool:
    return isinstance(value, str)


def is_object(value: Any) -> bool:
    return isinstance(value, dict)


def is_given(value: Any) -> bool:
    """Anything but null, which says that there is no such member."""
    return value is not None


def is_anything(value: Any) -> bool:
    return True


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _SAFE


def _is_count(value: Any) -> bool:
    return _is_integer(value) and value >= 0


def one_of(*values: str) -> Check:
    """Whether something is one of these texts."""
    return lambda value: isinstance(value, str) and value in values


def all_of(check: Check) -> Check:
    """Whether something is a list of these."""
    return lambda value: isinstance(value, list) and all(map(check, cast("list[Any]", value)))


def object_of(must: Mapping[str, Check], may: Mapping[str, Check] = {}) -> Check:
    """Whether something is an object that has these members, and perhaps those."""
    return lambda value: isinstance(value, dict) and fits(cast("dict[str, Any]", value), must, may)


def fits(data: Mapping[str, Any], must: Mapping[str, Check], may: Mapping[str, Check] = {}) -> bool:
    """Whether an object has all members that it must have, and each is what it must be."""
    return all(name in data and check(data[name]) for name, check in must.items()) and all(
        check(data[name]) for name, check in may.items() if name in data
    )


def _of_kind(name: str, kinds: Mapping[str, Check]) -> Check:
    """Whether something is an object of one of these kinds; its member ``name`` says of which."""

    def check(value: Any) -> bool:
        if not isinstance(value, dict):
            return False
        kind = cast("dict[str, Any]", value).get(name)
        return isinstance(kind, str) and kind in kinds and kinds[kind](value)

    return check


# --- parts of events ----------------------------------------------------------------------------------------------

_META: Final[Mapping[str, Check]] = {"metadata": is_object}
_PATH: Final[Check] = lambda value: isinstance(value, str) and _POINTER.fullmatch(value) is not None  # noqa: E731  # a check like the others
_CHANGE: Final = object_of({"path": _PATH, "value": is_anything})
_TRANSFER: Final = object_of({"path": _PATH, "from": _PATH})
is_patch: Final = all_of(
    _of_kind("op", {
        "add": _CHANGE, "replace": _CHANGE, "test": _CHANGE, "move": _TRANSFER, "copy": _TRANSFER,
        "remove": object_of({"path": _PATH}),
    })
)  # fmt: skip

_SOURCE: Final = _of_kind("type", {
    "data": object_of({"value": is_text, "mimeType": is_text}),
    "url": object_of({"value": is_text}, {"mimeType": is_text}),
    "file": object_of({"value": is_text}, {"mimeType": is_text, "provider": is_text}),
})  # fmt: skip
_MEDIA: Final = object_of({"source": _SOURCE}, {"id": is_text, "metadata": is_given})
_PART: Final = _of_kind("type", {
    "text": object_of({"text": is_text}, {"id": is_text, "metadata": is_given}),
    **dict.fromkeys(("image", "audio", "video", "document"), _MEDIA),
})  # fmt: skip
_PARTS: Final = all_of(_PART)


def is_content(value: Any) -> bool:
    """Text, or a list of parts."""
    return isinstance(value, str) or _PARTS(value)


_OF_MESSAGE: Final[Mapping[str, Check]] = {
    **_META, "name": is_text, "encryptedValue": is_text, "subagentRunId": is_text,
}  # fmt: skip
_CALL: Final = object_of(
    {"id": is_text, "type": one_of("function"), "function": object_of({"name": is_text, "arguments": is_text})},
    {**_META, "encryptedValue": is_text},
)
_SPOKEN: Final = object_of({"id": is_text, "content": is_text}, _OF_MESSAGE)
are_messages: Final = all_of(
    _of_kind("role", {
        "developer": _SPOKEN, "system": _SPOKEN, "reasoning": _SPOKEN,
        "user": object_of({"id": is_text, "content": is_content}, _OF_MESSAGE),
        "assistant": object_of({"id": is_text}, {**_OF_MESSAGE, "content": is_text, "toolCalls": all_of(_CALL)}),
        "tool": object_of(
            {"id": is_text, "content": is_content, "toolCallId": is_text}, {**_OF_MESSAGE, "error": is_text}
        ),
        "activity": object_of({"id": is_text, "activityType": is_text, "content": is_object}, _OF_MESSAGE),
    })
)  # fmt: skip

_TEXTS: Final = all_of(is_text)
_INTERRUPT: Final = object_of(
    {"id": is_text, "reason": is_text},
    {**_META, "message": is_text, "toolCallId": is_text, "responseSchema": is_object, "expiresAt": is_text,
     "subagentRunId": is_text},
)  # fmt: skip
_USAGE: Final = all_of(
    object_of({}, {
        "provider": is_text, "model": is_text, "inputTokens": _is_count, "outputTokens": _is_count,
        "totalTokens": _is_count, "reasoningTokens": _is_count, "cachedInputTokens": _is_count,
        "cacheWriteInputTokens": _is_count,
    })
)  # fmt: skip
_RUN_OUTCOME: Final = _of_kind("type", {
    "success": is_object, "cancelled": is_object,
    "interrupt": lambda value: value.get("interrupts") != [] and fits(value, {"interrupts": all_of(_INTERRUPT)}),
})  # fmt: skip
_SUBAGENT_OUTCOME: Final = _of_kind("type", {
    "success": is_object, "suspended": object_of({}, {"interruptIds": _TEXTS}),
})  # fmt: skip
_INPUT: Final = object_of({"threadId": is_text, "runId": is_text, "messages": are_messages}, {
    "protocolVersion": is_text, "parentRunId": is_text, "state": is_given, "forwardedProps": is_given,
    "tools": all_of(object_of({"name": is_text, "description": is_text}, {**_META, "parameters": is_given})),
    "context": all_of(object_of({"description": is_text, "value": is_text})),
    "resume": all_of(object_of(
        {"interruptId": is_text, "status": one_of("resolved", "cancelled")}, {**_META, "payload": is_given}
    )),
})  # fmt: skip

# --- optional members of events -----------------------------------------------------------------------------------

OF_ANY: Final[Mapping[str, Check]] = {**_META, "timestamp": _is_integer, "rawEvent": is_given}
"""Of all events."""

_TEXT_ROLE: Final = one_of("developer", "system", "assistant", "user")
OPTIONAL: Final[Mapping[str, Mapping[str, Check]]] = {
    "TEXT_MESSAGE_START": {"role": _TEXT_ROLE, "name": is_text},
    "TOOL_CALL_START": {"parentMessageId": is_text},
    "TOOL_CALL_RESULT": {"role": one_of("tool")},
    "REASONING_MESSAGE_START": {"role": one_of("reasoning")},
    "SUBAGENT_STARTED": {"parentMessageId": is_text, "parentSubagentRunId": is_text, "description": is_text},
    "SUBAGENT_FINISHED": {"outcome": _SUBAGENT_OUTCOME, "result": is_given},
    "SUBAGENT_ERROR": {"code": is_text},
    "ACTIVITY_SNAPSHOT": {"replace": _is_flag},
    "RAW": {"source": is_text},
    "RUN_STARTED": {
        "threadId": is_text, "runId": is_text, "parentRunId": is_text, "protocolVersion": is_text, "input": _INPUT,
    },
    "RUN_FINISHED": {"outcome": _RUN_OUTCOME, "result": is_given, "usage": _USAGE},
    "RUN_ERROR": {"message": is_text, "code": is_text, "usage": _USAGE},
}  # fmt: skip
"""Of events of a type, beside those of all."""


def kept(type: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """The members of an event that clients take; the others are left out."""
    checks = {**OF_ANY, **OPTIONAL.get(type, {})}
    return {name: value for name, value in data.items() if name not in checks or checks[name](value)}


def without_nulls(type: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """The members without the optional ones that are null, which says that there are none."""
    optional = {"subagentRunId", *OF_ANY, *OPTIONAL.get(type, ())}
    return {name: value for name, value in data.items() if value is not None or name not in optional}
