"""All clients of a route follow one run at the same time, and the run waits at its gates until each has come there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Iterable, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from reactor import Event
from tests.helpers.chromium import find_chromium
from tests.helpers.crash import in_log
from tests.helpers.nginx import find_nginx, free_port, nginx
from tests.helpers.tls import make_certificate
from tests.web.interop import matrix, programs, python
from tests.web.interop.matrix import CLIENTS, TOGETHER, Client, Route
from tests.web.interop.network import FRONTS, Server, cut_at_random, serving, site
from tests.web.interop.seen import Seen

PATIENCE = 40.0
"""Seconds for all clients to come to the next gate; those that have not are judged by what they have."""

JSON = {"Content-Type": "application/json"}


@dataclass
class Party:
    """All clients on one route."""

    route: Route
    bases: dict[str, str]
    """By client, the URL of what it asks."""
    page: str
    """Where the page of the browser is from."""
    authority: Path | None
    seen: dict[str, Seen] = field(default_factory=lambda: {client.name: Seen() for client in CLIENTS})

    @property
    def run(self) -> str:
        return self.route.name

    @property
    def agent_run(self) -> str:
        """The run that the client of AG-UI starts: a run is a thread."""
        return f"{self.run}-ag-ui"

    def url(self, client: str, query: str = "") -> str:
        return f"{self.bases[client]}/api/v1/runs/{self.run}/events{query}"

    def run_of(self, client: Client) -> str:
        """The run that this client has followed."""
        return self.agent_run if client.law == "agent" else self.run

    def programs(self) -> Iterable[tuple[list[str], list[str]]]:
        """(command, the clients that it is)."""
        browsed = ["EventSource", "fetch-event-source"]
        urls = [self.url("EventSource", "?names=0"), self.url("fetch-event-source")]
        yield programs.node("browser", find_chromium(), self.page, *urls), browsed
        yield programs.node("eventsource", self.url("eventsource", "?names=0")), ["eventsource"]
        yield programs.node("parser", self.url("eventsource-parser")), ["eventsource-parser"]
        yield programs.curl(self.url("curl")), ["curl"]
        for name, major, kind in (
            ("ai 6: useChat", "ai", "chat"),
            ("ai 7: useChat", "ai7", "chat"),
            ("ai 7: WorkflowChatTransport", "ai7", "workflow"),
        ):
            chat = f"{self.bases[name]}/api/chat"
            yield programs.node("ai", major, kind, chat, self.run, newest=major != "ai"), [name]
        agent = f"{self.bases['@ag-ui/client']}/agent"
        yield programs.node("ag_ui", agent, self.agent_run, self.run), ["@ag-ui/client"]

    def clients(self) -> Iterable[Coroutine[Any, Any, None]]:
        for command, names in self.programs():
            yield programs.run(command, self.authority, {name: self.seen[name] for name in names})
        for name, follow in (
            ("httpx-sse", python.follow_httpx_sse),
            ("sseclient-py", python.follow_sseclient),
            ("launchdarkly-eventsource", python.follow_launchdarkly),
        ):
            yield python.in_thread(follow, self.url(name), self.authority, self.seen[name])
        socket = f"{self.bases['WebSocket']}/api/v1/runs/{self.run}/ws"
        yield python.in_loop(python.follow_websocket, socket, self.authority, self.seen["WebSocket"])


@dataclass
class Outcome:
    """What a client has shown, and the log of the run that it followed."""

    client: Client
    seen: Seen
    log: list[Event]


def skip_where_programs_are_missing() -> None:
    """Before anything is started."""
    find_nginx()
    find_chromium()
    programs.node("browser")
    programs.curl("")


async def run_matrix(folder: Path) -> dict[tuple[str, str], Outcome]:
    """By (client, route) what became of it."""
    skip_where_programs_are_missing()
    certificate = make_certificate(folder)
    ports = {name: free_port() for name in FRONTS}
    outcomes: dict[tuple[str, str], Outcome] = {}
    async with serving(folder) as server, aiohttp.ClientSession() as session:
        with ExitStack() as stack:
            stack.enter_context(nginx(folder, site(ports, server.port, certificate), ports["on"]))
            for names in TOGETHER:
                async with parties(server, ports, certificate, names) as together:
                    await follow_together(server, session, together)
                for party in together:
                    for client in CLIENTS:
                        log = in_log(server.store, party.run_of(client))
                        outcomes[client.name, party.route.name] = Outcome(client, party.seen[client.name], log)
    return outcomes


@asynccontextmanager
async def parties(
    server: Server, ports: dict[str, int], certificate: Path, names: Sequence[str]
) -> AsyncGenerator[list[Party]]:
    clients = [client.name for client in CLIENTS]
    async with cut_at_random(server.port, clients) as proxies:
        together: list[Party] = []
        for name in names:
            route = matrix.route(name)
            bases = dict.fromkeys(clients, server.base)
            if route.front == "random":
                bases = {client: f"http://127.0.0.1:{proxies[client].port}" for client in clients}
            elif route.front == "tls":
                bases = dict.fromkeys(clients, f"https://localhost:{ports['tls']}")
            elif route.front:
                bases = dict.fromkeys(clients, f"http://127.0.0.1:{ports[route.front]}")
            authority = certificate / "cert.pem" if route.front == "tls" else None
            together.append(Party(route, bases, f"{server.origin}/api/v1/healthz", authority))
        yield together


async def follow_together(server: Server, session: aiohttp.ClientSession, together: Sequence[Party]) -> None:
    """Live up to the first gate; cut in the middle of tokens; what was said meanwhile; live again; the end."""
    for party in together:
        body = {"workflow": "interop", "input": {"scene": party.run}, "meta": {"chat": party.run}}
        async with session.put(f"{server.base}/api/v1/runs/{party.run}", json=body) as answer:
            assert answer.status == 201, await answer.text()
    running = [asyncio.ensure_future(client) for party in together for client in party.clients()]
    try:
        attempt = 1
        await reached(together, f"HALF-{attempt}")
        if together[0].route.is_killed:
            attempt = 2
            await server.kill()
            await server.begin()
        elif together[0].route.front != "random":
            await post(server, session, together, "cut/{}")
        await post(server, session, together, "gate/{}/cut")
        await reached(together, f"AWAY-{attempt}")
        await post(server, session, together, "gate/{}/on")
        await asyncio.wait(running, timeout=PATIENCE)
    finally:
        for client in running:
            client.cancel()
        for failed in await asyncio.gather(*running, return_exceptions=True):
            if isinstance(failed, Exception):
                raise failed
    for party in together:
        for seen in party.seen.values():
            if not seen.is_over:
                seen.close("it has not ended")


async def reached(together: Sequence[Party], mark: str) -> None:
    waiting = [asyncio.ensure_future(seen.until(mark)) for party in together for seen in party.seen.values()]
    _, late = await asyncio.wait(waiting, timeout=PATIENCE)
    for one in late:
        one.cancel()


async def post(server: Server, session: aiohttp.ClientSession, together: Sequence[Party], path: str) -> None:
    for party in together:
        async with session.post(f"{server.base}/{path.format(party.run)}") as answer:
            assert answer.status == 200, await answer.text()
