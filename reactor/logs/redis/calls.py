"""The calls of a log's functions, over two connections: what is read does not wait for what is written."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from redis.asyncio.connection import AbstractConnection

from reactor.errors import LogUnavailable, UnknownRun
from reactor.logs.redis.connecting import CONNECT_SECONDS, Address, connect
from reactor.logs.redis.names import Names
from reactor.logs.redis.wire import Part, Wire


class Calls:
    """Those of one log. ``troubled``: told when Redis cannot be reached for long, and when it is there again."""

    def __init__(
        self, address: Address, prefix: str, patience: float, troubled: Callable[[LogUnavailable | None], None]
    ) -> None:
        self.place = address.place
        self.address = address
        self.names = Names(prefix, address.database)
        self.patience = patience
        self.greet: Callable[[AbstractConnection], Awaitable[None]] | None = None
        """Awaited when the connection that writes was made again, before what waits is sent."""
        self.writes = Wire(self.place, self.connect, patience, troubled, self._greet)
        self.reads = Wire(self.place, self.connect, patience)
        self._is_open = False

    async def open(self) -> None:
        await self.writes.open()
        try:
            await self.reads.open()
        except BaseException:
            await self.writes.close()
            raise
        self._is_open = True

    async def close(self) -> None:
        await self.reads.close()
        await self.writes.close()

    @property
    def is_connected(self) -> bool:
        """Whether what is written can be sent now."""
        return self.writes.is_connected

    def connect(self) -> Awaitable[AbstractConnection]:
        """A connection to the same Redis. It has as long as any call has."""
        starting = not self._is_open
        return connect(self.address, starting=starting, seconds=min(CONNECT_SECONDS, self.patience))

    async def _greet(self, connection: AbstractConnection) -> None:
        if self.greet is not None:
            async with asyncio.timeout(self.patience):
                await self.greet(connection)

    def write(self, function: str, *parts: Part, repeats: bool = True) -> asyncio.Future[Any]:
        """Calls a function that changes something. The future fails with LogUnavailable."""
        return self.writes.ask(self.names.call(function, *parts), repeats=repeats)

    def read(self, function: str, *parts: Part) -> asyncio.Future[Any]:
        """Calls a function that only reads."""
        return self.reads.ask(self.names.call(function, *parts))

    async def read_of(self, run_id: str, tenant: str, function: str, *parts: Part) -> Any:
        """Calls a function that answers ``{whether there is such a run, value}``; raises UnknownRun."""
        is_there, value = await self.read(function, tenant, run_id, *parts)
        if not is_there:
            raise UnknownRun.of(run_id)
        return value
