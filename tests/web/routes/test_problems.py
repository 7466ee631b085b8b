"""Codes of refusals: in the document, on a page that its type leads to, in the docs and in the OpenAPI document."""

from __future__ import annotations

import io
import re
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from pytest_aiohttp import AiohttpClient

import reactor_web
from reactor import Engine, ReactorError
from reactor.errors import TooManyWaiting
from reactor_web.http.codes import CODES
from reactor_web.http.problems import STATUS, TITLES, Problem, document_of, problem_document, problems
from reactor_web.openapi.document import document
from reactor_web.openapi.operations import OPERATIONS
from tests.helpers.paths import ROOT
from tests.helpers.server import API, Server, small_workflow
from tests.project.describe_problems import PAGE, page


def test_the_page_in_the_docs_is_made_of_the_table() -> None:
    """Written by ``python -m tests.project.describe_problems``."""
    assert PAGE.read_text() == page()
    assert PAGE == ROOT / "docs" / "problems.md"


def test_every_code_says_what_it_means_and_what_to_do() -> None:
    """In kebab-case, with a status that has a title, and full sentences."""
    for name, code in CODES.items():
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", name)
        assert code.status in TITLES
        assert code.means.endswith(".")
        assert code.client.endswith(".")
        assert code.operator.endswith(".")
        assert (code.challenge is None) == (code.status != 401 and name != "forbidden-scope")
        is_cap = name.startswith("too-many-") and name not in ("too-many-tickets", "too-many-commands")
        assert ("{most}" in code.sentence) == is_cap
    assert len({code.title for code in CODES.values()}) == len(CODES)


async def test_every_code_has_a_page_for_people(server: Server) -> None:
    """Text, or HTML for a browser, without anything that could run; and a list of all."""
    session = server.session
    async with session.get(f"{server.url}/problems") as response:
        listed = await response.text()
    assert response.content_type == "text/plain"
    for name, code in CODES.items():
        assert f"{name}  {code.status}" in listed
        async with session.get(f"{server.url}/problems/{name}") as response:
            text = await response.text()
        assert (response.status, response.content_type, response.charset) == (200, "text/plain", "utf-8")
        assert code.text in text
        assert name in text
    browser = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    for path in ("/problems", "/problems/too-many-streams"):
        async with session.get(server.url + path, headers=browser) as response:
            html = await response.text()
        assert response.content_type == "text/html"
        assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert "too-many-streams" in html
        assert "<script" not in html
    assert f'href="{API}/problems/too-many-streams"' not in html
    assert "<code>streams</code>" in html


async def test_an_unknown_code_is_404_and_an_unknown_form_406(server: Server) -> None:
    """With the code that was probably meant, and nothing of the name as HTML."""
    status, problem = await server.get("/problems/too-many-stream")
    assert status == 404
    assert "'too-many-streams'" in problem["detail"]
    async with server.session.get(f"{server.url}/problems/%3Cb%3E", headers={"Accept": "text/html"}) as response:
        assert (response.status, response.content_type) == (404, "application/problem+json")
    async with server.session.get(f"{server.url}/problems", headers={"Accept": "image/png"}) as response:
        assert response.status == 406


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def raising(error: Exception) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        raise error

    return handler


async def answer_of(
    aiohttp_client: AiohttpClient, error: Exception, *, prefix: str | None = "/x/y"
) -> tuple[aiohttp.ClientResponse, dict[str, Any]]:
    """What a client of a host's own handler is told."""
    app = web.Application(middlewares=[problems])
    if prefix is not None:
        reactor_web.mount(app, Engine(), small_workflow(), prefix=prefix)
    app.router.add_get("/own", raising(error))
    client = await aiohttp_client(app)
    response = await client.get("/own")
    assert response.content_type == "application/problem+json"
    found: dict[str, Any] = await response.json()
    if found["type"] != "about:blank":
        assert (await client.get(found["type"])).status == 200
    return response, found


async def test_a_coded_problem_leads_to_its_page(aiohttp_client: AiohttpClient) -> None:
    """Under the prefix of the mount; with the seconds in ``Retry-After``, rounded up."""
    error = Problem(429, "you have 3", code="too-many-streams-of-you", retry_after=2.5, run_id="r")
    response, found = await answer_of(aiohttp_client, error)
    assert response.status == 429
    assert response.headers["Retry-After"] == "3"
    assert found == {
        "type": "/x/y/problems/too-many-streams-of-you", "title": "Too many streams of yours", "status": 429,
        "detail": "you have 3", "code": "too-many-streams-of-you", "retry_after": 2.5, "run_id": "r",
    }  # fmt: skip


async def test_where_nothing_is_mounted_there_is_no_page(aiohttp_client: AiohttpClient) -> None:
    """The code stays."""
    _, found = await answer_of(aiohttp_client, Problem(503, "full", code="too-many-streams"), prefix=None)
    assert (found["type"], found["code"]) == ("about:blank", "too-many-streams")


async def test_a_code_of_the_host_is_a_member_like_others(aiohttp_client: AiohttpClient) -> None:
    """``about:blank``, the title of the status, and no header that nobody asked for."""
    response, found = await answer_of(aiohttp_client, Problem(429, "slow down", code="mine", retry_after="soon"))
    assert (found["type"], found["title"], found["code"]) == ("about:blank", "Too many requests", "mine")
    assert "Retry-After" not in response.headers


@pytest.mark.parametrize(
    ("code", "challenge"),
    [
        ("unauthenticated", 'Bearer realm="reactor"'),
        ("ticket-invalid", 'Bearer realm="reactor"'),
        ("key-expired", 'Bearer realm="reactor", error="invalid_token"'),
        ("token-invalid", 'Bearer realm="reactor", error="invalid_token"'),
        ("forbidden-scope", 'Bearer realm="reactor", error="insufficient_scope"'),
        ("forbidden-run", None),
    ],
)
async def test_who_is_refused_is_told_what_is_asked_for(
    aiohttp_client: AiohttpClient, code: str, challenge: str | None
) -> None:
    """A 401 must have ``WWW-Authenticate`` (RFC 9110); a client that reads it knows whether another token helps."""
    response, _ = await answer_of(aiohttp_client, Problem(CODES[code].status, "no", code=code))
    assert response.headers.get("WWW-Authenticate") == challenge


async def test_a_401_without_a_code_has_a_challenge_too(aiohttp_client: AiohttpClient) -> None:
    """Whoever raises it."""
    response, found = await answer_of(aiohttp_client, Problem(401, "no"))
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert (found["type"], found["title"]) == ("about:blank", "Unauthorized")


async def test_the_routes_lead_to_the_page_wherever_they_are_mounted(aiohttp_client: AiohttpClient) -> None:
    """Also in an application in another one: the path is that of the client. A body that is too large has a code."""
    inner, outer = web.Application(), web.Application()
    reactor_web.mount(inner, Engine(), small_workflow(), prefix="/api")
    outer.add_subapp("/deep", inner)
    client = await aiohttp_client(outer)
    body = io.BytesIO(b'{"input": {"n": "%b"}}' % (b"x" * 2_000_000))
    headers = {"Content-Type": "application/json"}
    response = await client.post("/deep/api/workflows/small/runs", data=body, headers=headers)
    found = await response.json()
    assert (response.status, found["code"]) == (413, "body-too-large")
    assert found["type"] == "/deep/api/problems/body-too-large"
    assert (await client.get(found["type"])).status == 200


def test_an_error_of_the_engine_may_have_a_code() -> None:
    """Of those that are caps, and of a log that fails; all others are as they were."""
    found = document_of(TooManyWaiting("1,000 streams wait", run_id="r"))
    assert found == {
        "type": "about:blank", "title": "Too many waiting streams", "status": 503, "detail": "1,000 streams wait",
        "run_id": "r", "code": "too-many-waiting", "error": "TooManyWaiting",
    }  # fmt: skip
    for kind in STATUS:
        if kind.__name__ not in ("TooManyWaiting", "TooManyTickets", "LogUnavailable", "Unanswered") and issubclass(
            kind, ReactorError
        ):
            known = document_of(kind.__new__(kind, "x"))
            assert known is not None
            assert "code" not in known
    assert problem_document(404, "x") == {"type": "about:blank", "title": "Not found", "status": 404, "detail": "x"}


def test_the_openapi_document_has_refusals_of_every_operation_that_is_not_public() -> None:
    """401, 403 and 429, with the headers that go with them; a problem may have a code."""
    described = document(API)
    public = {operation.id for operation in OPERATIONS if operation.is_public}
    assert public == {
        "getClientFile",
        "getDocs",
        "getHealth",
        "getOpenApi",
        "getProblem",
        "getReadiness",
        "listProblems",
    }
    for path in described["paths"].values():
        for operation in path.values():
            responses = operation["responses"]
            has = {status for status in ("401", "403", "429") if status in responses}
            assert has == (set() if operation["operationId"] in public else {"401", "403", "429"})
            for status, header in {"401": "WWW-Authenticate", "429": "Retry-After", "503": "Retry-After"}.items():
                assert status not in responses or header in responses[status]["headers"]
    problem = described["components"]["schemas"]["Problem"]
    assert {"code", "retry_after"} <= set(problem["properties"])
    assert "code" not in problem["required"]
