"""A stream ends when its credential does: at its time, soon after it was revoked, when the host takes it back, and at
the age that a stream may have. Its client is told why."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from reactor import Context, Engine, Workflow
from reactor.testing import VirtualClock, read_all
from reactor_web.client import Client
from reactor_web.guard.guard import Guard
from reactor_web.guard.key_file import KeyFile
from reactor_web.guard.principal import Principal
from reactor_web.guard.tokens import JwtSettings
from reactor_web.guard.watch import MOST_DOUBTS, REVIEW_SECONDS
from reactor_web.own import add_stream
from tests.helpers.command import reactor, start_server
from tests.helpers.guarded import Guarded, guarded
from tests.helpers.issuer import SECRET, claims_at, token
from tests.helpers.log_lines import log_lines
from tests.helpers.server import Stream

SSE = {"Accept": "text/event-stream"}
FLOW = Path(__file__).parents[2] / "helpers/tokens.py"
PATIENCE = 30.0


@pytest.fixture
async def clock() -> VirtualClock:
    return VirtualClock("2026-01-01T00:00:00Z", jumps=False)


@pytest.fixture
async def server(clock: VirtualClock) -> AsyncIterator[Guarded]:
    async with guarded(clock=clock) as server:
        await server.run("gated", "r1")
        yield server


def by(server: Guarded, bearer: str, path: str = "/runs/r1/events") -> Stream:
    headers = SSE | {"Authorization": f"Bearer {bearer}"}
    return Stream(server.session.get(server.url + path, headers=headers))


def by_ticket(server: Guarded, ticket: str, **headers: str) -> Stream:
    return server.events("r1", f"?ticket={ticket}", **SSE, **headers)


async def opened(stream: Stream) -> Stream:
    """When the server has said something on it."""
    assert stream.status == 200
    assert await stream.next() is not None
    return stream


async def reason_of(stream: Stream) -> str:
    """Why it ends; and that it does."""
    closing = await stream.until("stream.closing")
    assert await stream.next() is None
    return str(json.loads(closing.data)["data"]["reason"])


def ending(server: Guarded) -> list[str | None]:
    """Why each open stream is closing; None: it goes on."""
    return [client.closing for client in server.streams]


# --- revoked --------------------------------------------------------------------------------------------------------


async def test_revoke_ends_the_streams_of_a_principal_and_its_tickets(server: Guarded) -> None:
    """Those by key, by ticket and on a WebSocket, at once, and none of anybody else; no ticket of it opens anything."""
    id, key = await server.add_key("read")
    used, unused = await server.ticket(key, run_id="r1"), await server.ticket(key, run_id="r1")
    url, bearer = f"{server.url}/runs/r1/ws", {"Authorization": f"Bearer {key}"}
    async with (
        by(server, server.token) as other, by(server, key) as mine, by_ticket(server, used) as ticketed,
        by(server, key, "/events") as of_all, server.session.ws_connect(url, headers=bearer) as socket,
    ):  # fmt: skip
        for stream in (other, mine, ticketed, of_all):
            await opened(stream)
        await socket.receive()
        assert server.guard.revoke(f"key:{id}") == 4
        for stream in (mine, ticketed, of_all):
            assert await reason_of(stream) == "auth"
        while (message := await socket.receive()).type is aiohttp.WSMsgType.TEXT:
            last = message
        assert json.loads(last.data)["data"]["reason"] == "auth"
        assert socket.close_code == 1008
        server.gates.open()
        assert (await other.all())[-1].event == "stream.end"
    for ticket, headers in ((used, {"Last-Event-ID": "1"}), (unused, {})):
        assert await server.ask(f"/runs/r1/events?ticket={ticket}", **SSE, **headers) == (401, "ticket-invalid")


@pytest.mark.parametrize("ends", ["revoked", "gone", "by another"])
async def test_a_key_that_is_revoked_in_its_file_ends_its_streams_within_five_seconds(
    tmp_path: Path, clock: VirtualClock, ends: str
) -> None:
    """Whoever has revoked it, and also by taking it out of the file. The next request is 401, and so is its ticket."""
    path = tmp_path / "keys.json"
    async with guarded(clock=clock, file=path) as server:
        await server.run("gated", "r1")
        id, key = await server.add_key("read")
        ticket = await server.ticket(key, run_id="r1")
        async with by(server, key) as mine, by_ticket(server, ticket) as ticketed, by(server, server.token) as other:
            for stream in (mine, ticketed, other):
                await opened(stream)
            if ends == "gone":
                left = json.loads(path.read_text())
                left["keys"] = [one for one in left["keys"] if one["id"] != id]
                path.write_text(json.dumps(left))
            else:
                assert await (server.keys if ends == "revoked" else KeyFile(path)).revoke(id)
            await advance(clock, 5.0)
            assert await reason_of(mine) == await reason_of(ticketed) == "auth"
            assert ending(server) == [None]
        code = "unauthenticated" if ends == "gone" else "key-revoked"
        assert await server.ask("/runs", Authorization=f"Bearer {key}") == (401, code)
        again = {"Last-Event-ID": "1"}
        assert await server.ask(f"/runs/r1/events?ticket={ticket}", **again) == (401, "ticket-invalid")


async def advance(clock: VirtualClock, seconds: float) -> None:
    """In steps, between which threads get some time: a file is read in one."""
    for _ in range(round(seconds * 2)):
        await clock.advance(0.5)
        await asyncio.to_thread(int)


@pytest.mark.slow
async def test_reactor_keys_revoke_ends_the_streams_of_a_running_server(tmp_path: Path) -> None:
    """The commands and the server are processes of their own: nothing but the file is between them."""
    path = tmp_path / "keys.json"
    key = reactor("keys", "add", "ci", "--scopes", "read,run", "--keys", path).stdout.strip()
    url, process = start_server(FLOW, "--keys", path, "--store", f"sqlite:///{tmp_path / 'runs.db'}")
    bearer = {"Authorization": f"Bearer {key}"}
    try:
        async with aiohttp.ClientSession() as session, asyncio.timeout(PATIENCE):
            body = {"workflow": "tokens", "input": {"gate": str(tmp_path / "gate")}}
            async with session.put(f"{url}/runs/a1", json=body, headers=bearer) as answer:
                assert answer.status == 201
            async with session.post(f"{url}/stream-tickets", json={"run_id": "a1"}, headers=bearer) as answer:
                ticket = (await answer.json())["ticket"]
            events = f"{url}/runs/a1/events"
            by_key, by_ticket = session.get(events, headers=bearer | SSE), session.get(f"{events}?ticket={ticket}")
            async with Stream(by_key) as mine, Stream(by_ticket) as ticketed:
                await opened(mine)
                await opened(ticketed)
                assert reactor("keys", "revoke", key.split("_")[1], "--keys", path).returncode == 0
                assert await reason_of(mine) == await reason_of(ticketed) == "auth"
            for asking in (session.get(events, headers=bearer), session.get(f"{events}?ticket={ticket}&after=1")):
                async with asking as answer:
                    assert answer.status == 401
    finally:
        process.kill()
        out, err = process.communicate()
    assert ticket not in out + err
    assert key.split("_")[2] not in out + err


async def test_a_stream_that_opens_while_it_is_revoked_ends(clock: VirtualClock) -> None:
    """Who was let in before and had no stream yet is not forgotten."""

    async def revoking(request: web.Request) -> str:
        assert server.guard.revoke(server.principal) == 0
        return "r1"

    def own(app: web.Application, engine: Engine) -> None:
        add_stream(app, "/mine", engine, id_from=revoking)

    async with guarded(clock=clock, own=own) as server:
        await server.run("gated", "r1")
        url = server.url.removesuffix("/api/v1") + "/mine"
        async with Stream(server.session.get(url, headers=server.headers)) as mine:
            assert await reason_of(mine) == "auth"


# --- over -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [0.5, 3.0, 3_600.0])
async def test_a_jwt_ends_its_stream_at_its_time(server: Guarded, clock: VirtualClock, seconds: float) -> None:
    """Not before, and not at the next look: with the leeway, in which the token is still taken, to the moment."""
    now = server.guard.now()
    jwt = token(claims_at(clock, exp=now + seconds))
    lasts = seconds + JwtSettings(audience="any", key=SECRET).leeway
    ticket = await server.ticket(jwt, run_id="r1")
    async with by(server, jwt) as mine, by_ticket(server, ticket) as ticketed, by(server, server.token) as other:
        for stream in (mine, ticketed, other):
            await opened(stream)
        await clock.advance(lasts - 0.01)
        assert ending(server) == [None] * 3
        await clock.advance(0.01)
        assert sorted(ending(server), key=str) == [None, "auth", "auth"] or len(server.streams) < 3
        assert await reason_of(mine) == await reason_of(ticketed) == "auth"
    assert await server.ask("/runs", Authorization=f"Bearer {jwt}") == (401, "token-expired")
    headers = {"Last-Event-ID": "1"}
    assert await server.ask(f"/runs/r1/events?ticket={ticket}", **headers) == (401, "ticket-invalid")


async def test_no_stream_is_older_than_it_may_be_and_none_loses_anything(clock: VirtualClock) -> None:
    """Streams close for ``lifetime`` at different moments, none later than the age; their clients come back."""
    engine = Engine("memory://", grace=0.0)
    flow, steps = stepping()
    async with guarded(flow, engine=engine, clock=clock, max_stream_age=600) as server:
        await server.run("stepping", "r1")
        seen: list[int] = []

        async def follow() -> None:
            async with Client(server.url, token=server.token) as client:
                seen.extend([event.seq async for event in await client.get("r1")])

        following = asyncio.create_task(follow())
        while not len(server.streams) and not following.done():
            await asyncio.sleep(0.01)
        (one,) = server.streams
        steps.set()
        await clock.advance(539)
        assert one.closing is None, "it is younger than nine tenths of what it may be"
        await clock.advance(61)
        assert one.closing == "lifetime"
        while one in server.streams:
            await asyncio.sleep(0.01)
        server.gates.open()
        steps.set()
        DONE.set()
        async with asyncio.timeout(PATIENCE):
            await following
        assert seen == [event.seq for event in await read_all(engine.log, "r1")]


DONE = asyncio.Event()


def stepping() -> tuple[Workflow, asyncio.Event]:
    """A workflow that says something whenever the event is set, and ends with ``DONE``."""
    flow, steps = Workflow("stepping"), asyncio.Event()
    DONE.clear()

    @flow.task
    async def step(ctx: Context) -> None:
        while not DONE.is_set():
            await steps.wait()
            steps.clear()
            for count in range(5):
                await ctx.emit("step.made", {"count": count})

    return flow, steps


async def test_streams_that_open_together_do_not_end_together(clock: VirtualClock) -> None:
    """Their ages are spread over a tenth, so that not all clients come back in one moment."""
    async with guarded(clock=clock, max_stream_age=1_000) as server:
        await server.run("gated", "r1")
        opened_at = server.guard.now()
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            urls = [f"{server.url}/runs/r1/events"] * 40
            answers = [await session.get(url, headers=SSE | server.headers) for url in urls]
            ages = [one.admission.lives_until - opened_at for one in server.streams if one.admission]  # type: ignore[operator]
            assert len(set(ages)) == 40
            assert all(900 <= age <= 1_000 for age in ages)
            assert max(ages) - min(ages) > 20
            for answer in answers:
                answer.close()


# --- the host -------------------------------------------------------------------------------------------------------


class Host:
    """A host whose sessions stand in a cookie. ``who``: what it says of a session; raises and waits as it is told."""

    def __init__(self) -> None:
        self.who: dict[str, Principal] = {}
        self.asked: list[str] = []
        self.breaks = False
        self.hangs = asyncio.Event()
        self.hangs.set()

    def add(self, name: str, *scopes: str, **fields: Any) -> dict[str, str]:
        self.who[name] = Principal(name, frozenset(scopes), **fields)
        return {"Cookie": f"session={name}"}

    async def __call__(self, request: web.Request) -> Principal | None:
        name = request.cookies.get("session", "")
        self.asked.append(name)
        await self.hangs.wait()
        if self.breaks:
            raise RuntimeError("the store of the sessions is away")
        if SESSION not in request:  # as aiohttp_session does: read once for each request
            request[SESSION] = self.who.get(name)
        found: Principal | None = request[SESSION]
        return found


SESSION: Any = web.RequestKey("session", object) if hasattr(web, "RequestKey") else "session"


Cookie = dict[str, str]
CHANGES: dict[str, Callable[[Host], object]] = {
    "logged out": lambda host: host.who.pop("ann"),
    "may not read": lambda host: host.add("ann", "run"),
    "of another tenant": lambda host: host.add("ann", "read", "run", tenant="acme"),
    "for fewer runs": lambda host: host.add("ann", "read", "run", runs=("x*",)),
    "somebody else": lambda host: host.who.update(ann=Principal("bob", frozenset({"read", "run"}))),
}


@pytest.fixture
def host() -> Host:
    return Host()


@pytest.fixture
async def site(clock: VirtualClock, host: Host) -> AsyncIterator[Guarded]:
    async with guarded(clock=clock, authorize=host) as site:
        await site.run("gated", "r1")
        yield site


def by_cookie(site: Guarded, cookie: Cookie) -> Stream:
    return site.events("r1", "", **SSE, **cookie)


@pytest.mark.parametrize("change", CHANGES)
async def test_the_host_is_asked_again_every_minute(
    site: Guarded, host: Host, clock: VirtualClock, change: str
) -> None:
    """Nothing changes while it says the same. A session that is gone, or that sees something else, ends its stream."""
    async with by_cookie(site, host.add("ann", "read", "run")) as mine, by(site, site.token) as by_key:
        await opened(mine)
        await opened(by_key)
        host.asked.clear()
        await clock.advance(REVIEW_SECONDS - 3)
        assert host.asked == []
        for count in range(1, 4):
            await clock.advance(REVIEW_SECONDS)
            assert host.asked == ["ann"] * count, "once a minute, and not about the key"
        assert ending(site) == [None, None]
        CHANGES[change](host)
        await clock.advance(REVIEW_SECONDS + 2)
        assert await reason_of(mine) == "auth"
        assert ending(site) == [None]


async def test_a_principal_with_an_end_is_not_asked_about_again(site: Guarded, host: Host, clock: VirtualClock) -> None:
    """The host has said how long."""
    cookie = host.add("ann", "read", expires=site.guard.now() + 200)
    async with by_cookie(site, cookie) as mine:
        await opened(mine)
        await clock.advance(199.9)
        assert host.asked == ["ann"]
        assert ending(site) == [None]
        await clock.advance(0.1)
        assert await reason_of(mine) == "auth"


async def test_a_host_that_breaks_ends_no_stream_at_once_and_keeps_none_for_ever(
    site: Guarded, host: Host, clock: VirtualClock
) -> None:
    """Sessions that cannot be looked up for a moment are no reason to cut everybody. The log says it."""
    async with by_cookie(site, host.add("ann", "read")) as mine:
        await opened(mine)
        host.breaks = True
        with log_lines() as lines:
            for _ in range(MOST_DOUBTS - 1):
                await clock.advance(REVIEW_SECONDS + 2)
            assert ending(site) == [None]
            assert [line["event"] for line in lines if line["log_level"] == "error"] == [
                "authorize() has not said whether a stream may go on"
            ] * (MOST_DOUBTS - 1)
            host.breaks = False
            await clock.advance(REVIEW_SECONDS + 2)
            host.breaks = True
            for _ in range(MOST_DOUBTS - 1):
                await clock.advance(REVIEW_SECONDS + 2)
            assert ending(site) == [None], "it was asked in between, and has answered"
            await clock.advance(REVIEW_SECONDS + 2)
            assert await reason_of(mine) == "auth"


async def test_a_host_that_hangs_keeps_no_revocation_waiting(site: Guarded, host: Host, clock: VirtualClock) -> None:
    """Keys that are revoked meanwhile end their streams in time."""
    id, key = await site.add_key("read")
    async with by_cookie(site, host.add("ann", "read")) as asked, by(site, key) as mine:
        await opened(asked)
        await opened(mine)
        host.hangs.clear()
        await clock.advance(REVIEW_SECONDS + 2)
        assert host.asked == ["ann"] * 2
        await site.keys.revoke(id)
        await clock.advance(5.0)
        assert await reason_of(mine) == "auth"
        host.hangs.set()


async def test_who_is_no_longer_there_is_forgotten(site: Guarded, host: Host, clock: VirtualClock) -> None:
    """The guard keeps nothing of requests that are over, whatever became of them."""
    cookie = host.add("ann", "read")
    for path in ("/runs", "/runs/none/events", "/runs/r1/events?tail=x", "/nowhere"):
        await site.ask(path, **cookie)
    await site.ask("/runs", Cookie="session=nobody")
    async with by_cookie(site, cookie) as mine:
        await opened(mine)
        assert len(site.guard._watch.let_in) == 1  # pyright: ignore[reportPrivateUsage]
    async with asyncio.timeout(PATIENCE):
        while len(site.streams):
            await asyncio.sleep(0.01)
    assert site.guard._watch.let_in == set()  # pyright: ignore[reportPrivateUsage]


def test_arguments_that_cannot_be_are_refused() -> None:
    """With a sentence that names them."""
    with pytest.raises(ValueError, match="max_stream_age"):
        Guard(max_stream_age=0)
    with pytest.raises(TypeError, match="authorize"):
        Guard(authorize="me")  # type: ignore[arg-type]
