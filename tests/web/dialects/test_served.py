"""A dialect of one's own is registered and served like the native one."""

from __future__ import annotations

import pytest

from reactor_web import dialects
from reactor_web.dialects import DialectInfo, UnknownDialect, table
from tests.helpers import site
from tests.helpers.lines import Lines
from tests.helpers.server import Gates, Server, gated_workflow


@pytest.fixture(autouse=True)
def lines(monkeypatch: pytest.MonkeyPatch) -> Lines:
    """The dialect ``lines``, for one test."""
    monkeypatch.setattr(table, "_by_name", dict(table._by_name))  # pyright: ignore[reportPrivateUsage]
    dialect = Lines()
    dialects.register(dialect)
    return dialect


async def test_a_registered_dialect_is_served_and_resumes_at_every_frame(server: Server) -> None:
    """Its opening comes once, its frames have their ids, and a cut after any of them loses and repeats nothing."""
    run_id = (await server.start("small"))["run_id"]
    async with server.events(run_id, "?dialect=lines") as stream:
        frames = await stream.all()
        assert stream.response.headers["X-Lines"] == "1"
    assert frames[0].data == '{"line":"hello"}'
    assert [frame.data for frame in frames if "ended" in frame.data] == [
        '{"ended":1}', '{"ended":2}', '{"line":"end","ended":2}',
    ]  # fmt: skip
    last = frames[-1].id
    for place, frame in enumerate(frames[1:-2], 1):
        async with server.events(run_id, "?dialect=lines", **{"Last-Event-ID": frame.id}) as stream:
            assert await stream.all() == frames[place + 1 :], f"after {frame}"
    assert frames[-2].id == last


async def test_a_live_run_is_counted_from_its_first_event_for_whoever_comes(server: Server) -> None:
    """Clients that come at different times share one fold, also with a filter: it decides only which frames leave."""
    run_id = (await server.start("gated"))["run_id"]
    async with server.events(run_id, "?dialect=lines") as early:
        server.gates["fast"].set()
        while (frame := await early.next()) is not None and frame.data != '{"ended":2}':
            pass
        async with server.events(run_id, "?dialect=lines&types=task.completed&tasks=slow") as late:
            server.gates.open()
            counts = [frame.data for frame in await late.all() if "ended" in frame.data]
        assert (await early.all())[-1].data == '{"line":"end","ended":4}'
    assert counts[0] in ('{"ended":3}', '{"ended":4}')
    assert counts[-1] == '{"line":"end","ended":4}'


async def test_heartbeats_of_a_dialect_that_folds_are_counted(server: Server) -> None:
    """After a tenth of a second of silence, which this dialect has for its default, the first beat, then the second."""
    run_id = (await server.start("gated"))["run_id"]
    async with server.events(run_id, "?dialect=lines") as stream:
        while b": beat 1\n" not in stream.raw:
            stream.raw += await stream.response.content.readany()
        server.gates.open()


async def test_a_client_of_such_a_dialect_needs_no_handler_either() -> None:
    """Once it has caught up its handler returns, and it is still sent every frame to the end."""
    gates = Gates()
    async with site.serving(gated_workflow(gates)) as served:
        run = await served.engine.start("gated")
        clients = [await served.follow(run, "?dialect=lines") for _ in range(3)]
        await site.handed_over(served, 3)
        gates.open()
        bodies = {site.whole(await client.rest()) for client in clients}
        assert len(bodies) == 1
        assert site.frames_of(bodies.pop())[-1].data == '{"line":"end","ended":4}'


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        (
            "?dialect=klingon",
            "there is no dialect 'klingon'; there are " + ", ".join(sorted({*dialects.known(), "lines"})),
        ),
        ("?dialect=lines&throttle=100", "throttle has no meaning in the dialect lines"),
        ("?dialect=lines&logs=3", "logs has no meaning in the dialect lines"),
    ],
)
async def test_a_dialect_that_is_not_there_or_refuses_an_option_is_400(server: Server, query: str, detail: str) -> None:
    """The answer names the dialects there are, or the option; nothing is started for it."""
    status, problem = await server.get("/runs/nothing/events" + query)
    assert (status, problem["detail"]) == (400, detail)
    status, problem = await server.post("/workflows/small/runs" + query, Accept="text/event-stream")
    assert (status, problem["detail"]) == (400, detail)
    assert (await server.get("/runs"))[1]["runs"] == []


async def test_equal_dialects_and_options_share_one_pipeline(server: Server) -> None:
    """``?dialect=native`` is what a stream has without it; another dialect has a channel of its own."""
    run_id = (await server.start("gated"))["run_id"]
    streams = [server.events(run_id, query) for query in ("", "?dialect=native", "?dialect=lines", "?dialect=lines")]
    for stream in streams:
        await stream.__aenter__()
        await stream.next()
        await stream.next()
    assert len(list(server.streams.channels)) == 2
    server.gates.open()
    for stream in streams:
        await stream.all()
        await stream.__aexit__(None, None, None)


def test_the_table_takes_a_name_once() -> None:
    """Another dialect of the same name, or a name that is none, is a ValueError; the same one again is not."""

    class Other(Lines):
        pass

    class Shouting(Lines):
        info = DialectInfo("SHOUT")

    dialects.register(dialects.find("lines"))
    with pytest.raises(ValueError, match="there is a dialect 'lines' already"):
        dialects.register(Other())
    with pytest.raises(ValueError, match="'SHOUT' is not a name of a dialect"):
        dialects.register(Shouting())
    with pytest.raises(UnknownDialect, match=f"there are {', '.join(dialects.known())}"):
        dialects.find("klingon")
