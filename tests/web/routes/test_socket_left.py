"""Clients that leave while they open a WebSocket."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack

import pytest
from aiohttp import web

import reactor_web
from reactor import Engine
from reactor_web.streaming.streams import STREAMS
from tests.helpers.jittered_log import turns

HANDSHAKE = (
    "GET /api/v1/runs/s/ws HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


async def test_a_client_that_leaves_in_its_handshake_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    """Anybody can do that, so it must not fill the log with tracebacks; and nothing is left of it."""
    engine = Engine("memory://", grace=0.0)
    app = reactor_web.create_app(engine, [])
    runner = web.AppRunner(app)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(runner.cleanup)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        await engine.session("s")
        for _ in range(40):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(HANDSHAKE.format(port=port).encode())
            writer.transport.abort()
            await turns(5)
    assert [record.message for record in caplog.records if record.levelno >= logging.ERROR] == []
    assert not app[STREAMS]._clients  # pyright: ignore[reportPrivateUsage]  # there is no other way to ask
