"""One round: three nodes, 200 runs, and whatever the seed does to the parts. Its history and its figures."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import redis

from benchmarks.histories.clients import Follower, World
from benchmarks.histories.faults import LEASE, NODES, Fault, schedule
from benchmarks.histories.network import Network, networks
from benchmarks.histories.parts import PREFIX, Node, Redis, Starts, start_python
from benchmarks.histories.stories import STORIES, Story
from reactor import Event
from reactor.testing import NODE, Began, History, Seen, Shown, check_histories

RUNS = 200
STARTS_IN = 0.8
"""The share of the round in which runs are started."""
ENDS_WITHIN = 60.0
"""Seconds after the last fault in which everything must have ended."""


@dataclass
class Outcome:
    """What was seen in one round."""

    seed: str
    network: str
    history: History
    figures: Counter[str]
    going_on: list[float] = field(default_factory=list[float])
    """Of each run whose node was killed: the seconds until somebody was shown that it goes on."""
    faults: list[str] = field(default_factory=list[str])


class Round:
    """``starts``: how its nodes are started, ``with_proxy``: no network namespaces, where there could be."""

    def __init__(
        self, seed: str, folder: Path, *, seconds: float = 30.0, runs: int = RUNS, with_proxy: bool = False,
        starts: Starts = start_python,
    ) -> None:  # fmt: skip
        self._seed, self._folder, self._seconds, self._runs = seed, folder, seconds, runs
        self._with_proxy, self._starts = with_proxy, starts
        self._nodes: list[Node] = []
        self._killed: dict[str, float] = {}
        """When each life of a node was killed."""
        self._figures = Counter[str]()
        self._faults: list[str] = []

    async def play(self) -> Outcome:
        nets = await networks(NODES, self._with_proxy)
        redis_server = Redis(self._folder, sorted({"127.0.0.1", *(net.redis_host for net in nets)}))
        try:
            redis_server.start()
            for number, net in enumerate(nets):
                port = await net.open(redis_server.port)
                url = f"redis://{net.redis_host}:{port}/0?prefix={PREFIX}&lease={LEASE:g}"
                self._nodes.append(Node(number, self._folder, net, url, self._starts))
            history, world = await self._with(redis_server)
        finally:
            for node in self._nodes:
                if node.life:
                    node.send(signal.SIGCONT)
                    node.end(signal.SIGKILL)
            redis_server.end(signal.SIGKILL)
            for net in nets:
                await net.close()
        return self._judge(history, world, nets)

    async def _with(self, redis_server: Redis) -> tuple[History, World]:
        for node in self._nodes:
            node.start()
        for node in self._nodes:
            await _ready(node)
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        async with aiohttp.ClientSession(connector=connector) as http:
            world = World(http, [node.address for node in self._nodes], self._seed)
            everything = [Follower(world, f"follower {n} of all runs", None, n) for n in range(NODES)]
            following = [asyncio.ensure_future(follower.follow()) for follower in everything]
            await self._all(world, redis_server)
            history = self._read(redis_server, world)
            await _caught_up(everything, sum(map(len, history.logs.values())))
            for task in following:
                task.cancel()
            await asyncio.gather(*following, return_exceptions=True)
        shown = [Shown(*follower.shown()[:3], ended=True) for follower in everything]
        return History(history.logs, [*history.shown, *shown], history.asked, history.began), world

    async def _all(self, world: World, redis_server: Redis) -> None:
        """Tells all stories while the parts come and go."""
        stories = [Story(world, f"r{number}") for number in range(self._runs)]
        began = asyncio.get_running_loop().time()
        breaking = asyncio.gather(*(self._break(fault, redis_server) for fault in schedule(self._seed, self._seconds)))
        telling = [asyncio.ensure_future(self._tell(story, number)) for number, story in enumerate(stories)]
        await breaking
        left = max(0.0, began + self._seconds - asyncio.get_running_loop().time())
        _, pending = await asyncio.wait(telling, timeout=left + ENDS_WITHIN)
        for story in pending:
            story.cancel()
        for result in await asyncio.gather(*telling, return_exceptions=True):
            if isinstance(result, Exception):
                raise result
        if pending:
            self._faults.append(
                f"{len(pending)} runs have not been told to their end {ENDS_WITHIN:g} s after all is well"
            )
        world.shown += [follower.shown() for story in stories for follower in story.followers]

    async def _tell(self, story: Story, number: int) -> None:
        await asyncio.sleep(self._seconds * STARTS_IN * number / self._runs)
        kind = [*STORIES][number % len(STORIES)]
        await STORIES[kind](story)

    async def _break(self, fault: Fault, redis_server: Redis) -> None:
        await asyncio.sleep(fault.at)
        if fault.node is None:
            self._figures[fault.kind] += 1
            how = signal.SIGKILL if fault.kind == "redis killed" else signal.SIGTERM
            await asyncio.to_thread(redis_server.end, how)
            await asyncio.sleep(fault.seconds)
            await asyncio.to_thread(redis_server.start)
            return
        node = self._nodes[fault.node]
        async with node.faults:  # it may be late in coming back
            await self._take_away(node, fault)

    async def _take_away(self, node: Node, fault: Fault) -> None:
        self._figures[fault.kind] += 1
        if fault.kind in ("kill", "drain"):
            if fault.kind == "kill":
                self._killed[node.name] = time.monotonic()
            await asyncio.to_thread(node.end, signal.SIGKILL if fault.kind == "kill" else signal.SIGTERM)
            await asyncio.sleep(fault.seconds)
            await self._start(node)
        elif fault.kind == "stop":
            node.send(signal.SIGSTOP)
            await asyncio.sleep(fault.seconds)
            node.send(signal.SIGCONT)
        else:
            node.network.cut()
            await asyncio.sleep(fault.seconds)
            node.network.mend()

    async def _start(self, node: Node) -> None:
        """A node refuses to start while Redis is away: it is started until it is there."""
        while True:
            node.start()
            with suppress(AssertionError):
                return await _ready(node)
            await asyncio.sleep(0.2)

    # --- what is left behind ---

    def _read(self, redis_server: Redis, world: World) -> History:
        """The log, beside everything that is under test."""
        logs: dict[str, list[bytes]] = {}
        with redis.Redis(port=redis_server.port) as there:
            for name in there.zrange(f"{PREFIX}:::runs", 0, -1):  # type: ignore[union-attr]
                run_id = name.decode()
                windows = there.xrange(f"{PREFIX}::{run_id}:events")
                logs[run_id] = [data for _, fields in windows for data in fields[b"w"].split(b"\n")]  # type: ignore[union-attr]
            if unfinished := there.zcard(f"{PREFIX}:unfinished"):
                self._faults.append(f"{unfinished} runs are listed as unfinished")
        inside = [shown for node in self._nodes for shown in _inside(self._folder, node)]
        began = [Began(*record) for record in _records(self._folder / "began")]
        self._figures["inside"] = len(inside)
        return History(logs, [*world.shown, *inside], world.asked, began)

    def _judge(self, history: History, world: World, nets: Sequence[Network]) -> Outcome:
        self._figures |= {
            "runs": len(history.logs),
            "events": sum(map(len, history.logs.values())),
            "followers": len(history.shown),
            "connections": world.connections,
            "shown": sum(len(shown.events) for shown in history.shown),
            "asked": len(history.asked),
            "recoveries": sum(b'"run.resumed"' in data for events in history.logs.values() for data in events),
        }
        faults = [*self._faults, *world.wrong, *(wrong for node in self._nodes for wrong in node.wrong)]
        faults += check_histories(history)
        network = "namespaces" if nets[0].namespace else "proxies"
        going_on = _going_on(history, self._killed)
        return Outcome(self._seed, network, history, self._figures, going_on, faults)


async def _ready(node: Node) -> None:
    while not node.is_ready():  # noqa: ASYNC110  # another process says so in a file
        await asyncio.sleep(0.02)


async def _caught_up(everything: Sequence[Follower], total: int) -> None:
    """Or a fault is found of those who are not, in time."""
    with suppress(TimeoutError):
        async with asyncio.timeout(ENDS_WITHIN / 2):
            while any(len(follower.seen) < total for follower in everything):  # noqa: ASYNC110
                await asyncio.sleep(0.05)


def _records(path: Path) -> list[list[Any]]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def _inside(folder: Path, node: Node) -> list[Shown]:
    """What the followers in all lives of a node were shown."""
    found: list[Shown] = []
    for life in range(1, node.life + 1):
        seen: dict[tuple[str, int], list[Seen]] = {}
        ended = set[tuple[str, int]]()
        for at, run_id, number, event in _records(folder / f"inside.n{node.number}.{life}"):
            if event is None:
                ended.add((run_id, number))
            else:
                seen.setdefault((run_id, number), []).append(Seen(at, event.encode()))
        found += [
            Shown(f"number {place[1]} in the process of n{node.number}.{life}", place[0], events, place in ended)
            for place, events in seen.items()
        ]
    return found


def _going_on(history: History, killed: dict[str, float]) -> list[float]:
    """From the kill to the first time that somebody was shown the recovery."""
    first: dict[tuple[str, int], float] = {}
    for shown in history.shown:
        for at, data in shown.events:
            if b'"run.resumed"' in data:
                event = Event.from_json(data)
                place = event.run_id, event.seq
                first[place] = min(at, first.get(place, at))
    seconds: list[float] = []
    for run_id, events in history.events.items():
        holder: str | None = None
        for event in events:
            if event.type == "run.resumed":
                at = first.get((run_id, event.seq), 0.0)
                if holder in killed and at > killed[holder]:  # else it was lost before, by a node that stood still
                    seconds.append(at - killed[holder])
                holder = None
            holder = event.data.get(NODE, holder)
    return seconds
