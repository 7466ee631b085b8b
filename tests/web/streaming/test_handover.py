"""A client that has caught up without its handler: the same bytes, and nothing of aiohttp is left for it."""

from __future__ import annotations

import asyncio
import logging
import shutil
import socket
import ssl
import struct
import subprocess
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import reactor_web
import structlog
from aiohttp import web as aiohttp_web
from reactor_web.sse.parser import Frame, Parser
from reactor_web.streaming.direct import Place
from reactor_web.streaming.streams import STREAMS, Streams

from reactor import Context, Engine, Run, Workflow
from reactor.testing import read_all
from tests.helpers.server import Gates, gated_workflow, small_workflow

EVENT_BYTES = 30_000
EVENTS = 100
"""Of the flood: more than sockets, TLS and both rings hold."""
SMALL_BUFFER = 16 * 1024
"""Of sockets, so that a client that does not read is soon behind."""

MAKE_CERTIFICATE = (
    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
    " -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
)


class Raw:
    """One connection, read as it comes: what no client library would show."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.data = bytearray()

    async def until(self, marker: bytes, times: int = 1) -> None:
        """Reads until it has seen this so often."""
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
    """What the chunks hold; nothing stands after the last one."""
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
    """Without the last words, which have a time of their own for each client, and whatever beats in between."""
    return text.partition(b"event: stream.end")[0]


@dataclass
class Site:
    """A server whose runner the test has at hand."""

    engine: Engine
    runner: aiohttp_web.AppRunner
    streams: Streams
    port: int
    tls: ssl.SSLContext | None
    clients: list[Raw] = field(default_factory=list[Raw])

    async def open(
        self, path: str, *, version: str = "1.1", headers: str = "", body: bytes = b"", reads: bool = True
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
        client.writer.write(f"GET {path} HTTP/{version}\r\nHost: localhost\r\n{headers}\r\n".encode() + body)
        return client

    async def follow(self, run: Run, query: str = "", **options: Any) -> Raw:
        return await self.open(f"/api/v1/runs/{run.id}/events{query}", **options)

    @property
    def connections(self) -> int:
        """What aiohttp has of them."""
        assert self.runner.server is not None
        return len(self.runner.server.connections)

    @property
    def places(self) -> list[Place]:
        """Where the clients of all channels stand."""
        return [place for channel in self.streams.channels for place in channel.clients]

    @property
    def stalled(self) -> int:
        """How many are being written to, and do not read."""
        return sum(client.writing_since is not None for client in self.streams)


async def poll(condition: Callable[[], object], otherwise: str, seconds: float = 10) -> None:
    """Until it holds."""
    try:
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.001)
    except TimeoutError:
        raise AssertionError(otherwise) from None


async def handed_over(site: Site, streams: int = 1, seconds: float = 10) -> None:
    """As soon as so many clients are open, in a channel, and none of them is aiohttp's."""
    await poll(
        lambda: len(site.streams) == len(site.places) == streams and site.connections == 0,
        f"{site.connections} of {len(site.streams)} streams still have their handler: has aiohttp changed?",
        seconds,
    )


async def kept(site: Site, streams: int = 1) -> None:
    """As soon as so many clients wait in a channel; each of them is still aiohttp's after its turn has passed."""
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
    """One task that emits big events as soon as it may, one more whenever it may, and ends as soon as it may."""
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
    """A flood, and so many clients that follow it without handler; the first one does not read."""
    run = await site.engine.start(flow)
    raws = [await site.follow(run, reads=bool(number)) for number in range(clients)]
    for raw in raws:
        await raw.until(b"task.started")
    await handed_over(site, clients)
    return run, raws


async def flooded(site: Site, run: Run, gates: Gates) -> None:
    """Its events are there, and one client is behind."""
    gates["go"].set()
    await poll(lambda: run.feed.last_seq >= EVENTS + 2, "the run does not go on")
    await poll(lambda: site.stalled >= 1, "nobody is behind")


def open_all(gates: Gates) -> None:
    for name in ("fast", "slow", "middle", "step", "end", "more"):
        gates[name].set()


async def step(gates: Gates, number: int, *clients: Raw) -> None:
    """One event more, which all have read; ``number`` is the how manieth."""
    gates["step"].set()
    for client in clients:
        await client.until(b"event: step.made", number)


@pytest.fixture(autouse=True)
def nothing_goes_wrong(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever a client does is no error of ours: neither we, nor aiohttp, nor the loop logs one."""
    with structlog.testing.capture_logs() as logs:
        yield
    assert [entry for entry in logs if entry["log_level"] in ("error", "critical")] == []
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("openssl") is None:
        pytest.skip("makes its certificate with openssl, which is not here")
    place = tmp_path_factory.mktemp("tls")
    made = subprocess.run(
        [*MAKE_CERTIFICATE.split(), "-keyout", str(place / "key.pem"), "-out", str(place / "cert.pem")],
        capture_output=True,
    )
    if made.returncode:
        pytest.skip(f"openssl makes no certificate: {made.stderr.decode()[-200:]}")
    return place


@pytest.fixture(params=["plain", "tls"])
def tls(request: pytest.FixtureRequest) -> Path | None:
    """Each such law holds over TLS too."""
    return request.getfixturevalue("certificate") if request.param == "tls" else None


# --- handed over ---


async def test_a_client_that_has_caught_up_costs_no_task_and_aiohttp_knows_it_no_more(tls: Path | None) -> None:
    """It still gets every event once, in order, stream.end, and the end of a chunked body."""
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
        open_all(gates)
        text = whole(await client.rest())
        assert events_of(whole(await early.rest())) == events_of(text)
        logged = await read_all(site.engine.log, run.id)
    assert ids_of(text) == [event.seq for event in logged] == list(range(1, len(logged) + 1))
    assert [frame.data.encode() for frame in frames_of(text)[:-1]] == [event.json for event in logged]
    assert frames_of(text)[-1].event == "stream.end"
    assert text.count(b"retry:") == 1


@pytest.mark.parametrize("middlewares", [(), (reactor_web.problems,)], ids=["none", "problems"])
async def test_in_an_application_without_middlewares_of_its_own_it_is_handed_over_too(middlewares: Any) -> None:
    """Mounted into somebody's application that has no interest in when a handler ends."""
    gates = Gates()
    app = aiohttp_web.Application(middlewares=middlewares)
    async with Engine("memory://", grace=0.0) as engine:
        reactor_web.mount(app, engine, flow := gated_workflow(gates))
        async with site_of(engine, app) as site:
            client = await site.follow(await engine.start(flow))
            await client.until(b'"task_id":"slow"')
            await handed_over(site)
            open_all(gates)
            assert frames_of(whole(await client.rest()))[-1].event == "stream.end"


async def test_a_stream_that_was_open_before_its_run_is_handed_over_when_it_has_caught_up() -> None:
    """await_run: until the run starts somebody has to wait for it, afterwards nobody."""
    gates = Gates()
    async with serving(flow := gated_workflow(gates)) as site:
        client = await site.open("/api/v1/runs/later/events?await_run=30")
        await client.until(b":\n")
        assert site.connections == 1
        await site.engine.start(flow, run_id="later")
        await client.until(b'"task_id":"slow"')
        await handed_over(site)
        open_all(gates)
        text = whole(await client.rest())
    assert ids_of(text) == list(range(1, len(ids_of(text)) + 1))
    assert frames_of(text)[-1].event == "stream.end"


async def test_an_idle_client_without_handler_gets_heartbeats_and_its_first_frame_carries_retry() -> None:
    """It joined with a cursor at the end: nothing but comments until something happens."""
    gates = Gates()
    async with serving(flow := gated_workflow(gates)) as site:
        run = await site.engine.start(flow)
        other = await site.follow(run)
        await other.until(b'"task_id":"slow"')
        last = run.feed.last_seq
        client = await site.follow(run, f"?after={last}&heartbeat=1")
        await handed_over(site, 2)
        await client.until(b"2\r\n:\n\r\n", 3)  # the first one is the opening
        assert site.connections == 0
        assert b"retry:" not in client.data
        await step(gates, 1, client)
        open_all(gates)
        text = whole(await client.rest())
    assert text.lstrip(b":\n").startswith(b"retry: 2000\nid: ")
    assert text.count(b"retry:") == 1
    assert ids_of(text) == list(range(last + 1, last + 1 + len(ids_of(text))))


# --- not handed over ---


async def compared(
    site: Site,
    special: Site,
    client: Raw,
    other: Raw,
    gates: Gates,
    *,
    has_returned: Callable[[], bool] = lambda: False,
) -> tuple[bytes, bytes]:
    """What two clients of one run got, of which the second one kept its handler all along."""
    for raw in (client, other):
        await raw.until(b'"task_id":"slow"')
    await handed_over(site)
    await kept(special)
    for number in range(1, 4):
        await step(gates, number, client, other)
    await kept(special)
    assert site.connections == 0
    assert not has_returned()
    open_all(gates)
    raw, kept_raw = await client.rest(), await other.rest()
    return whole(raw), whole(kept_raw) if other.is_chunked() else kept_raw


def the_same(text: bytes, other: bytes) -> bool:
    """But for the time of the last words."""
    return events_of(text) == events_of(other) and b"event: stream.end" in other


@pytest.mark.parametrize(
    ("options", "query", "version"),
    [
        ({"handler_cancellation": True}, "", "1.1"),
        ({}, "", "1.0"),
        ({}, "?on_disconnect=cancel", "1.1"),
    ],
    ids=["cancelled-with-its-client", "http-1.0", "cancels-the-run"],
)
async def test_a_handler_that_is_needed_stays_and_writes_the_same(
    options: dict[str, Any], query: str, version: str
) -> None:
    """Where a handler is cancelled with its client, where nothing is chunked, where a disconnect means something."""
    gates = Gates()
    async with (
        serving(flow := gated_workflow(gates)) as site,
        site_of(site.engine, reactor_web.create_app(site.engine), **options) as special,
    ):
        run = await site.engine.start(flow)
        client, other = await site.follow(run), await special.follow(run, query, version=version)
        assert the_same(*await compared(site, special, client, other, gates))
        assert other.is_chunked() == (version == "1.1")


async def test_a_host_applications_middleware_sees_a_stream_from_its_beginning_to_its_end() -> None:
    """Whoever wraps handlers wants to know when they are over."""
    gates, seen = Gates(), list[str]()

    @aiohttp_web.middleware
    async def theirs(request: aiohttp_web.Request, handler: Any) -> aiohttp_web.StreamResponse:
        seen.append("begun")
        try:
            return await handler(request)
        finally:
            seen.append("over")

    app = aiohttp_web.Application(middlewares=[theirs])
    async with serving(flow := gated_workflow(gates)) as site:
        reactor_web.mount(app, site.engine)
        async with site_of(site.engine, app) as special:
            run = await site.engine.start(flow)
            client, other = await site.follow(run), await special.follow(run)
            texts = await compared(site, special, client, other, gates, has_returned=lambda: seen != ["begun"])
            assert the_same(*texts)
            await poll(lambda: seen == ["begun", "over"], f"{seen}")


async def test_an_access_log_tells_of_a_stream_when_it_is_over() -> None:
    """A line with its duration needs a handler that lasts as long."""
    gates, lines = Gates(), list[str]()
    log = logging.Logger("access", logging.INFO)
    log.addHandler(handler := logging.Handler())
    handler.emit = lambda record: lines.append(record.getMessage())
    async with serving(flow := gated_workflow(gates)) as site:
        app = reactor_web.create_app(site.engine)
        async with site_of(site.engine, app, access_log=log) as special:
            run = await site.engine.start(flow)
            client, other = await site.follow(run), await special.follow(run)
            texts = await compared(site, special, client, other, gates, has_returned=lambda: bool(lines))
            assert the_same(*texts)
            await poll(lambda: len(lines) == 1, f"{lines}")


async def test_what_follows_web_stream_in_somebodys_handler_runs_when_the_stream_is_over() -> None:
    """``await reactor_web.stream(request, run)`` keeps its word."""
    gates, seen = Gates(), list[str]()
    async with serving(flow := gated_workflow(gates)) as site:
        run = await site.engine.start(flow)

        async def theirs(request: aiohttp_web.Request) -> aiohttp_web.StreamResponse:
            seen.append("begun")
            response = await reactor_web.stream(request, run)
            seen.append("over")
            return response

        app = reactor_web.create_app(site.engine)
        app.router.add_get("/mine", theirs)
        async with site_of(site.engine, app) as special:
            client, other = await site.follow(run), await special.open("/mine")
            texts = await compared(site, special, client, other, gates, has_returned=lambda: seen != ["begun"])
            assert the_same(*texts)
            await poll(lambda: seen == ["begun", "over"], f"{seen}")


# --- behind ---


async def test_a_client_without_handler_that_stops_reading_misses_nothing_and_holds_nobody_up(
    tls: Path | None,
) -> None:
    """Another one has everything while it does not read; then it reads on, each event once."""
    gates = Gates()
    async with serving(flow := flood_workflow(gates), tls=tls) as site:
        run, (slow, other) = await started(site, flow, clients=2)
        before = asyncio.all_tasks()
        await flooded(site, run, gates)
        open_all(gates)
        text = whole(await other.rest())
        await poll(lambda: site.stalled == len(site.streams) == 1, "it was to be stalled")
        assert ids_of(text) == list(range(1, EVENTS + 6))
        assert events_of(whole(await slow.rest())) == events_of(text)
        await poll(lambda: not site.streams and asyncio.all_tasks() <= before, "something is left of them")


async def test_a_client_that_has_read_on_waits_without_a_task_again() -> None:
    """A task exists only while it is behind."""
    gates = Gates()
    async with serving(flow := flood_workflow(gates)) as site:
        run, (client,) = await started(site, flow, clients=1)
        before = asyncio.all_tasks()
        await flooded(site, run, gates)
        assert not asyncio.all_tasks() <= before
        await client.until(b"event: block.made", EVENTS)
        await poll(lambda: not site.stalled and asyncio.all_tasks() <= before, "it is written to for ever")
        assert len(site.streams) == 1
        open_all(gates)
        assert ids_of(whole(await client.rest())) == list(range(1, EVENTS + 6))


async def test_a_client_that_has_not_read_all_of_its_replay_yet_is_handed_over_too() -> None:
    """What it has not read lies in the transport; nothing is left to do for a handler."""
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
        await handed_over(site, seconds=1.5)
        await site.clients[-1].until(b"event: block.made", tail)
        open_all(gates)
        assert ids_of(whole(await site.clients[-1].rest())) == list(range(EVENTS + 3 - tail, EVENTS + 6))


async def test_progress_that_a_client_has_read_from_the_log_already_is_nothing_to_send_it() -> None:
    """What a throttle has held back since before it came leaves later: nothing for it, least of all an empty chunk."""
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
        open_all(gates)
        assert frames_of(whole(await early.rest()))[-1].event == "stream.end"
        text = whole(await late.rest())
    assert text.count(b'"fraction":0.2') == 1
    assert b"event: said.it" in text
    assert frames_of(text)[-1].event == "stream.end"


# --- gone ---


@pytest.mark.parametrize("how", ["close", "reset", "half"])
async def test_a_client_without_handler_that_goes_is_noticed_and_changes_nothing(how: str, tls: Path | None) -> None:
    """Closed, reset or only half closed (which is all the same to aiohttp, too): its stream ends, the run goes on."""
    if how == "half" and tls:
        pytest.skip("TLS has no half-close in asyncio")
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
        open_all(gates)
        assert frames_of(whole(await staying.rest()))[-1].event == "stream.end"


@pytest.mark.parametrize("how", ["close", "reset", "half"])
async def test_a_client_that_goes_while_it_is_behind_is_noticed(how: str) -> None:
    """Whoever writes to it then is told."""
    gates = Gates()
    async with serving(flow := flood_workflow(gates)) as site:
        run, (client,) = await started(site, flow, clients=1)
        before = asyncio.all_tasks()
        await flooded(site, run, gates)
        client.leave(how)
        await poll(lambda: not site.streams and asyncio.all_tasks() <= before, "it is not noticed", 2)
        assert run.state.status == "running"


async def test_a_client_that_goes_over_tls_while_it_is_behind_is_noticed(certificate: Path) -> None:
    """The same, a layer above."""
    gates = Gates()
    async with serving(flow := flood_workflow(gates), tls=certificate) as site:
        run, (client,) = await started(site, flow, clients=1)
        await flooded(site, run, gates)
        client.leave("close")
        await poll(lambda: not site.streams, "it is not noticed")
        assert run.state.status == "running"


async def test_the_end_of_a_run_costs_a_client_one_task() -> None:
    """The connection that is lost then has nothing more to say to it."""
    gates, begun = Gates(), list[str]()

    def counting(loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> asyncio.Task[Any]:
        begun.append(getattr(coro, "__qualname__", ""))
        return asyncio.Task(coro, loop=loop, **options)

    async with serving(flow := gated_workflow(gates)) as site:
        client = await site.follow(await site.engine.start(flow))
        await client.until(b'"task_id":"slow"')
        await handed_over(site)
        asyncio.get_running_loop().set_task_factory(counting)
        open_all(gates)
        whole(await client.rest())
        await poll(lambda: not site.streams, "it stays")
        for _ in range(10):
            await asyncio.sleep(0)
        asyncio.get_running_loop().set_task_factory(None)
    assert begun.count("_Detached._write") == 1


async def test_a_task_that_is_cancelled_before_it_has_begun_does_not_hold_a_shutdown_up() -> None:
    """Host applications cancel whatever runs, then clean up."""
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
        done, _ = await asyncio.wait([closing], timeout=2.5)
        site.streams.remove(one)  # or the end of this test hangs, too
        assert done


# --- what it still sends ---


async def test_what_a_client_without_handler_sends_is_dropped() -> None:
    """Another request, what is no request at all, a megabyte: none is answered, the stream goes on."""
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
        open_all(gates)
        text = whole(await client.rest())
    assert ids_of(text) == list(range(1, len(ids_of(text)) + 1))
    assert frames_of(text)[-1].event == "stream.end"
    assert client.data.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("sent", ["body", "pipelined"])
async def test_a_client_that_has_sent_too_much_is_noticed_when_it_goes(sent: str) -> None:
    """Nobody reads the body of its request, nor more requests; the end of its connection stands behind them."""
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
        await poll(lambda: not site.streams, "it is not noticed", 1)
        assert run.state.status == "running"


# --- shutdown ---


async def test_a_shutdown_tells_clients_without_handlers_and_waits_for_none_that_does_not_read(
    tls: Path | None,
) -> None:
    """stream.closing and a whole body for who reads; who does not is cut off."""
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
    """When the application has cleaned up, its sockets are closed."""
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


# --- all at once ---


async def test_clients_that_come_while_their_run_ends_get_all_of_it() -> None:
    """Replayed, live or handed over in between: every event once, stream.end, a whole body."""
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


async def test_clients_that_go_at_any_moment_leave_nothing_behind() -> None:
    """Before they are answered, while they are handed over, with events on their way: those that stay miss nothing."""
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
        open_all(gates)
        text = whole(await staying.rest())
    assert ids_of(text) == list(range(1, len(ids_of(text)) + 1))
    assert frames_of(text)[-1].event == "stream.end"


async def test_many_clients_that_drop_at_once_with_events_on_their_way_are_all_noticed() -> None:
    """As when a proxy dies: nobody is written to for ever, nothing is logged."""
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
        open_all(gates)
        assert frames_of(whole(await clients[0].rest()))[-1].event == "stream.end"


async def test_a_shutdown_in_the_middle_of_hand_overs_tells_everybody_whose_stream_has_begun() -> None:
    """Whatever was answered is a whole body that ends with stream.closing."""
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
