"""A client without a handler that is behind misses nothing and delays no other client."""

from __future__ import annotations

import asyncio
from pathlib import Path

from reactor import Context, Workflow
from tests.helpers.server import Gates
from tests.helpers.site import (
    EVENTS,
    events_of,
    flood_workflow,
    flooded,
    frames_of,
    handed_over,
    ids_of,
    poll,
    serving,
    started,
    whole,
)


async def test_a_client_without_handler_that_stops_reading_misses_nothing_and_holds_nobody_up(
    tls: Path | None,
) -> None:
    """While one client does not read, the other gets all events; then the first reads on and gets each event once."""
    gates = Gates()
    async with serving(flow := flood_workflow(gates), tls=tls) as site:
        run, (slow, other) = await started(site, flow, clients=2)
        before = asyncio.all_tasks()
        await flooded(site, run, gates)
        gates.open()
        text = whole(await other.rest())
        await poll(lambda: site.stalled == len(site.streams) == 1, "it was to be stalled")
        assert ids_of(text) == list(range(1, EVENTS + 6))
        assert events_of(whole(await slow.rest())) == events_of(text)
        await poll(lambda: not site.streams and asyncio.all_tasks() <= before, "something is left of them")


async def test_a_client_that_has_read_on_waits_without_a_task_again() -> None:
    """A client without a handler has a task only while it is behind."""
    gates = Gates()
    async with serving(flow := flood_workflow(gates)) as site:
        run, (client,) = await started(site, flow, clients=1)
        before = asyncio.all_tasks()
        await flooded(site, run, gates)
        assert not asyncio.all_tasks() <= before
        await client.until(b"event: block.made", EVENTS)
        await poll(lambda: not site.stalled and asyncio.all_tasks() <= before, "it is written to for ever")
        assert len(site.streams) == 1
        gates.open()
        assert ids_of(whole(await client.rest())) == list(range(1, EVENTS + 6))


async def test_a_client_that_has_not_read_all_of_its_replay_yet_is_handed_over_too() -> None:
    """Bytes that wait in the transport need no handler, so the client is handed over."""
    gates = Gates()
    async with serving(flow := flood_workflow(gates)) as site:
        run = await site.engine.start(flow)
        gates["go"].set()
        await poll(lambda: run.feed.last_seq >= EVENTS + 2, "the run does not go on")
        tail = 0
        while tail < 40:
            tail += 1
            await site.follow(run, f"?tail={tail}", reads=False)
            await poll(lambda: site.stalled or any(p.is_waiting for p in site.places), "it does not begin")
            (one,) = site.streams
            assert one.transport is not None
            if one.transport.get_write_buffer_size():
                break
            site.clients[-1].leave("close")
            await poll(lambda: not site.streams, "it is not noticed")
        assert not site.stalled, "it was to be below the mark at which a transport is full"
        await handed_over(site)
        await site.clients[-1].until(b"event: block.made", tail)
        gates.open()
        assert ids_of(whole(await site.clients[-1].rest())) == list(range(EVENTS + 3 - tail, EVENTS + 6))


async def test_progress_that_a_client_has_read_from_the_log_already_is_nothing_to_send_it() -> None:
    """Progress that was held back before a client joined is not sent to it, nor an empty chunk instead of it."""
    gates = Gates()
    flow = Workflow("busy")

    @flow.task
    async def busy(ctx: Context) -> None:
        await gates["go"].wait()
        await ctx.progress(0.1)  # leaves at once
        await ctx.progress(0.2)  # is held back
        await gates["end"].wait()
        await ctx.emit("said.it")

    async with serving(flow) as site:
        run = await site.engine.start(flow)
        early = await site.follow(run, "?throttle=300")
        await early.until(b"task.started")
        await handed_over(site)
        gates["go"].set()
        await early.until(b'"fraction":0.1')
        await poll(lambda: run.feed.last_seq == 4, "the run does not go on")
        late = await site.follow(run, "?throttle=300")
        await late.until(b'"fraction":0.2')
        await handed_over(site, 2)
        assert b'"fraction":0.2' not in early.data, "it was to be held back until the other one has joined"
        await early.until(b'"fraction":0.2')
        gates.open()
        assert frames_of(whole(await early.rest()))[-1].event == "stream.end"
        text = whole(await late.rest())
    assert text.count(b'"fraction":0.2') == 1
    assert b"event: said.it" in text
    assert frames_of(text)[-1].event == "stream.end"
