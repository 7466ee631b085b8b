"""The state of a run that goes on, described in pieces: it is that of one moment."""

from __future__ import annotations

import asyncio

import pytest

from reactor import Engine, Workflow
from reactor.events.fold import replay
from reactor.stream import moment
from reactor.stream.moment import moment_of
from reactor_web.dialects import find
from reactor_web.streaming.following.snapshot import state_frames

flow = Workflow("wide")


@flow.task
def numbers(count: int) -> list[int]:
    return list(range(count))


@flow.task(map={"number": "numbers"})
async def waits(number: int) -> int:
    for _ in range(number % 40):
        await asyncio.sleep(0)
    return number


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moment, "_AT_ONCE", 7)


async def test_what_is_described_in_pieces_is_the_state_at_its_seq() -> None:
    """While tasks start and end in between: the fold of the events up to its seq, the tasks in their order."""
    async with Engine(workflows=[flow]) as engine:
        run = await engine.start(flow, {"count": 120})
        seen = []
        while not run.state.has_ended:
            seen.append(await moment_of(run.feed))
            await asyncio.sleep(0)  # a small state is described at once
        seen.append(await moment_of(run.feed))
        events = [event async for event in run]
    assert len({state["seq"] for state in seen}) > 2
    assert any(0 < state.get("completed", 0) < 120 for state in seen)
    for state in seen:
        expected = replay(run.id, events[: state["seq"]]).to_dict()
        assert state == expected
        assert list(state["tasks"]) == list(expected["tasks"])


async def test_a_large_state_gives_others_the_loop() -> None:
    """As often as it has pieces; and clients that ask at once are sent the same bytes."""
    async with Engine(workflows=[flow]) as engine:
        run = await engine.start(flow, {"count": 200})
        await run
        asking = [asyncio.ensure_future(state_frames(run.feed, find("native"))) for _ in range(10)]
        turns = 0
        while not all(one.done() for one in asking):
            await asyncio.sleep(0)
            turns += 1
        assert turns > 200 // 7
        frames = {id(one.result()[1]) for one in asking}
        assert len(frames) == 1
        assert asking[0].result()[0] == run.feed.last_seq
