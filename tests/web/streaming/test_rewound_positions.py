"""A Redis that has lost acknowledged events: who follows several runs, by positions, is told as well."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from reactor import Engine, LogLost, Run, Session
from reactor.logs.redis import ring
from reactor.runs.positions import TreeCursor, TreeEvent
from reactor.runs.tree_events import iterate_tree
from reactor_web import Client
from tests.helpers.redis import SURE, RedisServer, redis_server
from tests.helpers.runs import PATIENCE, wait_until
from tests.helpers.server import Server, Stream, serving
from tests.helpers.stream_clients import Script, script

KEPT = ["kept"]
OLD = ["old 1", "old 2"]
NEW = ["new 1", "new 2", "new 3"]


async def say(session: Session, *texts: str) -> None:
    """A window each, so that each has a position."""
    for text in texts:
        await session.emit("thing.said", {"text": text})
        await session.committed()


@dataclass
class Shared:
    """Two servers on a log that can lose its end."""

    redis: RedisServer
    one: Server
    other: Server
    before: Path

    @property
    def both(self) -> tuple[Server, Server]:
        return self.one, self.other

    async def begin(self) -> tuple[Session, str]:
        """A run with ``KEPT``, and behind the copy of the data ``OLD``; the cursor behind all of that."""
        session = await self.one.engine.session("r")
        await say(session, *KEPT)
        shutil.copytree(self.redis.folder, self.before)
        await say(session, *OLD)
        _, page = await self.one.get("/events", accept="application/json")
        return session, page["cursor"]

    async def lose(self) -> None:
        await asyncio.to_thread(self.redis.kill)
        shutil.rmtree(self.redis.folder)
        shutil.copytree(self.before, self.redis.folder)
        await asyncio.to_thread(self.redis.start)

    async def go_on(self, session: Session, *, ends: bool = True) -> None:
        """The run is refused, taken up again, and says ``NEW``."""
        with pytest.raises(LogLost):
            await say(session, "refused")
        await wait_until(lambda: self.one.engine.open_runs == 1)
        again = await self.one.engine.session("r")
        await say(again, *NEW)
        if ends:
            await again.close()


@asynccontextmanager
async def shared(tmp_path: Path) -> AsyncGenerator[Shared]:
    (tmp_path / "data").mkdir()
    with redis_server(tmp_path / "data", *SURE) as redis:
        url = redis.url()
        async with serving(Engine(url)) as one, serving(Engine(url)) as other:
            yield Shared(redis, one, other, tmp_path / "before")


@pytest.fixture
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """No process can write again what Redis has lost."""
    monkeypatch.setattr(ring, "RING_SECONDS", -1.0)
    monkeypatch.setattr("reactor.recovery.retaking.RETAKE_FIRST_SECONDS", 0.05)


def told(messages: list[dict[str, Any]]) -> list[object]:
    """The texts of events, the data of gaps."""
    found: list[object] = []
    for message in messages:
        if message["type"] == "thing.said":
            found.append(message["data"]["text"])
        elif message["type"] == "stream.gap":
            found.append(message["data"])
    return found


def rewound(cursor: str) -> dict[str, object]:
    return {"from": 1, "to": int(cursor.partition(".")[0]), "reason": "rewound"}


# --- the ways in which several runs are read -------------------------------------------------------------------


async def by_stream(server: Server, query: str, cursor: str) -> list[object]:
    """What a stream says up to the last of ``NEW``."""
    path, _, query = query.partition("?")
    url = f"{server.url}{path}?{query}"
    return await upto(Stream(server.session.get(url, headers={"Last-Event-ID": cursor})), NEW[-1])


async def upto(stream: Stream, last: str) -> list[object]:
    async with stream:
        assert stream.status == 200
        messages: list[dict[str, Any]] = []
        while not messages or told(messages)[-1:] != [last]:
            frame = await stream.next()
            assert frame is not None
            if frame.data:
                messages.append(json.loads(frame.data))
        return told(messages)


async def by_lines(server: Server, query: str, cursor: str) -> list[object]:
    url = f"{server.url}{query}{'&' if '?' in query else '?'}after={cursor}"
    messages: list[dict[str, Any]] = []
    async with asyncio.timeout(PATIENCE), server.session.get(url, headers={"Accept": "application/x-ndjson"}) as got:
        async for line in got.content:
            messages += [json.loads(line)] if line.strip() else []
            if told(messages)[-1:] == [NEW[-1]]:
                break
    return told(messages)


async def by_socket(server: Server, query: str, cursor: str) -> list[object]:
    path, _, query = query.partition("?")
    messages: list[dict[str, Any]] = []
    url = f"{server.url}{path.replace('/events', '/ws')}?{query}&after={cursor}"
    async with asyncio.timeout(PATIENCE), server.session.ws_connect(url) as socket:
        while told(messages)[-1:] != [NEW[-1]]:
            messages.append(json.loads((await socket.receive()).data))
    return told(messages)


async def by_pages(server: Server, query: str, cursor: str) -> list[object]:
    """Pages of two events until one is empty. Whoever goes on from the cursor of a page is not told once more."""
    found: list[dict[str, Any]] = []
    for _ in range(20):
        url = f"{query}{'&' if '?' in query else '?'}after={cursor}&limit=2"
        _, page = await server.get(url, accept="application/json")
        if not page["events"]:
            return told(found)
        found += page["events"]
        cursor = page["cursor"]
    raise AssertionError(f"the pages do not end: {told(found)}")


async def in_process(server: Server, query: str, cursor: str) -> list[object]:
    engine, is_tree = server.engine, "children" in query
    events = iterate_tree(await engine.tree_events("r", cursor)) if is_tree else follow_all(engine, cursor)
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(PATIENCE), aclosing(events):
        async for event in events:
            found.append(json.loads(event.message.json))
            if told(found)[-1:] == [NEW[-1]]:
                break
    return told(found)


async def follow_all(engine: Engine, cursor: str) -> AsyncGenerator[TreeEvent, None]:
    events = engine.all_events(cursor)
    wake = asyncio.Event()
    stop = events.watch(wake.set)
    try:
        if (gap := await events.begin()) is not None:
            yield TreeEvent(gap, 0, 0)
        while True:
            wake.clear()
            while found := await events.read():
                for event in found:
                    yield event
            await wake.wait()
    finally:
        stop()


async def by_client(server: Server, query: str, cursor: str) -> list[object]:
    found: list[dict[str, Any]] = []
    async with Client(server.url) as client:
        events = await client.tree_events("r", cursor) if "children" in query else client.all_events(cursor)
        async with asyncio.timeout(PATIENCE), aclosing(events):
            async for event in events:
                found.append(json.loads(event.message.json))
                if told(found)[-1:] == [NEW[-1]]:
                    break
    return told(found)


WAYS: list[Callable[[Server, str, str], Any]] = [by_stream, by_lines, by_pages, in_process, by_client]


# --- what must be true -----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("forgetful")
async def test_whoever_comes_with_a_position_that_is_lost_begins_anew(tmp_path: Path) -> None:
    """By each way, of all runs and of a tree, on both nodes: ``rewound``, and all events there are. A position before
    the loss goes on as if nothing had happened. No position is given twice, so nobody is told a second time."""
    async with shared(tmp_path) as world:
        session, cursor = await world.begin()
        _, page = await world.one.get("/events?limit=2", accept="application/json")
        kept = page["cursor"]
        await world.lose()
        await world.go_on(session)
        for server in world.both:
            for query in ("/events", "/events?runs=r", "/runs/r/events?children=1"):
                for way in (*WAYS, *([by_socket] if "children" in query else [])):
                    assert await way(server, query, cursor) == [rewound(cursor), *KEPT, *NEW], (query, way)
                    assert await way(server, query, kept) == NEW, (query, way)
        inside = TreeCursor.of(cursor)
        _, page = await world.other.get(f"/events?after={inside.position}.1", accept="application/json")
        assert told(page["events"])[0] == rewound(cursor)


@pytest.mark.usefixtures("forgetful")
async def test_who_follows_all_runs_as_they_are_lost_is_told(tmp_path: Path) -> None:
    """Live on the node that executes the run, and on another; over HTTP and in process. The stream goes on."""
    async with shared(tmp_path) as world:
        session, cursor = await world.begin()
        _, page = await world.one.get("/events?limit=1", accept="application/json")
        first = page["cursor"]
        streams = [Stream(server.session.get(f"{server.url}/events?after={first}")) for server in world.both]
        following = [asyncio.ensure_future(upto(stream, NEW[-1])) for stream in streams]
        following += [asyncio.ensure_future(in_process(server, "/events", first)) for server in world.both]
        await asyncio.gather(*(upto(stream_of(server, first), OLD[-1]) for server in world.both))
        await world.lose()
        await world.go_on(session, ends=False)
        for heard in await asyncio.wait_for(asyncio.gather(*following), PATIENCE):
            assert heard == [*KEPT, *OLD, rewound(cursor), *KEPT, *NEW]


def stream_of(server: Server, cursor: str) -> Stream:
    return Stream(server.session.get(f"{server.url}/events?after={cursor}"))


async def test_what_is_written_again_has_new_positions(tmp_path: Path) -> None:
    """No event is lost, and readers by positions are told all the same: the order may be another one."""
    async with shared(tmp_path) as world:
        session, cursor = await world.begin()
        await world.lose()
        await say(session, *NEW)
        for server in world.both:
            assert await by_stream(server, "/events", cursor) == [rewound(cursor), *KEPT, *OLD, *NEW]
            assert await by_stream(server, "/runs/r/events?children=1", cursor) == [
                rewound(cursor), *KEPT, *OLD, *NEW,
            ]  # fmt: skip


async def test_a_redis_that_has_lost_nothing_tells_nobody(tmp_path: Path) -> None:
    """It was only started anew: every cursor is a place as before, on a stream that is open and on a new one."""
    async with shared(tmp_path) as world:
        session, cursor = await world.begin()
        following = asyncio.ensure_future(upto(stream_of(world.other, cursor), NEW[-1]))
        await asyncio.to_thread(world.redis.kill)
        await asyncio.to_thread(world.redis.start)
        await say(session, *NEW)
        assert await asyncio.wait_for(following, PATIENCE) == NEW
        for server in world.both:
            assert await by_stream(server, "/events", cursor) == NEW
            assert await by_pages(server, "/runs/r/events?children=1", cursor) == NEW


@pytest.mark.usefixtures("forgetful")
async def test_a_position_of_an_earlier_loss_is_still_known(tmp_path: Path) -> None:
    """The same data twice: what stood behind them the first time is not taken for what stands there now."""
    async with shared(tmp_path) as world:
        session, cursor = await world.begin()
        await world.lose()
        await world.go_on(session, ends=False)
        _, page = await world.other.get("/events", accept="application/json")
        second = page["cursor"]
        again = await world.one.engine.session("r")
        await world.lose()
        await world.go_on(again)
        for lost in (cursor, second):
            assert await by_stream(world.other, "/events", lost) == [rewound(lost), *KEPT, *NEW]


@pytest.mark.usefixtures("forgetful")
async def test_the_javascript_client_tells_a_run_anew(tmp_path: Path) -> None:
    """``follow`` and ``followAll``, live as the end is lost, on the other node: each is told once that it begins anew,
    and has then every event that there is."""
    async with shared(tmp_path) as world:
        session, _ = await world.begin()
        async with script("rewound.mjs", world.other.url, "r") as page:
            await told_until(page, OLD[-1])
            await world.lose()
            await world.go_on(session)
            shown = await page.rest()
        last = (await world.one.engine.get("r")).state.seq
        assert shown[-1] == ["end", last, last]
        for way in ("one", "all"):
            heard = [text for who, text, *_ in shown if who == way]
            gap = heard[len(KEPT) + len(OLD)]
            assert gap in ("rewound", "ahead")  # ahead: it came back before there were others in their place
            assert heard == [*KEPT, *OLD, gap, *KEPT, *NEW], way


async def told_until(page: Script, text: str) -> None:
    """Until both ways have told it."""
    while [told[1] for told in page.shown].count(text) < 2:
        assert await page.next() is not None


@pytest.mark.usefixtures("forgetful")
async def test_a_run_that_says_nothing_notices_what_it_has_lost(tmp_path: Path) -> None:
    """Else it would be shown as it was to whoever asks, and its next events would have numbers that they know. It goes
    on from what is left, and who had followed it is told: in process on both nodes, and by a stream."""
    async with shared(tmp_path) as world:
        _, cursor = await world.begin()
        runs = [await server.engine.get("r") for server in world.both]
        last = runs[0].state.seq
        following = [asyncio.ensure_future(until_lost(run)) for run in runs]
        await wait_until(lambda: all(run.state.seq == last for run in runs))
        await world.lose()
        for heard in await asyncio.wait_for(asyncio.gather(*following), PATIENCE):
            assert heard == [*KEPT, *OLD]
        await wait_until(lambda: world.one.engine.open_runs == 1)
        await say(await world.one.engine.session("r"), *NEW)
        for server in world.both:
            url = f"{server.url}/runs/r/events"
            again = await upto(Stream(server.session.get(url, headers={"Last-Event-ID": str(last)})), NEW[-1])
            assert [gap["reason"] for gap in again if isinstance(gap, dict)] == ["rewound"]
            assert [text for text in again if isinstance(text, str)] == [*KEPT, *NEW]
            assert await by_stream(server, "/events", cursor) == [rewound(cursor), *KEPT, *NEW]


async def until_lost(run: Run) -> list[object]:
    """What a run says until it is lost."""
    found: list[object] = []
    try:
        async for event in run:
            found += [event.data["text"]] if event.type == "thing.said" else []
    except LogLost:
        return found
    raise AssertionError(f"the run has ended as if nothing had happened: {found}")
