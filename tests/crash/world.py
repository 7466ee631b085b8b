"""One server through all its lives, with what is done to it from outside and those who follow."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp

from tests.crash import evidence, oracle
from tests.crash.answers import Commands, answers
from tests.crash.clients import Followed, Follower
from tests.crash.evidence import End, Evidence, Shown
from tests.crash.stories import WEIGHTS, Story
from tests.helpers.warm import Started, start_python

PATIENCE = 120.0
"""Seconds after which a life that does nothing, or runs that do not end, are a fault."""
LOOKS_EVERY = 0.003
OPEN = 5
"""How many runs are open at the same time."""
TENANTS = ("a", "b")

KINDS = {
    "line": 28,
    "window": 18,
    "answer": 10,
    "shown": 10,
    "commit": 10,
    "boot": 10,
    "worker": 1,
    "term": 6,
    "stopped": 6,
    "frozen": 4,
}
"""How lives end, and how often:

line      by SIGKILL of itself, at an effect of a body
window    by SIGKILL of itself, when a window is in the log and nobody has seen it
answer    by SIGKILL from outside, as soon as so many commands were answered; its log is slow
shown     the same, as soon as followers were shown something so many times; its log is slow, too
commit    the same, after so many windows
boot      the same, however early
worker    the same, some windows after a body in a process has begun
term      by SIGTERM, and SIGKILL in the drain
stopped   by SIGTERM: it ends by itself
frozen    it is stopped for longer than its log may take, goes on, and is killed like ``commit``
"""
FROZEN_SECONDS, FROZEN_TIMEOUT, TIMEOUT = 0.7, 0.5, 30.0
"""How long a process is stopped, and what its log may take; the same of all others, which no slow disk must disturb."""


class World:
    """``lives`` is how often the server is ended; after that it has one more, in which all runs end."""

    def __init__(self, folder: Path, seed: str, lives: int) -> None:
        self.chance, self.fate = random.Random(seed), random.Random(f"{seed} ends")
        """Of what is done to it, in an order that is up to the machine; of how it ends, in that of its lives."""
        self.lives = lives
        self.log, self.oracle, self.answered = folder / "runs.db", folder / "oracle", folder / "answers"
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/api/v1"
        self.life = 0
        self.ends: list[End] = []
        self.kills = Counter[str]()
        self.faults: list[str] = []
        self.stories = Counter[str]()
        self._followers: list[Follower] = []
        self._begun = asyncio.Event()
        self._is_last = False
        self._open: set[asyncio.Task[None]] = set()
        self._computing = 0
        self._waiting = 0
        """How many stories go on in the next life; if all do, nothing happens in this one."""
        self._process: Started | None = None
        self._left = Counter[str]()
        """At which answer, or showing, this life is to end."""

    async def live(self) -> Evidence:
        """All lives; then what they left behind."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5)
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        async with aiohttp.ClientSession(timeout=timeout, connector=connector) as http:
            everything = [asyncio.ensure_future(self._follow_all(http, tenant)) for tenant in TENANTS]
            telling = asyncio.ensure_future(self._tell(http))
            for _ in range(self.lives):
                await self._one_life()
            self._is_last = True
            process = await self._begin("stopped")
            states = await self._finish(http, telling, everything)
            await self._end(process, "stopped", signal.SIGTERM)
        shown = [Shown(one.followed, tuple(_lines(one.file))) for one in self._followers]
        return Evidence(
            oracle.lines(self.oracle), answers(self.answered), evidence.windows(self.log), self.ends, shown, states
        )

    # --- lives ---

    async def _one_life(self) -> None:
        kinds = {kind: weight for kind, weight in KINDS.items() if kind != "worker" or self._computing}
        if self._computing and self.fate.random() < 0.2:
            kinds = {"worker": 1}  # most lives are over before a worker process has begun
        (how,) = self.fate.choices([*kinds], [*kinds.values()])
        count = self.fate.randint(1, {"boot": 4, "answer": 6}.get(how, 40))
        process = await self._begin(how, count)
        began_at = evidence.position(self.log)
        if how in ("line", "window", "answer", "shown"):
            await self._until(process, lambda: False)
        elif how == "worker":
            size = self._size()
            await self._until(process, lambda: self._is_computing(size))
            began_at = evidence.position(self.log)
            await self._until(process, lambda: evidence.position(self.log) >= began_at + count % 8)
        else:
            await self._until(process, lambda: evidence.position(self.log) >= began_at + count)
        if how == "frozen":
            process.send_signal(signal.SIGSTOP)
            await asyncio.sleep(FROZEN_SECONDS)
            process.send_signal(signal.SIGCONT)
            count += evidence.position(self.log) - began_at
            await self._until(process, lambda: evidence.position(self.log) >= began_at + count)
        if how == "term":
            process.send_signal(signal.SIGTERM)
            lines = self._size()
            await self._until(process, lambda: self._size() > lines + 100)
        await self._end(process, how, signal.SIGTERM if how == "stopped" else signal.SIGKILL)

    async def _begin(self, how: str, count: int = 0) -> Started:
        self.life += 1
        environment = {
            oracle.FILE: str(self.oracle),
            oracle.LIFE: str(self.life),
            oracle.END_AT: f"{how}:{count}" if how in ("line", "window") else "",
        }
        environment[oracle.SLOW] = "1" if how in ("answer", "shown") else ""
        self._left = Counter({how: count})
        timeout = FROZEN_TIMEOUT if how == "frozen" else TIMEOUT
        process = self._process = start_python(
            "-m", "tests.crash.server", f"sqlite:///{self.log}", self.port, timeout, **environment
        )
        self._begun.set()
        self._begun = asyncio.Event()
        self._waiting = 0
        if how != "boot":
            await self._until(process, lambda: bool(_there(process.stdout.fileno())))
        return process

    async def _until(self, process: Started, is_so: Callable[[], bool]) -> None:
        """Or the process has ended, or there is nothing to wait for."""
        until = asyncio.get_running_loop().time() + PATIENCE
        while process.poll() is None and not is_so() and self._waiting < OPEN:
            if asyncio.get_running_loop().time() > until:
                self.faults.append(f"life {self.life} does nothing for {PATIENCE:g} seconds")
                return
            await asyncio.sleep(LOOKS_EVERY)

    async def _end(self, process: Started, how: str, number: signal.Signals) -> None:
        process.send_signal(number)
        code = await asyncio.to_thread(process.wait, PATIENCE)
        errors = _there(process.stderr.fileno()).decode()
        process.close_pipes()
        if code == 0 and how in ("stopped", "term"):
            how = "stopped"
        elif code != -signal.SIGKILL:
            self.faults.append(f"life {self.life} ({how}) ended with {code}: {errors}")
        if "Traceback" in errors:
            self.faults.append(f"life {self.life} ({how}) says: {errors}")
        self.kills[how] += 1
        self.ends.append(End(self.life, how, evidence.position(self.log)))

    def _kill_at(self, what: str) -> Callable[[], None]:
        """Counts, and kills the process before anything else is done here: it has no time to make up for anything."""

        def count() -> None:
            self._left[what] -= 1
            if self._left[what] == 0 and self._process is not None:
                self._process.kill()

        return count

    def _size(self) -> int:
        return self.oracle.stat().st_size if self.oracle.exists() else 0

    def _is_computing(self, since: int) -> bool:
        """Whether a body in a process has noted something since the file had that size."""
        if not self.oracle.exists():
            return False
        with self.oracle.open("rb") as file:
            file.seek(since)
            return b'"compute"' in file.read()

    # --- what is done to it ---

    async def _tell(self, http: aiohttp.ClientSession) -> None:
        """Tells stories, so many at a time, until the last life."""
        number = 0
        while not self._is_last:
            while len(self._open) < OPEN:
                self._open.add(asyncio.ensure_future(self._story(http, number)))
                number += 1
            done, self._open = await asyncio.wait(self._open, return_when=asyncio.FIRST_COMPLETED)
            for story in done:
                story.result()

    async def _story(self, http: aiohttp.ClientSession, number: int) -> None:
        """Each story once, then any of them. Two tenants have runs of the same ids."""
        (kind,) = self.chance.choices([*WEIGHTS], [*WEIGHTS.values()])
        kind = [*WEIGHTS, kind][min(number, len(WEIGHTS))]
        tenant, run_id = TENANTS[number % 2], f"r{number // 2}"
        commands = Commands(http, self.url, tenant, self.answered, lambda: self.life, self._kill_at("answer"))

        def follow(followed: Followed, on_event: Callable[[Any], None]) -> Follower:
            return self._follower(http, followed, on_event)

        story = Story(commands, run_id, follow, self._next_life, random.Random(self.chance.random()))
        self.stories[kind] += 1
        self._computing += kind == "processes"
        await getattr(story, kind)()
        self._computing -= kind == "processes"

    async def _next_life(self) -> None:
        if not self._is_last:
            self._waiting += 1
            await self._begun.wait()

    # --- who follows ---

    def _follower(
        self, http: aiohttp.ClientSession, followed: Followed, on_event: Callable[[Any], None] = lambda event: None
    ) -> Follower:
        file = self.folder / f"shown-{len(self._followers)}"
        chance = random.Random(self.chance.random())
        self._followers.append(Follower(http, self.url, followed, file, chance, on_event, self._kill_at("shown")))
        return self._followers[-1]

    async def _follow_all(self, http: aiohttp.ClientSession, tenant: str) -> None:
        await self._follower(http, Followed("all", tenant, "", "events")).follow()

    # --- the end ---

    async def _finish(
        self, http: aiohttp.ClientSession, telling: asyncio.Task[None], everything: list[asyncio.Task[None]]
    ) -> dict[str, Any]:
        """All runs end, all followers have all of it; then the states of all runs."""
        try:
            async with asyncio.timeout(PATIENCE):
                await telling
                await asyncio.gather(*self._open)
                counts = {tenant: self._events_of(tenant) for tenant in TENANTS}
                while any(one.shown < counts[one.followed.tenant] for one in self._followers[: len(TENANTS)]):
                    await asyncio.sleep(LOOKS_EVERY)
        except TimeoutError:
            self.faults.append(f"not everything ends within {PATIENCE:g} seconds")
        for following in everything:
            following.cancel()
        await asyncio.gather(*everything, return_exceptions=True)
        states: dict[str, Any] = {}
        for run in {window.run for window in evidence.windows(self.log)}:
            tenant, _, run_id = run.partition("/")
            states[run] = await Commands(http, self.url, tenant, self.answered, lambda: self.life).state(run_id)
        return states

    def _events_of(self, tenant: str) -> int:
        mine = [window for window in evidence.windows(self.log) if window.run.startswith(f"{tenant}/")]
        return sum(len(window.events) for window in mine)


def _there(descriptor: int) -> bytes:
    """What a pipe has, without waiting."""
    os.set_blocking(descriptor, False)
    try:
        return os.read(descriptor, 1 << 16)
    except BlockingIOError:
        return b""


def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines() if path.exists() else []
