"""CORS: which pages of other sites may ask, and what their browsers are told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer

import reactor_web
from reactor import Engine
from tests.helpers.lines_client import NDJSON
from tests.helpers.server import API, small_workflow

APP = "https://app.example"
OTHER = "https://evil.example"


@pytest.fixture
async def client() -> AsyncIterator[TestClient[Any, Any]]:
    """A server whose pages at ``APP`` may ask; it has one run that has ended."""
    engine = Engine(grace=0.0)
    app = reactor_web.create_app(engine, small_workflow(), cors=[APP, "http://localhost:3000/"])
    async with TestClient(TestServer(app)) as client:
        await (await engine.start("small", run_id="r"))
        yield client


@pytest.mark.parametrize("origin", [APP, "http://localhost:3000"])
@pytest.mark.parametrize(
    ("path", "accept", "status"),
    [
        ("/runs/r", "application/json", 200),
        ("/runs/r/events", "text/event-stream", 200),
        ("/runs/r/events", NDJSON, 200),
        ("/runs/r/events?after=x", "text/event-stream", 400),
        ("/runs/nope", "*/*", 404),
        ("/nowhere", "*/*", 404),
        ("/runs/r/events?after=9", "text/event-stream", 204),
    ],
)
async def test_every_answer_may_be_read_by_pages_of_that_origin(
    client: TestClient[Any, Any], origin: str, path: str, accept: str, status: int
) -> None:
    """Streams and problem documents included, with credentials, and with the headers that scripts need."""
    last = (await (await client.get(f"{API}/runs/r")).json())["seq"]
    path = path.replace("after=9", f"after={last}")
    async with client.get(API + path, headers={"Origin": origin, "Accept": accept}) as response:
        assert response.status == status
        assert response.headers["Access-Control-Allow-Origin"] == origin
        assert "Access-Control-Allow-Credentials" not in response.headers  # only with mount(cors_credentials=True)
        assert "Location" in response.headers["Access-Control-Expose-Headers"]
        assert "Origin" in response.headers["Vary"]


@pytest.mark.parametrize("origin", [OTHER, "null", f"{APP}.evil.example", "http://app.example", None])
async def test_pages_of_others_are_allowed_nothing(client: TestClient[Any, Any], origin: str | None) -> None:
    """The answer says that it depends on the origin, so that no cache hands it on."""
    headers = {} if origin is None else {"Origin": origin}
    for path in ("/runs/r", "/runs/r/events"):
        async with client.get(API + path, headers=headers) as response:
            assert "Access-Control-Allow-Origin" not in response.headers
            assert response.headers["Vary"] == "Origin"


async def test_a_browser_asks_before_it_sends_a_command(client: TestClient[Any, Any]) -> None:
    """204 with what may be sent; then the command itself is carried out."""
    asks = {"Origin": APP, "Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "content-type"}
    async with client.options(f"{API}/runs/r2", headers=asks) as response:
        assert (response.status, await response.read()) == (204, b"")
        assert response.headers["Access-Control-Allow-Origin"] == APP
        assert "PUT" in response.headers["Access-Control-Allow-Methods"]
        for name in ("Content-Type", "Last-Event-ID", "Idempotency-Key", "Prefer"):
            assert name in response.headers["Access-Control-Allow-Headers"]
        assert int(response.headers["Access-Control-Max-Age"]) > 0
    async with client.put(f"{API}/runs/r2", json={"workflow": "small"}, headers={"Origin": APP}) as response:
        assert (response.status, response.headers["Access-Control-Allow-Origin"]) == (201, APP)


@pytest.mark.parametrize("origin", [OTHER, "null"])
async def test_a_browser_that_asks_for_a_page_of_another_site_is_refused(
    client: TestClient[Any, Any], origin: str
) -> None:
    """403 with a sentence, and none of the headers that allow."""
    asks = {"Origin": origin, "Access-Control-Request-Method": "PUT"}
    async with client.options(f"{API}/runs/r2", headers=asks) as response:
        assert response.status == 403
        assert "mount(cors=)" in (await response.json(content_type="application/problem+json"))["detail"]
        assert not [name for name in response.headers if name.startswith("Access-Control")]


async def test_a_page_that_may_ask_may_open_a_socket_and_cancel_by_leaving(client: TestClient[Any, Any]) -> None:
    """What is refused to pages of other sites is allowed to those of these origins."""
    async with client.ws_connect(f"{API}/runs/r/ws", headers={"Origin": APP}) as ws:
        assert (await ws.receive_json())["type"] == "run.started"
    with pytest.raises(aiohttp.WSServerHandshakeError):
        await client.ws_connect(f"{API}/runs/r/ws", headers={"Origin": OTHER})
    path = f"{API}/runs/r/events?on_disconnect=cancel"
    for origin, status in ((APP, 200), (OTHER, 403)):
        async with client.get(path, headers={"Origin": origin, "Sec-Fetch-Site": "cross-site"}) as response:
            assert response.status == status


async def test_without_cors_nothing_is_said_of_it() -> None:
    """No header, and a preflight is refused."""
    engine = Engine(grace=0.0)
    async with TestClient(TestServer(reactor_web.create_app(engine, small_workflow()))) as client:
        await (await engine.start("small", run_id="r"))
        async with client.get(f"{API}/runs/r", headers={"Origin": APP}) as response:
            assert not [name for name in response.headers if name.startswith("Access-Control")]
            assert "Vary" not in response.headers
        asks = {"Origin": APP, "Access-Control-Request-Method": "PUT"}
        assert (await client.options(f"{API}/runs/r", headers=asks)).status == 403


@pytest.mark.parametrize(
    ("cors", "error", "sentence"),
    [
        ("https://app.example", TypeError, "must be a list of origins"),
        ([7], TypeError, "an origin is a text"),
        (["*"], ValueError, "is no origin"),
        (["null"], ValueError, "is no origin"),
        (["app.example"], ValueError, "is no origin"),
        (["https://app.example/path"], ValueError, "is no origin"),
        (["https://user@app.example"], ValueError, "is no origin"),
        (["ftp://app.example"], ValueError, "is no origin"),
        (["https://[::1"], ValueError, "is no origin"),
    ],
)
def test_what_is_no_origin_is_refused_when_it_is_mounted(cors: Any, error: type[Exception], sentence: str) -> None:
    """``*`` and ``null`` too: any page could ask then."""
    with pytest.raises(error, match=sentence):
        reactor_web.create_app(Engine(), cors=cors)
