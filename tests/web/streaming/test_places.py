"""Wherever a client stands, and however far behind the run its channel is: it is never taken back to an older event.

Followers without a server: each is advanced when the test says so, and writes itself. The log gives small pages, late,
so a view that begins is far behind a client that comes with a cursor.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
import pytest
from aiohttp.test_utils import make_mocked_request
from hypothesis import given, settings
from hypothesis import strategies as st
from reactivex import Observable
from reactivex import operators as ops

from reactor.clock import SystemClock
from reactor.events.event import Draft, Event, task_head
from reactor.logs.memory import MemoryLog
from reactor.stream import feed as feeds
from reactor.stream.feed import Feed
from reactor.testing import LogAround
from reactor_web.http.query import StreamOptions
from reactor_web.sse.parser import Parser
from reactor_web.streaming import fan_out
from reactor_web.streaming.connection.client import Client
from reactor_web.streaming.connection.wire import Wire
from reactor_web.streaming.following.follower import Follower
from reactor_web.streaming.following.opening import follower_at
from reactor_web.streaming.pipeline import history, ring
from reactor_web.streaming.pipeline.channels import Channels
from tests.helpers.jittered_log import turns
from tests.helpers.written_log import END, started

PAGE: Final = 3
LATE: Final = 4
"""Turns of the loop before a page comes."""


def same(events: Observable[Any]) -> Observable[Any]:
    return events.pipe(ops.map(lambda event: event))


KINDS: Final = {
    "plain": StreamOptions(),
    "filtered": StreamOptions(types=("number.*", "run.*")),
    "throttled": StreamOptions(throttle=1.0),
    "domain": StreamOptions(dialect="domain"),
    "view": StreamOptions(view=same),
}


class LatePages(LogAround):
    """Gives ``PAGE`` events at a time, some turns later."""

    async def read(self, run_id: str, after: int, limit: int) -> list[Event]:
        await turns(LATE)
        return await self.inner.read(run_id, after, min(limit, PAGE))


@dataclass
class Reader:
    """A client, and what it was sent."""

    follower: Follower
    kind: str
    cursor: int
    data: bytearray = field(default_factory=bytearray)
    is_over: bool = False

    async def advance(self) -> None:
        if not self.is_over:
            self.is_over = not await asyncio.wait_for(self.follower.advance(), 10)

    async def read_on(self) -> None:
        while not self.is_over:
            await self.advance()
            if not self.is_over:
                await asyncio.wait_for(self.follower.client.wait(), 10)

    def said(self) -> list[int]:
        """The numbers of the events that were sent, without those of ``stream.end``."""
        bodies = [orjson.loads(frame.data) for frame in Parser(sticky_id=False).feed(bytes(self.data))]
        return [body["n"] if self.kind == "domain" else body["data"]["n"] for body in bodies]


def event_of(type: str, seq: int) -> Event:
    """With its seq as ``n``, and what the first and the last event of a run have to say."""
    data = {**started()[1], **END, "n": seq} if type.startswith("run.") else {"n": seq, "fraction": 0.5}
    task, head = ("draft", task_head("draft", "draft", None, 1)) if type == "task.progress" else (None, b"")
    return Event.from_draft(seq, "r", b"2026-11-21T12:00:01.123456Z", Draft(type, orjson.dumps(data), task, head))


@dataclass
class Watched:
    """A run, and those who follow it."""

    feed: Feed = field(default_factory=lambda: Feed("r", LatePages(MemoryLog()), SystemClock()))
    channels: Channels = field(default_factory=Channels)
    readers: list[Reader] = field(default_factory=list[Reader])

    async def write(self, *types: str) -> None:
        """One window."""
        first = self.feed.last_seq + 1
        window = [event_of(type, seq) for seq, type in enumerate(types, first)]
        await self.feed.log.append("r", window)
        self.feed.publish(window)

    def join(self, kind: str, cursor: int) -> None:
        data = bytearray()

        async def send(more: bytes) -> None:
            data.extend(more)

        client = Client(make_mocked_request("GET", "/"), KINDS[kind], "r")
        follower = follower_at(cursor, self.feed, client, Wire(client, send, None), self.channels)
        self.readers.append(Reader(follower, kind, cursor, data))


STEPS = st.lists(
    st.tuples(st.just("write"), st.integers(1, 8))
    | st.tuples(st.just("join"), st.integers(0, 40))
    | st.tuples(st.just("advance"), st.integers(0, 3))
    | st.tuples(st.just("turns"), st.integers(1, 12)),
    max_size=40,
)
"""What happens, one after the other: a window, a client with a cursor, a client goes on, the loop goes round."""


@pytest.mark.parametrize("frames_kept", [2, 4, 2_000])
@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60, deadline=None)
@given(before=st.integers(1, 40), steps=STEPS)
def test_a_follower_sends_what_is_behind_its_cursor_once_and_in_order(
    kind: str, frames_kept: int, before: int, steps: list[tuple[str, int]]
) -> None:
    """Every third event is progress: a throttle may leave some out, but sends none twice."""

    def typed(count: int, first: int) -> list[str]:
        return ["task.progress" if seq % 3 == 0 else "number.said" for seq in range(first, first + count)]

    async def main() -> None:
        run = Watched()
        await run.write("run.started", *typed(before, 2))
        for what, number in steps:
            if what == "write":
                await run.write(*typed(number, run.feed.last_seq + 1))
            elif what == "join":
                run.join(kind, min(number, run.feed.last_seq))
            elif what == "turns":
                await turns(number)
            elif run.readers:
                await run.readers[number % len(run.readers)].advance()
        await run.write("run.completed")
        await asyncio.gather(*(reader.read_on() for reader in run.readers))
        for reader in run.readers:
            check(reader, run.feed.last_seq)
        assert not list(run.channels)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ring, "CHANNEL_FRAMES", frames_kept)
        patch.setattr(history, "CHANNEL_FRAMES", frames_kept)
        patch.setattr(feeds, "RING_EVENTS", 5)
        for name, seconds in (("FAN_OUT_SLICE_SECONDS", 60.0), ("FAN_OUT_PAUSE_SECONDS", 0.0)):
            patch.setattr(fan_out, name, seconds)  # so that no clock decides what happens
        asyncio.run(main())


def check(reader: Reader, last: int) -> None:
    wanted, said = list(range(reader.cursor + 1, last + 1)), reader.said()
    if reader.kind == "filtered":
        wanted = [seq for seq in wanted if seq % 3 or seq in (1, last)]
    if reader.kind == "throttled":
        assert len(set(said)) == len(said)
        wanted, said = ([seq for seq in seqs if seq % 3 or seq in (1, last)] for seqs in (wanted, said))
    assert said == wanted, (reader.kind, reader.cursor)
