"""A Redis that has lost acknowledged events: who had seen them is told, and never shown others in their place."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

import orjson
import pytest
from reactivex import operators as ops

from reactor import Engine, LogLost, Session, off_loop
from reactor.logs.redis import ring
from reactor_web.sse.parser import Frame
from tests.helpers.redis import SURE, redis_server
from tests.helpers.runs import wait_until
from tests.helpers.server import Server, serving


async def say(session: Session, *texts: str) -> None:
    for text in texts:
        await session.emit("thing.said", {"text": text})
    await session.committed()


def told(frames: list[Frame]) -> list[object]:
    """Seq and text of events, the data of gaps."""
    found: list[object] = []
    for frame in frames:
        message = orjson.loads(frame.data)
        if frame.event == "thing.said":
            found.append((message["seq"], message["data"]["text"]))
        elif frame.event == "stream.gap":
            found.append(gap_of(message["data"]))
    return found


def gap_of(data: dict[str, object]) -> dict[str, object]:
    """Without the epoch, which is another one in each test."""
    return {name: data[name] for name in ("from", "to", "reason")}


async def pages(server: Server, cursor: int) -> list[object]:
    """All of them, each as ``Link`` names it. Whoever goes on is not told anew once more, nor by a stream."""
    found: list[object] = []
    after: object = cursor
    for _ in range(9):
        _, page = await server.get(f"/runs/r/events?limit=2&after={after}", accept="application/json")
        found += [gap_of(m["data"]) for m in page["events"] if m["type"] == "stream.gap"]
        found += [(m["seq"], m["data"]["text"]) for m in page["events"] if m["type"] == "thing.said"]
        after = page["cursor"]
        if page["ended"]:
            assert await stream(server, after) == [204]
            return found
    raise AssertionError(f"the pages do not end: {found}")


class Heard:
    """Counts the runs that were rewound."""

    def __init__(self) -> None:
        self.runs: list[tuple[str, int, int]] = []

    def run_rewound(self, run_id: str, kept: int, lost: int) -> None:
        self.runs.append((run_id, kept, lost))


async def in_process(server: Server, cursor: int) -> list[object]:
    """What ``events_after`` gives, on the loop and on a thread of its own; both the same."""
    run = await server.engine.get("r")
    events = run.events_after(cursor)
    here: list[Any] = await events.pipe(ops.to_list())
    there: list[Any] = await events.pipe(off_loop(), ops.to_list())
    assert [message.type for message in here] == [message.type for message in there]
    return [
        gap_of(message.data) if message.seq is None else (message.seq, message.data["text"])
        for message in here
        if message.type in ("thing.said", "stream.gap")
    ]


async def stream(server: Server, cursor: object) -> list[object]:
    async with server.events("r", **{"Last-Event-ID": str(cursor)}) as events:
        return [events.status] if events.status == 204 else told(await events.all())


async def counted(server: Server, frames: int) -> list[Frame]:
    """What a dialect gives whose cursor is a number of frames."""
    async with server.events("r", f"?dialect=ai-sdk&startIndex={frames}") as events:
        return await events.all()


async def test_a_client_that_saw_what_is_lost_begins_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a stream, by pages, in process or by a number of frames, on the node that executes the run and on another:
    ``rewound``, then all events. Who had seen only what is left goes on as if nothing had happened. Also where the run
    has ended at the very seq it had. Listeners are told once."""
    monkeypatch.setattr(ring, "RING_SECONDS", -1.0)
    monkeypatch.setattr("reactor.recovery.retaking.RETAKE_FIRST_SECONDS", 0.05)
    (tmp_path / "data").mkdir()
    with redis_server(tmp_path / "data", *SURE) as redis:
        url = redis.url()
        heard = Heard()
        async with (
            serving(Engine(url, listeners=[heard])) as one,
            serving(Engine(url, listeners=[heard])) as other,
        ):
            session = await one.engine.session("r")
            await say(session, "kept")
            shutil.copytree(redis.folder, tmp_path / "before")
            await say(session, "old 3", "old 4", "old 5", "old 6")
            assert (await other.engine.get("r")).state.seq == 6
            await asyncio.to_thread(redis.kill)
            shutil.rmtree(redis.folder)
            shutil.copytree(tmp_path / "before", redis.folder)
            await asyncio.to_thread(redis.start)
            with pytest.raises(LogLost):
                await say(session, "refused")
            await wait_until(lambda: one.engine.open_runs == 1)
            again = await one.engine.session("r")
            await say(again, "new 4", "new 5")  # event 3 says that it goes on
            await again.close()  # event 6
            all_of_it = [(2, "kept"), (4, "new 4"), (5, "new 5")]
            for server in (one, other):
                for cursor in (3, 5, 6):
                    gap = {"from": 1, "to": cursor, "reason": "rewound"}
                    assert await stream(server, cursor) == [gap, *all_of_it]
                    _, page = await server.get(f"/runs/r/events?after={cursor}", accept="application/json")
                    assert gap_of(page["events"][0]["data"]) == gap
                    assert await pages(server, cursor) == [gap, *all_of_it]
                    assert await in_process(server, cursor) == [gap, *all_of_it]
                assert await stream(server, 2) == await in_process(server, 2) == all_of_it[1:]
                assert await stream(server, 9) == [{"from": 1, "to": 9, "reason": "rewound"}, *all_of_it]
                whole = await counted(server, 0)
                assert await counted(server, 1) == whole[1:]
                for frames in range(2, len(whole) + 2):
                    assert await counted(server, frames) == whole, frames
            assert heard.runs == [("r", 2, 6)]


async def test_a_run_that_has_lost_nothing_is_not_told_anew(tmp_path: Path) -> None:
    """A cursor at its end is answered by 204, and one before it by the rest."""
    with redis_server(tmp_path) as redis:
        async with serving(Engine(redis.url())) as server:
            session = await server.engine.session("r")
            await say(session, "a", "b")
            await session.close()
            assert await stream(server, 2) == [(3, "b")]
            assert await stream(server, 4) == [204]
