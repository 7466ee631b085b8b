"""What several dialects are tested with."""

from __future__ import annotations

import pytest
from pytest_aiohttp import AiohttpClient, AiohttpServer

from reactor import Engine
from tests.helpers.server import CLOSE_SECONDS, Gates, Server
from tests.helpers.site_of_agents import platform_app


@pytest.fixture
async def platform(aiohttp_server: AiohttpServer, aiohttp_client: AiohttpClient) -> Server:
    """A platform of agents, whose reviews wait for the gate ``on``."""
    gates = Gates()
    engine = Engine("memory://", grace=0.0)
    app = platform_app(engine, gates)
    listening = await aiohttp_server(app, shutdown_timeout=CLOSE_SECONDS)
    server = Server.of(await aiohttp_client(listening), engine, app)
    server.gates = gates
    return server
