"""A channel writes past the handler: the same bytes, only to clients that keep up, only if aiohttp is as expected."""

from __future__ import annotations

import asyncio
from importlib import import_module

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from reactor_web.streaming.connection.direct import Place, chunk_of, text_frames, transport_of, transport_of_socket
from tests.helpers.server import Server, Stream


async def waiting(server: Server, clients: int) -> list[Place]:
    """The places of the clients that a channel may write to, as soon as there are this many."""
    async with asyncio.timeout(10):
        while True:
            places = [place for channel in server.streams.channels for place in channel.clients if place.is_waiting]
            if len(places) >= clients:
                return places
            await asyncio.sleep(0.001)


async def step(server: Server, *streams: Stream) -> None:
    """Makes the workflow emit one event, and waits until all streams have it."""
    server.gates["step"].set()
    for stream in streams:
        await stream.until("step.made")


async def follow_three_steps(server: Server) -> tuple[list[bytes], list[int]]:
    """The bytes that three clients read of a live run, and how often a channel wrote to each of them."""
    run = await server.start("gated", run_id="r")
    async with (
        server.events(run["run_id"]) as one,
        server.events(run["run_id"]) as two,
        server.events(run["run_id"], "?types=step.*") as other,
    ):
        for stream in (one, two):
            await stream.until("task.started", task_id="slow")
        for _ in range(3):
            found = await waiting(server, 2)
            await step(server, one, two, other)
        writes = [place.written for place in found]
        server.gates.open()
        for stream in (one, two, other):
            await stream.all()
        return [one.raw, two.raw, other.raw], writes


def events_of(raw: bytes) -> bytes:
    """The stream without its last frame, which has another time for each client."""
    return raw.partition(b"event: stream.end")[0]


async def test_clients_that_keep_up_are_written_to_past_their_handlers(server: Server) -> None:
    """A channel writes to clients that keep up; what arrives is whole, in order, and the same for all of them."""
    (one, two, other), writes = await follow_three_steps(server)
    assert events_of(one) == events_of(two)
    assert one.count(b"\nid: ") == one.count(b"\nevent: ") == one.count(b"\ndata: ")
    assert b"event: stream.end" in one
    assert other.count(b"step.made") >= 3 * 2
    assert max(writes) >= 1, "nobody was written to: has aiohttp's writer changed?"


async def test_where_the_writer_is_another_one_the_handler_writes_the_same(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A channel never writes to a response that is not sent in plain chunks; its handler writes all of it."""
    monkeypatch.setattr(import_module("reactor_web.streaming.response"), "transport_of", lambda writer: None)
    (one, two, other), writes = await follow_three_steps(server)
    assert events_of(one) == events_of(two)
    assert b"event: stream.end" in one
    assert other.count(b"step.made") >= 3 * 2
    assert not any(writes)


def test_a_writer_that_is_not_as_expected_is_not_used() -> None:
    """There is no transport for: no writer, one that does not chunk, one that compresses, one of another shape."""

    class Writer:
        chunked = True
        transport = object()
        _compress: object = None

    class Compressing(Writer):
        _compress = object()

    class Plain(Writer):
        chunked = False

    for writer in (None, object(), Writer(), Compressing(), Plain()):
        assert transport_of(writer) is None
    assert not Place(None, 0, 0).write(chunk_of(b"x"))


def test_a_chunk_is_as_http_has_it() -> None:
    """A chunk is its size in hexadecimal and its bytes, each with a line end."""
    assert chunk_of(b"x" * 26) == b"1a\r\n" + b"x" * 26 + b"\r\n"


async def test_lines_are_text_frames_as_a_client_reads_them() -> None:
    """A client of aiohttp gets every line that is framed here and written to the transport, whatever its length."""
    lines = [b"x" * size for size in (1, 125, 126, 65_535, 65_536, 100_000)]

    async def serve(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        transport, frames = transport_of_socket(socket), text_frames(b"\n".join(lines) + b"\n")
        assert transport is not None, "has aiohttp's writer changed?"
        assert frames is not None
        transport.write(frames)
        await socket.close()
        return socket

    app = web.Application()
    app.router.add_get("/", serve)
    async with TestClient(TestServer(app)) as client, client.ws_connect("/") as socket:
        assert [(await socket.receive_str()).encode() for _ in lines] == lines


def test_a_heartbeat_of_a_socket_is_left_to_its_handler() -> None:
    """An empty line is no message: nothing is framed that has one."""
    assert text_frames(b"\n") is None
    assert text_frames(b"x\n\ny\n") is None
    assert transport_of_socket(object()) is None
