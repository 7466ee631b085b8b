"""What the server holds: seen from outside at any time, and with its own numbers when it is idle."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks.child import Child, ask


@dataclass(frozen=True, slots=True)
class Sample:
    """At one moment, under load or not."""

    seconds: float
    rss: float
    """MB."""
    files: int
    log: float
    """MB of the log's files."""


@dataclass(frozen=True, slots=True)
class Idle(Sample):
    """Between two rounds, when nothing runs any more."""

    tasks: int
    threads: int
    objects: int
    """Objects that the garbage collector knows."""
    workers: int
    """Processes that this one has started."""


def sample(server: Child, log: Path, seconds: float) -> Sample:
    return Sample(seconds, server.rss / 2**20, server.open_files, _size(log))


def idle(server: Child, port: int, log: Path, seconds: float) -> Idle:
    """By a run that looks; its own stream and task are among what it counts, each time the same."""
    counted = ask(port, "POST", "/api/v1/workflows/look/runs", {"input": {}}, Prefer="wait=30")["outputs"]["count"]
    children = [pid for of in Path(f"/proc/{server.pid}/task").glob("*/children") for pid in of.read_text().split()]
    seen = sample(server, log, seconds)
    return Idle(seen.seconds, seen.rss, seen.files, seen.log, workers=len(children), **counted)


def _size(log: Path) -> float:
    return sum(path.stat().st_size for path in log.parent.glob(f"{log.name}*")) / 2**20
