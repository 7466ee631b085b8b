"""S6: a run of 100,000 events in SQLite, replayed to one SSE client over loopback; the server is another process.

The run is put into the log directly, in windows of 1,000. The client looks for ``id:`` lines and compares them with
1 … N; nothing is decoded on its side, because the server is what is measured.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import orjson

from reactor import Engine
from reactor.events import Draft, Event, task_head
from reactor.logs import SqliteLog
from web.serve import serve

EVENTS = 100_000
WINDOW = 1_000
TARGET = 200_000.0
ROUNDS = 5
RUN_ID = "replayed"

_TIME = b"2026-11-21T02:51:00.123456Z"
_IDS = re.compile(rb"^id: ([0-9]+)$", re.MULTILINE)


def draft(seq: int, last: int) -> Draft:
    """Events of 150 to 250 bytes, as a run has them."""
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
        window = [Event.numbered(seq, RUN_ID, _TIME, draft(seq, events)) for seq in seqs]
        size += sum(len(event.json) for event in window)
        await log.append(RUN_ID, window)
    await log.close()
    return size


def replay_once(port: int, events: int) -> float:
    """Seconds from the request to the end of the stream; raises AssertionError unless every event came in order."""
    began = perf_counter()
    connection = socket.create_connection(("127.0.0.1", port))
    connection.sendall(f"GET /api/v1/runs/{RUN_ID}/events HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
    chunks = []
    while chunk := connection.recv(1 << 20):
        chunks.append(chunk)
    seconds = perf_counter() - began
    connection.close()
    ids = list(map(int, _IDS.findall(unchunked(b"".join(chunks)))))
    assert ids == [*range(1, events + 1), events], "the stream is not 1 to N and stream.end"
    return seconds


def unchunked(response: bytes) -> bytes:
    """The body of a response in HTTP chunks."""
    at = response.index(b"\r\n\r\n") + 4
    parts = []
    while size := int(response[at : (line_end := response.index(b"\r\n", at))], 16):
        parts.append(response[line_end + 2 : line_end + 2 + size])
        at = line_end + 2 + size + 2
    return b"".join(parts)


def replay_rate(events: int = EVENTS, rounds: int = ROUNDS) -> dict[str, Any]:
    """Events per second of a replay, median of ``rounds``."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "runs.db"
        size = asyncio.run(fill(path, events))
        server = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.replay", str(path)],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[1],
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        try:
            assert server.stdout is not None
            port = int(server.stdout.readline())
            rates = [events / replay_once(port, events) for _ in range(rounds)]
        finally:
            server.terminate()
            server.communicate()
    return {
        "events": events,
        "mean_bytes": size / events,
        "per_second": median(rates),
        "spread": f"{min(rates):,.0f}-{max(rates):,.0f}",
        "target": TARGET,
        "met": median(rates) >= TARGET,
    }


def sentence(result: dict[str, Any]) -> str:
    """The figures of ``replay_rate`` in a line."""
    return (
        f"replay of {result['events']:,} events of {result['mean_bytes']:.0f} bytes from SQLite to one SSE client: "
        f"{result['per_second']:,.0f} events/s ({result['spread']}); target {result['target']:,.0f}: "
        f"{'met' if result['met'] else 'MISSED'}"
    )


async def _serve(path: Path) -> None:
    def ready(url: str) -> None:
        print(url.rpartition(":")[2], flush=True)

    await serve(Engine(f"sqlite:///{path}"), [], "127.0.0.1", 0, ready=ready)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asyncio.run(_serve(Path(sys.argv[1])))
    else:
        print(sentence(replay_rate()))
