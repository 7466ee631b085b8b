"""Streams through nginx, as docs/deploy.md has it and as others have it: nothing lost, nothing twice, nothing late."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import socket
import ssl
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

import reactor_web
from reactor import Engine, Run
from reactor.ports.access import KeyRecord
from reactor_web.client.follow import follow_url
from reactor_web.guard.guard import Guard
from reactor_web.guard.key_file import KeyFile
from reactor_web.guard.keys import MemoryKeys, make_key
from reactor_web.guard.principal import Principal
from tests.helpers.command import end
from tests.helpers.life import Life
from tests.helpers.nginx import find_nginx, free_port, nginx
from tests.helpers.node import Page, find_node
from tests.helpers.paths import block_of
from tests.helpers.server import Gates, gated_workflow
from tests.helpers.site import Raw, Site, frames_of, ids_of, poll, site_of, whole
from tests.helpers.tls import certificate as certificate
from tests.helpers.tokens import FIRST, REST

MADE = make_key()
KEY = MADE.token
RECORD = KeyRecord(MADE.id, MADE.digest, "test", frozenset({"read", "run", "control"}), "", None)
KEYS = MemoryKeys([RECORD])
NAME = "flows.example.com"


# --- configurations of nginx ------------------------------------------------------------------------------------


def as_documented(folder: Path, port: int, upstream: int, certificate: Path) -> str:
    """The sample with the ports and the files of this test."""
    text = block_of("docs/deploy.md", "nginx")
    for old, new in (
        ("server 127.0.0.1:8080;", f"server 127.0.0.1:{upstream};"),
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        ("/etc/nginx/flows.crt", str(certificate / "cert.pem")),
        ("/etc/nginx/flows.key", str(certificate / "key.pem")),
        ("/var/log/nginx/flows.log", str(folder / "access.log")),
    ):
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def plain(*lines: str) -> str:
    """A server without TLS; without any lines it is what everybody begins with: HTTP/1.0 and buffering."""
    location = " ".join(["proxy_pass http://127.0.0.1:UPSTREAM;", *lines])
    return f"server {{ listen 127.0.0.1:PORT; location / {{ {location} }} }}"


ONE_ONE = 'proxy_http_version 1.1; proxy_set_header Connection "";'
SITES = {
    "as documented": "",
    "as it comes": plain(),
    "buffering on": plain(ONE_ONE, "proxy_buffering on;"),
    "buffering off": plain(ONE_ONE, "proxy_buffering off;"),
    "compressing": plain(ONE_ONE, "gzip on; gzip_min_length 1; gzip_proxied any; gzip_types text/event-stream;"),
}
DEAF = plain(ONE_ONE, "proxy_buffering on; proxy_ignore_headers X-Accel-Buffering;")
"""It buffers whatever a response says."""


@dataclass
class Front:
    """The outside of a proxy."""

    port: int
    tls: ssl.SSLContext | None
    certificate: Path
    clients: list[Raw] = field(default_factory=list[Raw])

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://localhost:{self.port}/api/v1"

    @property
    def header(self) -> str:
        return f"Authorization: Bearer {KEY}\r\n"

    def session(self) -> aiohttp.ClientSession:
        headers = {"Authorization": f"Bearer {KEY}"}
        return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=self.tls or True), headers=headers)

    def stranger(self) -> aiohttp.ClientSession:
        """Without a key."""
        return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=self.tls or True))

    def curl(self, path: str, *options: str) -> list[str]:
        secure = ["--cacert", str(self.certificate / "cert.pem")] if self.tls else []
        return ["curl", "-sN", "--no-progress-meter", *secure, "-H", self.header.strip(), *options, self.url + path]


@contextmanager
def proxy(name: str, folder: Path, upstream: int, certificate: Path) -> Iterator[Front]:
    port = free_port()
    if name == "as documented":
        site = as_documented(folder, port, upstream, certificate)
        tls = ssl.create_default_context(cafile=str(certificate / "cert.pem"))
    else:
        site, tls = SITES.get(name, name).replace("PORT", str(port)).replace("UPSTREAM", str(upstream)), None
    front = Front(port, tls, certificate)
    with nginx(folder, site, port):
        yield front
        for client in front.clients:
            client.writer.transport.abort()


@asynccontextmanager
async def behind(
    name: str, folder: Path, certificate: Path, *, allowed_hosts: tuple[str, ...] = (), guard: Guard | None = None
) -> AsyncGenerator[tuple[Front, Site, Gates]]:
    """A server in this process, which asks for keys, and nginx in front of it."""
    find_nginx()
    gates = Gates()
    async with Engine("memory://", workflows=[gated_workflow(gates)], grace=0.0) as engine:
        guard = guard or Guard(keys=KEYS, trusted_proxies=["127.0.0.1"])
        app = reactor_web.create_app(engine, allowed_hosts=allowed_hosts, guard=guard)
        async with site_of(engine, app) as site:
            with proxy(name, folder, site.port, certificate) as front:
                yield front, site, gates


async def raw(front: Front, path: str, headers: str = "", method: str = "GET", body: bytes = b"") -> Raw:
    """A connection to the proxy, of which every byte is seen."""
    connection = socket.create_connection(("127.0.0.1", front.port))
    name = "localhost" if front.tls else None
    client = Raw(*await asyncio.open_connection(sock=connection, ssl=front.tls, server_hostname=name))
    front.clients.append(client)
    head = f"{method} /api/v1{path} HTTP/1.1\r\nHost: localhost\r\n{front.header}{headers}\r\n"
    client.writer.write(head.encode() + body)
    return client


class Curl(Raw):
    """``curl -N`` as a client whose body is all that is seen."""

    process: asyncio.subprocess.Process

    @classmethod
    async def open(cls, front: Front, path: str, *options: str) -> Curl:
        if shutil.which("curl") is None:
            pytest.skip("follows with curl, which is not here")
        process = await asyncio.create_subprocess_exec(*front.curl(path, *options), stdout=asyncio.subprocess.PIPE)
        assert process.stdout is not None
        client = cls(process.stdout, None)  # type: ignore[arg-type]  # nothing is written
        client.process = process
        return client

    async def rest(self) -> bytes:
        body = await super().rest()
        await self.process.wait()  # else it may end when the loop has been closed
        return body

    @property
    def body(self) -> bytes:
        return bytes(self.data)


every_site = pytest.mark.parametrize("name", SITES)


# --- live -------------------------------------------------------------------------------------------------------


@every_site
async def test_each_event_passes_the_proxy_when_it_happens_and_a_resume_goes_on(
    name: str, tmp_path: Path, certificate: Path
) -> None:
    """For our client, for curl and for a bare connection, over TLS and without, whatever is said of buffers."""
    async with behind(name, tmp_path, certificate) as (front, site, gates), front.session() as session:
        run = await site.engine.start("gated")
        path = f"/runs/{run.id}/events"
        curl, bare, cut = await Curl.open(front, path, "--compressed"), await raw(front, path), await raw(front, path)
        frames = follow_url(front.url + path, session=session)
        seen = [await anext(frames)]
        for number in (1, 2, 3):
            gates["step"].set()
            for client in (curl, bare, cut):
                await client.until(b"event: step.made", number)
            while seen[-1].event != "step.made" or json.loads(seen[-1].data)["data"]["count"] < number:
                seen.append(await anext(frames))
        cut.leave("close")
        gates.open()
        last = json.loads(seen[-1].data)["seq"]
        again = await raw(front, path, f"Last-Event-ID: {last}\r\nConnection: close\r\n")
        texts = [await curl.rest(), whole(await until_end(bare))]
        resumed = ids_of(whole(await until_end(again)))
        seen += [frame async for frame in frames]
        total = list(range(1, run.feed.last_seq + 1))
        for text in texts:
            assert ids_of(text) == total
            assert frames_of(text)[-1].event == "stream.end"
        assert resumed == total[last:]
        assert [int(frame.id) for frame in seen[:-1]] == total
        assert seen[-1].event == "stream.end"
        assert await curl.process.wait() == 0


async def until_end(client: Raw) -> bytes:
    """The body as sent; a proxy may keep its connection open behind it."""
    await client.until(b"\r\n0\r\n\r\n")
    return client.body


async def test_a_proxy_that_buffers_whatever_it_is_told_delays_and_loses_nothing(
    tmp_path: Path, certificate: Path
) -> None:
    """A stream through buffers that nobody can switch off is whole when the run has ended."""
    async with behind(DEAF, tmp_path, certificate) as (front, site, gates):
        run = await site.engine.start("gated")
        client = await raw(front, f"/runs/{run.id}/events", "Connection: close\r\n")
        gates.open()
        text = whole(await until_end(client))
        assert ids_of(text) == list(range(1, run.feed.last_seq + 1))


@pytest.mark.slow
async def test_a_proxy_that_cuts_silent_streams_costs_a_connection_and_no_event(
    tmp_path: Path, certificate: Path
) -> None:
    """With a read timeout below the heartbeat, nginx cuts a stream in the middle; our client goes on behind it."""
    impatient = plain(ONE_ONE, "proxy_read_timeout 1s;")
    async with behind(impatient, tmp_path, certificate) as (front, site, gates), front.session() as session:
        run = await site.engine.start("gated")
        cuts = asyncio.Event()

        def notice(sentence: str) -> None:
            if "connection lost" in sentence:
                cuts.set()

        async def collect() -> list[Any]:
            url = f"{front.url}/runs/{run.id}/events"
            return [frame async for frame in follow_url(url, session=session, on_connection=notice)]

        collecting = asyncio.create_task(collect())
        async with asyncio.timeout(20):
            await cuts.wait()
            gates.open()
            frames = await collecting
        assert [int(frame.id) for frame in frames[:-1]] == list(range(1, run.feed.last_seq + 1))
        assert frames[-1].event == "stream.end"


# --- the same answers -------------------------------------------------------------------------------------------


REQUESTS: dict[str, tuple[str, str]] = {
    "all of it": ("", ""),
    "the header wins over after=": ("?after=2", "Last-Event-ID: 5\r\n"),
    "after=": ("?after=5", ""),
    "tail": ("?tail=2", ""),
    "a cursor wins over tail and snapshot": ("?tail=2&snapshot=1", "Last-Event-ID: 3\r\n"),
    "a snapshot": ("?snapshot=1", ""),
    "types": ("?types=task.completed", ""),
    "a cursor that is none": ("", "Last-Event-ID: x\r\n"),
    "a cursor ahead of the run": ("?after=900", ""),
    "a part of an event": ("", "Last-Event-ID: 4.1\r\n"),
    "nothing is left": ("", "Last-Event-ID: {last}\r\n"),
    "an unknown option": ("?nothing=1", ""),
}


@every_site
async def test_the_proxy_changes_no_answer(name: str, tmp_path: Path, certificate: Path) -> None:
    """Cursors, filters, gaps, 204 and refusals are through nginx what they are without it, with GET and HEAD."""
    async with behind(name, tmp_path, certificate) as (front, site, gates):
        gates.open()
        run = await site.engine.start("gated")
        await run.ended()
        direct = Front(site.port, None, certificate)
        for query, headers in REQUESTS.values():
            for method in ("GET", "HEAD"):
                lines = headers.format(last=run.feed.last_seq)
                answers = [await answer(where, run, method, query, lines) for where in (direct, front)]
                assert answers[0] == answers[1], (query, lines, method)


async def answer(front: Front, run: Run, method: str, query: str, headers: str) -> tuple[int, Any, bytes]:
    """Status, content type and body, without the time of the last frame, which is that of its writing."""
    given = dict(line.split(": ", 1) for line in headers.split("\r\n") if line)
    async with (
        front.session() as session,
        session.request(method, f"{front.url}/runs/{run.id}/events{query}", headers=given) as response,
    ):
        body = await response.read()
        return response.status, response.headers.get("Content-Type"), re.sub(rb'"time":"[^"]*"', b"", body)


async def test_start_and_stream_is_a_post_through_the_proxy(tmp_path: Path, certificate: Path) -> None:
    """A POST is answered with the stream of its run, and a client that goes then cancels nothing."""
    async with behind("as documented", tmp_path, certificate) as (front, site, gates):
        body = b'{"run_id": "mine"}'
        headers = f"Accept: text/event-stream\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        client = await raw(front, "/workflows/gated/runs", headers, "POST", body)
        await client.until(b'"task_id":"slow"')
        client.leave("reset")
        run = await site.engine.get("mine")
        gates.open()
        await run.ended()
        assert run.state.status == "completed"


async def test_a_client_that_goes_behind_the_proxy_is_noticed(tmp_path: Path, certificate: Path) -> None:
    """Its stream ends; its run is cancelled if it asked for that, and goes on if it did not."""
    async with behind("as documented", tmp_path, certificate) as (front, site, _):
        for query, status in (("", "running"), ("?on_disconnect=cancel", "cancelled")):
            run = await site.engine.start("gated")
            client = await raw(front, f"/runs/{run.id}/events{query}")
            await client.until(b'"task_id":"slow"')
            client.leave("close")
            await poll(lambda: not site.streams, "it is not noticed")
            if query:
                await run.ended()
            assert run.state.status == status


async def test_a_stream_is_opened_through_the_proxy_before_its_run(tmp_path: Path, certificate: Path) -> None:
    """The client is connected at once, with headers and all, and has the run from its first event on."""
    async with behind("as documented", tmp_path, certificate) as (front, site, gates):
        client = await raw(front, "/runs/later/events?await_run=60&snapshot=1&heartbeat=1")
        await client.until(b"200 OK")
        gates.open()
        run = await site.engine.start("gated", run_id="later")
        text = whole(await until_end(client))
        assert ids_of(text) == list(range(1, run.feed.last_seq + 1))


# --- who asks ---------------------------------------------------------------------------------------------------


async def test_behind_the_documented_proxy_everybody_says_who_they_are_and_names_are_checked(
    tmp_path: Path, certificate: Path
) -> None:
    """Without a key nothing is served; a name that is not allowed does nothing; an allowed one starts runs."""
    async with behind("as documented", tmp_path, certificate, allowed_hosts=(NAME,)) as (front, site, gates):
        gates.open()
        async with front.session() as session, front.stranger() as stranger:
            start = f"{front.url}/workflows/gated/runs"
            for path in ("/runs", "/events", "/workflows", "/runs/x/events", "/tools"):
                async with stranger.get(front.url + path) as response:
                    assert (response.status, (await response.json(content_type=None))["code"]) == REFUSED, path
            async with stranger.post(start, json={}) as response:
                assert response.status == 401
            async with session.post(start, json={}, headers={"Host": "evil.example.com"}) as response:
                assert (response.status, (await response.json(content_type=None))["code"]) == (403, "forbidden-host")
            assert await site.engine.list() == []
            async with session.post(start, json={}, headers={"Host": NAME}) as response:
                assert response.status == 201


REFUSED = (401, "unauthenticated")


@pytest.mark.parametrize("name", ["as documented", "as it comes"])
async def test_behind_a_proxy_a_server_without_authentication_answers_nobody(
    name: str, tmp_path: Path, certificate: Path
) -> None:
    """Also behind nginx that was told nothing but where the server is: no header says that it is there."""
    async with behind(name, tmp_path, certificate, allowed_hosts=("*",), guard=Guard()) as (front, site, _):
        async with front.stranger() as stranger:
            asked = [
                ("GET", "/runs"), ("GET", "/events"), ("GET", "/runs/x/events"), ("POST", "/workflows/gated/runs"),
                ("PUT", "/runs/x"), ("DELETE", "/runs/x"),
            ]  # fmt: skip
            for method, path in asked:
                body = None if method in ("GET", "DELETE") else {"workflow": "gated"} if method == "PUT" else {}
                async with stranger.request(method, front.url + path, json=body) as response:
                    problem = await response.json(content_type=None)
                    assert (response.status, problem["code"]) == (403, "not-exposed"), path
        assert await site.engine.list() == []
        direct = Front(site.port, None, certificate)
        async with direct.stranger() as here, here.get(f"{direct.url}/runs") as response:
            assert response.status == 200


async def test_through_the_documented_proxy_the_client_is_who_it_is(tmp_path: Path, certificate: Path) -> None:
    """Its address is the one that nginx has seen, whatever its own headers claim; the author is the key."""
    addresses: list[str] = []

    def authorize(request: web.Request) -> Principal:
        addresses.append(guard.proxies.address_of(request))
        assert "Forwarded" not in request.headers
        assert request.headers["X-Forwarded-Proto"] == "https"
        return Principal("ann", frozenset({"read", "run"}))

    guard = Guard(keys=KEYS, authorize=authorize, trusted_proxies=["127.0.0.1"])
    async with behind("as documented", tmp_path, certificate, guard=guard) as (front, site, gates):
        gates.open()
        claims = {"X-Forwarded-For": "203.0.113.9", "Forwarded": "for=203.0.113.9", "X-Real-IP": "203.0.113.9"}
        start = f"{front.url}/workflows/gated/runs"
        async with front.session() as session, front.stranger() as stranger:
            async with stranger.post(start, json={"run_id": "a"}, headers=claims) as response:
                assert response.status == 201
            async with session.post(start, json={"run_id": "b"}, headers=claims) as response:
                assert response.status == 201
        authors = [(await site.engine.log.read(id, 0, 1))[0].data.get("by") for id in ("a", "b")]
        assert authors == ["ann", f"key:{MADE.id}"]
        assert addresses == ["127.0.0.1"]  # of the client of nginx, not that of its headers


async def test_a_socket_and_a_ticket_pass_the_documented_proxy_and_its_log_has_no_query(
    tmp_path: Path, certificate: Path
) -> None:
    """The upgrade is passed on; a stream is opened by a ticket; neither it nor the key stands in the access log."""
    async with behind("as documented", tmp_path, certificate) as (front, site, gates):
        run = await site.engine.start("gated")
        async with front.session() as session, front.stranger() as stranger:
            async with session.ws_connect(f"{front.url}/runs/{run.id}/ws") as socket:
                assert "run.started" in (await socket.receive_str())
            async with session.post(f"{front.url}/stream-tickets", json={"run_id": run.id}) as response:
                ticket = (await response.json())["ticket"]
            gates.open()
            async with stranger.get(f"{front.url}/runs/{run.id}/events?ticket={ticket}") as response:
                assert (response.status, "stream.end" in await response.text()) == (200, True)
    log = (tmp_path / "access.log").read_text()
    assert f'"GET /api/v1/runs/{run.id}/events" 200' in log
    assert "?" not in log
    assert ticket not in log
    assert KEY not in log


# --- a restart of the server behind the proxy -------------------------------------------------------------------


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    find_nginx()
    keys = tmp_path / "keys.json"
    asyncio.run(KeyFile(keys).add(RECORD))
    life = Life(tmp_path / "runs.db", "--keys", str(keys), "--trusted-proxy", "127.0.0.1")
    yield life
    end(life.process)


@pytest.fixture
def open_life(tmp_path: Path) -> Iterator[Life]:
    """A server for a page that sends no key."""
    find_nginx()
    life = Life(tmp_path / "runs.db", "--insecure")
    yield life
    end(life.process)


def port_of(life: Life) -> int:
    return int(life.base.rpartition(":")[2])


@pytest.mark.slow
@pytest.mark.parametrize("how", ["SIGKILL", "SIGTERM"])
async def test_a_restart_of_the_server_loses_and_doubles_nothing(
    how: str, life: Life, tmp_path: Path, certificate: Path
) -> None:
    """Our client comes back by itself; curl does with its cursor. nginx answers 502 in between."""
    gate = tmp_path / "gate"
    life.start_run(key=KEY, gate=str(gate))
    path = "/runs/a1/events"
    with proxy("as documented", tmp_path, port_of(life), certificate) as front:
        async with front.session() as session:
            sentences = list[str]()
            frames = follow_url(front.url + path, session=session, on_connection=sentences.append)
            seen = [await anext(frames)]
            while seen[-1].event != "task.chunk" or FIRST[-1] not in seen[-1].data:
                seen.append(await anext(frames))
            curl = await Curl.open(front, path)
            await curl.until(FIRST[-1].encode())
            await asyncio.to_thread(life.end, how)
            before = ids_of(await curl.rest())
            async with session.get(front.url + path) as response:
                assert response.status == 502
            await asyncio.to_thread(life.begin_again)
            gate.touch()
            async with asyncio.timeout(30):
                seen += [frame async for frame in frames]
            again = await Curl.open(front, path, "-H", f"Last-Event-ID: {before[-1]}")
            after = ids_of(await again.rest())
            ids = [int(frame.id) for frame in seen[:-1]]
            assert ids == before + after == list(range(1, len(ids) + 1))
            assert seen[-1].event == "stream.end"
            assert any("connection lost" in sentence for sentence in sentences)


@pytest.mark.slow
def test_the_page_of_the_docs_survives_the_502_of_a_restart(open_life: Life, tmp_path: Path, certificate: Path) -> None:
    """An EventSource gives up after a 502; the page begins again behind the last event that it has seen."""
    find_node()
    life, gate = open_life, tmp_path / "gate"
    life.start_run(gate=str(gate))
    snippet = tmp_path / "snippet.js"
    snippet.write_text(block_of("docs/agents.md", "js"))
    with (
        proxy("buffering on", tmp_path, port_of(life), certificate) as front,
        Page(front.url.removesuffix("/api/v1"), snippet) as page,
    ):
        page.until("".join(FIRST))
        life.end("SIGKILL")
        while page.next() != {"refused": 502}:
            pass
        life.begin_again()
        gate.touch()
        shown = [text for text in page.until("".join(FIRST + REST)) if isinstance(text, str)]
        assert shown[0] == ""
        assert all("".join(FIRST + REST).startswith(text) for text in shown)
