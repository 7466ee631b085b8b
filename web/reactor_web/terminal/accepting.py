"""Accepts connections: few in one turn of the loop, and none while the process has no descriptors to spare.

asyncio takes as many connections in one turn as its backlog says, and at the descriptor limit it tries again as often
as that, each time with a timer of its own: some thousand lines a second. Here the listening sockets are not looked at
until there is room again; clients wait in the backlog of the system, and what is open goes on. Some descriptors are
never given to connections: the log, its checkpoints and bodies in processes need them.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from reactor.logger import get_logger
from reactor_web.http.keys import Room

try:
    import resource
except ImportError:  # Windows: there is no such limit
    resource = None

logger = get_logger("reactor.web")

ACCEPTS: Final = 4
"""Connections that are accepted in one turn of the loop."""
LOOK_SECONDS: Final = 0.25
"""How often it is looked whether there is room again."""
SAY_SECONDS: Final = 60.0
"""How often it is said at most that there is none."""
RESERVED: Final = 64
"""Descriptors that connections do not get; a quarter where the limit is small."""


class Accepting:
    """Accepts the connections of listening sockets, which it closes at its end.

    - ``make``: makes the protocol of a connection.
    - ``room``: says to others whether there is room for more.
    """

    def __init__(self, make: Callable[[], asyncio.Protocol], sockets: Sequence[socket.socket], room: Room) -> None:
        self._make = make
        self.sockets = sockets
        self._room = room
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._said: float | None = None
        """Loop time at which it was said that there is no room."""
        self._is_said = False
        """Whether that is the last that was said."""
        self._listen()

    def close(self) -> None:
        """Accepts no more. What is open stays."""
        if self._timer is not None:
            self._timer.cancel()
        self._ignore()
        for listening in self.sockets:
            listening.close()

    def _listen(self) -> None:
        for listening in self.sockets:
            self._loop.add_reader(listening, self._accept, listening)

    def _ignore(self) -> None:
        for listening in self.sockets:
            self._loop.remove_reader(listening)

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(ACCEPTS):
            try:
                connection, _ = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:  # no descriptors, no memory for one: here, or in the whole system
                self._pause(error.strerror or str(error))
                return
            connection.setblocking(False)
            task = self._loop.create_task(self._serve(connection))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            if connection.fileno() >= most_descriptors():  # the system gives the lowest number that is free
                self._pause("the rest is kept for the log and for bodies")
                return

    async def _serve(self, connection: socket.socket) -> None:
        try:
            connection.getpeername()  # one whose client has gone meanwhile has no address, by which it could be told
            await self._loop.connect_accepted_socket(self._make, connection)
        except OSError as error:
            logger.debug("a connection ended as soon as it was accepted", error=str(error))
            connection.close()

    def _pause(self, why: str) -> None:
        """Accepts nothing until there is room; says so, but not again and again."""
        self._ignore()
        self._room.is_full = True
        self._timer = self._loop.call_later(LOOK_SECONDS, self._look)
        now = self._loop.time()
        if self._said is None or now - self._said >= SAY_SECONDS:
            self._said, self._is_said = now, True
            logger.warning("new connections wait: no descriptors are left for them", limit=limit(), why=why)

    def _look(self) -> None:
        if not self._has_room():
            self._timer = self._loop.call_later(LOOK_SECONDS, self._look)
            return
        self._timer = None
        self._room.is_full = False
        if self._is_said:
            self._is_said = False
            logger.info("new connections are accepted again", limit=limit())
        self._listen()

    def _has_room(self) -> bool:
        """Whether the next connection would have a descriptor that it may have."""
        try:
            probe = os.dup(self.sockets[0].fileno())
        except OSError:
            return False
        os.close(probe)
        return probe < most_descriptors()


def limit() -> int | None:
    """How many descriptors this process may have; None: that is not limited."""
    if resource is None:
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft


def most_descriptors() -> float:
    """The first descriptor that is not for connections."""
    most = limit()
    return float("inf") if most is None else most - min(RESERVED, most // 4)


async def bind(host: str, port: int, backlog: int) -> list[socket.socket]:
    """Listens at an address, which may stand for several. Raises OSError where that cannot be."""
    server = await asyncio.get_running_loop().create_server(asyncio.Protocol, host, port, start_serving=False)
    copies = [socket.socket(fileno=os.dup(listening.fileno())) for listening in server.sockets]
    server.close()  # it has only found and bound the addresses
    try:
        for copy in copies:
            copy.setblocking(False)
            copy.listen(backlog)
    except OSError:
        for copy in copies:
            with suppress(OSError):
                copy.close()
        raise
    return copies
