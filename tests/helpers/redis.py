"""A real redis-server that a test starts: its own, on a socket and a port, with whatever configuration it wants."""

from __future__ import annotations

import itertools
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.helpers.nginx import free_port

QUICK = ("--save", "", "--appendonly", "no")
"""Nothing is written to a disk."""
SURE = ("--save", "", "--appendonly", "yes", "--appendfsync", "always")
"""Whatever is acknowledged is on the disk."""

_numbers = itertools.count(1)


def find_redis() -> str:
    """Skips the test where there is none."""
    found = shutil.which("redis-server")
    if found is None:
        pytest.skip("runs on redis-server, which is not here")
    return found


class RedisServer:
    """One redis-server. It is killed at the end of its test."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.options = options
        self.port = free_port()
        # not in the folder of the test: the name of a socket may have 107 characters
        self.sockets = tempfile.mkdtemp(prefix="redis")
        self.path = f"{self.sockets}/s"
        self.process: subprocess.Popen[bytes] | None = None

    def url(self, prefix: str | None = None, **query: object) -> str:
        """The URL of a log in it, under a prefix that no other test has."""
        options = "".join(f"&{name}={value}" for name, value in query.items())
        return f"unix://{self.path}?prefix={prefix or self.prefix()}{options}"

    def tcp_url(self, prefix: str | None = None) -> str:
        return f"redis://127.0.0.1:{self.port}/0?prefix={prefix or self.prefix()}"

    def prefix(self) -> str:
        return f"t{next(_numbers)}"

    def start(self) -> None:
        """Starts it, or starts it again on the data that it has left."""
        command = [find_redis(), "--port", str(self.port), "--bind", "127.0.0.1", "--unixsocket", self.path]
        with (self.folder / "redis.log").open("ab") as says:
            self.process = subprocess.Popen(
                [*command, "--dir", str(self.folder), *(self.options or QUICK)], stdout=says, stderr=says
            )
        for _ in range(1_000):
            assert self.process.poll() is None, (self.folder / "redis.log").read_text()
            if self.answers():
                return
            time.sleep(0.01)
        raise AssertionError("redis-server does not listen")

    def answers(self) -> bool:
        """Whether it takes commands."""
        try:
            return not self.say("PING").startswith("-LOADING")
        except OSError:
            return False

    def say(self, *parts: str) -> str:
        """One command on a connection of its own, and the beginning of its answer as it came."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(10)
            connection.connect(self.path)
            packed = [f"${len(part.encode())}\r\n{part}\r\n" for part in parts]
            connection.sendall(f"*{len(parts)}\r\n{''.join(packed)}".encode())
            return connection.recv(65_536).decode(errors="replace")

    def keys(self, prefix: str) -> set[str]:
        """The names of all keys of a log."""
        return set(re.findall(rf"{re.escape(prefix)}:[^\r]*", self.say("KEYS", f"{prefix}:*")))

    def kill(self) -> None:
        """As a crash of the machine's process ends it: nothing is said, nothing is saved."""
        self.send(signal.SIGKILL)
        assert self.process is not None
        self.process.wait(timeout=10)

    def send(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill()
        shutil.rmtree(self.sockets, ignore_errors=True)


@contextmanager
def redis_server(folder: Path, *options: str) -> Iterator[RedisServer]:
    """Runs one. ``options``: as on its command line; without any it writes nothing to a disk."""
    find_redis()
    server = RedisServer(folder, *options)
    try:
        server.start()
        yield server
    finally:
        server.stop()
