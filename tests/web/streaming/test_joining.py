"""Clients join a shared channel wherever they stand: before the run, in the middle of it, in the middle of a pass.

However much of the run the channel, the feed and the replays still have, and however little time a pass has: each
client sees each event that it asked for once, in order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reactor import Engine, Event
from reactor.logs.memory import MemoryLog
from reactor.ports.log import EventLog
from reactor.stream import feed
from reactor.testing import LogAround, read_all
from reactor_web.sse.parser import Frame
from reactor_web.streaming import fan_out
from reactor_web.streaming.pipeline import channel, ring
from tests.helpers.jittered_log import JITTERS, JitteredLog, turns
from tests.helpers.server import Server, serving
from tests.helpers.site import poll
from tests.helpers.socket_client import SocketClient
from tests.web.streaming.test_interleavings import QUERIES, check, frames_of, talking

DIALECTS = ("domain", "steps", "timeline", "cloudevents")
FOLDING = ("domain", "timeline")
BEFORE = -1


@dataclass(frozen=True)
class Wish:
    """A client: when it comes, in turns of the loop, or before the run; in which form; with which query and cursor."""

    when: int
    form: str
    query: str
    cursor: int


WISHES = st.lists(
    st.builds(
        Wish,
        st.sampled_from([BEFORE, BEFORE, 0, 1, 3, 8, 20, 40]),
        st.sampled_from(["sse", "sse", "gzip", "lines", "socket", *DIALECTS]),
        st.sampled_from(sorted(QUERIES)),
        st.integers(0, 30),
    ),
    min_size=1,
    max_size=10,
)


@dataclass(frozen=True)
class Room:
    """How much is kept, and how much time there is."""

    frames: int
    """In the ring of a channel."""
    events: int
    """In the ring of a feed."""
    slice: float
    pause: float


ROOMS = st.builds(
    Room, st.sampled_from([2, 10, 2_000]), st.sampled_from([3, 20, 2_000]), st.sampled_from([0.0, 0.002]),
    st.sampled_from([0.0, 0.001, 0.005]),
)  # fmt: skip


@contextmanager
def roomy(room: Room) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ring, "CHANNEL_FRAMES", room.frames)
        patch.setattr(feed, "RING_EVENTS", room.events)
        patch.setattr(fan_out, "FAN_OUT_SLICE_SECONDS", room.slice)
        patch.setattr(fan_out, "MIN_PAUSE_SECONDS", room.pause)
        patch.setattr(channel, "AT_ONCE", 1)
        yield


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(wishes=WISHES, jitters=JITTERS, room=ROOMS)
def test_wherever_a_client_joins_it_sees_each_event_once_and_in_order(
    wishes: list[Wish], jitters: list[tuple[int, ...]], room: Room
) -> None:
    """In every form, under filters and throttle; in a dialect it sees what a client sees who comes after the end."""

    async def main() -> None:
        engine = Engine(JitteredLog(MemoryLog(), jitters), grace=0)
        async with serving(engine, talking()) as server:
            early = [follow(server, wish, 0) for wish in wishes if wish.when == BEFORE]
            async with asyncio.timeout(10):
                while len(server.streams) < len(early):
                    await asyncio.sleep(0.001)
            run = await engine.start("talking", run_id="r")
            late: list[asyncio.Task[list[Any]]] = []
            cursors: list[int] = []
            for wish in (wish for wish in wishes if wish.when != BEFORE):
                await turns(wish.when)
                cursors.append(min(wish.cursor, run.state.seq))  # one ahead of the run is no cursor
                late.append(follow(server, wish, cursors[-1]))
            await asyncio.wait_for(run.ended(), 10)
            events = await read_all(engine.log, run.id)
            ordered = [wish for wish in wishes if wish.when == BEFORE] + [w for w in wishes if w.when != BEFORE]
            for wish, cursor, reading in zip(ordered, [0] * len(early) + cursors, early + late, strict=True):
                await compare(server, events, wish, cursor, await asyncio.wait_for(reading, 10))

    with roomy(room):
        asyncio.run(main())


@pytest.mark.parametrize("dialect", FOLDING)
async def test_a_client_that_was_ahead_of_a_view_and_falls_behind_it_goes_on_from_where_it_was(
    monkeypatch: pytest.MonkeyPatch, dialect: str
) -> None:
    """What a shared view tells it of older events moves it nowhere: they are not sent again from the log."""
    monkeypatch.setattr(ring, "CHANNEL_FRAMES", 4)
    log, cursor = StepwiseLog(MemoryLog(), steps=[3, 6]), 30
    async with serving(Engine(log, grace=0), talking()) as server:
        run = await server.engine.start("talking", run_id="r")
        await asyncio.wait_for(run.ended(), 10)
        early = asyncio.create_task(read(server, dialect, f"?dialect={dialect}&after=0"))
        await poll(lambda: log.held == 3, "the view was to have three events")
        late = asyncio.create_task(read(server, dialect, f"?dialect={dialect}&after={cursor}"))
        (channel,) = server.streams.channels
        view = channel.view
        assert view is not None
        await poll(lambda: len(channel.clients) == 2, "the second client was to share the view")
        log.go.set()
        await poll(lambda: log.held == 6 and view.seq == 6, "the view was to have six events")
        await poll(lambda: all(at.offset == channel.ring.end for at in channel.clients), "all were to have them")
        log.steps.clear()
        log.go.set()  # all others at once, more than are kept
        whole, rest = await asyncio.wait_for(early, 10), await asyncio.wait_for(late, 10)
    assert shown(rest) == [frame for frame in shown(whole) if int(frame[0]) > cursor]


class StepwiseLog(LogAround):
    """Gives pages that end with one of ``steps``, and holds up who reads on from there until ``go``."""

    def __init__(self, inner: EventLog, steps: list[int]) -> None:
        super().__init__(inner)
        self.steps = steps
        self.go = asyncio.Event()
        self.held = 0
        """The event behind which somebody waits, or has waited last."""

    async def read(self, run_id: str, after: int, limit: int) -> list[Event]:
        if after in self.steps:
            self.held = after
            await self.go.wait()
            self.go.clear()
        until = next((step for step in self.steps if step > after), after + limit)
        return await self.inner.read(run_id, after, min(limit, until - after))


def follow(server: Server, wish: Wish, cursor: int) -> asyncio.Task[list[Any]]:
    """Reads a stream to its end."""
    query = "&".join(
        part
        for part in (
            "await_run=10" * (wish.when == BEFORE),
            f"after={cursor}" * (cursor > 0),
            wish.query if wish.form not in DIALECTS else f"dialect={wish.form}",
            "compress=1" * (wish.form == "gzip"),
        )
        if part
    )
    return asyncio.create_task(read(server, wish.form, f"?{query}"))


async def read(server: Server, form: str, query: str) -> list[Any]:
    if form == "socket":
        async with SocketClient(server, f"/runs/r/ws{query}") as socket:
            return await socket.all()
    if form != "lines":
        return await frames_of(server.events("r", query))
    headers = {"Accept": "application/x-ndjson"}
    async with server.session.get(f"{server.url}/runs/r/events{query}", headers=headers) as response:
        lines = (await response.read()).split(b"\n")
        return [orjson.loads(line) for line in lines if line]


async def compare(server: Server, events: list[Event], wish: Wish, cursor: int, got: list[Any]) -> None:
    if wish.form in DIALECTS:
        again = await read(server, wish.form, f"?dialect={wish.form}" + f"&after={cursor}" * (cursor > 0))
        if wish.when == BEFORE or not cursor:
            compare_ends(got, again)
        else:
            assert shown(got) == shown(again)
    elif wish.form in ("lines", "socket"):
        check_lines(events, wish.query, cursor, got)
    else:
        await check(events, wish.query, False, cursor, got)


def shown(frames: list[Frame]) -> list[tuple[str, str, str]]:
    """Without the last frame, which has a time of its own."""
    return [(frame.id, frame.event, frame.data) for frame in frames[:-1]]


def compare_ends(got: list[Frame], again: list[Frame]) -> None:
    """Their openings show another moment, and what follows begins there: the later part is the same."""
    ids = [int(frame.id) for frame in got if frame.id.isdigit()]
    assert ids == sorted(ids)
    common = min(len(got), len(again), 3) - 1
    if common > 0:
        assert shown(got)[-common:] == shown(again)[-common:]


def check_lines(events: list[Event], query: str, cursor: int, got: list[dict[str, Any]]) -> None:
    *bodies, end = got
    assert (end["type"], end["data"]["status"]) == ("stream.end", "completed")
    wanted = [event.body for event in events if event.seq > cursor and QUERIES[query](event)]
    if "throttle" in query:
        bodies = [body for body in bodies if body["type"] != "task.progress"]
    assert bodies == wanted
