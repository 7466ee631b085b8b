"""Reads a stream of JSON lines from the server under test."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from tests.helpers.server import Server

NDJSON = "application/x-ndjson"


class Lines:
    """An open stream of lines: ``async with``, then line by line. ``raw`` keeps every byte."""

    def __init__(self, server: Server, path: str, **headers: str) -> None:
        self._request = server.session.get(server.url + path, headers={"Accept": NDJSON, **headers})
        self._left = b""
        self.raw = b""

    async def __aenter__(self) -> Lines:
        self.response = await self._request.__aenter__()
        self.status = self.response.status
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._request.__aexit__(*error)

    async def line(self) -> bytes | None:
        """The next line with its end, also an empty one; None at the end of the stream."""
        async with asyncio.timeout(10):
            while b"\n" not in self._left:
                chunk = await self.response.content.readany()
                if not chunk:
                    assert not self._left, "the last line has no end"
                    return None
                self.raw += chunk
                self._left += chunk
        line, _, self._left = self._left.partition(b"\n")
        return line + b"\n"

    async def next(self) -> dict[str, Any] | None:
        """The next message."""
        while (line := await self.line()) is not None:
            if line != b"\n":
                return json.loads(line)
        return None

    async def until(self, type: str) -> dict[str, Any]:
        """The next message of this type."""
        while (message := await self.next()) is not None:
            if message["type"] == type:
                return message
        raise AssertionError(f"the stream ended before {type}")

    async def all(self) -> list[dict[str, Any]]:
        """All messages that are left."""
        messages: list[dict[str, Any]] = []
        while (message := await self.next()) is not None:
            messages.append(message)
        return messages
