"""Runs come from one node to another: where a node is killed, stopped, ended, or cut off from Redis."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest

from reactor import Context, Engine, Run, Unanswered, UnknownRun, Workflow
from reactor.testing import read_all
from tests.helpers.log_lines import log_lines
from tests.helpers.nodes import FLOWS, ITEMS, Node, beats, began
from tests.helpers.redis import SURE, RedisServer, redis_server
from tests.helpers.runs import PATIENCE, full_log, result, wait_for_event, wait_until

LEASE = 1.0
FOR_EVER = 3600.0
"""A lease that no test waits for."""


def runs(pid: int) -> bool:
    """Whether a process has not ended. Its parent may stand still, and not have heard of it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def stand_still() -> None:
    time.sleep(LEASE)


async def there(engine: Engine, run_id: str) -> Run:
    """The run, as soon as it is in the log."""
    async with asyncio.timeout(PATIENCE):
        while True:
            with suppress(UnknownRun):
                return await engine.get(run_id)
            await asyncio.sleep(0.01)


async def seqs(run: Run) -> list[int | None]:
    return [event.seq async for event in run]


async def test_a_killed_node_loses_its_runs_to_another(server: RedisServer, folder: Path, nodes: list[Node]) -> None:
    """The run goes on there without hole or double, no body that completed begins again, and who follows it there sees
    each event once."""
    url = server.url(lease=LEASE)
    async with Engine(url, workflows=FLOWS) as other:
        nodes.append(await Node(folder, url, "counting:r").ready())
        run = await other.get("r")
        follower = asyncio.ensure_future(seqs(run))
        await wait_for_event(run, "task.completed", "count[5]")
        nodes[0].send(signal.SIGKILL)
        assert await result(run) == {"count": list(range(ITEMS))}
        events = await full_log(other, run)
        assert await follower == list(range(1, len(events) + 1))
        resumed = [event for event in events if event.type == "run.resumed"]
        assert [event.data["crashed"] for event in resumed] == [True]
        completed_before = {e.task_id for e in events if e.type == "task.completed" and e.seq < resumed[0].seq}
        again = [what for what, times in Counter(what for what, _ in began(folder)).items() if times > 1]
        assert len(again) <= 1
        assert not {f"count[{what}]" for what in again} & completed_before
        assert {pid for _, pid in began(folder)} == {nodes[0].pid, os.getpid()}


async def test_a_node_that_drains_hands_its_runs_over_at_once(server: RedisServer, folder: Path) -> None:
    """Nobody waits for its lease, which would take an hour; and nothing says that it crashed."""
    url = server.url(lease=FOR_EVER)
    async with Engine(url, workflows=FLOWS) as other:
        async with Engine(url, workflows=FLOWS, grace=0) as one:
            run = await one.start("counting", run_id="r")
            session = await one.session("s")
            await session.emit("thing.said", {})
            await wait_for_event(run, "task.completed", "count[3]")
            seen = await other.get("r")
        assert await result(seen) == {"count": list(range(ITEMS))}
        events = await full_log(other, seen)
        assert [event.data.get("crashed") for event in events if event.type == "run.resumed"] == [None]
        again = await other.session("s")
        await wait_until(lambda: other.open_runs == 1)
        await again.emit("thing.said", {})
        await again.close()


@pytest.mark.slow
async def test_a_node_that_stood_still_does_nothing_any_more(
    server: RedisServer, folder: Path, nodes: list[Node]
) -> None:
    """Stopped in the middle of runs that then move, and continued: it writes nothing and begins nothing, its bodies in
    processes ended before the other node began, and it has commands carried out by the other."""
    url = server.url(lease=LEASE)
    async with Engine(url, workflows=FLOWS) as other:
        nodes.append(node := await Node(folder, url, "beating:p", "asking:a").ready())
        await wait_until(lambda: beats(folder))
        node.do("r", "start", "counting")
        await wait_until(lambda: len(began(folder)) > 5)
        run, beating, asking = [await other.get(id) for id in ("r", "p", "a")]
        node.send(signal.SIGSTOP)
        resumed = await wait_for_event(beating, "run.resumed")
        worker = beats(folder)[0][0]
        assert worker not in (node.pid, os.getpid())
        await wait_until(lambda: beats(folder)[-1][0] != worker)
        last = max(at for pid, at in beats(folder) if pid == worker)
        assert last < min(at for pid, at in beats(folder) if pid != worker)
        assert not runs(worker)
        await wait_for_event(run, "run.resumed")
        before = [one for one in began(folder) if one[1] == node.pid]
        node.send(signal.SIGCONT)
        node.do("a", "send", "ask", "from the node that stood still")
        (folder / "enough").touch()
        assert await result(asking) == {"last": "from the node that stood still"}
        await result(beating)
        assert await result(run) == {"count": list(range(ITEMS))}
        await wait_until(lambda: len(node.told()) == 2)
        received = [event.seq for event in await read_all(other.log, "a") if event.type == "task.received"]
        assert node.told() == [None, *received]
        assert [one for one in began(folder) if one[1] == node.pid] == before
        for one in (run, beating, asking):
            await full_log(other, one)
        assert resumed.data["crashed"]


async def test_nothing_begins_once_the_lease_is_over(server: RedisServer) -> None:
    """Also where nobody could look at it: a body holds the loop for a whole lease. What its end makes ready does not
    begin before the run is held again; so it begins once."""
    flow, began = Workflow("holding"), list[str]()

    @flow.task
    async def hold(ctx: Context) -> int:
        began.append("hold")
        await ctx.committed()
        if len(began) == 1:
            stand_still()
        return 1

    @flow.task
    async def after(hold: int) -> int:
        began.append("after")
        await asyncio.sleep(0.01)
        return hold

    async with Engine(server.url(lease=LEASE), workflows=[flow]) as engine:
        run = await engine.start(flow)
        assert await result(run) == {"after": 1}
        assert began.count("after") == 1
        assert "run.resumed" in [event.type for event in await full_log(engine, run)]


async def test_after_an_outage_of_redis_nobody_takes_from_a_node_that_lives(
    folder: Path, tmp_path: Path, nodes: list[Node], restarting: RedisServer
) -> None:
    """All nodes are late then. Each goes on with its own runs: none of them is resumed by another."""
    url = restarting.url(lease=10)
    async with Engine(url, workflows=FLOWS) as other:
        nodes.append(await Node(folder, url, "counting:r").ready())
        mine, theirs = await other.start("counting", run_id="m"), await other.get("r")
        await wait_for_event(theirs, "task.completed", "count[3]")
        restarting.kill()
        restarting.start()
        for run in (mine, theirs):
            assert await result(run) == {"count": list(range(ITEMS))}
            assert not [event for event in await full_log(other, run) if event.type == "run.resumed"]


async def test_who_follows_a_run_goes_on_where_its_lease_is_lost(
    server: RedisServer, folder: Path, nodes: list[Node]
) -> None:
    """Both nodes hear nothing of Redis for longer than a lease. ``await run`` and iterators on the node that had the
    run end well, wherever it goes on; the log lines name the run once."""
    url = server.url(lease=LEASE)
    with log_lines() as lines:
        async with Engine(url, workflows=FLOWS) as one, Engine(url, workflows=FLOWS) as other:
            run = await one.start("counting", run_id="r")
            followers = [asyncio.ensure_future(seqs(run)), asyncio.ensure_future(seqs(await other.get("r")))]
            waiter = asyncio.ensure_future(result(run))
            await wait_for_event(run, "task.completed", "count[3]")
            server.send(signal.SIGSTOP)
            try:
                await wait_until(lambda: one.open_runs == 0)
            finally:
                server.send(signal.SIGCONT)
            assert await waiter == {"count": list(range(ITEMS))}
            events = await full_log(other, await other.get("r"))
            assert await asyncio.wait_for(asyncio.gather(*followers), PATIENCE) == [list(range(1, len(events) + 1))] * 2
            assert len([event for event in events if event.type == "run.resumed"]) == 1
    lost = [line for line in lines if line["event"] == "another process goes on with a run"]
    assert [line["run_id"] for line in lost] == ["r"]


async def test_what_was_said_and_not_committed_as_the_lease_was_lost_is_told(server: RedisServer) -> None:
    """``emit`` waits for no commit; who asks for it by ``committed`` is not told that all is well, also later."""
    async with Engine(server.url(lease=LEASE)) as one:
        session = await one.session("s")
        await session.committed()
        server.send(signal.SIGSTOP)
        try:
            await session.emit("said")
            await wait_until(lambda: one.open_runs == 0)
            with pytest.raises(Unanswered):
                await session.committed()
        finally:
            server.send(signal.SIGCONT)


async def test_a_child_goes_with_its_parent(server: RedisServer, folder: Path, nodes: list[Node]) -> None:
    """The node that takes up the parent takes up its child run, which is started no second time."""
    url = server.url(lease=LEASE)
    async with Engine(url, workflows=FLOWS) as other:
        nodes.append(await Node(folder, url, "family:r").ready())
        run = await other.get("r")
        begun = await wait_for_event(run, "child.started")
        child = await there(other, begun.data["child_run"])
        await wait_for_event(child, "task.waiting")
        nodes[0].send(signal.SIGKILL)
        await wait_for_event(child, "run.resumed")
        await child.send("ask", "hello")
        assert await result(run) == {"child": {"last": "hello"}}
        events = await full_log(other, run)
        assert [event.type for event in events if event.type.startswith("child.")] == ["child.started", "child.ended"]
        await full_log(other, child)


async def test_a_run_that_no_node_knows_waits_for_one_that_does(server: RedisServer, folder: Path) -> None:
    """A node without the workflow leaves it, and shows it as it is; one that comes later goes on with it, and the first
    one follows it live. The lease would take an hour."""
    url = server.url(lease=FOR_EVER)
    async with Engine(url, workflows=FLOWS, grace=0) as one:
        await one.start("asking", run_id="r")
    async with Engine(url) as stranger:
        assert "is not registered here" in stranger.not_recovered["r"]
        assert (await stranger.get("r")).feed.closed == "not_recovered"
        async with Engine(url, workflows=FLOWS) as other:
            await wait_until(lambda: other.open_runs == 1)
            await (await other.get("r")).send("ask", "now")
            assert await result(await other.get("r")) == {"last": "now"}
        assert (await stranger.get("r")).status == "completed"


async def test_tenants_have_runs_of_the_same_id(server: RedisServer, folder: Path) -> None:
    """Each is taken up, and has its own commands carried out, in its own tenant."""
    url, names = server.url(lease=FOR_EVER), ("", "acme", "umbrella")
    async with Engine(url, workflows=FLOWS) as other:
        async with Engine(url, workflows=FLOWS, grace=0) as one:
            for name in names:
                await one.start("asking", run_id="r", tenant=name)
                run = await other.tenant(name).get("r")
                await wait_for_event(run, "task.waiting")
                await run.emit("said.thing", {"tenant": name})
        await wait_until(lambda: other.open_runs == len(names))
        for name in names:
            run = await other.tenant(name).get("r")
            await run.send("ask", name)
            assert await result(run) == {"last": name}
            said = [event async for event in run if event.type == "said.thing"]
            assert [event.data["tenant"] for event in said] == [name]


async def test_that_a_node_crashed_is_not_forgotten_by_who_cannot_go_on(
    server: RedisServer, folder: Path, nodes: list[Node]
) -> None:
    """A node without the workflow finds the run of a killed one first; the next one still knows that there was a crash,
    and one that comes after a drain knows that there was none."""
    url = server.url(lease=LEASE)
    async with Engine(url) as stranger:
        nodes.append(await Node(folder, url, "asking:r").ready())
        await wait_for_event(await stranger.get("r"), "task.waiting")
        nodes[0].send(signal.SIGKILL)
        await wait_until(lambda: "r" in stranger.not_recovered)
        for crashed in (True, None):
            async with Engine(url, workflows=FLOWS, grace=0) as other:
                await wait_until(lambda other=other: other.open_runs == 1)
                run = await other.get("r")
                await run.committed()
                events = await read_all(other.log, "r")
                resumed = [event for event in events if event.type == "run.resumed"]
                assert resumed[-1].data.get("crashed") == crashed


async def test_many_nodes_start_one_run(server: RedisServer, folder: Path) -> None:
    """Asked for one run id at the same moment, three nodes start one run, and two are given it."""
    url = server.url()
    async with AsyncExitStack() as stack:
        engines = [await stack.enter_async_context(Engine(url, workflows=FLOWS)) for _ in range(3)]
        for number in range(10):
            run_id = f"r{number}"
            asked = [engine.ensure("asking", run_id=run_id) for engine in engines for _ in range(2)]
            started = await asyncio.gather(*asked)
            assert sum(is_new for _, is_new in started) == 1
            await started[0][0].send("ask", "x")
            for run, _ in started:
                assert await result(run) == {"last": "x"}
        assert len(began(folder)) == 10
        listed = [await engine.list() for engine in engines]
        assert len(listed[0]) == 10
        assert listed[0] == listed[1] == listed[2]


@pytest.fixture
def restarting(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis of this test alone, which loses nothing when it is killed."""
    data = tmp_path / "data"
    data.mkdir()
    with redis_server(data, *SURE) as server:
        yield server
