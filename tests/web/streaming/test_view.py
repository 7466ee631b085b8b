"""A view: a pipeline of operators over the events of a run, served to many clients."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from reactivex import Observable
from reactivex import operators as ops
from reactivex.scheduler import NewThreadScheduler

from reactor import Context, Engine, Workflow
from reactor.bounds import KIB
from reactor.clock import LoopScheduler
from reactor.events.event import Event
from reactor.operators import event_flushes, select, throttle_latest
from reactor_web import create_app, stream
from reactor_web.http.serving import View
from reactor_web.sse.parser import Frame
from reactor_web.streaming.streams import STREAMS
from tests.helpers.log_lines import log_lines
from tests.helpers.server import Gates, gated_workflow
from tests.helpers.site import Raw, Site, frames_of, poll, site_of, whole


class Counted:
    """A view that counts what it is asked: it keeps completed tasks and steps, and numbers them."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def __call__(self, events: Observable[Any]) -> Observable[Any]:
        def note(event: Event) -> Event:
            self.seen.append(event.seq)
            return event

        return events.pipe(
            ops.map(note),
            select("task.*,step.*,run.completed"),
            ops.filter(lambda event: event.type != "task.started"),
            ops.scan(lambda total, event: (total[0] + 1, event), (0, None)),
            ops.map(lambda pair: (pair[1].seq, "item", {"number": pair[0], "type": pair[1].type})),
        )


def twice(events: Observable[Any]) -> Observable[Any]:
    """Two named frames for each event, and the event itself between them."""
    return events.pipe(
        ops.flat_map(lambda event: [(event.seq, "before", event.seq), event, (event.seq, "behind", event.seq)]),
    )


def pairs(events: Observable[Any]) -> Observable[Any]:
    """Holds events back: each third one brings three of them."""
    return events.pipe(ops.buffer_with_count(3), ops.flat_map(lambda events: events))


def at_the_end(events: Observable[Any]) -> Observable[Any]:
    """One frame for each event, and a sum when the run has ended."""
    count = events.pipe(ops.count(), ops.map(lambda count: (count, "sum", count)))
    return events.pipe(ops.map(lambda event: (event.seq, "item", event.type)), ops.merge(count))


VIEWS: dict[str, Callable[[], View]] = {
    "counted": Counted,
    "twice": lambda: twice,
    "pairs": lambda: pairs,
    "at_the_end": lambda: at_the_end,
}


@asynccontextmanager
async def viewing(view: View, *flows: Workflow, **options: Any) -> AsyncIterator[Site]:
    """A server that has ``/view/{id}`` and ``/other/{id}``, which is the stream without a view."""
    async with Engine("memory://", grace=0.0) as engine:
        app = create_app(engine, flows)

        async def viewed(request: web.Request) -> web.StreamResponse:
            return await stream(request, await engine.get(request.match_info["id"]), view=view, **options)

        app.router.add_get("/view/{id}", viewed)
        async with site_of(engine, app) as site:
            yield site


async def read(site: Site, path: str, cursor: str = "") -> bytes:
    """A stream up to its end, without what differs each time: the comment and ``retry:`` before it, the end itself."""
    client = await site.open(path, headers=f"Last-Event-ID: {cursor}\r\n" if cursor else "")
    return content(await client.rest())


def content(body: bytes) -> bytes:
    frames = split(whole(body).removeprefix(b":\n").replace(b"retry: 2000\n", b"", 1))
    assert b"event: stream.end" in frames[-1]
    return b"".join(frames[:-1])


def split(text: bytes) -> list[bytes]:
    return [frame + b"\n\n" for frame in text.split(b"\n\n")[:-1]]


async def ended_run(site: Site, gates: Gates) -> str:
    run = await site.engine.start("gated")
    gates.open()
    await run
    return run.id


@pytest.mark.parametrize("name", VIEWS)
async def test_a_stream_that_is_cut_after_any_frame_and_resumed_equals_one_that_is_not(name: str) -> None:
    """For each frame: what came before it, and what a client with its id is sent then, is the whole stream."""
    gates = Gates()
    async with viewing(VIEWS[name](), gated_workflow(gates)) as site:
        run_id = await ended_run(site, gates)
        uninterrupted = await read(site, f"/view/{run_id}")
        frames = split(uninterrupted)
        assert len(frames) >= 6
        for cut in range(1, len(frames)):
            head = b"".join(frames[:cut])
            cursor = frames_of(head)[-1].id
            assert cursor, f"frame {cut} has no id: {frames[cut - 1]!r}"
            last = (await site.engine.get(run_id)).feed.last_seq
            if cursor == str(last):
                continue
            assert head + await read(site, f"/view/{run_id}", cursor) == uninterrupted, f"cut after frame {cut}"


async def test_a_live_stream_that_is_cut_after_every_frame_equals_one_that_is_not() -> None:
    """One client is never cut, another reads one frame a connection, while the run goes on."""
    gates = Gates()
    async with viewing(Counted(), gated_workflow(gates)) as site:
        run = await site.engine.start("gated")
        steady = await site.open(f"/view/{run.id}")
        frames: list[bytes] = []
        cursor = ""
        for number in range(6):
            gates["step"].set()
            cut = await site.open(f"/view/{run.id}", headers=f"Last-Event-ID: {cursor}\r\n" if cursor else "")
            await cut.until(b"\n\n")
            frame = split(_unchunked(cut))[0]
            frames.append(frame)
            cursor = frames_of(frame)[0].id
            cut.leave("close")
            await steady.until(b'"number":%d,' % (number + 1))
        gates.open()
        rest = await read(site, f"/view/{run.id}", cursor)
        assert b"".join(frames) + rest == content(await steady.rest())


def _unchunked(raw: Raw) -> bytes:
    """What a body has so far."""
    text = b""
    body = raw.body
    while b"\r\n" in body:
        size, _, body = body.partition(b"\r\n")
        text += body[: int(size, 16)]
        body = body[int(size, 16) + 2 :]
    return text.replace(b":\n", b"").replace(b"retry: 2000\n", b"")


async def test_a_view_with_100_clients_is_computed_once() -> None:
    """Whenever they come, the pipeline sees each event once, and all of them are sent the same bytes."""
    gates, view = Gates(), Counted()
    async with viewing(view, gated_workflow(gates)) as site:
        run = await site.engine.start("gated")
        early = [await site.open(f"/view/{run.id}") for _ in range(50)]
        for number in range(3):
            gates["step"].set()
            await early[0].until(b'"number":%d,' % (number + 1))
        late = [await site.open(f"/view/{run.id}") for _ in range(40)]
        resumed = [await site.open(f"/view/{run.id}?after=3") for _ in range(10)]
        for client in [*early, *late, *resumed]:
            await client.until(b'"number":3,')
        gates.open()
        bodies = [content(await client.rest()) for client in [*early, *late]]
        assert len(set(bodies)) == 1
        assert {content(await client.rest()) for client in resumed} <= {bodies[0]}
        assert sorted(view.seen) == list(range(1, run.feed.last_seq + 1))
        assert list(site.streams.channels) == []


async def test_clients_that_come_together_have_the_log_computed_once() -> None:
    """Long after the beginning, 20 clients at once: the pipeline sees each event once for all of them."""
    gates, view = Gates(), Counted()
    flow = Workflow("long")

    @flow.task
    async def talk(ctx: Context) -> None:
        for number in range(1_000):
            await ctx.emit("step.made", {"number": number, "text": "x" * 500})
        await gates["end"].wait()

    async with viewing(view, flow) as site:
        run = await site.engine.start("long")
        await poll(lambda: run.feed.last_seq >= 1_002, "the run does not talk")
        clients = await asyncio.gather(*(site.open(f"/view/{run.id}") for _ in range(20)))
        for client in clients:
            await client.until(b'"number":1000,')
        gates.open()
        assert len({content(await client.rest()) for client in clients}) == 1
        assert sorted(view.seen) == list(range(1, run.feed.last_seq + 1))


async def test_a_client_that_is_behind_what_the_view_remembers_replays_it_alone() -> None:
    """More bytes than a channel keeps: each client still gets every frame once, and then they share the view again."""
    gates = Gates()
    flow = Workflow("long")

    @flow.task
    async def talk(ctx: Context) -> None:
        for number in range(100):
            await ctx.emit("block.made", {"number": number, "text": "x" * 30 * KIB})
        await gates["end"].wait()

    def numbered(events: Observable[Any]) -> Observable[Any]:
        return events.pipe(select("block.*"), ops.scan(lambda n, e: (n[0] + 1, e.seq, e.data["text"]), (0, 0, "")))

    def named(events: Observable[Any]) -> Observable[Any]:
        return numbered(events).pipe(ops.map(lambda n: (n[1], "block", {"n": n[0], "text": n[2]})))

    async with viewing(named, flow) as site:
        run = await site.engine.start("long")
        await poll(lambda: run.feed.last_seq >= 102, "the run does not talk")
        clients = [await site.open(f"/view/{run.id}") for _ in range(3)]
        for client in clients:
            await client.until(b'"n":100,')
        await poll(lambda: sum(place.is_waiting for place in site.places) == 3, "they do not catch up")
        late = await site.open(f"/view/{run.id}?after=50")
        await late.until(b'"n":100,')
        gates.open()
        bodies = [content(await client.rest()) for client in clients]
        assert len(set(bodies)) == 1
        assert [frame.id for frame in frames_of(bodies[0])] == [str(seq) for seq in range(3, 103)]
        assert bodies[0].endswith(content(await late.rest()))


async def test_a_view_may_throttle_and_the_last_is_never_lost() -> None:
    """``throttle_latest`` in a view: of many progress events few leave, ids grow, and the last of them leaves."""
    flow = Workflow("busy")

    @flow.task
    async def work(ctx: Context) -> None:
        for number in range(50):
            await ctx.emit("measure.made", {"n": number})
            await asyncio.sleep(0)

    def calm(events: Observable[Any]) -> Observable[Any]:
        scheduler = LoopScheduler(asyncio.get_running_loop())
        return events.pipe(
            select("measure.made,run.completed"),
            throttle_latest(
                30.0,
                key=lambda event: event.task_id,
                flushes=event_flushes,
                scheduler=scheduler,
            ),
        )

    async with viewing(calm, flow) as site:
        run = await site.engine.start("busy")
        client = await site.open(f"/view/{run.id}")
        frames = frames_of(content(await client.rest()))
        ids = [tuple(map(int, frame.id.split("."))) for frame in frames if frame.id]
        assert [frame.event for frame in frames].count("measure.made") < 50
        assert '"n":49' in frames[-2].data
        assert frames[-1].event == "run.completed"
        assert ids[-1] == (run.feed.last_seq,)


async def test_a_view_that_raises_ends_its_own_streams_and_no_other() -> None:
    """It is told ``stream.closing``, the log has the reason, and the run and its other streams go on."""
    gates = Gates()

    def failing(events: Observable[Any]) -> Observable[Any]:
        return events.pipe(ops.map(lambda event: (event.seq, "item", 1 // (3 - event.seq))))

    with log_lines() as logs:
        async with viewing(failing, gated_workflow(gates)) as site:
            run = await site.engine.start("gated")
            other = await site.follow(run)
            failed = whole(await (await site.open(f"/view/{run.id}")).rest())
            assert [frame.event for frame in frames_of(failed)] == ["item", "item", "stream.closing"]
            assert '"reason":"view"' in frames_of(failed)[-1].data
            gates.open()
            await other.until(b"event: stream.end")
            await run
    assert [log["event"] for log in logs if log["log_level"] == "error"] == ["a view broke off"]
    assert "ZeroDivisionError" in next(log for log in logs if log["log_level"] == "error")["traceback"]


@pytest.mark.parametrize(
    ("view", "error"), [(lambda events: 1 // 0, "ZeroDivisionError"), (lambda events: 7, "must return an Observable")]
)
async def test_a_view_that_cannot_be_made_closes_its_stream(view: Any, error: str) -> None:
    """Also where the function itself raises or gives something else."""
    gates = Gates()
    with log_lines() as logs:
        async with viewing(view, gated_workflow(gates)) as site:
            run_id = await ended_run(site, gates)
            body = whole(await (await site.open(f"/view/{run_id}")).rest())
    assert [frame.event for frame in frames_of(body)] == ["stream.closing"]
    assert error in str(logs)


async def test_a_view_that_completes_ends_its_stream_before_the_run() -> None:
    """``ops.take(2)``: two frames and ``stream.end``, without an id, because more events may come."""
    gates = Gates()

    def two(events: Observable[Any]) -> Observable[Any]:
        return events.pipe(ops.take(2))

    async with viewing(two, gated_workflow(gates)) as site:
        run = await site.engine.start("gated")
        frames = frames_of(whole(await (await site.open(f"/view/{run.id}")).rest()))
        assert [(frame.id, frame.event) for frame in frames[:2]] == [("1", "run.started"), ("2", "task.started")]
        assert (frames[-1].id, frames[-1].event) == ("", "stream.end")
        assert run.status == "running"
        gates.open()


async def test_filters_of_the_query_decide_which_frames_of_a_view_leave() -> None:
    """The view sees every event, and its own names are filtered like types."""
    gates, view = Gates(), Counted()
    async with viewing(twice, gated_workflow(gates)) as site:
        run_id = await ended_run(site, gates)
        frames = frames_of(await read(site, f"/view/{run_id}?types=behind"))
        assert {frame.event for frame in frames} == {"behind"}
        assert [frame.id for frame in frames] == [frame.data for frame in frames]
    assert not view.seen


async def test_what_a_view_may_give() -> None:
    """Events, named triples with and without an id, encoded bytes, and any other JSON."""
    items: list[Any] = [(None, "tick", {"a": 1}), b"event: own\ndata: 1\n\n", {"plain": True}, (1, "named", [2])]

    def all_kinds(events: Observable[Any]) -> Observable[Any]:
        return events.pipe(ops.take(1), ops.flat_map(lambda event: [*items, event]))

    gates = Gates()
    async with viewing(all_kinds, gated_workflow(gates)) as site:
        run_id = await ended_run(site, gates)
        frames = frames_of(whole(await (await site.open(f"/view/{run_id}")).rest()))[:-1]
        assert frames[:4] == [
            Frame("", "tick", '{"a":1}'),
            Frame("", "own", "1"),
            Frame("", "message", '{"plain":true}'),
            Frame("1.4", "named", "[2]"),
        ]
        assert (frames[4].id, frames[4].event) == ("1", "run.started")


@pytest.mark.usefixtures("quick_beats")
async def test_a_view_has_a_heartbeat_unless_its_handler_says_otherwise() -> None:
    """``heartbeat=0`` adds none; a query cannot change it."""
    gates = Gates()
    async with viewing(twice, gated_workflow(gates), heartbeat=0) as site:
        run = await site.engine.start("gated")
        quiet = await site.open(f"/view/{run.id}?heartbeat=0.05")
        beating = await site.follow(run, "?heartbeat=0.05")
        await beating.until(b"\n:\n", 2)
        gates.open()
        assert whole(await quiet.rest()).count(b":\n") == 1, "the comment that opens the stream"


async def test_a_view_that_is_no_key_is_refused(aiohttp_client: Any) -> None:
    """A view with no hash could not be shared: TypeError before the stream begins."""

    class Unhashable:
        __hash__ = None  # type: ignore[assignment]

        def __call__(self, events: Observable[Any]) -> Observable[Any]:
            return events

    async with viewing(Unhashable(), gated_workflow(Gates())) as site:
        run = await site.engine.start("gated")
        client = await site.open(f"/view/{run.id}")
        await client.until(b"500 Internal Server Error")
        assert len(site.runner.app[STREAMS]) == 0


@pytest.mark.parametrize("comes", ["before the end", "after the end"])
async def test_what_a_view_delays_is_sent_before_the_stream_ends(comes: str) -> None:
    """The stream ends when the view completes, not when the run does, whichever thread its operators wait on."""

    def late(events: Observable[Any]) -> Observable[Any]:
        return events.pipe(
            ops.filter(lambda event: event.type == "task.completed"),
            ops.map(lambda event: (event.seq, "late", event.task_id)),
            ops.delay(0.05),
        )

    gates = Gates()
    async with viewing(late, gated_workflow(gates)) as site:
        run = await site.engine.start("gated")
        if comes == "before the end":
            reading = asyncio.ensure_future(read(site, f"/view/{run.id}"))
            await asyncio.sleep(0)
        gates.open()
        await run
        body = await (reading if comes == "before the end" else read(site, f"/view/{run.id}"))
    assert sorted(re.findall(rb'data: "(\w+)"', body)) == [b"after_fast", b"fast", b"middle", b"slow"]


async def test_a_view_may_use_threads_of_its_own() -> None:
    """What comes on another thread is taken to the loop, and the stream ends with the last of it."""

    def threaded(events: Observable[Any]) -> Observable[Any]:
        types = events.pipe(ops.map(lambda event: (event.seq, "item", event.type)))
        return types.pipe(ops.observe_on(NewThreadScheduler()))

    gates = Gates()
    async with viewing(threaded, gated_workflow(gates)) as site:
        run_id = await ended_run(site, gates)
        body = await read(site, f"/view/{run_id}")
    assert body.count(b"event: item") == (await site.engine.get(run_id)).feed.last_seq


@pytest.mark.parametrize(
    "error", [asyncio.CancelledError("its own"), KeyError("missing")], ids=lambda e: type(e).__name__
)
async def test_whatever_a_view_raises_the_run_goes_on(error: BaseException) -> None:
    """Also a CancelledError, which is no Exception: it must not reach the engine that emits."""

    def fails(_: object) -> object:
        raise error

    gates = Gates()
    async with viewing(lambda events: events.pipe(ops.skip(2), ops.map(fails)), gated_workflow(gates)) as site:
        run = await site.engine.start("gated")
        client = await site.open(f"/view/{run.id}")
        gates.open()
        assert set(await asyncio.wait_for(run, 10)) == {"middle", "slow", "after_fast"}
        assert b'"reason":"view"' in whole(await client.rest())
