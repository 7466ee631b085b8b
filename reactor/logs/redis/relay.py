"""The windows that other processes commit: one connection that listens to the channels of the runs that are followed.

Redis tells each window to whoever listens at that moment. What is missed, because the connection broke or Redis had too
much to tell, is in the log, and followers are told to read it there.
"""

from __future__ import annotations

import asyncio
import builtins
import random
from collections.abc import Callable, Iterable
from typing import Any, Final

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError, TimeoutError

from reactor.errors import LogUnavailable
from reactor.events.event import Window
from reactor.logger import get_logger
from reactor.logs.redis.calls import Calls
from reactor.logs.redis.server import refused
from reactor.logs.redis.windows import events_of
from reactor.logs.redis.wire import FIRST_PAUSE_SECONDS, MOST_PAUSE_SECONDS, reader_of
from reactor.ports.sharing import Stop

logger = get_logger()

Take = Callable[[Window | None], None]
PING_SECONDS: Final = 2.0


class _Channel:
    """Those who follow one run."""

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self.last = 0
        """The last seq that was told; 0: none was."""
        self.takers: list[Take] = []

    def tell(self, window: Window | None) -> None:
        _tell(self.takers, self.run_id, window)


class Relay:
    """Implements ``LiveFeed``. It connects when somebody follows for the first time. Loop thread only."""

    def __init__(self, calls: Calls, is_own: Callable[[str], bool]) -> None:
        self._calls = calls
        self._is_own = is_own
        self._channels: dict[str, _Channel] = {}
        self._all: dict[str, list[Take]] = {}
        """By tenant: those who follow all of its runs."""
        self._heard_on: dict[str, Callable[[bytes], None]] = {}
        """By channel: who is told whatever is said there."""
        self._waiting: dict[str, list[asyncio.Future[None]]] = {}
        """By channel: who waits until Redis listens for it."""
        self._connection: AbstractConnection | None = None
        self._life: asyncio.Task[None] | None = None
        self._sending = asyncio.Lock()
        self._leaving: set[asyncio.Task[None]] = set()
        self._heard = 0

    # --- following ---

    async def follow(self, run_id: str, tenant: str, take: Take) -> Stop:
        """See ``LiveFeed.follow``."""
        name = self._calls.names.channel(run_id, tenant)
        channel = self._channels.get(name)
        if channel is None:
            channel = self._channels[name] = _Channel(run_id)
        channel.takers.append(take)

        def stop() -> None:
            if take in channel.takers:
                channel.takers.remove(take)
            if not channel.takers and self._channels.get(name) is channel:
                del self._channels[name]
                self._leave("UNSUBSCRIBE", name)

        try:
            await self._listen("SUBSCRIBE", name)
            await self._calls.read_of(run_id, tenant, "field", "last")
        except BaseException:
            stop()
            raise
        return stop

    async def follow_all(self, tenant: str, take: Take) -> Stop:
        """See ``LiveFeed.follow_all``."""
        pattern = self._calls.names.channels + ":*"
        self._all.setdefault(tenant, []).append(take)

        def stop() -> None:
            takers = self._all.get(tenant, [])
            if take in takers:
                takers.remove(take)
            if not takers and self._all.pop(tenant, None) is not None and not self._all:
                self._leave("PUNSUBSCRIBE", pattern)

        try:
            await self._listen("PSUBSCRIBE", pattern)
        except BaseException:
            stop()
            raise
        return stop

    async def hear(self, name: str, take: Callable[[bytes], None]) -> Stop:
        """Calls ``take`` with whatever is said on a channel that is no run's; one taker a channel."""
        self._heard_on[name] = take

        def stop() -> None:
            if self._heard_on.pop(name, None) is not None:
                self._leave("UNSUBSCRIBE", name)

        try:
            await self._listen("SUBSCRIBE", name)
        except BaseException:
            stop()
            raise
        return stop

    async def close(self) -> None:
        """Tells nobody anything more."""
        self._channels.clear()
        self._all.clear()
        if self._life is not None:
            self._life.cancel()
            await asyncio.wait({self._life})
        for future in (future for futures in self._waiting.values() for future in futures):
            future.cancel()

    async def _listen(self, command: str, name: str) -> None:
        """Returns once Redis tells what is published there."""
        if self._life is None:
            self._life = asyncio.ensure_future(self._live())
        listening: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(name, [])
        waiting.append(listening)
        try:
            await self._say(command, name)
            async with asyncio.timeout(self._calls.patience):  # wait_for of Python 3.11 may lose a cancellation
                await listening
        except builtins.TimeoutError as error:
            raise refused(self._calls.place, error) from error
        finally:
            waiting.remove(listening)
            if not waiting and self._waiting.get(name) is waiting:
                del self._waiting[name]

    def _leave(self, command: str, name: str) -> None:
        """Listens there no more."""
        if self._connection is not None:
            leaving = asyncio.ensure_future(self._say(command, name))
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)

    def _is_wanted(self, name: str) -> bool:
        return name in self._channels or name in self._heard_on or (name.endswith("*") and bool(self._all))

    async def _say(self, *parts: str) -> None:
        """Says something on the connection, if there is one; a new one says all that is needed by itself."""
        async with self._sending:
            connection = self._connection
            if "UNSUB" in parts[0] and self._is_wanted(parts[1]):
                return  # somebody has come meanwhile
            if connection is not None and connection.is_connected:  # else it would connect again, for nobody
                try:
                    await connection.send_command(*parts, check_health=False)
                except (RedisError, OSError):
                    pass  # whoever reads on it finds that it is broken

    # --- the connection ---

    async def _live(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        was_connected = False
        while True:
            try:
                connection = await self._calls.connect()
            except (LogUnavailable, RedisError, OSError):  # the other connections say so
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))
                pause = min(2 * pause, MOST_PAUSE_SECONDS)
                continue
            pause = FIRST_PAUSE_SECONDS
            try:
                await self._work(connection, was_connected)
            except (RedisError, OSError) as error:
                logger.warning(
                    "live events of other processes are read from the log", error=str(refused(self._calls.place, error))
                )
            finally:
                self._connection = None
                await connection.disconnect(nowait=True)
            was_connected = True

    async def _work(self, connection: AbstractConnection, was_connected: bool) -> None:
        self._connection = connection
        names, patterns = [*self._channels, *self._heard_on], [self._calls.names.channels + ":*"] if self._all else []
        for command, wanted in (("SUBSCRIBE", names), ("PSUBSCRIBE", patterns)):
            if wanted:
                await self._say(command, *wanted)
        jobs = [asyncio.ensure_future(self._hear(connection, was_connected)), asyncio.ensure_future(self._look())]
        try:
            done, _ = await asyncio.wait(jobs, return_when=asyncio.FIRST_COMPLETED)
            for job in done:
                job.result()
        finally:
            for job in jobs:
                job.cancel()
            await asyncio.gather(*jobs, return_exceptions=True)

    async def _look(self) -> None:
        """Ends where nothing is heard for long, not even the answer to a ping."""
        seen, silent = -1, 0.0
        while silent < self._calls.patience:
            await self._say("PING")
            await asyncio.sleep(PING_SECONDS)
            silent = silent + PING_SECONDS if seen == self._heard else 0.0
            seen = self._heard
        raise TimeoutError(f"nothing was heard for {silent:g} seconds")

    async def _hear(self, connection: AbstractConnection, was_connected: bool) -> None:
        read = reader_of(connection)
        while True:
            message: list[Any] = await read(disconnect_on_error=False)
            self._heard += 1
            kind: bytes = message[0]
            if kind == b"message":
                self._take(message[1].decode(), message[2])
            elif kind == b"pmessage":
                self._take_all(message[2].decode(), message[3])
            elif kind in (b"subscribe", b"psubscribe"):
                self._listens(message[1].decode(), was_connected)
            # else the end of listening, or the answer to a ping

    def _listens(self, name: str, is_again: bool) -> None:
        for future in self._waiting.pop(name, ()):
            if not future.done():
                future.set_result(None)
        if not is_again:
            return
        channel = self._channels.get(name)
        if channel is not None:
            channel.tell(None)
        elif name.endswith("*"):
            for takers in list(self._all.values()):
                _tell(takers, "", None)

    def _take(self, name: str, data: bytes) -> None:
        channel = self._channels.get(name)
        if channel is None:
            take = self._heard_on.get(name)
            if take is not None:
                try:
                    take(data)
                except Exception as error:  # of one who hears; this connection is for all
                    logger.error("what others say was not understood", exc_info=error)
            return
        window = _window(channel.run_id, data)
        if channel.last and window[0].seq != channel.last + 1:
            channel.tell(None)
        channel.last = window[-1].seq
        channel.tell(window)

    def _take_all(self, name: str, data: bytes) -> None:
        tenant, _, run_id = name.removeprefix(self._calls.names.channels + ":").rpartition(":")
        takers = self._all.get(tenant)
        if takers and not self._is_own(data[: data.index(b"\n")].rpartition(b" ")[2].decode()):
            _tell(takers, run_id, _window(run_id, data))


def _tell(takers: Iterable[Take], run_id: str, window: Window | None) -> None:
    for take in list(takers):
        try:
            take(window)
        except Exception as error:  # of one follower; the others go on
            logger.error("a follower of a run raised", run_id=run_id, exc_info=error)


def _window(run_id: str, data: bytes) -> Window:
    head, _, lines = data.partition(b"\n")
    return events_of(run_id, int(head.partition(b" ")[0]), lines)
