"""Clients follow a run of a server that asks who asks, through a network that cuts them off again and again: by ticket
what can send no header, by token all others. Each gets every event once, to the end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from reactor import Context, Workflow
from reactor.testing import read_all
from reactor_web.client import Client, RequestRefused
from reactor_web.client.follow import StreamRefused
from tests.helpers.chromium import find_chromium
from tests.helpers.cut_bytes import cut_every
from tests.helpers.guarded import Guarded, guarded
from tests.helpers.stream_clients import Script, script, through

EVENTS = 16
FRAMES = 5
"""A connection lasts for so many: the comment at its beginning is one."""
NEVER = 10_000


def talking() -> Workflow:
    flow = Workflow("talking")

    @flow.task
    async def talk(ctx: Context) -> str:
        for index in range(EVENTS):
            await ctx.emit("said", {"index": index})
            await asyncio.sleep(0.01)
        return "done"

    return flow


@pytest.fixture
async def server() -> AsyncIterator[Guarded]:
    async with guarded(talking()) as server:
        yield server


async def seqs(server: Guarded, run_id: str = "r1") -> list[int]:
    return [event.seq for event in await read_all(server.engine.log, run_id)]


async def shown_through_cuts(server: Guarded, kind: str, url: str, *more: str) -> tuple[list[Any], int]:
    """(what a client of ``ticket.mjs`` shows, how many connections it has had). The run starts with it."""
    async with (
        cut_every(FRAMES, server.port) as proxy,
        script("ticket.mjs", kind, through(url, proxy.port), *more) as one,
    ):
        await server.run("talking", "r1")
        return await one.rest(), proxy.connections


@pytest.mark.parametrize("kind", ["chromium", "npm"])
async def test_an_event_source_follows_by_ticket_through_cuts(server: Guarded, kind: str) -> None:
    """It comes back with the URL that it was given once, as often as it is cut off. It waits for its run before."""
    more = [find_chromium()] if kind == "chromium" else []
    ticket = await server.ticket(run_id="r1")
    url = f"{server.url}/runs/r1/events?await_run=60&names=0&ticket={ticket}"
    shown, connections = await shown_through_cuts(server, kind, url, *more)
    assert [line["seq"] for line in shown if "seq" in line] == await seqs(server)
    assert shown[-1]["ended"] in ("stream.end", "204")
    assert connections >= len(await seqs(server)) // FRAMES
    assert {line.get("code") for line in shown if "closing" in line} <= {"ticket-in-use"}


@pytest.mark.parametrize("kind", ["ticket", "token"])
async def test_the_javascript_client_follows_through_cuts(server: Guarded, kind: str) -> None:
    """With a new ticket for each stream; with a token, of which it asks for another after a 401."""
    await server.run("talking", "r1")
    async with cut_every(FRAMES, server.port) as proxy:
        url = through(f"{server.url}/runs/r1", proxy.port)
        async with script("ticket.mjs", kind, url, server.token) as client:
            shown = await client.rest()
        assert proxy.connections >= len(await seqs(server)) // FRAMES
    assert [line["seq"] for line in shown if "seq" in line] == await seqs(server)
    assert shown[-1] == {"ended": "stream.end"}


async def test_the_python_client_follows_by_token_through_cuts(server: Guarded) -> None:
    """A token that is refused is asked for once more; one that stays refused is an error, and so is a scope."""
    _, reader = await server.add_key("read")
    given = iter(["rk_old_key", *[reader] * 100])
    await server.run("talking", "r1")
    async with (
        cut_every(FRAMES, server.port) as proxy,
        Client(f"http://127.0.0.1:{proxy.port}", token=lambda: next(given)) as client,
    ):
        assert [event.seq async for event in await client.get("r1")] == await seqs(server)
        assert proxy.connections >= len(await seqs(server)) // FRAMES
        with pytest.raises(RequestRefused) as refused:
            await client.start("talking")
        assert (refused.value.status, refused.value.code) == (403, "forbidden-scope")
    async with Client(server.url, token="rk_old_key") as client:
        with pytest.raises((RequestRefused, StreamRefused), match="401"):
            await client.get("r1")


async def test_an_event_source_gives_up_where_it_may_not_come_back(server: Guarded) -> None:
    """After its key was revoked; and a thief is told to come back while the stream of the ticket is open."""
    id, key = await server.add_key("read")
    await server.run("gated", "r1")
    ticket = await server.ticket(key, run_id="r1")
    url = f"{server.url}/runs/r1/events?names=0&ticket={ticket}"
    async with cut_every(NEVER, server.port) as proxy, script("ticket.mjs", "npm", through(url, proxy.port)) as mine:
        await until(mine, "seq")
        async with script("ticket.mjs", "npm", through(url, proxy.port)) as thief:
            assert await until(thief, "closing") == {"closing": "limit", "code": "ticket-in-use"}
            await server.keys.revoke(id)
            assert server.guard.revoke(f"key:{id}") == 1
            assert await until(mine, "closing") == {"closing": "auth"}
            assert (await mine.rest())[-1] == (await thief.rest())[-1] == {"ended": "it gave up"}
            assert not any("seq" in line for line in thief.shown)


async def until(client: Script, member: str) -> Any:
    while member not in (line := await client.next()):
        pass
    return line


async def test_a_websocket_comes_back_by_ticket(server: Guarded) -> None:
    """A browser gives it no header either: its URL says where it goes on."""
    await server.run("talking", "r1")
    seen: list[int] = []
    ticket = await server.ticket(run_id="r1")
    while True:
        after = f"&after={seen[-1]}" if seen else ""
        async with server.session.ws_connect(f"{server.url}/runs/r1/ws?ticket={ticket}{after}") as socket:
            for _ in range(FRAMES):
                message = await socket.receive()
                if message.type is not aiohttp.WSMsgType.TEXT:
                    break
                line = json.loads(message.data)
                if line["type"] == "stream.end":
                    assert seen == await seqs(server)
                    return
                seen.append(line["seq"])
