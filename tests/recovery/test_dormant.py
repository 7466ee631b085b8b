"""Who follows a child run right after a restart: until its parent asks for it, the stream waits, and then goes on."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from reactor import Context, Engine, Event, Run, Workflow
from reactor.errors import RunNotHere
from reactor.testing import read_all
from tests.helpers.crash import RUN_ID, check_laws, read_with_blobs
from tests.helpers.runs import PATIENCE, wait_until
from tests.helpers.server import Server, serving

CHILD_ID, GRANDCHILD_ID = f"{RUN_ID}.delegate.1", f"{RUN_ID}.delegate.1.pass_on.1"
IDS = pytest.mark.parametrize("run_id", [CHILD_ID, GRANDCHILD_ID], ids=["child", "grandchild"])


def family(
    *, is_changed: bool = False, is_later: bool = False, may_begin: asyncio.Event | None = None
) -> list[Workflow]:
    """Three runs, one below the other; the lowest asks: beside one more task if ``is_later``, after it if changed.

    ``may_begin``: what the first of them waits for before it asks for the second.
    """
    lowest, child, flow = Workflow("lowest"), Workflow("child"), Workflow("family")

    @lowest.task(after=["new"] if is_changed else [])
    async def ask(ctx: Context) -> int:
        return await ctx.receive("how many?", schema={"type": "integer"}, key="q")

    if is_changed or is_later:
        lowest.task(lambda: 1, name="new")

    @child.task
    async def pass_on(ctx: Context) -> Any:
        return await ctx.run(lowest)

    @flow.task
    async def delegate(ctx: Context) -> Any:
        if may_begin is not None:
            await may_begin.wait()
        return await ctx.run(child)

    return [flow, child, lowest]


async def leave_paused(store: str) -> None:
    """A tree whose lowest run asks, paused as a whole, in the log of an engine that has ended."""
    async with Engine(store, workflows=family(), grace=0) as engine:
        run = await engine.start("family", run_id=RUN_ID)
        while not any(below.questions for below in await engine.tree(RUN_ID)):
            await asyncio.sleep(0.01)
        await run.pause()
        await wait_until(lambda: {each.status for each in engine.running()} == {"paused"})


@pytest.fixture
async def store(tmp_path: Path) -> str:
    store = f"sqlite:///{tmp_path / 'runs.db'}"
    await leave_paused(store)
    return store


async def answer(engine: Engine) -> None:
    """Resumes the tree, and answers its question."""
    await (await engine.get(RUN_ID)).resume()
    await (await engine.descendant(RUN_ID, GRANDCHILD_ID)).send("ask", 7, key="q")


async def follow(run: Run, seen: list[Event]) -> None:
    async for event in run:
        seen.append(event)  # noqa: PERF401  # it is looked at meanwhile


@IDS
async def test_in_process_a_follower_gets_the_rest_once_the_parent_asks(run_id: str, store: str) -> None:
    """All that the log has, then what comes, each once; and whoever awaits the run gets its outputs."""
    async with Engine(store, workflows=family()) as engine:
        run = await engine.get(run_id)
        assert run.status == "paused"
        seen: list[Event] = []
        following, awaiting = asyncio.ensure_future(follow(run, seen)), asyncio.ensure_future(_outputs(run))
        await wait_until(lambda: len(seen) == run.feed.last_seq)
        with pytest.raises(RunNotHere, match=f"run {run_id} goes on when its parent asks for it again"):
            await run.send("ask", 7)
        assert not following.done()
        await answer(engine)
        await asyncio.wait_for(following, PATIENCE)
        assert [event.json for event in seen] == [event.json for event in await read_all(engine.log, run_id)]
        check_laws(seen)
        expected = {"ask": 7} if run_id == GRANDCHILD_ID else {"pass_on": {"ask": 7}}
        assert await asyncio.wait_for(awaiting, PATIENCE) == expected


async def _outputs(run: Run) -> Any:
    return await run


@IDS
@pytest.mark.parametrize("query", ["", "?children=1", "?dialect=steps", "?snapshot=1"])
async def test_over_http_the_stream_waits_and_goes_on(run_id: str, query: str, store: str) -> None:
    """It is no ``stream.closing``: after the resume the rest comes on the same connection, to ``stream.end``."""
    async with serving(Engine(store, workflows=family(), grace=0)) as server, server.events(run_id, query) as stream:
        await wait_until(lambda: len(server.streams) == 1)
        await answer(server.engine)
        frames = await stream.all()
        seqs = [json.loads(frame.data)["seq"] for frame in frames if query == "" and frame.event != "stream.end"]
        assert seqs == list(range(1, len(seqs) + 1))
        assert query == "?dialect=steps" or frames[-1].event == "stream.end"
        assert "closing" not in str([frame.event for frame in frames])


async def test_a_page_waits_for_it_and_commands_say_what_it_waits_for(store: str) -> None:
    """A long poll is answered with what comes; ``input`` to the child itself is refused with the reason, for now."""
    async with serving(Engine(store, workflows=family(), grace=0)) as server:
        last = (await server.engine.get(CHILD_ID)).feed.last_seq
        poll = asyncio.ensure_future(_page(server, f"/runs/{CHILD_ID}/events?after={last}&wait=60"))
        status, problem = await server.post(f"/runs/{CHILD_ID}/pause")
        assert status in (409, 503)
        assert "goes on when its parent asks" in problem["detail"]
        await answer(server.engine)
        page = await asyncio.wait_for(poll, PATIENCE)
        assert page["events"][0]["seq"] == last + 1


async def _page(server: Server, path: str) -> Any:
    async with server.session.get(server.url + path, headers={"Accept": "application/json"}) as response:
        return await response.json()


@IDS
@pytest.mark.parametrize("who", ["itself", "the root"])
async def test_a_cancel_ends_it_and_its_streams(run_id: str, who: str, store: str) -> None:
    """Of the child, which nobody goes on with yet, as of the whole tree: its followers see how it ends."""
    async with serving(Engine(store, workflows=family(), grace=0)) as server, server.events(run_id) as stream:
        await stream.until("run.paused")
        cancelled = run_id if who == "itself" else RUN_ID
        status, _ = await server.post(f"/runs/{cancelled}/cancel")
        assert status == 202
        await stream.until("run.cancelled")
        await stream.until("stream.end")


async def test_a_child_whose_parent_nobody_goes_on_with_is_not_waited_for(store: str) -> None:
    """Its parent's workflow is not known here: that is told at once, as of the parent itself."""
    _, child, lowest = family()
    async with serving(Engine(store, grace=0), child, lowest) as server:
        for run_id in (RUN_ID, CHILD_ID, GRANDCHILD_ID):
            async with server.events(run_id) as stream:
                frame = await stream.until("stream.closing")
                assert json.loads(frame.data)["data"]["reason"] == "not_recovered"


async def test_a_child_that_turns_out_not_to_go_on_is_told_of(store: str) -> None:
    """Its own workflow has changed: as soon as its parent has asked for it, the stream says so."""
    engine = Engine(store, workflows=family(is_changed=True), grace=0)
    async with serving(engine) as server, server.events(GRANDCHILD_ID) as stream:
        await stream.until("run.paused")
        await (await server.engine.get(RUN_ID)).resume()
        frame = await stream.until("stream.closing")
        assert json.loads(frame.data)["data"]["reason"] == "not_recovered"


async def test_a_follower_sees_that_it_goes_on_in_a_later_graph(store: str) -> None:
    """In process, in the feed that was there before its parent asked; each event once."""
    async with Engine(store, workflows=family(is_later=True)) as engine:
        run = await engine.get(GRANDCHILD_ID)
        seen: list[Event] = []
        following, awaiting = asyncio.ensure_future(follow(run, seen)), asyncio.ensure_future(_outputs(run))
        await wait_until(lambda: len(seen) == run.feed.last_seq)
        await answer(engine)
        await asyncio.wait_for(following, PATIENCE)
        assert [event.json for event in seen] == [event.json for event in await read_all(engine.log, GRANDCHILD_ID)]
        check_laws(await read_with_blobs(engine.log, GRANDCHILD_ID))
        assert [event.type for event in seen].count("run.upgraded") == 1
        assert await asyncio.wait_for(awaiting, PATIENCE) == {"ask": 7, "new": 1}


async def test_the_end_of_the_engine_ends_the_wait(store: str) -> None:
    """``stream.closing`` with the reason of a shutdown; in process the events end, and the run is still paused."""
    async with Engine(store, workflows=family(), grace=0) as engine:
        run = await engine.get(CHILD_ID)
        seen: list[Event] = []
        following = asyncio.ensure_future(follow(run, seen))
        await wait_until(lambda: len(seen) == run.feed.last_seq)
    await asyncio.wait_for(following, PATIENCE)
    assert run.status == "paused"


async def test_whoever_asks_for_a_child_while_it_is_taken_up_has_the_run_that_goes_on(tmp_path: Path) -> None:
    """In whatever turn of the loop they ask: what they have is no run that was left, and a command reaches it."""
    store = f"sqlite:///{tmp_path / 'runs.db'}"
    async with Engine(store, workflows=family(), grace=0) as engine:
        await engine.start("family", run_id=RUN_ID)
        while not any(below.questions for below in await engine.tree(RUN_ID)):
            await asyncio.sleep(0.01)
    for _ in range(5):
        may_begin = asyncio.Event()
        async with Engine(store, workflows=family(may_begin=may_begin), grace=0) as engine:
            asked: list[asyncio.Task[Run]] = []
            while GRANDCHILD_ID not in {run.id for run in engine.running()}:
                if sum(not one.done() for one in asked) < 20:
                    asked += [asyncio.ensure_future(engine.get(id)) for id in (CHILD_ID, GRANDCHILD_ID)]
                await asyncio.sleep(0)
                may_begin.set()  # somebody has asked before
            runs = await asyncio.gather(*asked)
            assert [run.id for run in runs if run.feed.closed is not None] == []
            assert len({id(run.feed) for run in runs}) == 2
