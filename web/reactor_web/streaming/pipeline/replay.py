"""Parts of the log as frames, for clients that are behind what channels have: made once for all who read the same."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeAlias

from reactor.bounds import READ_BYTES
from reactor.events.event import Message, Notice
from reactor.operators.select import matcher
from reactor.operators.throttle_latest import event_flushes, event_key
from reactor.stream.feed import Feed
from reactor.stream.follow import cursor_after
from reactor.waiting import Flights
from reactor_web.bounds import SHARED_REPLAY_BYTES
from reactor_web.dialects import Dialect
from reactor_web.http.query import StreamOptions
from reactor_web.streaming.fan_out import fan_out_of

_Key: TypeAlias = tuple[Feed, StreamOptions, int]


class Part(NamedTuple):
    """What a client is sent that stands at some position of the log."""

    data: bytes
    """Empty where a filter passes nothing, or where nothing is left to read."""
    position: int
    """Behind the last event of it."""
    gap: Notice | None
    """Which the frames begin with, where the log does not have the first events any more."""
    is_last: bool
    """Whether it ends with the last event that there was."""


class Replays:
    """The parts that were read of late. Thousands of clients may come at once, with the same cursor or with none."""

    def __init__(self) -> None:
        self._flights: Flights[_Key, Part] = Flights()
        self._kept: OrderedDict[_Key, Part] = OrderedDict()
        self._bytes = 0

    async def read(self, feed: Feed, options: StreamOptions, position: int) -> Part:
        """The next part behind ``position``, in a dialect that does not fold, when there is time for it."""
        await fan_out_of(asyncio.get_running_loop()).turn()
        key = feed, options.shared, position
        part = self._kept.get(key)
        if part is None or (part.is_last and options.throttle and part.position < feed.last_seq):
            # under a throttle what it ends with may be superseded meanwhile
            part = await self._flights.join(key, lambda: self._make(key))
        return part

    async def _make(self, key: _Key) -> Part:
        feed, options, position = key
        published = feed.last_seq
        messages = await read_next(feed, position)
        if not messages:  # the log has lost what was published, but not what is published meanwhile
            return Part(b"", max(position, published), None, True)
        dialect, first = options.find_dialect(), messages[0]
        gap = first if isinstance(first, Notice) else None
        after = cursor_after(messages, position)
        part = Part(encode_replay(messages, options, dialect), after, gap, after >= feed.last_seq)
        self._keep(key, part)
        return part

    def _keep(self, key: _Key, part: Part) -> None:
        if (old := self._kept.pop(key, None)) is not None:
            self._bytes -= len(old.data)
        self._kept[key] = part
        self._bytes += len(part.data)
        while self._bytes > SHARED_REPLAY_BYTES:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= len(oldest.data)

    def forget(self) -> None:
        """Called now and then: who comes later reads the log."""
        self._kept.clear()
        self._bytes = 0


async def read_next(feed: Feed, position: int) -> list[Message]:
    """The messages after a position, as many as one write takes: many small windows, or a part of a large one."""
    messages: list[Message] = []
    size = 0
    while more := await feed.read(position):
        for message in more:
            size += len(message.json)
            if size > READ_BYTES and messages:
                return messages
            messages.append(message)
        position = cursor_after(more, position)
        if size > READ_BYTES // 2:
            break  # most of another page of the log would be read in vain
    return messages


def encode_replay(messages: Sequence[Message], options: StreamOptions, dialect: Dialect) -> bytes:
    """The frames of those messages that ``options`` ask for, in a dialect that does not fold.

    Under a throttle without superseded progress.
    """
    matches = matcher(options.types, options.tasks)
    selected: Iterable[Message] = (message for message in messages if matches(message))
    if options.throttle is not None:
        selected = conflate(list(selected))
    step, notice = dialect.step, dialect.notice
    return b"".join(
        notice(None, message) if isinstance(message, Notice) else step(None, message) for message in selected
    )


def conflate(messages: Sequence[Message]) -> list[Message]:
    """Drops each progress event that the same task supersedes with a later one before it says anything else."""
    kept: list[Message] = []
    superseded: set[object] = set()
    for message in reversed(messages):
        key = event_key(message)
        if key is None:
            superseded.discard(event_flushes(message))
            kept.append(message)
        elif key not in superseded:
            superseded.add(key)
            kept.append(message)
    kept.reverse()
    return kept
