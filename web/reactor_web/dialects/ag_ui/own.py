"""What the application emits: what is of AG-UI's own vocabulary passes, the rest is a ``CUSTOM`` of that name.

An event of the vocabulary that cannot stand where it is, a text without its beginning say, would make clients refuse
the whole stream. So it becomes a ``CUSTOM``, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from reactor.events.event import Event
from reactor_web.dialects.ag_ui.engine import custom
from reactor_web.dialects.ag_ui.shapes import (
    OF_ANY,
    OPTIONAL,
    Check,
    are_messages,
    fits,
    is_anything,
    is_content,
    is_object,
    is_patch,
    is_text,
    kept,
    one_of,
    without_nulls,
)
from reactor_web.dialects.ag_ui.thread import CLOSES, ID_OF, Message, Messages, Opened, Thread


class _Kind(NamedTuple):
    """What an event of the vocabulary does."""

    members: dict[str, Check]
    """What it must have."""
    opens: str | None = None
    within: str | None = None
    closes: str | None = None
    fills: tuple[tuple[str, str], ...] = ()
    """Members that it has in any case."""


_DELTA: Final[dict[str, Check]] = {"delta": is_text}
_OPEN: Final[dict[str, _Kind]] = {
    "STEP_STARTED": _Kind({}, opens="step"),
    "TEXT_MESSAGE_START": _Kind({}, opens="text", fills=(("role", "assistant"),)),
    "TOOL_CALL_START": _Kind({"toolCallName": is_text}, opens="call"),
    "REASONING_START": _Kind({}, opens="reasoning"),
    "REASONING_MESSAGE_START": _Kind({}, opens="thought", fills=(("role", "reasoning"),)),
    "SUBAGENT_STARTED": _Kind({"name": is_text}, opens="subagent"),
}
_OF_ACTIVITY: Final[dict[str, Check]] = {"messageId": is_text, "activityType": is_text}
_VOCABULARY: Final[dict[str, _Kind]] = {
    **_OPEN,
    "TEXT_MESSAGE_CONTENT": _Kind(_DELTA, within="text"),
    "TOOL_CALL_ARGS": _Kind(_DELTA, within="call"),
    "REASONING_MESSAGE_CONTENT": _Kind(_DELTA, within="thought"),
    **{type: _Kind({}, closes=kind) for kind, type in CLOSES.items()},
    "SUBAGENT_ERROR": _Kind({"message": is_text}, closes="subagent"),
    "TOOL_CALL_RESULT": _Kind({"messageId": is_text, "toolCallId": is_text, "content": is_content}),
    "REASONING_ENCRYPTED_VALUE": _Kind(
        {"subtype": one_of("tool-call", "message"), "entityId": is_text, "encryptedValue": is_text}
    ),
    "MESSAGES_SNAPSHOT": _Kind({"messages": are_messages}),
    "ACTIVITY_SNAPSHOT": _Kind({**_OF_ACTIVITY, "content": is_object}),
    "ACTIVITY_DELTA": _Kind({**_OF_ACTIVITY, "patch": is_patch}),
    "STATE_SNAPSHOT": _Kind({"snapshot": is_anything}),
    "STATE_DELTA": _Kind({"delta": is_patch}),
    "CUSTOM": _Kind({"name": is_text, "value": is_anything}),
    "RAW": _Kind({"event": is_anything}),
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
    if event.type not in (RUN_STARTED, RUN_FINISHED, RUN_ERROR):
        return None
    data: Message = kept(event.type, event.data)
    match event.type:
        case "RUN_STARTED":
            return _session_starts(thread, event, data)
        case "RUN_FINISHED" if thread.is_open:
            return _session_ends(thread, {**data, **thread.ids, "type": RUN_FINISHED})
        case "RUN_ERROR" if thread.is_open:
            return _session_ends(thread, {"message": "failed", **data, "type": RUN_ERROR}, is_error=True)
        case _:
            return None


def _session_starts(thread: Thread, event: Event, data: Message) -> Iterator[Message]:
    if thread.is_open:
        yield from thread.finish({"type": "success"})
    thread.note_begun(event.seq, **{name: data[name] for name in ("threadId", "runId") if name in data})
    yield {**data, **thread.ids, "type": RUN_STARTED}


def _session_ends(thread: Thread, message: Message, *, is_error: bool = False) -> Iterator[Message]:
    if is_error:
        thread.open.clear()
    yield from thread.close_all()
    yield message
    thread.is_open, thread.sent_end = False, True


def _of(thread: Thread, type: str, data: Message) -> Messages | None:
    kind = _VOCABULARY.get(type)
    data = without_nulls(type, data)
    if kind is None or not fits(data, kind.members, {**OF_ANY, **OPTIONAL.get(type, {})}):
        return None
    if not (kind.within or kind.closes or _is_known(thread, type, data)):
        return None
    if type in ("STATE_SNAPSHOT", "STATE_DELTA") and thread.has_state:
        return _of_state(thread, type, data)
    message = {**dict(kind.fills), **data, "type": type}
    part = kind.opens or kind.within or kind.closes
    if part is None:
        return [message]
    id = data.get(ID_OF[part])
    if not isinstance(id, str) or (kind.opens is None) != (Opened(part, id) in thread.open):
        return None
    if kind.opens and not thread.has_room:
        return None
    if kind.opens:
        thread.open[Opened(part, id)] = None if part == "subagent" else data.get("subagentRunId")
    elif part != "subagent":
        message = _attributed(message, thread.open[Opened(part, id)])
    if kind.closes:
        del thread.open[Opened(part, id)]
    return [message]


def _is_known(thread: Thread, type: str, data: Message) -> bool:
    """Whether the subagents that an event names are at work, and an event belongs to whom clients expect."""
    name = "parentSubagentRunId" if type == "SUBAGENT_STARTED" else "subagentRunId"
    if name not in data:
        return True
    if type == "ACTIVITY_DELTA":  # it belongs to whom its snapshot does, and need not say so
        return False
    owner = data[name]
    if not isinstance(owner, str) or Opened("subagent", owner) not in thread.open:
        return False
    reasoning = Opened("reasoning", str(data.get("messageId")))
    return type != "REASONING_MESSAGE_START" or thread.open.get(reasoning, owner) == owner


def _attributed(message: Message, owner: str | None) -> Message:
    """The message, as one of the subagent that its beginning is of."""
    mine = {name: value for name, value in message.items() if name != "subagentRunId"}
    return mine if owner is None else mine | {"subagentRunId": owner}


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
