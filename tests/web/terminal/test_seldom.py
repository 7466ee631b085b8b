"""A stranger cannot fill the log of ``reactor serve``: lines of a kind are few, and what is left out is counted."""

from __future__ import annotations

import base64
import json
import logging
import os
import re
import socket
import struct
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from reactor.logger import get_logger
from reactor_web.terminal.log_lines import Format, JsonFormatter, Level, TextFormatter, log_to_stderr
from reactor_web.terminal.seldom import MOST, PERIOD_SECONDS, Seldom, left_out_of
from tests.helpers.command import end, start_server
from tests.helpers.warm import Started

TIMES = 4 * MOST
UPGRADE = (
    "GET /api/v1/runs/open/ws HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
    f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {base64.b64encode(bytes(16)).decode()}\r\n\r\n"
).encode()
SENTENCE = re.compile(r"\S+ \S+ \[[A-Z]+\] ([A-Za-z :]{1,25})")
BAD_FRAMES = [
    b"\x8f\x80abcd",
    b"\xf1\x80abcd",
    b"\x89\xfe\xff\xff" + bytes(4),
    b"\x81\x82abcd\xff\xff",
]
"""An unknown opcode, reserved bits, a ping that is too long, and text that is no UTF-8."""


def record(name: str = "aiohttp.server", text: str = "Error handling request from %s") -> logging.LogRecord:
    return logging.LogRecord(name, logging.ERROR, __file__, 1, text, ("127.0.0.1",) if "%" in text else (), None)


def test_the_first_of_a_kind_pass_and_the_next_minute_tells_how_many_did_not() -> None:
    """Each kind by itself, whatever its arguments; what was left out is counted to the last one."""
    now = [0.0]
    seldom = Seldom(lambda: now[0])
    assert [seldom.filter(record()) for _ in range(MOST + 7)] == [True] * MOST + [False] * 7
    assert seldom.filter(record("asyncio", "socket.send() raised exception."))
    now[0] = PERIOD_SECONDS
    first, second = record(), record()
    assert seldom.filter(first)
    assert seldom.filter(second)
    assert (left_out_of(first), left_out_of(second)) == (7, 0)
    assert "(7 more lines like this were left out before it)" in TextFormatter().format(first)
    assert json.loads(JsonFormatter().format(first))["left_out"] == 7


def test_the_kinds_themselves_are_bounded() -> None:
    """A thousand sentences that differ are not remembered for ever."""
    seldom = Seldom()
    for number in range(2_000):
        assert seldom.filter(record(text=f"sentence {number}"))
    assert len(seldom._kinds) <= 500


def test_what_happens_to_runs_is_always_written(capsys: pytest.CaptureFixture[str]) -> None:
    """A thousand tasks that fail are a thousand lines; a thousand bugs in a handler are ten."""
    logger = logging.getLogger("reactor")
    before = (logger.handlers, logger.level, logger.propagate)
    try:
        log_to_stderr(Level.INFO, Format.TEXT)
        for number in range(1_000):
            get_logger().error("task failed", run_id=f"r{number}")
            get_logger("reactor.web").error("bug in a handler", path=f"/{number}")
    finally:
        logger.handlers, logger.level, logger.propagate = before
    written = capsys.readouterr().err
    assert written.count("task failed") == 1_000
    assert written.count("bug in a handler") == MOST


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Started, int]]:
    (tmp_path / "flow.py").write_text(
        "from reactor import Workflow\nflow = Workflow('flow')\nflow.task(lambda: 1, name='a')\n"
    )
    url, process = start_server(tmp_path / "flow.py", "--store", "memory://")
    try:
        yield process, urlsplit(url).port or 0
    finally:
        end(process)


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=8)


def send(port: int, data: bytes, *, reset: bool = False) -> None:
    """Sends something, and leaves when it was answered, or at once by a reset."""
    with connected(port) as connection:
        connection.sendall(data)
        if reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            assert connection.recv(65_536)


def send_frames(port: int, frame: bytes, times: int) -> None:
    """Opens WebSockets that send this, and waits until the server has closed all of them."""
    with ExitStack() as opened:
        sockets = [opened.enter_context(connected(port)) for _ in range(times)]
        for connection in sockets:
            connection.sendall(UPGRADE)
            assert connection.recv(65_536).startswith(b"HTTP/1.1 101")
            connection.sendall(frame)
        for connection in sockets:
            while connection.recv(65_536):
                pass


def test_bad_requests_resets_and_bad_frames_write_few_lines(served: tuple[Started, int]) -> None:
    """Some dozens of each: no kind of line is written more than ten times, but those of streams that are opened."""
    process, port = served
    head = b"PUT /api/v1/runs/open HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    send(port, head + b'Content-Length: 16\r\n\r\n{"session":true}')
    for frame in BAD_FRAMES:
        send_frames(port, frame, 2 * MOST)
    for _ in range(TIMES):
        send(port, b"GET / HTTP/1.1\r\nbad header\r\n\r\n")
        send(port, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + os.urandom(20))
        send(port, b"POST /api/v1/runs HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
        send(port, b"GET /api/v1/runs/open/events HTTP/1.1\r\nHost: localhost\r\n\r\n", reset=True)
        send(port, b"POST /api/v1/runs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{", reset=True)
    process.send_signal(15)
    _, written = process.communicate(timeout=8)
    counts = Counter(
        line.split("] ", 1)[1].split("=", 1)[0].rsplit(" ", 1)[0] for line in written.splitlines() if "] " in line
    )
    many = {line: count for line, count in counts.items() if count > MOST and not line.startswith("stream ")}
    assert many == {}
    assert written.count("Traceback") <= 5 * MOST
    assert counts["Error handling request from"] or "Error handling request" in written, "nothing was to be bounded"
