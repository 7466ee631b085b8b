"""Clients of event streams that know nothing of this project: a few lines of Python, and scripts of ``tests/node``."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from yarl import URL

from tests.helpers.node import node_script

Shown = list[Any]
"""What a client has shown, one after the other."""

PATIENCE = 60.0
"""Seconds to wait for the next thing a client shows."""


class Script:
    """A JavaScript client: ``next()`` is what it shows next, ``rest()`` everything until it has ended by itself."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.shown: Shown = []

    async def next(self) -> Any:
        assert self._process.stdout is not None
        line = await asyncio.wait_for(self._process.stdout.readline(), PATIENCE)
        if not line:
            assert self._process.stderr is not None
            errors = (await self._process.stderr.read()).decode()
            assert await self._process.wait() == 0, errors
            return None
        self.shown.append(json.loads(line))
        return self.shown[-1]

    async def say(self, line: str) -> None:
        """A line on its stdin."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())
        await self._process.stdin.drain()

    async def rest(self) -> Shown:
        while await self.next() is not None:
            pass
        return self.shown


@asynccontextmanager
async def script(name: str, *arguments: str) -> AsyncGenerator[Script]:
    pipe = asyncio.subprocess.PIPE
    command = [*node_script(name), *arguments]
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe, limit=1 << 20)
    try:
        yield Script(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def javascript(name: str, *arguments: str) -> Shown:
    async with script(name, *arguments) as client:
        return await client.rest()


async def read_events(url: str, is_end: Callable[[str, Any], bool] = lambda event, data: False) -> Shown:
    """A client of a few lines: ``event:`` and ``data:`` lines, and a blank line ends an event. It comes back by id."""
    shown: Shown = []
    last_id = ""
    async with aiohttp.ClientSession() as session:
        while True:
            headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last_id} if last_id else {})
            async with session.get(url, headers=headers) as response:
                if response.status == 204:
                    return shown
                assert response.status == 200
                fields: dict[str, str] = {}
                try:
                    async for raw in response.content:
                        line = raw.decode().rstrip("\n")
                        if line:
                            name, _, value = line.partition(":")
                            fields[name] = value.removeprefix(" ")
                            continue
                        last_id = fields.get("id", last_id)
                        if "data" in fields:
                            event, data = fields.get("event", "message"), json.loads(fields["data"])
                            shown.append({"event": event, "id": last_id, "data": data})
                            if is_end(event, data):
                                return shown
                        fields = {}
                except aiohttp.ClientPayloadError:
                    pass  # cut off


def port_of(url: str) -> int:
    return URL(url).port or 0


def through(url: str, port: int) -> str:
    """The same URL by way of a proxy."""
    return str(URL(url).with_port(port))
