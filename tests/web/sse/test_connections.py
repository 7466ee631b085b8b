"""Connections of event streams by scripts (``connections.json``), played by a real server, for both of our clients."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer

from reactor_web.client import Client, RequestRefused, follow_url
from tests.helpers.stream_clients import javascript

Case = dict[str, Any]

CASES: list[Case] = json.loads((Path(__file__).parent / "connections.json").read_bytes())["cases"]
JITTER = 1.25

PYTHON_DIFFERS: dict[str, str] = {
    "an empty id takes the cursor away": "follow_url keeps its cursor: it has no use for a stream from its beginning",
}
"""Cases that ``follow_url`` does not pass, with the reason."""


class Player:
    """Answers the requests to ``/<number of a case>/…`` by its script, and notes them. It listens at two origins."""

    def __init__(self) -> None:
        self.asked: dict[str, list[dict[str, Any]]] = {}
        self.own = self.other = ""

    def place(self, number: int) -> str:
        self.asked[str(number)] = []
        return f"{self.own}/{number}/events"

    async def play(self, request: web.Request) -> web.StreamResponse:
        number, path = request.match_info["case"], request.match_info["path"]
        case, asked = CASES[int(number)], self.asked[number]
        cursor = request.headers.get("Last-Event-ID") or request.query.get("after")
        origin = "own" if str(request.url.origin()) == self.own else "other"
        note = {"origin": origin, "path": f"/{path}", "cursor": cursor}
        if case.get("token"):
            note["authorized"] = request.headers.get("Authorization") == "Bearer t"
        asked.append(note)
        if len(asked) > len(case["answers"]):
            return web.Response(status=410, text="the script is over")
        return await self._answer(request, number, case["answers"][len(asked) - 1])

    async def _answer(self, request: web.Request, number: str, answer: Mapping[str, Any]) -> web.StreamResponse:
        assert request.transport is not None
        if not answer["status"]:
            request.transport.abort()
        if answer["status"] != 200:
            return web.Response(status=answer["status"], headers=self._headers(request, number, answer))
        response = web.StreamResponse(headers={"Content-Type": answer["type"]})
        await response.prepare(request)
        await response.write(answer["body"].encode("latin-1"))
        if answer.get("cut"):
            request.transport.close()  # what was written goes out; the last chunk of the body is missing
        return response

    def _headers(self, request: web.Request, number: str, answer: Mapping[str, Any]) -> dict[str, str]:
        headers: dict[str, str] = {}
        if "retry_after" in answer:
            headers["Retry-After"] = answer["retry_after"]
        if "location" in answer:
            origin, _, path = answer["location"].rpartition(":")
            query = f"?{request.query_string}" if request.query_string else ""
            headers["Location"] = f"{self.other if origin else self.own}/{number}{path}{query}"
        return headers


@asynccontextmanager
async def playing() -> AsyncIterator[Player]:
    player = Player()
    servers: list[TestServer] = []
    for _ in range(2):
        app = web.Application()
        app.router.add_get("/{case}/{path:.*}", player.play)
        servers.append(TestServer(app, host="127.0.0.1"))
        await servers[-1].start_server(shutdown_timeout=0.1)
    player.own, player.other = (str(server.make_url("")).rstrip("/") for server in servers)
    try:
        yield player
    finally:
        for server in servers:
            await server.close()


def judge(case: Case, asked: list[dict[str, Any]], delivered: list[str], waits: list[float], end: str) -> None:
    assert (asked, delivered, end) == (case["asked"], case["delivered"], case["end"])
    for wait, least in zip(waits, case["waits"] or [], strict=case["waits"] is not None):
        assert least <= wait <= least * JITTER, (waits, case["waits"])


Played = list[tuple[list[dict[str, Any]], dict[str, Any]]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def played() -> Played:
    """What was asked and shown in each case, all of them followed by one process of Node."""
    async with playing() as player:
        places = [{"url": player.place(n), "token": "t" if "token" in case else None} for n, case in enumerate(CASES)]
        shown = await javascript("connections.mjs", json.dumps(places))
    return [(player.asked[str(number)], one) for number, one in enumerate(shown)]


@pytest.mark.parametrize("number", range(len(CASES)), ids=[case["name"] for case in CASES])
def test_the_connection_of_the_javascript_client(number: int, played: Played) -> None:
    """It asks, waits, delivers and ends as the script says."""
    asked, shown = played[number]
    judge(CASES[number], asked, shown["delivered"], shown["waits"], shown["end"])


async def by_python(url: str, token: bool) -> tuple[list[str], list[float], str]:
    delivered: list[str] = []
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds * 1000)

    async with Client(url, token="t" if token else None) as client:
        frames = follow_url(url, session=client.connection, sleep=sleep)
        try:
            async for frame in frames:
                delivered.append(frame.data)  # noqa: PERF401  a refusal takes none of them away
        except RequestRefused:
            return delivered, waits, "refused"
    return delivered, waits, "ended"


def python_cases() -> list[Any]:
    def marks(name: str) -> list[pytest.MarkDecorator]:
        return [pytest.mark.xfail(strict=True, reason=PYTHON_DIFFERS[name])] if name in PYTHON_DIFFERS else []

    return [pytest.param(number, id=case["name"], marks=marks(case["name"])) for number, case in enumerate(CASES)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def player() -> AsyncIterator[Player]:
    async with playing() as player:
        yield player


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("number", python_cases())
async def test_the_python_client(number: int, player: Player) -> None:
    """``follow_url`` asks, waits, delivers and ends as the script says."""
    case = CASES[number]
    delivered, waits, end = await by_python(player.place(number), "token" in case)
    judge(case, player.asked[str(number)], delivered, waits, end)
