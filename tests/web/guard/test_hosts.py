"""Who may ask: nothing that a web page of another site can send changes anything."""

from __future__ import annotations

import pytest
from pytest_aiohttp import AiohttpClient

import reactor_web
from reactor import Engine
from reactor_web.guard.hosts import is_loopback
from tests.helpers.runs import wait_until
from tests.helpers.server import Server, small_workflow

FOREIGN: list[dict[str, str]] = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Host": "evil.example"},
]
OURS: list[dict[str, str]] = [
    {"Sec-Fetch-Site": "same-origin"},
    {"Sec-Fetch-Site": "none"},
    {"Origin": "http://localhost:3000"},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
async def test_a_page_of_another_site_cannot_cancel_by_going(server: Server, headers: dict[str, str]) -> None:
    """It may follow a run, but ``on_disconnect=cancel`` is 403 for it."""
    await server.start("gated", run_id="r")
    async with server.events("r", "?on_disconnect=cancel", **headers) as stream:
        assert stream.status == 403
    async with server.events("r", **headers) as stream:
        assert stream.status == (403 if "Host" in headers else 200)  # a name that is not ours is nobody's
        stream.response.close()
    await wait_until(lambda: not server.streams)
    run = await server.engine.get("r")
    assert run.status == "running"
    assert await server.engine.log.read("r", run.feed.last_seq, 10) == []


@pytest.mark.parametrize("headers", OURS, ids=str)
async def test_a_page_of_our_own_can(server: Server, headers: dict[str, str]) -> None:
    """The same origin, a URL typed by hand, and another port of this machine may."""
    await server.start("gated", run_id="r")
    async with server.events("r", "?on_disconnect=cancel", **headers) as stream:
        assert stream.status == 200
        await stream.until("task.started")


@pytest.mark.parametrize(
    ("allowed", "host", "status"),
    [
        ((), "localhost", 201),
        ((), "127.0.0.1:9", 201),
        ((), "[::1]:9", 201),
        ((), "api.example", 403),
        ((), "localhost.evil.example", 403),
        (("api.example",), "api.example:80", 201),
        (("api.example",), "api.example.", 201),
        (("api.example",), "evil.example", 403),
        (("*",), "evil.example", 201),
    ],
)
async def test_runs_are_started_under_names_that_are_ours(
    aiohttp_client: AiohttpClient, allowed: tuple[str, ...], host: str, status: int
) -> None:
    """Loopback, and the names of ``allowed_hosts``; a name that was rebound to this address is 403."""
    client = await aiohttp_client(reactor_web.create_app(Engine(), small_workflow(), allowed_hosts=allowed))
    response = await client.post("/api/v1/workflows/small/runs", json={}, headers={"Host": host})
    assert response.status == status


@pytest.mark.parametrize(
    ("host", "expected"),
    [("localhost", True), ("127.0.0.1", True), ("127.9.9.9", True), ("::1", True),
     ("0.0.0.0", False), ("::", False), ("192.168.0.1", False), ("example.org", False), ("", False)],
)  # fmt: skip
def test_only_loopback_is_loopback(host: str, expected: bool) -> None:
    """All addresses of this machine's loopback, and its usual name; an address of all interfaces is not."""
    assert is_loopback(host) == expected
