"""Two servers on one Redis: who may ask is one question, whichever of them is asked."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer

from reactor import Engine
from reactor.ports.access import AccessStores, SharesAccess
from reactor.testing import VirtualClock
from reactor_web import Caps, Guard, JwtSettings
from reactor_web.app import create_app
from reactor_web.guard.access import GUARD
from reactor_web.guard.tickets import digest_of
from tests.helpers.command import end, reactor, start_server
from tests.helpers.guarded import ALL, Guarded
from tests.helpers.issuer import AUDIENCE, SECRET, claims_at, token
from tests.helpers.redis import RedisServer, redis_server
from tests.helpers.runs import PATIENCE
from tests.helpers.server import CLOSE_SECONDS, Gates, Stream, gated_workflow, small_workflow
from tests.web.guard.test_stream_ends import SSE, by, by_ticket, opened, reason_of

LOST = {"Last-Event-ID": "1"}
Nodes = tuple[Guarded, Guarded]


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
async def clock() -> VirtualClock:
    """That of all guards. It begins now: what is in Redis has the time of real clocks."""
    return VirtualClock(datetime.now(UTC).isoformat(), jumps=False)


def stores_of(node: Guarded) -> AccessStores:
    assert isinstance(node.engine.log, SharesAccess)
    return node.engine.log.access


@asynccontextmanager
async def serving(url: str, *, append_timeout: float = 10.0, **options: Any) -> AsyncIterator[Guarded]:
    """One node, whose guard is told nothing of a store."""
    gates, engine = Gates(), Engine(url, grace=0.0, append_timeout=append_timeout)
    app = create_app(engine, [gated_workflow(gates), small_workflow()], guard=Guard(**options))
    listening = TestServer(app, host="127.0.0.1")
    await listening.start_server(shutdown_timeout=CLOSE_SECONDS)
    async with TestClient(listening) as client:
        node = Guarded.of(client, engine, app)
        assert isinstance(node, Guarded)
        node.guard, node.gates, node.keys = app[GUARD], gates, stores_of(node).keys
        yield node
        gates.open()


@asynccontextmanager
async def two(redis: RedisServer, **options: Any) -> AsyncIterator[Nodes]:
    """Two nodes. The first has the run r1, and both are asked with a key that may do everything."""
    url = redis.url()
    async with AsyncExitStack() as stack:
        first, second = [await stack.enter_async_context(serving(url, **options)) for _ in range(2)]
        first.key_id, first.token = second.key_id, second.token = await first.add_key(*ALL)
        await until_known(first, second)
        await first.run("gated", "r1")
        yield first, second


async def until_known(*nodes: Guarded) -> None:
    """Until each node has looked again whether there are keys."""
    clock = nodes[0].guard.clock
    if isinstance(clock, VirtualClock):
        await clock.advance(1.0)
    async with asyncio.timeout(PATIENCE):
        for node in nodes:
            while (await node.ask("/runs"))[0] == 200:
                await asyncio.sleep(0.05)


async def advance(clock: VirtualClock, seconds: float) -> None:
    """In steps, between which Redis gets some time."""
    for _ in range(round(seconds * 2)):
        await clock.advance(0.5)
        await asyncio.sleep(0.02)


# --- keys -----------------------------------------------------------------------------------------------------------


async def test_a_key_in_the_log_counts_on_every_node_without_being_named(
    redis: RedisServer, clock: VirtualClock
) -> None:
    """Before there is any, this machine may ask. From the first one on every peer needs one, and a revoked one does
    not open the doors again. A node that comes later knows of it before it answers anything."""
    url = redis.url()
    async with serving(url, clock=clock) as first, serving(url, clock=clock) as second:
        for node in (first, second):
            assert (await node.get("/runs"))[0] == 200
        id, key = await first.add_key("read")
        assert (await second.get("/runs", Authorization=f"Bearer {key}"))[0] == 200
        assert await second.ask("/runs") == (401, "unauthenticated"), "who comes with the first key is believed at once"
        await clock.advance(1.0)
        for node in (second, first):
            assert await node.ask("/runs") == (401, "unauthenticated")
            assert (await node.get("/runs", Authorization=f"Bearer {key}"))[0] == 200
        assert await stores_of(second).keys.revoke(id)
        for node in (first, second):
            assert await node.ask("/runs", Authorization=f"Bearer {key}") == (401, "key-revoked")
            assert await node.ask("/runs") == (401, "unauthenticated")
        async with serving(url, clock=clock) as later:
            assert await later.ask("/runs") == (401, "unauthenticated")


async def test_a_revoked_key_ends_its_streams_on_every_node_within_five_seconds(
    redis: RedisServer, clock: VirtualClock
) -> None:
    """Those by ticket, too; nobody else's; and none of its tickets opens anything anywhere."""
    async with two(redis, clock=clock) as (first, second):
        id, key = await second.add_key("read")
        tickets = [await node.ticket(key, run_id="r1") for node in (first, second)]
        async with AsyncExitStack() as stack:
            streams: list[Stream] = []
            for node, ticket in ((second, tickets[0]), (first, tickets[1])):  # each is issued at the other node
                streams += [
                    await stack.enter_async_context(stream) for stream in (by(node, key), by_ticket(node, ticket))
                ]
            other = await stack.enter_async_context(by(second, first.token))
            for stream in (*streams, other):
                await opened(stream)
            assert await stores_of(first).keys.revoke(id)
            await advance(clock, 5.0)
            assert [await reason_of(stream) for stream in streams] == ["auth"] * 4
            assert [client.closing for client in second.streams] == [None]
        for node in (first, second):
            for ticket in tickets:
                assert await node.ask(f"/runs/r1/events?ticket={ticket}", **SSE, **LOST) == (401, "ticket-invalid")


async def test_a_principal_that_one_node_revokes_has_no_streams_on_any(redis: RedisServer, clock: VirtualClock) -> None:
    """Also one of a JWT, which no store knows. It may come back where its token is still good, and stays then."""
    jwt = JwtSettings(audience=AUDIENCE, key=SECRET)
    async with two(redis, clock=clock, jwt=jwt) as (first, second):
        ann = token(claims_at(clock, scope="read"))
        async with by(first, ann) as here, by(second, ann) as there, by(second, first.token) as other:
            for stream in (here, there, other):
                await opened(stream)
            assert first.guard.revoke("jwt:ann") == 1
            assert await reason_of(here) == "auth"
            async with by(first, ann) as again:
                await opened(again)
                await advance(clock, 5.0)
                assert await reason_of(there) == "auth"
                assert [client.closing for node in (first, second) for client in node.streams] == [None, None]


@pytest.mark.slow
def test_reactor_keys_works_on_the_url_of_a_log(redis: RedisServer) -> None:
    """Adds, lists and revokes; what it says shows neither a password nor a secret; a bad URL is one sentence."""
    url = redis.tcp_url()
    added = reactor("keys", "add", "ci", "--scopes", "read,run", "--keys", url)
    assert added.returncode == 0, added.stderr
    id = added.stdout.split("_")[1]
    listed = reactor("keys", "ls", "--json", REACTOR_KEYS=url)
    assert [(key["id"], key["status"]) for key in map(json.loads, listed.stdout.splitlines())] == [(id, "valid")]
    assert reactor("keys", "revoke", id, "--keys", url).returncode == 0
    assert json.loads(reactor("keys", "ls", "--json", "--keys", url).stdout)["status"] == "revoked"
    unknown = reactor("keys", "revoke", "nobody", "--keys", url)
    assert unknown.stderr == f"reactor: there is no key 'nobody' in {url.partition('?')[0]}\n"
    for place, sentence in (
        ("sqlite:///runs.db", "a sqlite: log has no keys: name a file, or the log of a cluster, redis://host:6379/0"),
        ("redis://:geheim@127.0.0.1:1/0", "redis://127.0.0.1:1/0 does not answer"),
    ):
        refused = reactor("keys", "ls", "--keys", place)
        assert refused.returncode == 2
        assert refused.stderr.startswith(f"reactor: {sentence}"), refused.stderr


@pytest.mark.slow
async def test_serve_listens_for_others_where_there_are_keys_in_its_log(redis: RedisServer) -> None:
    """Without a key it refuses to; with one, `--insecure` is a contradiction, and nobody gets in without it."""
    url, flow = redis.tcp_url(), Path(__file__).parents[2] / "helpers/tokens.py"
    refused = reactor("serve", flow, "--host", "0.0.0.0", "--store", url)
    assert (refused.returncode, "there is no authentication" in refused.stderr) == (2, True)
    key = reactor("keys", "add", "ci", "--scopes", "read", "--keys", url).stdout.strip()
    contradiction = reactor("serve", flow, "--insecure", "--store", url)
    assert contradiction.returncode == 2
    assert f"{url.partition('?')[0]} has keys, which say who may ask" in contradiction.stderr
    base, process = start_server(flow, "--host", "0.0.0.0", "--store", url)
    base = base.replace("0.0.0.0", "127.0.0.1")
    try:
        async with aiohttp.ClientSession() as session:
            for headers, status in (({}, 401), ({"Authorization": f"Bearer {key}"}, 200)):
                async with session.get(f"{base}/runs", headers=headers) as answer:
                    assert answer.status == status
    finally:
        end(process)


# --- tickets --------------------------------------------------------------------------------------------------------


async def test_of_fifty_first_uses_over_two_nodes_one_opens(redis: RedisServer, clock: VirtualClock) -> None:
    """While it is open the ticket is worth nothing to whoever has seen it; once it is closed, a reconnect goes to any
    node, and again to one of them."""
    async with two(redis, clock=clock) as nodes:
        first, second = nodes
        ticket = await first.ticket(run_id="r1")
        streams = [by_ticket(nodes[i % 2], ticket) for i in range(50)]
        async with AsyncExitStack() as stack:
            for stream in await asyncio.gather(*(stack.enter_async_context(stream) for stream in streams)):
                assert stream.status in (200, 503)
            winners = [stream for stream in streams if stream.status == 200 and not await refused(stream)]
            assert len(winners) == 1
            for node in nodes:
                async with by_ticket(node, ticket, **LOST) as stolen:
                    assert await refused(stolen)
        async with asyncio.timeout(PATIENCE):
            while await stores_of(second).tickets.held_by(digest_of(ticket)) is not None:
                await asyncio.sleep(0.01)
        async with by_ticket(second, ticket, **LOST) as again, by_ticket(first, ticket, **LOST) as late:
            assert not await refused(again)
            assert await refused(late)


async def refused(stream: Stream) -> bool:
    """Whether a stream is told that its ticket is in use."""
    if stream.status != 200:
        return True
    frame = await stream.next()
    assert frame is not None
    return frame.event == "stream.closing"


# --- caps -----------------------------------------------------------------------------------------------------------


async def test_caps_count_over_all_nodes(redis: RedisServer, clock: VirtualClock) -> None:
    """Three streams of one principal, wherever they are; what one node closes, another may open."""
    caps = Caps(streams_per_principal=3)
    async with two(redis, clock=clock, caps=caps) as (first, second):
        async with by(first, first.token) as a, by(second, first.token) as b, by(first, first.token) as c:
            for stream in (a, b, c):
                await opened(stream)
            for node in (first, second):
                assert (await node.ask("/runs/r1/events", **SSE, **first.headers))[1] == "too-many-streams-of-you"
        async with asyncio.timeout(PATIENCE):
            while (await second.ask("/runs/nobody/events", **SSE, **first.headers))[1] == "too-many-streams-of-you":
                await asyncio.sleep(0.01)


async def test_without_redis_nobody_is_let_in_by_mistake(tmp_path: Path, clock: VirtualClock) -> None:
    """A node that cannot ask who has a key says 503, and not that everybody may."""
    with redis_server(tmp_path) as redis:
        async with serving(redis.url(), append_timeout=0.3, clock=clock) as node:
            assert (await node.get("/runs"))[0] == 200
            await clock.advance(1.0)
            redis.send(signal.SIGKILL)
            async with asyncio.timeout(PATIENCE):
                while (told := await node.ask("/runs"))[0] == 200:
                    await asyncio.sleep(0.05)
            assert told == (503, "log-unavailable")
