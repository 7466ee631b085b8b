"""Every dialect, cut at any byte while the run goes on and resumed: the parts joined are the whole."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import aiohttp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reactor import Context, Engine, Workflow
from reactor.logs.memory import MemoryLog
from reactor_web import dialects
from reactor_web.sse.parser import Frame, Parser
from reactor_web.streaming.pipeline import history, kept, ring, view
from tests.helpers.jittered_log import JITTERS, JitteredLog, turns
from tests.helpers.server import Server, serving

DIALECTS = [name for name in dialects.known() if name != "native"]
READERS = st.lists(
    st.tuples(st.sampled_from(DIALECTS), st.integers(0, 40), st.lists(st.integers(1, 1_500), max_size=6)),
    min_size=1,
    max_size=5,
)
"""For each client: its dialect, turns of the loop until it connects, and after how many bytes each cut comes."""

OWN: list[tuple[str, dict[str, Any]]] = [
    ("agent:completed", {"agentName": 5, "cost": "x"}),
    ("TEXT_MESSAGE_CHUNK", {"messageId": "m", "delta": "d"}),
    ("text-delta", {"delta": "d"}),
    ("task_complete", {}),
    ("WorkflowCompleted", {"event_id": None}),
    ("ROUTER_THOUGHT", {"message": "\u2028"}),
]


def talking(go: asyncio.Event) -> Workflow:
    flow = Workflow("talking")

    @flow.task
    async def items() -> list[int]:
        return [1, 2, 3]

    @flow.task(map="items")
    async def talk(items: int, ctx: Context) -> int:
        for number in range(8):
            await ctx.chunk(f"{number} ")
            await ctx.emit(*OWN[number % len(OWN)])
            if number % 3 == 0:
                await asyncio.sleep(0)
        if items == 2:
            raise ValueError("two")
        return items

    @flow.task
    async def last(items: list[int]) -> None:
        await go.wait()

    return flow


class Reader:
    """One client with a cursor, whose connection is cut again and again."""

    def __init__(self, server: Server, run_id: str, dialect: str) -> None:
        self._session = server.session
        self._url = f"{server.url}/runs/{run_id}/events?dialect={dialect}"
        self.cursor = "0"
        self.frames: list[Frame] = []
        self.is_over = False

    async def read(self, most: int | None) -> None:
        """Reads until the end, or until so many bytes have come."""
        parser, got = Parser(sticky_id=False), 0
        async with self._session.get(self._url, headers={"Last-Event-ID": self.cursor}) as response:
            if response.status == 204:
                self.is_over = True
                return
            assert response.status == 200, await response.text()
            while most is None or got < most:
                data = await response.content.read(65_536 if most is None else most - got)
                if not data:
                    self.is_over = True
                    break
                got += len(data)
                self._take(parser.feed(data))

    def _take(self, frames: list[Frame]) -> None:
        for frame in frames:
            if frame.id:
                self.cursor = frame.id
                if not frame.event.endswith("stream.end"):  # it tells when the stream ended
                    self.frames.append(frame)


async def whole(server: Server, run_id: str, dialect: str) -> list[Frame]:
    """What a client with a cursor is sent that is never cut."""
    reader = Reader(server, run_id, dialect)
    await reader.read(None)
    return reader.frames


@pytest.mark.slow
@pytest.mark.parametrize("frames_kept", [2, 2_000])
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(readers=READERS, jitters=JITTERS, open_at=st.integers(0, 60))
def test_cuts_joined_are_the_whole(
    monkeypatch: pytest.MonkeyPatch,
    frames_kept: int,
    readers: list[tuple[str, int, list[int]]],
    jitters: list[tuple[int, ...]],
    open_at: int,
) -> None:
    """Whatever is kept, and wherever a client is cut: each frame once, in order, and none twice."""
    for module, name, value in [
        (ring, "CHANNEL_FRAMES", frames_kept), (history, "CHANNEL_FRAMES", frames_kept),
        (view, "KEPT_STATE_EVENTS", 7), (kept, "KEPT_STATE_EVENTS", 7),
    ]:  # fmt: skip
        monkeypatch.setattr(module, name, value)

    async def follow(server: Server, run_id: str, dialect: str, wait: int, cuts: list[int]) -> Reader:
        await turns(wait)
        reader = Reader(server, run_id, dialect)
        for most in [*cuts, None]:
            if not reader.is_over:
                with suppress(aiohttp.ClientPayloadError):
                    await reader.read(most)
        return reader

    async def main() -> None:
        go = asyncio.Event()
        async with serving(Engine(JitteredLog(MemoryLog(), jitters), grace=0), talking(go)) as server:
            run = await server.engine.start("talking")
            following = [asyncio.create_task(follow(server, run.id, *one)) for one in readers]
            await turns(open_at)
            go.set()
            await asyncio.wait_for(run.ended(), 20)
            for (dialect, _, _), reading in zip(readers, following, strict=True):
                reader = await asyncio.wait_for(reading, 20)
                assert reader.frames == await whole(server, run.id, dialect), dialect
            await turns(200)
            assert not list(server.streams.channels)

    asyncio.run(main())
