"""HEAD, OPTIONS, 405 and 406 on every route."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

import reactor_web
from reactor import Engine
from reactor_web.routes.methods import _CHOOSING  # type: ignore[reportPrivateUsage]
from tests.helpers.server import Server

PATHS = {"id": "r", "name": "small", "task": "b", "file": "reactor.js", "code": "too-many-streams", "schedule": "s"}


def all_routes() -> dict[str, set[str]]:
    """Path -> the methods there are, of every route that is mounted."""
    app = reactor_web.create_app(Engine())
    found: dict[str, set[str]] = {}
    for resource in app.router.resources():
        for route in resource:
            assert route.resource is not None
            path = route.resource.canonical.removeprefix("/api/v1").format(**PATHS)
            found.setdefault(path, set()).add(route.method)
    return found


ROUTES = all_routes()
NO_JSON = {"/docs", "/client/reactor.js", "/problems", "/problems/too-many-streams"}


async def ended(server: Server) -> None:
    await server.start("small", run_id="r")
    await (await server.engine.get("r")).ended()
    await server.engine.schedule("small", every=timedelta(days=1), name="s")


@pytest.mark.parametrize("path", sorted(path for path, methods in ROUTES.items() if "GET" in methods))
async def test_a_head_is_as_the_get_without_its_body(server: Server, path: str) -> None:
    """The same status and the same type."""
    await ended(server)
    async with server.session.get(server.url + path) as response:
        wanted = response.status, response.headers.get("Content-Type")
    async with server.session.head(server.url + path) as response:
        assert (response.status, response.headers.get("Content-Type")) == wanted
        assert await response.read() == b""


@pytest.mark.parametrize("path", sorted(ROUTES))
async def test_options_and_405_name_the_methods_there_are(server: Server, path: str) -> None:
    """``Allow`` has exactly these, and OPTIONS."""
    await ended(server)
    wanted = ROUTES[path] | {"OPTIONS"}
    async with server.session.options(server.url + path) as response:
        assert (response.status, await response.read()) == (204, b"")
        assert set(response.headers["Allow"].split(", ")) == wanted
    for method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} - wanted:
        async with server.session.request(method, server.url + path) as response:
            assert response.status == 405
            assert set(response.headers["Allow"].split(",")) == wanted - {"OPTIONS"}


@pytest.mark.parametrize(
    ("method", "path"),
    sorted((method, path) for path, methods in ROUTES.items() for method in methods - {"HEAD", "DELETE"}
           if path not in NO_JSON and not path.endswith("/ws")),
)  # fmt: skip
async def test_who_takes_nothing_that_there_is_gets_406_and_nothing_is_started(
    server: Server, method: str, path: str
) -> None:
    """The sentence names what there is; a browser, which takes everything, is sent JSON."""
    await ended(server)
    before = len(await server.engine.list())
    options: dict[str, Any] = {} if method == "GET" else {"json": {}}
    async with server.session.request(
        method, server.url + path, headers={"Accept": "image/png, application/json;q=0"}, **options
    ) as response:
        problem = await response.json(content_type="application/problem+json")
        assert (response.status, "application/json" in problem["detail"]) == (406, True)
    assert len(await server.engine.list()) == before
    if method == "GET":
        browser = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
        async with server.session.get(server.url + path, headers=browser) as response:
            assert response.status == 200


async def test_options_of_nothing_is_404(server: Server) -> None:
    """As any other method."""
    async with server.session.options(f"{server.url}/nowhere") as response:
        assert response.status == 404


def test_handlers_that_choose_their_form_are_routes() -> None:
    """Nothing is marked that is not mounted, so no mark outlives its route."""
    app = reactor_web.create_app(Engine())
    handlers = {route.handler for resource in app.router.resources() for route in resource}
    assert handlers >= _CHOOSING
