"""The name under which a request came, on every route: a page can make a name of its own lead to this server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
import pytest_asyncio

from reactor_web.guard.hosts import check_hosts
from tests.web.guard.who_may import ASKS, Ask
from tests.web.guard.world import World, world

HOSTS_THAT_ARE_NOT_OURS = ("evil.example", "localhost.evil.example", "evil.example@localhost", "localhost:1/evil", "")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here() -> AsyncIterator[World]:
    async with world() as here:
        yield here


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def ask(
    here: World, ask: Ask, hosts: Sequence[str], headers: Sequence[str] = (), method: str = ""
) -> tuple[int, bytes]:
    """The status of a request with exactly these headers, sent by hand."""
    target = await here.target(ask.target)
    credential = next(iter(here.credentials["all"][0].items()))
    lines = [f"{method or ask.method} {here.path(ask, target)}{ask.query} HTTP/1.1"]
    lines += [f"Host: {host}" for host in hosts]
    lines += [": ".join(credential), "Content-Type: application/json", "Content-Length: 2", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in ask.headers.items() if name not in ("Connection", "Upgrade")]
    if "Upgrade" in ask.headers:
        lines[-1:] = [lines[-1], "Upgrade: websocket"]
        lines = [line if line != "Connection: close" else "Connection: Upgrade" for line in lines]
    lines += headers
    port = int(here.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write("\r\n".join([*lines, "", "{}"]).encode())
    try:
        async with asyncio.timeout(20):
            head = await reader.readuntil(b"\r\n\r\n")
            body = await reader.read(2_000) if b"problem+json" in head else b""
    finally:
        writer.close()
    return int(head[9:12]), body


@pytest.mark.parametrize("route", ASKS, ids=lambda route: route.name)
async def test_no_route_answers_under_a_name_of_somebody_else(here: World, route: Ask) -> None:
    """403 ``forbidden-host`` for GET and HEAD as for what changes something, for sockets, own routes, public ones."""
    for host in HOSTS_THAT_ARE_NOT_OURS:
        status, body = await ask(here, route, [host])
        assert (status, b"forbidden-host" in body) == (403, True), host
    if route.method == "GET" and "Upgrade" not in route.headers:
        assert (await ask(here, route, ["evil.example"], method="HEAD"))[0] == 403


@pytest.mark.parametrize("route", ASKS, ids=lambda route: route.name)
async def test_two_names_and_none_are_refused_on_every_route(here: World, route: Ask) -> None:
    """A proxy may have looked at the other one; no client in use sends a request without."""
    for hosts in (["localhost", "localhost"], ["localhost", "evil.example"], []):
        assert (await ask(here, route, hosts))[0] == 400, hosts


@pytest.mark.parametrize("route", [one for one in ASKS if one.ticket or "text/event-stream" in one.headers.values()],
    ids=lambda route: route.name)  # fmt: skip
async def test_two_cursors_are_refused_wherever_there_is_one(here: World, route: Ask) -> None:
    """``Last-Event-ID`` twice is 400, also where both say the same; once it is not."""
    twice = ["Last-Event-ID: 1", "Last-Event-ID: 2"]
    assert (await ask(here, route, ["localhost"], twice))[0] == 400
    assert (await ask(here, route, ["localhost"], ["Last-Event-ID: 1", "last-event-id: 1"]))[0] == 400


@pytest.mark.parametrize(
    ("allowed", "hosts"),
    [
        ("API.Example", ["api.example", "API.EXAMPLE", "api.example.", "api.example:8443"]),
        ("api.example:8443", ["api.example", "api.example:1"]),
        ("api.example.", ["api.example"]),
        ("https://api.example/", ["api.example:443"]),
        ("2001:DB8::1", ["[2001:db8::1]", "[2001:db8::1]:8000"]),
        ("[2001:db8::1]:8443", ["[2001:DB8::1]"]),
    ],
)
async def test_a_name_that_is_allowed_is_allowed_however_it_is_written(allowed: str, hosts: list[str]) -> None:
    """Capitals, a port and a dot at its end do not count, on either side; an IPv6 address stands in brackets."""
    assert len(check_hosts([allowed])) == 1
    async with world(allowed_hosts=[allowed]) as here:
        route = next(one for one in ASKS if one.path == "/workflows")
        for host in hosts:
            assert (await ask(here, route, [host]))[0] == 200, host
        assert (await ask(here, route, ["other.example"]))[0] == 403
