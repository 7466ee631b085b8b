"""TLS connections share one read buffer: an idle one costs little, and each still reads exactly what it was sent."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import random
import ssl
import subprocess
from asyncio import sslproto
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from reactor import Engine, Workflow
from reactor.bounds import KIB
from reactor_web import create_app
from reactor_web.http import read_buffer
from tests.helpers.server import Gates, gated_workflow
from tests.helpers.site import Raw, Site, frames_of, handed_over, poll, site_of, step, whole
from tests.helpers.tls import certificate as certificate

UPLOAD = 700_000
RUNS = "/api/v1/workflows/digest/runs"


class Secure:
    """A site with TLS, a run that waits for its gates, and a workflow that gives the digest of its input."""

    def __init__(self, site: Site, gates: Gates) -> None:
        self.site, self.gates = site, gates

    async def follow(self) -> Raw:
        run = await self.site.engine.get("open")
        client = await self.site.follow(run)
        await client.until(b'"task_id":"slow"')
        return client

    def buffers(self) -> set[int]:
        """The read buffers of all open streams, by their identity."""
        return {id(protocol_of(client.transport)._ssl_buffer) for client in self.site.streams}


def protocol_of(transport: Any) -> Any:
    return transport._ssl_protocol


def upload(text: str, more: str = "") -> bytes:
    """A request that starts a run and waits for its output."""
    body = json.dumps({"input": {"text": text}}).encode()
    head = f"POST {RUNS} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nPrefer: wait=20\r\n{more}"
    return head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body


def digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).hexdigest().encode()


@pytest.fixture
async def secure(certificate: Path) -> AsyncIterator[Secure]:
    gates, flow = Gates(), Workflow("digest")

    @flow.task
    async def digested(text: str) -> str:
        return hashlib.sha256(text.encode()).hexdigest()

    async with Engine("memory://", grace=0.0) as engine:
        app = create_app(engine, [gated_workflow(gates), flow])
        async with site_of(engine, app, tls=certificate) as site:
            await engine.start("gated", run_id="open")
            yield Secure(site, gates)


async def test_all_idle_streams_read_into_one_buffer_and_go_on_with_it(secure: Secure) -> None:
    """Ten streams keep one read buffer, not ten; every event still reaches all of them, to the clean end."""
    clients = [await secure.follow() for _ in range(10)]
    await handed_over(secure.site, 10)
    assert len(secure.buffers()) == 1
    assert {client.transport.get_write_buffer_limits()[1] for client in secure.site.streams} == {64 * KIB}  # type: ignore[union-attr]
    for number in range(1, 4):
        await step(secure.gates, number, *clients)
    secure.gates.open()
    bodies = [whole(await client.rest()) for client in clients]
    assert {frames_of(body)[-1].event for body in bodies} == {"stream.end"}


async def test_uploads_that_arrive_mixed_up_are_read_each_for_itself(secure: Secure) -> None:
    """Eight connections send large bodies in pieces of any size, one piece of each in turn: each gets its own digest.

    The pieces cut TLS records anywhere, so a buffer that was shared for longer than one read would mix them.
    """
    chance = random.Random(7)
    texts = ["".join(chance.choices("abcdefgh", k=1_000)) * (UPLOAD // 1_000) for _ in range(8)]
    clients = [await secure.site.open("/api/v1/healthz") for _ in texts]
    for client in clients:
        await client.until(b'{"status":"ok"}')
    left = [bytearray(upload(text)) for text in texts]
    while any(left):
        for client, data in zip(clients, left, strict=True):
            size = chance.choice((1, 17, 4_000, 16_384, 70_000, 200_000))
            client.writer.write(bytes(data[:size]))
            del data[:size]
        await asyncio.sleep(0)
    for client, text in zip(clients, texts, strict=True):
        await client.until(digest(text))


async def test_pipelined_requests_are_answered_in_their_order(secure: Secure) -> None:
    """Forty requests in one write, small and large ones, on a connection that has released its buffer."""
    client = await secure.site.open("/api/v1/healthz")
    await client.until(b'{"status":"ok"}')
    texts = [str(number) * (60_000 if number % 10 == 0 else 3) for number in range(40)]
    client.writer.write(b"".join(map(upload, texts)))
    await client.until(digest(texts[-1]))
    places = [client.data.index(digest(text)) for text in texts]
    assert places == sorted(places)


async def test_a_websocket_over_tls_has_every_event_and_takes_large_commands(secure: Secure) -> None:
    """Commands of 200 KB, in the middle of its events: each is answered, and no event is missing."""
    url = f"https://localhost:{secure.site.port}/api/v1/runs/open/ws"
    async with aiohttp.ClientSession() as session, session.ws_connect(url, ssl=secure.site.tls or True) as ws:
        await poll(lambda: len(secure.site.streams) == 1, "no socket")
        assert len(secure.buffers()) == 1
        for number in range(3):
            await ws.send_json({"id": number, "command": "pause", "reason": "x" * 200_000})
        await ws.send_json({"id": "last", "command": "resume"})
        received: list[dict[str, Any]] = []
        while sum("reply" in message for message in received) < 4:
            received.append(await asyncio.wait_for(ws.receive_json(), 10))
        secure.gates.open()
        received += [json.loads(message.data) async for message in ws]
    replies = {message["reply"]: message for message in received if "reply" in message}
    assert [replies[number]["problem"]["status"] for number in range(3)] == [422] * 3
    assert replies["last"]["ok"]
    seqs = [message["seq"] for message in received if "type" in message and "seq" in message]
    assert seqs == list(range(1, len(seqs) + 1))
    assert received[-1]["type"] == "stream.end"


@pytest.mark.parametrize("how", ["close", "reset", "notify"])
async def test_a_client_that_leaves_takes_nothing_of_the_others_with_it(secure: Secure, how: str) -> None:
    """By a reset, by closing the connection, or by ``close_notify``: its stream is over, and the others go on."""
    stays, leaves = await secure.follow(), await secure.follow()
    await handed_over(secure.site, 2)
    if how == "notify":
        leaves.writer.close()
    else:
        leaves.leave(how)
    await poll(lambda: len(secure.site.streams) == 1, "its stream stays")
    await step(secure.gates, 1, stays)
    secure.gates.open()
    assert frames_of(whole(await stays.rest()))[-1].event == "stream.end"


async def test_a_handshake_of_single_bytes_does_not_disturb_streams(secure: Secure) -> None:
    """Its bytes come one at a time between the events of another client; then it follows, too."""
    client = await secure.follow()
    await handed_over(secure.site)
    assert secure.site.tls is not None
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    shy = secure.site.tls.wrap_bio(incoming, outgoing, server_hostname="localhost")
    reader, writer = await asyncio.open_connection("127.0.0.1", secure.site.port)
    number = 0

    async def flush() -> None:
        nonlocal number
        data = outgoing.read()
        for at in range(len(data)):
            writer.write(data[at : at + 1])
            await asyncio.sleep(0)
            if at % 100 == 0:
                number += 1
                await step(secure.gates, number, client)

    try:
        while True:
            try:
                shy.do_handshake()
                break
            except ssl.SSLWantReadError:
                await flush()
                incoming.write(await asyncio.wait_for(reader.read(65_536), 10))
        shy.write(b"GET /api/v1/runs/open/events?tail=0 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await flush()
        await handed_over(secure.site, 2)
        assert len(secure.buffers()) == 1
        assert number > 5
    finally:
        writer.transport.abort()


async def test_new_keys_in_the_middle_of_a_stream_change_nothing(secure: Secure) -> None:
    """``openssl s_client`` asks for a KeyUpdate of TLS 1.3 while it follows: the next events are read with new keys."""
    process = await asyncio.create_subprocess_exec(
        "openssl", "s_client", "-tls1_3", "-connect", f"127.0.0.1:{secure.site.port}", "-servername", "localhost",
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(b"GET /api/v1/runs/open/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        client = Raw(process.stdout, process.stdin)  # type: ignore[arg-type]
        await client.until(b'"task_id":"slow"')
        await handed_over(secure.site)
        for number in range(1, 5):
            process.stdin.write(b"K\n")
            await client.until(b"KEYUPDATE", number)
            await step(secure.gates, number, client)
        assert len(secure.buffers()) == 1
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def other_get_buffer(self: Any, n: int) -> memoryview:
    """As another Python might have it."""
    self._ssl_wanted = n
    return self._ssl_buffer_view


async def test_where_asyncio_is_not_as_expected_all_stays_as_it_was(
    secure: Secure, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Each connection keeps its own buffer and works, and the log says so once."""
    monkeypatch.setattr(sslproto.SSLProtocol, "get_buffer", other_get_buffer)
    read_buffer.is_known.cache_clear()
    try:
        with caplog.at_level(logging.INFO, "reactor.web"):
            clients = [await secure.follow() for _ in range(3)]
            await handed_over(secure.site, 3)
            assert len(secure.buffers()) == 3
            await step(secure.gates, 1, *clients)
    finally:
        read_buffer.is_known.cache_clear()
    assert sum("keeps its read buffer" in record.getMessage() for record in caplog.records) == 1


def test_this_python_is_one_that_is_known() -> None:
    """Else an idle TLS stream costs 280 KB again, and a comment in ``read_buffer`` is out of date."""
    assert read_buffer.is_as_written(sslproto.SSLProtocol)
    assert not read_buffer.is_as_written(asyncio.Protocol)
