"""Clients that have caught up and go on without their handler: the same bytes, and aiohttp keeps nothing for them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web as aiohttp_web

import reactor_web
from reactor import Engine
from reactor.testing import read_all
from tests.helpers.runs import PATIENCE
from tests.helpers.server import Gates, gated_workflow
from tests.helpers.site import (
    events_of,
    frames_of,
    handed_over,
    ids_of,
    poll,
    serving,
    site_of,
    step,
    whole,
)


async def test_a_client_that_has_caught_up_costs_no_task_and_aiohttp_knows_it_no_more(tls: Path | None) -> None:
    """A client without a handler gets every event once, in order, stream.end, and the end of a chunked body."""
    gates = Gates()
    async with serving(flow := gated_workflow(gates), tls=tls) as site:
        run = await site.engine.start(flow)
        early = await site.follow(run)
        await early.until(b'"task_id":"slow"')
        await handed_over(site)
        before = asyncio.all_tasks()
        client = await site.follow(run)
        await client.until(b'"task_id":"slow"')
        await handed_over(site, 2)
        await poll(lambda: asyncio.all_tasks() <= before, f"left: {asyncio.all_tasks() - before}")
        for number in range(1, 6):
            await step(gates, number, client)
        await poll(lambda: asyncio.all_tasks() <= before, f"left: {asyncio.all_tasks() - before}")
        assert site.connections == 0
        gates.open()
        text = whole(await client.rest())
        assert events_of(whole(await early.rest())) == events_of(text)
        logged = await read_all(site.engine.log, run.id)
    assert ids_of(text) == [event.seq for event in logged] == list(range(1, len(logged) + 1))
    assert [frame.data.encode() for frame in frames_of(text)[:-1]] == [event.json for event in logged]
    assert frames_of(text)[-1].event == "stream.end"
    assert text.count(b"retry:") == 1


@pytest.mark.parametrize("middlewares", [(), (reactor_web.problems,)], ids=["none", "problems"])
async def test_in_an_application_without_middlewares_of_its_own_it_is_handed_over_too(middlewares: Any) -> None:
    """A host application that has no middleware, or only ours, does not wait for the end of a handler."""
    gates = Gates()
    app = aiohttp_web.Application(middlewares=middlewares)
    async with Engine("memory://", grace=0.0) as engine:
        reactor_web.mount(app, engine, flow := gated_workflow(gates))
        async with site_of(engine, app) as site:
            client = await site.follow(await engine.start(flow))
            await client.until(b'"task_id":"slow"')
            await handed_over(site)
            gates.open()
            assert frames_of(whole(await client.rest()))[-1].event == "stream.end"


async def test_a_stream_that_was_open_before_its_run_is_handed_over_when_it_has_caught_up() -> None:
    """With await_run a handler waits until the run starts; then the client is handed over like any other."""
    gates = Gates()
    async with serving(flow := gated_workflow(gates)) as site:
        client = await site.open("/api/v1/runs/later/events?await_run=30")
        await client.until(b":\n")
        assert site.connections == 1
        await site.engine.start(flow, run_id="later")
        await client.until(b'"task_id":"slow"')
        await handed_over(site)
        gates.open()
        text = whole(await client.rest())
    assert ids_of(text) == list(range(1, len(ids_of(text)) + 1))
    assert frames_of(text)[-1].event == "stream.end"


@pytest.mark.usefixtures("quick_beats")
async def test_an_idle_client_without_handler_gets_heartbeats_and_its_first_frame_carries_retry() -> None:
    """A client that joins at the end gets comments only, until there is an event, whose frame carries ``retry``."""
    gates = Gates()
    async with serving(flow := gated_workflow(gates)) as site:
        run = await site.engine.start(flow)
        other = await site.follow(run)
        await other.until(b'"task_id":"slow"')
        last = run.feed.last_seq
        client = await site.follow(run, f"?after={last}&heartbeat=0.05")
        await handed_over(site, 2)
        await client.until(b"2\r\n:\n\r\n", 3)  # the first one is the opening
        assert site.connections == 0
        assert b"retry:" not in client.data
        await step(gates, 1, client)
        gates.open()
        text = whole(await client.rest())
    assert text.lstrip(b":\n").startswith(b"retry: 2000\nid: ")
    assert text.count(b"retry:") == 1
    assert ids_of(text) == list(range(last + 1, last + 1 + len(ids_of(text))))


async def test_the_end_of_a_run_costs_a_client_one_task() -> None:
    """The end of a run starts one task for a client, and the loss of its connection starts no other."""
    gates, begun = Gates(), list[str]()

    def counting(loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> asyncio.Task[Any]:
        begun.append(getattr(coro, "__qualname__", ""))
        return asyncio.Task(coro, loop=loop, **options)

    async with serving(flow := gated_workflow(gates)) as site:
        client = await site.follow(await site.engine.start(flow))
        await client.until(b'"task_id":"slow"')
        await handed_over(site)
        asyncio.get_running_loop().set_task_factory(counting)
        gates.open()
        whole(await client.rest())
        await poll(lambda: not site.streams, "it stays")
        for _ in range(10):
            await asyncio.sleep(0)
        asyncio.get_running_loop().set_task_factory(None)
    assert begun.count("_Detached._write") == 1


async def test_a_task_that_is_cancelled_before_it_has_begun_does_not_hold_a_shutdown_up() -> None:
    """A host application may cancel all tasks and then clean up, which must not wait for a cancelled task."""
    gates = Gates()
    async with serving(flow := gated_workflow(gates)) as site:
        client = await site.follow(await site.engine.start(flow))
        await client.until(b'"task_id":"slow"')
        await handed_over(site)
        before = asyncio.all_tasks()
        (one,) = site.streams
        one.wake()
        for task in asyncio.all_tasks() - before:
            task.cancel()
        await asyncio.sleep(0)
        closing = asyncio.ensure_future(site.streams.close())
        done, _ = await asyncio.wait([closing], timeout=PATIENCE)
        site.streams.remove(one)  # or the end of this test hangs, too
        assert done
