"""Clients without a handler that go, or that send more than their request."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.helpers.server import Gates, gated_workflow
from tests.helpers.site import (
    flood_workflow,
    flooded,
    frames_of,
    handed_over,
    ids_of,
    poll,
    serving,
    started,
    step,
    whole,
)


@pytest.mark.parametrize(
    ("how", "tls"),
    [("close", "plain"), ("close", "tls"), ("reset", "plain"), ("reset", "tls"), ("half", "plain")],  # TLS has no half
    indirect=["tls"],
)
async def test_a_client_without_handler_that_goes_is_noticed_and_changes_nothing(how: str, tls: Path | None) -> None:
    """Whether a client closes, resets or half-closes its connection: its stream ends, and the run goes on."""
    gates = Gates()
    async with serving(flow := gated_workflow(gates), tls=tls) as site:
        run = await site.engine.start(flow)
        leaving, staying = await site.follow(run), await site.follow(run)
        for client in (leaving, staying):
            await client.until(b'"task_id":"slow"')
        await handed_over(site, 2)
        before = asyncio.all_tasks()
        leaving.leave(how)
        await poll(lambda: len(site.streams) == len(site.places) == 1, "it is not noticed")
        await poll(lambda: asyncio.all_tasks() <= before, f"left: {asyncio.all_tasks() - before}")
        await step(gates, 1, staying)
        assert run.state.status == "running"
        if how == "half":  # it is told nothing more, least of all that its body were whole
            assert not (await leaving.rest()).endswith(b"0\r\n\r\n")
        gates.open()
        assert frames_of(whole(await staying.rest()))[-1].event == "stream.end"


@pytest.mark.parametrize("how", ["close", "reset", "half"])
async def test_a_client_that_goes_while_it_is_behind_is_noticed(how: str) -> None:
    """A client that goes while the server writes to it is noticed by that write."""
    gates = Gates()
    async with serving(flow := flood_workflow(gates)) as site:
        run, (client,) = await started(site, flow, clients=1)
        before = asyncio.all_tasks()
        await flooded(site, run, gates)
        client.leave(how)
        await poll(lambda: not site.streams and asyncio.all_tasks() <= before, "it is not noticed")
        assert run.state.status == "running"


async def test_a_client_that_goes_over_tls_while_it_is_behind_is_noticed(certificate: Path) -> None:
    """Over TLS, a client that goes while the server writes to it is noticed too."""
    gates = Gates()
    async with serving(flow := flood_workflow(gates), tls=certificate) as site:
        run, (client,) = await started(site, flow, clients=1)
        await flooded(site, run, gates)
        client.leave("close")
        await poll(lambda: not site.streams, "it is not noticed")
        assert run.state.status == "running"


async def test_what_a_client_without_handler_sends_is_dropped() -> None:
    """More requests, garbage and a megabyte of data are not answered, and the stream goes on."""
    gates = Gates()
    async with serving(flow := gated_workflow(gates)) as site:
        client = await site.follow(await site.engine.start(flow))
        await client.until(b'"task_id":"slow"')
        await handed_over(site)
        sent = (b"GET /api/v1/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", b"\x00\xff\r\n\r\n" * 100, b"x" * 1_000_000)
        for number, data in enumerate(sent, 1):
            client.writer.write(data)
            async with asyncio.timeout(10):
                await client.writer.drain()
            await step(gates, number, client)
        await poll(lambda: not client.writer.transport.get_write_buffer_size(), "it does not take what it is sent")
        gates.open()
        text = whole(await client.rest())
    assert ids_of(text) == list(range(1, len(ids_of(text)) + 1))
    assert frames_of(text)[-1].event == "stream.end"
    assert client.data.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("sent", ["body", "pipelined"])
async def test_a_client_that_has_sent_too_much_is_noticed_when_it_goes(sent: str) -> None:
    """A body and more requests are read and dropped, so that the end of the connection behind them is seen."""
    gates = Gates()
    headers, body = "", b"GET /api/v1/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" * 200
    if sent == "body":
        headers, body = "Content-Length: 1000000\r\n", b"x" * 1_000_000
    async with serving(flow := gated_workflow(gates)) as site:
        run = await site.engine.start(flow)
        client = await site.follow(run, headers=headers, body=body)
        await client.until(b'"task_id":"slow"')
        await handed_over(site)
        try:
            async with asyncio.timeout(0.5):
                await client.writer.drain()
        except TimeoutError:
            pass  # nobody takes it
        client.leave("close")
        await poll(lambda: not site.streams, "it is not noticed")
        assert run.state.status == "running"


async def test_clients_that_go_at_any_moment_leave_nothing_behind() -> None:
    """Clients that go before the answer, or while they are handed over: those that stay miss nothing."""
    gates = Gates()
    async with serving(flow := gated_workflow(gates)) as site:
        run = await site.engine.start(flow)
        staying = await site.follow(run)
        await staying.until(b'"task_id":"slow"')
        await handed_over(site)
        before = asyncio.all_tasks()
        for turns in range(60):
            clients = [await site.follow(run) for _ in range(3)]
            gates["step"].set()
            for _ in range(turns):
                await asyncio.sleep(0)
            for client, how in zip(clients, ("close", "reset", "half"), strict=True):
                client.leave(how)
        await handed_over(site)
        await poll(lambda: asyncio.all_tasks() <= before, f"left: {asyncio.all_tasks() - before}")
        gates.open()
        text = whole(await staying.rest())
    assert ids_of(text) == list(range(1, len(ids_of(text)) + 1))
    assert frames_of(text)[-1].event == "stream.end"


async def test_many_clients_that_drop_at_once_with_events_on_their_way_are_all_noticed() -> None:
    """When 199 clients drop at once, as when a proxy dies, all are noticed and the last one goes on."""
    gates = Gates()
    async with serving(flow := gated_workflow(gates)) as site:
        run = await site.engine.start(flow)
        clients = [await site.follow(run) for _ in range(200)]
        for client in clients:
            await client.until(b'"task_id":"slow"')
        await handed_over(site, 200)
        before = asyncio.all_tasks()
        gates["step"].set()
        for client in clients[1:]:
            client.leave("reset")
        gates["fast"].set()
        await clients[0].until(b'"task_id":"after_fast"')
        await handed_over(site)
        await poll(lambda: asyncio.all_tasks() <= before, f"left: {asyncio.all_tasks() - before}")
        gates.open()
        assert frames_of(whole(await clients[0].rest()))[-1].event == "stream.end"
