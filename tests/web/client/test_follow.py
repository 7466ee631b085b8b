"""Follows a stream across connections that break, from a real server that breaks them."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web
from pytest_aiohttp import AiohttpClient

from reactor_web.client.follow import StreamRefused, StreamUnavailable, follow_url
from reactor_web.sse import frames as sse
from reactor_web.sse.parser import Frame

Act = Callable[[web.Request], Awaitable[web.StreamResponse]]


def event(seq: int) -> bytes:
    body = orjson.dumps({"seq": seq, "run_id": "r", "type": "task.completed", "data": {"output": "é" * 5}})
    return sse.encode(body, event="task.completed", id=seq)


def control(type: str, data: dict[str, Any], id: int | None = None) -> bytes:
    return sse.encode(orjson.dumps({"type": type, "run_id": "r", "data": data}), event=type, id=id)


def end(seq: int) -> bytes:
    return control("stream.end", {"status": "completed"}, seq)


def stream(*parts: bytes, abort: bool = False, hold: Awaitable[object] | None = None) -> Act:
    """Answers with these bytes, then ends the body, breaks the connection or keeps it open in silence."""

    async def act(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for part in parts:
            await response.write(part)
        if hold is not None:
            await hold
        if abort and request.transport is not None:
            request.transport.close()
        return response

    return act


def answer(status: int, body: bytes = b"", **headers: str) -> Act:
    async def act(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, body=body, headers=headers)

    return act


class Script:
    """A server that does one scripted thing a request and then repeats the last one; notes cursors and sleeps."""

    def __init__(self) -> None:
        self.acts: list[Act] = []
        self.cursors: list[str | None] = []
        self.accepts: list[str | None] = []
        self.sleeps: list[float] = []
        self.sentences: list[str] = []
        self.url = ""
        self.session: aiohttp.ClientSession

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.cursors.append(request.headers.get("Last-Event-ID"))
        self.accepts.append(request.headers.get("Accept"))
        act = self.acts[min(len(self.cursors), len(self.acts)) - 1]
        return await act(request)

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)

    def follow(self, *acts: Act, **options: Any):
        self.acts = list(acts)
        return follow_url(
            self.url, session=self.session, sleep=self.sleep, on_connection=self.sentences.append, **options
        )

    async def frames(self, *acts: Act, **options: Any) -> list[Frame]:
        return [frame async for frame in self.follow(*acts, **options)]


@pytest.fixture
async def script(aiohttp_client: AiohttpClient) -> Script:
    script = Script()
    app = web.Application()
    app.router.add_get("/events", script.handle)
    client = await aiohttp_client(app)
    script.url, script.session = str(client.make_url("/events")), client.session
    return script


def ids(frames: list[Frame]) -> list[int]:
    return [int(frame.id) for frame in frames if frame.id and frame.event == "task.completed"]


async def test_a_whole_stream_ends_with_stream_end(script: Script):
    """One connection gives every frame in order and ends at ``stream.end``, whose id an event had before."""
    frames = await script.frames(stream(event(1), sse.HEARTBEAT, event(2), end(2)))
    assert ids(frames) == [1, 2]
    assert frames[-1].event == "stream.end"
    assert script.cursors == [None]
    assert script.accepts == ["text/event-stream"]
    assert script.sleeps == script.sentences == []


async def test_drops_anywhere_lose_and_double_nothing(script: Script):
    """Breaks between frames, inside a frame and inside a character leave the ids 1..N."""
    frames = await script.frames(
        stream(event(1), event(2)),
        stream(event(3), event(4)[:9], abort=True),
        stream(event(4), event(5)[: event(5).index("é".encode()) + 1], abort=True),
        stream(event(5)[:-1]),  # complete but for its blank line
        stream(event(5), event(6), end(6)),
    )
    assert ids(frames) == [1, 2, 3, 4, 5, 6]
    assert script.cursors == [None, "2", "3", "4", "4"]


async def test_what_was_seen_is_dropped(script: Script):
    """A server that repeats events, within a connection or after one, does not double them."""
    frames = await script.frames(
        stream(event(1), event(1), event(2), event(1)), stream(event(1), event(2), event(3), end(3))
    )
    assert ids(frames) == [1, 2, 3]


async def test_after_is_a_cursor(script: Script):
    """``after`` is sent as Last-Event-ID, and nothing at or below it passes."""
    frames = await script.frames(stream(event(3), event(4), event(5), end(5)), after=3)
    assert ids(frames) == [4, 5]
    assert script.cursors == ["3"]


async def test_frames_without_an_id_pass_and_move_nothing(script: Script):
    """A late throttled frame passes with an empty id, and the cursor stays where it was."""
    late = sse.encode(b'{"seq":1}', event="task.progress")
    frames = await script.frames(stream(late, event(2), late, event(3)), stream(late, event(4), end(4)))
    assert [frame.id for frame in frames] == ["", "2", "", "3", "", "4", "4"]
    assert script.cursors == [None, "3"]


async def test_parts_of_one_event_have_their_own_order(script: Script):
    """Messages ``<seq>.<k>`` come before ``<seq>``, and a resume in the middle doubles none of them."""
    parts = {id: sse.encode(b"{}", event="message", id=id) for id in ("1.1", "1.2", "1", "2.1", "2")}
    frames = await script.frames(stream(parts["1.1"], parts["1.2"]), stream(*parts.values(), parts["1.2"]), answer(204))
    assert [frame.id for frame in frames] == ["1.1", "1.2", "1", "2.1", "2"]
    assert script.cursors == [None, "1.2", "2"]


async def test_204_is_the_end(script: Script):
    """204 means that everything was seen: no frame, no error, no further attempt."""
    assert await script.frames(answer(204)) == []
    assert len(script.cursors) == 1


async def test_a_refusal_tells_the_problem(script: Script):
    """A 4xx is final and its error says what the problem's detail says, in one line that no terminal obeys."""
    problem = orjson.dumps({"title": "Not found", "status": 404, "detail": "there is no run\n\x1b[31m'x'"})
    with pytest.raises(StreamRefused, match=r"^there is no run \[31m'x' \(\S+/events answers 404\)$") as caught:
        await script.frames(answer(404, problem, **{"Content-Type": "application/problem+json"}))
    assert caught.value.status == 404
    assert len(script.cursors) == 1


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"detail": null}', b"x" * 100_000])
async def test_a_refusal_without_a_problem_still_is_a_sentence(script: Script, body: bytes):
    """For a 4xx without a problem document the error says its reason phrase."""
    with pytest.raises(StreamRefused, match=r"^Forbidden \(\S+ answers 403\)$"):
        await script.frames(answer(403, body))


async def test_what_is_no_event_stream_is_refused(script: Script):
    """200 with another media type is a wrong URL, not a lost connection."""
    with pytest.raises(StreamRefused, match=r"^application/json is not an event stream \(\S+ answers 200\)$"):
        await script.frames(answer(200, b"{}", **{"Content-Type": "application/json"}))


@pytest.mark.parametrize("url", ["ftp://x/y", "/api/v1/runs/x", "http://"])
async def test_a_url_that_is_none_is_refused_at_once(script: Script, url: str):
    """A URL that no request can be made to is refused without a retry."""
    with pytest.raises(StreamRefused):
        async for _ in follow_url(url, session=script.session, sleep=script.sleep):
            pass
    assert script.sleeps == []


@pytest.mark.parametrize("status", [429, 503])
async def test_busy_servers_are_asked_again_when_they_say(script: Script, status: int):
    """429 and 503 are retried, not before ``Retry-After``."""
    frames = await script.frames(
        answer(status, **{"Retry-After": "42"}), answer(status), stream(event(1), event(2), end(2))
    )
    assert ids(frames) == [1, 2]
    assert 42 <= script.sleeps[0] <= 42 * 1.25
    assert script.sleeps[1] < 10


@pytest.mark.parametrize(
    ("header", "low", "high"),
    [("Wed, 21 Oct 2015 07:28:00 GMT", 0, 10), ("nonsense", 0, 10), ("99999999999999", 300, 300), ("²", 0, 10)],
)
async def test_any_retry_after_is_survived(script: Script, header: str, low: float, high: float):
    """A ``Retry-After`` in the past, absurd or unreadable neither breaks the client nor parks it for years."""
    await script.frames(answer(503, **{"Retry-After": header}), answer(204))
    assert low <= script.sleeps[0] <= high


async def test_retry_is_honoured(script: Script):
    """The wait after a lost connection is the server's ``retry``, and up to a quarter longer."""
    await script.frames(stream(sse.with_retry(event(1), 3000)), stream(event(2), end(2)))
    assert 3 <= script.sleeps[0] <= 3.75


async def test_waits_grow_to_ten_seconds(script: Script):
    """Failures in a row wait longer and longer, with jitter, up to 10 s."""
    with pytest.raises(StreamUnavailable, match="8 attempts in a row brought nothing; the last one: the server ans"):
        await script.frames(answer(502))
    assert len(script.cursors) == 8
    assert len(script.sleeps) == 7
    for wait, ceiling in zip(script.sleeps, [1.25, 2, 4, 8, 10, 10, 10], strict=True):
        assert ceiling * 0.75 <= wait <= ceiling


async def test_one_frame_starts_the_count_anew(script: Script):
    """Only failures in a row count: a connection that brought a frame makes up for those before it."""
    bad = answer(500)
    frames = await script.frames(
        bad, bad, stream(event(1)), bad, bad, stream(event(2)), bad, bad, stream(end(2)), max_failures=3
    )
    assert ids(frames) == [1, 2]


async def test_an_empty_stream_is_a_failure(script: Script):
    """A server that opens streams and ends them without a frame is given up, too."""
    with pytest.raises(StreamUnavailable, match="the stream ended early"):
        await script.frames(stream(sse.HEARTBEAT), max_failures=3)
    assert len(script.cursors) == 3


async def test_a_quiet_stream_that_lived_is_no_failure(script: Script):
    """Connections that only brought heartbeats for longer than a heartbeat's time are cut, not broken."""

    async def quiet(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for _ in range(3):
            await response.write(sse.HEARTBEAT)
            await asyncio.sleep(0.015)
        return response

    frames = await script.frames(quiet, quiet, quiet, stream(event(1), end(1)), max_failures=2, heartbeat=0.02)
    assert ids(frames) == [1]


async def test_silence_is_a_lost_connection(script: Script):
    """Three heartbeats without a byte, and the connection is made again from the cursor."""
    frames = await script.frames(stream(event(1), hold=asyncio.sleep(0.05)), stream(event(2), end(2)), heartbeat=0.01)
    assert ids(frames) == [1, 2]
    assert script.cursors == [None, "1"]
    assert "nothing was heard for too long" in script.sentences[0]


async def test_nobody_listening_is_given_up(script: Script, unused_tcp_port: int):
    """A server that is not there ends in one error that names the URL."""
    url = f"http://127.0.0.1:{unused_tcp_port}/events"
    with pytest.raises(StreamUnavailable, match=f"cannot follow {url}: 2 attempts in a row"):
        async for _ in follow_url(url, session=script.session, sleep=script.sleep, max_failures=2):
            pass


@pytest.mark.parametrize("reason", ["shutdown", "log", "lifetime", "auth"])
async def test_a_server_that_closes_is_asked_again(script: Script, reason: str):
    """After ``stream.closing`` the client comes back when told, and the frame itself is not the caller's business."""
    closing = control("stream.closing", {"reason": reason, "retry_ms": 2500})
    frames = await script.frames(stream(event(1), closing, event(9)), stream(event(2), end(2)))
    assert ids(frames) == [1, 2]
    assert [frame.event for frame in frames[:-1]] == ["task.completed"] * 2
    assert 2.5 <= script.sleeps[0] <= 2.5 * 1.25


@pytest.mark.parametrize("reason", ["not_recovered", "not_found"])
async def test_a_server_that_closes_for_good_is_an_error(script: Script, reason: str):
    """If it is no use to reconnect, the stream ends with an error after all of its events."""
    seen: list[Frame] = []

    async def collect() -> None:
        async for frame in script.follow(stream(event(1), control("stream.closing", {"reason": reason}))):
            seen.append(frame)  # noqa: PERF401  # a comprehension would lose what came before the error

    with pytest.raises(StreamUnavailable):
        await collect()
    assert ids(seen) == [1]
    assert script.sleeps == []


async def test_a_gap_is_told_and_a_run_that_began_anew_is_followed_from_one(script: Script):
    """``stream.gap {reason: ahead}`` passes and takes the cursor back: the events from 1 are not taken for repeats."""
    gap = control("stream.gap", {"from": 1, "to": 50, "reason": "ahead"})
    frames = await script.frames(stream(gap, event(1), event(2), end(2)), after=50)
    assert [frame.event for frame in frames] == ["stream.gap", "task.completed", "task.completed", "stream.end"]
    assert ids(frames) == [1, 2]


async def test_a_block_without_end_does_not_fill_the_memory(script: Script):
    """A block above 1 MiB is a failure of its connection, counted like any other."""
    with pytest.raises(StreamUnavailable, match="above 1048576 bytes"):
        await script.frames(stream(b"data: " + b"x" * 1_100_000), max_failures=2)


async def test_leaving_early_closes_the_connection(script: Script):
    """Closing the generator closes its connection."""
    async with aclosing(script.follow(stream(event(1), event(2), end(2)))) as frames:
        async for frame in frames:
            assert frame.id == "1"
            break
    connector = script.session.connector
    assert connector is not None
    assert not connector._acquired


async def test_connections_are_told(script: Script):
    """on_connection gets a sentence for a lost connection and for the next one, but not for the first."""
    await script.frames(stream(event(1)), answer(500), stream(event(2), end(2)))
    assert [sentence.split(" (")[0] for sentence in script.sentences] == [
        "connection lost",
        "connection lost",
        "connected, after 1",
    ]


async def test_a_server_that_was_never_there_is_not_a_lost_connection(script: Script):
    """It is told so, and tried again; or not at all, for whoever does not want to wait for a server."""
    dead = "http://127.0.0.1:1/events"
    with pytest.raises(StreamUnavailable, match="2 attempts in a row"):
        async for _ in follow_url(
            dead, session=script.session, sleep=script.sleep, on_connection=script.sentences.append, max_failures=2
        ):
            pass
    assert [sentence.split("; ")[0] for sentence in script.sentences] == [
        "no connection (no server answers at 127.0.0.1:1)"
    ]
    slept = len(script.sleeps)
    with pytest.raises(StreamUnavailable, match=r"cannot follow \S+: no server answers at 127\.0\.0\.1:1"):
        async for _ in follow_url(dead, session=script.session, sleep=script.sleep, wait_for_server=False):
            pass
    assert len(script.sleeps) == slept


async def test_failures_are_told_with_their_reason(script: Script):
    """Each connection that has brought nothing, and none that has brought something."""
    failures: list[str] = []
    await script.frames(
        stream(event(1)), answer(500), answer(502), stream(event(2), end(2)), on_failure=failures.append
    )
    assert failures == ["the server answers 500", "the server answers 502"]


async def test_an_event_that_is_left_out_is_asked_for_again(script: Script):
    """Where the stream has every event; a gap that is told is none. Who always leaves one out is given up."""
    gap = control("stream.gap", {"from": 3, "to": 7, "reason": "retention"}, 7)
    told = [stream(event(1), event(3)), stream(event(2), gap, event(8), end(8))]
    assert ids(await script.frames(*told, is_whole=True)) == [1, 2, 8]
    assert script.cursors == [None, "1"]
    script.cursors.clear()
    assert ids(await script.frames(stream(event(1), event(3), end(3)))) == [1, 3]
    script.cursors.clear()
    with pytest.raises(StreamUnavailable, match=r"3 attempts .* event 2 is missing before 3"):
        await script.frames(stream(event(1), event(3), end(3)), is_whole=True, max_failures=3)


async def test_a_redirect_without_end_is_refused(script: Script):
    """It is no use to ask again."""
    with pytest.raises(StreamRefused, match="redirects without end"):
        await script.frames(answer(302, Location="/events"))
    assert script.sleeps == []


async def test_a_server_that_was_there_is_waited_for_by_everybody(script: Script):
    """Not to wait for a server is about the first connection only; an answer of 503 is one."""
    frames = await script.frames(answer(503), stream(event(1)), stream(event(2), end(2)), wait_for_server=False)
    assert ids(frames) == [1, 2]


def test_errors_survive_pickling():
    """Both errors are the same in another process."""
    for error in (StreamUnavailable("http://x", "gone"), StreamRefused("http://x", 404, "no run")):
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))
