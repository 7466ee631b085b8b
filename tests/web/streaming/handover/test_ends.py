"""Runs that end, and servers that shut down, while clients have no handler."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.helpers.server import Gates, gated_workflow, small_workflow
from tests.helpers.site import (
    EVENTS,
    Raw,
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


async def test_a_shutdown_tells_clients_without_handlers_and_waits_for_none_that_does_not_read(
    tls: Path | None,
) -> None:
    """A client that reads gets stream.closing and a whole body; the connection of one that does not is cut."""
    gates = Gates()
    async with serving(flow := flood_workflow(gates), tls=tls) as site:
        run, (slow, other) = await started(site, flow, clients=2)
        await flooded(site, run, gates)
        await other.until(b"event: block.made", EVENTS)
        assert site.stalled == 1
        async with asyncio.timeout(10):
            await site.runner.cleanup()
        assert not site.streams
        last = frames_of(whole(await other.rest()))[-1]
        assert last.event == "stream.closing"
        assert '"reason":"shutdown"' in last.data
        assert not last.id
        try:
            cut = await slow.rest()
        except ConnectionError:
            cut = slow.body
        assert not cut.endswith(b"0\r\n\r\n")


async def test_a_shutdown_leaves_no_connection_open_however_little_its_client_has_not_read() -> None:
    """Once the application has cleaned up, all of its sockets are closed."""
    gates = Gates()
    async with serving(flow := flood_workflow(gates)) as site:
        run = await site.engine.start(flow)
        gates["go"].set()
        await poll(lambda: run.feed.last_seq >= EVENTS + 2, "the run does not go on")
        await site.follow(run, f"?after={EVENTS + 2}", reads=False)
        await handed_over(site)
        (one,) = site.streams
        transport = one.transport
        assert transport is not None
        while not transport.get_write_buffer_size():
            gates["more"].set()
            last = run.feed.last_seq
            await poll(lambda: run.feed.last_seq > last, "the run does not go on")  # noqa: B023
            for _ in range(10):
                await asyncio.sleep(0)
        assert not site.stalled
        async with asyncio.timeout(10):
            await site.runner.cleanup()
        assert transport.get_extra_info("socket").fileno() == -1


async def test_clients_that_come_while_their_run_ends_get_all_of_it() -> None:
    """Whenever a client connects around the end of its run, it gets every event once, stream.end, and a whole body."""
    async with serving(flow := small_workflow()) as site:
        for turns in range(0, 60, 3):
            run = await site.engine.start(flow)
            clients: list[Raw] = []
            for _ in range(5):
                clients.append(await site.follow(run))
                for _ in range(turns):
                    await asyncio.sleep(0)
            total = 0
            for client in clients:
                text = whole(await client.rest())
                total = total or len(ids_of(text))
                assert ids_of(text) == list(range(1, total + 1))
                assert frames_of(text)[-1].event == "stream.end"
            await poll(lambda: not site.streams and not site.connections, "something is left of them")
            assert not site.places


async def test_a_shutdown_in_the_middle_of_hand_overs_tells_everybody_whose_stream_has_begun() -> None:
    """Every answer that has begun is a whole body that ends with stream.closing."""
    for turns in range(0, 40, 2):
        gates = Gates()
        async with serving(flow := gated_workflow(gates)) as site:
            run = await site.engine.start(flow)
            clients = [await site.open("/api/v1/healthz") for _ in range(10)]
            for client in clients:
                await client.until(b"}")
                client.data.clear()
            for client in clients:
                client.writer.write(f"GET /api/v1/runs/{run.id}/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            for _ in range(turns):
                await asyncio.sleep(0)
            async with asyncio.timeout(10):
                await site.runner.cleanup()
            assert not site.streams
            for client in clients:
                await client.rest()
                if client.data:
                    assert frames_of(whole(client.body))[-1].event == "stream.closing"
