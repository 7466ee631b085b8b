"""Clients that ask and do not read: what is kept is bounded, for each and for all, and they are cut off in time."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest

from reactor import Engine, Workflow
from reactor_web import create_app
from reactor_web.http.sending import unread_of_loop
from tests.helpers.server import Gates, gated_workflow
from tests.helpers.site import Raw, Site, poll, site_of

MB = 1_000_000
BODY = 4 * MB
PART, ROOM = 1 * MB, 2_500_000
CLIENTS = 20
PATIENCE = 0.5
OF_ONE = 64 * 1024 + 2 * 72 * 1024
"""What a connection may keep: what asyncio takes before a writer waits, a piece, and the piece that is being sent."""
OUTPUT = "/api/v1/runs/{}/tasks/large/output"


@pytest.fixture
def gates() -> Gates:
    return Gates()


@pytest.fixture
async def site(tmp_path: Path, gates: Gates) -> AsyncIterator[Site]:
    """A workflow with a large output, on a log that reads it anew for each client."""
    flow = Workflow("flow")

    @flow.task
    def large(size: int, letter: str = "x") -> str:
        return letter * size

    engine = Engine(f"sqlite:///{tmp_path}/runs.db", grace=0.0)
    async with engine, site_of(engine, create_app(engine, [flow, gated_workflow(gates)])) as site:
        yield site


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client may take a quarter of a second to read, instead of 30: only for the speed of these tests."""
    monkeypatch.setattr("reactor_web.bounds.SEND_TIMEOUT_SECONDS", 0.25)
    monkeypatch.setattr("reactor_web.http.sending.CHECK_SECONDS", 0.05)


async def made(site: Site, run_id: str, size: int = BODY, letter: str = "x") -> str:
    await (await site.engine.start("flow", {"size": size, "letter": letter}, run_id=run_id))
    return OUTPUT.format(run_id)


def served(site: Site) -> list[asyncio.Transport]:
    """The connections of all clients, at the server."""
    assert site.runner.server is not None
    return [handler.transport for handler in site.runner.server.connections if handler.transport is not None]


def buffered(site: Site) -> list[int]:
    """Bytes that wait in each connection."""
    return [transport.get_write_buffer_size() for transport in served(site)]


async def deaf(site: Site, path: str, clients: int) -> list[Raw]:
    """Clients that ask and do not read; returns when something waits for each of them."""
    there = len(served(site))
    raws = [await site.open(path, reads=False) for _ in range(clients)]
    for raw in raws:
        raw.writer.transport.pause_reading()  # type: ignore[attr-defined]
    await poll(lambda: sum(map(bool, buffered(site))) >= there + clients, "nothing waits for them")
    return raws


@pytest.mark.parametrize("path", [OUTPUT, "/api/v1/runs/{}"], ids=["output", "run"])
async def test_many_clients_that_do_not_read_one_output_cost_it_once(site: Site, path: str) -> None:
    """An output of 4 MB is kept once for all of them, and each connection keeps two pieces: 8 MB, and not 80."""
    await made(site, "big")
    await deaf(site, path.format("big"), CLIENTS)
    await poll(lambda: len(unread_of_loop().large) == CLIENTS, "they are not all answered")
    assert max(buffered(site)) <= OF_ONE
    assert BODY <= unread_of_loop().held <= BODY + 10_000
    for client in site.clients:
        client.writer.transport.abort()
    await poll(lambda: not unread_of_loop().held, "the body is kept although nobody is there to read it")


@pytest.mark.usefixtures("impatient")
async def test_who_does_not_read_is_cut_off_and_who_reads_slowly_is_not(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first keep nothing after the time that a read may take; the other takes many times as long for the whole
    body, and has every byte of it."""
    path = await made(site, "big")
    monkeypatch.setattr("reactor_web.bounds.SEND_TIMEOUT_SECONDS", PATIENCE)
    await deaf(site, path, 5)
    slow = await site.open(path, reads=False)
    loop, digest = asyncio.get_running_loop(), hashlib.sha256()
    await slow.until(b"\r\n\r\n")
    digest.update(slow.body)
    size, began = len(slow.body), loop.time()
    while size < BODY + 2:
        piece = await slow.reader.read(200_000)
        assert piece, f"cut off after {size} bytes"
        digest.update(piece)
        size += len(piece)
        if size * 20 // BODY > (size - len(piece)) * 20 // BODY:
            await asyncio.sleep(PATIENCE / 10)
    assert loop.time() - began > PATIENCE
    assert digest.digest() == hashlib.sha256(b'"' + b"x" * BODY + b'"').digest()
    slow.writer.transport.abort()
    await poll(lambda: site.connections == 0, f"{site.connections} connections are left")
    assert unread_of_loop().held == 0


async def test_all_large_answers_together_are_bounded_and_give_way(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Six outputs that nobody reads, with room for two: the slowest clients are cut off for those who come later, and
    one who reads has all of it."""
    monkeypatch.setattr("reactor_web.bounds.UNREAD_BYTES", ROOM)
    monkeypatch.setattr("reactor_web.http.sending.PATIENT_SECONDS", 0.0)
    for letter in "abcdef":
        await site.open(await made(site, letter, PART, letter), reads=False)
        await poll(lambda: site.connections >= 1, "it does not ask")
        await poll(lambda: unread_of_loop().held <= ROOM, "more is kept than may be")
    reader = await site.open(await made(site, "g", PART, "g"), headers="Connection: close\r\n")
    assert await reader.rest() == b'"' + b"g" * PART + b'"'
    await poll(lambda: site.connections <= 2, f"{site.connections} connections are left")


async def test_where_nobody_is_slow_one_more_is_asked_to_come_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clients that read are not cut off for others: 503 with Retry-After until there is room again. Small answers, and
    what is being sent already, are as ever."""
    monkeypatch.setattr("reactor_web.bounds.UNREAD_BYTES", ROOM)
    for letter in "ab":
        await deaf(site, await made(site, letter, PART, letter), 1)  # just now, so nobody is slow yet
    path = await made(site, "c", PART, "c")
    refused = await site.open(path, headers="Connection: close\r\n")
    problem = json.loads(await refused.rest())
    assert problem["status"] == 503
    assert b"\r\nRetry-After: 1\r\n" in refused.data
    small = await site.open("/api/v1/healthz", headers="Connection: close\r\n")
    assert await small.rest() == b'{"status":"ok"}'
    same = await site.open(OUTPUT.format("a"), headers="Connection: close\r\n")
    assert len(await same.rest()) == PART + 2
    site.clients[0].writer.transport.abort()
    await poll(lambda: unread_of_loop().held == PART + 2, "it is kept although its client has gone")
    again = await site.open(path, headers="Connection: close\r\n")
    assert len(await again.rest()) == PART + 2


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("then", ["stays", "half"])
async def test_many_small_answers_that_are_not_read_are_few_and_not_for_ever(site: Site, then: str) -> None:
    """Requests sent ahead, which are answered as long as there is room, and then no more: the connection ends in time,
    also where its client says that it will send nothing more, and waits."""
    path = await made(site, "small", 30_000)
    client = await site.open(path, reads=False)
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]
    client.writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() * (2_000 if then == "stays" else 2))
    await poll(lambda: any(buffered(site)), "nothing waits")
    assert max(buffered(site)) <= OF_ONE
    if then == "half":
        client.leave("half")
    await poll(lambda: site.connections == 0, "the connection stays")


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("what", ["replies", "pongs", "end"])
async def test_a_websocket_that_reads_nothing_is_cut_off(site: Site, gates: Gates, what: str) -> None:
    """Whatever is written to it, on a stream that would write nothing for an hour: replies to its commands, pongs, or
    the end of its run and the close of the socket."""
    run = await site.engine.start("gated", run_id="open")
    await poll(lambda: "slow" in run.state.tasks and run.state.tasks["slow"].status == "running", "it does not begin")
    url = f"http://127.0.0.1:{site.port}/api/v1/runs/open/ws?heartbeat=3600"
    async with aiohttp.ClientSession() as session:
        ws = await session.ws_connect(url, autoping=False, max_msg_size=0)
        transport = ws._response.connection.transport  # type: ignore[union-attr]
        assert transport is not None
        transport.pause_reading()
        await poll(lambda: len(site.streams) == 1, "no stream")
        if what == "end":
            (served_to,) = [client.transport for client in site.streams]
            assert served_to is not None
            for _ in range(1_000):  # until something waits, but less than what would stop the stream itself
                await run.emit("block.made", {"text": "x" * 15_000})
                await asyncio.sleep(0.001)
                if served_to.get_write_buffer_size():
                    await asyncio.sleep(0.1)  # the system takes more for a while
                    if served_to.get_write_buffer_size():
                        break
            gates.open()
            await run
        else:
            with suppress(ConnectionError):  # it is cut off meanwhile
                for number in range(20_000):
                    if transport.get_write_buffer_size() > 200_000:
                        break
                    if what == "pongs":
                        await ws.ping(b"x" * 120)
                    else:
                        await ws.send_json({"id": "x" * 190, "command": "nothing", "number": number})
        await poll(lambda: site.connections == 0 and not site.streams, "it is still there")
        transport.abort()


async def test_time_in_which_the_server_itself_stood_still_does_not_count(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loop that was held, or a process that was stopped, for longer than a read may take: nobody is cut off for
    that. Neither who reads an answer, nor who follows a run."""
    for module in ("http.sending", "streaming.streams"):
        monkeypatch.setattr(f"reactor_web.{module}.CHECK_SECONDS", 0.05)
    began = time.monotonic()
    run = await site.engine.start("gated", run_id="open")
    path = await made(site, "big")
    await deaf(site, path, 1)
    stream = await site.follow(run, reads=False)
    stream.writer.transport.pause_reading()  # type: ignore[attr-defined]
    await poll(lambda: site.connections == 1, "the stream is not handed over")
    for number in range(200):
        await run.emit("block.made", {"number": number, "text": "x" * 40_000})
        if site.stalled:
            break
    await poll(lambda: site.stalled, "the stream does not wait for its client")
    # what has gone by counts, however long it took here; what is longer than a read may take is the standstill alone
    allowed = time.monotonic() - began + 0.25
    monkeypatch.setattr("reactor_web.bounds.SEND_TIMEOUT_SECONDS", allowed)
    monkeypatch.setattr("reactor_web.streaming.streams.SEND_TIMEOUT_SECONDS", allowed)
    time.sleep(allowed + 0.35)  # noqa: ASYNC251  # this is what the test is about
    await asyncio.sleep(0)  # the timers run, and find that they are late
    await asyncio.sleep(0)
    assert all(not client.aborted for client in site.streams)
    assert len(site.streams) == 1
    assert [transport.is_closing() for transport in served(site)] == [False]
