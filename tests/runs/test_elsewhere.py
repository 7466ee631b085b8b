"""Runs that another process executes: followed here live, and gone on with here in the same feed."""

from __future__ import annotations

import asyncio
import gc
import re
from collections.abc import Iterator

import pytest

from reactor import Context, Engine, Run, Workflow
from reactor.logs.redis.log import RedisLog
from reactor.testing.log_laws import completed, event, started
from tests.helpers.redis import RedisServer, redis_server
from tests.helpers.runs import PATIENCE, full_log, wait_until


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


def talking() -> Workflow:
    """Waits for a word to end with. Meanwhile others say things in its run."""
    flow = Workflow("talking")

    @flow.task
    async def talk(ctx: Context) -> str:
        return await ctx.receive("the end?")

    return flow


async def seqs(run: Run) -> list[int | None]:
    return [one.seq async for one in run]


async def test_a_run_is_followed_live_on_another_node(server: RedisServer) -> None:
    """History first, then live: each event once, in order, to the end; and ``await run`` gives its outputs there."""
    flow, url = talking(), server.url()
    async with Engine(url, workflows=[flow]) as one, Engine(url, workflows=[flow]) as other:
        run = await one.start("talking", run_id="r")
        for i in range(3):
            await run.emit("thing.said", {"early": i})
        seen = await other.get("r")
        assert seen.status == "running"
        followers = [asyncio.ensure_future(seqs(await other.get("r"))) for _ in range(3)]
        for i in range(20):
            await run.emit("thing.said", {"late": i})
        await wait_until(lambda: seen.state.seq == run.state.seq)
        assert seen.state.to_dict() == run.state.to_dict()
        await run.send("talk", "done")
        events = await full_log(one, run)
        whole = list(range(1, len(events) + 1))
        assert await asyncio.wait_for(asyncio.gather(*followers), PATIENCE) == [whole] * 3
        assert await asyncio.wait_for(seen, PATIENCE) == {"talk": "done"}


async def test_what_was_missed_is_read_from_the_log(server: RedisServer) -> None:
    """The connection that tells of windows breaks again and again; nobody sees a hole or an event twice."""
    flow, url = talking(), server.url()
    async with Engine(url, workflows=[flow]) as one, Engine(url, workflows=[flow]) as other:
        run = await one.start("talking", run_id="r")
        follower = asyncio.ensure_future(seqs(await other.get("r")))
        for i in range(30):
            if i % 5 == 0:
                server.say("CLIENT", "KILL", "TYPE", "pubsub")
            await run.emit("thing.said", {"i": i})
        await run.send("talk", "done")
        events = await full_log(one, run)
        assert await asyncio.wait_for(follower, PATIENCE) == list(range(1, len(events) + 1))


async def test_a_run_goes_on_in_the_feed_that_is_read(server: RedisServer) -> None:
    """Its node leaves, another one takes it up: whoever follows it there goes on in the same stream."""
    flow, url = talking(), server.url()
    async with Engine(url, workflows=[flow]) as other:
        async with Engine(url, workflows=[flow], grace=0) as one:
            run = await one.start("talking", run_id="r")
            await run.emit("thing.said", {"text": "first"})
            seen = await other.get("r")
            follower = asyncio.ensure_future(seqs(seen))
            await wait_until(lambda: seen.state.seq == run.state.seq)
        await other._tenants.recover(await other.log.unfinished())  # what a watcher of nodes does
        again = await other.get("r")
        assert again.feed is seen.feed
        await again.emit("thing.said", {"text": "second"})
        await seen.send("talk", "done")  # the handle that was there before
        events = await full_log(other, again)
        assert await asyncio.wait_for(follower, PATIENCE) == list(range(1, len(events) + 1))
        assert [e.data["text"] for e in events if e.type == "thing.said"] == ["first", "second"]


async def test_nobody_listens_for_a_run_that_nobody_follows(server: RedisServer) -> None:
    """Once the last one has let go of it, its channel is left."""
    url = server.url()
    async with Engine(url) as one, Engine(url) as other:
        await one.log.append("r", [started()])
        log = other.log
        assert isinstance(log, RedisLog)
        run: Run | None = await other.get("r")
        channel = log.calls.names.channel("r", "")
        assert server.say("PUBSUB", "NUMSUB", channel).endswith(":1\r\n")
        del run
        gc.collect()
        await wait_until(lambda: server.say("PUBSUB", "NUMSUB", channel).endswith(":0\r\n"))
        again = await other.get("r")
        await one.log.append("r", [event(2), completed(3)])
        await asyncio.wait_for(again.feed.wait_closed(), PATIENCE)
        await wait_until(lambda: server.say("PUBSUB", "NUMSUB", channel).endswith(":0\r\n"))


async def test_what_any_node_commits_is_in_the_streams_of_all_runs(server: RedisServer) -> None:
    """``engine.live`` and the events of all runs, on another node: each event once, its own too, in one order."""
    url = server.url()
    async with Engine(url) as one, Engine(url) as other:
        live: list[tuple[str, int]] = []
        other.live.subscribe(lambda e: live.append((e.run_id, e.seq)))
        stored = asyncio.ensure_future(_events(other, 13))
        await asyncio.sleep(0.05)  # until Redis tells it
        await (await one.session("before")).close()
        sessions = [await one.session("a"), await other.session("b")]
        for i in range(4):
            for session in sessions:
                await session.emit("thing.said", {"i": i})
                await session.committed()
        await sessions[0].close()
        wanted = {("before", 1), ("before", 2), ("a", 6), *((id, seq) for id in "ab" for seq in range(1, 6))}
        assert sorted(await asyncio.wait_for(stored, PATIENCE)) == sorted(wanted)
        await wait_until(lambda: len(live) == len(wanted))
        assert sorted(live) == sorted(wanted)


async def _events(engine: Engine, count: int) -> list[tuple[str, int]]:
    """As a stream reads them: it asks again only when it is woken."""
    reader, woken, found = engine.all_events(), asyncio.Event(), list[tuple[str, int]]()
    stop = reader.watch(woken.set)
    await reader.begin()
    while len(found) < count:
        woken.clear()
        events = await reader.read()
        found += [(one.message.run_id, one.message.seq or 0) for one in events]
        if not events and not reader.is_behind:
            await woken.wait()
    stop()
    return found


async def test_who_waits_for_a_run_gets_it_when_another_node_starts_it(server: RedisServer) -> None:
    """A stream that was opened before its run, on a node that does not execute it."""
    flow, url = talking(), server.url()
    async with Engine(url, workflows=[flow]) as one, Engine(url, workflows=[flow]) as other:
        waiting = other.wait_for("r")
        await one.start("talking", run_id="another")
        run = await one.start("talking", run_id="r")
        seen = await asyncio.wait_for(waiting, PATIENCE)
        await run.send("talk", "done")
        assert await asyncio.wait_for(seen, PATIENCE) == {"talk": "done"}


def publishes(server: RedisServer) -> int:
    """How often anything has published in this server, scripts and all."""
    found = re.search(r"cmdstat_publish:calls=(\d+)", server.say("INFO", "commandstats"))
    return int(found[1]) if found else 0


async def cost_of(server: RedisServer, writer: Engine, nodes: list[Engine], count: int) -> int:
    """How often 20 windows of a run are published that so many follow on each of the nodes; each has seen all of it."""
    run = await writer.start("talking", run_id=f"r{count}")
    await run.committed()
    seen = [await node.get(run.id) for node in nodes for _ in range(count)]
    followers = [asyncio.ensure_future(seqs(each)) for each in seen]
    await wait_until(lambda: all(each.state.seq == run.state.seq for each in seen))
    before = publishes(server)
    for number in range(20):
        await run.emit("thing.said", {"number": number})
        await run.committed()
    cost = publishes(server) - before
    await run.send("talk", "done")
    whole = [event.seq for event in await full_log(writer, run)]
    assert await asyncio.wait_for(asyncio.gather(*followers), PATIENCE) == [whole] * len(followers)
    return cost


async def test_1_000_followers_on_each_of_two_nodes_cost_one_publish_a_window(server: RedisServer) -> None:
    """As many as it costs where nobody follows: whoever watches costs the node that runs it nothing."""
    flow, url = talking(), server.url()
    async with Engine(url, workflows=[flow]) as writer, Engine(url) as one, Engine(url) as other:
        assert {count: await cost_of(server, writer, [one, other], count) for count in (0, 1_000)} == {0: 20, 1_000: 20}
