"""One connection to Redis for many callers: what is called while others wait travels with them.

Calls are sent in their order, without waiting for the answers of those before, and are answered in that order. All that
is called in one turn of the loop is one write. When the connection breaks it is made again, and what was not answered
is sent again, in its order: each function of the log may be called twice. Nobody knows of a call whose answer was lost
whether it was carried out, so it is not given up before Redis has answered it, or the log is closed.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable, Generator, Iterable
from contextlib import contextmanager, suppress
from typing import Any, Final, cast

import hiredis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import BusyLoadingError, ConnectionError, ReadOnlyError, RedisError, ResponseError, TimeoutError

from reactor.errors import LogUnavailable
from reactor.logger import get_logger
from reactor.logs.redis.server import refused, unavailable

logger = get_logger()

Part = bytes | str | int | float
_pack = cast("Callable[[tuple[Part, ...]], bytes]", cast("Any", hiredis).pack_command)
Answer = Callable[[Any], None]
"""Called with what Redis has answered, or with an exception."""

FIRST_PAUSE_SECONDS: Final = 0.02
MOST_PAUSE_SECONDS: Final = 0.5
"""Between two attempts to connect; each pause is twice the one before."""
MOST_CALLS: Final = 100_000
"""Calls that wait for their answers; further ones fail."""
LOOK_SECONDS: Final = 0.5
"""How often it is looked whether answers come."""


def reader_of(connection: AbstractConnection) -> Callable[..., Awaitable[Any]]:
    """Reads one answer, which may be anything that Redis says."""
    return cast("Any", connection).read_response


class FunctionsGone(Exception):
    """Redis does not have the library any more: it is loaded with the next connection."""


class _Call:
    __slots__ = ("answer", "is_sent", "packed", "repeats")

    def __init__(self, packed: bytes, answer: Answer, repeats: bool) -> None:
        self.packed = packed
        self.answer = answer
        self.repeats = repeats
        self.is_sent = False


class Wire:
    """A connection that mends itself. Loop thread only.

    - ``connect``: makes a connection, checked and ready; raises what is wrong with it.
    - ``patience``: after so many seconds without an answer the connection counts as broken; after so many without a
      connection the calls that were not sent fail, and so does each new one, until there is a connection again.
    - ``troubled``: called with the LogUnavailable then, and with None when there is one again.
    - ``greet``: awaited when the connection was made again, before anything is sent on it.
    """

    def __init__(
        self,
        place: str,
        connect: Callable[[], Awaitable[AbstractConnection]],
        patience: float,
        troubled: Callable[[LogUnavailable | None], None] = lambda error: None,
        greet: Callable[[AbstractConnection], Awaitable[None]] | None = None,
    ) -> None:
        self._place = place
        self._connect = connect
        self._patience = patience
        self._troubled = troubled
        self._greet = greet
        self._front: deque[_Call] | None = None
        """What is to be sent before all that waits."""
        self._waiting: deque[_Call] = deque()
        self._sent: deque[_Call] = deque()
        self._wake = asyncio.Event()
        self._trouble: LogUnavailable | None = None
        self._life: asyncio.Task[None] | None = None
        self._is_closed = False
        self._is_connected = False
        self._answered = 0
        """How many answers have come, over all connections."""

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection now."""
        return self._is_connected

    # --- calls ---

    def call(self, parts: tuple[Part, ...], answer: Answer, *, repeats: bool = True) -> None:
        """Sends a command; ``answer`` is called on the loop, and may be called before this returns.

        ``repeats``: it may be carried out twice. Else it fails where its answer was lost.
        """
        if self._is_closed or self._trouble is not None:
            answer(self._trouble or unavailable(self._place, "is closed"))
        elif len(self._waiting) + len(self._sent) >= MOST_CALLS:
            answer(unavailable(self._place, f"has {MOST_CALLS:,} calls to answer already"))
        else:
            call = _Call(_pack(parts), answer, repeats)
            (self._waiting if self._front is None else self._front).append(call)
            self._wake.set()

    @contextmanager
    def before_others(self) -> Generator[None]:
        """What is called inside is sent before all that waits, in its order."""
        self._front = deque()
        try:
            yield
        finally:
            front, self._front = self._front, None
            self._waiting.extendleft(reversed(front))

    def ask(self, parts: tuple[Part, ...], *, repeats: bool = True) -> asyncio.Future[Any]:
        """Sends a command; the future has the answer, or a LogUnavailable with the reason why there is none."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def settle(answer: Any) -> None:
            if future.done():  # cancelled: nobody waits any more
                return
            if isinstance(answer, Exception):
                future.set_exception(refused(self._place, answer))
            else:
                future.set_result(answer)

        self.call(parts, settle, repeats=repeats)
        return future

    # --- life ---

    async def open(self) -> None:
        """Connects; raises LogUnavailable where that cannot be done now."""
        connection = await self._connect()
        self._life = asyncio.ensure_future(self._live(connection))

    async def close(self) -> None:
        """Waits for the answers of what was called, as long as there is a connection, then closes it."""
        if self._life is None:
            return
        if self._is_connected:
            with suppress(LogUnavailable, asyncio.TimeoutError):
                async with asyncio.timeout(self._patience):
                    await self.ask(("PING",))
        self._is_closed = True
        self._life.cancel()
        await asyncio.wait({self._life})
        self._life = None
        self._fail((*self._sent, *self._waiting), unavailable(self._place, "is closed"))
        self._sent.clear()
        self._waiting.clear()

    async def _live(self, connection: AbstractConnection) -> None:
        while True:
            self._is_connected = True
            self._wake.set()
            jobs = [asyncio.ensure_future(job(connection)) for job in (self._send, self._receive, self._look)]
            try:
                await asyncio.wait(jobs, return_when=asyncio.FIRST_COMPLETED)
                why = self._why(jobs)
            finally:
                self._is_connected = False
                for job in jobs:
                    job.cancel()
                try:
                    await asyncio.gather(*jobs, return_exceptions=True)
                finally:  # also where the log is closed meanwhile
                    await connection.disconnect(nowait=True)
            self._take_back()
            logger.warning("the connection to the log is lost", log=self._place, error=str(why))
            connection = await self._reconnect(why)

    def _why(self, jobs: Iterable[asyncio.Task[None]]) -> BaseException:
        errors = (job.exception() for job in jobs if job.done() and not job.cancelled())
        return next((error for error in errors if error is not None), ConnectionError("it was closed"))

    def _take_back(self) -> None:
        """What was sent and not answered waits again, before what was called later."""
        lost = [call for call in self._sent if not call.repeats]
        self._waiting.extendleft(call for call in reversed(self._sent) if call.repeats)
        self._sent.clear()
        why = "did not answer before the connection broke: nobody knows whether it was done"
        self._fail(lost, unavailable(self._place, why, "unknown"))

    async def _reconnect(self, why: BaseException) -> AbstractConnection:
        loop = asyncio.get_running_loop()
        since, pause = loop.time(), FIRST_PAUSE_SECONDS
        while True:
            try:
                connection = await self._make()
            except (LogUnavailable, RedisError, OSError) as error:
                why = error
                if loop.time() - since > self._patience:
                    self._give_up(refused(self._place, why))
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))
                pause = min(2 * pause, MOST_PAUSE_SECONDS)
                continue
            logger.info("the connection to the log is back", log=self._place, seconds=round(loop.time() - since, 2))
            return connection

    async def _make(self) -> AbstractConnection:
        """A new connection, greeted. Then the trouble is over."""
        connection = await self._connect()
        trouble, self._trouble = self._trouble, None
        try:
            if self._greet is not None:
                await self._greet(connection)
        except BaseException:
            self._trouble = trouble
            await connection.disconnect(nowait=True)
            raise
        if trouble is not None:
            self._troubled(None)
        return connection

    def _give_up(self, error: LogUnavailable) -> None:
        """There is no connection: what was never sent is final. Of the rest nobody knows before there is one."""
        fresh = [call for call in self._waiting if not call.is_sent]
        self._waiting = deque(call for call in self._waiting if call.is_sent)
        was_well, self._trouble = self._trouble is None, error
        self._fail(fresh, error)
        if was_well:
            self._troubled(error)

    def _fail(self, calls: Iterable[_Call], error: Exception) -> None:
        for call in list(calls):
            call.answer(error)

    # --- one connection ---

    async def _send(self, connection: AbstractConnection) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            batch, self._waiting = self._waiting, deque()
            for call in batch:
                call.is_sent = True
            self._sent.extend(batch)
            await connection.send_packed_command([call.packed for call in batch], check_health=False)

    async def _receive(self, connection: AbstractConnection) -> None:
        sent, read = self._sent, reader_of(connection)
        while True:
            try:
                answer = await read(disconnect_on_error=False)
            except (BusyLoadingError, ReadOnlyError):
                raise  # it may have become a replica, and its name be that of another Redis: nothing was done
            except ResponseError as error:
                if "Function not found" in str(error):
                    raise FunctionsGone("Redis has lost the functions of the log") from error
                answer = error
            self._answered += 1
            sent.popleft().answer(answer)

    async def _look(self, connection: AbstractConnection) -> None:
        """Ends when an answer does not come. Time in which this process stood still does not count."""
        seen, waited = -1, 0.0
        while waited < self._patience:
            await asyncio.sleep(LOOK_SECONDS)
            waited = waited + LOOK_SECONDS if self._sent and self._answered == seen else 0.0
            seen = self._answered
        raise TimeoutError(f"no answer within {self._patience:g} seconds")
