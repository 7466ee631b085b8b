"""What an application may say in the words of this protocol: events whose type is the type of a chunk.

``ctx.emit("source-url", {"sourceId": "1", "url": "https://…"})`` is that chunk. A chunk that a client of any version
would refuse is wrapped like any other event of the application: ``data-<name>`` with the event's data in it.

A text, or a reasoning, need not be begun or have an id: without one it is that of its attempt.

In a session, where the application also says when messages begin and end, these chunks pass too: ``start finish abort
error start-step finish-step``. Elsewhere the engine says it. ``reset-step custom reasoning-file steering-message
tool-approval-response`` do not pass: version 6 of the client does not know them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, TypeAlias, cast

from reactor.events.event import Event
from reactor_web.bounds import MAX_SAID
from reactor_web.dialects.ai_sdk.chunks import (
    Call,
    Chunk,
    Chunks,
    Kind,
    begin_step,
    begin_text,
    end_step,
    end_text,
    end_texts,
    owner_of,
)
from reactor_web.dialects.ai_sdk.names import data_type

FINISH_REASONS: Final = frozenset({"stop", "length", "content-filter", "tool-calls", "error", "other"})
"""Those of version 6. Version 7 has ``interrupted`` besides, which is sent as ``other``."""
INTERRUPTED: Final = "interrupted"

Check: TypeAlias = Callable[[Any], bool]


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _is_anything(value: Any) -> bool:
    return True


def _is_encoding(value: Any) -> bool:
    return value in ("json", "text")


def _is_reason(value: Any) -> bool:
    return isinstance(value, str) and (value in FINISH_REASONS or value == INTERRUPTED)


def _is_metadata(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(one, dict) for one in cast("dict[str, Any]", value).values())


class Shape(NamedTuple):
    """The members that a chunk must have, and those that it may have. Any others are left to the client."""

    must: Mapping[str, Check] = {}
    may: Mapping[str, Check] = {}


_META: Final[Mapping[str, Check]] = {"providerMetadata": _is_metadata}
_OF_TOOL: Final[Mapping[str, Check]] = {
    **_META, "providerExecuted": _is_flag, "toolMetadata": _is_object, "dynamic": _is_flag, "title": _is_text,
}  # fmt: skip
_NAMED: Final[Mapping[str, Check]] = {"toolCallId": _is_text, "toolName": _is_text}
_CALL: Final[Mapping[str, Check]] = {"toolCallId": _is_text}

_TEXT: Final = Shape({}, {"id": _is_text, **_META})
_DELTA: Final = Shape({"delta": _is_text}, {"id": _is_text, **_META})

SHAPES: Final[Mapping[str, Shape]] = {
    "text-start": _TEXT,
    "text-delta": _DELTA,
    "text-end": _TEXT,
    "reasoning-start": _TEXT,
    "reasoning-delta": _DELTA,
    "reasoning-end": _TEXT,
    "tool-input-start": Shape(_NAMED, {**_OF_TOOL, "inputEncoding": _is_encoding}),
    "tool-input-delta": Shape({**_CALL, "inputTextDelta": _is_text}),
    "tool-input-available": Shape({**_NAMED, "input": _is_anything}, _OF_TOOL),
    "tool-input-error": Shape({**_NAMED, "input": _is_anything, "errorText": _is_text}, _OF_TOOL),
    "tool-output-available": Shape({**_CALL, "output": _is_anything}, {**_OF_TOOL, "preliminary": _is_flag}),
    "tool-output-error": Shape({**_CALL, "errorText": _is_text}, _OF_TOOL),
    "tool-output-denied": Shape(_CALL),
    "tool-approval-request": Shape(
        {**_CALL, "approvalId": _is_text}, {"reason": _is_text, "isAutomatic": _is_flag, "signature": _is_text}
    ),
    "source-url": Shape({"sourceId": _is_text, "url": _is_text}, {"title": _is_text, **_META}),
    "source-document": Shape(
        {"sourceId": _is_text, "mediaType": _is_text, "title": _is_text}, {"filename": _is_text, **_META}
    ),
    "file": Shape({"url": _is_text, "mediaType": _is_text}, _META),
    "message-metadata": Shape({"messageMetadata": _is_anything}),
}  # fmt: skip
"""Chunks that pass in any run."""

OF_A_SESSION: Final[Mapping[str, Shape]] = {
    "start": Shape({}, {"messageId": _is_text, "messageMetadata": _is_anything}),
    "finish": Shape({}, {"finishReason": _is_reason, "messageMetadata": _is_anything}),
    "start-step": Shape(),
    "finish-step": Shape(),
    "abort": Shape({}, {"reason": _is_text}),
    "error": Shape({"errorText": _is_text}),
}
"""Chunks that pass where no engine makes them."""

_MAY_BE_NULL: Final = frozenset({"input", "output", "data", "messageMetadata"})


def own_chunks(state: Chunks, event: Event, out: list[Chunk]) -> None:
    """The chunks of an event that the application has emitted."""
    shape = SHAPES.get(event.type) or (OF_A_SESSION.get(event.type) if state.is_session else None)
    members = _members(event.data, shape)
    if members is None or not _add(state, event, members, out):
        out.append(_wrapped(event))


def _members(data: dict[str, Any], shape: Shape | None) -> Chunk | None:
    """The members of a chunk, without those that are null and must not be; None if a client would refuse it."""
    if shape is None:
        return None
    members = {name: value for name, value in data.items() if value is not None or name in _MAY_BE_NULL}
    if any(name not in members or not fits(members[name]) for name, fits in shape.must.items()):
        return None
    if any(name in members and not fits(members[name]) for name, fits in shape.may.items()):
        return None
    return members


def _wrapped(event: Event) -> Chunk:
    """The event as data of a part. ``data-…`` events may say ``{data, id?, transient?}`` themselves."""
    type, data = data_type(event.type), event.data
    if (
        event.type.startswith("data-")
        and "data" in data
        and data.keys() <= {"data", "id", "transient"}
        and isinstance(data.get("id", ""), str)
        and isinstance(data.get("transient", False), bool)
    ):
        return {"type": type, **data}
    return {"type": type, "id": str(event.seq), "data": data}


def _add(state: Chunks, event: Event, members: Chunk, out: list[Chunk]) -> bool:
    """Adds the chunk, if it fits to what is open; False if not."""
    type = event.type
    kind, _, what = type.partition("-")
    if kind in ("text", "reasoning"):
        _add_text(state, kind, what, owner_of(event), members, out)
        return True
    if kind == "tool":
        return _add_tool(state, type, owner_of(event), members, out)
    if type in OF_A_SESSION:
        _add_boundary(state, type, members, out)
        return True
    out.append({**members, "type": type})
    return True


def _add_text(state: Chunks, kind: Kind, what: str, owner: str, members: Chunk, out: list[Chunk]) -> None:
    name = members.pop("id", None) or owner or state.run.run_id
    members.pop("type", None)
    if what == "start":
        begin_text(state, out, kind, name, owner, members)
    elif what == "end":
        end_text(state, out, kind, name, members)
    else:
        text = begin_text(state, out, kind, name, owner)
        out.append({**members, "type": f"{kind}-delta", "id": text.id})


def _add_tool(state: Chunks, type: str, owner: str, members: Chunk, out: list[Chunk]) -> bool:
    id: str = members["toolCallId"]
    call = state.calls.get(id)
    begins = type.startswith("tool-input-") and type != "tool-input-delta"
    if not begins and (call is None or (type == "tool-input-delta" and not call.is_streaming)):
        return False  # the client does not know this call, or has its arguments already
    if begins and call is None and len(state.calls) >= MAX_SAID:
        return False  # so many calls that are open at once are a mistake
    out.append({**members, "type": type})
    if type == "tool-input-start":
        state.calls[id] = Call(owner, is_streaming=True)
    elif type == "tool-input-available":
        state.calls[id] = Call(owner, is_streaming=False)
    elif type in ("tool-input-error", "tool-output-error", "tool-output-denied"):
        state.calls.pop(id, None)
    elif type == "tool-output-available" and members.get("preliminary") is not True:
        del state.calls[id]
    return True


def _add_boundary(state: Chunks, type: str, members: Chunk, out: list[Chunk]) -> None:
    """A message or a step begins or ends, as the application of a session says."""
    members.pop("type", None)
    if type == "start-step":
        begin_step(state, out)
    elif type == "finish-step":
        end_step(state, out)
    elif type == "start":
        _begin_message(state, members, out)
    elif type == "finish":
        end_texts(state, out)
        state.has_finished, state.in_step = True, False
        if members.get("finishReason") == INTERRUPTED:
            members["finishReason"] = "other"
        out.append({"type": type, **members})
    else:
        out.append({"type": type, **members})


def _begin_message(state: Chunks, members: Chunk, out: list[Chunk]) -> None:
    """The next message; or the same one goes on, and its open calls may get their results."""
    state.messages += 1
    state.has_finished = False
    state.ended.clear()
    again = "" if state.messages == 1 else f".{state.messages}"
    chunk = {"type": "start", "messageId": f"{state.run.run_id}{again}", **members}
    if chunk["messageId"] != state.message_id:
        end_texts(state, out)
        state.calls.clear()
    state.message_id = chunk["messageId"]
    out.append(chunk)
