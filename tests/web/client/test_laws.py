"""Following over HTTP, beyond the laws of ``tests/stream/test_following.py``: cuts, clients and servers that end."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from itertools import repeat
from typing import Any

import pytest

from reactor import Context, Engine, Event, LogLost, UnknownRun, Workflow
from reactor.events.event import Message
from reactor.logger import fields_of
from reactor.testing import read_all
from reactor_web.client import Client, ClientClosed, RemoteRun, StreamUnavailable
from reactor_web.streaming.streams import STREAMS
from tests.helpers.remote import Remote, remote
from tests.helpers.runs import PATIENCE, result, wait_until
from tests.stream.test_following import pull, talk
from tests.stream.test_task_events import collect, fan, open_all

SEED = 20261130


async def log_of(at: Remote, run: RemoteRun) -> list[Event]:
    """The events of the log, once the run has ended there."""
    await asyncio.wait_for((await at.engine.get(run.id)).ended(), PATIENCE)
    return await read_all(at.engine.log, run.id)


@pytest.fixture
async def at() -> AsyncIterator[Remote]:
    async with remote(Engine("memory://", grace=0), talk(40)) as at:
        yield at


async def start(at: Remote, flow: str = "talk", **options: Any) -> RemoteRun:
    """A run that is started behind the proxy: what is cut are streams."""
    run = await at.engine.start(flow, **options)
    return at.client.run(run.id)


# --- every event once, in order ---------------------------------------------------------------------------------


async def test_100_cuts_at_random_bytes_lose_and_double_nothing() -> None:
    """All the ways to follow a run at once, whose first 100 connections break: each sees the log and nothing else."""
    chance = random.Random(SEED)
    async with remote(Engine("memory://", grace=0), talk(600, pause_every=20)) as at:
        at.proxy.cuts = iter([chance.randint(400, 3_000) for _ in range(100)])
        run = await start(at)
        seen, pushed, later, of_task, ended, outputs = await asyncio.wait_for(
            asyncio.gather(
                pull(run),
                collect(run.events),
                collect(at.client.run(run.id).events_after(1)),
                collect(at.client.run(run.id).task_events("speaker")),
                at.client.run(run.id).ended(),
                result(at.client.run(run.id)),
            ),
            PATIENCE,
        )
        events = await log_of(at, run)
        assert seen == pushed == events
        assert later == events[1:]
        assert of_task == [event for event in events if event.task_id == "speaker"]
        assert at.proxy.cut == 100
        assert run.state == ended == (await at.engine.get(run.id)).state
        assert outputs == {"speaker": 600}


# --- leaving ----------------------------------------------------------------------------------------------------


async def test_an_iterator_that_is_left_early_leaves_nothing_on_the_server() -> None:
    """Breaking out of the loop closes the connection, while the run is open; the run goes on."""
    flow, gates = fan()
    async with remote(Engine("memory://", grace=0), flow) as at:
        run = await start(at, "fan")
        async for event in run:
            if event.seq == 2:
                break
        await at.until_nobody_follows()
        assert (await at.engine.get(run.id)).status == "running"
        open_all(gates)
        assert await asyncio.wait_for(pull(run), PATIENCE) == await log_of(at, run)


async def test_an_iterator_that_stalls_stops_reading_and_still_gets_everything() -> None:
    """It handles one event for as long as the run takes: what it has not read waits in the log, not here."""
    go_on = asyncio.Event()
    taken: list[Message] = []
    async with remote(Engine("memory://", grace=0), talk(5_000, pause_every=100)) as at:
        run = await start(at)

        async def slow() -> None:
            async for event in run:
                taken.append(event)
                await go_on.wait()

        consumer = asyncio.create_task(slow())
        await wait_until(lambda: taken)
        events = await log_of(at, run)
        assert taken == events[:1]
        assert run.state.seq == 1
        go_on.set()
        await asyncio.wait_for(consumer, PATIENCE)
        assert taken == events


async def test_a_cursor_ahead_of_the_run_is_told_and_the_run_is_told_anew(at: Remote) -> None:
    """As where a log lost its tail: the state begins again with it."""
    run = await start(at)
    events = await log_of(at, run)
    gap, *rest = await asyncio.wait_for(collect(run.events_after(10_000)), PATIENCE)
    assert gap.data == {"from": events[-1].seq + 1, "to": 10_000, "reason": "ahead"}
    assert rest == events
    assert run.state == (await at.engine.get(run.id)).state


async def test_a_server_that_holds_progress_back_still_gives_a_client_every_event() -> None:
    """``mount(throttle=)`` is for who looks; a state is folded from all events."""
    flow = Workflow("steps")

    @flow.task
    async def steps(ctx: Context) -> None:
        for i in range(5):
            await ctx.progress(i / 5)
            await asyncio.sleep(0.06)  # the engine itself writes 20 a second

    async with remote(Engine("memory://", grace=0), flow, throttle=10_000) as at:
        run = await start(at, "steps")
        assert await asyncio.wait_for(pull(run), PATIENCE) == await log_of(at, run)
        assert run.state == (await at.engine.get(run.id)).state


# --- how it ends ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["iterator", "events", "live"])
async def test_closing_the_client_is_told_to_whoever_follows_and_leaves_nothing(what: str) -> None:
    """The loop, the subscriber and who waits get one sentence: to have had everything is something else."""
    flow, _ = fan()
    async with remote(Engine("memory://", grace=0), flow) as at:
        run = await start(at, "fan")
        following = asyncio.ensure_future(pull(run) if what == "iterator" else collect(getattr(run, what)))
        waiting = asyncio.ensure_future(run.ended())
        await wait_until(lambda: run.state.seq >= 3)
        await at.client.close()
        for ended in (following, waiting, run.refresh(), run, pull(run), at.client.start("fan")):
            with pytest.raises(ClientClosed, match="the client is closed"):
                await asyncio.wait_for(ended, PATIENCE)
        await at.until_nobody_follows()


async def test_a_client_that_is_closed_in_the_middle_leaves_no_subscriber_without_an_answer() -> None:
    """Each has had every event and completes, or is told: also where the client closes right behind ``await run``."""
    async with remote(Engine("memory://", grace=0), talk(300)) as at:
        run = await start(at)
        heard: list[list[Event]] = [[] for _ in range(5)]
        ends: list[str] = []
        for events in heard:
            run.events.subscribe(
                events.append, lambda e: ends.append(type(e).__name__), lambda: ends.append("completed")
            )
        await asyncio.wait_for(run, PATIENCE)
        await at.client.close()
        log = await log_of(at, run)
        assert len(ends) == len(heard)
        assert set(ends) <= {"completed", "ClientClosed"}
        assert sum(events == log for events in heard) == ends.count("completed")


async def test_a_run_that_is_not_there_is_the_error_of_in_process(at: Remote) -> None:
    """For an iterator, a subscriber and who waits; ``await_run`` waits for it first."""
    run = at.client.run("nope")
    for following in (pull(run), collect(run.events), run.ended()):
        with pytest.raises(UnknownRun, match="there is no run 'nope'"):
            await asyncio.wait_for(following, PATIENCE)
    early = asyncio.ensure_future(pull(at.client.run("early", await_run=60)))
    await at.engine.start("talk", run_id="early")
    assert await asyncio.wait_for(early, PATIENCE) == await log_of(at, at.client.run("early"))


async def test_a_run_that_the_server_does_not_go_on_with_ends_as_in_process(tmp_path: Any) -> None:
    """Its events end without an error, and ``await run`` is LogLost: nobody goes on with it."""
    flow, _ = fan()
    store = f"sqlite:///{tmp_path / 'left.db'}"
    async with Engine(store, workflows=[flow], grace=0) as engine:
        run_id = (await engine.start("fan")).id
    async with remote(Engine(store, grace=0)) as at:
        run = at.client.run(run_id)
        assert [event.seq for event in await asyncio.wait_for(pull(run), PATIENCE)][:1] == [1]
        with pytest.raises(LogLost, match="does not go on with it"):
            await asyncio.wait_for(run, PATIENCE)


async def test_a_server_that_never_answers_is_given_up() -> None:
    """After ``max_failures`` connections in a row that brought nothing, with a sentence that names the URL."""
    flow, _ = fan()
    async with remote(Engine("memory://", grace=0), flow, max_failures=3) as at:
        run = await start(at, "fan")
        at.proxy.cuts = repeat(0)
        with pytest.raises(StreamUnavailable, match=rf"cannot follow {at.proxy.url}\S+: 3 attempts in a row"):
            await asyncio.wait_for(pull(run), PATIENCE)
        assert at.proxy.cut >= 3  # aiohttp asks once more by itself


async def test_who_waits_for_a_server_says_so_once(caplog: pytest.LogCaptureFixture, unused_tcp_port: int) -> None:
    """Not once for each stream and attempt; with the reason, and where."""
    async with Client(
        f"http://localhost:{unused_tcp_port}", sleep=lambda _: asyncio.sleep(0), max_failures=4
    ) as client:
        ends = await asyncio.gather(*(pull(client.run("r")) for _ in range(5)), return_exceptions=True)
    assert {type(end) for end in ends} == {StreamUnavailable}
    [said] = [fields_of(record) for record in caplog.records if "does not answer" in record.getMessage()]
    assert said["reason"] == f"no server answers at localhost:{unused_tcp_port}"
    assert said["url"] == client.url


async def test_more_followers_than_a_session_has_connections_hold_up_no_request() -> None:
    """120 streams are open, and a command is answered."""
    flow, gates = fan()
    async with remote(Engine("memory://", grace=0), flow) as at:
        run = await start(at, "fan")
        followers = [asyncio.ensure_future(pull(run)) for _ in range(120)]
        await wait_until(lambda: len(at.app[STREAMS]) == 120)
        await asyncio.wait_for(run.pause(), PATIENCE)
        await asyncio.wait_for(run.resume(), PATIENCE)
        open_all(gates)
        events = await log_of(at, run)
        for seen in await asyncio.wait_for(asyncio.gather(*followers), PATIENCE):
            assert seen == events
