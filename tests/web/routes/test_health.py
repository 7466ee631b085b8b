"""Health and readiness."""

from __future__ import annotations

from tests.helpers.server import Server


async def test_health_and_readiness(server: Server) -> None:
    """healthz answers as long as the process does; readyz counts runs and streams."""
    assert (await server.get("/healthz"))[0] == 200
    assert (await server.get("/readyz"))[1]["status"] == "ok"
