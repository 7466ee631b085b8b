"""However long the log takes, and whenever a client connects: each stream is the log, each event once, in order."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from reactor import Context, Engine, Event, Workflow
from reactor.events.fold import replay
from reactor.events.vocabulary import PROGRESS_LIKE
from reactor.logs.memory import MemoryLog
from reactor.testing import read_all
from reactor_web.sse.parser import Frame
from tests.helpers.jittered_log import JITTERS, JitteredLog, turns
from tests.helpers.server import Stream, serving

QUERIES = {
    "": lambda event: True,
    "types=number.*,run.*": lambda event: event.type.startswith(("number.", "run.")),
    "types=number.*": lambda event: event.type == "number.said",
    "types=task.started&throttle=50": lambda event: event.type == "task.started",
    "tasks=left": lambda event: event.task_id in (None, "left"),
    "throttle=50": lambda event: event.type not in PROGRESS_LIKE,
    "throttle=10000&tasks=right": lambda event: event.task_id in (None, "right") and event.type not in PROGRESS_LIKE,
}
"""What a client may ask for, and which events it must get in any case."""

CLIENTS = st.lists(
    st.tuples(st.integers(0, 40), st.sampled_from(sorted(QUERIES)), st.booleans(), st.integers(0, 30)),
    min_size=1,
    max_size=5,
)
"""For each client: turns of the loop until it connects, its query, whether it wants a snapshot, its cursor."""


def talking() -> Workflow:
    """Two bodies that emit events and report progress, with pauses of different length."""
    flow = Workflow("talking")

    async def talk(ctx: Context, pause_every: int) -> None:
        for i in range(20):
            await ctx.progress(i / 20)
            await ctx.emit("number.said", {"i": i})
            if i % pause_every == 0:
                await asyncio.sleep(0)

    @flow.task
    async def left(ctx: Context) -> None:
        await talk(ctx, 1)

    @flow.task
    async def right(ctx: Context) -> None:
        await talk(ctx, 5)

    return flow


@settings(max_examples=60, deadline=None)
@given(clients=CLIENTS, jitters=JITTERS)
def test_whenever_a_client_comes_its_stream_is_the_log_once_and_in_order(
    clients: list[tuple[int, str, bool, int]], jitters: list[tuple[int, ...]]
) -> None:
    """A snapshot is exactly the state as of its id, and every event after it that the client asked for follows."""

    async def main() -> None:
        engine = Engine(JitteredLog(MemoryLog(), jitters), grace=0)
        async with serving(engine, talking()) as server:
            run = await engine.start("talking")
            asked: list[tuple[str, bool, int, asyncio.Task[list[Frame]]]] = []
            for count, query, with_snapshot, cursor in clients:
                await turns(count)
                after = min(cursor, run.state.seq)  # one ahead of the run is no cursor
                options = f"?{query}" + f"&after={after}" * (after > 0) + "&snapshot=1" * with_snapshot
                reading = asyncio.create_task(frames_of(server.events(run.id, options)))
                asked.append((query, with_snapshot, after, reading))
            await asyncio.wait_for(run.ended(), 10)
            events = await read_all(engine.log, run.id)
            for query, with_snapshot, after, reading in asked:
                await check(events, query, with_snapshot, after, await asyncio.wait_for(reading, 10))

    asyncio.run(main())


async def frames_of(stream: Stream) -> list[Frame]:
    async with stream:
        assert stream.status in (200, 204)
        return [] if stream.status == 204 else await stream.all()


async def check(events: list[Event], query: str, with_snapshot: bool, after: int, frames: list[Frame]) -> None:
    if not frames:  # it came after the end and had seen everything
        assert after == events[-1].seq
        return
    *frames, end = frames
    assert (end.event, end.id) == ("stream.end", str(events[-1].seq))
    if with_snapshot and after == 0:
        snapshot, *frames = frames
        assert snapshot.event == "run.state"
        state = orjson.loads(snapshot.data)["data"]
        after = int(snapshot.id)
        assert state == orjson.loads(orjson.dumps(replay(events[0].run_id, events[:after]).to_dict()))
    ids = [int(frame.id) for frame in frames if frame.id]
    assert ids == sorted(set(ids))
    given: list[Any] = [orjson.loads(frame.data) for frame in frames]
    wanted = [event for event in events if event.seq > after and QUERIES[query](event)]
    if "throttle" in query:
        given = [body for body in given if body["type"] not in PROGRESS_LIKE]
    assert given == [event.body for event in wanted]
