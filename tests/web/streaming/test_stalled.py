"""A hundred clients of one run, ten of which never read: the others get all events, and memory does not grow."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

CLIENTS = 100
STALLED = 10
EVENTS = 400
EVENTS_OF_THE_BASELINE = 100
EVENT_BYTES = 30_000
ALLOWANCE_KB = 60 * 1024

SERVER = f"""
import asyncio, sys
from reactor import Context, Engine, Workflow
from reactor_web.streaming import streams
from reactor_web.terminal.serve import serve

streams.SEND_TIMEOUT_SECONDS = 2.0
flood, go = Workflow("flood"), Workflow("go")
told = asyncio.Event()

@flood.task
async def emit(events: int, ctx: Context) -> None:
    await told.wait()
    for n in range(events):
        await ctx.emit("block.made", {{"n": n, "text": "x" * {EVENT_BYTES}}})

@go.task
async def tell() -> None:
    told.set()

def ready(url):
    print(url, flush=True)

asyncio.run(serve(Engine(f"sqlite:///{{sys.argv[1]}}"), [flood, go], "127.0.0.1", 0, ready=ready))
"""


class Client(asyncio.Protocol):
    """Reads a stream (HTTP/1.0, so without chunks) and keeps the ids it saw; ``patience``: events until it stalls."""

    def __init__(self, after: int = 0, patience: int | None = None) -> None:
        self.after = after
        self.patience = patience
        self.ids: list[int] = []
        self.connected: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tail = b""

    async def connect(self, port: int, run_id: str) -> Client:
        connection = socket.socket()
        if self.patience is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        connection.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(connection, ("127.0.0.1", port))
        self.transport, _ = await loop.create_connection(lambda: self, sock=connection)
        cursor = f"Last-Event-ID: {self.after}\r\n" if self.after else ""
        request = f"GET /api/v1/runs/{run_id}/events HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n{cursor}\r\n"
        self.transport.write(request.encode())
        await self.connected
        return self

    def data_received(self, data: bytes) -> None:
        if not self.connected.done():
            self.connected.set_result(None)
        data = self._tail + data
        seen = 0
        while (at := data.find(b"\nid: ", seen)) >= 0 and (end := data.find(b"\n", at + 1)) >= 0:
            self.ids.append(int(data[at + 5 : end]))
            seen = end
        self._tail = data[at:] if at >= 0 else data[max(seen, len(data) - 4) :]
        if self.patience is not None and len(self.ids) >= self.patience:
            self.transport.pause_reading()

    def connection_lost(self, error: Exception | None) -> None:
        self.closed.set_result(None)


@asynccontextmanager
async def serving(path: Path) -> AsyncIterator[tuple[subprocess.Popen[bytes], int]]:
    process = subprocess.Popen([sys.executable, "-c", SERVER, str(path)], stdout=subprocess.PIPE)  # noqa: ASYNC220
    assert process.stdout is not None
    try:
        yield process, int(process.stdout.readline().rpartition(b":")[2])
    finally:
        process.kill()
        process.communicate()


def peak_kb(process: subprocess.Popen[bytes]) -> int:
    """The most memory the process ever had."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


def is_whole(ids: list[int], events: int) -> bool:
    """A whole stream: four of the run and its task, those of the body, and stream.end with the last id.

    On a machine that is busy a step of the body may take long: the engine's warning of that is one more.
    """
    return ids == [*range(1, ids[-1] + 1), ids[-1]] and events + 4 <= ids[-1] <= events + 10


async def post(session: aiohttp.ClientSession, port: int, workflow: str, **input: int) -> str:
    url = f"http://127.0.0.1:{port}/api/v1/workflows/{workflow}/runs"
    async with session.post(url, json={"input": input}) as response:
        assert response.status == 201
        return (await response.json())["run_id"]


async def flooded(
    session: aiohttp.ClientSession, process: subprocess.Popen[bytes], port: int, *, stalled: int, events: int
) -> tuple[int, str, list[Client]]:
    """Runs the flood with this many stalled clients: the server's peak memory, the run, and the stalled clients."""
    run_id = await post(session, port, "flood", events=events)
    clients = [Client(patience=3 + i if i < stalled else None) for i in range(CLIENTS)]
    await asyncio.gather(*(client.connect(port, run_id) for client in clients))
    await post(session, port, "go")
    await asyncio.gather(*(client.closed for client in clients[stalled:]))
    for client in clients[stalled:]:
        assert is_whole(client.ids, events)
    return peak_kb(process), run_id, clients[:stalled]


async def streams_open(session: aiohttp.ClientSession, port: int) -> int:
    async with session.get(f"http://127.0.0.1:{port}/api/v1/readyz") as response:
        return json.loads(await response.text())["streams"]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads memory from /proc")
async def test_clients_that_never_read_cost_nobody_anything(tmp_path: Path) -> None:
    """90 clients get every event in order; 10 stalled ones cost hardly any memory, and resume by their cursor."""
    async with asyncio.timeout(120), aiohttp.ClientSession() as session:
        async with serving(tmp_path / "all.db") as (process, port):
            all_reading, *_ = await flooded(session, process, port, stalled=0, events=EVENTS_OF_THE_BASELINE)
        async with serving(tmp_path / "some.db") as (process, port):
            some_stalled, run_id, stalled = await flooded(session, process, port, stalled=STALLED, events=EVENTS)
            assert some_stalled < all_reading + ALLOWANCE_KB

            while await streams_open(session, port):  # stalled ones are aborted once a write took too long
                await asyncio.sleep(0.1)
            for client in stalled:
                client.transport.abort()
                client.ids.pop()  # its event may not have come to its end
                assert 0 < len(client.ids) < EVENTS
            resumed = [Client(after=client.ids[-1]) for client in stalled]
            await asyncio.gather(*(client.connect(port, run_id) for client in resumed))
            await asyncio.gather(*(client.closed for client in resumed))
            for before, after in zip(stalled, resumed, strict=True):
                assert is_whole(before.ids + after.ids, EVENTS)
            never = [Client(patience=0) for _ in range(STALLED)]  # who ask for all of it and read nothing
            await asyncio.gather(*(client.connect(port, run_id) for client in never))
            assert await post(session, port, "go")
            after_all = peak_kb(process)
            assert after_all < all_reading + ALLOWANCE_KB, f"{all_reading=} {some_stalled=} {after_all=} kB"
            for client in never:
                client.transport.abort()
            await asyncio.gather(*(client.closed for client in [*stalled, *never]))
