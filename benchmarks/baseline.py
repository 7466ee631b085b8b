"""The servers in Python that reactor's streams are compared with; ``server`` describes the two kinds.

``POST /go`` with ``{"events", "burst", "pause", "type"}`` starts the events; the answer comes at once.
"""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable
from typing import Any

import orjson
from aiohttp import web
from aiohttp_sse import sse_response

from benchmarks.messages import END, frame, message

Ready = Callable[[str], None]
BACKLOG = 4_096


async def _terminated() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()


# --- a queue and send() per client ---


class Hub:
    """The queues of all clients. They have no limit, as in common examples; no client here is slow enough to matter."""

    def __init__(self) -> None:
        self.queues: set[asyncio.Queue[tuple[str, str, str] | None]] = set()
        self.producers: set[asyncio.Task[None]] = set()

    async def follow(self, request: web.Request) -> web.StreamResponse:
        queue: asyncio.Queue[tuple[str, str, str] | None] = asyncio.Queue()
        self.queues.add(queue)
        try:
            async with sse_response(request, sep="\n") as response:
                await response.write(b": the headers leave with the first bytes\n\n")
                while (item := await queue.get()) is not None:
                    data, seq, type = item
                    await response.send(data, id=seq, event=type)
                await response.send(END.decode(), event="stream.end")
        finally:
            self.queues.discard(queue)
        return response

    async def go(self, request: web.Request) -> web.Response:
        task = asyncio.create_task(self.produce(await request.json()))
        self.producers.add(task)
        return web.Response()

    async def produce(self, plan: dict[str, Any]) -> None:
        events, burst, type = plan["events"], plan["burst"], plan.get("type", "step.made")
        for first in range(1, events + 1, burst):
            for seq in range(first, min(first + burst, events + 1)):
                item = (message(seq, type).decode(), str(seq), type)
                for queue in self.queues:
                    queue.put_nowait(item)
            await asyncio.sleep(plan.get("pause", 0))
        for queue in self.queues:
            queue.put_nowait(None)


async def send(ready: Ready) -> None:
    """Serves ``GET /events``."""
    hub = Hub()
    app = web.Application()
    app.router.add_get("/events", hub.follow)
    app.router.add_post("/go", hub.go)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=BACKLOG).start()
    ready(f"http://127.0.0.1:{runner.addresses[0][1]}")
    await _terminated()
    await runner.cleanup()


# --- bytes made before ---


async def made(ready: Ready) -> None:
    """Writes to blocking sockets in turn: a slow client holds up all, so nothing is buffered in this process."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
    ready(f"http://127.0.0.1:{listener.getsockname()[1]}")
    await asyncio.to_thread(_serve_made, listener)


def _serve_made(listener: socket.socket) -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    clients: list[socket.socket] = []
    while True:
        connection, _ = listener.accept()
        asked = connection.recv(65_536)
        if asked.startswith(b"GET "):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
            clients.append(connection)
            continue
        body = asked.partition(b"\r\n\r\n")[2] or connection.recv(65_536)
        _write_all(clients, orjson.loads(body))
        while clients:
            clients.pop().close()
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


def _write_all(clients: list[socket.socket], plan: dict[str, Any]) -> None:
    events, burst = plan["events"], plan["burst"]
    frames = [frame(seq) for seq in range(1, events + 1)]
    pieces = [b"".join(frames[first : first + burst]) for first in range(0, events, burst)]
    for piece in [*pieces, b"event: stream.end\ndata: %b\n\n" % END]:
        for client in clients:
            client.sendall(piece)
