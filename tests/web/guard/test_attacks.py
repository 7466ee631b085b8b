"""What somebody tries who means harm, and what a host gets wrong: a refusal, and never more than was meant."""

from __future__ import annotations

import asyncio
import json
import math
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

import reactor_web
from reactor import Context, Engine
from reactor.ports import KeyRecord
from reactor.testing import VirtualClock
from reactor_web import Guard, Principal
from reactor_web.guard.key_file import KeyFile, KeyFileError
from reactor_web.guard.keys import MemoryKeys, make_key
from tests.helpers.flows import one_task
from tests.helpers.guarded import guarded
from tests.helpers.runs import wait_until
from tests.helpers.server import API, CLOSE_SECONDS, Gates, gated_workflow, small_workflow

EVERYTHING = frozenset({"read", "run", "control", "admin"})


@asynccontextmanager
async def serving(app: web.Application) -> AsyncGenerator[TestClient[web.Request, web.Application]]:
    server = TestServer(app, host="127.0.0.1")
    await server.start_server(shutdown_timeout=CLOSE_SECONDS)
    async with TestClient(server) as client:
        yield client


def hosted(authorize: Callable[[web.Request], Any]) -> web.Application:
    flows = [small_workflow(), gated_workflow(Gates())]
    return reactor_web.create_app(Engine("memory://", grace=0.0), flows, authorize=authorize)


async def status_of(client: TestClient[web.Request, web.Application], path: str = f"{API}/runs") -> int:
    async with client.get(path) as response:
        return response.status


# --- what is hidden is not told -------------------------------------------------------------------------------------


async def test_no_refusal_names_a_workflow_that_is_not_seen() -> None:
    """Who sees some workflows, and asks for one that fits the patterns and is not there, is told those that they see:
    by its page, by a start, and by a start under an id of their own."""
    async with serving(hosted(lambda request: Principal("ann", EVERYTHING, workflows=("smal*",)))) as client:
        for method, path, body in (
            ("GET", "/workflows/smalll", None),
            ("POST", "/workflows/smalll/runs", {}),
            ("PUT", "/runs/r", {"workflow": "smalll"}),
        ):
            async with client.request(method, API + path, json=body) as response:
                text = await response.text()
                assert (response.status, "'small'" in text, "gated" in text) == (404, True, False), text


# --- what a host's authorize() returns ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"runs": "acme-*"}, TypeError),  # a text has a "*" in it, and a tuple that has one means all
        ({"workflows": "*"}, TypeError),
        ({"runs": [None]}, TypeError),
        ({"runs": 7}, TypeError),
        ({"scopes": "read"}, TypeError),
        ({"scopes": None}, TypeError),
        ({"scopes": {"root"}}, ValueError),
        ({"id": None}, ValueError),
        ({"id": "ann\nERROR forged"}, ValueError),
        ({"id": "ann\x1b[2J"}, ValueError),
        ({"tenant": "a/b"}, ValueError),
        ({"tenant": "a\nb"}, ValueError),
        ({"tenant": 7}, ValueError),
        ({"expires": math.nan}, ValueError),
        ({"expires": "tomorrow"}, ValueError),
        ({"expires": True}, ValueError),
    ],
)
def test_a_principal_that_cannot_be_is_refused(wrong: dict[str, Any], error: type[Exception]) -> None:
    """And so is no principal that sees more than was meant."""
    given: dict[str, Any] = {"id": "ann", "scopes": frozenset({"read"}), **wrong}
    with pytest.raises(error):
        Principal(**given)


def test_a_principal_takes_lists() -> None:
    """Of scopes and patterns, as a host may read them from its database: they mean what tuples mean."""
    ann = Principal("ann", ["read"], runs=["acme-*"], workflows=["*", "census"])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert (ann.scopes, ann.runs, ann.workflows) == (frozenset({"read"}), ("acme-*",), None)
    assert ann.sees_run("acme-1")
    assert not ann.sees_run("globex-1")
    assert hash(ann)


@pytest.mark.parametrize("answer", [True, {"id": "ann"}, "ann", 0, ""])
async def test_what_is_no_principal_lets_nobody_in(answer: object, caplog: pytest.LogCaptureFixture) -> None:
    """The log of the server says what ``authorize`` must return."""
    async with serving(hosted(lambda request: answer)) as client:
        assert await status_of(client) == 500
    assert "authorize(request) must return a Principal or None" in caplog.text


async def test_a_session_that_has_ended_lets_nobody_in() -> None:
    """Whatever the host remembers of it: what is over is over for requests as it is for streams."""
    async with serving(hosted(lambda request: Principal("ann", EVERYTHING, expires=1.0))) as client:
        assert await status_of(client) == 401
        assert await status_of(client, f"{API}/runs/r/events") == 401


# --- a guard of several applications --------------------------------------------------------------------------------


async def test_a_guard_lives_as_long_as_one_of_its_applications() -> None:
    """Two applications have one guard. When one of them has gone, a key that is revoked still ends its streams; when
    both have, nothing of the guard runs."""
    key, clock = make_key(), VirtualClock()
    keys = MemoryKeys([KeyRecord(key.id, key.digest, "a key", EVERYTHING, "", None)])
    guard, mine = Guard(keys=keys, clock=clock), {"Authorization": f"Bearer {key.token}"}
    before = asyncio.all_tasks()
    stays, goes = (
        reactor_web.create_app(Engine("memory://", grace=0.0), [gated_workflow(Gates())], guard=guard) for _ in range(2)
    )
    async with serving(stays) as client:
        async with serving(goes) as other, other.get(f"{API}/runs", headers=mine) as response:
            assert response.status == 200
        async with client.put(f"{API}/runs/r", json={"workflow": "gated"}, headers=mine) as response:
            assert response.status == 201
        async with client.get(f"{API}/runs/r/events", headers=mine) as stream:
            await stream.content.readline()
            await keys.revoke(key.id)
            for _ in range(5):  # second by second: each look sets the time of the next
                await clock.advance(1.0)
                await asyncio.sleep(0)
            async with asyncio.timeout(10):
                assert b'"reason":"auth"' in await stream.content.read()
    left = {task for task in asyncio.all_tasks() - before if "Watch" in repr(task)}
    assert not left


async def test_routes_that_are_mounted_beside_a_guard_have_it() -> None:
    """``mount`` without a guard takes that of the application; a guard that comes too late for it is refused. What is
    to be open must be said: ``Guard(insecure=True)``."""
    nobody = Guard(authorize=lambda request: None)
    app = web.Application()
    reactor_web.protect(app, nobody)
    reactor_web.mount(app, Engine("memory://"), [small_workflow()])
    reactor_web.mount(app, Engine("memory://"), [small_workflow()], prefix="/second")
    reactor_web.mount(app, Engine("memory://"), [small_workflow()], prefix="/open", guard=Guard(insecure=True))
    async with serving(app) as client:
        for path, status in ((f"{API}/runs", 401), ("/second/runs", 401), ("/open/runs", 200)):
            assert await status_of(client, path) == status
    late = web.Application()
    reactor_web.mount(late, Engine("memory://"), [small_workflow()])
    with pytest.raises(ValueError, match="without a guard"):
        reactor_web.protect(late, nobody)


# --- a socket that does not read ------------------------------------------------------------------------------------


def frame(message: dict[str, Any]) -> bytes:
    """A text frame of a client, masked with zeros."""
    data = json.dumps(message).encode()
    assert len(data) < 126
    return bytes([0x81, 0x80 | len(data), 0, 0, 0, 0]) + data


async def test_who_was_revoked_commands_nothing_by_not_reading() -> None:
    """Its socket cannot end as long as its client reads nothing, but what the client sends is not carried out."""
    told = asyncio.Event()

    async def body(ctx: Context) -> None:
        for n in range(500):
            await ctx.emit("n.said", {"n": n, "text": "x" * 30_000})
        await told.wait()

    async with guarded(one_task(body, "flood")) as server:
        await server.run("flood", "r")
        parts = urlsplit(server.url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=1_024)
        writer.write(
            f"GET {parts.path}/runs/r/ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Authorization: Bearer {server.token}\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
        )
        assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
        await wait_until(lambda: any(client.writing_since is not None for client in server.streams))
        run = await server.engine.get("r")
        await wait_until(lambda: run.feed.last_seq > 500)
        assert server.guard.revoke(server.principal) == 1
        writer.write(frame({"id": 1, "command": "cancel", "grace": 0}))
        await writer.drain()
        for _ in range(5):  # the server has read what was sent before
            assert (await server.ask("/runs/r", **server.headers))[0] == 200
        assert [client.closing for client in server.streams] == ["auth"]
        assert run.status == "running"
        assert not [event for event in await run.feed.read(501) if getattr(event, "type", "") == "run.cancelling"]
        writer.transport.abort()
        await wait_until(lambda: not len(server.streams))
        told.set()
        await run.ended()
        assert run.status == "completed"


# --- a key that gives less ------------------------------------------------------------------------------------------

LESS: list[dict[str, Any]] = [
    {"scopes": ["run"]}, {"tenant": "acme"}, {"runs": ["other-*"]}, {"workflows": ["other"]},
]  # fmt: skip


@pytest.mark.parametrize("less", LESS, ids=str)
async def test_a_key_that_is_given_less_ends_what_it_has_open(tmp_path: Path, less: dict[str, Any]) -> None:
    """Its streams, of one run and of all, end as if it was revoked; those of others go on."""
    path, clock = tmp_path / "keys.json", VirtualClock()
    async with guarded(clock=clock, file=path) as server:
        await server.run("gated", "r1")
        id, key = await server.add_key("read", "run")
        url, mine = f"{server.url}/runs/r1/events", {"Authorization": f"Bearer {key}"}
        async with (
            server.session.get(url, headers=mine) as by_key,
            server.session.get(f"{server.url}/events", headers=mine) as of_all,
            server.session.get(url, headers=server.headers) as other,
        ):
            for stream in (by_key, of_all, other):
                assert stream.status == 200, await stream.text()
                await stream.content.readline()
            given = json.loads(path.read_text())
            given["keys"] = [one | less if one["id"] == id else one for one in given["keys"]]
            path.write_text(json.dumps(given))
            async with asyncio.timeout(10):
                while len([client for client in server.streams if client.closing is None]) > 1:
                    await clock.advance(0.5)
                    await asyncio.to_thread(int)  # the file is read in a thread, between two looks
                for stream in (by_key, of_all):
                    assert b'"reason":"auth"' in await stream.content.read()
            assert [client.closing for client in server.streams] == [None]


class Breaking(MemoryKeys):
    """Keys some of which cannot be looked up any more."""

    broken: frozenset[str] = frozenset()

    async def find(self, id: str) -> KeyRecord | None:
        if id in self.broken:
            raise OSError("the store is broken")
        return await super().find(id)


async def test_a_key_that_cannot_be_looked_up_keeps_no_other_from_ending(caplog: pytest.LogCaptureFixture) -> None:
    """Its streams stay, and the log has a line; those of keys that were revoked end."""
    made, clock = [make_key() for _ in range(12)], VirtualClock()
    keys = Breaking([KeyRecord(key.id, key.digest, "a key", EVERYTHING, "", None) for key in made])
    app = reactor_web.create_app(
        Engine("memory://", grace=0.0), [gated_workflow(Gates())], guard=Guard(keys=keys, clock=clock)
    )
    async with serving(app) as client, AsyncExitStack() as opened:
        whose = [{"Authorization": f"Bearer {key.token}"} for key in made]
        async with client.put(f"{API}/runs/r", json={"workflow": "gated"}, headers=whose[0]) as response:
            assert response.status == 201
        streams = [await opened.enter_async_context(client.get(f"{API}/runs/r/events", headers=who)) for who in whose]
        keys.broken = frozenset(key.id for key in made[:6])
        for key in made[6:]:
            await keys.revoke(key.id)
        for _ in range(5):
            await clock.advance(1.0)
        async with asyncio.timeout(10):
            for stream in streams[6:]:
                assert b'"reason":"auth"' in await stream.content.read()
        assert not any(stream.content.at_eof() for stream in streams[:6])
    assert "open streams not checked" in caplog.text


@pytest.mark.parametrize(
    ("some", "others", "is_within"),
    [
        (None, None, True),
        (None, ("a*",), False),
        (("a*",), None, True),
        (("a*", "b"), ("b", "c", "a*"), True),
        (("a1",), ("a?",), True),
        (("a?",), ("a*",), False),
        (("a*",), ("a?",), False),
        (("[*]",), ("*",), True),
        ((), ("a",), True),
        (("a",), (), False),
    ],
)
def test_a_principal_is_within_another_only_where_that_is_certain(
    some: tuple[str, ...] | None, others: tuple[str, ...] | None, is_within: bool
) -> None:
    """By names and by patterns that are the same."""
    read = frozenset({"read"})
    for field in ("runs", "workflows"):
        one, other = {field: some}, {field: others}
        assert Principal("k", read, **one).is_within(Principal("k", EVERYTHING, **other)) is is_within  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# --- files ----------------------------------------------------------------------------------------------------------


async def test_the_lock_of_a_key_file_is_no_other_file(tmp_path: Path) -> None:
    """Where root adds a key, the lock is given to the owner of the key file: a lock that is another file by another
    name would be given away with it."""
    keys, victim = tmp_path / "keys.json", tmp_path / "victim"
    record = KeyRecord("one", bytes(32), "a key", frozenset({"read"}), "", None)
    victim.write_text("not yours")
    os.link(victim, tmp_path / "keys.json.lock")
    with pytest.raises(KeyFileError, match="another name"):
        await KeyFile(keys).add(record)
    assert not keys.exists()
    (tmp_path / "keys.json.lock").unlink()
    await KeyFile(keys).add(record)
    assert await KeyFile(keys).find("one") == record
