"""The frames that clients share: how many a ring keeps, and which channels are shared."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reactivex import Observable
from reactivex import operators as ops
from reactivex.subject import Subject

from reactor.bounds import PIECE_EVENTS, WINDOW_EVENTS
from reactor.clock import SystemClock
from reactor.events.event import Draft, Event
from reactor.logs.memory import MemoryLog
from reactor.stream.feed import Feed
from reactor_web.bounds import CHANNEL_FRAMES, MAX_SHARED_CHANNELS
from reactor_web.dialects.native import NATIVE
from reactor_web.http.query import StreamOptions
from reactor_web.streaming.connection.direct import Place
from reactor_web.streaming.pipeline.channel import Channel
from reactor_web.streaming.pipeline.channels import Channels
from reactor_web.streaming.pipeline.compose import Encoder, Late, NumberedFrame
from reactor_web.streaming.pipeline.ring import Ring
from reactor_web.streaming.pipeline.view import ViewPipeline


def a_feed() -> Feed:
    return Feed("r", MemoryLog(), SystemClock())


def event(seq: int) -> Event:
    return Event.from_draft(seq, "r", b"2026-11-21T12:00:01.123456Z", Draft("task.progress", b"{}"))


@given(st.lists(st.tuples(st.sampled_from([1, 10, 60, 200]), st.integers(0, 8)) | st.none(), max_size=60))
def test_a_ring_gives_all_frames_from_an_offset_or_says_that_some_are_gone(
    steps: list[tuple[int, int] | None],
) -> None:
    """Offsets count all frames. Who has all events up to a seq finds its place, or hears that a frame is gone.

    None stands for a clear. Of a frame: its size, and by how much its event is older than the last one (0: none).
    """
    called, everything, state = list[int](), list[NumberedFrame](), a_feed().state
    cleared = 0
    ring = Ring(state, 100, lambda: called.append(1))
    for step in steps:
        if step is None:
            ring.clear()
            cleared = state.seq
            assert ring.read(ring.end) == []
        else:
            size, age = step
            state.seq += 1
            everything.append((max(state.seq + 1 - age, 0) if age else 0, b"x" * size))
            ring.extend([everything[-1]])
        assert ring.end == len(everything)
        kept = [offset for offset in range(ring.end) if ring.read(offset) is not None]
        for offset in kept:
            assert ring.read(offset) == everything[offset:]
        assert len(kept) <= 1 or sum(len(data) for _, data in everything[kept[0] :]) <= 100
        assert (ring.end - 1 in kept) == (step is not None) or not everything
        gone = [seq for seq, _ in everything[: kept[0] if kept else ring.end]]
        for seq in range(state.seq + 1):
            offset = ring.offset_after(seq)
            if offset is None:
                assert seq < max([cleared, *gone])
            else:
                assert [frame for frame in everything[:offset] if frame[0] > seq] == []
    assert len(called) == len(everything), "each frame is told of"


def test_a_ring_keeps_so_many_frames_however_small() -> None:
    """The number of frames is bounded, not only their bytes: a heartbeat has two bytes."""
    ring = Ring(a_feed().state, 1_000_000, lambda: None)
    for _ in range(CHANNEL_FRAMES + 5):
        ring.extend([(0, b":\n")])
    assert ring.read(4) is None
    assert len(ring.read(5) or []) == CHANNEL_FRAMES


async def test_beyond_so_many_channels_of_a_run_a_client_has_one_of_its_own() -> None:
    """Equal options share a channel up to the limit; a channel is forgotten when its last client leaves."""
    channels, feed = Channels(), a_feed()
    joined: list[tuple[StreamOptions, Channel, Place]] = []
    for seconds in range(1, MAX_SHARED_CHANNELS + 1):
        options = StreamOptions(heartbeat=float(seconds))
        channel, client = channels.of(feed, options, 0), Place(None, 0, 0)
        channel.join(client, lambda: None)
        joined.append((options, channel, client))
        assert channels.of(feed, replace(options, after=7), 7) is channel
    late = StreamOptions(heartbeat=3600.0)
    assert channels.of(feed, late, 0) is not channels.of(feed, late, 0)
    assert list(channels) == [channel for _, channel, _ in joined]
    for options, channel, client in joined:
        channels.leave(channel, options, client)
    assert list(channels) == []


async def test_beyond_so_many_views_of_a_run_a_client_has_one_of_its_own() -> None:
    """Views count among the shared channels of a run, and one beyond the limit keeps no history for others."""
    channels, feed, loop = Channels(), a_feed(), asyncio.get_running_loop()
    joined: list[tuple[StreamOptions, Channel, Place]] = []
    for number in range(MAX_SHARED_CHANNELS + 2):
        options = StreamOptions(view=partial(_same, number))
        channel, client = channels.of_view(feed, options, ViewPipeline("r", options, loop)), Place(None, 0, 0)
        channel.join(client, lambda: None)
        joined.append((options, channel, client))
    assert list(channels) == [channel for _, channel, _ in joined[:MAX_SHARED_CHANNELS]]
    assert [channels.shared(feed, options) for options, _, _ in joined[-2:]] == [None, None]
    for options, channel, client in joined:
        channels.leave(channel, options, client)
    assert list(channels) == []


def _same(_: int, events: Observable[Any]) -> Observable[Any]:
    return events


async def test_a_gap_is_an_item_of_a_view_with_the_address_of_its_end() -> None:
    """What a trimmed log begins with reaches the view, and a client whose cursor is behind the gap is not sent it."""
    view = ViewPipeline("r", StreamOptions(view=partial(_same, 0)), asyncio.get_running_loop())
    entries: list[NumberedFrame] = []
    view.on_entry = entries.append
    view.push([a_feed().gap(1, 4, "trimmed"), event(5)])
    assert [seq for seq, _ in entries] == [4, 5]
    assert entries[0][1].startswith(b"event: stream.gap\n")
    assert view.history.after(4) == [entries[1]]


@pytest.mark.parametrize(("late", "has_id"), [(3, False), (5, False), (6, True)])
def test_a_late_event_has_its_id_if_ids_still_grow_with_it(late: int, has_id: bool) -> None:
    """A late event has an id only if it is above the last one; its seq always goes with its frame."""
    encode = Encoder(NATIVE).encode
    encode(event(5))
    seq, frame = encode(Late(event(late)))
    assert seq == late
    assert frame.startswith(b"id: ") == has_id


async def test_a_channel_that_is_full_gives_its_pipeline_no_more_than_comes() -> None:
    """However much it holds: a dialect may take a tenth of a millisecond for each event, and others want the loop."""
    gone = list[int]()

    def noted(source: Observable[Any]) -> Observable[Any]:
        return source.pipe(ops.do_action(lambda window: gone.append(len(window))), ops.filter(lambda _: False))

    channel = Channel(a_feed(), Subject[Any](), noted, 0)
    largest = 0
    for first in range(1, 40 * PIECE_EVENTS, PIECE_EVENTS):
        before = sum(gone)
        channel._hold([event(seq) for seq in range(first, first + PIECE_EVENTS)])
        largest = max(largest, sum(gone) - before)
        assert first + PIECE_EVENTS - 1 - sum(gone) < WINDOW_EVENTS
    assert largest == PIECE_EVENTS
    channel._push()
    assert sum(gone) == 40 * PIECE_EVENTS


async def test_a_channel_whose_pipeline_raises_holds_nothing_more() -> None:
    """What comes afterwards is dropped, however much it is."""

    def broken(source: Observable[Any]) -> Observable[Any]:
        return source.pipe(ops.map(lambda window: 1 // 0))

    channel = Channel(a_feed(), Subject[Any](), broken, 0)
    for first in range(1, 40 * PIECE_EVENTS, PIECE_EVENTS):
        channel._hold([event(seq) for seq in range(first, first + PIECE_EVENTS)])
    assert channel.completed
    assert isinstance(channel.error, ZeroDivisionError)
