"""`reactor watch` on a server that is not ours, or that dies: one sentence, and never a traceback."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.helpers.command import reactor, start_reactor

STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
STARTED = b'"run_id":"r","type":"run.started","time":"2026-11-21T02:51:00.123456Z"'

FOREIGN = [
    (b"data: {\n\n", "its data cannot be read"),
    (b"data: hello\n\n", "its data cannot be read): hello"),
    (b"data: 5\n\n", "it is not an object"),
    (b"id: 1\nevent: run.started\ndata: {}\n\n", "its type is missing or wrong"),
    (b'data: {"seq":1,"type":"run.started","run_id":5,"time":"","data":{}}\n\n', "its run_id is missing or wrong"),
    (b'data: {"seq":1,%b,"data":[]}\n\n' % STARTED, "its data is missing or wrong"),
    (b'data: {"seq":1,%b,"data":{"workflow":"w","tasks":7}}\n\n' % STARTED, "its data cannot be read"),
    (b"id: \xff\ndata: \xff\n\n", "its data cannot be read): \ufffd"),
    (b"data: \x1b[2J\n\n", "\\u001b[2J"),
    (b"data: " + b"[" * 100_000 + b"\n\n", "its data cannot be read): [[["),
    (b'event: stream.end\ndata: {"type":"stream.end","data":{}}\n\n', "tells no status of a run"),
    (b"event: stream.end\ndata: 5\n\n", "tells no status of a run"),
]


def serve(answers: list[bytes]) -> tuple[socket.socket, str]:
    """A server that gives each request the next answer, and ``{}`` where there is none left; with its port."""
    listening = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                head = b""
                while b"\r\n\r\n" not in head:
                    head += connection.recv(65536)
                plain = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
                connection.sendall(answers.pop(0) if answers and b"/events" in head else plain)

    threading.Thread(target=answer, daemon=True).start()
    return listening, f"http://127.0.0.1:{listening.getsockname()[1]}/runs/r"


@pytest.fixture
def stop() -> Iterator[list[socket.socket]]:
    """Sockets that are closed at the end."""
    sockets: list[socket.socket] = []
    yield sockets
    for one in sockets:
        one.close()


@pytest.mark.parametrize(("frames", "sentence"), FOREIGN, ids=lambda value: repr(value[:40]))
def test_a_frame_that_is_no_event_is_one_sentence_and_exit_code_2(
    frames: bytes, sentence: str, stop: list[socket.socket]
) -> None:
    """It names the URL and begins with what was sent; nothing in it moves the cursor of a terminal."""
    listening, url = serve([STREAM + frames])
    stop.append(listening)
    done = reactor("watch", url)
    assert done.returncode == 2, done.stderr
    assert sentence in done.stderr
    assert done.stderr.startswith(f"reactor: cannot follow {url}/events")
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1
    assert len(done.stderr) < 400
    assert "\x1b" not in done.stderr


def test_a_connection_that_breaks_is_told_in_plain_words_and_one_line() -> None:
    """A server that dies in the middle of its answer: no words of the HTTP library, however narrow the terminal."""
    cut = STREAM.replace(b"Connection: close", b"Transfer-Encoding: chunked") + b"6\r\n: hi\n\n\r\n"
    event = b'id: 1\ndata: {"seq":1,%b,"data":{"workflow":"w","version":"1","total_tasks":0}}\n\n' % STARTED
    ended = b'id: 2\nevent: stream.end\ndata: {"type":"stream.end","data":{"status":"completed"}}\n\n'
    listening, url = serve([cut, STREAM + event + ended])
    with closing(listening):
        watching = start_reactor("watch", url, columns=40)
        _, errors = watching.communicate(timeout=60)
    lines = errors.splitlines()
    assert "connection lost (the server, or something before it, closed the connection); again in" in lines[0]
    assert [line.partition(" ")[0] for line in lines] == ["connection", "connected"]
    assert watching.returncode == 4
