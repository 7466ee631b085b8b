"""``run.state``: the folded state of a run as frames, each below the size of an event."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import orjson

from reactor.bounds import READ_EVENTS
from reactor.events.event import Event, Notice
from reactor.events.state import RunState
from reactor.stream.feed import Feed
from reactor_web.bounds import STATE_PART_BYTES
from reactor_web.dialects import Dialect

_latest: WeakKeyDictionary[Feed, dict[str, tuple[int, bytes]]] = WeakKeyDictionary()


def state_frames(feed: Feed, dialect: Dialect) -> tuple[int, bytes]:
    """(seq, frames) of a feed's state as it is now; encoded once per seq and dialect for all clients."""
    by_dialect = _latest.setdefault(feed, {})
    known = by_dialect.get(dialect.info.name)
    if known is None or known[0] != feed.last_seq:
        known = by_dialect[dialect.info.name] = (feed.last_seq, encode_state(feed, feed.state, dialect))
    return known


def encode_state(feed: Feed, state: RunState, dialect: Dialect) -> bytes:
    """The frames of ``state_notices``; the last has the seq they are current to as id."""
    empty, _ = dialect.begin(None, "resume")  # this message depends on no earlier one
    *notices, last = state_notices(feed, state)
    frames = [dialect.notice(empty, notice) for notice in notices]
    return b"".join([*frames, dialect.notice(empty, last, state.seq)])


def state_notices(feed: Feed, state: RunState) -> list[Notice]:
    """Consecutive ``run.state`` messages, with ``part`` and ``parts`` where there are several."""
    body = state.to_dict()
    parts = _split(body.pop("tasks"), body.pop("children", {}))
    notices: list[Notice] = []
    for part, members in enumerate(parts, 1):
        data: dict[str, Any] = {**body, **members}
        if len(parts) > 1:
            data |= {"part": part, "parts": len(parts)}
        notices.append(feed.notice("run.state", data))
    return notices


async def last_logs(feed: Feed, count: int, position: int, dialect: Dialect) -> bytes:
    """The frames of the last ``count`` log lines up to ``position``, read backwards until there are enough."""
    found: list[Event] = []
    end = position
    while end > 0 and len(found) < count:
        start = max(0, end - READ_EVENTS)
        batch = await feed.logged(start, end)
        found = [event for event in batch if event.type == "log.created"] + found
        end = start
    return b"".join([dialect.step(None, event) for event in found[-count:]]) if count else b""


def _split(tasks: dict[str, Any], children: dict[str, Any]) -> list[dict[str, dict[str, Any]]]:
    """Some ``tasks`` in each part, and after the tasks some ``children``."""
    parts: list[dict[str, dict[str, Any]]] = [{"tasks": {}}]
    size = 0
    for name, members in (("tasks", tasks), ("children", children)):
        for id, member in members.items():
            length = len(orjson.dumps(member)) + len(id) + 4
            if size and size + length > STATE_PART_BYTES:
                parts.append({"tasks": {}})
                size = 0
            parts[-1].setdefault(name, {})[id] = member
            size += length
    return parts
