"""``reactor serve`` without descriptors for more connections: it says so once, goes on, and recovers by itself."""

from __future__ import annotations

import json
import resource
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.helpers.command import end, start_server
from tests.helpers.runs import PATIENCE
from tests.helpers.warm import Started

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="sets the limit of another process: prlimit")

FLOW = """
from reactor import Workflow

hello = Workflow("hello")


@hello.task(executor="process")
def greet() -> str:
    return "hello"
"""
LIMIT = 140
KEPT = 35
"""A quarter of the limit is not for connections."""
CLIENTS = 200
SECONDS_AT_LIMIT = 1.5
RUNS = 20
"""At the limit. What the server says of them has room in its pipes, which nobody reads until it has ended."""


class Asking:
    """One connection that stays open."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.data = b""

    def ask(self, method: str, path: str, body: bytes = b"", headers: str = "") -> tuple[int, bytes]:
        self.send(method, path, body, headers)
        return self.answer()

    def send(self, method: str, path: str, body: bytes = b"", headers: str = "") -> None:
        head = f"{method} /api/v1{path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{headers}"
        self.socket.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)

    def answer(self) -> tuple[int, bytes]:
        head = self.until(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        while len(self.data) < length:
            self.data += self.socket.recv(65_536)
        body, self.data = self.data[:length], self.data[length:]
        return int(head.split()[1]), body

    def until(self, marker: bytes) -> bytes:
        while marker not in self.data:
            more = self.socket.recv(65_536)
            assert more, f"the connection ended before {marker!r}"
            self.data += more
        found, _, self.data = self.data.partition(marker)
        return found


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Started, int]]:
    """A server whose log is a file, with few descriptors."""
    (tmp_path / "flow.py").write_text(FLOW)
    url, process = start_server(tmp_path / "flow.py", "--store", f"sqlite:///{tmp_path}/runs.db")
    try:
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (LIMIT, LIMIT))
        yield process, urlsplit(url).port or 0
    finally:
        end(process)


def descriptors(process: Started) -> int:
    return sum(1 for _ in Path(f"/proc/{process.pid}/fd").iterdir())


def wait_for(answer: Asking, path: str, status: int) -> bytes:
    until = time.monotonic() + PATIENCE
    while True:
        found, body = answer.ask("GET", path)
        if found == status:
            return body
        assert time.monotonic() < until, body


def test_at_the_descriptor_limit_new_connections_wait_and_all_else_goes_on(served: tuple[Started, int]) -> None:
    """Two hundred clients for about a hundred places. Those that are in follow runs and start others, whose bodies are
    processes and whose events are in the file; /readyz says it; the log has one line. When some leave, others come in.
    """
    process, port = served
    early, stream = Asking(port), Asking(port)
    stream.send("GET", "/events")
    stream.until(b"\r\n\r\n")
    crowd = [Asking(port) for _ in range(CLIENTS)]
    for client in crowd:
        client.send("GET", "/healthz")
    problem = json.loads(wait_for(early, "/readyz", 503))
    assert problem["detail"] == "this server has no descriptors left for more connections"
    assert descriptors(process) <= LIMIT - KEPT + 2
    until = time.monotonic() + SECONDS_AT_LIMIT
    for _ in range(RUNS):
        status, body = early.ask("POST", "/workflows/hello/runs", b"{}", f"Prefer: wait={PATIENCE - 10:.0f}\r\n")
        assert (status, json.loads(body)["status"]) == (201, "completed"), body
        stream.until(b"event: run.completed")
    time.sleep(max(0.0, until - time.monotonic()))  # it looks for room several times, and says nothing of it
    inside = [client for client in crowd if is_answered(client)]
    assert LIMIT // 3 < len(inside) < CLIENTS
    for client in inside:
        client.socket.close()
    for client in crowd[len(inside) : len(inside) + 50]:  # those that have waited, in the order in which they came
        assert client.answer() == (200, b'{"status":"ok"}')
    for client in (*crowd, stream):
        client.socket.close()
    wait_for(early, "/readyz", 200)
    early.socket.close()
    process.send_signal(15)
    _, written = process.communicate(timeout=PATIENCE)
    lines = [line for line in written.splitlines() if "stream " not in line and " run " not in line]
    assert sum("new connections wait: no descriptors are left" in line for line in lines) == 1
    assert sum("new connections are accepted again" in line for line in lines) == 1
    assert "Too many open files" not in written
    assert len(lines) < 20, written


def is_answered(client: Asking) -> bool:
    """Whether something has come for a client, which does not wait for it."""
    client.socket.setblocking(False)
    try:
        return bool(client.socket.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return False
    finally:
        client.socket.settimeout(PATIENCE)
