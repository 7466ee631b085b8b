"""The frames of a stream as events and notices."""

from __future__ import annotations

from typing import Any, Final, cast

import orjson

from reactor.events.event import Event, Message, Notice
from reactor_web.client.errors import StreamUnavailable
from reactor_web.sse.parser import Frame

_ENVELOPE: Final = {
    "type": str,
    "run_id": str,
    "time": str,
    "data": dict,
    "seq": int | None,
    "task_id": str | None,
    "task": str | None,
    "map_index": int | None,
    "attempt": int | None,
}
"""Member of an event or notice -> its type."""
_SHOWN_CHARS: Final = 80


def message_of(url: str, frame: Frame) -> Message:
    """The event or notice of a frame; raises StreamUnavailable for one that no server of ours sends."""
    json = frame.data.encode()
    try:
        body = orjson.loads(json)
    except orjson.JSONDecodeError:
        raise not_an_event(url, frame, "its data cannot be read") from None
    if (problem := _problem(body)) is not None:
        raise not_an_event(url, frame, problem)
    if body.get("seq") is None:
        return Notice(body["type"], body["run_id"], body["time"], body["data"])
    # the fold decodes for itself: what users do to the data of an event must not reach the state
    return Event(body["seq"], body["run_id"], body["type"], body.get("task_id"), json)


def not_an_event(url: str, frame: Frame, problem: str) -> StreamUnavailable:
    """The error for a frame that a run does not have; ``problem`` says why."""
    text = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in frame.data[:_SHOWN_CHARS])
    return StreamUnavailable(url, f"it sends what is not an event of a run ({problem}): {text}")


def _problem(envelope: Any) -> str | None:
    """Why JSON is not an event or a notice of a run; None where it is one."""
    if not isinstance(envelope, dict):
        return "it is not an object"
    members = cast("dict[str, Any]", envelope)
    wrong = [name for name, kinds in _ENVELOPE.items() if not isinstance(members.get(name), kinds)]
    return f"its {wrong[0]} is missing or wrong" if wrong else None
