"""A server whose clients are raw connections, which show what no client library would."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web as aiohttp_web

import reactor_web
from reactor import Context, Engine, Run, Workflow
from reactor_web.sse.parser import Frame, Parser
from reactor_web.streaming.connection.direct import Place
from reactor_web.streaming.streams import STREAMS, Streams
from tests.helpers.runs import PATIENCE
from tests.helpers.server import Gates

EVENT_BYTES = 30_000


EVENTS = 100
"""How many events the flood has: more than sockets, TLS and both rings hold."""


SMALL_BUFFER = 16 * 1024
"""The buffers of sockets: small, so that a client that does not read is soon behind."""


class Raw:
    """One connection, read as its bytes come."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.data = bytearray()

    async def until(self, marker: bytes, times: int = 1) -> None:
        """Reads until the marker has come this many times."""
        async with asyncio.timeout(10):
            while self.data.count(marker) < times:
                more = await self.reader.read(65_536)
                assert more, f"the connection ended before {marker!r}: {self.data[-500:]!r}"
                self.data += more

    async def rest(self) -> bytes:
        """The body as sent, up to the end of the connection."""
        async with asyncio.timeout(10):
            while more := await self.reader.read(65_536):
                self.data += more
        return self.body

    @property
    def body(self) -> bytes:
        return bytes(self.data).partition(b"\r\n\r\n")[2]

    def is_chunked(self) -> bool:
        return b"\r\nTransfer-Encoding: chunked\r\n" in self.data

    def leave(self, how: str) -> None:
        """``close``, ``reset`` (a packet that says so) or ``half``: sends no more, but still reads."""
        if how == "reset":
            linger = struct.pack("ii", 1, 0)
            self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        if how == "half":
            self.writer.write_eof()
        else:
            self.writer.transport.abort()


def whole(body: bytes) -> bytes:
    """The content of a chunked body; asserts that the body is whole and nothing comes after it."""
    parts: list[bytes] = []
    while True:
        size, end, rest = body.partition(b"\r\n")
        assert end, f"broken off in the middle of a chunk: {body[-100:]!r}"
        length = int(size, 16)
        assert rest[length : length + 2] == b"\r\n", f"broken off in the middle of a chunk: {body[-100:]!r}"
        if length == 0:
            assert rest == b"\r\n", f"something stands after the last chunk: {rest[:200]!r}"
            return b"".join(parts)
        parts.append(rest[:length])
        body = rest[length + 2 :]


def frames_of(text: bytes) -> list[Frame]:
    return Parser(sticky_id=False).feed(text)


def ids_of(text: bytes) -> list[int]:
    return [int(frame.id) for frame in frames_of(text) if frame.id and frame.event != "stream.end"]


def events_of(text: bytes) -> bytes:
    """The stream without its last frame, which has another time for each client."""
    return text.partition(b"event: stream.end")[0]


@dataclass
class Site:
    """A server with its runner, and the clients that a test has opened."""

    engine: Engine
    runner: aiohttp_web.AppRunner
    streams: Streams
    port: int
    tls: ssl.SSLContext | None
    clients: list[Raw] = field(default_factory=list[Raw])

    async def open(
        self,
        path: str,
        *,
        method: str = "GET",
        version: str = "1.1",
        headers: str = "",
        body: bytes = b"",
        reads: bool = True,
    ) -> Raw:
        connection = socket.socket()
        if not reads:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
        connection.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", self.port))
        name = "localhost" if self.tls else None
        limit = 65_536 if reads else 1024
        client = Raw(*await asyncio.open_connection(sock=connection, ssl=self.tls, server_hostname=name, limit=limit))
        self.clients.append(client)
        client.writer.write(f"{method} {path} HTTP/{version}\r\nHost: localhost\r\n{headers}\r\n".encode() + body)
        return client

    async def follow(self, run: Run, query: str = "", **options: Any) -> Raw:
        return await self.open(f"/api/v1/runs/{run.id}/events{query}", **options)

    @property
    def connections(self) -> int:
        """How many connections aiohttp still handles."""
        assert self.runner.server is not None
        return len(self.runner.server.connections)

    @property
    def places(self) -> list[Place]:
        """Where the clients of all channels stand."""
        return [place for channel in self.streams.channels for place in channel.clients]

    @property
    def stalled(self) -> int:
        """How many clients the server writes to that do not read."""
        return sum(client.writing_since is not None for client in self.streams)


async def poll(condition: Callable[[], object], otherwise: str, seconds: float = PATIENCE) -> None:
    """Waits until the condition holds; fails with the sentence if it does not in time."""
    try:
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.001)
    except TimeoutError:
        raise AssertionError(otherwise) from None


async def handed_over(site: Site, streams: int = 1, seconds: float = PATIENCE) -> None:
    """Waits until this many clients are in a channel and aiohttp handles none of them."""
    await poll(
        lambda: len(site.streams) == len(site.places) == streams and site.connections == 0,
        f"{site.connections} of {len(site.streams)} streams still have their handler: has aiohttp changed?",
        seconds,
    )


async def kept(site: Site, streams: int = 1) -> None:
    """Waits until this many clients wait in a channel, and asserts that aiohttp still handles all of them."""
    await poll(lambda: sum(place.is_waiting for place in site.places) == streams, "they do not catch up")
    for _ in range(10):
        await asyncio.sleep(0)
    assert site.connections == len(site.streams) == streams


@asynccontextmanager
async def site_of(
    engine: Engine, app: aiohttp_web.Application, *, tls: Path | None = None, **runner_options: Any
) -> AsyncGenerator[Site]:
    options: dict[str, Any] = {"access_log": None, "shutdown_timeout": 2.0, **runner_options}
    runner = aiohttp_web.AppRunner(app, **options)
    await runner.setup()
    client_tls = server_tls = None
    if tls is not None:
        server_tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        server_tls.load_cert_chain(tls / "cert.pem", tls / "key.pem")
        client_tls = ssl.create_default_context(cafile=str(tls / "cert.pem"))
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL_BUFFER)  # of its connections, too
    await aiohttp_web.SockSite(runner, listening, ssl_context=server_tls, backlog=1024).start()
    site = Site(engine, runner, app[STREAMS], runner.addresses[0][1], client_tls)
    try:
        yield site
    finally:
        for client in site.clients:
            client.writer.transport.abort()
        await runner.cleanup()
        await poll(lambda: not site.streams, "streams are left")


@asynccontextmanager
async def serving(*flows: Workflow, tls: Path | None = None, **runner_options: Any) -> AsyncGenerator[Site]:
    async with Engine("memory://", grace=0.0) as engine:
        app = reactor_web.create_app(engine, flows)
        async with site_of(engine, app, tls=tls, **runner_options) as site:
            yield site


def flood_workflow(gates: Gates) -> Workflow:
    """One task: emits EVENTS big events after ``go``, one more for each ``more``, and ends after ``end``."""
    flow = Workflow("flood")

    @flow.task
    async def emit(ctx: Context) -> None:
        await gates["go"].wait()
        for number in range(EVENTS):
            await ctx.emit("block.made", {"number": number, "text": "x" * EVENT_BYTES})
        while not gates["end"].is_set():
            await gates["more"].wait()
            gates["more"].clear()
            await ctx.emit("block.added", {"text": "x" * EVENT_BYTES})

    return flow


async def started(site: Site, flow: Workflow, *, clients: int) -> tuple[Run, list[Raw]]:
    """A flood and this many clients that follow it without a handler; the first client does not read."""
    run = await site.engine.start(flow)
    raws = [await site.follow(run, reads=bool(number)) for number in range(clients)]
    for raw in raws:
        await raw.until(b"task.started")
    await handed_over(site, clients)
    return run, raws


async def flooded(site: Site, run: Run, gates: Gates) -> None:
    """Opens the flood, and waits until its events are in the log and a client is behind."""
    gates["go"].set()
    await poll(lambda: run.feed.last_seq >= EVENTS + 2, "the run does not go on")
    await poll(lambda: site.stalled >= 1, "nobody is behind")


async def step(gates: Gates, number: int, *clients: Raw) -> None:
    """Makes the workflow emit its ``number``-th event, and waits until all clients have it."""
    gates["step"].set()
    for client in clients:
        await client.until(b"event: step.made", number)
