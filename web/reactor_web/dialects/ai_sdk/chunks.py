"""The chunks of a run so far: how many, and which parts of the message are open.

A client fails the whole stream on a delta or an end of a text that has not begun, and on the result of a tool call that
it does not know. So what is open is remembered here, nothing else is continued, and it is closed in time.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple, TypeAlias, cast

import orjson

from reactor.events.event import Event
from reactor.events.one_line import one_line
from reactor.events.state import RunState
from reactor_web.bounds import MAX_SAID
from reactor_web.dialects.framing import encode

Chunk: TypeAlias = dict[str, Any]
Kind: TypeAlias = Literal["text", "reasoning"]

ENDED_PARTS: Final = 1_000
"""Names of texts that have ended in this step; beyond it, the oldest are forgotten."""

_POLLUTING: Final = re.compile(rb'"(__proto__|constructor)":')
"""Keys for which the client's parser refuses a chunk, and with it the stream."""


class Text(NamedTuple):
    """A text of the message that goes on."""

    kind: Kind
    id: str
    """Of its chunks. No two texts of a step have the same."""
    owner: str
    """The attempt that says it (``owner_of``)."""


class Call(NamedTuple):
    """A call of a tool that has no result yet."""

    owner: str
    is_streaming: bool
    """Its arguments still come, as ``tool-input-delta``."""


@dataclass(slots=True)
class Chunks:
    """What the dialect remembers of one run."""

    run: RunState
    is_session: bool = False
    count: int = 0
    """How many chunks there were. The id of a chunk is its number."""
    messages: int = 0
    """How many messages have begun."""
    message_id: str = ""
    """The id of the message that goes on."""
    has_finished: bool = False
    """Whether the application has said that its last message is finished."""
    in_step: bool = False
    texts: dict[tuple[str, str], Text] = field(default_factory=dict[tuple[str, str], Text])
    """Those that are open, by their kind and the name that their speaker gave them."""
    ended: dict[str, None] = field(default_factory=dict[str, None])
    """The ids of the texts that have ended in this step, oldest first."""
    calls: dict[str, Call] = field(default_factory=dict[str, Call])
    """The calls that are open, by their id."""
    during: dict[str, str] = field(default_factory=dict[str, str])
    """The calls in the middle of which open questions are asked, by the id of the question."""
    early: dict[str, dict[int, Any]] = field(default_factory=dict[str, dict[int, Any]])
    """Values that were sent before a task asked, by its id and their seqs."""


def owner_of(event: Event) -> str:
    """The attempt that an event is of: ``measure[3]#1``; empty for one of the run itself."""
    return "" if event.task_id is None else f"{event.task_id}#{event.attempt or 0}"


def frames_of(state: Chunks, chunks: list[Chunk]) -> bytes:
    """The frames of these chunks, numbered."""
    frames: list[bytes] = []
    for chunk in chunks:
        state.count += 1
        frames.append(encode(_json_of(chunk), id=state.count))
    return b"".join(frames)


def _json_of(chunk: Chunk) -> bytes:
    data = orjson.dumps(chunk)
    if _POLLUTING.search(data):
        data = orjson.dumps(_harmless(chunk))
    return data if data.isascii() else one_line(data)


def _harmless(value: Any) -> Any:
    """The value with the keys that the client's parser refuses in brackets."""
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value).items()
        return {f"({key})" if key in ("__proto__", "constructor") else key: _harmless(one) for key, one in members}
    if isinstance(value, list):
        return [_harmless(one) for one in cast("list[Any]", value)]
    return value


# --- texts --------------------------------------------------------------------------------------------------------


def begin_text(
    state: Chunks, out: list[Chunk], kind: Kind, name: str, owner: str, more: Mapping[str, Any] = {}
) -> Text:
    """The text of this name; it begins now unless it is open."""
    text = state.texts.get((kind, name))
    if text is None:
        if len(state.texts) >= MAX_SAID:
            (_, oldest), its_text = next(iter(state.texts.items()))
            end_text(state, out, its_text.kind, oldest)
        text = state.texts[kind, name] = Text(kind, _unused(state, name), owner)
        out.append({**more, "type": f"{kind}-start", "id": text.id})
    return text


def end_text(state: Chunks, out: list[Chunk], kind: Kind, name: str, more: Mapping[str, Any] = {}) -> None:
    """Ends the text of this name, if it is open."""
    text = state.texts.pop((kind, name), None)
    if text is not None:
        out.append({**more, "type": f"{kind}-end", "id": text.id})
        state.ended[text.id] = None
        if len(state.ended) > ENDED_PARTS:
            del state.ended[next(iter(state.ended))]


def _unused(state: Chunks, name: str) -> str:
    """The name, or the first of ``name~2``, ``name~3`` … that no text of this step has had.

    ``WorkflowChatTransport`` drops a text whose id has ended in this step: it takes it for one that was sent twice.
    """
    in_use = {text.id for text in state.texts.values()}
    id, again = name, 1
    while id in in_use or id in state.ended:
        again += 1
        id = f"{name}~{again}"
    return id


def end_texts(state: Chunks, out: list[Chunk], owner: str | None = None) -> None:
    """Ends the open texts of this owner; without one, all of them."""
    for (_, name), text in list(state.texts.items()):
        if owner in (None, text.owner):
            end_text(state, out, text.kind, name)


# --- tool calls ---------------------------------------------------------------------------------------------------


def break_off_calls(state: Chunks, out: list[Chunk], why: str, owner: str | None = None) -> None:
    """Ends the open calls of this owner, or all of them, with an error: their result will not come."""
    for id, call in list(state.calls.items()):
        if owner in (None, call.owner):
            del state.calls[id]
            out.append({"type": "tool-output-error", "toolCallId": id, "errorText": why})


# --- steps --------------------------------------------------------------------------------------------------------


def begin_step(state: Chunks, out: list[Chunk]) -> None:
    state.in_step = True
    state.ended.clear()
    out.append({"type": "start-step"})


def end_step(state: Chunks, out: list[Chunk]) -> None:
    """Ends the step. What is open is ended before: ``ai`` 6 forgets it at the end of a step."""
    end_texts(state, out)
    state.in_step = False
    state.ended.clear()
    out.append({"type": "finish-step"})
