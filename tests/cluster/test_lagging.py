"""A node that is behind: nobody who has seen more elsewhere is told it twice, and no run goes on without its lease."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
import pytest

from reactor import Engine, bounds
from reactor.errors import Unanswered, WrongQuestion
from reactor.logs.redis.url import open_redis
from reactor.ports.sharing import Stop
from tests.helpers.log_lines import log_lines
from tests.helpers.nodes import FLOWS
from tests.helpers.redis import RedisServer
from tests.helpers.runs import full_log, result, wait_for_event, wait_until
from tests.helpers.server import Serve

FOR_EVER = 3600.0
"""A lease that no test waits for."""


class Late:
    """What others commit is told to a log only once it is ``released``, in its order."""

    def __init__(self, url: str) -> None:
        self.log: Any = open_redis(url)
        self._follow, self.log.follow = self.log.follow, self.follow
        self._held: list[tuple[Callable[[Any], None], Any]] = []
        self.is_released = False

    async def follow(self, run_id: str, take: Callable[[Any], None], *, tenant: str = "") -> Stop:
        def taken(window: Any) -> None:
            if self.is_released:
                take(window)
            else:
                self._held.append((take, window))

        stop: Stop = await self._follow(run_id, taken, tenant=tenant)
        return stop

    def release(self) -> None:
        self.is_released = True
        for take, window in self._held:
            take(window)


@pytest.mark.parametrize("dialect", ["native", "ai-sdk"])
async def test_a_cursor_that_another_node_gave_is_not_ahead(
    server: RedisServer, folder: Path, serve: Serve, dialect: str
) -> None:
    """A client that comes from a node that is farther goes on behind what it saw there, in a stream or page by page,
    although nothing of that was told here yet. A cursor that is really ahead is told so all the same."""
    url = server.url(lease=FOR_EVER)
    behind = Late(url)
    first, late = Engine(url, grace=0), Engine(behind.log, grace=0)
    one, other = await serve(first, *FLOWS), await serve(late)
    run = await first.start("asking", run_id="r")
    await wait_for_event(run, "task.waiting")
    here = await late.get("r")
    for number in range(3):
        await run.emit("client.said", {"number": number})
    await run.committed()
    assert here.feed.last_seq < run.feed.last_seq
    query = f"?dialect={dialect}"
    cursor = {"native": "6", "ai-sdk": "8"}[dialect]  # of the last event that was emitted
    if dialect == "native":
        page = await other.get(f"/runs/r/events?after={cursor}", Accept="application/json")
        assert (page[0], page[1]["events"]) == (200, [])
    async with other.events("r", query, **{"Last-Event-ID": cursor}) as rest, one.events("r", query) as whole:
        await wait_until(lambda: here.feed.last_seq == run.feed.last_seq)
        behind.release()
        await run.send("ask", "the end")
        await result(run)
        late_ones, all_of_them = await rest.all(), await whole.all()
    place = next(n for n, frame in enumerate(all_of_them, 1) if frame.id == cursor)
    events = [[frame.data for frame in frames if frame.event != "stream.end"] for frames in (late_ones, all_of_them)]
    assert events[0] == events[1][place:]
    if dialect == "native":
        async with other.events("r", **{"Last-Event-ID": "1000"}) as ahead:
            told = [orjson.loads(frame.data) for frame in await ahead.all()]
        assert (told[0]["type"], told[0]["data"]["reason"]) == ("stream.gap", "ahead")


async def test_a_run_that_is_lost_while_it_is_read_is_not_gone_on_with(server: RedisServer, folder: Path) -> None:
    """The lease was over before the log had answered: nothing is begun or written without it, and who follows the run
    there stays. It goes on once its lease is taken again."""
    url = server.url(lease=1.0)
    log: Any = open_redis(url)
    read, may_read, reads = log.read, asyncio.Event(), asyncio.Event()

    async def slowly(run_id: str, after: int, limit: int, *, tenant: str = "") -> Any:
        reads.set()
        await may_read.wait()
        return await read(run_id, after, limit, tenant=tenant)

    async with Engine(url, workflows=FLOWS, grace=0) as one:
        await wait_for_event(await one.start("asking", run_id="r"), "task.waiting")
    with log_lines() as lines:
        log.read = slowly
        opening = asyncio.ensure_future(Engine(log, workflows=FLOWS, grace=0).__aenter__())
        await reads.wait()
        incarnation = log.parts.incarnation
        before = incarnation.id
        server.send(signal.SIGSTOP)
        try:
            await wait_until(lambda: incarnation.id != before)
        finally:
            server.send(signal.SIGCONT)
        log.read = read
        may_read.set()
        engine = await opening
        try:
            await wait_until(lambda: engine.open_runs == 1)
            assert incarnation.fence_of(("", "r"))
            run = await engine.get("r")
            await run.send("ask", "the end")
            assert await result(run) == {"last": "the end"}
            await full_log(engine, run)
        finally:
            await engine.__aexit__(None, None, None)
    assert "run lost, its log failed" not in [line["event"] for line in lines]


async def test_a_start_that_a_killed_node_did_not_finish_is_done_by_another(
    server: RedisServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has the lease of a run that is not in the log. While it lives nobody knows what becomes of the run; when its
    lease is over the run is started, by whoever is asked, and nothing of the node is left."""
    prefix = server.prefix()
    url = server.url(prefix, lease=1.0)
    log: Any = open_redis(url)
    await log.open()
    assert await log.acquire("r")
    async with Engine(url, workflows=FLOWS, grace=0) as one, Engine(url, workflows=FLOWS, grace=0) as other:
        monkeypatch.setattr(bounds, "COMMAND_SECONDS", 0.1)
        with pytest.raises(Unanswered, match="was to start run r"):
            await one.ensure("asking", run_id="r")
        monkeypatch.undo()
        monkeypatch.setenv("NODE_FOLDER", str(folder))
        killed = log.parts.incarnation
        await killed.abandon()
        asked = await asyncio.gather(*(engine.ensure("asking", run_id="r") for engine in (one, other)))
        assert sorted(is_new for _, is_new in asked) == [False, True]
        await asked[0][0].send("ask", "x")
        assert [await result(run) for run, _ in asked] == [{"last": "x"}] * 2
        await wait_until(lambda: server.say("EXISTS", f"{prefix}:held.{killed.id}").startswith(":0"))
        await wait_until(lambda: server.say("ZSCORE", f"{prefix}:nodes", killed.id).startswith("$-1"))
    await log.close()


async def test_who_gives_up_while_a_run_is_taken_up_leaves_it_to_others(
    server: RedisServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lease was taken already, for nobody then: the next one who asks is answered."""
    monkeypatch.setattr(bounds, "COMMAND_SECONDS", 3.0)
    url = server.url(lease=FOR_EVER)
    log: Any = open_redis(url)
    engine: Any = Engine(log, workflows=FLOWS, grace=0)
    async with engine:
        await engine._cluster.close()  # nobody but who is asked takes it up
        async with Engine(url, workflows=FLOWS, grace=0) as one:
            await wait_for_event(await one.start("asking", run_id="r"), "task.waiting")
        run = await engine.get("r")
        read, reads = log.read, asyncio.Event()

        async def never(*arguments: Any, **options: Any) -> Any:
            reads.set()
            await asyncio.Event().wait()

        log.read = never
        asked = asyncio.ensure_future(run.send("ask", "x"))
        await reads.wait()
        assert log.parts.incarnation.fence_of(("", "r"))
        asked.cancel()
        await asyncio.wait({asked})
        log.read = read
        with suppress(WrongQuestion):  # what was asked first waits in the inbox all the same
            await (await engine.get("r")).send("ask", "y")
        assert await result(run) in ({"last": "x"}, {"last": "y"})
