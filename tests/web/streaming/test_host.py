"""Streams inside an application of somebody else, which has hooks and middlewares for all of its responses."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import aiohttp_cors
import aiohttp_session
import pytest
import reactivex as rx
from aiohttp import abc, web

import reactor_web
from reactor import Engine
from reactor_web.streaming.streams import STREAMS, Streams
from tests.helpers.server import Gates, gated_workflow
from tests.helpers.site import Raw, Site, frames_of, ids_of, poll, whole

# aiohttp-session and aiohttp-cors name their keys by a text
pytestmark = pytest.mark.filterwarnings("ignore:It is recommended to use web")

LONG = 60.0
"""The time that aiohttp gives handlers at a shutdown, unless told otherwise."""


@dataclass
class Host:
    """Somebody's application with our routes under ``prefix``, and the options of its runner."""

    app: web.Application
    streams: Streams
    prefix: str = "/api/v1"
    runner: dict[str, Any] = field(default_factory=dict[str, Any])
    headers: str = ""
    """What a client of this application sends with each request."""
    sends: str = ""
    """A header line that must stand in its answers."""


def host(engine: Engine, *middlewares: Any, hook: Any = None, sends: str = "", **options: Any) -> Host:
    app = web.Application(middlewares=middlewares, **options)
    reactor_web.mount(app, engine)
    if hook is not None:
        app.on_response_prepare.append(hook)
    return Host(app, app[STREAMS], sends=sends)


# --- what hosts do ----------------------------------------------------------------------------------------------


def compresses_in_a_hook(engine: Engine) -> Host:
    async def hook(request: web.Request, response: web.StreamResponse) -> None:
        response.enable_compression()

    return host(engine, hook=hook)


def compresses_in_a_middleware(engine: Engine) -> Host:
    @web.middleware
    async def compress(request: web.Request, handler: Any) -> web.StreamResponse:
        response = await handler(request)
        response.enable_compression(web.ContentCoding.gzip)
        return response

    return host(engine, compress)


def writes_headers_of_a_page(engine: Engine) -> Host:
    """As a hook for the cache of pages and files does; a stream with these would be broken, or never leave a proxy."""

    async def hook(request: web.Request, response: web.StreamResponse) -> None:
        if request.path.endswith("/events"):
            response.headers.update({
                "Content-Encoding": "gzip", "Content-Length": "5", "Content-Type": "text/html",
                "Cache-Control": "public, max-age=60", "X-Accel-Buffering": "yes", "Connection": "keep-alive",
            })  # fmt: skip

    return host(engine, hook=hook)


def adds_headers(engine: Engine) -> Host:
    async def hook(request: web.Request, response: web.StreamResponse) -> None:
        response.headers["Access-Control-Allow-Origin"] = "https://a.example"
        response.headers["Strict-Transport-Security"] = "max-age=60"
        response.headers.add("Set-Cookie", "seen=1")
        del response.headers["Server"]

    return host(engine, hook=hook, sends="Access-Control-Allow-Origin: https://a.example")


def uses_aiohttp_cors(engine: Engine) -> Host:
    made = host(engine, sends="Access-Control-Allow-Origin: https://a.example")
    allow = aiohttp_cors.ResourceOptions(allow_credentials=True, allow_headers="*")
    cors = aiohttp_cors.setup(made.app, defaults={"https://a.example": allow})

    async def mine(request: web.Request) -> web.StreamResponse:
        return await reactor_web.stream(request, await engine.get(request.match_info["id"]))

    cors.add(made.app.router.add_get("/mine/runs/{id}/events", mine))
    made.prefix, made.headers = "/mine", "Origin: https://a.example\r\n"
    return made


def looks_at_bodies(engine: Engine) -> Host:
    @web.middleware
    async def look(request: web.Request, handler: Any) -> web.StreamResponse:
        response = await handler(request)
        if response.body and response.text:
            response.headers["X-Size"] = str(len(response.body))
        response.body = response.body
        return response

    return host(engine, look)


def replaces_responses(engine: Engine) -> Host:
    @web.middleware
    async def envelope(request: web.Request, handler: Any) -> web.StreamResponse:
        response = await handler(request)
        await asyncio.sleep(0)
        return web.json_response({"status": response.status, "data": response.text})

    return host(engine, envelope)


def sets_cookies(engine: Engine) -> Host:
    @web.middleware
    async def remember(request: web.Request, handler: Any) -> web.StreamResponse:
        response = await handler(request)
        response.set_cookie("seen", "1")
        response.headers["X-Late"] = "1"
        return response

    return host(engine, remember)


def saves_sessions(engine: Engine) -> Host:
    @web.middleware
    async def count(request: web.Request, handler: Any) -> web.StreamResponse:
        session = await aiohttp_session.get_session(request)
        session["requests"] = session.get("requests", 0) + 1
        return await handler(request)

    return host(engine, aiohttp_session.session_middleware(aiohttp_session.SimpleCookieStorage()), count)


def makes_json_of_errors(engine: Engine) -> Host:
    @web.middleware
    async def errors(request: web.Request, handler: Any) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPException as error:
            return web.json_response({"error": error.reason}, status=error.status)
        except Exception as error:
            return web.json_response({"error": str(error)}, status=500)

    return host(engine, errors)


def runs_handlers_in_tasks(engine: Engine) -> Host:
    @web.middleware
    async def shielded(request: web.Request, handler: Any) -> web.StreamResponse:
        return await asyncio.shield(asyncio.create_task(handler(request.clone())))

    return host(engine, shielded)


def limits_time_generously(engine: Engine) -> Host:
    @web.middleware
    async def limit(request: web.Request, handler: Any) -> web.StreamResponse:
        async with asyncio.timeout(LONG):
            return await handler(request)

    return host(engine, limit)


def normalizes_paths(engine: Engine) -> Host:
    return host(engine, web.normalize_path_middleware(append_slash=False, remove_slash=True))


def is_a_sub_application(engine: Engine) -> Host:
    middle, inner = web.Application(), web.Application()
    reactor_web.mount(inner, engine)
    middle.add_subapp("/inner", inner)
    outer = web.Application()
    outer.add_subapp("/outer", middle)
    return Host(outer, inner[STREAMS], prefix="/outer/inner/api/v1")


def mounts_twice(engine: Engine) -> Host:
    made = host(engine)
    reactor_web.mount(made.app, Engine("memory://"), gated_workflow(Gates()), prefix="/other")
    return made


def streams_beside_a_mount(engine: Engine) -> Host:
    """The handler is not in the application that has the routes, so its streams are not known there."""
    made = is_a_sub_application(engine)

    async def mine(request: web.Request) -> web.StreamResponse:
        return await reactor_web.stream(request, await engine.get(request.match_info["id"]))

    made.app.router.add_get("/mine/runs/{id}/events", mine)
    made.prefix = "/mine"
    return made


def mounts_nothing(engine: Engine) -> Host:
    class Mine(web.View):
        async def get(self) -> web.StreamResponse:
            return await reactor_web.stream(self.request, await engine.get(self.request.match_info["id"]))

    app = web.Application()
    app.router.add_view("/mine/runs/{id}/events", Mine)
    return Host(app, Streams(), prefix="/mine")


class Lines(abc.AbstractAccessLogger):
    """An access log of somebody's own."""

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        self.logger.info("%s %s %s", request.path, response.status, response.body_length)


def has_an_access_log_of_its_own(engine: Engine) -> Host:
    made = host(engine)
    log = logging.getLogger("tests.access")
    log.setLevel(logging.INFO)
    made.runner = {"access_log_class": Lines, "access_log": log}
    return made


def cancels_handlers(engine: Engine) -> Host:
    made = host(engine)
    made.runner = {"handler_cancellation": True}
    return made


def keeps_connections_for_a_moment(engine: Engine) -> Host:
    made = host(engine, client_max_size=500)
    made.runner = {"keepalive_timeout": 0.5, "lingering_time": 0.5, "tcp_keepalive": False}
    return made


HOSTS = [
    compresses_in_a_hook,
    compresses_in_a_middleware,
    writes_headers_of_a_page,
    adds_headers,
    uses_aiohttp_cors,
    looks_at_bodies,
    replaces_responses,
    sets_cookies,
    saves_sessions,
    makes_json_of_errors,
    runs_handlers_in_tasks,
    limits_time_generously,
    normalizes_paths,
    is_a_sub_application,
    mounts_twice,
    streams_beside_a_mount,
    mounts_nothing,
    has_an_access_log_of_its_own,
    cancels_handlers,
    keeps_connections_for_a_moment,
]
every_host = pytest.mark.parametrize("make", HOSTS, ids=lambda make: make.__name__)


# --- the clients of such an application -------------------------------------------------------------------------


@asynccontextmanager
async def hosting(made: Host, engine: Engine) -> AsyncGenerator[Site]:
    runner = web.AppRunner(made.app, **{"access_log": None, "shutdown_timeout": LONG, **made.runner})
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    site = Site(engine, runner, made.streams, runner.addresses[0][1], None)
    try:
        yield site
    finally:
        for client in site.clients:
            client.writer.transport.abort()
        await runner.cleanup()


@asynccontextmanager
async def hosted(make: Callable[[Engine], Host]) -> AsyncGenerator[tuple[Host, Site, Gates]]:
    gates = Gates()
    async with Engine("memory://", workflows=[gated_workflow(gates)], grace=0.0) as engine:
        made = make(engine)
        async with hosting(made, engine) as site:
            yield made, site, gates
            assert not made.streams


async def follow(made: Host, site: Site, run_id: str, headers: str = "", **options: Any) -> Raw:
    gzip = f"Accept-Encoding: gzip, deflate, br\r\n{made.headers}{headers}"
    return await site.open(f"{made.prefix}/runs/{run_id}/events", headers=gzip, **options)


def check_head(client: Raw, made: Host) -> None:
    """The headers are those of a stream that nobody compresses, keeps or cuts, and those that the host has added."""
    head = bytes(client.data).partition(b"\r\n\r\n")[0].decode()
    status, *lines = head.split("\r\n")
    names = [line.partition(":")[0].lower() for line in lines]
    assert status.endswith(" 200 OK")
    for line in (
        "Content-Type: text/event-stream",
        "Cache-Control: no-cache, no-store, no-transform",
        "X-Accel-Buffering: no",
    ):
        assert line in lines
        assert names.count(line.partition(":")[0].lower()) == 1
    assert "content-encoding" not in names
    assert "content-length" not in names
    assert made.sends in ["", *lines]


def text_of(client: Raw) -> bytes:
    return whole(client.body) if client.is_chunked() else client.body


def errors_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


@every_host
@pytest.mark.parametrize("version", ["1.1", "1.0"])
async def test_a_stream_survives_whatever_its_host_does(
    make: Callable[[Engine], Host], version: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Each event arrives when it happens, in plain text; a resume goes on behind it; the body is whole to its end."""
    async with hosted(make) as (made, site, gates):
        run = await site.engine.start("gated")
        client = await follow(made, site, run.id, version=version)
        await client.until(b'"task_id":"slow"')
        for number in (1, 2):
            gates["step"].set()
            await client.until(b"event: step.made", number)
        check_head(client, made)
        seen = ids_of(b"\n\n".join(part for part in text_so_far(client)))
        client.leave("close")
        again = await follow(made, site, run.id, f"Last-Event-ID: {seen[-1]}\r\n", version=version)
        gates["step"].set()
        await again.until(b"event: step.made")
        gates.open()
        await again.rest()
        check_head(again, made)
        text = text_of(again)
        assert seen + ids_of(text) == list(range(1, run.feed.last_seq + 1))
        assert frames_of(text)[-1].event == "stream.end"
        over = await follow(made, site, run.id, f"Last-Event-ID: {run.feed.last_seq}\r\nConnection: close\r\n")
        await over.rest()
        assert b" 204 " in over.data or make is replaces_responses  # an EventSource comes back until it is told 204
        await poll(lambda: not site.connections, "a connection is left")
    assert errors_in(caplog) == []


def text_so_far(client: Raw) -> list[bytes]:
    """The whole frames in what has come, without the lines of the chunks."""
    lines = [line for line in client.body.split(b"\n") if line.startswith((b"id: ", b"event: ", b"data: "))]
    return [b"\n".join(lines[start : start + 3]) for start in range(0, len(lines) - 2, 3)] + [b""]


@every_host
async def test_a_shutdown_of_the_host_ends_its_streams(
    make: Callable[[Engine], Host], caplog: pytest.LogCaptureFixture
) -> None:
    """The client is told, and nobody waits for the stream as long as handlers may take."""
    async with hosted(make) as (made, site, _):
        run = await site.engine.start("gated")
        client = await follow(made, site, run.id)
        await client.until(b'"task_id":"slow"')
        async with asyncio.timeout(LONG / 4):
            await site.runner.cleanup()
        last = frames_of(whole(await client.rest()))[-1]
        assert (last.event, json.loads(last.data)["data"]["reason"]) == ("stream.closing", "shutdown")
    assert errors_in(caplog) == []


WITH_ROUTES = [make for make in HOSTS if make not in (mounts_nothing, streams_beside_a_mount, uses_aiohttp_cors)]


@pytest.mark.parametrize("make", WITH_ROUTES, ids=lambda make: make.__name__)
async def test_start_and_stream_survives_too(make: Callable[[Engine], Host], caplog: pytest.LogCaptureFixture) -> None:
    """A POST that is answered with the stream of its run has it from the first event to the end."""
    async with hosted(make) as (made, site, gates):
        gates.open()
        body = json.dumps({"input": {}}).encode()
        head = f"Accept: text/event-stream\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        path = f"{made.prefix}/workflows/gated/runs"
        client = await site.open(path, headers=f"{head}Accept-Encoding: gzip\r\n", body=body, method="POST")
        text = whole(await client.rest())
        ids = ids_of(text)
        assert ids == list(range(1, len(ids) + 1))
        assert frames_of(text)[-1].event == "stream.end"
        await poll(lambda: not site.connections, "a connection is left")
    assert errors_in(caplog) == []


@every_host
@pytest.mark.parametrize("method", ["HEAD", "OPTIONS"])
async def test_what_is_no_get_is_answered_and_leaves_no_stream(
    make: Callable[[Engine], Host], method: str, caplog: pytest.LogCaptureFixture
) -> None:
    """HEAD has no body; OPTIONS is refused with the methods there are, unless the host has an answer of its own."""
    async with hosted(make) as (made, site, _):
        run = await site.engine.start("gated")
        client = await follow(made, site, run.id, "Connection: close\r\n", method=method)
        body = await client.rest()
        head = bytes(client.data).partition(b"\r\n\r\n")[0]
        if method == "HEAD":
            assert body == b""
            if make is not mounts_nothing:  # its view has no HEAD
                assert b" 200 OK" in head
        else:
            assert b"\r\nAllow: GET" in head or make in (makes_json_of_errors, replaces_responses, uses_aiohttp_cors)
        assert not made.streams
    assert errors_in(caplog) == []


async def test_a_handler_of_a_host_that_serves_an_observable_survives_its_hooks(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Also the stream of an Observable is never compressed."""

    async def ticks(request: web.Request) -> web.StreamResponse:
        return await reactor_web.stream(request, rx.of((1, "tick", {"n": 1})))

    async with Engine("memory://") as engine:
        made = compresses_in_a_hook(engine)
        made.app.router.add_get("/ticks", ticks)
        async with hosting(made, engine) as site:
            client = await site.open("/ticks", headers="Accept-Encoding: gzip\r\n")
            frames = frames_of(whole(await client.rest()))
            check_head(client, made)
    assert [frame.event for frame in frames] == ["tick", "stream.end"]
    assert errors_in(caplog) == []


# --- hosts that break in ----------------------------------------------------------------------------------------


class Limit:
    """A middleware that limits the time of each handler: it is over when the test says so."""

    def __init__(self, answers: bool = True) -> None:
        self._answers = answers
        self._timeouts: list[asyncio.Timeout] = []

    def host(self, engine: Engine) -> Host:
        @web.middleware
        async def limit(request: web.Request, handler: Any) -> web.StreamResponse:
            try:
                async with asyncio.timeout(None) as timeout:
                    self._timeouts.append(timeout)
                    return await handler(request)
            except TimeoutError:
                if self._answers:
                    return web.json_response({"error": "too slow"}, status=504)
                raise

        return host(engine, limit)

    def is_over(self) -> None:
        self._timeouts.pop().reschedule(0.0)


@pytest.mark.parametrize("answer", [True, False], ids=["answers", "raises"])
@pytest.mark.parametrize("query", ["runs/{}/events", "runs/never/events?await_run=60"], ids=["a run", "no run yet"])
async def test_a_middleware_that_limits_the_time_of_handlers_closes_streams_in_order(
    answer: bool, query: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The client is told to come back (``lifetime``), and its answer is not followed by another one."""
    limit = Limit(answer)
    async with hosted(limit.host) as (made, site, _):
        run = await site.engine.start("gated")
        seen = list[int]()
        for _ in range(2):
            cursor = f"Last-Event-ID: {seen[-1]}\r\n" if seen else ""
            client = await site.open(f"{made.prefix}/{query.format(run.id)}", headers=cursor)
            await client.until(b'"task_id":"slow"' if "never" not in query and not seen else b":\n")
            limit.is_over()
            text = whole(await client.rest())
            last = frames_of(text)[-1]
            assert (last.event, json.loads(last.data)["data"]["reason"]) == ("stream.closing", "lifetime")
            seen += ids_of(text)
        assert seen == list(range(1, len(seen) + 1))
        assert run.state.status == "running"
    assert not answer or errors_in(caplog) == []  # aiohttp logs the error of a middleware itself


async def test_the_same_of_the_stream_of_a_tree() -> None:
    """It is told, too, and goes on after its last id."""
    limit, seen = Limit(), list[str]()
    async with hosted(limit.host) as (made, site, _):
        run = await site.engine.start("gated")
        for _ in range(2):
            cursor = f"Last-Event-ID: {seen[-1]}\r\n" if seen else ""
            client = await site.open(f"{made.prefix}/runs/{run.id}/events?children=1", headers=cursor)
            await client.until(b":\n" if seen else b'"task_id":"slow"')
            limit.is_over()
            *frames, last = frames_of(whole(await client.rest()))
            assert (last.event, json.loads(last.data)["data"]["reason"]) == ("stream.closing", "lifetime")
            seen += [frame.id for frame in frames if frame.id]
        assert len(seen) == len(set(seen)) == run.state.seq


async def test_the_same_of_an_observable(caplog: pytest.LogCaptureFixture) -> None:
    """Its subscription is disposed, and its client is told."""
    disposed, is_subscribed = asyncio.Event(), list[bool]()

    async def silence(request: web.Request) -> web.StreamResponse:
        def subscribe(observer: Any, scheduler: Any = None) -> rx.abc.DisposableBase:
            is_subscribed.append(True)
            return rx.disposable.Disposable(disposed.set)

        return await reactor_web.stream(request, rx.create(subscribe))

    async with Engine("memory://") as engine:
        limit = Limit()
        made = limit.host(engine)
        made.app.router.add_get("/silence", silence)
        async with hosting(made, engine) as site:
            client = await site.open("/silence")
            await client.until(b":\n")
            await poll(lambda: is_subscribed, "nobody subscribes")
            limit.is_over()
            frames = frames_of(whole(await client.rest()))
    assert [frame.event for frame in frames] == ["stream.closing"]
    assert disposed.is_set()
    assert errors_in(caplog) == []


async def test_a_hook_that_raises_is_an_error_that_the_client_sees() -> None:
    """Before anything is sent there is a status to tell it with; a broken connection would be tried again for ever."""

    async def hook(request: web.Request, response: web.StreamResponse) -> None:
        if response.content_type == "text/event-stream":
            raise KeyError("a bug of the host")

    async with hosted(lambda engine: host(engine, hook=hook)) as (made, site, _):
        run = await site.engine.start("gated")
        client = await follow(made, site, run.id, "Connection: close\r\n")
        await client.rest()
        assert client.data.startswith(b"HTTP/1.1 500 ")
        assert b"application/problem+json" in client.data


async def test_two_mounts_in_one_application_both_close_their_streams() -> None:
    """The streams of the first mount are not forgotten for those of the second."""
    gates = Gates()
    async with Engine("memory://", grace=0.0) as one, Engine("memory://", grace=0.0) as two:
        app = web.Application()
        for engine, prefix in ((one, "/one"), (two, "/two")):
            reactor_web.mount(app, engine, gated_workflow(gates), prefix=prefix)
        async with hosting(Host(app, app[STREAMS]), one) as site:
            clients = list[Raw]()
            for engine, prefix in ((one, "/one"), (two, "/two")):
                run = await engine.start("gated")
                clients.append(await site.open(f"{prefix}/runs/{run.id}/events"))
                await clients[-1].until(b'"task_id":"slow"')
            assert len(app[STREAMS]) == 2
            async with asyncio.timeout(LONG / 4):
                await site.runner.cleanup()
            for client in clients:
                assert frames_of(whole(await client.rest()))[-1].event == "stream.closing"


async def test_streams_and_commands_work_over_a_unix_socket(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """There is no address of the client there and none of the server, only a name in the request."""
    gates = Gates()
    async with Engine("memory://", workflows=[gated_workflow(gates)], grace=0.0) as engine:
        runner = web.AppRunner(reactor_web.create_app(engine), access_log=None)
        path = str(tmp_path / "s")
        async with AsyncExitStack() as stack:
            stack.push_async_callback(runner.cleanup)
            await runner.setup()
            await web.UnixSite(runner, path).start()
            session = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.UnixConnector(path)))
            url = "http://localhost/api/v1/runs/r"
            async with session.put(url, json={"workflow": "gated"}) as response:
                assert response.status == 201
            async with session.get(f"{url}/events") as response:
                assert b"run.started" in await response.content.readuntil(b"\n\n")
                async with session.post(f"{url}/cancel", json={}) as answer:
                    assert answer.status == 202
                assert frames_of(await response.read())[-1].event == "stream.end"
    assert errors_in(caplog) == []


@pytest.mark.parametrize("ends", [True, False], ids=["ends", "client leaves"])
async def test_an_access_log_has_every_stream_once_with_all_of_its_bytes(
    ends: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Also the bytes that its handler has not written, and also of a stream whose client has gone."""
    caplog.set_level(logging.INFO, logger="tests.access")
    async with hosted(has_an_access_log_of_its_own) as (made, site, gates):
        run = await site.engine.start("gated")
        client = await follow(made, site, run.id)
        await client.until(b'"task_id":"slow"')
        for number in range(1, 11):
            gates["step"].set()
            await client.until(b"event: step.made", number)
        if ends:
            gates.open()
            await client.rest()
        else:
            client.leave("close")
        await poll(lambda: not site.connections, "a connection is left")
    (line,) = [record.getMessage() for record in caplog.records if record.name == "tests.access"]
    path, status, size = line.split()
    assert (path, status) == (f"/api/v1/runs/{run.id}/events", "200")
    assert int(size) >= len(client.data) if not ends else int(size) == len(client.data)
