"""Streams that are read to their end: whole, in pieces that go on by their cursors, and in any form."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, NamedTuple

import aiohttp
import orjson

from reactor_web.sse.parser import Frame, Parser

END = "stream.end"


class Whole(NamedTuple):
    """All frames of a stream that say something, and how many connections it took."""

    frames: list[Frame]
    connections: int

    @property
    def events(self) -> list[bytes]:
        """The events of the log, without notices."""
        return [frame.data.encode() for frame in self.frames if frame.data.startswith('{"seq":')]


async def frames(http: aiohttp.ClientSession, url: str, *, cut_every: int = 0, after: str = "") -> Whole:
    """Server-sent events. ``cut_every``: leaves after so many frames with an id, and comes back by the last one.

    A stream that the server ends is over: it does not restart, and the last frame is not named alike in all dialects.
    """
    found: list[Frame] = []
    cursor, connections, is_cut = after, 0, True
    while is_cut:
        connections += 1
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": cursor} if cursor else {})
        async with http.get(url, headers=headers) as response:
            if response.status == 204:
                break
            assert response.status == 200, f"{url} is answered {response.status}: {await response.text()}"
            left, is_cut = cut_every, False
            async with aclosing(_frames(response)) as coming:
                async for frame in coming:
                    assert frame.event != "stream.closing", f"{url} is closed: {frame.data}"
                    if not frame.event.endswith(END):  # each dialect has it under a name of its own, or not at all
                        found.append(frame)
                    cursor = frame.id or cursor
                    left -= bool(frame.id)
                    if left == 0 and cut_every:
                        is_cut = True
                        break
    return Whole(found, connections)


async def _frames(response: aiohttp.ClientResponse) -> AsyncGenerator[Frame, None]:
    parser = Parser(sticky_id=False)
    async for chunk in response.content.iter_any():
        for frame in parser.feed(chunk):
            yield frame


async def lines(http: aiohttp.ClientSession, url: str) -> list[bytes]:
    """Lines of JSON: the events."""
    rest, found = b"", list[bytes]()
    async with http.get(url, headers={"Accept": "application/x-ndjson"}) as response:
        assert response.status == 200, f"{url} is answered {response.status}"
        async for chunk in response.content.iter_any():
            *whole, rest = (rest + chunk).split(b"\n")
            found += [line for line in whole if line.startswith(b'{"seq":')]
    return found


async def pages(http: aiohttp.ClientSession, url: str, limit: int = 20) -> list[Any]:
    """Long polls, page by page, to the end of the run."""
    found: list[Any] = []
    cursor, ended = 0, False
    while not ended:
        asked = f"{url}?after={cursor}&limit={limit}&wait=20"
        async with http.get(asked, headers={"Accept": "application/json"}) as response:
            assert response.status == 200, f"{asked} is answered {response.status}"
            page = orjson.loads(await response.read())
        found += page["events"]
        cursor, ended = page["cursor"], page["ended"]
    return found


async def stall(http: aiohttp.ClientSession, url: str, seconds: float) -> int:
    """Reads a little, then nothing, then goes; returns what it has read."""
    async with http.get(url, headers={"Accept": "text/event-stream"}) as response:
        read = len(await response.content.readany())
        await asyncio.sleep(seconds)
    return read
