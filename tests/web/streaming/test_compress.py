"""``compress=1``: a stream is compressed for the client that asks, and still no event waits."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from contextlib import suppress
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

import reactor_web
from reactor import Engine
from reactor_web.streaming.connection.compress import codings, compressor
from reactor_web.streaming.connection.event_stream import EventStream
from tests.helpers.flows import one_task
from tests.helpers.lines_client import NDJSON
from tests.helpers.runs import wait_for_event
from tests.helpers.server import Gates, Server, gated_workflow
from tests.helpers.sse import parse

zstandard: Any = pytest.importorskip("zstandard")


def decoder(coding: str) -> Any:
    """Decodes a stream piece by piece."""
    return zstandard.ZstdDecompressor().decompressobj() if coding == "zstd" else zlib.decompressobj(31)


class Compressed:
    """An open stream whose bytes are decoded as they come."""

    def __init__(self, server: Server, path: str, coding: str, **headers: str) -> None:
        self._session = aiohttp.ClientSession(auto_decompress=False)
        self._request = self._session.get(server.url + path, headers={"Accept-Encoding": coding, **headers})
        self._decoder = decoder(coding)
        self.raw = self.text = b""

    async def __aenter__(self) -> Compressed:
        self.response = await self._request.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._request.__aexit__(*error)
        await self._session.close()

    async def until(self, marker: bytes) -> None:
        async with asyncio.timeout(10):
            while marker not in self.text:
                data = await self.response.content.readany()
                assert data, f"the stream ended before {marker!r}"
                self.raw += data
                self.text += self._decoder.decompress(data)


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
async def test_each_event_can_be_read_when_it_happens(server: Server, coding: str) -> None:
    """Nothing waits in the compressor; together the bytes are those of a plain stream, and fewer."""
    await server.start("gated", run_id="r")
    async with Compressed(server, "/runs/r/events?compress=1", coding) as stream:
        assert stream.response.headers["Content-Encoding"] == coding
        assert "Accept-Encoding" in stream.response.headers["Vary"]
        await stream.until(b"task.started")
        for count in range(1, 4):
            server.gates["step"].set()
            await stream.until(b'"count":%d' % count)
        server.gates.open()
        await stream.until(b"event: stream.end")
        raw = stream.raw + await stream.response.read()
    whole = zstandard.ZstdDecompressor().decompressobj().decompress(raw) if coding == "zstd" else gzip.decompress(raw)
    assert whole.startswith(stream.text)
    async with server.events("r") as plain:
        frames = await plain.all()
    assert parse(whole)[:-1] == frames[:-1]
    assert len(raw) < len(whole) / 2


async def test_it_is_off_unless_the_request_and_its_accept_encoding_ask_for_it(server: Server) -> None:
    """No header, a star and ``identity`` are sent plain bytes, and so is everybody without ``compress=1``."""
    await server.start("small", run_id="r")
    await (await server.engine.get("r")).ended()
    for path, accepted in (
        ("/runs/r/events", "gzip"),
        ("/runs/r/events?compress=0", "gzip"),
        ("/runs/r/events?compress=1", "*"),
        ("/runs/r/events?compress=1", "identity"),
        ("/runs/r/events?compress=1", "gzip;q=0"),
        ("/runs/r/events?compress=1", "br"),
    ):
        async with server.session.get(server.url + path, headers={"Accept-Encoding": accepted}) as response:
            assert "Content-Encoding" not in response.headers
            assert b"run.started" in await response.read()


async def test_other_forms_are_compressed_too(server: Server) -> None:
    """Lines of JSON; a client library that decodes by itself sees nothing of it."""
    await server.start("small", run_id="r")
    await (await server.engine.get("r")).ended()
    async with server.session.get(
        f"{server.url}/runs/r/events?compress=1", headers={"Accept": NDJSON, "Accept-Encoding": "gzip"}
    ) as response:
        assert response.headers["Content-Encoding"] == "gzip"
        assert (await response.read()).count(b'"type":"run.started"') == 1
    async with server.events("r", "?compress=1", **{"Accept-Encoding": "gzip"}) as stream:
        assert (await stream.all())[-1].event == "stream.end"


async def test_clients_share_the_pipeline_whether_they_compress_or_not(server: Server) -> None:
    """Only the bytes on the way out are their own."""
    await server.start("gated", run_id="r")
    run = await server.engine.get("r")
    await wait_for_event(run, "task.started", None, 3)
    async with Compressed(server, "/runs/r/events?compress=1", "gzip") as one, server.events("r") as other:
        await one.until(b"task.started")
        await other.until("task.started")
        async with asyncio.timeout(10):
            while [len(channel.clients) for channel in server.streams.channels] != [2]:
                await asyncio.sleep(0.001)
        server.gates.open()
        await one.until(b"event: stream.end")
        await other.until("stream.end")


async def test_a_server_that_stops_ends_the_compressed_bytes_well(server: Server) -> None:
    """``stream.closing`` can be read, and the end is a whole end."""
    await server.start("gated", run_id="r")
    async with Compressed(server, "/runs/r/events?compress=1", "gzip") as stream:
        await stream.until(b"task.started")
        stopping = asyncio.ensure_future(server.stop())
        await stream.until(b"stream.closing")
        raw = stream.raw + await stream.response.read()
        await stopping
    assert b"shutdown" in gzip.decompress(raw)


async def test_a_host_that_compresses_everything_holds_no_event_back() -> None:
    """Its ``enable_compression`` does nothing, with ``compress=1`` and without it."""
    gates, app, engine = Gates(), web.Application(), Engine()

    async def compress(request: web.Request, response: web.StreamResponse) -> None:
        response.enable_compression(web.ContentCoding.deflate)
        response.headers["Content-Encoding"] = "deflate"

    app.on_response_prepare.append(compress)
    reactor_web.mount(app, engine, [gated_workflow(gates)])
    async with TestClient(TestServer(app)) as client:
        await engine.start("gated", run_id="r")
        for query, coding in (("", None), ("?compress=1", "gzip")):
            async with client.get(f"/api/v1/runs/r/events{query}", headers={"Accept-Encoding": "gzip"}) as response:
                assert response.headers.get("Content-Encoding") == coding
                async with asyncio.timeout(10):
                    assert b"run.started" in await response.content.readuntil(b"run.started")
        gates.open()


async def test_a_mount_compresses_by_default() -> None:
    """``mount(compress=True)``; ``compress=0`` still wins."""
    engine = Engine()
    app = reactor_web.create_app(engine, [one_task(lambda: 1, "one")], compress=True)
    async with TestClient(TestServer(app)) as client:
        await (await engine.start("one", run_id="r"))
        for query, coding in (("", "gzip"), ("?compress=0", None)):
            async with client.get(f"/api/v1/runs/r/events{query}", headers={"Accept-Encoding": "gzip"}) as response:
                assert response.headers.get("Content-Encoding") == coding
                assert b"stream.end" in await response.read()


def test_the_codings_are_those_that_are_installed() -> None:
    """zstd is preferred where its library is there."""
    assert codings() == ("zstd", "gzip")


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_what_was_compressed_can_be_read_at_once(coding: str) -> None:
    """Each piece by itself, also an empty one; and the whole has a good end."""
    packer, unpacker = compressor(coding), decoder(coding)
    pieces = [b"id: 1\n\n" * n for n in (1, 0, 3, 10_000)]
    assert [unpacker.decompress(packer.compress(piece)) for piece in pieces] == pieces
    assert unpacker.decompress(packer.finish()) == b""
    assert unpacker.eof


@pytest.mark.parametrize("coding", codings())
async def test_a_stream_whose_client_leaves_at_the_end_is_ended_again(coding: str) -> None:
    """aiohttp ends a response again whose client left while it was ended: the compressor has given all it had."""
    raised: list[type[BaseException] | None] = []

    async def serve(request: web.Request) -> web.StreamResponse:
        response = EventStream({}, coding=coding)
        await response.prepare(request)
        response.stop_streaming()
        await response.write(b"data: 1\n\n")
        assert request.transport is not None
        request.transport.close()
        for _ in range(2):
            try:
                await response.write_eof()
                raised.append(None)
            except Exception as error:
                raised.append(type(error))
        return response

    app = web.Application()
    app.router.add_get("/", serve)
    async with TestClient(TestServer(app), auto_decompress=False) as client:
        with suppress(aiohttp.ClientError):
            await (await client.get("/")).read()
    assert raised[0] is aiohttp.ClientConnectionResetError
    assert raised[1] in (None, aiohttp.ClientConnectionResetError)
