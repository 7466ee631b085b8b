"""What a browser lets a page send: one table of Host, Origin and Sec-Fetch-Site against everything that changes.

Whatever a row may not do is refused with its code, and nothing has changed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer

import reactor_web
from reactor import Engine
from reactor_web.own.start import Start
from tests.helpers.server import API, Gates, Server, gated_workflow, small_workflow

OWN = "flows.example"
APP = "https://app.example"
EVIL = "https://evil.example"


@dataclass(frozen=True)
class Row:
    """Headers of a request, and what it may do."""

    headers: dict[str, str]
    reads: bool = True
    changes: bool = True
    code: str = "forbidden-origin"

    def __str__(self) -> str:
        return " ".join(f"{name}={value}" for name, value in self.headers.items()) or "nothing"


def origin(value: str | None = None, site: str | None = None, *, changes: bool, **more: str) -> Row:
    given = {"Origin": value, "Sec-Fetch-Site": site, **more}
    return Row({name.replace("_", "-"): text for name, text in given.items() if text is not None}, True, changes)


NAMES_OF_OURS = [
    "localhost", "LOCALHOST:1", "localhost.", "127.0.0.1", "127.0.0.1:8080", "[::1]", "[::1]:9", "[0:0:0:0:0:0:0:1]:9",
    OWN, "FLOWS.Example:8443", f"{OWN}.", f"{OWN}.:80",
]  # fmt: skip
NAMES_OF_OTHERS = [
    "evil.example", f"{OWN}.evil.example", f"evil{OWN}", "localhost.evil.example", "127.0.0.1.evil.example",
    "0.0.0.0", "127.0.0.2", "192.0.2.7:8080", "2130706433", "[2001:db8::1]", "[::]", "[::ffff:192.0.2.7]",
    "evil.example@localhost", "localhost@evil.example", "localhost/evil.example", "localhost?x", "localhost#x",
    "localhost\\evil.example", "localhost evil.example", "localhost,evil.example", "localhost:80:80", "localhost:x",
    "[::1", "::1", "*", "", ":8080",
]  # fmt: skip
TABLE = [
    *(Row({"Host": name}) for name in NAMES_OF_OURS),
    *(Row({"Host": name}, reads=False, changes=False, code="forbidden-host") for name in NAMES_OF_OTHERS),
    # no browser, or a person who has typed the URL
    origin(changes=True),
    origin(site="none", changes=True),
    # a page of ours
    origin(site="same-origin", changes=True),
    origin(f"https://{OWN}", "same-origin", changes=True),
    origin(f"https://{OWN}:8443", changes=True),
    origin("http://localhost:3000", "same-origin", changes=True),  # a build tool passes it on
    origin("http://localhost:3000", changes=True),  # an old browser; without a cookie it is worth nothing
    origin("http://[::1]:3000", changes=True),
    # a page of another origin
    origin("http://localhost:3000", "same-site", changes=False),
    origin(f"https://{OWN}:8443", "same-site", changes=False),
    origin(site="same-site", changes=False),
    origin(site="cross-site", changes=False),
    origin(site="something-new", changes=False),
    origin("null", changes=False),
    origin("null", "same-origin", changes=False),
    origin("null", "cross-site", changes=False),
    origin("", changes=False),
    origin(EVIL, changes=False),
    origin(EVIL, "same-origin", changes=False),
    origin(EVIL, "none", changes=False),
    origin(EVIL, "cross-site", changes=False),
    origin("https://localhost.evil.example", changes=False),
    origin(f"https://{OWN}.evil.example", changes=False),
    origin("file://", changes=False),
    origin("chrome-extension://abcdefghijklmnop", changes=False),
    # a page that mount(cors=) names
    origin(APP, "cross-site", changes=True),
    origin(APP.upper(), "cross-site", changes=True),
    origin("http://app.example", "cross-site", changes=False),
    origin(f"{APP}:8443", "cross-site", changes=False),
    origin(f"{APP}.evil.example", "cross-site", changes=False),
    origin("https://sub.app.example", "same-site", changes=False),
    origin("*", "cross-site", changes=False),
    # fetched ahead, before anybody has asked for it
    origin(site="same-origin", Sec_Purpose="prefetch", changes=False),
    origin(site="same-origin", Sec_Purpose="prefetch;prerender", changes=False),
    origin(site="none", Purpose="Prefetch", changes=False),
    origin(site="same-origin", X_Moz="prefetch", changes=False),
    origin(APP, "cross-site", Sec_Purpose="prefetch", changes=False),
]  # fmt: skip


@pytest.fixture(params=[False, True], ids=["", "cors_credentials"])
async def server(request: pytest.FixtureRequest) -> AsyncIterator[Server]:
    """A server with an open run ``open``, a run that has ended, ``ended``, and a GET that starts runs."""
    gates = Gates()
    flows = [gated_workflow(gates), small_workflow()]
    engine = Engine("memory://", workflows=flows, grace=0.0)
    app = reactor_web.create_app(engine, allowed_hosts=[OWN], cors=[APP], cors_credentials=request.param)
    reactor_web.add_stream(app, "/begin/{id}", engine, id_from="id", start=lambda _: Start("small"))
    async with TestClient(TestServer(app, host="127.0.0.1")) as client:
        server = Server.of(client, engine, app)
        await engine.start("gated", run_id="open")
        await (await engine.start("small", run_id="ended")).ended()
        yield server


@pytest.mark.parametrize("row", TABLE, ids=str)
async def test_what_a_page_may_do(server: Server, row: Row) -> None:
    """GET, POST, PUT, DELETE, the socket, leaving that cancels, and a GET that starts: by the row alone."""
    asks = Asks(server, row)
    before = await asks.everything()
    statuses = {
        "get": await asks.status("GET", "/runs/open"),
        "stream": await asks.status("GET", "/runs/open/events"),
        "socket": await asks.socket(),
        "post": await asks.status("POST", "/workflows/small/runs", {"run_id": "posted"}),
        "put": await asks.status("PUT", "/runs/put", {"workflow": "small"}),
        "command": await asks.status("POST", "/runs/open/pause", {}),
        "ticket": await asks.status("POST", "/stream-tickets", {"run_id": "open"}),
        "delete": await asks.status("DELETE", "/runs/ended"),
        "begin": await asks.status("GET", "/begin/begun", api=""),
        "cancel": await asks.status("GET", "/runs/open/events?on_disconnect=cancel"),
    }
    reads, changes = (200 if row.reads else 403), row.changes
    assert statuses == {
        "get": reads,
        "stream": reads,
        "cancel": 200 if changes else 403,
        "socket": 101 if changes else 403,
        "post": 201 if changes else 403,
        "put": 201 if changes else 403,
        "command": 202 if changes else 403,
        "ticket": 201 if changes else 403,
        "delete": 204 if changes else 403,
        # a route of the host's own: mount(cors=) is about the mounted ones
        "begin": 200 if changes and not asks.is_cors else 403,
    }
    assert asks.codes == (set() if changes and not asks.is_cors else {row.code if not changes else "forbidden-origin"})
    if changes:
        await (await server.engine.get("open")).ended()
    else:
        assert await asks.everything() == before


class Asks:
    """A client whose requests all have the headers of a row."""

    def __init__(self, server: Server, row: Row) -> None:
        self.server, self.headers = server, row.headers
        self.codes: set[str] = set()
        self.is_cors = row.changes and row.headers.get("Origin", "").lower() == APP

    async def status(self, method: str, path: str, body: object = None, api: str = API) -> int:
        root = self.server.url.removesuffix(API)
        given = {} if body is None else {"json": body}
        async with self.server.session.request(method, root + api + path, headers=self.headers, **given) as response:
            if response.status == 403:
                self.codes.add((await response.json(content_type=None))["code"])
            response.close()
            return response.status

    async def socket(self) -> int:
        try:
            async with self.server.session.ws_connect(f"{self.server.url}/runs/open/ws", headers=self.headers):
                return 101
        except aiohttp.WSServerHandshakeError as refused:
            return refused.status

    async def everything(self) -> dict[str, int]:
        """Each run with its last seq."""
        runs = [await self.server.engine.get(record.run_id) for record in await self.server.engine.list()]
        return {run.id: run.feed.last_seq for run in runs}


@pytest.mark.parametrize("host", ["anything.example", "localhost"])
async def test_any_host_is_not_any_origin(host: str) -> None:
    """With ``allowed_hosts=["*"]`` a page of another name is refused as ever."""
    engine = Engine("memory://", workflows=[small_workflow()], grace=0.0)
    app = reactor_web.create_app(engine, allowed_hosts=["*"])
    async with TestClient(TestServer(app)) as client:
        for row, status in (
            (origin(f"https://{host}", changes=True), 201),
            (origin("https://renamed.example", "same-origin", changes=True), 201),  # a proxy sends its own name
            (origin(EVIL, changes=False), 403),
            (origin("null", changes=False), 403),
            (origin(EVIL, "cross-site", changes=False), 403),
        ):
            headers = {**row.headers, "Host": host}
            async with client.post(f"{API}/workflows/small/runs", json={}, headers=headers) as response:
                assert response.status == status, row
