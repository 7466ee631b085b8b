"""A WebSocket client of the server under test."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp

from tests.helpers.server import Server


class SocketClient:
    """An open socket: ``async with``, then message by message. Replies and messages come as they are sent."""

    def __init__(self, server: Server, path: str, **options: Any) -> None:
        self._connecting = server.session.ws_connect(server.url + path, max_msg_size=0, **options)
        self.pings = 0

    async def __aenter__(self) -> SocketClient:
        self.ws: aiohttp.ClientWebSocketResponse = await self._connecting.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._connecting.__aexit__(*error)

    async def next(self) -> dict[str, Any] | None:
        """The next message; None when the socket is closed: then ``code`` says why."""
        async with asyncio.timeout(10):
            while True:
                message = await self.ws.receive()
                if message.type == aiohttp.WSMsgType.TEXT:
                    return json.loads(message.data)
                if message.type == aiohttp.WSMsgType.PING:
                    self.pings += 1
                    continue
                return None

    async def until(self, type: str) -> dict[str, Any]:
        """The next message of this type."""
        while (message := await self.next()) is not None:
            if message.get("type") == type:
                return message
        raise AssertionError(f"the socket was closed with {self.code} before {type}")

    async def command(self, id: object, command: str, **members: Any) -> None:
        await self.ws.send_json({"id": id, "command": command, **members})

    async def reply(self, id: object) -> dict[str, Any]:
        """The reply to a command; messages before it are skipped."""
        while (message := await self.next()) is not None:
            if message.get("reply", ...) == id:
                return message
        raise AssertionError(f"the socket was closed with {self.code} before the reply to {id!r}")

    async def all(self) -> list[dict[str, Any]]:
        """All messages that are left."""
        messages: list[dict[str, Any]] = []
        while (message := await self.next()) is not None:
            messages.append(message)
        return messages

    @property
    def code(self) -> int | None:
        """The code of the close frame."""
        return self.ws.close_code
