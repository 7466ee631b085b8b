"""S6: a run of 100,000 events in SQLite, replayed to one SSE client over loopback; the server is another process.

The run is put into the log directly, in windows of 1,000. The client looks for ``id:`` lines and compares them with
1 … N; nothing is decoded on its side, because the server is what is measured. The baseline writes as many frames, made
before, in pieces of 1,000: the limit of the kernel and of the load program.
"""

from __future__ import annotations

import asyncio
import re
import socket
import tempfile
from pathlib import Path
from time import perf_counter

import orjson

from benchmarks.figure import Figure, spread
from benchmarks.publish import Publisher
from benchmarks.served import plan_of, server
from reactor.events.event import Draft, Event, task_head
from reactor.logs.sqlite.log import SqliteLog

EVENTS = 100_000
WINDOW = 1_000
TARGET = 200_000.0
ROUNDS = 5
RUN_ID = "replayed"

_TIME = b"2026-11-21T02:51:00.123456Z"
_IDS = re.compile(rb"^id: ([0-9]+)$", re.MULTILINE)


def draft(seq: int, last: int) -> Draft:
    """A draft of 150 to 250 bytes, as in a run."""
    if seq == 1:
        started = {"workflow": "bench", "version": "1", "total_tasks": 0, "tasks": []}
        return Draft("run.started", orjson.dumps(started))
    if seq == last:
        return Draft("run.completed", orjson.dumps({"outputs": {}, "duration_ms": 1.0}))
    index = seq % 500
    data = orjson.dumps({"count": seq, "text": "x" * (seq % 80)})
    return Draft("step.made", data, f"measure[{index}]", task_head(f"measure[{index}]", "measure", index, 1))


async def fill(path: Path, events: int = EVENTS) -> int:
    """Writes the run; returns its bytes of JSON."""
    log = SqliteLog(path)
    await log.open()
    size = 0
    for first in range(1, events + 1, WINDOW):
        seqs = range(first, min(first + WINDOW, events + 1))
        window = [Event.from_draft(seq, RUN_ID, _TIME, draft(seq, events)) for seq in seqs]
        size += sum(len(event.json) for event in window)
        await log.append(RUN_ID, window)
    await log.close()
    return size


def replay_once(port: int, events: int) -> float:
    """Seconds from the request to the end of the stream; raises AssertionError unless every event came in order."""
    began = perf_counter()
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(f"GET /api/v1/runs/{RUN_ID}/events HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        response = read_to_end(connection)
    seconds = perf_counter() - began
    ids = list(map(int, _IDS.findall(unchunked(response))))
    assert ids == [*range(1, events + 1), events], "the stream is not 1 to N and stream.end"
    return seconds


def made_once(events: int) -> float:
    """Seconds for as many frames made before, read by the same code."""
    with server("made") as served, socket.create_connection(("127.0.0.1", served.port)) as connection:
        connection.sendall(b"GET /events HTTP/1.1\r\n\r\n")
        connection.recv(65_536)
        publisher = Publisher(served.port, plan_of("made", served.port, events, WINDOW)["publish"])
        publisher.send()
        first = connection.recv(1 << 20)  # the time to make the frames is not counted
        began = perf_counter()
        response = first + read_to_end(connection)
        seconds = perf_counter() - began
        publisher.socket.close()
    assert response.count(b"\nid: ") + 1 >= events, "the stream is not complete"
    return seconds


def read_to_end(connection: socket.socket) -> bytes:
    """Reads until the server closes the connection."""
    chunks: list[bytes] = []
    while chunk := connection.recv(1 << 20):
        chunks.append(chunk)
    return b"".join(chunks)


def unchunked(response: bytes) -> bytes:
    """The body of a response in HTTP chunks."""
    at = response.index(b"\r\n\r\n") + 4
    parts = []
    while size := int(response[at : (line_end := response.index(b"\r\n", at))], 16):
        parts.append(response[line_end + 2 : line_end + 2 + size])
        at = line_end + 2 + size + 2
    return b"".join(parts)


def s6(quick: bool) -> Figure:
    """Events per second from the request to the end of the stream."""
    events, rounds = (20_000, 2) if quick else (EVENTS, ROUNDS)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "runs.db"
        size = asyncio.run(fill(path, events))
        with server("reactor", f"sqlite:///{path}") as served:
            rates = [events / replay_once(served.port, events) for _ in range(rounds)]
            used = served.process.cpu
    made = [events / made_once(events) for _ in range(rounds)]
    medians = {"reactor": spread(rates)["value"], "made": spread(made)["value"]}
    return Figure(
        id="S6",
        what=f"replay of {events:,} events from SQLite to one client",
        unit="events/s",
        **spread(rates),
        target=f"≥ {TARGET:,.0f} events/s",
        met=medians["reactor"] >= TARGET,
        ratio=medians["reactor"] / medians["made"],
        against="bytes made before",
        note=f"{size / events:.0f} bytes of JSON an event; bytes made before {medians['made']:,.0f}/s; "
        f"{used.system / max(used.user + used.system, 1e-9):.0%} of the server's time in the kernel",
        bars=medians,
    )
