"""``python -m benchmarks.failover [--kills N] [--lease SECONDS]``: how long runs stand still when their node is killed.

A node executes ten runs on a real redis-server; another follows them. The first is killed (SIGKILL); what is measured
is the time until the other shows that a run goes on, its ``run.resumed``, for each run. The same where the first node
drains. It is a program of its own: it takes some seconds a kill.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from reactor import Context, Engine, Run, Workflow

RUNS = 10
SETTLE_SECONDS = 0.3

ticking = Workflow("ticking")


@ticking.task
async def tick(ctx: Context) -> None:
    while True:
        await ctx.emit("demo.tick", {})
        await asyncio.sleep(0.02)


async def node(url: str, number: str) -> None:
    """The one that is killed."""
    async with Engine(url, workflows=[ticking], grace=0) as engine:
        for i in range(RUNS):
            await engine.start(ticking, run_id=f"{number}.{i}")
        print("ready", flush=True)
        await asyncio.sleep(3600)


async def _resumed(run: Run) -> float:
    """When it goes on, on the monotonic clock."""
    async for event in run:
        if event.type == "run.resumed":
            return time.monotonic()
    raise AssertionError(f"run {run.id} has ended")


async def killed(engine: Engine, url: str, number: int) -> list[float]:
    """Seconds that each run of a node stood still that was killed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.failover", "--node", url, str(number), stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    runs = [await engine.get(f"{number}.{i}") for i in range(RUNS)]
    waiting = [asyncio.ensure_future(_resumed(run)) for run in runs]
    await asyncio.sleep(SETTLE_SECONDS + number % 10 / 10)  # at any moment between two renewals
    process.send_signal(signal.SIGKILL)
    at = time.monotonic()
    seconds = [resumed - at for resumed in await asyncio.gather(*waiting)]
    await process.wait()
    await _end(engine, runs)
    return seconds


async def drained(engine: Engine, url: str, number: int) -> list[float]:
    """The same for one that drains."""
    async with Engine(url, workflows=[ticking], grace=0) as other:
        for i in range(RUNS):
            await other.start(ticking, run_id=f"d{number}.{i}")
        runs = [await engine.get(f"d{number}.{i}") for i in range(RUNS)]
        waiting = [asyncio.ensure_future(_resumed(run)) for run in runs]
        await asyncio.sleep(SETTLE_SECONDS)
        at = time.monotonic()
        await other.drain(0)
        seconds = [resumed - at for resumed in await asyncio.gather(*waiting)]
    await _end(engine, runs)
    return seconds


async def _end(engine: Engine, runs: Sequence[Run]) -> None:
    for run in runs:
        await engine.cancel(run.id, 0.1)


def _say(what: str, seconds: Sequence[float], kills: int) -> None:
    ordered = sorted(seconds)
    p95 = ordered[int(0.95 * (len(ordered) - 1))]
    print(
        f"{what}: {len(ordered)} runs of {kills} nodes, p50 {statistics.median(ordered):.3f} s, p95 {p95:.3f} s, "
        f"max {ordered[-1]:.3f} s"
    )


@contextmanager
def redis(folder: Path) -> Iterator[Path]:
    """A redis-server, and the path of its socket."""
    path = folder / "redis"
    server = subprocess.Popen(
        ["redis-server", "--port", "0", "--unixsocket", path, "--save", "", "--dir", folder], stdout=subprocess.DEVNULL
    )
    try:
        while not path.exists():
            time.sleep(0.01)
        yield path
    finally:
        server.kill()
        server.wait()


async def measure(kills: int, lease: float, path: Path) -> None:
    url = f"unix://{path}?lease={lease:g}"
    async with Engine(url, workflows=[ticking], grace=0) as engine:
        await asyncio.sleep(lease)  # nobody takes from others before that
        gone = [seconds for number in range(kills) for seconds in await killed(engine, url, number)]
        left = [seconds for number in range(kills) for seconds in await drained(engine, url, number)]
    print(f"lease {lease:g} s")
    _say("killed", gone, kills)
    _say("drained", left, kills)


def main(words: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.failover", description=__doc__)
    parser.add_argument("--kills", type=int, default=20, help="how many nodes are killed, and as many drained")
    parser.add_argument("--lease", type=float, default=2.0, help="seconds")
    parser.add_argument("--node", nargs=2, metavar=("URL", "NUMBER"), help=argparse.SUPPRESS)
    options = parser.parse_args(words)
    if options.node:
        asyncio.run(node(*options.node))
        return
    with tempfile.TemporaryDirectory() as folder, redis(Path(folder)) as path:
        asyncio.run(measure(options.kills, options.lease, path))


if __name__ == "__main__":
    main(sys.argv[1:])
