"""What somebody sends who wants to break something: never more than a refusal, and nothing has changed."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import pytest
from aiohttp.test_utils import TestClient, TestServer

import reactor_web
from reactor import Engine
from reactor.ports.access import KeyRecord
from reactor_web import Guard
from reactor_web.guard.keys import MemoryKeys, make_key
from reactor_web.guard.principal import Principal
from tests.helpers.planted import WATCH
from tests.helpers.runs import PATIENCE
from tests.helpers.server import API, Gates, gated_workflow, small_workflow

MADE = make_key()
SCOPES = frozenset({"read", "run", "control", "admin"})
KEY = KeyRecord(MADE.id, MADE.digest, "test", SCOPES, None, None)
"""Of every tenant, so that it names one in the query."""
AUTHORIZATION = f"Authorization: Bearer {MADE.token}"
MIB = 1024 * 1024
INTERNAL = re.compile(rb"Traceback|\.py\b|aiohttp|site-packages|reactor_web|line \d+, in")


class Target:
    """A server, and connections to it on which anything can be sent."""

    def __init__(self, client: TestClient[Any, Any], engine: Engine) -> None:
        self.client, self.engine = client, engine

    async def runs(self) -> dict[str, int]:
        """Each run with its last seq."""
        found = [await self.engine.get(record.run_id) for record in await self.engine.list()]
        return {run.id: run.feed.last_seq for run in found}

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.client.port)

    async def send(
        self, method: str, path: str, *lines: str | bytes, body: bytes = b"", key: bool = True, whole: bool = False
    ) -> Answer:
        """The answer to a request with exactly these header lines behind ``Host``, ``Connection`` and the key."""
        head = [f"{method} {API}{path} HTTP/1.1", "Host: localhost", "Connection: close", *([AUTHORIZATION] * key)]
        if body:
            head += [f"Content-Length: {len(body)}"]
        raw = b"\r\n".join(line.encode() if isinstance(line, str) else line for line in [*head, *lines])
        return await self.exchange(raw + b"\r\n\r\n" + body, whole=whole)

    async def exchange(self, raw: bytes, *, whole: bool = False) -> Answer:
        """``whole``: all of the answer, of which the connection ends."""
        reader, writer = await self.connect()
        try:
            writer.write(raw)
            async with asyncio.timeout(PATIENCE):
                return Answer(await reader.read(-1 if whole else 256 * 1024))
        finally:
            writer.close()


class Answer:
    """The first part of a response."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.head, _, self.body = raw.partition(b"\r\n\r\n")
        self.status = int(raw.split(b" ", 2)[1])

    @property
    def code(self) -> str | None:
        return json.loads(self.body).get("code")


@pytest.fixture
async def target() -> AsyncIterator[Target]:
    """A server with keys, a run that is open and one that has ended."""
    gates = Gates()
    engine = Engine("memory://", workflows=[gated_workflow(gates), small_workflow()], grace=0.0)
    app = reactor_web.create_app(engine, guard=Guard(keys=MemoryKeys([KEY])), cors=["https://app.example"])
    async with TestClient(TestServer(app, host="127.0.0.1")) as client:
        await engine.start("gated", run_id="open")
        await (await engine.start("small", run_id="ended")).ended()
        yield Target(client, engine)


# --- ids --------------------------------------------------------------------------------------------------------

ODD = [
    "\x00",
    "a\x00b",
    "a\nb",
    "a\r\nSet-Cookie: x=1\r\n",
    "\x1b[2J",
    "\x7f",
    "a\tb",
    "\u202ea",
    "\ud7ff\ufffe",
    "..",
    ".",
]
PLACES: list[tuple[str, str, bytes]] = [
    ("GET", "/runs/{}", b""),
    ("GET", "/runs/{}/events", b""),
    ("GET", "/runs/{}/events?await_run=0.01", b""),
    ("GET", "/runs/{}/tasks/a/output", b""),
    ("GET", "/runs/ended/tasks/{}/output", b""),
    ("PUT", "/runs/{}", b'{"workflow": "small"}'),
    ("DELETE", "/runs/{}", b""),
    ("POST", "/runs/{}/cancel", b"{}"),
    ("POST", "/runs/{}/events", b'{"type": "note.made"}'),
    ("GET", "/workflows/{}", b""),
    ("POST", "/workflows/{}/runs", b"{}"),
    ("GET", "/schedules/{}", b""),
    ("GET", "/schedules?cursor={}", b""),
    ("PUT", "/schedules/{}", b'{"workflow": "small", "cron": "0 7 * * *"}'),
    ("POST", "/schedules/{}/trigger", b"{}"),
    ("GET", "/client/{}", b""),
    ("GET", "/problems/{}", b""),
    ("GET", "/runs?cursor={}", b""),
    ("GET", "/runs?status={}", b""),
    ("GET", "/runs?tenant={}x%00", b""),
    ("GET", "/events?runs={}", b""),
    ("GET", "/events?after={}", b""),
    ("GET", "/runs/open/events?after={}", b""),
    ("GET", "/runs/open/events?dialect={}", b""),
    ("GET", "/runs/open/events?on_disconnect={}", b""),
    ("GET", "/runs/open/events?{}=1", b""),
    ("GET", "/runs/open/events?ticket={}", b""),
    ("GET", "/{}", b""),
]
JSON_PLACES: list[tuple[str, str, str]] = [
    ("POST", "/workflows/small/runs", "run_id"),
    ("POST", "/runs", "run_id"),
    ("PUT", "/runs/new", "workflow"),
    ("POST", "/stream-tickets", "run_id"),
    ("POST", "/runs/ended/retry", "run_id"),
    ("POST", "/runs/open/input", "task"),
    ("POST", "/runs/open/events", "type"),
    ("POST", "/runs/open/cancel", "task"),
]


@pytest.mark.parametrize("text", ODD, ids=ascii)
async def test_odd_characters_in_an_id_are_refused_wherever_it_stands(target: Target, text: str) -> None:
    """In a path, a query and a body: 4xx; no header is added and no character comes back that a terminal obeys."""
    before = await target.runs()
    answers = {
        (method, path): await target.send(
            method, path.format(quote(text, safe="")), "Content-Type: application/json", body=body
        )
        for method, path, body in PLACES
        if not (text in ("..", ".") and "/{}" in path)  # of a path they are steps, and ``/runs/..`` is another one
    }
    for method, path, member in JSON_PLACES:
        body = json.dumps({member: text}).encode()
        answers[method, f"{path} {member}"] = await target.send(
            method, path, "Content-Type: application/json", body=body
        )
    for place, answer in answers.items():
        assert 400 <= answer.status < 500, (place, answer.raw)
        assert b"Set-Cookie" not in answer.head, place
        assert b"aiohttp" not in answer.head, place
        assert re.search(rb"[\x00-\x09\x0b-\x1f]", answer.body) is None, place
        assert INTERNAL.search(answer.body) is None, (place, answer.body)
    assert await target.runs() == before


@pytest.mark.parametrize("value", [b"\x00", b"1\x00", b"\x01", b"\x7f", b"\xff\xfe", b"1\t2", b"1,2", b"-1", b"1" * 40])
@pytest.mark.parametrize("name", ["Last-Event-ID", "Idempotency-Key", "Authorization", "Prefer", "Accept"])
async def test_odd_bytes_in_a_header_are_refused_or_mean_nothing(target: Target, name: str, value: bytes) -> None:
    """Never a 5xx, and no half of the header is believed."""
    is_start = name in ("Idempotency-Key", "Prefer")
    method, path = ("POST", "/workflows/nope/runs") if is_start else ("GET", "/runs/ended/events?limit=1")
    lines = [f"{name}: ".encode() + value, b"Content-Type: application/json"]
    answer = await target.send(method, path, *lines, body=b"{}" if is_start else b"")
    assert answer.status < 500
    assert INTERNAL.search(answer.body) is None, answer.body
    if b"\x00" in value or name == "Authorization":
        assert answer.status in (400, 401)


# --- what is there twice, in capitals, or huge --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("Host: evil.example", 400),
        ("Host: localhost", 400),
        pytest.param(AUTHORIZATION, 401, id="a key"),
        ("Authorization: Basic eDp5", 401),
        ("Last-Event-ID: 2", 400),
        ("Idempotency-Key: b", 400),
        ("Content-Type: text/plain", 400),
        ("Origin: https://evil.example", 400),
        ("Sec-Fetch-Site: cross-site", 400),
        ("Content-Length: 3", 400),
        ("Transfer-Encoding: chunked", 400),
    ],
)
async def test_a_header_that_is_there_twice_is_refused(target: Target, line: str, status: int) -> None:
    """One of the two may be what a proxy has read, the other one what is meant for us."""
    before = await target.runs()
    once = [
        "Last-Event-ID: 1", "Idempotency-Key: a", "Content-Type: application/json",
        "Origin: https://app.example", "Sec-Fetch-Site: cross-site",
    ]  # fmt: skip
    path = "/workflows/small/runs"
    answer = await target.send("POST", path, *once, line, body=b"{}")
    assert answer.status == status
    assert await target.runs() == before
    assert (await target.send("POST", path, *once, body=b"{}")).status == 201


async def test_a_request_without_a_host_is_refused(target: Target) -> None:
    """HTTP/1.1 has to name one; what speaks HTTP/1.0 is no browser."""
    ask = f"GET {API}/runs HTTP/1.%d\r\n{AUTHORIZATION}\r\nConnection: close\r\n\r\n"
    assert (await target.exchange((ask % 1).encode())).status == 400
    assert (await target.exchange((ask % 0).encode())).status == 200


async def test_capitals_of_headers_do_not_count(target: Target) -> None:
    """Nor do those of ``Bearer``; a key does."""
    lower = f"aUTHORIZATION: bEARER {MADE.token}"
    answer = await target.send("GET", "/runs/ended/events", lower, "LAST-EVENT-id: 4", key=False, whole=True)
    assert (answer.status, b"id: 5" in answer.body, b"id: 4\n" in answer.body) == (200, True, False)
    assert (await target.send("GET", "/runs", AUTHORIZATION.swapcase(), key=False)).status == 401


@pytest.mark.parametrize(
    "lines",
    [
        [f"X-Long: {'x' * 9_000}"],
        [f"{'x' * 9_000}: y"],
        [f"Authorization: Bearer {'x' * 9_000}"],
        [f"Cookie: {'c=1; ' * 3_000}"],
        [f"X-{number}: {'y' * 1_000}" for number in range(200)],
    ],
    ids=["value", "name", "token", "cookie", "many"],
)
async def test_huge_headers_are_refused_and_the_server_goes_on(target: Target, lines: list[str]) -> None:
    """400 or 431 with no internals, or, where it is all within bounds, the answer."""
    # aiohttp logs the first 100 characters of a header above 8,190 bytes: no key or token that is let in is so long
    with WATCH.collecting():
        answer = await target.send("GET", "/runs", *lines, key=False)
    assert answer.status in (400, 401, 431)
    assert INTERNAL.search(answer.body) is None, answer.body
    assert (await target.send("GET", "/runs")).status == 200


async def test_a_huge_path_and_query_are_refused(target: Target) -> None:
    for path in ("/runs/" + "x" * 5_000, "/runs?" + "x=1&" * 1_500, "/runs/open/events?types=" + "a." * 3_000):
        answer = await target.send("GET", path)
        assert 400 <= answer.status < 500, path[:20]
        assert len(answer.body) < 3 * len(path)  # nobody is sent much more than was sent for them


# --- bodies -----------------------------------------------------------------------------------------------------

BODIES = [
    ("POST", "/workflows/small/runs"), ("POST", "/runs"), ("PUT", "/runs/new"), ("POST", "/runs/open/events"),
    ("POST", "/runs/open/input"), ("POST", "/runs/open/cancel"), ("POST", "/runs/ended/retry"),
    ("POST", "/stream-tickets"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path"), BODIES)
async def test_a_body_over_the_limit_is_refused_before_it_is_read(target: Target, method: str, path: str) -> None:
    """By its length before any of it has come; without one, after the limit. Who may not ask is refused first."""
    before = await target.runs()
    json_type = "Content-Type: application/json"
    told = await target.send(method, path, json_type, f"Content-Length: {1024 * MIB}")
    assert (told.status, told.code) == (413, "body-too-large")
    assert (await target.send(method, path, json_type, f"Content-Length: {1024 * MIB}", key=False)).status == 401
    reader, writer = await target.connect()
    head = [f"{method} {API}{path} HTTP/1.1", "Host: localhost", AUTHORIZATION, json_type, "Transfer-Encoding: chunked"]
    writer.write(("\r\n".join(head) + "\r\n\r\n").encode())
    answering = asyncio.ensure_future(reader.read(100))
    sent = 0
    async with asyncio.timeout(PATIENCE):
        while not answering.done():
            writer.write(b"10000\r\n" + b" " * 0x10000 + b"\r\n")
            sent += 0x10000
            await writer.drain()
            await asyncio.sleep(0)
    assert (await answering).startswith(b"HTTP/1.1 413 ")
    assert sent < 64 * MIB  # what sockets hold, and not more
    writer.close()
    assert await target.runs() == before


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"\x00",
        b"\xff",
        b"[" * 10_000,
        b'{"a":' * 10_000,
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b"1e999",
        b'"\\ud800"',
        b"NaN",
    ],
)
@pytest.mark.parametrize(("method", "path"), BODIES)
async def test_a_body_that_is_no_json_is_refused(target: Target, method: str, path: str, body: bytes) -> None:
    before = await target.runs()
    answer = await target.send(method, path, "Content-Type: application/json", body=body)
    # so many values are not even decoded
    assert answer.status in ((413,) if len(body) >= 100_000 else (400, 422))
    assert INTERNAL.search(answer.body) is None, answer.body
    assert await target.runs() == before


# --- empty patterns ---------------------------------------------------------------------------------------------


EMPTY = [
    "/runs/ended/events?types=", "/runs/ended/events?types=,", "/runs/ended/events?tasks=", "/events?types=",
    "/runs/ended/events?tasks=,,", "/runs/ended/events?after=", "/runs/ended/events?ticket=", "/events?runs=",
    "/events?runs=,", "/runs?status=", "/runs?cursor=", "/runs?limit=",
]  # fmt: skip


@pytest.mark.parametrize("query", EMPTY)
async def test_an_empty_pattern_does_not_mean_everything(target: Target, query: str) -> None:
    """It is refused: somebody has forgotten to fill it in."""
    answer = await target.send("GET", query, "Accept: application/json")
    assert answer.status in (400, 401, 404), answer.raw


@pytest.mark.parametrize(
    "query", ["/events?workflow=", "/events?parent=", "/events?meta.team=", "/runs?workflow=", "/runs?root="]
)
async def test_an_empty_name_is_nobodys(target: Target, query: str) -> None:
    """Nothing is found by it, or it is 400."""
    answer = await target.send("GET", query, "Accept: application/json")
    assert answer.status in (200, 400)
    if answer.status == 200:
        found = json.loads(answer.body)
        assert found.get("events", found.get("runs")) == [], found


@pytest.mark.parametrize(
    "body", [{"run_id": ""}, {"filter": {"runs": ""}}, {"filter": {"runs": []}}, {"filter": {"": "x"}}, {}]
)
async def test_a_ticket_for_nothing_is_not_for_everything(target: Target, body: dict[str, Any]) -> None:
    answer = await target.send(
        "POST", "/stream-tickets", "Content-Type: application/json", body=json.dumps(body).encode()
    )
    assert answer.status == 422, answer.raw


@pytest.mark.parametrize("patterns", [(), ("",)], ids=str)
def test_a_credential_with_empty_patterns_sees_nothing(patterns: tuple[str, ...]) -> None:
    """None means all; an empty list, and a pattern that is empty, fit nothing."""
    principal = Principal("key:x", SCOPES, runs=patterns, workflows=patterns)
    assert not principal.sees_run("r")
    assert not principal.sees_workflow("small")


@pytest.mark.parametrize("tenant", ["%00", "a%0Ab", "..%2F", "a" * 65, "%20", "a/b", "%E2%80%AE"])
async def test_a_tenant_is_named_by_a_name(target: Target, tenant: str) -> None:
    """400 for anything else, on every kind of route."""
    for method, path, body in (
        ("GET", "/runs", b""),
        ("GET", "/events", b""),
        ("PUT", "/runs/new", b'{"workflow": "small"}'),
    ):
        answer = await target.send(method, f"{path}?tenant={tenant}", "Content-Type: application/json", body=body)
        assert answer.status == 400
