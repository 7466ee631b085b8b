"""``run.state``: the folded state of a run as frames, each below the size of an event."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from typing import Any
from weakref import WeakKeyDictionary

import orjson

from reactor.bounds import READ_EVENTS
from reactor.events.event import Event, Notice
from reactor.events.parts import in_parts
from reactor.events.state import RunState
from reactor.stream.feed import Feed
from reactor.stream.moment import moment_of
from reactor.waiting import Flights, turn_of
from reactor_web.bounds import STATE_HEAD_BYTES, STATE_PART_BYTES
from reactor_web.dialects import Dialect

_latest: WeakKeyDictionary[Feed, dict[str, tuple[int, bytes]]] = WeakKeyDictionary()
_making: WeakKeyDictionary[Feed, Flights[str, tuple[int, bytes]]] = WeakKeyDictionary()


async def state_frames(feed: Feed, dialect: Dialect) -> tuple[int, bytes]:
    """(seq, frames) of a feed's state as it is now; encoded once per seq and dialect for all clients."""
    name = dialect.info.name
    known = _latest.get(feed, {}).get(name)
    if known is not None and known[0] == feed.last_seq:
        return known

    async def make() -> tuple[int, bytes]:
        body = await moment_of(feed)
        made = _latest.setdefault(feed, {})[name] = (body["seq"], await _frames(feed, body, dialect))
        return made

    return await _making.setdefault(feed, Flights()).join(name, make)


async def snapshot_notices(feed: Feed) -> tuple[int, list[Notice]]:
    """(seq, ``run.state`` messages) of a feed's state as it is now."""
    body = await moment_of(feed)
    return body["seq"], await _notices(feed, body)


async def encode_state(feed: Feed, state: RunState, dialect: Dialect) -> bytes:
    """The frames of a state that nobody changes; the last has the seq they are current to as id."""
    return await _frames(feed, state.to_dict(), dialect)


async def state_notices(feed: Feed, state: RunState) -> list[Notice]:
    """Consecutive ``run.state`` messages, with ``part`` and ``parts`` where there are several."""
    return await _notices(feed, state.to_dict())


async def _frames(feed: Feed, body: dict[str, Any], dialect: Dialect) -> bytes:
    empty, _ = dialect.begin(None, "resume")  # this message depends on no earlier one
    seq = body["seq"]
    *notices, last = await _notices(feed, body)
    frames: list[bytes] = []
    for notice in notices:
        frames.append(dialect.notice(empty, notice))
        await asyncio.sleep(0)
    return b"".join([*frames, dialect.notice(empty, last, seq)])


async def _notices(feed: Feed, state: dict[str, Any]) -> list[Notice]:
    body = {name: value for name, value in state.items() if name in ("tasks", "children") or not _is_small(value)}
    head = {name: value for name, value in state.items() if name not in body}
    parts: list[dict[str, Any]] = []
    for part in in_parts(body, STATE_PART_BYTES):
        parts.append(part)
        await asyncio.sleep(0)  # a run may have 50,000 tasks
    notices: list[Notice] = []
    for part, members in enumerate(parts, 1):
        data: dict[str, Any] = {**head, "tasks": {}, **members}
        if len(parts) > 1:
            data |= {"part": part, "parts": len(parts)}
        notices.append(feed.notice("run.state", data))
    return notices


def _is_small(member: Any) -> bool:
    """Whether a member of a state is said in each part: clients of old versions know the others by their names only."""
    return len(orjson.dumps(member)) <= STATE_HEAD_BYTES


async def last_logs(feed: Feed, count: int, position: int, dialect: Dialect) -> AsyncGenerator[bytes]:
    """The frames of the last ``count`` log lines up to ``position``, in the pieces that the log is read in."""
    first = await _first_of_last_logs(feed, count, position) if count else None
    if first is None:
        return
    async for batch in _between(feed, first - 1, position):
        if data := b"".join([dialect.step(None, event) for event in batch]):
            yield data


async def _first_of_last_logs(feed: Feed, count: int, position: int) -> int | None:
    """The seq of the first of the last ``count`` log lines, looked for backwards; None where there are none."""
    found: deque[int] = deque()
    end, step = position, count
    while end > 0 and len(found) < count:
        start = max(0, end - step)
        seqs = [event.seq async for batch in _between(feed, start, end) for event in batch]
        found.extendleft(reversed(seqs))
        end, step = start, min(2 * step, READ_EVENTS)
    return found[-min(count, len(found))] if found else None


async def _between(feed: Feed, after: int, until: int) -> AsyncGenerator[list[Event]]:
    """The log lines with ``after < seq <= until``. Of large events one read gives fewer than it is asked for."""
    turn = turn_of(asyncio.get_running_loop())
    while after < until and (batch := await feed.logged(after, until)):
        await turn  # a log in memory answers at once, and ten thousand lines may lie far apart
        yield [event for event in batch if event.type == "log.created"]
        after = batch[-1].seq
