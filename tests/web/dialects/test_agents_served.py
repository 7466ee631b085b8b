"""The dialect ``agents`` on a socket: whoever comes, whenever, by whatever cursor, sees the same workflow."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from typing import Any

import pytest

from reactor import Context, Engine
from reactor_web.sse.parser import Frame
from tests.helpers.dashboard import Dashboard
from tests.helpers.flows import one_task
from tests.helpers.newsroom import newsroom
from tests.helpers.server import Gates, Serve, Server, Stream

QUERY = "?dialect=agents&throttle=10"


@pytest.fixture
async def desk(serve: Serve) -> Server:
    """A server with the newsroom, whose gates are ``desk.gates``."""
    gates = Gates()
    found = await serve(Engine("memory://", grace=0.0), newsroom(gates))
    found.gates = gates
    return found


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


async def frames_of(desk: Server, run_id: str, query: str = "", cursor: str = "") -> list[Frame]:
    headers = {"Last-Event-ID": cursor} if cursor else {}
    async with desk.events(run_id, QUERY + query, **headers) as stream:
        assert stream.response.headers["Content-Type"] == "text/event-stream"
        return await stream.all()


async def ended(desk: Server) -> str:
    """The id of a newsroom that has done everything."""
    desk.gates.open()
    run_id = (await desk.start("newsroom"))["run_id"]
    await frames_of(desk, run_id, "&after=0")
    return run_id


# --- whoever comes, whenever --------------------------------------------------------------------------------------


async def test_all_clients_come_to_the_same_page(desk: Server) -> None:
    """Opened before the run, when it has begun, in its middle, after its end, and with all of it from the start."""
    async with AsyncExitStack() as streams:

        async def open_page(query: str = "") -> Page:
            return Page(await streams.enter_async_context(desk.events("news-1", QUERY + query)))

        before = await open_page("&await_run=60")
        await before.until("workflow:state")
        await desk.put("/runs/news-1", {"workflow": "newsroom", "input": {}})
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


async def test_a_stream_opened_before_its_run_is_connected_at_once(desk: Server) -> None:
    """The comment, the state of a run that has not begun with the id 0; ``workflow:started`` is the first new frame."""
    async with desk.events("news-1", QUERY + "&await_run=60") as stream:
        opening = await stream.next()
        assert opening is not None
        assert (opening.id, opening.event) == ("0", "workflow:state")
        assert json.loads(opening.data)["status"] == "pending"
        assert stream.raw.startswith(b": Connected to workflow news-1\n")
        desk.gates.open()
        await desk.put("/runs/news-1", {"workflow": "newsroom", "input": {}})
        frames = await stream.all()
    assert frames[0].event == "workflow:started"
    assert frames == await frames_of(desk, "news-1", cursor="0")


async def test_of_an_ended_run_the_last_frame_tells_the_end(desk: Server) -> None:
    """It alone has an id; with that a client that comes back is told that there is no more."""
    run_id = await ended(desk)
    frames = await frames_of(desk, run_id)
    assert [frame.event for frame in frames if frame.id] == ["workflow:completed"]
    assert frames[-1].id
    async with desk.events(run_id, QUERY, **{"Last-Event-ID": frames[-1].id}) as stream:
        assert stream.status == 204


async def test_a_cancelled_run_has_failed(desk: Server) -> None:
    """Its agents too, each with the reason."""
    run_id = (await desk.start("newsroom"))["run_id"]
    async with desk.events(run_id, QUERY) as stream:
        page = Page(stream)
        await page.opening()
        await desk.post(f"/runs/{run_id}/cancel", {"reason": "no news"})
        live = await page.seen()
    assert live == Dashboard().show(await frames_of(desk, run_id)).seen
    assert live["workflow"]["status"] == "failed"
    assert live["agents"]["editor"]["error"] == "cancelled: no news"
    assert {agent["status"] for agent in live["agents"].values()} == {"failed"}


# --- cursors ------------------------------------------------------------------------------------------------------


async def test_a_cut_after_any_frame_loses_and_repeats_nothing(desk: Server) -> None:
    """The rest that a client gets by the id of its last frame, joined with what it has, is the whole."""
    run_id = await ended(desk)
    whole = await frames_of(desk, run_id, cursor="0")
    assert {"workflow:running", "agent:progress", "agent:failed", "log:created"} <= {frame.event for frame in whole}
    for place, frame in enumerate(whole[:-1], 1):
        assert await frames_of(desk, run_id, cursor=frame.id) == whole[place:], f"after {frame}"


async def test_a_client_that_is_cut_off_again_and_again_misses_nothing(desk: Server) -> None:
    """Live, it reads one frame of each connection; ids of its opening count as well as those of events."""
    run_id = (await desk.start("newsroom"))["run_id"]
    cursor, frames = "", list[Frame]()
    while True:
        async with desk.events(run_id, QUERY, **({"Last-Event-ID": cursor} if cursor else {})) as stream:
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


async def test_a_cursor_of_another_server_gets_a_gap_and_the_opening(desk: Server) -> None:
    """Such as a time in milliseconds. What follows is what a client without a cursor gets."""
    run_id = (await desk.start("newsroom"))["run_id"]
    for query, cursor in (("", "1730000000000"), ("&after=1730000000000", "")):
        async with desk.events(run_id, QUERY + query, **({"Last-Event-ID": cursor} if cursor else {})) as stream:
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
    assert messages == ["first", "last"]
    assert [json.loads(frame.data)["message"] for frame in frames if frame.event == "log:created"] == ["line 0"]
    async with server.events("busy-1", "?dialect=agents&after=0") as stream:
        assert [frame.event for frame in await stream.all()].count("log:created") == 20


async def test_heartbeats_are_numbered_comments_between_frames(desk: Server) -> None:
    """From 1, also while the stream waits for its run; a client reports none of them."""
    async with desk.events("news-1", QUERY + "&await_run=60&heartbeat=1") as stream:
        await stream.next()
        while b": heartbeat 1\n" not in stream.raw:
            stream.raw += await stream.response.content.readany()
        assert stream.raw.endswith(b"\n\n: heartbeat 1\n")
        await desk.put("/runs/news-1", {"workflow": "newsroom", "input": {}})
        await stream.until("agent:started")
        beats = stream.raw.count(b": heartbeat")
        while stream.raw.count(b": heartbeat") == beats:
            stream.raw += await stream.response.content.readany()
        desk.gates.open()
        assert (await stream.all())[-1].event == "workflow:completed"


async def test_a_server_that_stops_is_no_end(desk: Server) -> None:
    """``stream.closing`` is the last frame, and it has no id."""
    run_id = (await desk.start("newsroom"))["run_id"]
    async with desk.events(run_id, QUERY) as stream:
        await Page(stream).opening()
        await desk.stop()
        last = (await stream.all())[-1]
    assert (last.event, last.id, json.loads(last.data)["data"]["reason"]) == ("stream.closing", "", "shutdown")


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("&log_throttle=5", "log_throttle is '5', but must be 10 to 60000 milliseconds, or 0 for all lines"),
        ("&snapshot=1", "snapshot has no meaning in the dialect agents"),
        ("&tail=3", "tail has no meaning in the dialect agents"),
        ("&logs=3", "logs has no meaning in the dialect agents"),
    ],
)
async def test_options_that_are_wrong_or_have_no_meaning_are_400(desk: Server, query: str, detail: str) -> None:
    """The answer says which and why."""
    run_id = (await desk.start("newsroom"))["run_id"]
    assert (await desk.get(f"/runs/{run_id}/events{QUERY}{query}"))[1]["detail"] == detail


async def test_an_unknown_workflow_is_404_with_json(desk: Server) -> None:
    """The connection is not established."""
    status, problem = await desk.get(f"/runs/wf_nothing/events{QUERY}")
    assert status == 404
    assert "wf_nothing" in problem["detail"]
