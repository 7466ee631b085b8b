"""Starts the programs of the benchmarks as processes, and measures them by what the operating system reports.

Memory is ``Rss`` of ``/proc/PID/smaps_rollup`` (proc_pid_smaps(5)), which is exact where ``statm`` may lag behind by
some pages; processor time is utime and stime of ``/proc/PID/stat`` (proc_pid_stat(5)).
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import orjson

ROOT = Path(__file__).parents[1]
_TICKS = os.sysconf("SC_CLK_TCK")


class Cpu(NamedTuple):
    """Seconds of processor time of one process since its start."""

    user: float
    system: float

    def since(self, earlier: Cpu) -> Cpu:
        return Cpu(self.user - earlier.user, self.system - earlier.system)


def rss(pid: int) -> int:
    """Resident bytes of a process."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Rss:"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"/proc/{pid}/smaps_rollup has no Rss")


def cpu(pid: int) -> Cpu:
    """Processor time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return Cpu(int(fields[11]) / _TICKS, int(fields[12]) / _TICKS)


class Child:
    """One program, ``python -m MODULE``; it reads and writes lines of JSON."""

    def __init__(self, *command: str, env: dict[str, str] | None = None, errors: Path | None = None) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if errors is None else errors.open("wb"),
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})},
        )

    @classmethod
    def module(cls, name: str, *arguments: str, env: dict[str, str] | None = None) -> Self:
        """``python -m benchmarks.NAME``."""
        return cls(sys.executable, "-m", f"benchmarks.{name}", *arguments, env=env)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def rss(self) -> int:
        """Resident bytes."""
        return rss(self.pid)

    @property
    def cpu(self) -> Cpu:
        return cpu(self.pid)

    @property
    def kept_waiting(self) -> float:
        """Seconds that its main thread was ready to run, and others had the processors (proc_pid_schedstat)."""
        return int(Path(f"/proc/{self.pid}/schedstat").read_text().split()[1]) / 1e9

    @property
    def open_files(self) -> int:
        """File descriptors, sockets included."""
        return sum(1 for _ in Path(f"/proc/{self.pid}/fd").iterdir())

    def tell(self, message: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(orjson.dumps(message) + b"\n")
        self._process.stdin.flush()

    def has_answer(self, seconds: float) -> bool:
        """Whether a line comes, or the program ends, within ``seconds``."""
        assert self._process.stdout is not None
        return bool(select.select([self._process.stdout], [], [], seconds)[0])

    def answer(self, seconds: float = 120.0) -> Any:
        """Its next line as JSON; raises TimeoutError, or RuntimeError where it has ended."""
        return orjson.loads(self.line(seconds))

    def line(self, seconds: float = 120.0) -> str:
        """Its next line; raises TimeoutError, or RuntimeError where it has ended."""
        assert self._process.stdout is not None
        if not self.has_answer(seconds):
            raise TimeoutError(f"no answer of {self._process.args!r} within {seconds:g} seconds")
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args!r} ended with {self._process.wait()}")
        return line.decode()

    def close(self) -> None:
        """Terminates the program, and kills it where that does not help."""
        self._process.terminate()
        try:
            self._process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def ask(port: int, method: str, path: str, body: Any = None, **headers: str) -> Any:
    """Sends one HTTP request; returns the JSON of the answer."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}",
        method=method,
        data=None if body is None else orjson.dumps(body),
        headers={"Content-Type": "application/json", **headers},
    )
    with urllib.request.urlopen(request, timeout=120) as answer:
        return orjson.loads(answer.read())
