"""The soak: rounds of load with a rest after each. Whatever grows from rest to rest is a leak.

The first round is warm-up: imports, worker processes and threads, caches that fill. What must hold after it:

- each stream has what the log has (the clients say);
- descriptors, asyncio tasks, threads and worker processes at rest are never more than after the warm-up, plus what a
  pool may hold beside it (``MORE``);
- memory at rest grows by less than ``GROWS`` MB from round to round, fitted over the second half of them, and the last
  rest is within ``ROOM`` MB of the one after the warm-up. What may be kept is bounded (32 ended runs, 10,000 keys of
  requests, graphs of 1,000 ended plans: some ten MB), and the allocator keeps pieces of what was used.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Final

from benchmarks.child import ROOT, Child, ask
from benchmarks.soak.held import Idle, Sample, idle, sample

ROUNDS: Final = 10
CLIENTS: Final = 2
AT_ONCE: Final = 6
RESTS: Final = 8.0
"""Seconds of a rest: longer than a server takes to notice that clients have gone, and to give memory back."""
SAMPLES_EVERY: Final = 1.0
MORE: Final = {"files": 4, "tasks": 2, "threads": 32, "workers": 2}
"""A pool of threads that is used more has up to 32; a worker process has descriptors of its own."""
GROWS, ROOM = 1.0, 48.0


@dataclass
class Soak:
    """What was measured."""

    seconds: float
    samples: list[Sample] = field(default_factory=list[Sample])
    idles: list[Idle] = field(default_factory=list[Idle])
    """Before everything, and after each round."""
    done: Counter[str] = field(default_factory=Counter[str])
    streams: int = 0
    events: int = 0
    faults: list[str] = field(default_factory=list[str])

    @property
    def growth(self) -> float:
        """MB from round to round at rest, over the second half of the rounds."""
        half = [one.rss for one in self.idles[len(self.idles) // 2 :]]
        return slope(half)

    def to_dict(self) -> dict[str, Any]:
        parts = {"samples": [asdict(one) for one in self.samples], "idles": [asdict(one) for one in self.idles]}
        counted = {"done": dict(self.done), "streams": self.streams, "events": self.events}
        return {"seconds": self.seconds, **parts, **counted, "growth": self.growth, "problems": problems(self)}


def markdown(soak: Soak) -> str:
    """The rests as a table in Markdown, for ``docs/performance.md``."""
    head = "| round | s | RSS at rest, MB | files | tasks | threads | workers | log, MB |"
    lines = [head, "|---|---|---|---|---|---|---|---|"]
    for number, at in enumerate(soak.idles):
        name = {0: "before", 1: "1, warm-up"}.get(number, str(number))
        lines.append(
            f"| {name} | {at.seconds:.0f} | {at.rss:.1f} | {at.files} | {at.tasks} | {at.threads} | {at.workers} "
            f"| {at.log:.0f} |"
        )
    return "\n".join(lines)


def slope(values: list[float]) -> float:
    """Of the straight line with the least squares, per place."""
    if len(values) < 2:
        return 0.0
    middle, mean = (len(values) - 1) / 2, sum(values) / len(values)
    return sum((at - middle) * (value - mean) for at, value in enumerate(values)) / sum(
        (at - middle) ** 2 for at in range(len(values))
    )


def problems(soak: Soak) -> list[str]:
    """What does not hold."""
    found = list(soak.faults)
    warm, last = soak.idles[1], soak.idles[-1]
    for name, more in MORE.items():
        before, most = getattr(warm, name), max(getattr(one, name) for one in soak.idles[2:] or [warm])
        if most > before + more:
            found.append(f"{name} at rest: {most}, after the warm-up {before}")
    if len(soak.idles) > 4 and soak.growth > GROWS:
        found.append(f"memory at rest grows by {soak.growth:.2f} MB a round")
    if last.rss > warm.rss + ROOM:
        found.append(f"memory at rest: {last.rss:.0f} MB, after the warm-up {warm.rss:.0f} MB")
    return found


def measure(seconds: float, say: Callable[[str], None]) -> Soak:
    """``seconds`` of load in all, in ``ROUNDS`` rounds."""
    soak, began = Soak(seconds), monotonic()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "soak.db"
        with _server(log, Path(folder) / "errors") as server:
            port = int(server.line().partition("http://127.0.0.1:")[2].split("/")[0].split()[0])
            _rest(soak, server, port, log, began)
            clients = [_client(port, log, number) for number in range(CLIENTS)]
            try:
                for number in range(1, ROUNDS + 1):
                    _round(soak, clients, server, log, began)
                    _rest(soak, server, port, log, began)
                    at = soak.idles[-1]
                    say(f"round {number}: {at.rss:.0f} MB at rest, {at.files} files, {at.tasks} tasks, "
                        f"{soak.done.total():,} operations, {len(soak.faults)} faults")  # fmt: skip
            finally:
                for client in clients:
                    client.close()
        soak.faults += complaints((Path(folder) / "errors").read_text())
    return soak


def complaints(errors: str) -> list[str]:
    """What the server has said on stderr, at ERROR, beside the tasks that were told to fail."""
    return [line for line in errors.splitlines() if not line.startswith('{"event": "task failed"')]


def _server(log: Path, errors: Path) -> Child:
    return Child(
        sys.executable, "-m", "reactor", "serve", "benchmarks/soak/flows.py", "--store", f"sqlite:///{log}",
        "--port", "0", "--log-format", "json", "--log-level", "error",
        env={"PYTHONPATH": str(ROOT)}, errors=errors,
    )  # fmt: skip


def _client(port: int, log: Path, number: int) -> Child:
    client = Child.module("soak.client")
    url = f"http://127.0.0.1:{port}/api/v1"
    client.tell({"url": url, "log": str(log), "name": f"c{number}", "at_once": AT_ONCE})
    return client


def _round(soak: Soak, clients: list[Child], server: Child, log: Path, began: float) -> None:
    for client in clients:
        client.tell(soak.seconds / ROUNDS)
    for client in clients:
        while not client.has_answer(SAMPLES_EVERY):
            soak.samples.append(sample(server, log, monotonic() - began))
        result = client.answer()
        soak.done.update(result["done"])
        soak.streams += result["streams"]
        soak.events += result["events"]
        soak.faults += result["faults"]


def _rest(soak: Soak, server: Child, port: int, log: Path, began: float) -> None:
    """Ends what still runs, waits, and looks."""
    while open_runs := ask(port, "GET", "/api/v1/runs?status=running&limit=100")["runs"]:
        for run in open_runs:
            ask(port, "POST", f"/api/v1/runs/{run['run_id']}/cancel", {"reason": "rest", "grace": 1})
        sleep(0.2)
    until = monotonic() + RESTS
    while monotonic() < until:
        sleep(SAMPLES_EVERY)
        soak.samples.append(sample(server, log, monotonic() - began))
    soak.idles.append(idle(server, port, log, monotonic() - began))
