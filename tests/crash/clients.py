"""Clients of streams that note, with fsync, each message they were shown, and then go on by its cursor.

They are simple on purpose: what a server sends twice they note twice, and what it leaves out they do not ask for.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any, Literal, NamedTuple

import aiohttp
import orjson

from reactor_web.sse.parser import Parser
from tests.crash.server import TENANT

AGAIN_SECONDS = 0.01

Of = Literal["run", "tree", "all"]
Form = Literal["events", "lines", "socket"]


class Message(NamedTuple):
    """One message as it was sent, and where a client goes on after it (empty: it has no place)."""

    json: bytes
    cursor: str


class Followed(NamedTuple):
    """What a follower follows."""

    of: Of
    tenant: str
    run_id: str
    """Empty for all runs."""
    form: Form

    @property
    def path(self) -> str:
        if self.of == "all":
            return "/events"
        return f"/runs/{self.run_id}/{'ws' if self.form == 'socket' else 'events'}"


class Follower:
    """One client of one stream through all lives of its server."""

    def __init__(
        self, http: aiohttp.ClientSession, url: str, followed: Followed, file: Path, chance: random.Random,
        on_event: Callable[[Any], None] = lambda event: None, on_shown: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        self.followed, self.file, self.shown = followed, file, 0
        self._on_shown = on_shown
        self._http, self._url, self._chance, self._on_event = http, url, chance, on_event
        self._cursor = ""
        self._ended = False

    async def follow(self) -> None:
        """To the end of the stream."""
        descriptor = os.open(self.file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            while not self._ended:
                try:
                    await self._connection(descriptor)
                except (aiohttp.ClientError, OSError):
                    pass
                if not self._ended:
                    await asyncio.sleep(AGAIN_SECONDS)
        finally:
            os.close(descriptor)

    async def _connection(self, descriptor: int) -> None:
        """One connection, which this client may leave without a word."""
        leaves_after = self._chance.randint(1, 30) if self._chance.random() < 0.3 else None
        async with aclosing(self._messages()) as messages:
            async for several in messages:
                if several:
                    self._on_shown()
                kept = several[:leaves_after]
                self._note(descriptor, kept)
                if leaves_after is not None:
                    leaves_after -= len(kept)
                    if leaves_after <= 0:
                        return

    def _note(self, descriptor: int, messages: list[Message]) -> None:
        shown: list[Any] = []
        for message in messages:
            event = orjson.loads(message.json)
            if event["type"] == "stream.end":
                self._ended = True
            elif event["type"] != "stream.closing":
                os.write(descriptor, message.json + b"\n")
                self.shown += 1
                self._cursor = message.cursor or self._cursor
                shown.append(event)
        os.fsync(descriptor)
        for event in shown:
            self._on_event(event)

    async def _messages(self) -> AsyncIterator[list[Message]]:
        """Those that came together; the last connection of an ended run is answered 204."""
        url, headers = self._url + self.followed.path, {TENANT: self.followed.tenant}
        query = {"children": "1"} if self.followed.of == "tree" else {}
        query |= {"await_run": "60"} if self.followed.of == "run" else {}  # a child is told of before it begins
        if self.followed.form == "socket":
            query |= {"after": self._cursor} if self._cursor else {}
            async with self._http.ws_connect(url, headers=headers, params=query) as socket:
                async for frame in socket:
                    yield [_numbered(frame.data.encode())]
            return
        is_lines = self.followed.form == "lines"
        query |= {"after": self._cursor} if is_lines and self._cursor else {}
        headers |= {"Accept": "application/x-ndjson" if is_lines else "text/event-stream"}
        headers |= {"Last-Event-ID": self._cursor} if not is_lines and self._cursor else {}
        async with self._http.get(url, headers=headers, params=query) as response:
            if response.status == 204:
                self._ended = True
            elif response.status == 200:
                async for messages in _of_lines(response) if is_lines else _of_frames(response):
                    yield messages
            elif response.status < 500:
                raise AssertionError(f"{url} is answered {response.status}: {await response.text()}")


async def _of_frames(response: aiohttp.ClientResponse) -> AsyncIterator[list[Message]]:
    parser = Parser(sticky_id=False)
    async for chunk in response.content.iter_any():
        frames = parser.feed(chunk)
        yield [Message(frame.data.encode(), frame.id) for frame in frames]


async def _of_lines(response: aiohttp.ClientResponse) -> AsyncIterator[list[Message]]:
    rest = b""
    async for chunk in response.content.iter_any():
        *whole, rest = (rest + chunk).split(b"\n")
        yield [_numbered(line) for line in whole if line]


def _numbered(json: bytes) -> Message:
    return Message(json, str(orjson.loads(json).get("seq", "")))
