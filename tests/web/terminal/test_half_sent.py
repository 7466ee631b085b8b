"""Connections to ``reactor serve`` that never send a whole request: they end in time, whatever they have sent."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.helpers.command import end
from tests.helpers.site import poll
from tests.helpers.warm import Started, start_python

EACH = 20
BODY = 20_000

HEAD = b"POST /api/v1/runs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
HALF_SENT = {
    "nothing": b"",
    "one byte": b"G",
    "half a line": b"GET /api/v1/he",
    "half a head": b"GET /api/v1/healthz HTTP/1.1\r\nHost: localhost\r\nX-A: ",
    "half a body": HEAD + b"Content-Length: 1000\r\n\r\n{",
    "half a chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\nff\r\n{",
    "half a body for nobody": b"POST /nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{",
    "a request, and half of the next": b"GET /api/v1/healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /api/v1/he",
    "a request, and nothing": b"GET /api/v1/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
}


SERVER = """
import asyncio

from reactor import Engine, Workflow
from reactor_web import bounds
from reactor_web.terminal import arrivals, serve

serve.IDLE_SECONDS = serve.LINGER_SECONDS = 0.5
bounds.BODY_SECONDS = 2.0
arrivals.CHECK_SECONDS = 0.1
flow = Workflow("flow")
flow.task(lambda text: len(text), name="length")
ready = lambda url: print(url, flush=True)
asyncio.run(serve.serve(Engine("memory://"), [flow], "127.0.0.1", 0, ready=ready))
"""
"""``serve`` as the command runs it, with less patience: only for the speed of these tests."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Started, int]]:
    script = tmp_path_factory.mktemp("served") / "server.py"
    script.write_text(SERVER)
    process = start_python(script)
    try:
        yield process, int(process.stdout.readline().rpartition(":")[2])
    finally:
        end(process)


def descriptors(process: Started) -> int:
    return sum(1 for _ in Path(f"/proc/{process.pid}/fd").iterdir())


async def closed(sent: bytes, port: int) -> None:
    """Sends this and nothing more, and returns when the server has closed the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(sent)
        with suppress(ConnectionError):
            while await reader.read(65_536):
                pass
    finally:
        writer.close()


@pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors in /proc")
async def test_half_a_request_does_not_stay(served: tuple[Started, int]) -> None:
    """Twenty connections of each kind: the server closes all of them, and has the descriptors that it had before."""
    process, port = served
    before = descriptors(process)
    async with asyncio.timeout(20):
        await asyncio.gather(*[closed(sent, port) for sent in HALF_SENT.values() for _ in range(EACH)])
    await poll(lambda: descriptors(process) <= before, "descriptors are left")


async def test_a_body_that_comes_byte_by_byte_is_a_body(served: tuple[Started, int]) -> None:
    """Thousands of chunks of one byte, within the time: the answer is that to the whole body."""
    _, port = served
    body = json.dumps({"input": {"text": "x" * BODY}}).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    head = HEAD.replace(b"/runs", b"/workflows/flow/runs") + b"Prefer: wait=20\r\nTransfer-Encoding: chunked\r\n\r\n"
    writer.write(head)
    for start in range(0, len(body), 1_000):
        writer.write(b"".join(b"1\r\n%c\r\n" % byte for byte in body[start : start + 1_000]))
        await writer.drain()
    writer.write(b"0\r\n\r\n")
    answer = await asyncio.wait_for(reader.readuntil(b'"completed"'), 15)
    writer.close()
    assert b"201 Created" in answer
