"""An application of our own, and one of somebody else that mounts our routes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from aiohttp import web
from pytest_aiohttp import AiohttpClient

import reactor_web
from reactor import Engine
from reactor_web import problems
from tests.helpers.server import API, small_workflow


def mounted(*middlewares: object) -> Callable[[Engine], web.Application]:
    """An application with these middlewares that mounts the routes."""

    def make(engine: Engine) -> web.Application:
        app = web.Application(middlewares=middlewares)  # type: ignore[arg-type]
        reactor_web.mount(app, engine)
        return app

    return make


APPLICATIONS = {"created": reactor_web.create_app, "mounted": mounted(), "mounted beside it": mounted(problems)}


@pytest.mark.parametrize("make", APPLICATIONS.values(), ids=APPLICATIONS)
async def test_an_error_is_made_a_problem_once_whatever_the_application(
    aiohttp_client: AiohttpClient, make: Callable[[Engine], web.Application]
) -> None:
    """The middleware is around a handler exactly once, also where the host application has it for its own."""
    app, seen = make(Engine()), list[int]()

    async def note(request: web.Request, response: web.StreamResponse) -> None:
        seen.append(sum(list(part.middlewares).count(problems) for part in request.match_info.apps))

    app.on_response_prepare.append(note)
    client = await aiohttp_client(app)
    for path in ("/runs/nope", "/nowhere"):
        response = await client.get(API + path)
        assert (response.status, response.content_type) == (404, "application/problem+json")
    assert seen == [1, 1]


async def test_problems_answers_for_the_handlers_of_a_host_too(aiohttp_client: AiohttpClient) -> None:
    """Errors of reactor by their status, bugs as 500 without what they say."""
    engine = Engine()
    app = mounted(problems)(engine)

    async def mine(request: web.Request) -> web.StreamResponse:
        return await reactor_web.stream(request, await engine.get(request.match_info["id"]))

    async def broken(request: web.Request) -> web.StreamResponse:
        raise KeyError("secret")

    app.router.add_get("/mine/{id}", mine)
    app.router.add_get("/broken", broken)
    client = await aiohttp_client(app)
    for path, status in (("/mine/nope", 404), ("/mine/nope?after=x", 404), ("/broken", 500), ("/nowhere", 404)):
        response = await client.get(path)
        body = await response.json(content_type="application/problem+json")
        assert response.status == body["status"] == status
        assert "secret" not in body["detail"]


async def test_the_routes_stand_under_the_prefix(aiohttp_client: AiohttpClient) -> None:
    """So do the addresses of runs."""
    app = web.Application()
    reactor_web.mount(app, Engine(), small_workflow(), prefix="/flows")
    client = await aiohttp_client(app)
    response = await client.post("/flows/workflows/small/runs", json={"run_id": "r"})
    assert (response.status, response.headers["Location"]) == (201, "/flows/runs/r")
    assert (await client.get(API + "/workflows")).status == 404


@pytest.mark.parametrize("prefix", ["", "/", "api", "/api/"])
def test_a_bad_prefix_is_refused(prefix: str) -> None:
    """When the routes are mounted, not with the first request."""
    with pytest.raises(ValueError, match="is not a prefix"):
        reactor_web.mount(web.Application(), Engine(), prefix=prefix)


async def test_the_engine_lives_as_long_as_the_application_unless_somebody_else_entered_it(
    aiohttp_client: AiohttpClient,
) -> None:
    """Entered at its start and drained at its end; or left alone."""
    ours = Engine()
    client = await aiohttp_client(reactor_web.create_app(ours))
    assert ours.is_accepting
    await client.close()
    assert not ours.is_accepting
    async with Engine() as theirs:
        client = await aiohttp_client(reactor_web.create_app(theirs))
        await client.close()
        assert theirs.is_accepting
