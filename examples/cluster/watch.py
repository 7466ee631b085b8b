"""A cluster on one machine, whose parts you kill while you watch: redis-server, three nodes, nginx, and a client.

    python examples/cluster/watch.py          # then press 1 2 3, s, r, n, q
    python examples/cluster/watch.py --once   # kills a node by itself, says what the client saw, and ends

The client starts runs through nginx and follows each of them, over as many connections as that takes. It checks what
it is promised: each event once and in order, and an end.
"""

import argparse
import asyncio
import signal
import subprocess
import sys
import tempfile
import termios
import time
import tty
from collections import Counter
from contextlib import AsyncExitStack, suppress
from pathlib import Path

from parts import Part, nginx, node, redis
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from reactor_web.client import Client

NODES = 3
LEASE = 2
"""Seconds after which others go on with the runs of a node that is silent. 15 by default."""
KEYS = "1 2 3: kill a node, or start it   s: stop one, or let it go on   r: kill Redis, or start it   n: runs   q: end"


class Watched:
    """A run, as its client sees it."""

    def __init__(self, run_id: str, items: int) -> None:
        self.run_id = run_id
        self.items = items
        self.seqs: list[int] = []
        self.bodies: Counter[str] = Counter()
        """How many bodies have ended on each node."""
        self.recovered = 0
        self.status = "starting"
        self.longest = 0.0
        """Seconds between two events."""

    async def follow(self, client: Client) -> None:
        run, _ = await client.ensure("parcels", {"count": self.items}, run_id=self.run_id)
        last = time.monotonic()
        async for event in run:
            self.longest, last = max(self.longest, time.monotonic() - last), time.monotonic()
            self.seqs.append(event.seq or 0)
            if event.type == "task.completed" and "node" in str(event.data.get("output")):
                self.bodies[event.data["output"]["node"]] += 1
            self.recovered += event.type == "run.resumed"
            self.status = event.type.removeprefix("run.") if event.type.startswith("run.") else "running"

    @property
    def problem(self) -> str | None:
        """What of the promise was not kept."""
        if self.status != "completed":
            return f"it has not completed: {self.status}"
        if self.seqs != list(range(1, len(self.seqs) + 1)):
            return f"events are missing, twice or out of order: {self.seqs}"
        if self.bodies.total() != self.items + 1:
            return f"{self.bodies.total()} bodies have ended, and there are {self.items + 1}"
        return None


class Cluster:
    def __init__(self, folder: Path, items: int) -> None:
        self.items = items
        self.redis = redis(folder)
        self.url = f"redis://127.0.0.1:{self.redis.port}/0?lease={LEASE}"
        self.nodes = [node(f"node{n + 1}", folder, self.url) for n in range(NODES)]
        self.nginx = nginx(folder, self.nodes)
        self.runs: list[Watched] = []
        self.said: list[str] = []
        self.following: set[asyncio.Task[None]] = set()

    @property
    def parts(self) -> list[Part]:
        return [self.redis, *self.nodes, self.nginx]

    async def start(self) -> str:
        """Starts all of it; returns a key. The keys of a cluster are in its Redis."""
        await self.redis.start()
        starting = [asyncio.ensure_future(one.start()) for one in (*self.nodes, self.nginx)]
        words = ["keys", "add", "watch", "--scopes", "read,run", "--expires", "1d", "--keys", self.url]
        added = await asyncio.to_thread(
            subprocess.run, [sys.executable, "-m", "reactor", *words], capture_output=True, text=True, check=True
        )
        await asyncio.gather(*starting)
        return added.stdout.strip()

    async def stop(self) -> None:
        for task in self.following:
            task.cancel()
        await asyncio.gather(*self.following, return_exceptions=True)
        await asyncio.gather(*(one.stop() for one in (*self.nodes, self.nginx)))
        await self.redis.stop()

    def begin(self, client: Client, count: int) -> None:
        """Starts runs, and follows them."""
        for _ in range(count):
            watched = Watched(f"run{len(self.runs) + 1}", self.items)
            self.runs.append(watched)
            self.following.add(asyncio.create_task(self._follow(watched, client)))

    async def _follow(self, watched: Watched, client: Client) -> None:
        try:
            await watched.follow(client)
        except Exception as error:  # told in the table
            watched.status = f"{type(error).__name__}: {error}"

    async def ended(self) -> None:
        await asyncio.gather(*self.following)

    async def kill_or_start(self, part: Part) -> None:
        self.said.append(f"{part.name}: {'kill -9' if part.pid else 'starts'}")
        if part.pid:
            await part.stop(signal.SIGKILL)
        else:
            await part.start()


# --- what is shown ---


def shown(cluster: Cluster) -> Group:
    parts = Table("part", "pid", "state", "log", box=None, pad_edge=False)
    for part in cluster.parts:
        style = {"runs": "green", "dead": "red"}.get(part.state, "yellow")
        parts.add_row(part.name, str(part.pid or "-"), Text(part.state, style), str(part.log))
    runs = Table("run", "status", "events", "bodies ended on", "recovered", "longest pause", box=None, pad_edge=False)
    for run in cluster.runs[-15:]:
        bodies = "  ".join(f"{name}: {count}" for name, count in sorted(run.bodies.items()))
        pause = Text(f"{run.longest:.1f} s", "yellow" if run.longest > 1 else "")
        runs.add_row(run.run_id, run.status[:40], str(len(run.seqs)), bodies, str(run.recovered or ""), pause)
    said = "\n".join(cluster.said[-4:])
    return Group(parts, "", runs, "", Text(said, "bold"), Text(KEYS, "dim"))


async def watch(cluster: Cluster, client: Client) -> None:
    """Until somebody presses q."""
    keys: asyncio.Queue[str] = asyncio.Queue(maxsize=100)
    stdin = sys.stdin.fileno()
    before = termios.tcgetattr(stdin)
    tty.setcbreak(stdin)
    loop = asyncio.get_running_loop()
    loop.add_reader(stdin, lambda: keys.put_nowait(sys.stdin.read(1)))
    still = 0
    doing: set[asyncio.Task[None]] = set()
    try:
        with Live(shown(cluster), auto_refresh=False) as live:
            while True:
                live.update(shown(cluster), refresh=True)
                key = ""
                with suppress(TimeoutError):
                    key = await asyncio.wait_for(keys.get(), 0.2)
                if key == "q":
                    return
                if key in ("1", "2", "3"):
                    doing.add(asyncio.create_task(cluster.kill_or_start(cluster.nodes[int(key) - 1])))
                elif key == "r":
                    doing.add(asyncio.create_task(cluster.kill_or_start(cluster.redis)))
                elif key == "s":
                    cluster.nodes[still].stand_still()
                    cluster.said.append(f"{cluster.nodes[still].name}: {cluster.nodes[still].state}")
                    still = still if cluster.nodes[still].state == "stands still" else (still + 1) % NODES
                elif key == "n":
                    cluster.begin(client, 5)
    finally:
        loop.remove_reader(stdin)
        termios.tcsetattr(stdin, termios.TCSADRAIN, before)
        await asyncio.gather(*doing, return_exceptions=True)


async def once(cluster: Cluster) -> None:
    """Kills a node that executes something, and waits for the end of all runs."""
    async with asyncio.timeout(120):
        busy = Counter[str]()
        while len(busy) < 2 and not all(task.done() for task in cluster.following):
            await asyncio.sleep(0.05)
            busy = Counter(name for run in cluster.runs for name in run.bodies)
        victims = [one for one in cluster.nodes if busy and one.name == busy.most_common(1)[0][0]]
        for victim in victims:
            await cluster.kill_or_start(victim)
        await cluster.ended()


async def main() -> int:
    parser = argparse.ArgumentParser(description="A cluster whose parts you kill while you watch.")
    parser.add_argument("--once", action="store_true", help="kill one node, say what the client saw, and end")
    parser.add_argument("--runs", type=int, default=6)
    given = parser.parse_args()
    if not given.once and not sys.stdin.isatty():
        raise SystemExit("keys are read from a terminal: without one, write --once")
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)  # no part is left behind
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="cluster"))
        cluster = Cluster(Path(folder), 10 if given.once else 60)
        stack.push_async_callback(cluster.stop)
        token = await cluster.start()
        url = f"http://127.0.0.1:{cluster.nginx.port}"
        client = await stack.enter_async_context(Client(url, token=token, tries=20, max_failures=1_000))
        cluster.begin(client, given.runs)
        await (once(cluster) if given.once else watch(cluster, client))
        if not given.once:
            return 0
        Console().print(shown(cluster))
        problems = [f"{run.run_id}: {run.problem}" for run in cluster.runs if run.problem]
        print("\n".join(problems) or f"{len(cluster.runs)} runs: each event once and in order, each run to its end")
        return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
