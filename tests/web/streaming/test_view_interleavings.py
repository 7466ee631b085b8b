"""However long the log takes, whenever a client comes, and however little is kept: a view is sent exactly."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reactivex import Observable
from reactivex import operators as ops

import reactor_web
from reactor import Context, Engine, Workflow
from reactor.logs.memory import MemoryLog
from reactor_web.sse.parser import Frame, Parser
from reactor_web.streaming.pipeline import history, ring
from reactor_web.streaming.streams import STREAMS
from tests.helpers.jittered_log import JITTERS, JitteredLog, turns

CLIENTS = st.lists(
    st.tuples(st.integers(0, 60), st.sampled_from(["apart", "held"]), st.integers(0, 30), st.integers(0, 3)),
    min_size=1,
    max_size=6,
)
"""For each client: turns of the loop until it connects, its view, and its cursor ``<seq>.<k>``; k 0: ``<seq>``."""


def apart(events: Observable[Any]) -> Observable[Any]:
    """Two frames for an event, the event itself for every third, nothing for some."""
    return events.pipe(
        ops.filter(lambda event: event.seq % 4 != 1),
        ops.flat_map(
            lambda event: [event] if event.seq % 3 == 0 else [(event.seq, "a", event.seq), (event.seq, "b", None)]
        ),
    )


def held(events: Observable[Any]) -> Observable[Any]:
    """Holds four events back until the next one, and numbers them."""
    return events.pipe(
        ops.buffer_with_count(5),
        ops.flat_map(lambda events: events),
        ops.scan(lambda last, event: (last[0] + 1, event.seq), (0, 0)),
        ops.map(lambda pair: (pair[1], "held", list(pair))),
    )


VIEWS: dict[str, Callable[[Observable[Any]], Observable[Any]]] = {"apart": apart, "held": held}


def talking() -> Workflow:
    flow = Workflow("talking")

    @flow.task
    async def talk(ctx: Context) -> None:
        for number in range(24):
            await ctx.emit("number.said", {"number": number})
            if number % 3 == 0:
                await asyncio.sleep(0)

    return flow


def place(frame: Frame) -> tuple[int, float]:
    seq, _, part = frame.id.partition(".")
    return int(seq), int(part) if part else float("inf")


@pytest.mark.parametrize("frames_kept", [2, 2_000])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(clients=CLIENTS, jitters=JITTERS)
def test_a_client_is_sent_what_is_behind_its_cursor_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
    frames_kept: int,
    clients: list[tuple[int, str, int, int]],
    jitters: list[tuple[int, ...]],
) -> None:
    """Each stream equals the part behind its cursor of the stream that a client gets after the end of the run."""
    monkeypatch.setattr(ring, "CHANNEL_FRAMES", frames_kept)
    monkeypatch.setattr(history, "CHANNEL_FRAMES", frames_kept)

    async def main() -> None:
        engine = Engine(JitteredLog(MemoryLog(), jitters), grace=0)
        app = reactor_web.create_app(engine, talking())

        async def viewed(request: web.Request) -> web.StreamResponse:
            run = await engine.get(request.match_info["id"])
            return await reactor_web.stream(request, run, view=VIEWS[request.match_info["view"]])

        app.router.add_get("/{view}/{id}", viewed)

        async with TestClient(TestServer(app)) as client:

            async def read(path: str, cursor: str = "") -> list[Frame]:
                async with client.get(path, headers={"Last-Event-ID": cursor} if cursor else {}) as response:
                    return Parser(sticky_id=False).feed(await response.read())

            run = await engine.start("talking")
            asked: list[tuple[str, str, asyncio.Task[list[Frame]]]] = []
            for count, view, seq, part in clients:
                await turns(count)
                seq = min(seq, run.state.seq)
                cursor = "" if seq == 0 else f"{seq}.{part}" if part else str(seq)
                asked.append((view, cursor, asyncio.create_task(read(f"/{view}/{run.id}", cursor))))
            await asyncio.wait_for(run.ended(), 10)
            for view, cursor, reading in asked:
                frames = await asyncio.wait_for(reading, 10)
                whole = (await read(f"/{view}/{run.id}"))[:-1]
                if not frames:
                    assert cursor == str(run.state.seq)
                    continue
                after = place(Frame(cursor, "", "")) if cursor else (0, 0.0)
                if after not in {place(frame) for frame in whole} and after[1] != float("inf"):
                    after = (after[0] - 1, float("inf"))  # there is no such frame: the whole event again
                assert frames[-1].event == "stream.end"
                assert frames[:-1] == [frame for frame in whole if place(frame) > after], (view, cursor)
            assert not list(app[STREAMS].channels)

    asyncio.run(main())
