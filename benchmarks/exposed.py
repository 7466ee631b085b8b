"""``python -m benchmarks.exposed [--quick]``: a server with keys under storms, and what its other clients notice.

``reactor serve`` with its caps as they are, and a proxy that is trusted, so that clients have addresses. 50 healthy
streams follow a run that says 50 events a second, each with the time at which it was due: an event is late also where
the server was too busy to say it. Then come, one after the other:

crowd       2,000 streams of one key, from 100 addresses, all at once, held for some seconds
slow        500 streams that read nothing, of a run that says 300 KB a second
storm       10,000 connects at once, from one address
forged      10,000 connects at once with keys that were made up, from 10,000 addresses
starts      1,000 starts a second with one key

For each: how those that asked too much were answered, the p99 of the healthy streams during it and from a second after
it, and the memory of the server before it, at most, and 10 s after it, with its descriptors and tasks. A healthy stream
that is cut is an error.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import sleep, time
from typing import Any, Final

import orjson
from rich.console import Console
from rich.table import Table

from benchmarks.child import ROOT, Child

CLIENTS: Final = 50
PER_SECOND: Final = 50
P99_MS: Final = 50.0
NORMAL_AFTER: Final = 1.0
SETTLES: Final = 4.0
BACK_AFTER: Final = 10.0
MADE_UP: Final = "rk_000000000000_" + "0" * 43


@dataclass(frozen=True, slots=True)
class Held:
    """What the server has."""

    rss: float
    """MB."""
    files: int
    tasks: int


@dataclass(frozen=True, slots=True)
class Outcome:
    name: str
    answers: dict[str, int]
    seconds: float
    waited: float
    """Seconds of these in which other programs of the machine kept the server from running: p99 is theirs, too."""
    during: dict[str, float]
    after: dict[str, float]
    before_held: Held
    after_held: Held
    most: float
    """MB of memory, while it lasted."""


class Exposed:
    """The server, its keys, and the healthy streams."""

    def __init__(self, folder: Path) -> None:
        keys = folder / "keys.json"
        self.keys = {name: _new_key(keys, name) for name in ("healthy", "crowd", "slow", "storm", "starts", "admin")}
        self.process = Child(
            sys.executable, "-m", "reactor", "serve", "benchmarks/exposed_flows.py", "--store", "memory://",
            "--port", "0", "--keys", str(keys), "--trusted-proxy", "127.0.0.1/32", "--log-format", "json",
            env={"PYTHONPATH": str(ROOT)}, errors=folder / "log",
        )  # fmt: skip
        self.port = int(self.process.line().partition("http://127.0.0.1:")[2].split("/")[0].split()[0])

    def ask(self, method: str, path: str, body: Any = None, key: str = "admin", **headers: str) -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/api/v1{path}",
            method=method,
            data=None if body is None else orjson.dumps(body),
            headers={"Content-Type": "application/json", "Authorization": f"Bearer {self.keys[key]}", **headers},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return orjson.loads(answer.read())

    def start(self, run_id: str, workflow: str, **input: Any) -> None:
        self.ask("PUT", f"/runs/{run_id}", {"workflow": workflow, "input": input})

    def held(self) -> Held:
        looked = self.ask("POST", "/workflows/look/runs", {"input": {}}, Prefer="wait=10")
        return Held(self.process.rss / 2**20, self.process.open_files, looked["outputs"]["count"]["tasks"])

    @contextmanager
    def reading(self) -> Generator[Child]:
        with Child.module("exposed_clients", "reader") as reader:
            reader.tell(self.plan("pulse", "healthy", CLIENTS, addresses=CLIENTS))
            reader.answer()
            yield reader

    def plan(self, run: str, key: str, clients: int, **more: Any) -> dict[str, Any]:
        return {"port": self.port, "run": run, "key": self.keys.get(key, key), "clients": clients, **more}


def _new_key(file: Path, name: str) -> str:
    scopes = {"admin": "read,run,control,admin", "starts": "run,read"}.get(name, "read")
    command = [sys.executable, "-m", "reactor", "keys", "add", name, "--scopes", scopes, "--keys", str(file), "--json"]
    made = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=60)
    return orjson.loads(made.stdout)["key"]


def measure(exposed: Exposed, reader: Child, name: str, kind: str, plan: dict[str, Any], hold: float = 0.0) -> Outcome:
    """One storm. ``hold``: how long its clients stay after the last answer."""
    before = exposed.held()
    sleep(1.0)
    with Child("nice", sys.executable, "-m", "benchmarks.exposed_clients", kind) as attack:
        began, waited = time(), exposed.process.kept_waiting
        attack.tell(plan)
        most = 0.0
        while not attack.has_answer(0.1):
            most = max(most, exposed.process.rss / 2**20)
        result = attack.answer()
        waited = exposed.process.kept_waiting - waited
        until = time() + hold
        while time() < until:
            sleep(min(0.5, hold))
            most = max(most, exposed.process.rss / 2**20)
        ended = time()
    sleep(NORMAL_AFTER + SETTLES)
    reader.tell([began, ended])
    during = reader.answer()
    reader.tell([ended + NORMAL_AFTER, ended + NORMAL_AFTER + SETTLES - 1])
    after = reader.answer()
    if after["cut"]:
        raise AssertionError(f"{name}: {after['cut']} healthy streams were cut")
    sleep(max(0.0, ended + BACK_AFTER - time()))
    held = exposed.held()
    return Outcome(name, result["answers"], result["seconds"], waited, during, after, before, held, max(most, held.rss))


def storms(exposed: Exposed, quick: bool) -> dict[str, Callable[[Child], Outcome]]:
    part = 10 if quick else 1
    plan = exposed.plan

    def slow(reader: Child) -> Outcome:
        seconds = 40.0
        exposed.start("flood", "flood", seconds=seconds, per_second=10, size=30_000)
        return measure(exposed, reader, "500 slow readers", "deaf",
                       plan("flood", "slow", 500 // part, addresses=100, at_once=500), hold=seconds)  # fmt: skip

    return {
        "crowd": lambda reader: measure(
            exposed, reader, "2,000 connections", "many",
            plan("quiet", "crowd", 2_000 // part, addresses=100, at_once=2_000), hold=5.0),
        "storm": lambda reader: measure(
            exposed, reader, "10,000 connects", "many",
            plan("quiet", "storm", 10_000 // part, addresses=1, at_once=10_000)),
        "forged": lambda reader: measure(
            exposed, reader, "10,000 with made-up keys", "many",
            plan("quiet", MADE_UP, 10_000 // part, addresses=10_000, at_once=10_000)),
        "starts": lambda reader: measure(
            exposed, reader, "1,000 starts a second", "starts",
            {**plan("", "starts", 0), "rate": 1_000, "seconds": 10 / part, "connections": 50}),
        "slow": slow,
    }  # fmt: skip


def table_of(outcomes: list[Outcome]) -> Table:
    table = Table(
        "", "answered", "s", "of it not run, s", "p50/p99/max during, ms", "p99 after", "RSS MB", "files", "tasks"
    )
    for o in outcomes:
        table.add_row(
            o.name,
            "\n".join(f"{count:,} × {answer}" for answer, count in sorted(o.answers.items())),
            f"{o.seconds:.1f}",
            f"{o.waited:.1f}",
            " / ".join(f"{o.during[name]:.1f}" for name in ("p50", "p99", "max")),
            f"{o.after['p99']:.1f}",
            f"{o.before_held.rss:.0f} → {o.most:.0f} → {o.after_held.rss:.0f}",
            f"{o.before_held.files} → {o.after_held.files}",
            f"{o.before_held.tasks} → {o.after_held.tasks}",
        )
    return table


def main() -> int:
    quick = "--quick" in sys.argv
    only = [word for word in sys.argv[1:] if not word.startswith("-")]
    console, outcomes = Console(width=170), list[Outcome]()
    with tempfile.TemporaryDirectory() as folder:
        exposed = Exposed(Path(folder))
        with exposed.process:
            exposed.start("pulse", "pulse", seconds=3_600, per_second=PER_SECOND)
            exposed.start("quiet", "quiet")
            with exposed.reading() as reader:
                sleep(3.0)
                reader.tell([time() - 2.0, time()])
                console.print("alone:", reader.answer())
                for name, storm in storms(exposed, quick).items():
                    if not only or name in only:
                        outcomes.append(storm(reader))
                        console.print(outcomes[-1].name, outcomes[-1].during)
    console.print(table_of(outcomes))
    return int(any(outcome.during["p99"] > P99_MS for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
