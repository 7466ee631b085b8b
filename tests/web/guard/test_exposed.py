"""An application without authentication answers this machine only, whatever address it listens on."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

import reactor_web
from reactor import Engine
from reactor_web import Guard, Principal
from reactor_web.own.start import Start
from tests.helpers.server import API, small_workflow

NOT_EXPOSED = (403, "not-exposed")
ROUTES: list[tuple[str, str, Any]] = [
    ("GET", f"{API}/runs", None),
    ("GET", f"{API}/events", None),
    ("GET", f"{API}/runs/ended/events", None),
    ("POST", f"{API}/workflows/small/runs", {}),
    ("PUT", f"{API}/runs/new", {"workflow": "small"}),
    ("GET", "/begin/mine", None),
    ("GET", "/state/ended", None),
    ("DELETE", f"{API}/runs/ended", None),
]


def address_of_this_machine() -> str:
    """An address at which others reach it. Skips where it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            pytest.skip("asks on an address that others reach, which is not here")
        return probe.getsockname()[0]


def application(**options: Any) -> tuple[web.Application, Engine]:
    """The routes, and two of the host's own."""
    engine = Engine("memory://", workflows=[small_workflow()], grace=0.0)
    app = web.Application()
    reactor_web.mount(app, engine, **options)
    reactor_web.add_stream(app, "/begin/{id}", engine, start=lambda _: Start("small"))
    reactor_web.add_state(app, "/state/{id}", engine)
    return app, engine


@asynccontextmanager
async def listening(host: str, **options: Any) -> AsyncIterator[tuple[Callable[..., Any], Engine]]:
    """``ask(address, method, path, body)`` -> (status, code), of a server with a run that has ended."""
    app, engine = application(**options)
    async with TestServer(app, host=host) as server, aiohttp.ClientSession() as session:
        await (await engine.start("small", run_id="ended")).ended()

        async def ask(address: str, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
            url = f"http://{address}:{server.port}{path}"
            async with session.request(method, url, json=body, headers=headers) as response:
                if response.content_type.endswith("json") and response.status >= 400:
                    return response.status, (await response.json(content_type=None)).get("code")
                response.close()
                return response.status, None

        yield ask, engine


async def test_from_another_address_nobody_is_answered() -> None:
    """No route, also none of the host's own; this machine is, by its loopback, and public routes are."""
    address = address_of_this_machine()
    async with listening("0.0.0.0", guard=Guard(), allowed_hosts=["*"]) as (ask, engine):
        for route in ROUTES:
            assert await ask(address, *route) == NOT_EXPOSED, route
        assert [record.run_id for record in await engine.list()] == ["ended"]
        assert (await ask(address, "GET", f"{API}/healthz"))[0] == 200
        for route in ROUTES:
            assert (await ask("127.0.0.1", *route))[0] < 300, route


@pytest.mark.parametrize(
    "header",
    [
        "X-Forwarded-For",
        "X-Forwarded-Proto",
        "X-Forwarded-Host",
        "Forwarded",
        "Via",
        "X-Real-IP",
        "x-forwarded-whatever",
    ],
)
async def test_what_a_proxy_has_passed_on_is_not_answered(header: str) -> None:
    """Whatever header tells that it was there, also an empty one."""
    async with listening("127.0.0.1") as (ask, engine):
        for value in ("192.0.2.1", "127.0.0.1", ""):
            for route in ROUTES:
                assert await ask("127.0.0.1", *route, **{header: value}) == NOT_EXPOSED, route
        assert [record.run_id for record in await engine.list()] == ["ended"]


async def test_a_proxy_that_is_trusted_does_not_make_anybody_known() -> None:
    """Where a client is says nothing of who it is."""
    async with listening("127.0.0.1", guard=Guard(trusted_proxies=["127.0.0.1"])) as (ask, _):
        assert await ask("127.0.0.1", "GET", f"{API}/runs", **{"X-Forwarded-For": "127.0.0.1"}) == NOT_EXPOSED


async def test_with_authorize_everybody_is_asked_and_with_insecure_nobody() -> None:
    """``authorize`` also for this machine; ``insecure`` also for another address."""
    nobody: list[str] = []

    def who(request: web.Request) -> Principal | None:
        nobody.append(request.path)
        return None

    async with listening("127.0.0.1", authorize=who) as (ask, engine):
        for route in ROUTES:
            assert await ask("127.0.0.1", *route) == (401, "unauthenticated"), route
        assert nobody == [path for _, path, _ in ROUTES]
        assert [record.run_id for record in await engine.list()] == ["ended"]
    address = address_of_this_machine()
    async with listening("0.0.0.0", guard=Guard(insecure=True)) as (ask, _):
        for route in ROUTES:
            assert (await ask(address, *route, **{"X-Forwarded-For": "192.0.2.1"}))[0] < 300, route


async def test_a_unix_socket_is_this_machine_and_nginx_in_front_of_it_is_not(tmp_path: Path) -> None:
    """Who may open the socket is said by its file; HTTP/1.0 with ``Connection: close`` is nginx as it comes."""
    app, _ = application()
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.UnixSite(runner, str(tmp_path / "s")).start()
        for version, status in ((aiohttp.HttpVersion11, 200), (aiohttp.HttpVersion10, 403)):
            connector = aiohttp.UnixConnector(str(tmp_path / "s"))
            async with aiohttp.ClientSession(connector=connector, version=version) as session:
                headers = {"Connection": "close"}
                async with session.get(f"http://localhost{API}/runs", headers=headers) as response:
                    assert response.status == status
    finally:
        await runner.cleanup()
