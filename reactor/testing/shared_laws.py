"""The laws of a log that several processes share. Each takes two fresh, opened ends of one log, as two processes have
them, and asserts one law.

    @pytest.mark.parametrize("law", SHARED_LAWS)
    async def test_the_shared_log_keeps_the_law(law):
        await law(mine, theirs)

``LIVE_LAWS`` are those of ``LiveFeed``: what one end commits is told to who follows at the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from reactor.events.event import Event, Window
from reactor.ports.order import Committed, WholeOrder
from reactor.ports.sharing import Lease, LiveFeed
from reactor.ports.stores import Log
from reactor.testing.log_laws import completed, event, is_unknown, started


class SharedLog(Log, Lease, WholeOrder, Protocol):
    """A log that several processes write to."""


class LiveLog(Log, LiveFeed, Protocol):
    """A log that tells what other processes commit."""


PATIENCE: Final = 5.0
"""Seconds that a store has to tell another process."""


async def law_what_is_done_is_seen_at_the_other_end(mine: SharedLog, theirs: SharedLog) -> None:
    """When the future of an append is done, a read that begins then at any end finds the window, and lists the run."""
    for seq in range(1, 21):
        await mine.append("r", [started() if seq == 1 else event(seq)])
        assert [e.seq for e in await theirs.read("r", 0, 100)] == list(range(1, seq + 1))
        assert (await theirs.record("r")).last_seq == seq
    assert [record.run_id for record in await theirs.unfinished()] == ["r"]


async def law_all_ends_see_the_same_order(mine: SharedLog, theirs: SharedLog) -> None:
    """Both write at once: the windows of all runs have one order, with a position each, and both read it."""
    ends = {"a": mine, "b": theirs, "c": mine, "d": theirs}
    positions: list[int] = []
    for run_id, end in ends.items():
        positions.append(await end.append(run_id, [started(run_id)]))
    for seq in range(2, 12):
        positions += await asyncio.gather(*(end.append(id, [event(seq, id)]) for id, end in ends.items()))
    seen = [await _order(end) for end in (mine, theirs)]
    assert seen[0] == seen[1]
    assert [position for position, _, _ in seen[0]] == sorted(positions)
    assert len(set(positions)) == len(positions)
    for run_id in ends:
        assert [seq for _, id, seq in seen[0] if id == run_id] == list(range(1, 12))


async def _order(log: SharedLog) -> list[tuple[int, str, int]]:
    found: list[tuple[int, str, int]] = []
    while page := await log.whole(found[-1][0] if found else 0, 100):
        found += [(at.position, at.run_id, at.first_seq) for at in page if isinstance(at, Committed)]
    return found


async def law_of_two_writers_one_gets_in(mine: SharedLog, theirs: SharedLog) -> None:
    """Two that give one seq to two events: one is committed, the other refused; nothing is in the log twice."""
    await mine.append("r", [started()])
    for seq in range(2, 12):
        windows: list[list[Event]] = [[event(seq, said="mine")], [event(seq, said="theirs")]]
        done = await asyncio.gather(
            mine.append("r", windows[0]), theirs.append("r", windows[1]), return_exceptions=True
        )
        (winner,) = [i for i, outcome in enumerate(done) if not isinstance(outcome, BaseException)]
        for end in (mine, theirs):
            assert (await end.read("r", seq - 1, 10)) == windows[winner]


async def law_a_repeat_is_harmless_at_any_end(mine: SharedLog, theirs: SharedLog) -> None:
    """A window that is in the log already may come again from anywhere; it changes nothing and has its position."""
    first, second = [started(), event(2, blob=b"large")], [event(3), event(4)]
    for window in (first, second):
        await mine.append("r", window)
    position = (await mine.record("r")).position
    assert await theirs.append("r", first) == await theirs.append("r", second) == position
    assert await theirs.append("r", [*first, *second]) == position
    assert await mine.read("r", 0, 100) == [*first, *second]
    assert await theirs.append("r", [event(4), event(5)]) > position
    assert [e.seq for e in await mine.read("r", 0, 100)] == [1, 2, 3, 4, 5]


async def law_a_window_with_other_events_is_no_repeat(mine: SharedLog, theirs: SharedLog) -> None:
    """What does not have the very bytes that are in the log is refused, also if only its first events differ."""
    await mine.append("r", [started(), event(2), event(3)])
    for window in (
        [event(3, said="other")],
        [event(2, said="other"), event(3), event(4)],
        [event(3, said="x"), event(4)],
    ):
        assert await _is_refused(theirs, "r", window)
    assert await mine.read("r", 0, 100) == [started(), event(2), event(3)]


async def law_no_hole_comes_in_from_any_end(mine: SharedLog, theirs: SharedLog) -> None:
    """A window that does not follow the last one of all ends is refused."""
    await mine.append("r", [started(), event(2)])
    assert await _is_refused(theirs, "r", [event(4)])
    await theirs.append("r", [event(3)])
    assert await _is_refused(mine, "r", [event(5)])
    await mine.append("r", [event(4)])
    assert [e.seq for e in await theirs.read("r", 0, 100)] == [1, 2, 3, 4]


async def law_who_does_not_hold_a_run_writes_nothing(mine: SharedLog, theirs: SharedLog) -> None:
    """While one end holds a run, windows from the other are refused; also those of its former holder."""
    assert await mine.acquire("r")
    await mine.append("r", [started()])
    assert await _is_refused(theirs, "r", [event(2, said="theirs")])
    mine.release("r")
    await _until_acquired(theirs, "r")
    assert await _is_refused(mine, "r", [event(2, said="mine")])
    await theirs.append("r", [event(2, said="theirs")])
    assert await _is_refused(mine, "r", [event(3, said="mine")])
    assert [e.data.get("said") for e in await mine.read("r", 1, 10)] == ["theirs"]


async def law_a_hold_makes_no_run(mine: SharedLog, theirs: SharedLog) -> None:
    """Who holds an id without a run has not begun one: it is unknown everywhere, and its first window begins it."""
    assert await mine.acquire("r")
    for end in (mine, theirs):
        assert await is_unknown(end.read("r", 0, 10), "r")
        assert await is_unknown(end.record("r"), "r")
        assert await end.unfinished() == []
    await mine.append("r", [started()])
    assert (await theirs.record("r")).status == "running"


async def law_nobody_holds_a_run_that_has_ended(mine: SharedLog, theirs: SharedLog) -> None:
    """Its terminal event frees it: another may hold it at once, to delete it, or for a new run of its id."""
    assert await mine.acquire("r")
    await mine.append("r", [started(), completed(2)])
    assert await theirs.acquire("r")
    theirs.release("r")
    await theirs.delete("r")
    assert await is_unknown(mine.read("r", 0, 10), "r")
    await mine.append("r", [started(workflow="new")])
    assert (await theirs.record("r")).workflow == "new"


async def _until_acquired(log: Lease, run_id: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await log.acquire(run_id):  # noqa: ASYNC110  # the store says nothing when it is free
            await asyncio.sleep(0.01)


async def _is_refused(log: SharedLog, run_id: str, window: Window) -> bool:
    before = [e.json for e in await log.read(run_id, 0, 1_000)]
    try:
        await log.append(run_id, window)
    except Exception:  # whichever: the engine makes LogLost of all
        return [e.json for e in await log.read(run_id, 0, 1_000)] == before
    return False


# --- LiveFeed ---


class _Heard:
    """What a follower was told."""

    def __init__(self) -> None:
        self.seqs: list[int] = []
        self.json: list[bytes] = []
        self.gaps = 0

    def take(self, window: Window | None) -> None:
        if window is None:
            self.gaps += 1
            return
        self.seqs += [e.seq for e in window]
        self.json += [e.json for e in window]

    async def until(self, last: int) -> None:
        async with asyncio.timeout(PATIENCE):
            while not self.seqs or self.seqs[-1] < last:  # noqa: ASYNC110  # told by another process
                await asyncio.sleep(0.005)


async def law_a_follower_is_told_each_window_once_in_order(mine: LiveLog, theirs: LiveLog) -> None:
    """From the moment on when ``follow`` has returned, byte for byte; of its run and tenant only."""
    await mine.append("r", [started()])
    await mine.append("r", [started()], tenant="acme")
    heard = _Heard()
    stop = await theirs.follow("r", heard.take)
    for seq in range(2, 12, 2):
        await mine.append("r", [event(seq), event(seq + 1)])
        await mine.append("r", [event(seq, said="acme"), event(seq + 1)], tenant="acme")
    await heard.until(11)
    assert (heard.seqs, heard.gaps) == (list(range(2, 12)), 0)
    assert heard.json == [e.json for e in await mine.read("r", 1, 100)]
    stop()
    stop()


async def law_who_has_stopped_is_told_nothing(mine: LiveLog, theirs: LiveLog) -> None:
    """Others who follow the same run go on."""
    await mine.append("r", [started()])
    gone, stays = _Heard(), _Heard()
    stop = await theirs.follow("r", gone.take)
    await theirs.follow("r", stays.take)
    await mine.append("r", [event(2)])
    await gone.until(2)
    stop()
    await mine.append("r", [event(3)])
    await stays.until(3)
    assert (gone.seqs, stays.seqs) == ([2], [2, 3])
    again = _Heard()
    await theirs.follow("r", again.take)
    await mine.append("r", [event(4)])
    await again.until(4)
    assert again.seqs == [4]


async def law_an_unknown_run_is_not_followed(mine: LiveLog, theirs: LiveLog) -> None:
    """``follow`` raises UnknownRun."""
    assert await is_unknown(theirs.follow("nobody", lambda window: None), "nobody")


SharedLaw = Callable[[SharedLog, SharedLog], Awaitable[None]]
LiveLaw = Callable[[LiveLog, LiveLog], Awaitable[None]]

SHARED_LAWS: Final[tuple[SharedLaw, ...]] = (
    law_what_is_done_is_seen_at_the_other_end,
    law_all_ends_see_the_same_order,
    law_of_two_writers_one_gets_in,
    law_a_repeat_is_harmless_at_any_end,
    law_a_window_with_other_events_is_no_repeat,
    law_no_hole_comes_in_from_any_end,
    law_who_does_not_hold_a_run_writes_nothing,
    law_a_hold_makes_no_run,
    law_nobody_holds_a_run_that_has_ended,
)
LIVE_LAWS: Final[tuple[LiveLaw, ...]] = (
    law_a_follower_is_told_each_window_once_in_order,
    law_who_has_stopped_is_told_nothing,
    law_an_unknown_run_is_not_followed,
)
