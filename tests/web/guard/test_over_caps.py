"""A real server over each of its caps: who is refused is told why, and whatever was taken is given back.

How fast that is, with thousands of clients, is measured by ``python -m benchmarks.exposed``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

import reactor_web
from reactor import Engine
from reactor.testing import VirtualClock
from reactor_web import Start, add_agent, add_chat, add_start, add_stream
from reactor_web.guard.caps import Caps
from reactor_web.guard.counting import MemoryCaps
from reactor_web.guard.guard import Guard
from reactor_web.guard.principal import SCOPES, Principal
from reactor_web.http.middleware import only_looks
from reactor_web.sse.parser import Parser
from reactor_web.streaming.connection.client import Client
from tests.helpers.server import API, Gates, gated_workflow, small_workflow
from tests.helpers.site import Raw, Site, poll, site_of

OFF: dict[str, Any] = {field.name: None for field in fields(Caps) if "None" in str(field.type)}
EVENT_STREAM = {"Accept": "text/event-stream"}
JSON = {"Accept": "application/json"}


@dataclass
class Full:
    """A server whose caps a test sets, and a client session."""

    site: Site
    guard: Guard
    session: aiohttp.ClientSession
    gates: Gates
    opened: list[aiohttp.ClientResponse]

    @property
    def counter(self) -> MemoryCaps:
        assert isinstance(self.guard.counter, MemoryCaps)
        return self.guard.counter

    def set(self, **caps: Any) -> None:
        self.guard.caps = Caps(**{**OFF, **caps})
        self.guard.counter = MemoryCaps(VirtualClock(jumps=False))  # no window ends by itself

    def ask(self, method: str, path: str, **options: Any) -> Any:
        headers = {"User": "ann", **JSON, **options.pop("headers", {})}
        url = f"http://127.0.0.1:{self.site.port}{path}"
        return self.session.request(method, url, headers=headers, **options)

    async def open(self, path: str, method: str = "GET", **options: Any) -> aiohttp.ClientResponse:
        """Opens a stream that stays open."""
        response = await self.ask(method, path, headers={**EVENT_STREAM, **options.pop("headers", {})}, **options)
        assert response.status == 200, await response.text()
        self.opened.append(response)
        return response

    async def leave(self) -> None:
        for response in self.opened:
            response.close()
        self.opened.clear()

    async def nothing_left(self) -> None:
        """No cap is taken, no request is let in, no stream is open."""
        await poll(
            lambda: not (self.counter._held or self.guard._watch.let_in or len(self.site.streams)),
            f"left: {self.counter._held}, {self.guard._watch.let_in}, {list(self.site.streams)}",
        )


def each_alone() -> aiohttp.ClientSession:
    """A session that keeps no connection: what is open is counted."""
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True))


def who(request: web.Request) -> Principal | None:
    """Whoever the request says, of whatever tenant: the tests are about how much they may ask."""
    user = request.headers.get("User") or request.query.get("user")
    return None if user is None else Principal(user, SCOPES, tenant=request.headers.get("Tenant", ""))


def own_app(engine: Engine, gates: Gates) -> web.Application:
    """All kinds of routes in one application."""
    app = web.Application(client_max_size=20_000)
    guard = Guard(authorize=who, trusted_proxies=["127.0.0.1"], caps=Caps(**OFF))
    flows = [gated_workflow(gates), small_workflow()]
    reactor_web.mount(app, engine, flows, guard=guard)

    def begin(request: web.Request, body: Any) -> Start:
        return Start("small", {"n": 1}, run_id=body.get("run_id"))

    add_stream(app, "/own/{id}", engine)
    add_stream(app, "/own-start/{id}", engine, start=lambda request: Start("small", {}))
    add_start(app, "/start", engine, begin)
    add_chat(app, "/chat", engine, lambda request, body: Start("small", {}))
    add_agent(app, "/agent", engine, "small")
    return app


@asynccontextmanager
async def filling(*middlewares: Any, **runner: Any) -> AsyncGenerator[Full]:
    gates = Gates()
    async with Engine("memory://", grace=0.0) as engine:
        app = own_app(engine, gates)
        app.middlewares.extend(middlewares)
        guard = app[reactor_web.guard.access.GUARD]
        async with site_of(engine, app, **runner) as site, each_alone() as session:
            full = Full(site, guard, session, gates, [])
            full.set()
            try:
                yield full
            finally:
                await full.leave()


@pytest.fixture
async def full() -> AsyncIterator[Full]:
    async with filling() as full:
        yield full


async def start(full: Full, run_id: str = "r", workflow: str = "gated", **headers: str) -> None:
    async with full.ask("PUT", f"{API}/runs/{run_id}", json={"workflow": workflow}, headers=headers) as response:
        assert response.status == 201, await response.text()


# --- each cap -----------------------------------------------------------------------------------------------------


async def is_refused(full: Full, asked: Any, code: str, status: int, retry: str | None) -> None:
    """The status, the code, ``Retry-After``, and a page of the code at the address in ``type``."""
    async with asked as response:
        document = await response.json(content_type="application/problem+json")
        assert (response.status, document["code"], document["status"]) == (status, code, status)
        assert response.headers.get("Retry-After") == retry
        assert "already" in document["detail"] or "too fast" in document["detail"] or "wait for" in document["detail"]
    assert document["type"] == f"{API}/problems/{code}"
    async with full.session.get(f"http://127.0.0.1:{full.site.port}{document['type']}") as page:
        assert page.status == 200
        assert document["title"] in await page.text()


async def tells_an_event_source(full: Full, path: str, code: str) -> None:
    """200, ``retry:``, ``stream.closing`` with the code, and the end: what a browser comes back after."""
    async with full.ask("GET", path, headers=EVENT_STREAM) as response:
        body = await response.read()
        assert (response.status, response.content_type) == (200, "text/event-stream"), body
    parser = Parser()
    (frame,) = parser.feed(body)
    assert frame.event == "stream.closing"
    assert f'"reason":"limit","code":"{code}"' in frame.data
    assert (parser.retry_ms or 0) >= 1_000


OF_STREAMS = [
    ("too-many-streams-of-you", 429, "10", {"streams_per_principal": 1}, {}),
    ("too-many-streams-of-address", 429, "10", {"streams_per_address": 1}, {"X-Forwarded-For": "203.0.113.7"}),
    ("too-many-streams-of-run", 503, "10", {"streams_per_run": 1}, {}),
    ("too-many-streams", 503, "10", {"streams": 1}, {}),
    ("too-many-streams-of-tenant", 429, "10", {"streams": 2}, {"Tenant": "acme"}),
    ("too-many-connects", 429, "100", {"connects_per_second": 0.01, "connects_burst": 1},
     {"X-Forwarded-For": "203.0.113.7"}),
]  # fmt: skip


@pytest.mark.parametrize(("code", "status", "retry", "caps", "headers"), OF_STREAMS, ids=lambda value: str(value)[:30])
async def test_one_stream_too_many(
    full: Full, code: str, status: int, retry: str, caps: dict[str, Any], headers: dict[str, str]
) -> None:
    """One is open, and stays; every form of a further one is refused; when it has gone there is room again."""
    await start(full, **headers)
    full.set(**caps)
    stream = await full.open(f"{API}/runs/r/events", headers=headers)
    told = {"Reactor-Client": "test", **EVENT_STREAM, **headers}
    for path in (f"{API}/runs/r/events", "/own/r"):
        await is_refused(full, full.ask("GET", path, headers=told), code, status, retry)
    lines = {"Accept": "application/x-ndjson", **headers}
    await is_refused(full, full.ask("GET", f"{API}/runs/r/events", headers=lines), code, status, retry)
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
               "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", **headers}  # fmt: skip
    await is_refused(full, full.ask("GET", f"{API}/runs/r/ws", headers=upgrade), code, status, retry)
    waits = f"{API}/runs/r/events?wait=60&after=1000"
    await is_refused(full, full.ask("GET", waits, headers=headers), code, status, retry)
    full.session.headers.update(headers)  # from here on a browser, which has a cookie and a proxy but no such headers
    for path in (f"{API}/runs/r/events", "/own/r"):
        await tells_an_event_source(full, path, code)
    full.gates["step"].set()
    while b"step.made" not in await stream.content.readany():
        pass  # it was not cut
    await full.leave()
    await full.nothing_left()
    if code != "too-many-connects":
        await full.open(f"{API}/runs/r/events", headers=headers)


async def test_a_stream_of_all_runs_is_one(full: Full) -> None:
    """``GET /events`` counts, but not for a run."""
    full.set(streams=1, streams_per_run=1)
    await full.open(f"{API}/events")
    told = {"Reactor-Client": "test", **EVENT_STREAM}
    await is_refused(full, full.ask("GET", f"{API}/events", headers=told), "too-many-streams", 503, "10")
    await tells_an_event_source(full, f"{API}/events", "too-many-streams")


STARTS: list[tuple[str, str, dict[str, Any]]] = [
    ("PUT", f"{API}/runs/new", {"json": {"workflow": "small"}}),
    ("POST", f"{API}/workflows/small/runs", {"json": {}}),
    ("POST", f"{API}/workflows/small/runs", {"json": {}, "headers": {"Prefer": "wait=5"}}),
    ("POST", f"{API}/workflows/small/runs", {"json": {}, "headers": {"Idempotency-Key": "k"}}),
    ("POST", f"{API}/workflows/small/runs", {"json": {}, "headers": EVENT_STREAM}),
    ("PUT", f"{API}/runs/talk", {"json": {"session": True}}),
    ("POST", f"{API}/runs/old/retry", {"json": {}}),
    ("POST", "/start", {"json": {}}),
    ("POST", "/start", {"json": {}, "headers": EVENT_STREAM}),
    ("POST", "/chat", {"json": {"id": "c", "messages": [
        {"id": "m", "role": "user", "parts": [{"type": "text", "text": "hello"}]}]}}),
    ("POST", "/agent", {"json": {"threadId": "t", "runId": "a", "state": {}, "messages": [
        {"id": "m", "role": "user", "content": "hello"}], "tools": [], "context": [], "forwardedProps": {}}}),
    ("GET", "/own-start/new", {"headers": {"Reactor-Client": "test", **EVENT_STREAM}}),
]  # fmt: skip


@pytest.mark.parametrize(("code", "status", "retry", "caps", "tenant"), [
    ("too-many-starts-of-you", 429, "100", {"starts_per_second_per_principal": 0.01}, ""),
    ("too-many-starts", 503, "100", {"starts_per_second": 0.01}, ""),
    ("too-many-starts-of-tenant", 429, "100", {"starts_per_second": 0.01}, "acme"),
    ("too-many-open-runs", 503, "5", {"open_runs": 1}, ""),
    ("too-many-open-runs-of-tenant", 429, "5", {"open_runs": 2}, "acme"),
])  # fmt: skip
async def test_one_start_too_many(
    full: Full, code: str, status: int, retry: str, caps: dict[str, Any], tenant: str
) -> None:
    """However a run is started: it is refused, and nothing has started. What is there already is found as before."""
    await start(full, "old", "small", Tenant=tenant, Prefer="wait=9")
    full.set(**caps)
    await start(full, Tenant=tenant)
    for method, path, options in STARTS:
        headers = {**options.get("headers", {}), "Tenant": tenant}
        await is_refused(full, full.ask(method, path, **{**options, "headers": headers}), code, status, retry)
    async with full.ask("GET", f"{API}/runs", headers={"Tenant": tenant}) as response:
        assert [run["run_id"] for run in (await response.json())["runs"]] == ["r", "old"]
    for run_id, workflow in (("r", "gated"), ("old", "small")):
        again = full.ask("PUT", f"{API}/runs/{run_id}", json={"workflow": workflow}, headers={"Tenant": tenant})
        async with again as response:
            assert response.status == 200
    assert not full.guard._starting


OPEN = ("Prefer", "event-stream", "/start", "/chat", "/agent")
ANSWERED = [case for case in STARTS if any(word in str(case) for word in OPEN)]
"""Whose answer stays open."""


@pytest.mark.parametrize(("method", "path", "options"), ANSWERED)
async def test_a_start_whose_answer_would_be_one_stream_too_many_starts_nothing(
    full: Full, method: str, path: str, options: dict[str, Any]
) -> None:
    """Who would wait for the answer, and may not, is told before: they would start it again."""
    await start(full)
    full.set(streams=1)
    await full.open(f"{API}/runs/r/events")
    await is_refused(full, full.ask(method, path, **options), "too-many-streams", 503, "10")
    async with full.ask("GET", f"{API}/runs") as response:
        assert [run["run_id"] for run in (await response.json())["runs"]] == ["r"]


@pytest.mark.parametrize(("code", "status", "waiting", "tenant"), [
    ("too-many-waiting", 503, 1, ""), ("too-many-waiting-of-tenant", 429, 2, "acme"),
])  # fmt: skip
async def test_one_too_many_waits_for_a_run(full: Full, code: str, status: int, waiting: int, tenant: str) -> None:
    """``await_run``, in every form. Once the run has started its stream waits no longer, and others may."""
    full.set(waiting=waiting)
    headers = {"Tenant": tenant}
    stream = await full.open(f"{API}/runs/r/events?await_run=60", headers=headers)
    told = {"Reactor-Client": "test", **EVENT_STREAM, **headers}
    for path in (f"{API}/runs/s/events", "/own/s"):
        await is_refused(full, full.ask("GET", f"{path}?await_run=60", headers=told), code, status, "5")
    await is_refused(full, full.ask("GET", f"{API}/runs/s/events?await_run=60", headers=headers), code, status, "5")
    full.session.headers.update(headers)
    for path in (f"{API}/runs/s/events", "/own/s"):
        await tells_an_event_source(full, f"{path}?await_run=60", code)
    await start(full, **headers)
    while b"run.started" not in await stream.content.readany():
        pass
    await full.open(f"{API}/runs/s/events?await_run=60", headers=headers)
    await full.leave()
    await full.nothing_left()


async def test_one_event_too_many(full: Full) -> None:
    """What is said in a run, over HTTP and on a WebSocket; another principal may go on."""
    async with full.ask("PUT", f"{API}/runs/r", json={"session": True}) as response:
        assert response.status == 201
    full.set(emits_per_second=0.01)
    event = {"type": "note.made", "data": {}}
    async with full.ask("POST", f"{API}/runs/r/events", json=event) as response:
        assert response.status == 202
    for said in (event, [event, event]):
        await is_refused(full, full.ask("POST", f"{API}/runs/r/events", json=said), "too-many-emits", 429, "100")
    url = f"http://127.0.0.1:{full.site.port}{API}/runs/r/ws"
    async with full.session.ws_connect(url, headers={"User": "ann"}) as socket:
        await socket.send_json({"id": 1, "command": "emit", **event})
        while "reply" not in (message := await socket.receive_json()):
            pass
        assert (message["problem"]["code"], message["problem"]["retry_after"]) == ("too-many-emits", 100)
    async with full.ask("POST", f"{API}/runs/r/events", json=event, headers={"User": "bob"}) as response:
        assert response.status == 202
    await full.nothing_left()


async def test_one_byte_too_many(full: Full) -> None:
    """413 with a code, on every route that reads a body; also where the length is not said beforehand."""
    await start(full)

    async def unsaid() -> AsyncIterator[bytes]:
        yield b"x" * 10_000
        yield b"x" * 10_001

    routes = [
        *((method, path) for method, path, _ in STARTS if method != "GET"),
        ("POST", f"{API}/runs"), ("POST", f"{API}/runs/r/cancel"), ("POST", f"{API}/runs/r/input"),
        ("POST", f"{API}/runs/r/events"), ("POST", f"{API}/stream-tickets"),
    ]  # fmt: skip
    for method, path in routes:
        for body in (b"x" * 20_001, unsaid()):
            asked = full.ask(method, path, data=body, headers={"Content-Type": "application/json"})
            async with asked as response:
                document = await response.json(content_type="application/problem+json")
                assert (response.status, document["code"]) == (413, "body-too-large"), (method, path)
                assert "20,000 bytes" in document["detail"]
                assert document["type"] == f"{API}/problems/body-too-large"


async def test_a_body_that_does_not_come_is_not_waited_for(full: Full, monkeypatch: pytest.MonkeyPatch) -> None:
    """408: who sends one byte an hour holds nothing for longer."""
    monkeypatch.setattr(reactor_web.bounds, "BODY_SECONDS", 0.05)
    head = "User: ann\r\nContent-Type: application/json\r\nContent-Length: 100\r\n"
    client = await full.site.open(f"{API}/workflows/small/runs", method="POST", headers=head, body=b"{")
    await client.until(b"\r\n\r\n")
    assert client.data.startswith(b"HTTP/1.1 408 ")
    client.leave("reset")


# --- all of it is given back --------------------------------------------------------------------------------------

End = Callable[[Full], Awaitable[None]]
FOLLOW = f"{API}/runs/r/events"
HEAD_OF = "User: ann\r\nX-Forwarded-For: 203.0.113.7\r\n"
KEPT = HEAD_OF + "Accept: text/event-stream\r\n"
SOCKET = HEAD_OF + (
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


async def followed(full: Full, path: str = FOLLOW, headers: str = KEPT) -> tuple[Raw, Client]:
    """A stream that is open, and has caught up with its run."""
    before = set(full.site.streams)
    client = await full.site.open(path, headers=headers)
    await client.until(b"task.started", 3)
    await poll(lambda: set(full.site.streams) - before, "the stream is not open")
    assert full.counter._held
    assert full.guard._watch.let_in
    return client, (set(full.site.streams) - before).pop()


async def gone_before_the_head(full: Full) -> None:
    """It leaves as soon as it has asked."""
    for how in ("close", "reset"):
        client = await full.site.open(FOLLOW, headers=KEPT)
        await client.writer.drain()
        client.leave(how)
    client = await full.site.open(FOLLOW, headers=KEPT.removesuffix("\r\n")[:-5])
    client.leave("reset")


async def gone(full: Full) -> None:
    for how in ("close", "reset", "half"):
        client, _ = await followed(full)
        client.leave(how)
        await full.nothing_left()


async def aborted(full: Full) -> None:
    raw, client = await followed(full)
    client.abort("stalled")
    await raw.rest()


async def revoked(full: Full) -> None:
    raw, _ = await followed(full)
    assert full.guard.revoke("ann") == 1
    assert b'"reason":"auth"' in await raw.rest()


async def ended(full: Full) -> None:
    raw, _ = await followed(full)
    full.gates.open()
    assert b"stream.end" in await raw.rest()


async def head(full: Full) -> None:
    for path in (FOLLOW, "/own/r", f"{FOLLOW}?await_run=60", f"{API}/runs/none/events?await_run=60"):
        async with full.ask("HEAD", path, headers=EVENT_STREAM) as response:
            assert response.status == 200


async def nothing_new(full: Full) -> None:
    full.gates.open()
    await poll(lambda: full.site.engine.open_runs == 0, "the run does not end")
    async with full.ask("GET", f"{FOLLOW}?after=1000000", headers=EVENT_STREAM) as response:
        await response.read()
        assert response.status in (200, 204)
    seq = (await full.site.engine.get("r")).feed.last_seq
    async with full.ask("GET", f"{FOLLOW}?after={seq}", headers=EVENT_STREAM) as response:
        assert response.status == 204


async def given_up(full: Full) -> None:
    """The run does not start in time, whatever form would have told of it."""
    for path, headers in [
        (f"{API}/runs/none/events?await_run=0.02", EVENT_STREAM), (f"{API}/runs/none/events?await_run=0.02", JSON),
        ("/own/none?await_run=0.02", EVENT_STREAM),
    ]:  # fmt: skip
        async with full.ask("GET", path, headers=headers) as response:
            assert b"not_found" in (body := await response.read()) or response.status == 404, body


async def gone_while_it_waits(full: Full) -> None:
    for path in ("/own/none?await_run=60", f"{API}/runs/none/events?await_run=60"):
        client = await full.site.open(path, headers=KEPT)
        await client.until(b"200 OK")
        assert any(cap == "too-many-waiting" for cap, _ in full.counter._held)
        client.leave("reset")
    asked = await full.site.open(
        f"{API}/runs/none/events?await_run=0.2", headers=HEAD_OF + "Accept: application/json\r\n"
    )
    await poll(lambda: any(cap == "too-many-waiting" for cap, _ in full.counter._held), "it does not wait")
    asked.leave("reset")


async def waited(full: Full) -> None:
    """A page and a start that are waited for, also by somebody who leaves."""
    page = f"{FOLLOW}?after={(await full.site.engine.get('r')).feed.last_seq}"
    async with full.ask("GET", f"{page}&wait=0.02") as response:
        assert response.status == 200
    async with full.ask("POST", f"{API}/workflows/small/runs", json={}, headers={"Prefer": "wait=9"}) as response:
        assert response.status == 201
    client = await full.site.open(f"{page}&wait=0.2", headers=HEAD_OF + "Accept: application/json\r\n")
    await poll(lambda: full.counter._held, "it does not wait")
    client.leave("reset")


async def socket_refused(full: Full) -> None:
    """Before the upgrade: no handshake, none of a version, a run that is not there."""
    for path, headers, status in [
        (f"{API}/runs/r/ws", HEAD_OF, 426), (f"{API}/runs/r/ws", SOCKET.replace("Version: 13", "Version: 5"), 400),
        (f"{API}/runs/none/ws", SOCKET, 404), (f"{API}/runs/r/ws?tail=x", SOCKET, 400),
    ]:  # fmt: skip
        client = await full.site.open(path, headers=headers)
        await client.until(b"\r\n\r\n")
        assert client.data.startswith(b"HTTP/1.1 %d " % status), (path, client.data)


async def socket_over(full: Full) -> None:
    """After the upgrade: it leaves, it sends what is no frame, it sends too much, its credential ends."""
    for last in ("reset", b"\xff\xff\xff\xff", b"\x82\xff" + (1 << 20).to_bytes(8) + b"mask" + b"x" * 300_000, "auth"):
        raw, _ = await followed(full, f"{API}/runs/r/ws", SOCKET)
        if last == "auth":
            full.guard.revoke("ann")
        elif isinstance(last, bytes):
            raw.writer.write(last)
        else:
            raw.leave(last)
        await poll(lambda: not len(full.site.streams), f"{last!r:.20} ends nothing")


async def refused_in_between(full: Full) -> None:
    """What was taken of the narrow cap, when the wide one refuses."""
    full.set(streams=1, streams_per_principal=5, streams_per_address=5, streams_per_run=5)
    raw, _ = await followed(full)
    before = dict(full.counter._held)
    for _ in range(3):
        await tells_an_event_source(full, FOLLOW, "too-many-streams")
    assert full.counter._held == before
    raw.leave("close")


ENDS: list[End] = [
    gone_before_the_head, gone, aborted, revoked, ended, head, nothing_new, given_up, gone_while_it_waits, waited,
    socket_refused, socket_over, refused_in_between,
]  # fmt: skip


@web.middleware
async def waits(request: web.Request, handler: Any) -> web.StreamResponse:
    """Of a host: it sees the end of each stream, so that a stream keeps its handler."""
    return await handler(request)


@only_looks
@web.middleware
async def looks(request: web.Request, handler: Any) -> web.StreamResponse:
    """Of a host: it only looks, so that a stream is handed over."""
    return await handler(request)


@pytest.mark.parametrize("middleware", [looks, waits], ids=["handed over", "kept"])
@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
async def test_however_a_request_ends_all_of_it_is_given_back(end: End, middleware: Any) -> None:
    """Afterwards no cap is taken, no request is let in, and there are as many tasks and descriptors as before."""
    async with filling(middleware) as full:
        full.set(streams=100, streams_per_principal=100, streams_per_run=100, streams_per_address=100, waiting=100)
        await start(full)
        (await full.site.open(FOLLOW, headers=KEPT)).leave("close")
        await full.nothing_left()
        before, files = asyncio.all_tasks(), descriptors()
        await end(full)
        await full.nothing_left()
        for client in full.site.clients:
            client.writer.transport.abort()
        await poll(lambda: asyncio.all_tasks() <= before, f"left: {asyncio.all_tasks() - before}")
        await poll(lambda: descriptors() <= files, f"{descriptors() - files} descriptors are left")
        assert not full.guard._starting


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("path", [FOLLOW, "/own/r"])
async def test_a_hook_that_raises_keeps_nothing(path: str) -> None:
    """Where the application breaks the answer before its head the client gets 500, and nothing is left."""
    gates = Gates()
    async with Engine("memory://", grace=0.0) as engine:
        app = own_app(engine, gates)

        async def hook(request: web.Request, response: web.StreamResponse) -> None:
            if response.content_type == "text/event-stream":
                raise RuntimeError("broken")

        app.on_response_prepare.append(hook)
        guard = app[reactor_web.guard.access.GUARD]
        async with site_of(engine, app) as site, each_alone() as session:
            full = Full(site, guard, session, gates, [])
            full.set(streams=100, streams_per_principal=100, streams_per_run=100)
            await start(full)
            async with full.ask("GET", path, headers=EVENT_STREAM) as response:
                assert response.status == 500
            await full.nothing_left()


async def test_a_shutdown_keeps_nothing() -> None:
    """Streams with and without a handler, sockets, those that wait for a run, and pages."""
    async with filling() as full:
        full.set(streams=100, streams_per_principal=100, streams_per_run=100, streams_per_address=100, waiting=100)
        await start(full)
        await followed(full)
        await followed(full, f"{API}/runs/r/ws", SOCKET)
        for path, accept in [
            (f"{API}/runs/none/events?await_run=60", "text/event-stream"), (f"{API}/events", "text/event-stream"),
            (f"{API}/events?wait=60", "application/json"),
        ]:  # fmt: skip
            await full.site.open(path, headers=f"{HEAD_OF}Accept: {accept}\r\n")
        await poll(lambda: len(full.site.streams) == 4, f"{len(full.site.streams)} streams are open")
        await full.site.runner.cleanup()
        await full.nothing_left()
