"""What the application emits: what is of AG-UI's own vocabulary passes, the rest is a ``CUSTOM`` of that name.

An event of the vocabulary that cannot stand where it is, a text without its beginning say, would make clients refuse
the whole stream. So it becomes a ``CUSTOM``, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from reactor.events.event import Event
from reactor_web.dialects.ag_ui.engine import custom
from reactor_web.dialects.ag_ui.thread import CLOSES, ID_OF, Message, Messages, Opened, Thread

_ANY: Final = object
_TEXT_OR_PARTS: Final = (str, list)


class _Kind(NamedTuple):
    """What an event of the vocabulary does."""

    members: dict[str, Any]
    """What it must have, and of which type."""
    opens: str | None = None
    within: str | None = None
    closes: str | None = None
    fills: tuple[tuple[str, str], ...] = ()
    """Members that it has in any case."""


_NAME = {"delta": str}
_OPEN: Final[dict[str, _Kind]] = {
    "STEP_STARTED": _Kind({}, opens="step"),
    "TEXT_MESSAGE_START": _Kind({}, opens="text", fills=(("role", "assistant"),)),
    "TOOL_CALL_START": _Kind({"toolCallName": str}, opens="call"),
    "REASONING_START": _Kind({}, opens="reasoning"),
    "REASONING_MESSAGE_START": _Kind({}, opens="thought", fills=(("role", "reasoning"),)),
    "SUBAGENT_STARTED": _Kind({"name": str}, opens="subagent"),
}
_VOCABULARY: Final[dict[str, _Kind]] = {
    **_OPEN,
    "TEXT_MESSAGE_CONTENT": _Kind(_NAME, within="text"),
    "TOOL_CALL_ARGS": _Kind(_NAME, within="call"),
    "REASONING_MESSAGE_CONTENT": _Kind(_NAME, within="thought"),
    **{type: _Kind({}, closes=kind) for kind, type in CLOSES.items()},
    "SUBAGENT_ERROR": _Kind({"message": str}, closes="subagent"),
    "TOOL_CALL_RESULT": _Kind({"messageId": str, "toolCallId": str, "content": _TEXT_OR_PARTS}),
    "REASONING_ENCRYPTED_VALUE": _Kind({"subtype": str, "entityId": str, "encryptedValue": str}),
    "MESSAGES_SNAPSHOT": _Kind({"messages": list}),
    "ACTIVITY_SNAPSHOT": _Kind({"messageId": str, "activityType": str, "content": dict}),
    "ACTIVITY_DELTA": _Kind({"messageId": str, "activityType": str, "patch": list}),
    "STATE_SNAPSHOT": _Kind({"snapshot": _ANY}),
    "STATE_DELTA": _Kind({"delta": list}),
    "CUSTOM": _Kind({"name": str, "value": _ANY}),
    "RAW": _Kind({"event": _ANY}),
}

_CHUNKS: Final = {
    "TEXT_MESSAGE_CHUNK": ("TEXT_MESSAGE_START", "TEXT_MESSAGE_CONTENT"),
    "TOOL_CALL_CHUNK": ("TOOL_CALL_START", "TOOL_CALL_ARGS"),
    "REASONING_MESSAGE_CHUNK": ("REASONING_MESSAGE_START", "REASONING_MESSAGE_CONTENT"),
}
"""A chunk is the beginning and the content in one. As it is, any other message would end what it has begun."""

RUN_STARTED, RUN_FINISHED, RUN_ERROR = "RUN_STARTED", "RUN_FINISHED", "RUN_ERROR"


def own_messages(thread: Thread, event: Event) -> Iterator[Message]:
    """The messages of an event of the application, in an AG-UI run that is open."""
    made = _of_chunk(thread, event.type, event.data) if event.type in _CHUNKS else _of(thread, event.type, event.data)
    yield from [custom(event.type, event)] if made is None else made


def session_messages(thread: Thread, event: Event) -> Iterator[Message] | None:
    """The messages of an event that begins or ends the AG-UI run of a session; None for any other event."""
    data: Message = event.data
    match event.type:
        case "RUN_STARTED":
            return _session_starts(thread, event)
        case "RUN_FINISHED" if thread.is_open:
            return _session_ends(thread, {**data, **thread.ids, "type": RUN_FINISHED})
        case "RUN_ERROR" if thread.is_open:
            return _session_ends(thread, {"message": "failed", **data, "type": RUN_ERROR}, is_error=True)
        case _:
            return None


def _session_starts(thread: Thread, event: Event) -> Iterator[Message]:
    if thread.is_open:
        yield from thread.finish({"type": "success"})
    thread.note_begun(event.seq, **{name: event.data[name] for name in ("threadId", "runId") if name in event.data})
    yield {**event.data, **thread.ids, "type": RUN_STARTED}


def _session_ends(thread: Thread, message: Message, *, is_error: bool = False) -> Iterator[Message]:
    if is_error:
        thread.open.clear()
    yield from thread.close_all()
    yield message
    thread.is_open, thread.sent_end = False, True


def _of(thread: Thread, type: str, data: Message) -> Messages | None:
    kind = _VOCABULARY.get(type)
    if kind is None or not all(isinstance(data.get(name, ...), of) for name, of in kind.members.items()):
        return None
    if type in ("STATE_SNAPSHOT", "STATE_DELTA") and thread.has_state:
        return _of_state(thread, type, data)
    message = {**dict(kind.fills), **data, "type": type}
    part = kind.opens or kind.within or kind.closes
    if part is None:
        return [message] if all(name in data for name in kind.members) else None
    id = data.get(ID_OF[part])
    if not isinstance(id, str) or (kind.opens is None) != (Opened(part, id) in thread.open):
        return None
    if kind.opens:
        thread.open[Opened(part, id)] = None
    elif kind.closes:
        del thread.open[Opened(part, id)]
    return [message]


def _of_state(thread: Thread, type: str, data: Message) -> Messages | None:
    """The state of the application is beside ours, and both are in each snapshot."""
    if type == "STATE_SNAPSHOT":
        fits = thread.board.replace(data["snapshot"])
        return [thread.application_state(data["snapshot"])] if fits else None
    return [{**data, "type": type}] if thread.board.patch(data["delta"]) else None


def _of_chunk(thread: Thread, type: str, data: Message) -> Messages | None:
    start, content = _CHUNKS[type]
    part = _OPEN[start].opens or ""
    id, delta = data.get(ID_OF[part]), data.get("delta")
    others = {name: value for name, value in data.items() if name != "delta"}
    begun: Messages | None = []
    if Opened(part, str(id)) not in thread.open:
        begun = _of(thread, start, others)
    if begun is None or not isinstance(delta, str) or not delta:
        return begun
    return [*begun, {"type": content, ID_OF[part]: id, "delta": delta}]
