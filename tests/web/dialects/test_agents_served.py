"""The dialect ``agents`` on a socket: whoever comes, whenever, by whatever cursor, sees the same workflow."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pytest
from pytest_aiohttp import AiohttpClient, AiohttpServer

import reactor_web
from reactor import Context, Engine
from reactor_web import add_state, add_stream, dialects
from reactor_web.sse.parser import Frame
from tests.helpers.dashboard import Dashboard
from tests.helpers.flows import one_task
from tests.helpers.newsroom import newsroom
from tests.helpers.server import API, CLOSE_SECONDS, Gates, Serve, Server, Stream


@pytest.fixture(params=["/api/v1/runs/{id}/events", "/api/workflows/{id}/stream"])
async def desk(request: pytest.FixtureRequest, aiohttp_server: AiohttpServer, aiohttp_client: AiohttpClient) -> Desk:
    """A server with the newsroom, which is followed by our own route or by one of the host's."""
    gates, engine = Gates(), Engine("memory://", grace=0.0)
    app = reactor_web.create_app(engine, [newsroom(gates)])
    add_stream(app, "/api/workflows/{id}/stream", engine, dialect="agents")
    add_state(app, "/api/workflows/{id}", engine, dialect="agents")
    listening = await aiohttp_server(app, shutdown_timeout=CLOSE_SECONDS)
    server = Server.of(await aiohttp_client(listening), engine, app)
    return Desk(server, gates, request.param)


@dataclass
class Desk:
    server: Server
    gates: Gates
    path: str

    async def start(self, run_id: str = "news-1") -> str:
        await self.server.put(f"/runs/{run_id}", {"workflow": "newsroom", "input": {}})
        return run_id

    def follow(self, run_id: str, query: str = "", cursor: str = "") -> Stream:
        """A stream, with progress every 10 ms."""
        name = "dialect=agents&" if self.path.startswith(API) else ""
        url = self.server.url.removesuffix(API) + self.path.format(id=run_id) + f"?{name}throttle=10{query}"
        return Stream(self.server.session.get(url, headers={"Last-Event-ID": cursor} if cursor else {}))


class Page:
    """A client that keeps its frames, and what it has made of them when its stream has ended."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.frames: list[Frame] = []

    async def until(self, event: str) -> Frame:
        while (frame := await self._stream.next()) is not None:
            self.frames.append(frame)
            if frame.event == event:
                return frame
        raise AssertionError(f"no {event} in {self.frames}")

    async def opening(self) -> list[Frame]:
        """The frames up to the first that has an id."""
        while not self.frames or not self.frames[-1].id:
            frame = await self._stream.next()
            assert frame is not None
            self.frames.append(frame)
        return self.frames

    async def seen(self) -> dict[str, Any]:
        self.frames += await self._stream.all()
        return Dashboard().show(self.frames).seen


async def frames_of(desk: Desk, run_id: str, query: str = "", cursor: str = "") -> list[Frame]:
    async with desk.follow(run_id, query, cursor) as stream:
        assert stream.response.headers["Content-Type"] == "text/event-stream"
        return await stream.all()


async def ended(desk: Desk) -> str:
    """The id of a newsroom that has done everything."""
    desk.gates.open()
    run_id = await desk.start()
    await frames_of(desk, run_id, "&after=0")
    return run_id


# --- whoever comes, whenever --------------------------------------------------------------------------------------


async def test_all_clients_come_to_the_same_page(desk: Desk) -> None:
    """Opened before the run, when it has begun, in its middle, after its end, and with all of it from the start."""
    async with AsyncExitStack() as streams:

        async def open_page(query: str = "") -> Page:
            return Page(await streams.enter_async_context(desk.follow("news-1", query)))

        before = await open_page("&await_run=60")
        await before.until("workflow:state")
        await desk.start()
        await before.until("agent:started")
        live = await open_page()
        await live.opening()
        desk.gates["begin"].set()
        await before.until("coffee.made")
        middle = await open_page()
        opening = [frame.event for frame in await middle.opening()]
        assert opening[:4] == ["workflow:state", "log:created", "log:created", "agent:state"]
        desk.gates.open()
        pages = [await page.seen() for page in (before, live, middle)]
    pages += [Dashboard().show(await frames_of(desk, "news-1", query)).seen for query in ("", "&after=0")]
    assert pages == [pages[-1]] * 5
    assert pages[0]["workflow"]["status"] == "completed"
    assert pages[0]["ends"] == 1
    assert {name: (agent["status"], agent["error"]) for name, agent in pages[0]["agents"].items()} == {
        "editor": ("completed", None), "write[0]": ("completed", None), "write[1]": ("completed", None),
        "write[2]": ("failed", "no topic"), "tidy": ("completed", None), "check": ("completed", None),
        "publish": ("failed", "skipped: condition (publish)"), "idle": ("completed", None),
    }  # fmt: skip


async def test_a_stream_opened_before_its_run_is_connected_at_once(desk: Desk) -> None:
    """The comment, the state of a run that has not begun with the id 0; ``workflow:started`` is the first new frame."""
    async with desk.follow("news-1", "&await_run=60") as stream:
        opening = await stream.next()
        assert opening is not None
        assert (opening.id, opening.event) == ("0", "workflow:state")
        assert json.loads(opening.data)["status"] == "pending"
        assert stream.raw.startswith(b": Connected to workflow news-1\n")
        desk.gates.open()
        await desk.start()
        frames = await stream.all()
    assert frames[0].event == "workflow:started"
    assert frames == await frames_of(desk, "news-1", cursor="0")


async def test_of_an_ended_run_the_last_frame_tells_the_end(desk: Desk) -> None:
    """It alone has an id; with that a client that comes back is told that there is no more."""
    run_id = await ended(desk)
    frames = await frames_of(desk, run_id)
    assert [frame.event for frame in frames if frame.id] == ["workflow:completed"]
    assert frames[-1].id
    async with desk.follow(run_id, cursor=frames[-1].id) as stream:
        assert stream.status == 204


async def test_a_cancelled_run_has_failed(desk: Desk) -> None:
    """Its agents too, each with the reason."""
    run_id = await desk.start()
    async with desk.follow(run_id) as stream:
        page = Page(stream)
        await page.opening()
        await desk.server.post(f"/runs/{run_id}/cancel", {"reason": "no news"})
        live = await page.seen()
    assert live == Dashboard().show(await frames_of(desk, run_id)).seen
    assert live["workflow"]["status"] == "failed"
    assert live["agents"]["editor"]["error"] == "cancelled: no news"
    assert {agent["status"] for agent in live["agents"].values()} == {"failed"}


async def test_a_failed_run_has_failed_with_its_error(serve: Serve) -> None:
    """For whoever was there before it began, and for whoever comes when it is over."""

    async def broken() -> None:
        raise ValueError("no ink")

    server = await serve(Engine("memory://"), one_task(broken))
    async with server.events("broken-1", "?dialect=agents&await_run=60") as stream:
        await stream.next()
        await server.put("/runs/broken-1", {"workflow": "one", "input": {}})
        live = await stream.all()
    async with server.events("broken-1", "?dialect=agents") as stream:
        late = await stream.all()
    assert live[-1] == late[-1]
    assert (live[-1].event, json.loads(live[-1].data)["error"]) == ("workflow:failed", "no ink")
    assert Dashboard().show(live).seen["agents"] == Dashboard().show(late).seen["agents"]
    assert Dashboard().show(late).agents["body"]["error"] == "no ink"


# --- cursors ------------------------------------------------------------------------------------------------------


async def test_a_cut_after_any_frame_loses_and_repeats_nothing(desk: Desk) -> None:
    """The rest that a client gets by the id of its last frame, joined with what it has, is the whole."""
    run_id = await ended(desk)
    whole = await frames_of(desk, run_id, cursor="0")
    assert {"workflow:running", "agent:progress", "agent:failed", "log:created"} <= {frame.event for frame in whole}
    for place, frame in enumerate(whole[:-1], 1):
        assert await frames_of(desk, run_id, cursor=frame.id) == whole[place:], f"after {frame}"


async def test_a_client_that_is_cut_off_again_and_again_misses_nothing(desk: Desk) -> None:
    """Live, it reads one frame of each connection; ids of its opening count as well as those of events."""
    run_id = await desk.start()
    cursor, frames = "", list[Frame]()
    while True:
        async with desk.follow(run_id, cursor=cursor) as stream:
            if stream.status == 204:
                break
            frame = await stream.next()
            while frame is not None and not frame.id:  # an opening: it counts when it is whole
                frames.append(frame)
                frame = await stream.next()
            assert frame is not None
            frames.append(frame)
            cursor = frame.id
            desk.gates["begin"].set()
            if frame.event == "coffee.made":
                desk.gates.open()
    assert Dashboard().show(frames).seen == Dashboard().show(await frames_of(desk, run_id)).seen


async def test_a_cursor_of_another_server_gets_a_gap_and_the_opening(desk: Desk) -> None:
    """Such as a time in milliseconds. What follows is what a client without a cursor gets."""
    run_id = await desk.start()
    for query, cursor in (("", "1730000000000"), ("&after=1730000000000", "")):
        async with desk.follow(run_id, query, cursor=cursor) as stream:
            gap, state = await stream.next(), await stream.next()
            assert gap is not None
            assert state is not None
            assert (gap.event, gap.id, json.loads(gap.data)["data"]["reason"]) == ("stream.gap", "", "ahead")
            assert (state.event, json.loads(state.data)["status"]) == ("workflow:state", "running")
    await ended(desk)
    frames = await frames_of(desk, run_id, cursor="1730000000000")
    assert [frame.event for frame in frames[:2]] == ["stream.gap", "workflow:state"]
    assert frames[1:] == await frames_of(desk, run_id)


# --- options, heartbeats, closing ---------------------------------------------------------------------------------


async def test_progress_comes_once_a_second_and_log_lines_as_often_as_asked(serve: Serve) -> None:
    """The default throttle of ``agent:progress`` is a second; ``log_throttle`` is an option, and off without it."""

    async def busy(ctx: Context) -> None:
        for number in range(20):
            await ctx.log.info(f"line {number}")
        await ctx.progress(0.1, "first")
        for number in range(30):
            await ctx.progress(0.2 + number / 100, f"step {number}")
        await ctx.progress(0.9, "last")

    server = await serve(Engine("memory://"), one_task(busy))
    async with server.events("busy-1", "?dialect=agents&await_run=60&log_throttle=60000") as stream:
        await stream.next()
        await server.put("/runs/busy-1", {"workflow": "one", "input": {}})
        frames = await stream.all()
    messages = [json.loads(frame.data)["message"] for frame in frames if frame.event == "agent:progress"]
    assert (messages[0], messages[-1]) == ("first", "last")
    assert len(messages) < 10, "of 32; two, unless the machine stood still for a second"
    assert dialects.find("agents").info.throttle == 1_000.0
    assert [json.loads(frame.data)["message"] for frame in frames if frame.event == "log:created"] == ["line 0"]
    async with server.events("busy-1", "?dialect=agents&after=0") as stream:
        assert [frame.event for frame in await stream.all()].count("log:created") == 20


@pytest.mark.usefixtures("quick_beats")
async def test_heartbeats_are_numbered_comments_between_frames(desk: Desk) -> None:
    """From 1, also while the stream waits for its run; a client reports none of them."""
    async with desk.follow("news-1", "&await_run=60&heartbeat=0.05") as stream:
        await stream.next()
        while b": heartbeat 1\n" not in stream.raw:
            stream.raw += await stream.response.content.readany()
        assert b"\n\n: heartbeat 1\n" in stream.raw
        await desk.start()
        await stream.until("agent:started")
        beats = stream.raw.count(b": heartbeat")
        while stream.raw.count(b": heartbeat") == beats:
            stream.raw += await stream.response.content.readany()
        desk.gates.open()
        assert (await stream.all())[-1].event == "workflow:completed"


async def test_a_server_that_stops_is_no_end(desk: Desk) -> None:
    """``stream.closing`` is the last frame, and it has no id."""
    run_id = await desk.start()
    async with desk.follow(run_id) as stream:
        await Page(stream).opening()
        await desk.server.stop()
        last = (await stream.all())[-1]
    assert (last.event, last.id, json.loads(last.data)["data"]["reason"]) == ("stream.closing", "", "shutdown")


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("&log_throttle=5", "log_throttle is '5', but must be 10 to 60000 milliseconds, or 0 for all lines"),
        ("&snapshot=1", "snapshot has no meaning in the dialect agents"),
        ("&tail=3", "tail has no meaning in the dialect agents"),
        ("&names=0", "names has no meaning in the dialect agents"),
        ("&logs=3", "logs has no meaning in the dialect agents"),
    ],
)
async def test_options_that_are_wrong_or_have_no_meaning_are_400(desk: Desk, query: str, detail: str) -> None:
    """The answer says which and why."""
    run_id = await desk.start()
    async with desk.follow(run_id, query) as stream:
        assert stream.status == 400
        assert (await stream.response.json())["detail"] == detail


async def test_an_unknown_workflow_is_404_with_json(desk: Desk) -> None:
    """The connection is not established."""
    async with desk.follow("wf_nothing") as stream:
        assert stream.status == 404
        assert "wf_nothing" in (await stream.response.json())["detail"]


async def test_what_is_polled_is_what_a_stream_opens_with(desk: Desk) -> None:
    """{workflow, agents, logs}, while the run is at work and when it has ended; 404 for an unknown one."""
    url = f"{desk.server.url.removesuffix(API)}/api/workflows/"

    async def polled() -> Any:
        async with desk.server.session.get(url + "news-1") as answer:
            return await answer.json()

    run_id = await desk.start()
    desk.gates["begin"].set()
    async with desk.follow(run_id) as stream:
        await stream.until("coffee.made")
        shown = await polled()
        async with desk.follow(run_id) as other:
            page = Dashboard().show(await Page(other).opening())
        assert shown["workflow"] == page.workflow
        assert {agent["agentName"]: agent["status"] for agent in shown["agents"]} == {
            name: agent["status"] for name, agent in page.agents.items()
        }
        assert shown["logs"] == page.logs
        desk.gates.open()
        await stream.all()
    shown = await polled()
    assert shown["workflow"]["status"] == "completed"
    assert len(shown["agents"]) == 8
    async with desk.server.session.get(url + "nothing") as answer:
        assert answer.status == 404


# --- sessions -----------------------------------------------------------------------------------------------------

SAID: list[tuple[str, dict[str, Any]]] = [
    ("workflow:started", {"name": "fix", "totalSteps": 1, "budgetLimit": 200}),
    ("agent:started", {"agentName": "agent-1", "agentRole": "developer", "stepNumber": 1, "prompt": "Fix the bug"}),
    ("log:created", {"level": "info", "message": "reading", "timestamp": "2026-11-21T12:00:00Z"}),
    ("agent:completed", {"agentName": "agent-1", "stepNumber": 1, "duration": 45_000, "cost": 150, "output": "done"}),
    ("workflow:running", {"iterations": 1, "totalCost": 150}),
]
DONE = ("workflow:completed", {"duration": 45_000, "totalCost": 150, "iterations": 1})


async def say(desk: Desk, *said: tuple[str, dict[str, Any]]) -> None:
    events = [{"type": type, "data": data} for type, data in said]
    status, answer = await desk.server.post("/runs/fix-1/events", events)
    assert status == 202, answer


async def test_a_session_is_what_the_application_says(desk: Desk) -> None:
    """Live its own frames and no other; who comes late, or after the end, sees what they made of the workflow."""
    await desk.server.put("/runs/fix-1", {"session": True})
    async with desk.follow("fix-1") as stream:
        live = Page(stream)
        await live.opening()
        await say(desk, *SAID)
        await live.until("workflow:running")
        assert [(frame.event, json.loads(frame.data)) for frame in live.frames[1:]] == SAID
        async with desk.follow("fix-1") as other:
            late = Page(other)
            opening = [frame.event for frame in await late.opening()]
            assert opening == ["workflow:state", "log:created", "agent:state"]
            await say(desk, DONE)
            await desk.server.post("/runs/fix-1/close", {})
            pages = [await page.seen() for page in (live, late)]
    after = await frames_of(desk, "fix-1")
    assert [*pages, Dashboard().show(after).seen] == [pages[0]] * 3
    assert pages[0]["workflow"]["totalCost"] == 150
    assert pages[0]["agents"]["agent-1"]["status"] == "completed"
    assert [frame.event for frame in live.frames[-2:]] == ["workflow:completed", "stream.end"]
    assert [(frame.event, bool(frame.id)) for frame in after[-2:]] == [
        ("workflow:completed", False), ("stream.end", True),
    ]  # fmt: skip
    for last in (live.frames[-1], after[-1]):
        async with desk.follow("fix-1", cursor=last.id) as stream:
            assert stream.status == 204


async def test_a_session_that_tells_no_end_has_one(desk: Desk) -> None:
    """``workflow:failed`` with the error it was closed with, for whoever was there and for whoever comes later."""
    await desk.server.put("/runs/fix-1", {"session": True})
    await say(desk, *SAID)
    async with desk.follow("fix-1") as stream:
        live = Page(stream)
        await live.opening()
        await desk.server.post("/runs/fix-1/close", {"status": "failed", "error": "nobody is there"})
        await live.seen()
    for frames in (live.frames, await frames_of(desk, "fix-1")):
        assert frames[-1].event == "workflow:failed"
        assert json.loads(frames[-1].data)["error"] == "nobody is there"
        assert frames[-1].id == "7"
