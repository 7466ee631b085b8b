"""How a stream is answered, in every dialect, by our own route and by one of the host's: seen as bytes on a socket."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

import reactor_web
from reactor import Engine
from reactor_web import add_stream, dialects
from reactor_web.sse.parser import Frame
from tests.helpers.server import Gates, gated_workflow, small_workflow
from tests.helpers.site import Raw, Site, frames_of, site_of, whole
from tests.web.hygiene.reading import FIELDS, SAFE_ID

OURS, HOSTS = "/api/v1/runs/{id}/events?dialect={dialect}", "/streams/{dialect}/{id}?"
ROUTES = pytest.mark.parametrize("route", [OURS, HOSTS], ids=["our route", "a route of the host"])
PRESENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z")
CLOSE = "Connection: close\r\n"
DIALECTS = pytest.mark.parametrize("dialect", dialects.known())


@asynccontextmanager
async def serving(gates: Gates | None = None) -> AsyncGenerator[Site]:
    """A server with a run ``small-1`` that has ended, and ``gated-1`` that waits for the gates if there are some."""
    async with Engine(grace=0.0) as engine:
        flows = [small_workflow(), *([gated_workflow(gates)] if gates is not None else [])]
        app = reactor_web.create_app(engine, flows)
        for dialect in dialects.known():
            add_stream(app, HOSTS.replace("{dialect}", dialect).rstrip("?"), engine, dialect=dialect)
        await (await engine.start(flows[0], run_id="small-1"))
        if gates is not None:
            await engine.start(flows[1], run_id="gated-1")
        async with site_of(engine, app) as site:
            yield site


def path_of(route: str, dialect: str, run_id: str = "small-1", query: str = "") -> str:
    return route.format(id=run_id, dialect=dialect) + query


def head_of(client: Raw) -> tuple[int, dict[str, str]]:
    """The status of an answer, and its headers, whose names are as they were sent."""
    lines = bytes(client.data).partition(b"\r\n\r\n")[0].decode().split("\r\n")
    return int(lines[0].split()[1]), dict(line.split(": ", 1) for line in lines[1:])


def without_times(frames: list[Frame]) -> list[Frame]:
    """The frames without the present, which notices have in them."""
    return [frame._replace(data=PRESENT.sub("", frame.data)) for frame in frames]


async def body_of(site: Site, path: str, headers: str = "") -> bytes:
    client = await site.open(path, headers=headers)
    body = await client.rest()
    assert head_of(client)[0] == 200
    return whole(body)


# --- headers ------------------------------------------------------------------------------------------------------


@ROUTES
@DIALECTS
async def test_the_headers_are_those_of_a_stream(route: str, dialect: str) -> None:
    """The content type and nothing behind it; kept by no cache and held back by no proxy; closed when it is over."""
    async with serving() as site:
        client = await site.open(path_of(route, dialect))
        await client.rest()
    status, headers = head_of(client)
    assert status == 200
    assert headers["Content-Type"] == "text/event-stream"
    assert headers["Cache-Control"] == "no-cache, no-store, no-transform"
    assert headers["X-Accel-Buffering"] == "no"
    assert headers["Connection"] == "close"
    assert not {"Content-Length", "Content-Encoding", "Keep-Alive", "Set-Cookie"} & headers.keys()


@ROUTES
@DIALECTS
async def test_a_client_is_connected_before_anything_happens(route: str, dialect: str) -> None:
    """Headers and a comment leave at once, also while the run has not started."""
    async with serving() as site:
        client = await site.open(path_of(route, dialect, "not-yet", "&await_run=60"))
        await client.until(b"\r\n\r\n")
        await client.until(b"\n:")  # the first line of the first chunk
    assert head_of(client)[0] == 200


@ROUTES
@DIALECTS
async def test_http_1_0_gets_the_same_frames(route: str, dialect: str) -> None:
    """Without chunks, which that version does not know: the end of the connection is the end."""
    async with serving() as site:
        client = await site.open(path_of(route, dialect, query="&after=0"), version="1.0")
        body = await client.rest()
        assert not client.is_chunked()
        assert head_of(client)[0] == 200
        whole_body = await body_of(site, path_of(route, dialect, query="&after=0"))
    assert without_times(frames_of(body)) == without_times(frames_of(whole_body)) != []


@ROUTES
@DIALECTS
async def test_head_is_the_headers_alone(route: str, dialect: str) -> None:
    """The same as those of the stream."""
    async with serving() as site:
        client = await site.open(path_of(route, dialect), method="HEAD", headers=CLOSE)
        assert await client.rest() == b""
    status, headers = head_of(client)
    assert (status, headers["Content-Type"]) == (200, "text/event-stream")
    assert headers["Cache-Control"] == "no-cache, no-store, no-transform"


# --- refusals -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("route", "method"),
    [
        *[(OURS, method) for method in ("PUT", "PATCH", "DELETE")],  # POST there says something in the run
        *[(HOSTS, method) for method in ("POST", "PUT", "PATCH", "DELETE")],
    ],
)
async def test_other_methods_are_refused_with_those_there_are(route: str, method: str) -> None:
    """405, and Allow has GET and HEAD."""
    async with serving() as site:
        path = path_of(route, "agents")
        client = await site.open(path, method=method, headers="Content-Length: 0\r\n" + CLOSE)
        await client.rest()
    status, headers = head_of(client)
    assert status == 405
    assert {"GET", "HEAD"} <= set(headers["Allow"].replace(" ", "").split(","))


@pytest.mark.parametrize("accept", ["text/event-stream", "text/*", "*/*", "text/event-stream;q=0.5, text/html"])
@ROUTES
async def test_whoever_takes_event_streams_gets_one(route: str, accept: str) -> None:
    """Also a client that names no type, or takes any."""
    async with serving() as site:
        for headers in (f"Accept: {accept}\r\n", ""):
            assert frames_of(await body_of(site, path_of(route, "agents"), headers))


@ROUTES
async def test_whoever_takes_none_is_refused(route: str) -> None:
    """406 that names the type there is."""
    async with serving() as site:
        client = await site.open(path_of(route, "agents"), headers="Accept: text/html\r\n" + CLOSE)
        body = await client.rest()
    status, headers_sent = head_of(client)
    assert (status, headers_sent["Content-Type"].partition(";")[0]) == (406, "application/problem+json")
    assert b"text/event-stream" in body


# --- ids ----------------------------------------------------------------------------------------------------------


@ROUTES
@DIALECTS
async def test_after_the_end_there_is_nothing_more(route: str, dialect: str) -> None:
    """The last id of an ended run is answered 204, whether the client has seen all of it or only an opening.

    A client that uses fetch takes 204 for a broken stream and comes back for ever: its stream ends without events.
    """
    is_fetched = dialects.find(dialect).info.fetch_client
    async with serving() as site:
        for query in ("&after=0", ""):
            frames = frames_of(await body_of(site, path_of(route, dialect, query=query)))
            last = [frame.id for frame in frames if frame.id][-1]
            client = await site.open(path_of(route, dialect), headers=f"Last-Event-ID: {last}\r\n{CLOSE}")
            body = await client.rest()
            if is_fetched:
                assert not any(frame.id for frame in frames_of(whole(body)))
            else:
                assert body == b""
            assert head_of(client)[0] == (200 if is_fetched else 204)


@ROUTES
@DIALECTS
async def test_ids_are_safe_and_the_header_wins(route: str, dialect: str) -> None:
    """Every id may stand in a header; clients repeat the URL, so ``Last-Event-ID`` wins over ``after``."""
    async with serving() as site:
        frames = frames_of(await body_of(site, path_of(route, dialect, query="&after=0")))
        ids = [frame.id for frame in frames if frame.id]
        assert all(SAFE_ID.fullmatch(id) for id in ids)
        middle = ids[len(ids) // 2]
        rest = frames[[frame.id for frame in frames].index(middle) + 1 :]
        headers = f"Last-Event-ID: {middle}\r\n"
        resumed = frames_of(await body_of(site, path_of(route, dialect, query="&after=0"), headers))
    assert without_times(resumed) == without_times(rest)


@ROUTES
@DIALECTS
async def test_a_cursor_from_elsewhere_is_never_met_with_silence(route: str, dialect: str) -> None:
    """One above the last event: all of the run again, or where it is, to its end. One that is no cursor: 400."""
    async with serving() as site:
        fresh = frames_of(await body_of(site, path_of(route, dialect)))
        for headers, query in (("Last-Event-ID: 1730000000000\r\n", ""), ("", "&after=1730000000000")):
            frames = frames_of(await body_of(site, path_of(route, dialect, query=query), headers))
            assert without_times(frames[-len(fresh) :]) == without_times(fresh)
        for cursor in ("abc", "-1", "1e3", "9" * 40):
            client = await site.open(path_of(route, dialect), headers=f"Last-Event-ID: {cursor}\r\n{CLOSE}")
            body = await client.rest()
            assert head_of(client)[0] == 400
            assert cursor[:20].encode() in body


@ROUTES
@DIALECTS
async def test_nothing_is_compressed_that_nobody_asked_to_be(route: str, dialect: str) -> None:
    """Every browser sends Accept-Encoding; a compressor that is not flushed would hold events back."""
    async with serving() as site:
        headers = "Accept-Encoding: gzip, deflate, br, zstd\r\n"
        client = await site.open(path_of(route, dialect), headers=headers)
        assert frames_of(whole(await client.rest()))
    assert "Content-Encoding" not in head_of(client)[1]


@ROUTES
@DIALECTS
async def test_the_time_to_wait_is_told_once_in_a_frame(route: str, dialect: str) -> None:
    """In a block with data, the first one; there is no block without data and no field but the standard's."""
    async with serving() as site:
        body = await body_of(site, path_of(route, dialect, query="&after=0"))
    assert body.count(b"retry: ") == 1
    blocks = [block for block in body.split(b"\n\n") if block]
    assert b"retry: 2000" in blocks[0].split(b"\n")
    for block in blocks:
        names = [line.partition(b":")[0] for line in block.split(b"\n") if not line.startswith(b":")]
        assert "data" in [name.decode() for name in names], block
        assert set(names) <= set(FIELDS)


@DIALECTS
async def test_a_cut_in_a_live_run_is_resumed_where_it_was(dialect: str) -> None:
    """What two connections bring is what one brings: ids are put on all that can be asked for again."""
    gates = Gates()
    async with serving(gates) as site:
        path = path_of(OURS, dialect, "gated-1", "&after=0")
        first = await site.open(path)
        await first.until(b"\nid: ")
        while not (seen := [frame for frame in frames_of(content(first)) if frame.id]):
            await first.until(b"\n\n")
        first.leave("close")
        gates.open()
        rest = frames_of(await body_of(site, path, f"Last-Event-ID: {seen[-1].id}\r\n"))
        assert without_times([*seen, *rest]) == without_times(frames_of(await body_of(site, path)))


def content(client: Raw) -> bytes:
    """What has come of a body in chunks so far, without their sizes."""
    parts, body = list[bytes](), client.body
    while body:
        size, _, rest = body.partition(b"\r\n")
        length = int(size or b"0", 16)
        parts.append(rest[:length])
        body = rest[length + 2 :]
    return b"".join(parts)
