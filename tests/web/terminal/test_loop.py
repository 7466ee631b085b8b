"""How ``reactor serve`` takes what comes: few at a time, all of them in the end, and nothing for who asks nothing."""

from __future__ import annotations

import asyncio
import os
import random
import select
import selectors
import shutil
import socket
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from reactor_web.terminal.arrivals import Arrivals
from reactor_web.terminal.memory import FEWER, give_memory_back, trimmer
from reactor_web.terminal.turns import AT_ONCE, make_loop
from tests.helpers.command import end, start_server
from tests.helpers.paths import ROOT
from tests.helpers.site import poll

pytestmark = pytest.mark.skipif(not hasattr(select, "epoll"), reason="this system has no epoll")
MANY = 10 * AT_ONCE + 1


@pytest.fixture
def selector() -> Iterator[selectors.BaseSelector]:
    loop = make_loop()
    yield loop._selector  # type: ignore[attr-defined]  # what the loop asks
    loop.close()


@pytest.fixture
def pairs() -> Iterator[list[tuple[socket.socket, socket.socket]]]:
    with ExitStack() as opened:
        found = [socket.socketpair() for _ in range(MANY)]
        for pair in found:
            for end in pair:
                opened.enter_context(end)
        yield found


def reported(selector: selectors.BaseSelector, timeout: float | None = 0) -> list[int]:
    return [key.fd for key, _ in selector.select(timeout)]


def test_a_turn_reports_few_and_the_next_ones_all_others(
    selector: selectors.BaseSelector, pairs: list[tuple[socket.socket, socket.socket]]
) -> None:
    """Nobody reads, so all stay ready: each is reported in its turn, and none twice before the others."""
    for near, far in pairs:
        selector.register(near, selectors.EVENT_READ)
        far.send(b"x")
    counts = Counter[int]()
    for turn in range(1, 6 * MANY // AT_ONCE):
        fds = reported(selector)
        assert len(fds) == AT_ONCE
        counts.update(fds)
        assert sum(counts.values()) == turn * AT_ONCE
        often = [counts[near.fileno()] for near, _ in pairs]
        assert max(often) - min(often) <= 1, "who was reported waits until all others were"


def test_what_comes_while_others_wait_has_its_turn(
    selector: selectors.BaseSelector, pairs: list[tuple[socket.socket, socket.socket]]
) -> None:
    """One that becomes ready behind a crowd that stays ready is reported within one round of that crowd."""
    *crowd, (late, its_end) = pairs
    for near, far in crowd:
        selector.register(near, selectors.EVENT_READ)
        far.send(b"x")
    selector.register(late, selectors.EVENT_READ)
    for _ in range(3):
        reported(selector)
    its_end.send(b"x")
    turns = next(turn for turn in range(MANY) if late.fileno() in reported(selector))
    assert turns <= MANY // AT_ONCE + 1


@pytest.mark.parametrize("seed", range(20))
def test_everything_that_is_ready_is_reported_whatever_is_done_meanwhile(
    selector: selectors.BaseSelector, pairs: list[tuple[socket.socket, socket.socket]], seed: int
) -> None:
    """Sockets are written to, read, modified, unregistered and closed between turns, as the loop does."""
    chance = random.Random(seed)
    known: dict[int, tuple[socket.socket, socket.socket]] = {}
    waiting, gone = set[int](), set[int]()
    for near, far in pairs:
        selector.register(near, selectors.EVENT_READ)
        known[near.fileno()] = (near, far)
    for _ in range(300):
        fd = chance.choice([*known])
        near, far = known[fd]
        match chance.randrange(5):
            case 0 | 1 if fd not in waiting:
                far.send(b"x")
                waiting.add(fd)
            case 2 if len(known) > AT_ONCE:
                selector.unregister(near)
                if chance.random() < 0.5:
                    near.close()
                gone.add(fd)
                del known[fd]
                waiting.discard(fd)
            case 3:
                selector.modify(near, selectors.EVENT_READ | selectors.EVENT_WRITE)
                selector.modify(near, selectors.EVENT_READ)
            case _:
                for found in reported(selector):
                    assert found in waiting, (
                        f"nothing is there to read: {found}, of those that are gone {found in gone}"
                    )
                    known[found][0].recv(1)
                    waiting.remove(found)
    for _ in range(len(waiting) // AT_ONCE + 1):
        for found in reported(selector):
            known[found][0].recv(1)
            waiting.remove(found)
    assert not waiting
    assert reported(selector) == [], "a timeout of 0 comes back at once"


def test_a_socket_that_was_closed_without_a_word_takes_nobodys_turn(
    selector: selectors.BaseSelector, pairs: list[tuple[socket.socket, socket.socket]]
) -> None:
    for near, far in pairs:
        selector.register(near, selectors.EVENT_READ)
        far.send(b"x")
    closed = {near.fileno() for near, _ in pairs[: 5 * AT_ONCE]}
    for near, _ in pairs[: 5 * AT_ONCE]:
        near.close()
    found = {fd for _ in range(2 * MANY // AT_ONCE) for fd in reported(selector)}
    assert found == {near.fileno() for near, _ in pairs[5 * AT_ONCE :]}
    assert not found & closed


# --- a server -----------------------------------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("ss") is None, reason="there is no ss")
def test_the_system_keeps_as_many_connections_waiting_as_it_may() -> None:
    """A turn accepts few, so those that come together must have where to wait: 4,096, or what the system has."""
    url, process = start_server(ROOT / "examples/hello.py", "--store", "memory://")
    try:
        port = url.rpartition(":")[2].partition("/")[0]
        shown = subprocess.run(["ss", "-Hltn", f"sport = :{port}"], capture_output=True, text=True, timeout=20)
        allowed = int(Path("/proc/sys/net/core/somaxconn").read_text())
        assert int(shown.stdout.split()[2]) == min(4_096, allowed), shown
    finally:
        end(process)


class Served(asyncio.Protocol):
    """What a connection gets when it asks."""

    made: list[Served] = []  # noqa: RUF012  # cleared by the fixture

    def __init__(self) -> None:
        self.data = b""
        self.lost = False
        self.made.append(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.data += data
        self.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True


@pytest.fixture
async def arrivals(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Arrivals, int]]:
    Served.made.clear()
    arrivals = Arrivals(Served, getattr(request, "param", 60.0))
    server = await asyncio.get_running_loop().create_server(arrivals, "127.0.0.1", 0)
    yield arrivals, server.sockets[0].getsockname()[1]
    server.close()
    arrivals.close()


async def test_a_connection_is_served_from_its_first_byte(arrivals: tuple[Arrivals, int]) -> None:
    """All of what it sends gets there, in order; whoever sends nothing has nothing made for it."""
    there, port = arrivals
    silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(5)]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await poll(lambda: len(there) == 6, "all have come")
    assert not Served.made
    writer.write(b"G")
    assert await reader.readexactly(1) == b"G"
    writer.write(b"ET")
    assert await reader.readexactly(2) == b"ET"
    assert [served.data for served in Served.made] == [b"GET"]
    assert len(there) == 5
    writer.close()
    await poll(lambda: Served.made[0].lost, "who serves it is told that it has gone")
    silent[0][1].close()
    silent[1][1].transport.abort()
    await poll(lambda: len(there) == 3, "who leaves without a word is forgotten")
    there.close()
    for left, _ in silent[2:]:
        assert await left.read() == b"", "the end of the server ends those that wait"
    for _, its_writer in silent:
        its_writer.close()
    assert not len(there)


@pytest.mark.parametrize("arrivals", [0.2], indirect=True)
async def test_a_connection_that_never_asks_ends(arrivals: tuple[Arrivals, int]) -> None:
    """It ends after the patience of the server, and one that has asked does not."""
    _, port = arrivals
    asking, silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
    asking[1].write(b"x")
    assert await asyncio.wait_for(silent[0].read(), 30) == b""
    assert await asking[0].readexactly(1) == b"x"
    asking[1].write(b"y")
    assert await asking[0].readexactly(1) == b"y"
    asking[1].close()
    silent[1].close()


class Open:
    """Open streams, and how often somebody has asked how many."""

    def __init__(self) -> None:
        self.count = self.looks = 0

    def __len__(self) -> int:
        self.looks += 1
        return self.count

    async def set(self, count: int) -> None:
        """Returns when that was seen."""
        self.count, seen = count, self.looks + 6
        await poll(lambda: self.looks > seen, "nobody looks at the streams")


async def test_memory_is_given_back_when_many_streams_have_closed() -> None:
    """Once for each time that there are many fewer, and not for few."""
    streams, trimmed = Open(), list[int]()
    giving = asyncio.create_task(give_memory_back(streams, lambda: trimmed.append(streams.count), look=0, settle=0))
    try:
        for count, times in (
            (FEWER - 1, 0),
            (0, 0),
            (FEWER, 0),
            (0, 1),
            (10, 1),
            (FEWER + 9, 1),
            (10, 1),
            (9, 2),
            (0, 2),
        ):
            await streams.set(count)
            assert len(trimmed) == times, (count, trimmed)
    finally:
        giving.cancel()


@pytest.mark.skipif(trimmer() is None, reason="this C library has no malloc_trim")
def test_memory_that_is_free_goes_back_to_the_system() -> None:
    """Blocks below one that stays are kept by the allocator, until it is told to give them back."""

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")

    trim = trimmer()
    assert trim is not None
    blocks = [b"x" * 60_000 for _ in range(1_000)]
    stays = [bytes(60_000) for _ in range(1)]
    del blocks
    trim()
    before = resident()
    blocks = [b"x" * 60_000 for _ in range(1_000)]
    stays.append(b"x" * 60_000)
    assert resident() - before > 30e6
    del blocks
    trim()
    assert resident() - before < 10e6
    assert len(stays) == 2
