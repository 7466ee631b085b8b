"""The page of a real process: Prometheus takes it under load, on the port of the server and on one of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from pytest_aiohttp import AiohttpClient

from reactor import Engine
from reactor_web import Guard, Principal, create_app
from tests.helpers.command import end, reactor, start_reactor, start_server
from tests.helpers.paths import ROOT
from tests.helpers.promtool import promtool, value
from tests.helpers.warm import Started

FLOW = ROOT / "tests/helpers/troubles.py"


def admin_url(process: Started) -> str:
    """The admin port, which is said before the port of the server is."""
    line = process.stdout.readline()
    assert "need no key" in line, line
    return line.split()[0].removesuffix(",").removesuffix("/metrics")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, str, str]]:
    """The URLs of a server with keys and of its admin port, and the key of an admin."""
    keys = tmp_path / "keys.toml"
    key = reactor("keys", "add", "prometheus", "--scopes", "admin,run,read", "--keys", keys).stdout.strip()
    store = f"sqlite:///{tmp_path / 'runs.db'}"
    process = start_reactor("serve", FLOW, "--keys", keys, "--store", store, "--admin-port", 0, "--port", 0)
    admin = admin_url(process)
    line = process.stdout.readline()
    yield f"{line.split()[-1]}/api/v1", admin, key
    end(process)


@pytest.mark.slow
async def test_prometheus_takes_the_page_under_load(served: tuple[str, str, str]) -> None:
    """While runs begin and end and streams come and go: each page, in both forms, and counters that never fall."""
    url, admin, key = served
    headers = {"Authorization": f"Bearer {key}"}
    async with aiohttp.ClientSession(headers=headers) as session:

        async def run() -> None:
            body = {"workflow": "census"}
            for n in range(5):
                id = f"r{n}-{id_of_task()}"
                async with session.put(f"{url}/runs/{id}", json=body) as started:
                    assert started.status == 201, await started.text()
                async with session.get(f"{url}/runs/{id}/events") as stream:
                    await stream.read()

        load = [asyncio.create_task(run(), name=str(n)) for n in range(6)]
        pages: list[str] = []
        while not all(task.done() for task in load) or len(pages) < 2:
            async with session.get(f"{url}/metrics") as answer:
                assert answer.status == 200
                pages.append(await answer.text())
            await asyncio.sleep(0.02)
        await asyncio.gather(*load)
        async with session.get(f"{admin}/metrics", headers={"Authorization": ""}) as answer:
            pages.append(await answer.text())
    for page in (pages[0], pages[len(pages) // 2], pages[-1]):
        checked = promtool("check", "metrics", input=page)
        assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
    counted = [value(page, "reactor_events_total") for page in pages]
    assert counted == sorted(counted)
    assert value(pages[-1], "reactor_runs_total", workflow="census", status="completed") == 30
    assert value(pages[-1], "reactor_streams_closed_total", reason="end") == 30
    assert value(pages[-1], "reactor_log_bytes") > 0
    assert value(pages[-1], "process_resident_memory_bytes") > 0


def id_of_task() -> str:
    task = asyncio.current_task()
    assert task is not None
    return task.get_name()


@pytest.mark.slow
async def test_the_admin_port_needs_no_key_and_the_other_port_does(served: tuple[str, str, str]) -> None:
    """It has three routes, knows its own names only, and nothing of runs."""
    url, admin, key = served
    async with aiohttp.ClientSession() as session:

        async def status(url: str, **headers: str) -> int:
            async with session.get(url, headers=headers) as answer:
                await answer.read()
                return answer.status

        assert [await status(f"{admin}/{path}") for path in ("metrics", "healthz", "readyz")] == [200] * 3
        assert await status(f"{admin}/api/v1/runs") == 404
        assert await status(f"{admin}/runs") == 404
        assert await status(f"{admin}/metrics", Host="elsewhere.example") == 403
        assert await status(f"{url}/metrics") == 401
        assert await status(f"{url}/metrics", Authorization=f"Bearer {key}") == 200


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--admin-host", "0.0.0.0"], "--admin-host is the address of the admin port: give --admin-port as well"),
        (["--admin-port", "0", "--admin-host", "192.0.2.1"], "choose another --admin-port"),
    ],
)
def test_an_admin_port_that_cannot_be_is_refused(arguments: list[str], sentence: str) -> None:
    """With one sentence, and exit code 2."""
    refused = reactor("serve", FLOW, "--store", "memory://", "--port", 0, *arguments)
    assert refused.returncode == 2
    assert sentence in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.slow
def test_an_admin_port_that_is_taken_is_refused() -> None:
    """Before the server listens."""
    url, process = start_server(FLOW, "--store", "memory://")
    try:
        port = url.removesuffix("/api/v1").rpartition(":")[2]
        refused = reactor("serve", FLOW, "--store", "memory://", "--port", 0, "--admin-port", port)
    finally:
        end(process)
    assert refused.returncode == 2
    assert "choose another --admin-port" in refused.stderr


SEES: dict[str, tuple[dict[str, Any], int]] = {
    "every tenant": ({"tenant": None}, 200),
    "the only tenant": ({}, 200),
    "all by patterns": ({"runs": ("*",), "workflows": ("*",)}, 200),
    "a tenant": ({"tenant": "acme"}, 403),
    "some runs": ({"runs": ("a-*",)}, 403),
    "some workflows": ({"workflows": ("a",)}, 403),
    "no admin": ({"scopes": frozenset({"read", "run", "control"})}, 403),
}


@pytest.mark.parametrize("who", SEES)
async def test_it_is_for_who_sees_everything(aiohttp_client: AiohttpClient, who: str) -> None:
    """The numbers are about all runs, so who may not see some of them may not see these."""
    members, status = SEES[who]

    async def authorize(request: object) -> Principal:
        return Principal(**{"id": "ann", "scopes": frozenset({"admin"}), **members})

    client = await aiohttp_client(create_app(Engine("memory://"), guard=Guard(authorize=authorize)))
    response = await client.get("/api/v1/metrics")
    assert response.status == status
    assert ("reactor_runs_open" in await response.text()) == (status == 200)
