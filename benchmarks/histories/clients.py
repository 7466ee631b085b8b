"""Clients of all nodes: followers that go on at another node by their cursor, and commands that are asked again there.

They are simple on purpose: what is sent twice they note twice, and what is left out they do not ask for.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import aiohttp
import orjson

from reactor.testing import Asked, Seen, Shown
from reactor_web.sse.parser import Frame, Parser

AGAIN_SECONDS = (0.2, 1.0)
"""Before it is tried again, at another node; at random, so that not all come back at once."""
SILENCE_SECONDS = 4.0
"""A stream that says nothing for so long is left; nodes send a heartbeat each second."""
ANSWER_SECONDS = 12.0
"""A node says within ten seconds that it has no answer."""
LEAVES = 0.3
"""How often a connection is left by its client, after some messages."""

OnEvent = Callable[[Any], None]


class World:
    """The nodes as clients see them, and what clients note."""

    def __init__(self, http: aiohttp.ClientSession, addresses: Sequence[str], seed: str) -> None:
        self.http, self.addresses = http, addresses
        self.chance = random.Random(f"{seed} clients")
        self.asked: list[Asked] = []
        self.shown: list[Shown] = []
        self.wrong: list[str] = []
        """What no node should say."""
        self.connections = 0

    async def rest(self) -> None:
        await asyncio.sleep(self.chance.uniform(*AGAIN_SECONDS))

    def anywhere(self) -> str:
        return self.chance.choice(self.addresses)


class Follower:
    """One client of the stream of a run, or of all runs."""

    def __init__(self, world: World, who: str, run_id: str | None, at: int, on_event: OnEvent | None = None) -> None:
        self._world, self._who, self._run_id, self._at, self._on_event = world, who, run_id, at, on_event
        self.seen: list[Seen] = []
        self._cursor = ""
        self.ended = False

    def shown(self) -> Shown:
        return Shown(self._who, self._run_id, self.seen, self.ended)

    async def follow(self) -> None:
        """To the end of the run; of all runs: until it is cancelled."""
        while not self.ended:
            try:
                await self._connection(self._world.addresses[self._at % len(self._world.addresses)])
            except (aiohttp.ClientError, OSError, TimeoutError):
                pass
            if not self.ended:
                self._at += 1
                await self._world.rest()

    async def _connection(self, address: str) -> None:
        chance = self._world.chance
        left = chance.randint(1, 40) if chance.random() < LEAVES else None
        path = "/events" if self._run_id is None else f"/runs/{self._run_id}/events"
        query = {"heartbeat": "1"} | ({} if self._run_id is None else {"await_run": "30"})
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": self._cursor} if self._cursor else {})
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=1.0, sock_read=SILENCE_SECONDS)
        self._world.connections += 1
        async with self._world.http.get(address + path, params=query, headers=headers, timeout=timeout) as response:
            if response.status == 204:
                self.ended = True
            elif response.status != 200:
                if response.status < 500 and response.status != 429:
                    self._wrong(f"is answered {response.status}: {await response.text()}")
                return
            async for frame in _frames(response):
                if not self._take(frame):
                    return
                left = None if left is None else left - 1
                if left == 0:
                    return

    def _take(self, frame: Frame) -> bool:
        """Whether this connection goes on."""
        if frame.event == "stream.end":
            self.ended = True
        elif frame.event == "stream.gap":
            self._wrong(f"was shown {frame.data}, although Redis has lost nothing")
        if frame.event in ("stream.end", "stream.closing"):
            return False
        if frame.event.startswith("stream."):
            return True
        self.seen.append(Seen(time.monotonic(), frame.data.encode()))
        self._cursor = frame.id or self._cursor
        if self._on_event is not None:
            self._on_event(orjson.loads(frame.data))
        return True

    def _wrong(self, sentence: str) -> None:
        self._world.wrong.append(f"{self._run_id}: {self._who} behind {self._cursor or 0} {sentence}")


async def _frames(response: aiohttp.ClientResponse) -> AsyncIterator[Frame]:
    parser = Parser(sticky_id=False)
    async for chunk in response.content.iter_any():
        for frame in parser.feed(chunk):
            yield frame


class Commands:
    """Commands of one client, each sent until it is answered, to any node, under one key."""

    def __init__(self, world: World, who: str) -> None:
        self._world, self._who, self._count = world, who, 0

    async def start(self, run_id: str, body: Mapping[str, Any], workflow: str) -> None:
        await self._do("PUT", run_id, "", body, "run.started", {"workflow": workflow})

    async def emit(self, run_id: str, words: str) -> None:
        data = {"said": words}
        body = {"type": "client.said", "data": data}
        await self._do("POST", run_id, "/events", body, "client.said", data)

    async def answer(self, run_id: str, task: str, value: str) -> None:
        body = {"task": task, "key": "what", "value": value}
        await self._do("POST", run_id, "/input", body, "task.received", {"value": value})

    async def close(self, run_id: str) -> None:
        await self._do("POST", run_id, "/close", {}, "run.completed", {})

    async def _do(self, method: str, run_id: str, path: str, body: Any, type: str, holds: Mapping[str, Any]) -> None:
        self._count += 1
        key = f"{run_id}.{self._who}.{self._count}"
        asked = time.monotonic()
        status, said = 0, None
        try:
            status, said = await self._until_answered(method, f"/runs/{run_id}{path}", body, key)
        finally:
            told = time.monotonic() if status in (200, 201, 202) else None
            seq = said["seqs"][0] if told and path == "/events" else None
            self._world.asked.append(Asked(self._who, run_id, type, holds, asked, told, seq))
        if told is None:
            self._world.wrong.append(
                f"{run_id}: {method} {path} with {body} of {self._who} is answered {status}: {said}"
            )

    async def _until_answered(self, method: str, path: str, body: Any, key: str) -> tuple[int, Any]:
        headers = {"Idempotency-Key": key} if method == "POST" else {}
        timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS, sock_connect=1.0)
        while True:
            try:
                async with self._world.http.request(
                    method, self._world.anywhere() + path, json=body, headers=headers, timeout=timeout
                ) as response:
                    said = await response.json(content_type=None)
                    if response.status < 500 and response.status != 429:
                        return response.status, said
            except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
                pass
            await self._world.rest()
