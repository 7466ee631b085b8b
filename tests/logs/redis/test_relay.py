"""Live windows of other processes: what is missed is told, and read from the log."""

from __future__ import annotations

import asyncio

import pytest

from reactor.clock import SystemClock
from reactor.events.event import Window
from reactor.logs.redis.log import RedisLog
from reactor.logs.redis.url import open_redis
from reactor.stream.feed import Closed, Feed
from reactor.stream.relayed import Relayed
from reactor.testing.log_laws import event, started
from tests.helpers.redis import RedisServer
from tests.helpers.runs import wait_until


async def test_a_connection_that_breaks_is_made_again_and_told(
    server: RedisServer, ends: tuple[RedisLog, RedisLog]
) -> None:
    """Who follows is told that windows may be missing, once, and of each window from then on."""
    mine, theirs = ends
    await mine.append("r", [started()])
    heard: list[Window | None] = []
    await theirs.follow("r", heard.append)
    await mine.append("r", [event(2)])
    await wait_until(lambda: len(heard) == 1)
    assert server.say("CLIENT", "KILL", "TYPE", "pubsub").startswith(":1")
    await mine.append("r", [event(3)])
    await wait_until(lambda: None in heard)
    await mine.append("r", [event(4)])
    await wait_until(lambda: heard[-1] is not None and heard[-1][-1].seq == 4)
    told = [None if window is None else [e.seq for e in window] for window in heard]
    assert told in ([[2], None, [4]], [[2], None, None, [4]])  # 3 was said to nobody


async def test_of_all_runs_what_others_commit_is_told(ends: tuple[RedisLog, RedisLog]) -> None:
    """Of one tenant, also where somebody follows one of them, and of those that begin later; not what is one's own."""
    mine, theirs = ends
    heard: list[tuple[str, list[int]]] = []

    def take(window: Window | None) -> None:
        assert window is not None
        heard.append((window[0].run_id, [e.seq for e in window]))

    stop = await theirs.follow_all(take)
    others: list[Window | None] = []
    stop_others = await theirs.follow_all(others.append, tenant="a:b")
    await mine.append("a", [started("a"), event(2, "a")])
    one: list[Window | None] = []
    await theirs.follow("a", one.append)
    await mine.append("b", [started("b")], tenant="a:b")
    await theirs.acquire("c")
    await theirs.append("c", [started("c")])
    await mine.append("a", [event(3, "a")])
    await wait_until(lambda: len(heard) == 2)
    assert heard == [("a", [1, 2]), ("a", [3])]
    await wait_until(lambda: len(one) == 1)
    assert [[e.run_id for e in window or ()] for window in others] == [["b"]]
    for end in (stop, stop, stop_others):
        end()
    await mine.append("a", [event(4, "a")])
    await wait_until(lambda: len(one) == 2)
    assert (len(heard), len(others)) == (2, 1)


async def test_another_log_in_the_same_redis_hears_nothing(server: RedisServer, log: RedisLog) -> None:
    """Logs with other prefixes, and in other databases, are others; their runs may have the same ids."""
    others = [open_redis(server.url()), open_redis(server.url(log.prefix, db=1))]
    heard: list[Window | None] = []
    for other in others:
        await other.open()
        await other.append("r", [started(), event(2)])
        await other.follow("r", heard.append)
    await log.append("r", [started()])
    mine: list[Window | None] = []
    await log.follow("r", mine.append)
    await log.append("r", [event(2, said="mine")])
    await wait_until(lambda: bool(mine))
    assert heard == []
    assert [(await other.record("r")).last_seq for other in others] == [2, 2]
    for other in others:
        await other.close()


async def test_a_follower_that_raises_harms_no_other(ends: tuple[RedisLog, RedisLog]) -> None:
    """It is logged."""
    mine, theirs = ends
    await mine.append("r", [started()])
    heard: list[Window | None] = []

    def broken(window: Window | None) -> None:
        raise RuntimeError("broken")

    await theirs.follow("r", broken)
    await theirs.follow("r", heard.append)
    for seq in (2, 3):
        await mine.append("r", [event(seq)])
    await wait_until(lambda: len(heard) == 2)
    await asyncio.sleep(0)


async def test_who_follows_as_another_stops_hears_everything(ends: tuple[RedisLog, RedisLog]) -> None:
    """The last one leaves the channel while the next one comes: it is listened to."""
    mine, theirs = ends
    await mine.append("r", [started()])
    for seq in range(2, 12):
        stop = await theirs.follow("r", lambda window: None)
        heard: list[Window | None] = []
        stop()
        again = await theirs.follow("r", heard.append)
        await mine.append("r", [event(seq)])
        await wait_until(lambda heard=heard: bool(heard))
        again()


async def test_a_connection_that_breaks_is_made_again_once(server: RedisServer, log: RedisLog) -> None:
    """By who reads on it: whoever says something on it, in whatever turn of the loop until then, makes none that
    nobody closes."""

    def listeners() -> int:
        return server.say("CLIENT", "LIST", "TYPE", "pubsub").count("addr=")

    before = listeners()
    await log.append("r", [started()])
    for turns in range(10):
        theirs = open_redis(server.url(log.prefix))
        await theirs.open()
        await theirs.follow("r", lambda window: None)
        server.say("CLIENT", "KILL", "TYPE", "pubsub")
        first = asyncio.ensure_future(theirs.follow("r", lambda window: None))  # it finds that it is broken
        for _ in range(turns):
            await asyncio.sleep(0)
        await asyncio.gather(first, theirs.follow("r", lambda window: None))
        await theirs.close()
        await wait_until(lambda: listeners() == before)


@pytest.mark.parametrize("kept", [1, 2, 3])
async def test_a_feed_does_not_go_on_behind_what_the_log_has_lost(log: RedisLog, kept: int) -> None:
    """A run was executed here, and goes on in another process, or comes back: as its last event was shown, it must
    stand in the log. Else the log has lost it, whether another stands there, or fewer, or more."""
    await log.append("r", [started(), *(event(seq, text="new") for seq in range(2, kept + 1))])
    shown = Feed("r", log, SystemClock())
    shown.publish([started(), event(2, text="old")])
    relay = Relayed(shown, SystemClock())
    assert not await relay.come_to(kept)
    relay = Relayed(shown, SystemClock())
    await relay.begin(log, "")
    assert shown.closed == Closed.LOG
    same = Feed("r", log, SystemClock())
    same.publish([started()])
    assert await Relayed(same, SystemClock()).come_to(kept)
    assert (same.last_seq, same.closed) == (kept, None)
