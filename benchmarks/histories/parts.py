"""redis-server, which loses nothing that it has acknowledged, and the nodes: processes that come and go."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from benchmarks.child import ROOT
from benchmarks.histories import flows
from benchmarks.histories.network import Network

PREFIX = "h"
PATIENCE = 30.0


class Process(Protocol):
    """A process as ``subprocess.Popen`` has it."""

    pid: int

    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def send_signal(self, sig: int) -> None: ...


class Starts(Protocol):
    """Starts ``python WORDS``, with these differences in its environment."""

    def __call__(self, words: Sequence[str], environment: dict[str, str]) -> Process: ...


_COMPILED = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(Path(tempfile.gettempdir(), "histories"))}
"""Where nothing is kept compiled, each life of a node would compile everything first."""


def start_python(words: Sequence[str], environment: dict[str, str]) -> Process:
    return subprocess.Popen([sys.executable, *words], env={**os.environ, **_COMPILED, **environment}, cwd=ROOT)


def free_port(host: str = "127.0.0.1") -> int:
    with socket.create_server((host, 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


class Redis:
    """Whatever it acknowledges is on its disk."""

    def __init__(self, folder: Path, hosts: Sequence[str]) -> None:
        self.port = free_port()
        self._folder = folder
        self._words = [
            *("redis-server", "--port", str(self.port), "--bind", *hosts, "--protected-mode", "no", "--save", ""),
            *("--dir", str(folder), "--appendonly", "yes", "--appendfsync", "always"),
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self._folder / "redis.log").open("ab") as says:
            self._process = subprocess.Popen(self._words, stdout=says, stderr=says)
        until = time.monotonic() + PATIENCE
        while not self._answers():
            assert time.monotonic() < until, f"redis-server does not listen, see {self._folder}/redis.log"
            assert self._process.poll() is None, f"redis-server has ended, see {self._folder}/redis.log"
            time.sleep(0.01)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(100).startswith(b"+PONG")
        except OSError:
            return False

    def end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(PATIENCE)


class Node:
    """One of the nodes, through all its lives."""

    def __init__(self, number: int, folder: Path, network: Network, url: str, starts: Starts) -> None:
        self.number, self.network = number, network
        self.port = free_port()
        self.address = f"http://{network.host}:{self.port}/api/v1"
        self._folder, self._url, self._starts = folder, url, starts
        self.life = 0
        self._process: Process | None = None
        self.faults = asyncio.Lock()
        """Who does something to it."""
        self.wrong: list[str] = []
        """Ends that are no ends of a node."""

    @property
    def name(self) -> str:
        """With the number of its life."""
        return f"n{self.number}.{self.life}"

    def start(self) -> None:
        self.life += 1
        words = ["-m", "benchmarks.histories.node", self._url, self.network.host, str(self.port)]
        environment = {flows.HERE: self.name, flows.FOLDER: str(self._folder)}
        self._process = self._starts([*words, self.network.namespace], environment)

    def is_ready(self) -> bool:
        """Whether this life accepts connections; raises AssertionError where it has ended."""
        assert self._process is not None
        assert self._process.poll() is None, f"node {self.name} has ended, see {self._folder}/says.{self.name}"
        path = self._folder / "ready"
        return path.exists() and f'"{self.name}"' in path.read_text().splitlines()

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def end(self, how: signal.Signals) -> None:
        """Returns once it has ended."""
        self.send(how)
        assert self._process is not None
        try:
            code = self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.wrong.append(f"node {self.name} does not end in {PATIENCE:g} s of {how.name}")
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(PATIENCE)
            return
        if code not in (0, -how):
            self.wrong.append(f"node {self.name} has ended with {code}, see {self._folder}/says.{self.name}")
