"""Dialects that fold: openings that show the state, cursors that count frames, states that are kept."""

from __future__ import annotations

import aiohttp
import pytest

from reactor import Context, Engine, Workflow
from reactor_web import dialects
from reactor_web.bounds import KEPT_STATE_EVENTS
from reactor_web.dialects import table
from tests.helpers.board import Board, Counting
from tests.helpers.server import Serve, Server


@pytest.fixture(autouse=True)
def board(monkeypatch: pytest.MonkeyPatch) -> Board:
    """The dialects ``board`` and ``counting``, for one test."""
    monkeypatch.setattr(table, "_by_name", dict(table._by_name))  # pyright: ignore[reportPrivateUsage]
    board = Board()
    dialects.register(board)
    dialects.register(Counting())
    return board


async def test_an_opening_shows_where_the_run_is_and_then_what_is_new(server: Server) -> None:
    """Not the history: whether the client is the first of its dialect or comes to a shared fold."""
    run_id = (await server.start("gated"))["run_id"]
    server.gates["fast"].set()
    async with server.events(run_id) as native:
        seen = [await native.until("task.completed", task_id=task) for task in ("fast", "after_fast")]
    async with server.events(run_id, "?dialect=board") as first, server.events(run_id, "?dialect=board") as second:
        for stream in (first, second):
            frames = [await stream.next(), await stream.next()]
            assert [(frame.event, frame.id) for frame in frames if frame] == [("board", ""), ("so far", seen[-1].id)]
            assert [frame.data for frame in frames if frame][1] == '{"ended":2}'
            assert stream.raw.startswith(f": connected to {run_id}\n".encode())
        server.gates.open()
        rest = await first.all()
        assert rest == await second.all()
    assert [frame.data for frame in rest if frame.event == "ended"] == ["3", "4"]
    assert min(int(frame.id.partition(".")[0]) for frame in rest) > int(seen[-1].id)


async def test_a_run_that_has_ended_is_shown_with_its_last_event(server: Server) -> None:
    """So that a page that opens late is told; no id but the last frame's, so that it does not come back."""
    run_id = (await server.start("small"))["run_id"]
    async with server.events(run_id) as native:
        last = (await native.all())[-1].id
    async with server.events(run_id, "?dialect=board") as stream:
        frames = await stream.all()
    assert [(frame.event, frame.id) for frame in frames] == [
        ("board", ""), ("so far", ""), ("run.completed", last), ("stream.end", last),
    ]  # fmt: skip
    assert frames[1].data == '{"ended":2}'


async def test_an_opening_is_shown_while_the_run_has_not_begun_and_never_twice(server: Server) -> None:
    """A stream that was opened first shows the empty state with id 0; who comes back from there gets all events."""
    async with server.events("r1", "?dialect=board&await_run=20") as stream:
        frames = [await stream.next(), await stream.next()]
        assert [(frame.event, frame.id) for frame in frames if frame] == [("board", ""), ("so far", "0")]
        await server.start("small", run_id="r1")
        rest = await stream.all()
    assert rest[0].event == "run.started"
    for place, frame in enumerate(rest[:-2]):
        async with server.events("r1", "?dialect=board", **{"Last-Event-ID": frame.id}) as stream:
            assert await stream.all() == rest[place + 1 :]
    async with server.events("r1", "?dialect=board", **{"Last-Event-ID": "1730000000000"}) as stream:
        events = [frame.event for frame in await stream.all()]
    assert events == ["stream.gap", "board", "so far", "run.completed", "stream.end"]


async def test_a_cursor_may_count_frames(server: Server) -> None:
    """A client that has n frames is sent the others, whichever events they are of."""
    run_id = (await server.start("small"))["run_id"]
    async with server.events(run_id, "?dialect=counting") as stream:
        frames = await stream.all()
        assert stream.response.headers["X-Run"] == run_id
    numbered = frames[:-1]
    assert [frame.id for frame in numbered] == [str(n) for n in range(1, len(frames))]
    for n in range(len(numbered)):
        for query, headers in ((f"&skip={n}", {}), ("", {"Last-Event-ID": str(n)})):
            async with server.events(run_id, f"?dialect=counting{query}", **headers) as stream:
                assert await stream.all() == frames[n:]
    async with server.events(run_id, f"?dialect=counting&after={len(numbered)}") as stream:
        assert stream.status == 204
    async with server.events(run_id, f"?dialect=counting&after={len(numbered) + 1}") as stream:
        assert [frame.data for frame in await stream.all()] == ['{"notice":"stream.gap"}', *[f.data for f in frames]]
    for refused in ("types=task.*", "tasks=a", "throttle=100"):
        assert (await server.get(f"/runs/{run_id}/events?dialect=counting&{refused}"))[0] == 400


async def test_a_count_is_found_while_the_run_goes_on(server: Server) -> None:
    """Live clients that come back with a count share the fold of the others again."""
    run_id = (await server.start("gated"))["run_id"]
    async with server.events(run_id, "?dialect=counting") as stream:
        seen = [await stream.next()]
        async with server.events(run_id, "?dialect=counting&after=1") as late:
            server.gates.open()
            whole = seen + await stream.all()
            assert await late.all() == whole[1:]


async def test_who_comes_back_does_not_wait_for_the_whole_fold(serve: Serve, board: Board) -> None:
    """States are kept on the way: near the end of a long run only its last part is folded again."""
    flow = Workflow("long")

    @flow.task
    async def talk(ctx: Context) -> None:
        for n in range(4 * KEPT_STATE_EVENTS):
            await ctx.emit("word.said", {"n": n})

    server = await serve(Engine("memory://"), flow)
    run_id = (await server.start("long"))["run_id"]
    async with server.events(run_id, "?dialect=board&after=0") as stream:
        whole = await stream.all()
    board.steps = 0
    after = 3 * KEPT_STATE_EVENTS + 17
    async with server.events(run_id, f"?dialect=board&after={after}") as stream:
        assert await stream.all() == [frame for frame in whole if int(frame.id.partition(".")[0]) > after]
    assert board.steps < 2 * KEPT_STATE_EVENTS


async def test_a_server_that_closes_looks_like_no_end_to_a_client_that_takes_one_for_the_runs(server: Server) -> None:
    """The connection breaks off behind the notice; after the end of the run it closes cleanly."""
    run_id = (await server.start("gated"))["run_id"]
    async with server.events(run_id, "?dialect=board") as stream:
        await stream.next()
        await server.streams.close("shutdown")
        assert (await stream.until("stream.closing")).data.startswith('{"reason":"shutdown"')
        with pytest.raises(aiohttp.ClientPayloadError):
            await stream.next()


async def test_options_that_only_one_dialect_has(server: Server) -> None:
    """They are checked, have their defaults, and are part of what clients share; ``names=0`` takes all names away."""
    run_id = (await server.start("small"))["run_id"]
    async with server.events(run_id, "?dialect=board&loud=1&back=1") as stream:
        assert [frame.event for frame in await stream.all()] == ["RUN.COMPLETED", "STREAM.END"]
    async with server.events(run_id, "?dialect=board&after=0&names=0") as stream:
        frames = await stream.all()
    async with server.events(run_id, "?dialect=board&after=0") as stream:
        assert [(f.id, f.data) for f in await stream.all()] == [(f.id, f.data) for f in frames]
    assert {frame.event for frame in frames} == {"message"}
    status, problem = await server.get(f"/runs/{run_id}/events?dialect=board&loud=yes")
    assert (status, problem["detail"]) == (400, "loud is 'yes', but must be 0 or 1")
    status, problem = await server.get(f"/runs/{run_id}/events?loud=1")
    assert (status, problem["detail"].partition(";")[0]) == (400, "there is no stream option 'loud'")


async def test_frames_without_names_of_the_native_dialect(server: Server) -> None:
    """``onmessage`` of a browser gets all of them, with the same ids and data."""
    run_id = (await server.start("small"))["run_id"]
    async with server.events(run_id) as stream:
        named = await stream.all()
    async with server.events(run_id, "?names=0") as stream:
        unnamed = await stream.all()
    assert [(f.id, f.data) for f in named[:-1]] == [(f.id, f.data) for f in unnamed[:-1]]  # the end has its own time
    assert {frame.event for frame in unnamed} == {"message"}
