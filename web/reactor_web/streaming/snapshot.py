"""``run.state``: the folded state as frames, each within the size of an event."""

from __future__ import annotations

from typing import Any, Final
from weakref import WeakKeyDictionary

import orjson

from reactor.bounds import KIB, READ_EVENTS
from reactor.events.event import Event
from reactor.events.state import RunState
from reactor.stream.feed import Feed
from reactor_web.sse import frames as sse

PART_BYTES: Final = 36 * KIB
"""Of tasks in one part: with the rest of the state well below the 48 KiB of an event."""

_latest: WeakKeyDictionary[Feed, tuple[int, bytes]] = WeakKeyDictionary()


def state_frames(feed: Feed) -> tuple[int, bytes]:
    """(seq, frames) of a feed's state as it is now; encoded once per seq, for all who ask."""
    known = _latest.get(feed)
    if known is None or known[0] != feed.last_seq:
        known = _latest[feed] = (feed.last_seq, encode_state(feed, feed.state))
    return known


def encode_state(feed: Feed, state: RunState) -> bytes:
    """Consecutive ``run.state`` frames with ``part``/``parts``; the id, the seq they are current to, is on the last."""
    body = state.to_dict()
    parts = _parts(body.pop("tasks"))
    frames: list[bytes] = []
    for number, tasks in enumerate(parts, 1):
        data: dict[str, Any] = {**body, "tasks": tasks}
        if len(parts) > 1:
            data |= {"part": number, "parts": len(parts)}
        frames.append(sse.control_frame(feed.control("run.state", data), state.seq if number == len(parts) else None))
    return b"".join(frames)


async def last_logs(feed: Feed, count: int, position: int) -> bytes:
    """The frames of the last ``count`` log lines up to ``position``, read backwards until there are enough."""
    found: list[Event] = []
    end = position
    while end > 0 and len(found) < count:
        start = max(0, end - READ_EVENTS)
        batch = await feed.logged(start, end)
        found = [event for event in batch if event.type == "log.created"] + found
        end = start
    return b"".join(sse.frame(event) for event in found[-count:]) if count else b""


def _parts(tasks: dict[str, Any]) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = [{}]
    size = 0
    for id, task in tasks.items():
        length = len(orjson.dumps(task)) + len(id) + 4
        if size + length > PART_BYTES and parts[-1]:
            parts.append({})
            size = 0
        parts[-1][id] = task
        size += length
    return parts
