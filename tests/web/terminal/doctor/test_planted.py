"""Troubles that are planted in real servers, files and databases: each is found, and nothing else is said."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

import reactor_web
from reactor import Context, Engine, Workflow
from reactor.clock import SystemClock
from reactor_web.guard.guard import Guard
from tests.helpers.command import reactor
from tests.helpers.redis import redis_server

HEALTHY_REDIS = ("--appendonly", "yes", "--appendfsync", "everysec", "--maxmemory", "100mb", "--save", "")


def looked(*arguments: object, **environment: str) -> tuple[int, list[dict[str, str]], str]:
    """What the command says: its exit code, its findings, its standard error."""
    done = reactor("doctor", *arguments, "--json", **environment)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


async def names(server: TestServer, *arguments: object, **environment: str) -> list[str]:
    """The names of what is found at a server, which goes on meanwhile."""
    code, found, error = await asyncio.to_thread(
        looked, "--url", str(server.make_url("/")).rstrip("/"), *arguments, **environment
    )
    assert error == ""
    assert code == (1 if found else 0)
    assert all(finding["wrong"] and finding["remedy"].endswith(".") for finding in found)
    return [finding["name"] for finding in found]


@asynccontextmanager
async def serving(engine: Engine, *flows: Workflow, **options: Any) -> AsyncIterator[TestServer]:
    server = TestServer(reactor_web.create_app(engine, flows, **options), host="127.0.0.1")
    await server.start_server(shutdown_timeout=1.0)
    try:
        yield server
    finally:
        await server.close()


def kept(folder: Path) -> str:
    """A healthy log."""
    return f"sqlite:///{folder}/runs.db?keep_days=30"


flow = Workflow("flow")


@flow.task
async def one() -> int:
    return 1


@pytest.fixture
def asks() -> Workflow:
    asking = Workflow("asking")

    @asking.task
    async def ask(ctx: Context) -> object:
        return await ctx.receive()

    return asking


def test_of_a_healthy_installation_nothing_is_said(tmp_path: Path) -> None:
    """A server with keys and its file, while it has it open; then for people, too."""

    async def look() -> None:
        keys = tmp_path / "keys.json"
        made = reactor("keys", "add", "me", "--scopes", "read,run,admin", "--keys", keys)
        token = made.stdout.strip()
        async with serving(Engine(kept(tmp_path)), flow, guard=Guard(keys=str(keys))) as server:
            assert await names(server, "--store", kept(tmp_path), REACTOR_TOKEN=token) == []
            done = await asyncio.to_thread(
                reactor, "doctor", "--url", str(server.make_url("/api/v1")), REACTOR_TOKEN=token
            )
            assert (done.returncode, done.stdout, done.stderr) == (0, "Nothing is wrong.\n", "")

    asyncio.run(look())


async def test_a_log_that_was_moved(tmp_path: Path) -> None:
    """The file of the log is not where it was opened."""
    engine = Engine(kept(tmp_path))
    async with serving(engine, flow) as server:
        (tmp_path / "runs.db").rename(tmp_path / "elsewhere.db")
        async with asyncio.timeout(10):
            while engine.log_problem is None:
                await asyncio.sleep(0.05)
        assert await names(server) == ["log-unavailable"]
        (tmp_path / "elsewhere.db").rename(tmp_path / "runs.db")


async def test_a_log_that_is_waited_for(tmp_path: Path) -> None:
    """Another program holds the file: the commit of a start waits."""
    engine = Engine(kept(tmp_path))
    async with serving(engine, flow) as server:
        with closing(sqlite3.connect(tmp_path / "runs.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            starting = asyncio.create_task(engine.start(flow))
            async with asyncio.timeout(20):
                while engine.figures.append_pending_seconds < 1.2:
                    await asyncio.sleep(0.05)
            assert await names(server) == ["log-slow"]
            other.execute("ROLLBACK")
        await (await starting)


async def test_a_log_without_retention(tmp_path: Path) -> None:
    """Both the server and the file alone say so."""
    store = f"sqlite:///{tmp_path}/runs.db"
    async with serving(Engine(store), flow) as server:
        assert await names(server) == ["retention-off"]
        assert looked("--store", store)[:1] == (1,)


async def test_stranded_runs_and_runs_without_an_owner(tmp_path: Path, asks: Workflow) -> None:
    """An open run whose workflow is gone; in a file that nobody has open, any open run."""
    async with Engine(kept(tmp_path), workflows=asks, grace=0) as engine:
        await engine.start(asks)
    code, found, _ = looked("--store", kept(tmp_path))
    assert (code, [finding["name"] for finding in found]) == (1, ["no-owner"])
    assert "1 run is open" in found[0]["wrong"]
    async with serving(Engine(kept(tmp_path)), flow) as server:
        assert await names(server, "--store", kept(tmp_path)) == ["stranded-runs"]


async def test_threads_that_are_stuck(tmp_path: Path) -> None:
    """A body in a thread that does not see that its task has timed out."""
    stuck, release = Workflow("stuck"), tmp_path / "release"

    @stuck.task(timeout=0.1)
    def hold() -> None:
        while not release.exists():
            time.sleep(0.01)

    engine = Engine(kept(tmp_path))
    async with serving(engine, stuck) as server, ClientSession() as session:
        try:
            async with session.post(
                server.make_url("/api/v1/workflows/stuck/runs"), json={"input": {}}, headers={"Prefer": "wait=30"}
            ) as answer:
                await answer.read()
            async with asyncio.timeout(30):
                while engine.figures.threads.get("stuck", 0) == 0:
                    await asyncio.sleep(0.05)
            assert await names(server) == ["stuck-threads"]
        finally:
            release.touch()


async def test_a_server_that_lets_anybody_in_under_any_name(tmp_path: Path) -> None:
    """``--insecure`` without keys, and ``--allow-host '*'``."""
    async with serving(Engine(kept(tmp_path)), flow, guard=Guard(insecure=True)) as server:
        assert await names(server) == ["open-to-all"]
    async with serving(Engine(kept(tmp_path)), flow, allowed_hosts=["*"]) as server:
        assert await names(server) == ["any-host"]


async def test_a_proxy_that_is_not_trusted(tmp_path: Path) -> None:
    """The doctor comes through a proxy: to a server with keys, and to one that then answers nobody."""
    keys = tmp_path / "keys.json"
    made = await asyncio.to_thread(reactor, "keys", "add", "me", "--scopes", "read,admin", "--keys", keys)
    token = made.stdout.strip()
    for guard, expected in (
        (Guard(keys=str(keys)), ["proxy-not-trusted"]),
        (Guard(), ["proxy-not-trusted"]),
        (Guard(keys=str(keys), trusted_proxies=["127.0.0.1"]), []),
    ):
        async with serving(Engine(kept(tmp_path)), flow, guard=guard) as server, proxy(server) as before:
            assert await names(before, REACTOR_TOKEN=token) == expected


@asynccontextmanager
async def proxy(server: TestServer) -> AsyncIterator[TestServer]:
    """A reverse proxy in front of a server."""

    async def pass_on(request: web.Request) -> web.Response:
        kept = {name: value for name, value in request.headers.items() if name in ("Authorization", "Accept", "Host")}
        async with (
            ClientSession() as session,
            session.get(server.make_url(request.path_qs), headers={**kept, "X-Forwarded-For": "203.0.113.7"}) as answer,
        ):
            return web.Response(
                status=answer.status, body=await answer.read(), headers={"Content-Type": answer.headers["Content-Type"]}
            )

    app = web.Application()
    app.router.add_get("/{path:.*}", pass_on)
    before = TestServer(app, host="127.0.0.1")
    await before.start_server()
    try:
        yield before
    finally:
        await before.close()


async def test_a_key_file_that_others_may_read(tmp_path: Path) -> None:
    """The server goes on with the keys that it has read."""
    keys = tmp_path / "keys.json"
    made = await asyncio.to_thread(reactor, "keys", "add", "me", "--scopes", "read,admin", "--keys", keys)
    async with serving(Engine(kept(tmp_path)), flow, guard=Guard(keys=str(keys))) as server:
        assert await names(server, REACTOR_TOKEN=made.stdout.strip()) == []
        keys.chmod(0o644)
        assert await names(server, REACTOR_TOKEN=made.stdout.strip()) == ["key-file"]


async def test_a_body_that_holds_the_loop(tmp_path: Path) -> None:
    """An ``async`` body that does not await."""
    holding, release = Workflow("holding"), tmp_path / "release"

    @holding.task
    async def hold() -> None:
        while not release.exists():
            time.sleep(0.3)  # noqa: ASYNC251  # that is the trouble
            await asyncio.sleep(0.001)

    engine = Engine(kept(tmp_path))
    async with serving(engine, holding) as server:
        run = await engine.start(holding)
        assert await names(server) == ["loop-lag"]
        release.touch()
        await run


class Shifted(SystemClock):
    """A clock that is wrong by that much."""

    def __init__(self, by: timedelta) -> None:
        self._by = by

    def now(self) -> bytes:
        return (datetime.now(UTC) + self._by).isoformat(timespec="milliseconds").replace("+00:00", "Z").encode()


async def test_a_clock_that_is_wrong(tmp_path: Path) -> None:
    """It is compared with the clock here."""
    async with serving(Engine(kept(tmp_path), clock=Shifted(timedelta(hours=1))), flow) as server:
        assert await names(server) == ["clock-skew"]


async def test_a_question_that_nobody_answers(tmp_path: Path, asks: Workflow) -> None:
    """A run of three days ago asks, and is recovered: its question is still open."""
    async with Engine(kept(tmp_path), workflows=asks, clock=Shifted(timedelta(days=-3)), grace=0) as engine:
        await engine.start(asks, run_id="old")
    engine = Engine(kept(tmp_path), grace=0)
    async with serving(engine, asks) as server:
        async with asyncio.timeout(10):
            while not await engine.list(question=True):
                await asyncio.sleep(0.02)
        assert await names(server) == ["old-questions"]


def test_a_file_of_an_older_version(tmp_path: Path) -> None:
    """The next server would bring it forward."""
    asyncio.run(open_once(kept(tmp_path)))
    assert looked("--store", kept(tmp_path)) == (0, [], "")
    with sqlite3.connect(tmp_path / "runs.db") as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        connection.execute(f"PRAGMA user_version = {version - 1}")
    connection.close()
    code, found, _ = looked("--store", kept(tmp_path))
    assert (code, [finding["name"] for finding in found]) == (1, ["old-schema"])


async def open_once(store: str) -> None:
    async with Engine(store):
        pass


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of four megabytes."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("no file system may be mounted here")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_disk_that_is_nearly_full(small_disk: Path) -> None:
    """A real one, filled by another file."""
    asyncio.run(open_once(kept(small_disk)))
    assert looked("--store", kept(small_disk)) == (0, [], "")
    with (small_disk / "other").open("wb", buffering=0) as file, suppress(OSError):
        while os.statvfs(small_disk).f_bavail > 4:
            file.write(b"x" * 4096)
    code, found, _ = looked("--store", kept(small_disk))
    assert (code, [finding["name"] for finding in found]) == (1, ["disk-full"])


def test_a_redis_that_is_set_wrong(tmp_path: Path) -> None:
    """Each setting of docs/cluster.md, changed while it runs; well set, nothing is said."""
    with redis_server(tmp_path, *HEALTHY_REDIS) as server:
        url = f"redis://127.0.0.1:{server.port}/0"
        assert looked("--store", url) == (0, [], "")
        for wrong, right, name in (
            (("maxmemory-policy", "allkeys-lru"), "noeviction", "redis-evicts"),
            (("appendfsync", "no"), "everysec", "redis-fsync"),
            (("maxmemory", "0"), "100mb", "redis-no-limit"),
            (("maxmemory", "1000000"), "100mb", "redis-full"),
            (("appendonly", "no"), "yes", "redis-not-durable"),
        ):
            assert server.say("CONFIG", "SET", *wrong).startswith("+OK")
            code, found, _ = looked("--store", url)
            assert (code, [finding["name"] for finding in found]) == (1, [name])
            assert server.say("CONFIG", "SET", wrong[0], right).startswith("+OK")


def test_what_cannot_be_looked_at_is_exit_code_2(tmp_path: Path) -> None:
    """One sentence, nothing on stdout."""
    (tmp_path / "text.db").write_text("this is no database " * 100)
    for arguments, sentence in (
        ([], "say what to look at: --url of a server, --store of a log, or both"),
        (["--url", "http://127.0.0.1:1"], "cannot ask http://127.0.0.1:1/api/v1: "),
        (["--store", f"sqlite:///{tmp_path}/gone.db"], f"there is no file {tmp_path}/gone.db"),
        (["--store", f"sqlite:///{tmp_path}/text.db"], "cannot be read as a log: file is not a database"),
        (["--store", "memory://"], "is in the memory of its process: give --url"),
        (["--store", "redis://me:swordfish@127.0.0.1:1/0"], "redis://127.0.0.1:1/0 does not answer"),
    ):
        code, found, error = looked(*arguments)
        assert (code, found) == (2, [])
        assert sentence in error
        assert error.count("\n") == 1
        assert "swordfish" not in error


async def test_a_server_tells_only_an_admin(tmp_path: Path) -> None:
    """Exit code 2 says which key is needed."""
    keys = tmp_path / "keys.json"
    made = await asyncio.to_thread(reactor, "keys", "add", "me", "--scopes", "read", "--keys", keys)
    async with serving(Engine(kept(tmp_path)), flow, guard=Guard(keys=str(keys))) as server:
        for token in (made.stdout.strip(), ""):
            code, found, error = await asyncio.to_thread(
                looked, "--url", str(server.make_url("/")), REACTOR_TOKEN=token
            )
            assert (code, found) == (2, [])
            assert "give a key with the scope admin in REACTOR_TOKEN" in error
