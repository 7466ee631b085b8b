"""Cookie sessions of the host: no page of another origin does anything with the cookie of who has signed in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from aiohttp_session import SimpleCookieStorage, get_session, setup

import reactor_web
from reactor import Engine
from reactor_web import Principal, Scope
from tests.helpers.server import API, Gates, gated_workflow, small_workflow

pytestmark = pytest.mark.filterwarnings("ignore::aiohttp.web_exceptions.NotAppKeyWarning")  # of aiohttp-session

APP = "https://app.example"
EVIL = "https://evil.example"
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
ORIGINS: dict[str, dict[str, str]] = {
    "a page of today's browsers": {"Origin": EVIL, "Sec-Fetch-Site": "cross-site"},
    "a page of a browser without Sec-Fetch": {"Origin": EVIL},
    "a page in a sandbox": {"Origin": "null"},
    "a navigation": {"Sec-Fetch-Site": "cross-site"},
    "another port of this name": {"Origin": "http://localhost:1"},
    "another port, today": {"Origin": "http://localhost:1", "Sec-Fetch-Site": "same-site"},
    "another name of this machine": {"Origin": "http://127.0.0.1"},
    "an origin that may ask without cookies": {"Origin": APP, "Sec-Fetch-Site": "cross-site"},
}
ATTEMPTS: list[tuple[str, str, str | None, str]] = [
    # what a form can send
    ("POST", "/workflows/small/runs", FORM, "input=%7B%7D"),
    ("POST", "/workflows/small/runs", "multipart/form-data; boundary=x", '--x\r\n\r\n{"input": {}}\r\n--x--'),
    ("POST", "/workflows/small/runs", "text/plain", '{"run_id": "forged", "meta": {"x": "="}}'),
    # what fetch(…, {mode: "no-cors"}) can send
    ("POST", "/workflows/small/runs", "text/plain;charset=UTF-8", '{"run_id": "forged"}'),
    ("POST", "/workflows/small/runs", None, '{"run_id": "forged"}'),
    ("POST", "/runs/open/cancel", "text/plain", "{}"),
    ("POST", "/runs/open/events", FORM, '{"type": "note.made"}'),
    ("GET", "/runs/open/events?on_disconnect=cancel", None, ""),
    # what a browser would ask before it sends, if that went wrong
    ("POST", "/workflows/small/runs", JSON, '{"run_id": "forged"}'),
    ("POST", "/runs/open/cancel", JSON, "{}"),
    ("POST", "/runs/open/input", JSON, '{"task": "slow", "value": 1}'),
    ("POST", "/stream-tickets", JSON, '{"run_id": "open"}'),
    ("PUT", "/runs/forged", JSON, '{"workflow": "small"}'),
    ("DELETE", "/runs/ended", None, ""),
]  # fmt: skip


async def who(request: web.Request) -> Principal | None:
    user = (await get_session(request)).get("user")
    return None if user is None else Principal(f"user:{user}", frozenset(map(str, Scope)))


async def sign_in(request: web.Request) -> web.Response:
    (await get_session(request))["user"] = "ann"
    return web.Response()


class Site:
    """A server on which somebody has signed in with a browser that has a cookie now."""

    def __init__(self, client: TestClient[Any, Any], engine: Engine) -> None:
        self.client, self.engine = client, engine
        self.host = f"localhost:{client.port}"
        self.own = f"http://{self.host}"

    async def everything(self) -> dict[str, int]:
        runs = [await self.engine.get(record.run_id) for record in await self.engine.list()]
        return {run.id: run.feed.last_seq for run in runs}

    async def send(
        self, method: str, path: str, kind: str | None, body: str, headers: dict[str, str]
    ) -> aiohttp.ClientResponse:
        """The response; its body is not waited for."""
        given = {"Host": self.host, **headers, **({} if kind is None else {"Content-Type": kind})}
        data = body.encode() if body else None
        skip = {"Content-Type"} if kind is None else set()
        response = await self.client.request(
            method, API + path, data=data, headers=given, skip_auto_headers=skip, allow_redirects=False
        )
        response.close()
        return response

    async def socket(self, headers: dict[str, str]) -> int:
        """The status of the upgrade."""
        try:
            async with self.client.ws_connect(f"{API}/runs/open/ws", headers={"Host": self.host, **headers}):
                return 101
        except aiohttp.WSServerHandshakeError as refused:
            return refused.status


@asynccontextmanager
async def signed_in(*, cors_credentials: bool = False) -> AsyncIterator[Site]:
    gates = Gates()
    engine = Engine("memory://", workflows=[gated_workflow(gates), small_workflow()], grace=0.0)
    app = web.Application()
    setup(app, SimpleCookieStorage())
    app.router.add_post("/sign-in", sign_in)
    reactor_web.mount(app, engine, authorize=who, cors=[APP], cors_credentials=cors_credentials)
    jar = aiohttp.CookieJar(unsafe=True)  # of an address, too
    async with TestClient(TestServer(app, host="127.0.0.1"), cookie_jar=jar) as client:
        async with client.get(f"{API}/runs") as response:
            assert response.status == 401
        await client.post("/sign-in")
        await engine.start("gated", run_id="open")
        await (await engine.start("small", run_id="ended")).ended()
        yield Site(client, engine)


# of the pages of ``cors=`` with credentials see the test below: they may
@pytest.mark.parametrize(
    ("page", "cors_credentials"),
    [(page, False) for page in ORIGINS] + [(page, True) for page in ORIGINS if ORIGINS[page].get("Origin") != APP],
)
async def test_a_page_of_another_origin_changes_nothing_with_the_cookie(page: str, cors_credentials: bool) -> None:
    """Forms, scripts that do not ask, sockets, and what would be sent if a browser had not asked: all are refused."""
    headers = ORIGINS[page]
    async with signed_in(cors_credentials=cors_credentials) as site:
        before = await site.everything()
        for method, path, kind, body in ATTEMPTS:
            response = await site.send(method, path, kind, body, headers)
            assert response.status in (403, 415), (method, path, kind)
            assert "Access-Control-Allow-Credentials" not in response.headers
        assert await site.socket(headers) == 403
        assert await site.everything() == before


@pytest.mark.parametrize(
    ("headers", "cors_credentials"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, False),
        ({}, False),  # a program that has a cookie
        ({"Origin": APP, "Sec-Fetch-Site": "cross-site"}, True),
    ],
    ids=str,
)
async def test_a_page_that_may_does_all_of_it(headers: dict[str, str], cors_credentials: bool) -> None:
    """The test above refuses for the page, not for what is sent: the same JSON from a page of ours is carried out."""
    async with signed_in(cors_credentials=cors_credentials) as site:
        if "Sec-Fetch-Site" in headers:
            headers = {"Origin": site.own, **headers}
        statuses = [(await site.send(*attempt, headers)).status for attempt in ATTEMPTS if attempt[2] == JSON]
        assert statuses == [201, 202, 409, 201, 200]  # the run is being cancelled, and ``forged`` is there already
        assert (await site.send("DELETE", "/runs/ended", None, "", headers)).status == 204
        await (await site.engine.get("open")).ended()
        assert await site.socket(headers) == 101


@pytest.mark.parametrize("cors_credentials", [False, True], ids=["", "cors_credentials"])
async def test_an_answer_may_be_read_with_cookies_only_where_that_was_said(cors_credentials: bool) -> None:
    """To a page of the origin in ``cors``; no other is told anything, with the answer or before it."""
    async with signed_in(cors_credentials=cors_credentials) as site:
        for origin in (APP, EVIL, "null", "http://localhost:1"):
            asks = {"Origin": origin, "Access-Control-Request-Method": "DELETE"}
            answers = [
                await site.send("GET", "/runs", None, "", {"Origin": origin}),
                await site.send("OPTIONS", "/runs/ended", None, "", asks),
            ]
            for response in answers:
                told = [response.headers.get(f"Access-Control-Allow-{name}") for name in ("Origin", "Credentials")]
                assert told == ([origin, "true" if cors_credentials else None] if origin == APP else [None, None])
            assert answers[1].status == (204 if origin == APP else 403)
