"""Clients that come or are closed at a bad moment, and runs that cannot be shown: no stream hangs, little is kept."""

from __future__ import annotations

import gc
import sqlite3
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reactor import Context, Engine, Run, Workflow
from reactor.events.event import Event
from reactor_web import create_app, dialects
from reactor_web.bounds import CHANNEL_BYTES
from reactor_web.dialects import DialectInfo, table
from reactor_web.dialects.native import Native
from reactor_web.streaming.pipeline.piece import Piece
from reactor_web.streaming.pipeline.replay import Part
from tests.helpers.board import Board, Tally
from tests.helpers.server import Gates, Serve, Server, event_ids, gated_workflow, small_workflow
from tests.helpers.site import flood_workflow, frames_of, handed_over, ids_of, poll, serving, site_of, whole

HEAVY_BYTES = 1_000_000
"""More than the sockets of both sides hold."""


class Heavy(Native):
    """Its heartbeats are so large that a client that does not read holds them up."""

    info = DialectInfo("heavy")

    @staticmethod
    def heartbeat(state: None, n: int, time: str) -> bytes:
        return (b":%b\n\n" % (b"x" * 997)) * (HEAVY_BYTES // 1_000)


class Frameless(Native):
    """Has no frame for ``step.made``."""

    info = DialectInfo("frameless")

    @staticmethod
    def step(state: None, event: Event) -> bytes:
        if event.type == "step.made":
            raise ValueError("this event has no frame")
        return Native.step(state, event)


class Flawed(Native):
    """Raises once."""

    info = DialectInfo("flawed")

    def __init__(self) -> None:
        self.has_raised = False

    def step(self, state: None, event: Event) -> bytes:  # type: ignore[override]
        if event.type == "step.made" and not self.has_raised:
            self.has_raised = True
            raise ValueError("this event has no frame yet")
        return Native.step(state, event)


class Unkept(Board):
    """From ``step.made`` on its state cannot be copied."""

    info = DialectInfo("unkept", folds=True)

    def step(self, state: Tally, event: Event) -> bytes:
        if event.type == "step.made":
            vars(state)["lines"] = (line for line in ())
        return super().step(state, event)


@pytest.fixture(autouse=True)
def own_dialects(monkeypatch: pytest.MonkeyPatch) -> None:
    """The dialects ``heavy``, ``frameless``, ``flawed`` and ``unkept``, for one test."""
    monkeypatch.setattr(table, "_by_name", dict(table._by_name))  # pyright: ignore[reportPrivateUsage]
    for dialect in (Heavy(), Frameless(), Flawed(), Unkept()):
        dialects.register(dialect)


# --- a bad moment -----------------------------------------------------------------------------------------------


async def test_a_close_that_is_asked_for_during_a_write_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client without a handler whose connection is full, and whose access ends, is told why once it reads again.

    No event has to come for that: the run may be quiet for hours.
    """
    monkeypatch.setattr("tests.helpers.site.EVENTS", 0)
    gates = Gates()
    async with serving(flow := flood_workflow(gates)) as site:
        run = await site.engine.start(flow)
        client = await site.follow(run, reads=False)
        await client.until(b"task.started")
        await handed_over(site)
        gates["go"].set()
        while not site.stalled:
            before = run.feed.last_seq
            gates["more"].set()
            await poll(lambda before=before: run.feed.last_seq > before, "the run does not go on")
            await poll(lambda: site.stalled or site.places[0].position == run.feed.last_seq, "nothing is written")
        (open_stream,) = site.streams
        open_stream.close("auth")
        frames = frames_of(whole(await client.rest()))
        assert frames[-1].event == "stream.closing"
        assert '"reason":"auth"' in frames[-1].data
        gates.open()


async def test_a_run_that_starts_while_a_heartbeat_is_written_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits for a run gets it, also where its start falls into the write of a heartbeat: never not_found."""
    monkeypatch.setattr("reactor_web.http.query.HEARTBEAT_RANGE", (0.01, 60.0))
    async with serving(flow := small_workflow()) as site:
        path = "/api/v1/runs/later/events?await_run=60&dialect=heavy&heartbeat=0.2"
        client = await site.open(path, reads=False)
        await poll(lambda: site.stalled, "no heartbeat is held up")
        run = await site.engine.start(flow, run_id="later")
        await run.ended()
        text = whole(await client.rest())
        assert ids_of(text) == list(range(1, run.feed.last_seq + 1))
        assert frames_of(text)[-1].event == "stream.end"


# --- what cannot be shown ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", ["frameless", "flawed", "unkept"])
@pytest.mark.parametrize("clients", [1, 2])
async def test_a_stream_that_cannot_be_made_breaks_off(
    dialect: str, clients: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a dialect raises, every client that shares it is cut off, so that it does not take this for the end.

    None is left to wait for ever, and the server goes on: with the run, and with clients of other dialects.
    """
    for module in ("view", "kept"):  # a copy after each event, instead of after 1,000
        monkeypatch.setattr(f"reactor_web.streaming.pipeline.{module}.KEPT_STATE_EVENTS", 1)
    gates = Gates()
    async with serving(flow := gated_workflow(gates)) as site:
        run = await site.engine.start(flow)
        other = await site.follow(run)
        raws = [await site.follow(run, f"?dialect={dialect}") for _ in range(clients)]
        for raw in raws:
            await raw.until(b"\n\n")
        await poll(lambda: sum(place.is_waiting for place in site.places) == clients + 1, "they do not catch up")
        gates["step"].set()
        for raw in raws:
            with pytest.raises(AssertionError):
                whole(await raw.rest())
        await poll(lambda: len(site.streams) == 1, "streams are left that show nothing")
        gates.open()
        assert frames_of(whole(await other.rest()))[-1].event == "stream.end"


def lose_last_window(path: Path) -> int:
    """Deletes the last events of the only run from the file; returns the last seq that is left."""
    connection = sqlite3.connect(path)
    try:
        connection.execute("DELETE FROM windows WHERE position = (SELECT max(position) FROM windows)")
        connection.commit()
        return int(connection.execute("SELECT max(last_seq) FROM windows").fetchone()[0])
    finally:
        connection.close()


async def shortened(server: Server, path: Path, *, ends: bool) -> tuple[Run, int]:
    """A run whose log has lost its last window while nobody looked, and the last seq that is left of it."""
    run = await server.engine.start("gated", run_id="r")
    server.gates["step"].set()
    async with server.events("r") as stream:
        await stream.until("step.made")
    if ends:
        server.gates.open()
        await run.ended()
    left = lose_last_window(path)
    run.feed.forget_ring()
    assert left < run.feed.last_seq
    return run, left


async def test_a_run_that_has_ended_and_lost_its_last_events_still_ends(serve: Serve, tmp_path: Path) -> None:
    """A log that was restored from an older copy: its client is sent what there is, then the end. Nobody spins."""
    server = await gated(serve, path := tmp_path / "runs.db")
    _, left = await shortened(server, path, ends=True)
    async with server.events("r") as stream:
        frames = await stream.all()
    assert event_ids(frames) == list(range(1, left + 1))
    assert frames[-1].event == "stream.end"


async def test_nothing_that_comes_is_skipped_while_a_log_that_lost_events_is_read(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what had been published before the read can be lost: what is committed after it has begun is sent."""
    server = await gated(serve, path := tmp_path / "runs.db")
    run, left = await shortened(server, path, ends=False)
    lost_to, replays = run.feed.last_seq, server.streams.channels.replays
    read_part = replays.read

    async def read(*place: Any) -> Part:
        """A busy loop: the run goes on between the read and what the client makes of it."""
        part = await read_part(*place)
        if not part.data and not run.feed.closed:
            server.gates.open()
            await run.ended()
        return part

    monkeypatch.setattr(replays, "read", read)
    async with server.events("r") as stream:
        frames = await stream.all()
    events = [frame for frame in frames if frame.event != "run.state"]
    assert event_ids(events) == [*range(1, left + 1), *range(lost_to + 1, run.feed.last_seq + 1)]
    assert frames[-1].event == "stream.end"


async def gated(serve: Serve, path: Path) -> Server:
    gates = Gates()
    server = await serve(Engine(f"sqlite:///{path}", grace=0.0), gated_workflow(gates))
    server.gates = gates
    return server


# --- what is kept -----------------------------------------------------------------------------------------------


async def test_what_was_read_for_clients_goes_with_the_last_of_them(server: Server) -> None:
    """A deleted run leaves no feed behind, even where a filter passed nothing of it and its parts have no bytes."""
    feed = await fed(server)
    assert (await server.delete("/runs/r"))[0] == 204
    await poll(lambda: not len(server.streams), "a stream is left")
    gc.collect()
    assert feed() is None


async def fed(server: Server) -> weakref.ref[Any]:
    """The feed of a run that has ended and was read by a client that was passed nothing."""
    run = await server.engine.start("small", run_id="r")
    await run.ended()
    async with server.events("r", "?tasks=nothing&types=task.*") as stream:
        assert [frame.event for frame in await stream.all()] == ["stream.end"]
    return weakref.ref(run.feed)


async def test_a_channel_keeps_nothing_once_its_last_client_has_left(server: Server) -> None:
    """Its frames and pieces do not wait for the garbage collector, which finds a channel and its ring much later."""
    gc.collect()  # what other tests have left
    run = await server.engine.start("gated", run_id="r")
    async with server.events("r") as stream:
        await stream.until("task.started")
        (channel,) = server.streams.channels
        assert channel.ring.read(0)
    await poll(lambda: not len(server.streams), "a stream is left")
    assert channel.ring.end
    assert not channel.ring.read(0)
    assert not list(pieces())
    server.gates.open()
    await run.ended()


def pieces() -> Iterator[Piece]:
    """All that there are, whoever keeps them."""
    return (found for found in gc.get_objects() if isinstance(found, Piece))


async def test_clients_with_cursors_of_their_own_do_not_fill_the_memory() -> None:
    """What is made for each place in a channel is bounded, however many places there were, and goes when it is quiet.

    One client that does not read keeps the channel, and stands behind.
    """
    gc.collect()  # the pieces that other tests have left in the frames of their errors
    gates, flow = Gates(), Workflow("many")

    @flow.task
    async def emit(ctx: Context) -> None:
        await gates["go"].wait()
        for number in range(1_900):
            await ctx.emit("block.made", {"number": number, "text": "x" * 250})
        await gates["end"].wait()

    engine = Engine("memory://", grace=0.0)
    async with engine, site_of(engine, create_app(engine, [flow])) as site:
        run = await engine.start(flow)
        first = await site.follow(run)
        await first.until(b"task.started")
        await handed_over(site)
        gates["go"].set()
        await first.until(b"event: block.made", 1_900)
        await site.follow(run, "?after=2", reads=False)
        await poll(lambda: site.stalled, "it reads")
        for after in range(3, 23):
            client = await site.follow(run, f"?after={after}")
            await client.until(b'"number":1899')
            client.leave("close")
            assert sum(len(piece.data) for piece in pieces()) <= 2 * CHANNEL_BYTES + 512 * 1024
        for _ in range(3):
            site.streams.channels.settle()
        assert not list(pieces())
        gates.open()
